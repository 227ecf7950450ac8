package transition

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// leader is an engine with a State that every proposal is committed to at once.
type leader struct {
	t     *testing.T
	e     *Engine
	s     *cluster.State
	now   event.Time
	calls map[string]int
	sent  map[string]event.Order // by "node:name.action"
	log   []string
	hold  bool // commit nothing
	done  *Outcome
}

func inc(node string) cluster.Incarnation {
	return cluster.Incarnation{Node: node, Counter: 1, Boot: "b1"}
}

func newLeader(t *testing.T, nodes ...string) *leader {
	l := &leader{t: t, e: New(func(cluster.Incarnation) uint64 { return math.MaxUint64 }), s: &cluster.State{}, calls: map[string]int{}, sent: map[string]event.Order{}}
	l.now = event.Time{Mono: time.Minute, Wall: time.Unix(1e9, 0)}
	config := cluster.Config{Resources: []cluster.Resource{{ID: "fs", Kind: cluster.Primitive}, {ID: "web", Kind: cluster.Primitive}, {ID: "db", Kind: cluster.Primitive}}}
	l.commit(cluster.Command{Init: &cluster.Init{Lineage: cluster.Lineage{ID: "l1"}, Config: config, First: cluster.Member{Name: nodes[0], RaftID: 1}}})
	for i, n := range nodes {
		if i > 0 {
			l.commit(cluster.Command{Token: &cluster.Token{Hash: n, Expires: l.now.Wall.Add(time.Hour)}})
			l.commit(cluster.Command{Admit: &cluster.Admit{Member: cluster.Member{Name: n, RaftID: uint64(i + 1)}, TokenHash: n}})
		}
		l.commit(state(n, cluster.NodeJoining), cluster.Command{Report: &cluster.Report{Incarnation: inc(n)}}, state(n, cluster.NodeOnline))
	}
	l.e.Lead(7)
	l.e.Applied(l.now, l.s)
	for _, n := range nodes {
		l.e.Reported(l.now, inc(n), &cluster.Report{}, 0)
	}
	l.take()
	l.log = nil
	return l
}

// newSuccessor is the next leader of a and b, whose predecessor has granted web to a.
// Only b has reported to it.
func newSuccessor(t *testing.T) *leader {
	l := newLeader(t, "a", "b")
	l.commit(cluster.Command{Grant: &cluster.GrantChange{Grants: []cluster.Grant{{Instance: "web", Role: "Started", Holders: []cluster.Incarnation{inc("a")}}}}})
	l.e.Lead(8)
	l.e.Applied(l.now, l.s)
	l.e.Reported(l.now, inc("b"), &cluster.Report{}, 0)
	return l
}

func state(node string, to cluster.NodeState) cluster.Command {
	return cluster.Command{Node: &cluster.NodeChange{Incarnation: inc(node), State: to}}
}

func (l *leader) commit(commands ...cluster.Command) {
	l.t.Helper()
	if len(commands) == 0 {
		return
	}
	var names []string
	for _, c := range commands {
		names = append(names, describe(&c))
	}
	l.log = append(l.log, "["+strings.Join(names, " ")+"]")
	next, rejections := l.s.Apply(l.s.Index+1, &cluster.Entry{Time: l.now.Wall, Commands: commands})
	for _, r := range rejections {
		if r != nil {
			l.log = append(l.log, "REJECTED "+r.Text)
		}
	}
	l.s = next
	l.e.Applied(l.now, l.s)
	l.take()
}

func describe(c *cluster.Command) string {
	switch {
	case c.Transition != nil:
		return fmt.Sprintf("begin%d", c.Transition.Number)
	case c.History != nil:
		return fmt.Sprintf("%s:%s.%s=%d", c.History.Incarnation.Node, c.History.Resource, c.History.Entry.Operation, c.History.Entry.RC)
	case c.Release != nil:
		return "release:" + c.Release.Holder.Node
	case c.Grant != nil:
		var holders []string
		for _, h := range c.Grant.Grants[0].Holders {
			holders = append(holders, h.Node)
		}
		return fmt.Sprintf("grant:%s@%s", c.Grant.Grants[0].Instance, strings.Join(holders, "+"))
	case c.Node != nil:
		return c.Node.Incarnation.Node + "=" + string(c.Node.State)
	case c.Event != nil:
		return "event"
	case c.Fence != nil:
		return "fence:" + c.Fence.Target.Node
	case c.FenceDone != nil:
		return "fenced:" + c.FenceDone.Target.Node
	case c.Forget != nil:
		return "forget:" + c.Forget.Resource
	case c.MoveDone != nil:
		return "moved:" + c.MoveDone.Resource
	case c.Move != nil:
		return "move:" + c.Move.Resource
	}
	return "?"
}

// take does what the engine wants.
func (l *leader) take() {
	l.t.Helper()
	out := l.e.Take()
	for _, d := range out.Dispatch {
		for _, o := range d.Dispatch.Orders {
			name := fmt.Sprintf("%s:%s.%s", d.To.Node, o.Operation.Name, o.Operation.Action)
			l.log = append(l.log, name)
			l.sent[name] = o
		}
	}
	for _, f := range out.Fence {
		l.log = append(l.log, "wish:fence:"+f.Node)
	}
	for _, n := range out.Shutdown {
		l.log = append(l.log, "shutdown:"+n)
	}
	if out.Done != nil {
		l.log = append(l.log, out.Done.Result)
		l.done = out.Done
	}
	if !l.hold {
		l.commit(out.Commands...)
	}
}

func (l *leader) begin(actions ...cluster.Action) {
	l.t.Helper()
	l.log = nil
	for i := range actions {
		actions[i].ID = i + 1
		if actions[i].Instance == "" {
			actions[i].Instance = actions[i].Name
		}
		actions[i].Resource = cluster.ConfiguredID(actions[i].Instance)
	}
	l.e.Begin(l.now, l.s.Transition+1, &cluster.Plan{Actions: actions}, l.s)
	l.take()
}

// answer gives the result of an order that was sent.
func (l *leader) answer(name string, code int) {
	l.t.Helper()
	o, ok := l.sent[name]
	if !ok {
		l.t.Fatalf("%s was not sent: %v", name, l.log)
	}
	node, _, _ := strings.Cut(name, ":")
	l.calls[node]++
	op := o.Operation
	entry := cluster.HistoryEntry{Operation: op.Action, IntervalMS: op.Interval.Milliseconds(), CallID: l.calls[node], RC: code, TransitionKey: op.TransitionKey}
	l.e.Result(l.now, inc(node), event.OrderResult{Number: o.Number, Operation: op, Result: event.Result{Code: code}, Entry: entry})
	l.take()
}

func (l *leader) want(log ...string) {
	l.t.Helper()
	if got, want := strings.Join(l.log, "\n"), strings.Join(log, "\n"); got != want {
		l.t.Fatalf("got:\n%s\nwant:\n%s", got, want)
	}
	l.log = nil
}

func act(kind cluster.ActionKind, name, node string, after ...int) cluster.Action {
	return cluster.Action{Kind: kind, Name: name, Node: node, After: after}
}

func implied(a cluster.Action) cluster.Action { a.Implied = true; return a }

func TestGroupStartsWithOneCommitAhead(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "fs", "a"), act("start", "web", "a", 1), cluster.Action{Kind: "monitor", Name: "web", Node: "a", Interval: time.Second, After: []int{2}})
	l.want("[begin1 grant:fs@a grant:web@a]", "a:fs.start")
	l.hold = true // the next start waits for no commit
	l.answer("a:fs.start", 0)
	l.want("a:web.start")
}

func TestMoveCommitsStopReleaseAndGrantTogether(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "web", "a"))
	l.answer("a:web.start", 0)
	l.begin(act("stop", "web", "a"), act("start", "web", "b", 1), cluster.Action{Kind: "monitor", Name: "web", Node: "b", Interval: time.Second, After: []int{2}})
	l.want("a:web.stop")
	l.answer("a:web.stop", 0)
	l.want("[begin2 a:web.stop=0 release:a grant:web@b]", "b:web.start")
	l.answer("b:web.start", 0)
	l.want("b:web.monitor", "[b:web.start=0]")
	l.answer("b:web.monitor", 0)
	l.want("[b:web.monitor=0]", "complete")
}

func TestRestartKeepsItsGrant(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "web", "a"))
	l.answer("a:web.start", 0)
	l.begin(act("stop", "web", "a"), act("start", "web", "a", 1))
	l.answer("a:web.stop", 0)
	l.want("a:web.stop", "a:web.start", "[begin2 a:web.stop=0]")
}

func TestFailoverWaitsForTheFencing(t *testing.T) {
	l := newLeader(t, "a", "b", "c")
	l.begin(act("start", "fs", "a"), act("start", "web", "a", 1))
	l.answer("a:fs.start", 0)
	l.answer("a:web.start", 0)
	old := l.s
	l.commit(state("a", cluster.NodeLost), cluster.Command{Fence: &cluster.FenceBegin{Target: inc("a"), Action: "off"}})
	if !l.e.Material(old, l.s) {
		t.Fatal("a lost node needs a new plan")
	}
	l.begin(act("fence", "", "a"), implied(act("stop", "web", "a", 1)), implied(act("stop", "fs", "a", 2)),
		act("start", "fs", "b", 1, 3), act("start", "web", "b", 4))
	l.want() // the fencing is under way already
	old = l.s
	s, _ := l.s.Apply(l.s.Index+1, &cluster.Entry{Commands: []cluster.Command{{FenceDone: &cluster.FenceEnd{ID: 1, Target: inc("a"), Result: "ok"}}}})
	if l.e.Material(old, s) {
		t.Fatal("the end of a fencing that the plan waits for is no news")
	}
	l.commit(cluster.Command{FenceDone: &cluster.FenceEnd{ID: 1, Target: inc("a"), Result: "ok"}})
	l.want("[fenced:a]", "[begin2 grant:fs@b grant:web@b]", "b:fs.start")
	if !l.sent["b:fs.start"].Operation.SkipDuplicateCheck {
		t.Fatal("the former owner is off: no duplicate check")
	}
	l.answer("b:fs.start", 0)
	l.answer("b:web.start", 0)
	l.want("b:web.start", "[b:fs.start=0]", "[b:web.start=0]", "complete")
}

func TestFencingIsAskedFor(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("fence", "", "a"))
	l.want("wish:fence:a")
	l.now.Mono += 2 * time.Second
	l.e.Tick(l.now)
	l.take()
	l.want("wish:fence:a")
}

// An unfencing that was open when the plan was made is the one that it waits for; one
// of the node's former life is not.
func TestAnOpenUnfencingIsWaitedFor(t *testing.T) {
	on := act("fence", "", "a")
	on.Detail = "on"
	l := newLeader(t, "a", "b")
	l.commit(cluster.Command{Fence: &cluster.FenceBegin{Target: inc("a"), Action: "on"}})
	l.begin(on, act("start", "web", "a", 1))
	l.want("wish:fence:a", "[begin1 grant:web@a]") // the core knows that it is under way
	l.commit(cluster.Command{FenceDone: &cluster.FenceEnd{ID: 1, Target: inc("a"), Result: "ok", Device: "port"}})
	l.want("[fenced:a]", "a:web.start")

	l = newLeader(t, "a", "b")
	l.commit(cluster.Command{Fence: &cluster.FenceBegin{Target: inc("a"), Action: "on"}})
	next := cluster.Incarnation{Node: "a", Counter: 2, Boot: "b2"}
	l.commit(cluster.Command{Node: &cluster.NodeChange{Incarnation: next, State: cluster.NodeJoining}}, cluster.Command{Report: &cluster.Report{Incarnation: next}},
		cluster.Command{Node: &cluster.NodeChange{Incarnation: next, State: cluster.NodeOnline}})
	l.e.Reported(l.now, next, &cluster.Report{}, 0)
	l.take()
	l.begin(on, act("start", "web", "a", 1))
	l.commit(cluster.Command{FenceDone: &cluster.FenceEnd{ID: 1, Target: inc("a"), Result: "ok", Device: "port"}})
	l.want("wish:fence:a", "[begin1 grant:web@a]", "[fenced:a]")
}

func TestBlockedByALostOwner(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "web", "a"))
	l.answer("a:web.start", 0)
	l.commit(state("a", cluster.NodeLost))
	l.begin(act("start", "web", "b"))
	l.want("blocked", "[event]")
	if !strings.Contains(l.done.Reason, "a, which is lost, may still run it") {
		t.Fatalf("reason: %s", l.done.Reason)
	}
	l.begin(act("start", "web", "b"))
	l.want("blocked") // people are told once
}

func TestFailureAborts(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "fs", "a"), act("start", "web", "a", 1), act("start", "db", "b"))
	l.answer("a:fs.start", 1)
	l.want("[begin1 grant:fs@a grant:web@a grant:db@b]", "a:fs.start", "b:db.start", "[a:fs.start=1]")
	l.now.Mono += abortWait // what is under way gets a moment to end
	l.e.Tick(l.now)
	l.take()
	l.want("b:db.start", "failed", "[release:a]")
	if l.s.Member("a").Attribute("fail-count-fs#start_0") != "INFINITY" {
		t.Fatal("a failed start is fatal")
	}
	// What was under way goes on; its result is taken, and its start not repeated.
	st := &cluster.Status{Nodes: []cluster.NodeStatus{{Name: "b"}}}
	l.e.Decorate(st)
	if len(st.Nodes[0].History) != 1 || st.Nodes[0].History[0].Operations[0].Status != -1 {
		t.Fatalf("pending start is not shown: %+v", st.Nodes[0])
	}
	l.begin(act("stop", "fs", "a"), act("start", "db", "b"))
	l.want("a:fs.stop")
	l.answer("b:db.start", 0)
	l.answer("a:fs.stop", 0)
	l.want("[begin2 b:db.start=0]", "[a:fs.stop=0 release:a]", "complete")
}

// TestANodeThatIsNotThere: what a plan wants on it holds up nothing else.
func TestANodeThatIsNotThere(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "db", "far"), act("monitor", "db", "far", 1), act("start", "web", "a"))
	l.want("[begin1 grant:web@a]", "a:web.start")
	l.answer("a:web.start", 0)
	l.want("[a:web.start=0]", "blocked", "[event]")
	if l.done.Reason != "db cannot start on far: no such node takes part in the cluster" {
		t.Error(l.done.Reason)
	}
}

// TestARefusedOrder: the next plan would have it refused again at once.
func TestARefusedOrder(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "web", "a"))
	o := l.sent["a:web.start"]
	l.e.Result(l.now, inc("a"), event.OrderResult{Number: o.Number, Operation: o.Operation,
		Result: event.Result{Status: 1}, Entry: cluster.HistoryEntry{Operation: "start", CallID: 1, Status: 1}})
	l.take()
	if l.done == nil || !l.done.Refused {
		t.Errorf("%+v", l.done)
	}
}

func TestProbeThatFindsOtherwise(t *testing.T) {
	l := newLeader(t, "a", "b")
	probe := func(node string) cluster.Action {
		return cluster.Action{Kind: "probe", Name: "web", Node: node, ExpectRC: 7}
	}
	l.begin(probe("a"), probe("b"), act("start", "web", "a", 1, 2))
	l.want("a:web.monitor", "b:web.monitor") // no grant before it is known where it is
	l.answer("a:web.monitor", 7)
	l.answer("b:web.monitor", 0)
	l.want("[begin1 a:web.monitor=7]", "[b:web.monitor=0]", "aborted")
	if h := l.s.GrantHolders("web"); len(h) != 1 || h[0].Node != "b" {
		t.Fatalf("held by %v", h)
	}
}

func TestOrdersOfALostNodeAreGivenUp(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "web", "a"), act("start", "fs", "b", 1))
	l.commit(state("a", cluster.NodeLost))
	l.want("[begin1 grant:web@a grant:fs@b]", "a:web.start", "[a=lost]", "aborted", "[release:b]")
	// Its grant stays: what became of the order is unknown.
	if h := l.s.GrantHolders("web"); len(h) != 1 || h[0].Node != "a" {
		t.Fatalf("held by %v", h)
	}
}

func TestOrdersAndGrantsAreRepeated(t *testing.T) {
	l := newLeader(t, "a")
	l.hold = true
	l.begin(act("start", "web", "a"))
	l.want()
	l.hold = false
	l.now.Mono += 1100 * time.Millisecond
	if d := l.e.Deadline(); d == 0 || d > l.now.Mono {
		t.Fatalf("deadline %v", d)
	}
	l.e.Tick(l.now)
	l.take()
	l.want("[grant:web@a]", "a:web.start")
	first := l.sent["a:web.start"].Number
	l.now.Mono += 600 * time.Millisecond
	l.e.Tick(l.now)
	l.take()
	l.want("a:web.start")
	if l.sent["a:web.start"].Number != first {
		t.Fatal("a repeated order must keep its number")
	}
	l.answer("a:web.start", 0)
	l.now.Mono += time.Hour
	l.e.Tick(l.now)
	l.take()
	l.want("[a:web.start=0]", "complete")
}

func TestMigrationNamesBothEnds(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "web", "a"))
	l.answer("a:web.start", 0)
	l.begin(act("migrate_to", "web", "a"), act("migrate_from", "web", "b", 1), act("stop", "web", "a", 2), implied(act("start", "web", "b", 3)))
	l.want("[begin2 grant:web@a+b]", "a:web.migrate_to")
	l.answer("a:web.migrate_to", 0)
	l.answer("b:web.migrate_from", 0)
	l.want("b:web.migrate_from", "[a:web.migrate_to=0]", "a:web.stop", "[b:web.migrate_from=0]")
	l.answer("a:web.stop", 0)
	l.want("[a:web.stop=0 release:a]", "complete")
	if h := l.s.GrantHolders("web"); len(h) != 1 || h[0].Node != "b" {
		t.Fatalf("held by %v", h)
	}
}

// While the source still migrates, the target's part is in use.
func TestTheTargetKeepsItsPartWhileTheSourceMigrates(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "web", "a"))
	l.answer("a:web.start", 0)
	l.begin(act("migrate_to", "web", "a"), act("migrate_from", "web", "b", 1))
	l.want("[begin2 grant:web@a+b]", "a:web.migrate_to")
	l.e.Abort(l.now, "something else")
	l.now.Mono += time.Second
	l.e.Tick(l.now)
	l.take()
	l.log = nil
	l.begin(act("start", "fs", "b"))
	l.want("[begin3 grant:fs@b]", "b:fs.start")
	if h := l.s.GrantHolders("web"); len(h) != 2 {
		t.Fatalf("held by %v", h)
	}
}

// A migration that was given up leaves a grant of both ends, and the target has been
// asked since: the next one needs it anew, so that the target is in doubt again.
func TestAMigrationAfterOneThatWasGivenUp(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.commit(cluster.Command{Grant: &cluster.GrantChange{Grants: []cluster.Grant{{Instance: "web", Role: "Started", Holders: []cluster.Incarnation{inc("a")}}}}})
	l.begin(act("start", "web", "a"))
	l.answer("a:web.start", 0)
	l.commit(cluster.Command{Grant: &cluster.GrantChange{Grants: []cluster.Grant{{Instance: "web", Role: "Started", Holders: []cluster.Incarnation{inc("a"), inc("b")}}}}})
	former := l.s.Grants[0].ID
	l.commit(cluster.Command{Release: &cluster.Release{IDs: []uint64{former}, SourceDone: true}})
	l.log = nil
	l.begin(act("migrate_to", "web", "a"), act("migrate_from", "web", "b", 1))
	l.want("[begin2 grant:web@a+b]", "a:web.migrate_to")
	if g := l.s.GrantFor("web", "b"); g == nil || g.ID == former || !l.s.Member("b").Awaits("web") {
		t.Fatalf("b is not in doubt while web is sent to it: %+v", g)
	}
	l.commit(cluster.Command{Release: &cluster.Release{IDs: []uint64{former}, SourceDone: true}}) // late, of the former migration
	if !l.s.Member("b").Awaits("web") {
		t.Fatal("the end of the former migration counts for this one")
	}
}

// A new leader does not know what its predecessor ordered on a node that has not
// reported to it yet.
func TestNothingIsGivenBackBeforeTheReport(t *testing.T) {
	l := newSuccessor(t)
	l.begin(act("start", "fs", "b"))
	l.want("[begin1 grant:fs@b]", "b:fs.start")
	l.e.Reported(l.now, inc("a"), &cluster.Report{}, 0)
	l.begin(act("start", "web", "b"))
	l.want("aborted", "[release:a begin2 grant:web@b]", "b:web.start")
}

// What ended before the report may come after it, an old probe first: that it found
// nothing says nothing of the start that the report counts as well.
func TestAnOldProbeGivesNothingBack(t *testing.T) {
	l := newSuccessor(t)
	l.e.Reported(l.now, inc("a"), &cluster.Report{LastCall: 2}, 0)
	ended := func(call int, action string, code int) {
		op := event.Operation{Name: "web", Instance: "web", Action: action}
		entry := cluster.HistoryEntry{Operation: action, CallID: call, RC: code}
		l.e.Result(l.now, inc("a"), event.OrderResult{Operation: op, Result: event.Result{Code: code}, Entry: entry})
		l.take()
	}
	ended(1, "monitor", 7)
	l.begin(act("start", "fs", "b"))
	ended(2, "start", 0)
	if l.s.GrantFor("web", "a") == nil {
		t.Fatalf("web runs on a without a grant: %v", l.log)
	}
}

// Who was not heard when the plan was made gets no order, and keeps what it has, until
// it has told this leader what runs there (rule 4); then the walk goes on.
func TestNoOrderBeforeTheReport(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.e.Lead(8)
	l.e.Applied(l.now, l.s)
	l.e.Reported(l.now, inc("a"), &cluster.Report{}, 0)
	l.begin(act("start", "fs", "a"), act("start", "web", "b"))
	l.want("[begin1 grant:fs@a grant:web@b]", "a:fs.start")
	l.e.Reported(l.now, inc("b"), &cluster.Report{}, 0)
	l.take()
	l.want("b:web.start")
}

func TestUnusedGrantsAreGivenBackButNotUnderAnOrderOfAnEarlierLeader(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.commit(cluster.Command{Grant: &cluster.GrantChange{Grants: []cluster.Grant{{Instance: "web", Role: "Started", Holders: []cluster.Incarnation{inc("a")}}}}})
	l.e.Reported(l.now, inc("a"), &cluster.Report{Running: []cluster.Running{{Instance: "web", InFlight: "start"}}}, 0)
	l.begin(act("start", "fs", "b"))
	l.want("[begin1 grant:fs@b]", "b:fs.start")
	l.e.Reported(l.now, inc("a"), &cluster.Report{}, 0)
	l.begin(act("start", "web", "b"))
	l.want("aborted", "[release:a begin2 grant:web@b]", "b:web.start")
}

func TestReportEndsOrdersThatNeverBegan(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.begin(act("start", "web", "a"), act("start", "fs", "a"))
	before := l.e.LastOrder()
	l.e.Reported(l.now, inc("a"), &cluster.Report{Running: []cluster.Running{{Instance: "fs", InFlight: "start"}}}, before)
	l.take()
	l.now.Mono += abortWait
	l.e.Tick(l.now)
	l.take()
	l.want("[begin1 grant:web@a grant:fs@a]", "a:web.start", "a:fs.start", "a:fs.start", "aborted", "[release:a]")
	if g := l.s.GrantFor("fs", "a"); g == nil {
		t.Fatal("the start of fs is still under way: its grant must stay")
	}
}

// The monitor of a fence device has as long as the device says.
func TestMonitorTimeoutOfAFenceDevice(t *testing.T) {
	l := newLeader(t, "a")
	monitor := act("monitor", "power", "a")
	monitor.Agent, monitor.Interval, monitor.Timeout = cluster.Agent{Class: "stonith", Type: "fence_x"}, time.Minute, 20*time.Second
	monitor.Params = []cluster.NVPair{{Name: "pcmk_monitor_timeout", Value: "45s"}}
	l.begin(monitor)
	if got := l.sent["a:power.monitor"].Operation.Timeout; got != 45*time.Second {
		t.Errorf("time-out %v, want 45s", got)
	}
}

func TestLimits(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.s.Config.Options = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "batch-limit", Value: "1"}}}}
	l.begin(act("start", "web", "a"), act("start", "fs", "b"))
	l.want("[begin1 grant:web@a grant:fs@b]", "a:web.start")
	l.answer("a:web.start", 0)
	l.want("b:fs.start", "[a:web.start=0]")
}

func TestMovesEndWithTheirTransition(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.commit(cluster.Command{Move: &cluster.Move{Resource: "web", Node: "b"}})
	l.begin()
	l.want("complete", "[moved:web]")
}

func TestForgetting(t *testing.T) {
	l := newLeader(t, "a")
	l.begin(act("start", "web", "a"))
	l.answer("a:web.start", 1)
	l.begin(act("stop", "web", "a"), act("cleanup", "web", "a", 1), act("shutdown", "", "a", 2))
	l.answer("a:web.stop", 0)
	l.want("a:web.stop", "[begin2 a:web.stop=0 release:a forget:web]", "shutdown:a", "complete")
}

// A grant that an aborted transition had asked for comes only when the next one
// wants the resource elsewhere.
func TestGrantOfAnAbortedTransition(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.hold = true
	l.begin(act("start", "web", "a"))
	l.e.Abort(l.now, "the world has changed")
	l.take()
	l.want("aborted")
	l.begin(act("start", "web", "b"))
	l.want()
	l.hold = false
	l.commit(cluster.Command{Grant: &cluster.GrantChange{Grants: []cluster.Grant{{Instance: "web", Role: "Started", Holders: []cluster.Incarnation{inc("a")}}}}})
	l.want("[grant:web@a]", "[release:a begin1 grant:web@b]", "b:web.start")
}

// People erase a history while the promoted role of what is not promoted is on its way
// back: that is refused, and asked for anew as soon as it is known again what runs.
func TestARefusedLoweringIsAskedForAgain(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.commit(cluster.Command{Grant: &cluster.GrantChange{Grants: []cluster.Grant{{Instance: "db", Role: "Promoted", Holders: []cluster.Incarnation{inc("a")}}}}})
	ended := func(action string) {
		l.calls["a"]++
		l.commit(cluster.Command{History: &cluster.HistoryChange{Incarnation: inc("a"), Resource: "db", Instance: "db", Entry: cluster.HistoryEntry{Operation: action, CallID: l.calls["a"]}}})
	}
	ended("start")
	l.hold = true
	l.begin() // it proposes the release, which is still on its way when the history goes
	l.hold = false
	l.commit(cluster.Command{Forget: &cluster.HistoryForget{}})
	l.commit(cluster.Command{Release: &cluster.Release{IDs: []uint64{l.s.Grants[0].ID}, Promoted: true}})
	if !strings.Contains(strings.Join(l.log, "\n"), "REJECTED release of db as promoted") {
		t.Fatalf("the release was not refused: %v", l.log)
	}
	ended("monitor")
	l.begin()
	if g := l.s.GrantFor("db", "a"); g == nil || g.Role != "Started" {
		t.Errorf("the promoted role was not given back: %+v", g)
	}
}

// A start that an earlier leader ordered is under way. One of this leader is refused at
// once: the grant stays, since the first may still make its resource active.
func TestARefusedOrderDoesNotEndAnEarlierOne(t *testing.T) {
	l := newLeader(t, "a", "b")
	l.commit(cluster.Command{Grant: &cluster.GrantChange{Grants: []cluster.Grant{{Instance: "web", Role: "Started", Holders: []cluster.Incarnation{inc("a")}}}}})
	l.e.Reported(l.now, inc("a"), &cluster.Report{Running: []cluster.Running{{Instance: "web", InFlight: "start"}}}, 0)
	l.begin(act("start", "web", "a"))
	o := l.sent["a:web.start"]
	l.calls["a"]++
	refused := cluster.HistoryEntry{Operation: "start", CallID: l.calls["a"], RC: 1, Status: 1, TransitionKey: o.Operation.TransitionKey}
	l.e.Result(l.now, inc("a"), event.OrderResult{Number: o.Number, Operation: o.Operation, Result: event.Result{Code: 1, Status: 1}, Entry: refused})
	l.take()
	l.now.Mono += abortWait
	l.e.Tick(l.now)
	l.take()
	l.begin(act("start", "fs", "b"))
	if l.s.GrantFor("web", "a") == nil {
		t.Errorf("web may become active on a without a grant: %v", l.log)
	}
}
