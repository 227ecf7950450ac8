package cluster

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world builds states by entries, one a second.
type world struct {
	t *testing.T
	s *State
}

func newWorld(t *testing.T, nodes ...string) *world {
	t.Helper()
	w := &world{t: t, s: &State{}}
	clone := func(id, child string, meta ...NVPair) Resource {
		return Resource{ID: id, Kind: Clone, Meta: []AttrSet{{Pairs: meta}}, Children: []Resource{{ID: child, Kind: Primitive, Agent: Agent{Class: "ocf", Type: "x"}}}}
	}
	config := Config{Resources: []Resource{
		{ID: "web", Kind: Primitive, Agent: Agent{Class: "ha", Type: "web"}},
		clone("dlm-clone", "dlm"),
		clone("uni-clone", "uni", NVPair{Name: "globally-unique", Value: "true"}),
		clone("db-clone", "db", NVPair{Name: "promotable", Value: "true"}),
	}}
	w.ok(Command{Init: &Init{Lineage: Lineage{ID: "l1"}, Config: config, First: Member{Name: nodes[0], RaftID: 1}}})
	for i, n := range nodes {
		if i > 0 {
			w.ok(Command{Token: &Token{Hash: n, Expires: start.Add(time.Hour)}})
			w.ok(Command{Admit: &Admit{Member: Member{Name: n, RaftID: uint64(i + 1)}, TokenHash: n}})
		}
		w.online(inc(n, 1, "b1"))
	}
	return w
}

func inc(node string, counter uint64, boot string) Incarnation {
	return Incarnation{Node: node, Counter: counter, Boot: boot}
}

func (w *world) apply(commands ...Command) []*Rejection {
	w.t.Helper()
	before := encode(w.t, w.s)
	next, rejections := w.s.Apply(w.s.Index+1, &Entry{Time: start.Add(time.Duration(w.s.Index) * time.Second), Commands: commands})
	if after := encode(w.t, w.s); after != before {
		w.t.Fatalf("Apply changed the state that it was given:\n%s\n%s", before, after)
	}
	w.s = next
	return rejections
}

func (w *world) ok(commands ...Command) {
	w.t.Helper()
	for _, r := range w.apply(commands...) {
		if r != nil {
			w.t.Fatalf("rejected: %v", r)
		}
	}
}

func (w *world) rejected(want string, commands ...Command) {
	w.t.Helper()
	var members, grants = encode(w.t, w.s.Members), encode(w.t, w.s.Grants)
	var texts []string
	for _, r := range w.apply(commands...) {
		if r != nil {
			texts = append(texts, r.Kind+": "+r.Text)
		}
	}
	if !strings.Contains(strings.Join(texts, "; "), want) || len(texts) == 0 {
		w.t.Fatalf("want a rejection with %q, got %q", want, texts)
	}
	if len(commands) == 1 && (encode(w.t, w.s.Members) != members || encode(w.t, w.s.Grants) != grants) {
		w.t.Fatalf("a rejected command changed members or grants")
	}
}

func (w *world) online(i Incarnation, running ...Running) {
	w.t.Helper()
	w.ok(change(i, NodeJoining), Command{Report: &Report{Incarnation: i, Running: running}}, change(i, NodeOnline))
}

func change(i Incarnation, state NodeState) Command {
	return Command{Node: &NodeChange{Incarnation: i, State: state}}
}

func grant(instance, role string, holders ...Incarnation) Command {
	return Command{Grant: &GrantChange{Grants: []Grant{{Instance: instance, Role: role, Holders: holders}}}}
}

func result(i Incarnation, call int, resource, operation string, rc int) Command {
	return Command{History: &HistoryChange{Incarnation: i, Resource: resource, Instance: resource, Entry: HistoryEntry{Operation: operation, CallID: call, RC: rc}}}
}

func fence(i Incarnation) Command {
	return Command{Fence: &FenceBegin{Target: i, Action: "off", Reason: "lost"}}
}

func fenced(id uint64, i Incarnation, result string) Command {
	return Command{FenceDone: &FenceEnd{ID: id, Target: i, Result: result}}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (w *world) holders(instance string) string {
	var names []string
	for _, g := range w.s.Grants {
		if g.Instance == instance {
			for _, h := range g.Holders {
				names = append(names, fmt.Sprintf("%s.%d %s", h.Node, h.Counter, g.Role))
			}
		}
	}
	return strings.Join(names, ", ")
}

func (w *world) want(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Fatalf("%s: got %q, want %q", what, got, want)
	}
}

func (w *world) state(node string, want NodeState) {
	w.t.Helper()
	w.want("state of "+node, string(w.s.Member(node).State), string(want))
}

func TestExclusiveGrantHasOneHolder(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	a, b := inc("a", 1, "b1"), inc("b", 1, "b1")
	w.ok(grant("web", "Started", a))
	w.rejected("conflict: grant of web to b", grant("web", "Started", b))
	w.ok(grant("web", "Started", a)) // a restart uses the grant that is there
	w.want("holders", w.holders("web"), "a.1 Started")

	w.rejected("all or none", Command{Event: &Event{Text: "x"}}, Command{Grant: &GrantChange{Grants: []Grant{
		{Instance: "other", Role: "Started", Holders: []Incarnation{b}},
		{Instance: "all or none", Role: "Started", Holders: []Incarnation{inc("b", 7, "b1")}},
	}}})
	w.want("other", w.holders("other"), "")

	// A migration names both ends; the source's part ends by its own stop.
	w.ok(result(a, 1, "web", "start", 0))
	w.ok(grant("web", "Started", a, b))
	w.rejected("conflict", grant("web", "Started", b))
	id := w.s.Grants[0].ID
	w.rejected("unsafe: release of web: a has not reported it stopped", Command{Release: &Release{IDs: []uint64{id}, Holder: a}})
	w.ok(result(a, 2, "web", "stop", 0), Command{Release: &Release{IDs: []uint64{id}, Holder: a}})
	w.want("holders", w.holders("web"), "b.1 Started")
}

func TestGrantsOfClones(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	a, b := inc("a", 1, "b1"), inc("b", 1, "b1")
	w.ok(grant("dlm:0", "Started", a), grant("dlm:0", "Started", b))
	w.want("anonymous", w.holders("dlm:0"), "a.1 Started, b.1 Started")
	if g := w.s.GrantFor("dlm:1", "b"); g == nil || g.Holders[0] != b {
		t.Fatalf("instances of an anonymous clone must share a node's grant, got %v", g)
	}
	w.ok(grant("uni:0", "Started", a))
	w.rejected("conflict", grant("uni:0", "Started", b))
	w.ok(grant("uni:1", "Started", b))

	w.ok(grant("db:0", "Started", a), grant("db:1", "Started", b), grant("db:0", "Promoted", a))
	w.rejected("promoted already", grant("db:1", "Promoted", b))
	w.ok(result(a, 1, "db", "demote", 1))
	w.rejected("promoted already", grant("db:1", "Promoted", b))
	w.ok(result(a, 2, "db", "demote", 0))
	w.ok(grant("db:1", "Promoted", b))
	w.want("db", w.holders("db:0")+"; "+w.holders("db:1"), "a.1 Started; b.1 Promoted")
}

func TestOnlyTheHealthyHold(t *testing.T) {
	w := newWorld(t, "a", "b", "c")
	b := inc("b", 1, "b1")
	w.rejected("not its newest", grant("web", "Started", inc("b", 2, "b1")))
	w.ok(change(b, NodeLost))
	w.rejected("b is lost", grant("web", "Started", b))
	w.ok(change(b, NodeJoining))
	w.rejected("b is joining", grant("web", "Started", b))
	w.ok(Command{Report: &Report{Incarnation: b}}, change(b, NodeOnline), grant("web", "Started", b))
	w.ok(fence(b))
	w.state("b", NodeLost)
	w.rejected("unsafe: release", Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}}})
}

// Lost means unknown: each way out of it, and what is no way out.
func TestLostMeansUnknown(t *testing.T) {
	a1 := inc("a", 1, "b1")
	setup := func(t *testing.T) *world {
		w := newWorld(t, "a", "b", "c")
		w.ok(grant("web", "Started", a1), result(a1, 1, "web", "start", 0), change(a1, NodeLost))
		return w
	}
	t.Run("keeps its grant and its membership", func(t *testing.T) {
		w := setup(t)
		w.rejected("conflict", grant("web", "Started", inc("b", 1, "b1")))
		w.rejected("only a node that is confirmed off", Command{Remove: &Remove{Node: "a", RaftID: 1}})
		w.rejected("time alone", change(a1, NodeOffline))
		w.rejected("reported no watchdog", change(a1, NodeFenced))
		w.rejected("cannot become online", change(a1, NodeOnline))
		w.want("holders", w.holders("web"), "a.1 Started")
	})
	t.Run("fenced", func(t *testing.T) {
		w := setup(t)
		w.ok(fence(a1))
		w.rejected("being fenced already", fence(a1))
		w.rejected("fencing", Command{Remove: &Remove{Node: "a", RaftID: 1}}, change(inc("a", 2, "b2"), NodeJoining))
		w.ok(fenced(1, a1, "ok"))
		w.state("a", NodeFenced)
		w.want("holders", w.holders("web"), "")
		w.rejected("must boot", change(inc("a", 2, "b1"), NodeJoining))
		w.ok(change(inc("a", 2, "b2"), NodeJoining))
	})
	t.Run("failed fencing is final too", func(t *testing.T) {
		w := setup(t)
		w.ok(fence(a1), fenced(1, a1, "failed"))
		w.state("a", NodeLost)
		w.want("holders", w.holders("web"), "a.1 Started")
		w.rejected("must boot", change(a1, NodeJoining))
		w.rejected("must boot", change(inc("a", 2, "b1"), NodeJoining))
	})
	t.Run("abandoned fencing never began", func(t *testing.T) {
		w := setup(t)
		w.ok(fence(a1))
		w.rejected("is open", change(a1, NodeJoining))
		w.ok(fenced(1, a1, "abandoned"), change(a1, NodeJoining))
		w.ok(Command{Report: &Report{Incarnation: a1, Running: []Running{{Resource: "web", Instance: "web", Role: "Started"}}}}, change(a1, NodeOnline))
		w.want("holders", w.holders("web"), "a.1 Started")
	})
	t.Run("late result names an older life", func(t *testing.T) {
		w := setup(t)
		w.ok(fence(a1), fenced(1, a1, "failed"))
		a2 := inc("a", 2, "b2")
		w.online(a2)
		w.ok(grant("web", "Started", a2), change(a2, NodeLost))
		w.rejected("no fencing", fenced(1, a1, "ok"))
		w.rejected("another life", fence(a1))
		w.state("a", NodeLost)
		w.want("holders", w.holders("web"), "a.2 Started")
	})
	t.Run("another boot", func(t *testing.T) {
		w := setup(t)
		w.ok(change(inc("a", 2, "b2"), NodeJoining))
		w.want("holders", w.holders("web"), "")
	})
	t.Run("back in the same boot", func(t *testing.T) {
		w := setup(t)
		a2 := inc("a", 2, "b1")
		w.online(a2, Running{Resource: "web", Instance: "web", Role: "Started"})
		w.want("holders", w.holders("web"), "a.2 Started")
		w.rejected("not its newest", result(a1, 9, "web", "stop", 0))
	})
	t.Run("back with nothing running", func(t *testing.T) {
		w := setup(t)
		a2 := inc("a", 2, "b1")
		looked := ResourceHistory{ID: "web", Operations: []HistoryEntry{{ID: "web_last_0", Operation: "monitor", CallID: 1, RC: 7}}}
		w.ok(change(a2, NodeJoining), Command{Report: &Report{Incarnation: a2, History: []ResourceHistory{looked}, LastCall: 1}}, change(a2, NodeOnline))
		w.want("holders", w.holders("web"), "")
	})
	t.Run("watchdog time", func(t *testing.T) {
		w := newWorld(t, "a", "b", "c")
		a2 := inc("a", 2, "b1")
		w.ok(Command{Node: &NodeChange{Incarnation: a2, State: NodeJoining, WatchdogTimeout: time.Second, Lease: time.Second}})
		w.ok(Command{Report: &Report{Incarnation: a2}}, change(a2, NodeOnline), grant("web", "Started", a2))
		w.rejected("cannot become fenced", change(a2, NodeFenced))
		w.ok(change(a2, NodeLost), change(a2, NodeFenced))
		w.want("holders", w.holders("web"), "")
	})
}

func TestLeaving(t *testing.T) {
	w := newWorld(t, "a", "b")
	b := inc("b", 1, "b1")
	w.ok(grant("web", "Started", b), result(b, 1, "web", "start", 0), change(b, NodeLeaving))
	w.rejected("still holds", change(b, NodeOffline))
	w.ok(result(b, 2, "web", "stop", 0), Command{Release: &Release{IDs: []uint64{1}}}, change(b, NodeOffline))
	w.rejected("cannot become online", change(b, NodeOnline))
	w.ok(change(b, NodeJoining))
	w.rejected("joining (reported false): it cannot become leaving", change(b, NodeLeaving))
	w.ok(Command{Report: &Report{Incarnation: b}}, change(b, NodeLeaving), change(b, NodeOffline))
	w.ok(Command{Remove: &Remove{Node: "b", RaftID: 2}})
	w.rejected("has left the cluster", Command{Admit: &Admit{Member: Member{Name: "b", RaftID: 2}}})
}

func TestAdmit(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.rejected("needs a join token", Command{Admit: &Admit{Member: Member{Name: "c", RaftID: 9}}})
	w.rejected("unknown, used or too old", Command{Admit: &Admit{Member: Member{Name: "c", RaftID: 9}, TokenHash: "b"}})
	w.rejected("is in use", Command{Admit: &Admit{Member: Member{Name: "b", RaftID: 1}}})
	w.rejected("is a member and online", Command{Admit: &Admit{Member: Member{Name: "b", RaftID: 9}}})
	w.ok(change(inc("b", 1, "b1"), NodeLost), Command{Admit: &Admit{Member: Member{Name: "b", RaftID: 9}}})
	w.state("b", NodeLost) // a new Raft identity confirms nothing
	w.rejected("has left", Command{Admit: &Admit{Member: Member{Name: "b", RaftID: 2}}})
	w.ok(Command{Voters: &Voters{IDs: []uint64{1}}})
	if w.s.Member("b").Voter || !w.s.Member("a").Voter {
		t.Fatal("voters are not those that were set")
	}
}

func TestReportPassesGrantsOn(t *testing.T) {
	w := newWorld(t, "a", "b")
	a2 := inc("a", 2, "b1")
	w.ok(grant("web", "Started", inc("a", 1, "b1")), grant("uni:0", "Started", inc("a", 1, "b1")), grant("uni:1", "Started", inc("b", 1, "b1")))
	w.ok(change(a2, NodeJoining), Command{Report: &Report{Incarnation: a2, Running: []Running{
		{Instance: "web", Role: "Started"}, {Instance: "extra", Role: "Promoted", InFlight: "promote"}, {Instance: "uni:1", Role: "Started"},
	}}})
	w.want("web", w.holders("web"), "a.2 Started")
	w.want("uni:0", w.holders("uni:0"), "")
	w.want("uni:1", w.holders("uni:1"), "b.1 Started")
	w.want("extra", w.holders("extra"), "a.2 Promoted")
	last := w.s.Events[len(w.s.Events)-1]
	if last.Kind != "alarm" || !strings.Contains(last.Text, "uni:1 is active on a") {
		t.Fatalf("a double owner must raise an alarm, got %+v", last)
	}
}

func TestHistory(t *testing.T) {
	w := newWorld(t, "a")
	a := inc("a", 1, "b1")
	w.ok(result(a, 1, "web", "monitor", 7), result(a, 2, "web", "start", 0))
	recurring := result(a, 3, "web", "monitor", 0)
	recurring.History.Entry.IntervalMS = 10000
	w.ok(recurring)
	w.rejected("recorded already", result(a, 3, "web", "stop", 0))
	failing := result(a, 4, "web", "monitor", 1)
	failing.History.Entry.IntervalMS = 10000
	failing.History.FailCount = true
	w.ok(failing)
	var ids []string
	for _, e := range w.s.Member("a").HistoryOf("web").Operations {
		ids = append(ids, fmt.Sprintf("%s=%d", e.ID, e.CallID))
	}
	w.want("entries", strings.Join(ids, " "), "web_last_0=2 web_monitor_10000=3 web_last_failure_0=4")
	w.want("fail count", w.s.Member("a").Attribute("fail-count-web#monitor_10000"), "1")
	if w.s.Member("a").Attribute("last-failure-web#monitor_10000") == "" {
		t.Fatal("no time of the last failure")
	}
	if !w.s.Member("a").MayRun("web") {
		t.Fatal("a failed monitor does not mean stopped")
	}
	fatal := result(a, 5, "web", "start", 1)
	fatal.History.FailCount, fatal.History.Fatal = true, true
	w.ok(fatal)
	w.want("fatal", w.s.Member("a").Attribute("fail-count-web#start_0"), Infinity)
	w.ok(result(a, 6, "web", "stop", 0))
	if w.s.Member("a").MayRun("web") {
		t.Fatal("stopped means stopped")
	}
	w.ok(Command{Forget: &HistoryForget{Node: "a", Resource: "web", Failcount: true}})
	w.want("attributes", encode(t, w.s.Member("a").Attributes), "[]")
	if w.s.Member("a").HistoryOf("web") == nil {
		t.Fatal("forgetting failures must keep the rest")
	}
	w.ok(Command{Forget: &HistoryForget{}})
	if w.s.Member("a").HistoryOf("web") != nil {
		t.Fatal("history is still there")
	}
	// What ran before its history was erased may still run.
	w.ok(grant("web", "Started", a), result(a, 7, "web", "start", 0), Command{Forget: &HistoryForget{Resource: "web"}})
	w.rejected("unsafe: release of web", Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}, Holder: a}})
	// Nor does a report that knows of it, but has no history either, release it.
	report := Command{Report: &Report{Incarnation: a, LastCall: 7, Running: []Running{{Instance: "web", Resource: "web", Role: "Started"}, {Instance: "dlm:1", Resource: "dlm", Role: "Stopped", InFlight: "start"}}}}
	w.ok(change(a, NodeLost), change(a, NodeJoining), report, change(a, NodeOnline))
	w.rejected("unsafe: release of web", Command{Release: &Release{IDs: []uint64{w.s.GrantFor("web", "a").ID}, Holder: a}})
	w.rejected("unsafe: release of dlm", Command{Release: &Release{IDs: []uint64{w.s.GrantFor("dlm:0", "a").ID}, Holder: a}})
	w.ok(result(a, 8, "web", "notify", 0)) // says nothing of whether it runs
	w.rejected("unsafe: release of web", Command{Release: &Release{IDs: []uint64{w.s.GrantFor("web", "a").ID}, Holder: a}})
	w.ok(result(a, 9, "web", "monitor", 7), Command{Release: &Release{IDs: []uint64{w.s.GrantFor("web", "a").ID}, Holder: a}})
}

// A daemon that starts again knows nothing of what a probe of its predecessor had
// found: its grant stays until it has looked.
func TestWhatAProbeFoundOutlivesTheDaemon(t *testing.T) {
	w := newWorld(t, "a")
	a2 := inc("a", 2, "b1")
	w.ok(result(inc("a", 1, "b1"), 1, "web", "monitor", 0))
	w.want("web", w.holders("web"), "a.1 Started")
	w.ok(change(a2, NodeJoining), Command{Report: &Report{Incarnation: a2}}, change(a2, NodeOnline))
	w.want("web", w.holders("web"), "a.2 Started")
	release := Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}}}
	w.rejected("has not reported it stopped", release)
	w.ok(result(a2, 1, "web", "monitor", 7), release)
}

// A cleanup erases failures, not the doubt that they leave.
func TestCleanupAfterAFailedStop(t *testing.T) {
	w := newWorld(t, "a")
	a := inc("a", 1, "b1")
	w.ok(grant("web", "Started", a), result(a, 1, "web", "start", 0), result(a, 2, "web", "stop", 1), Command{Forget: &HistoryForget{Failcount: true}})
	w.rejected("unsafe: release of web", Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}, Holder: a}})
	w.ok(result(a, 3, "web", "stop", 0), Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}, Holder: a}})
}

// A recurring monitor that is cancelled takes its result along. If that was all that
// told of what runs (the rest was erased), it may run all the same.
func TestCancelledMonitorLeavesDoubt(t *testing.T) {
	w := newWorld(t, "a")
	a := inc("a", 1, "b1")
	monitor := result(a, 2, "web", "monitor", 0)
	monitor.History.Entry.IntervalMS = 10000
	cancelled := result(a, 3, "web", "monitor", 0)
	cancelled.History.Entry.IntervalMS, cancelled.History.Cancelled = 10000, true
	w.ok(grant("web", "Started", a), result(a, 1, "web", "start", 0), Command{Forget: &HistoryForget{}}, monitor, cancelled)
	release := Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}, Holder: a}}
	w.rejected("has not reported it stopped", release)
	w.ok(result(a, 4, "web", "monitor", 7), release)
}

// From the grant of both ends on, the target of a migration may run it, whatever
// its own history says, until it was asked after the source was done.
func TestMigrationLeavesTheTargetInDoubt(t *testing.T) {
	a, b, a2, b2 := inc("a", 1, "b1"), inc("b", 1, "b1"), inc("a", 2, "b2"), inc("b", 2, "b1")
	asked := func(c Command, transition uint64) Command {
		c.History.Entry.TransitionKey = TransitionKey(1, transition, 0, "l1")
		return c
	}
	begun := func(n uint64) Command { return Command{Transition: &TransitionChange{Number: n}} }
	migrating := func() (*world, Command) {
		w := newWorld(t, "a", "b")
		w.ok(begun(5), grant("web", "Started", a), result(a, 1, "web", "start", 0), asked(result(b, 1, "web", "monitor", 7), 5), grant("web", "Started", a, b))
		release := Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}, Holder: b}}
		w.rejected("has not reported it stopped", release)
		return w, release
	}
	doubt := "has not reported it stopped"

	w, release := migrating() // it leaves, and arrives
	w.ok(asked(result(b, 2, "web", "monitor", 7), 6))
	w.rejected(doubt, release)
	w.ok(result(a, 2, "web", "migrate_to", 0), asked(result(b, 3, "web", "monitor", 7), 5))
	w.rejected(doubt, release)
	w.ok(asked(result(b, 4, "web", "migrate_from", 0), 5), result(a, 3, "web", "stop", 0), Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}, Holder: a}})
	w.want("web", w.holders("web"), "b.1 Started")

	w, release = migrating() // it leaves, and is looked for
	w.ok(result(a, 2, "web", "migrate_to", 1), asked(result(b, 3, "web", "stop", 0), 6), release)
	w.want("web", w.holders("web"), "a.1 Started")

	w, _ = migrating() // the target's daemon is started again: it was never told of it
	w.ok(change(b2, NodeJoining), Command{Report: &Report{Incarnation: b2}}, change(b2, NodeOnline))
	w.want("web", w.holders("web"), "a.1 Started, b.2 Started")
	w.ok(asked(result(b2, 1, "web", "monitor", 7), 7)) // ... and looks: the source may only be about to begin
	w.rejected(doubt, Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}, Holder: b2}})

	w, release = migrating() // the source is gone
	w.ok(change(a2, NodeJoining))
	w.want("web", w.holders("web"), "b.1 Started")
	w.ok(asked(result(b, 2, "web", "monitor", 7), 6)) // it may have been asked before
	w.rejected(doubt, release)
	if h := w.s.Status(start).Nodes[1].History; len(h) != 0 {
		t.Fatalf("the scheduler is told that web is not on b: %+v", h)
	}
	w.ok(asked(result(b, 3, "web", "monitor", 7), 7), release)
	w.want("web", w.holders("web"), "")
}

// What runs unpromoted can give the promoted role back, and only then.
func TestPromotedRoleIsGivenBack(t *testing.T) {
	w := newWorld(t, "a", "b")
	a, b := inc("a", 1, "b1"), inc("b", 1, "b1")
	w.ok(grant("db:0", "Promoted", a), result(a, 1, "db", "start", 0), result(a, 2, "db", "promote", 0))
	w.rejected("promoted already", grant("db:1", "Promoted", b))
	lower := Command{Release: &Release{IDs: []uint64{w.s.Grants[0].ID}, Promoted: true}}
	w.rejected("has not reported it demoted", lower)
	w.ok(Command{Forget: &HistoryForget{}})
	w.rejected("has not reported it demoted", lower)
	w.ok(result(a, 3, "db", "stop", 1)) // ... and of which nothing is known but that it did not stop
	w.rejected("has not reported it demoted", lower)
	w.ok(result(a, 4, "db", "monitor", 0), lower, grant("db:1", "Promoted", b))
	w.want("db:0", w.holders("db:0"), "a.1 Started")
}

func TestProbeThatFindsSomethingAdoptsIt(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.ok(result(inc("a", 1, "b1"), 1, "web", "monitor", 0))
	w.want("holders", w.holders("web"), "a.1 Started")
	w.ok(result(inc("b", 1, "b1"), 1, "web", "monitor", 0))
	w.want("holders", w.holders("web"), "a.1 Started")
	if last := w.s.Events[len(w.s.Events)-1]; last.Kind != "alarm" {
		t.Fatalf("want an alarm, got %+v", last)
	}
}

func TestAtomicEntries(t *testing.T) {
	w := newWorld(t, "a")
	e := Entry{Atomic: true, Commands: []Command{{Ticket: &Ticket{ID: "t"}}, {Config: &ConfigChange{Base: 99}}}}
	next, rejections := w.s.Apply(50, &e)
	if next.Index != 50 || len(next.Tickets) != 0 || rejections[0] == nil || rejections[1] == nil {
		t.Fatalf("an atomic entry must have no effect: %+v %v", next.Tickets, rejections)
	}
	e.Atomic = false
	next, rejections = w.s.Apply(50, &e)
	if len(next.Tickets) != 1 || rejections[0] != nil || rejections[1] == nil {
		t.Fatalf("commands must stand for themselves: %+v %v", next.Tickets, rejections)
	}
	if _, r := w.s.Apply(51, &Entry{Commands: []Command{{}}}); r[0] == nil {
		t.Fatal("an empty command must be rejected")
	}
}

func TestMovesAreNeverStored(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.rejected("no resource", Command{Move: &Move{Resource: "nothing", Node: "b"}})
	w.ok(Command{Move: &Move{Resource: "web", Node: "b"}}, Command{Move: &Move{Resource: "web", Away: "a"}})
	c := w.s.SchedulerConfig()
	if len(c.Locations) != 1 || c.Locations[0].Node != "b" || c.Locations[0].Score != "500000" || len(w.s.Config.Locations) != 0 {
		t.Fatalf("got %+v, stored %+v", c.Locations, w.s.Config.Locations)
	}
	if len(c.Nodes) != 2 || len(w.s.Config.Nodes) != 0 {
		t.Fatalf("nodes: %+v", c.Nodes)
	}
	w.ok(Command{MoveDone: &Move{Resource: "web", Away: "a"}})
	if len(w.s.SchedulerConfig().Locations) != 0 {
		t.Fatal("a move left something behind")
	}
	w.ok(Command{Move: &Move{Resource: "web", Node: "b"}}, change(inc("b", 1, "b1"), NodeLost))
	if len(w.s.Moves) != 0 {
		t.Fatal("a move must end when its target is lost")
	}
}

func TestEventsAreBoundedAndOldStatesKeepTheirs(t *testing.T) {
	w := newWorld(t, "a")
	old := w.s
	first := encode(t, old.Events)
	for i := range EventLimit + 100 {
		w.s, _ = w.s.Apply(w.s.Index+1, &Entry{Commands: []Command{{Event: &Event{Text: fmt.Sprint(i)}}}})
	}
	branch, _ := old.Apply(old.Index+1, &Entry{Commands: []Command{{Event: &Event{Text: "branch"}}}})
	if len(w.s.Events) != EventLimit || w.s.Events[EventLimit-1].Text != fmt.Sprint(EventLimit+99) {
		t.Fatalf("%d events, last %q", len(w.s.Events), w.s.Events[len(w.s.Events)-1].Text)
	}
	if encode(t, old.Events) != first || branch.Events[len(branch.Events)-1].Text != "branch" {
		t.Fatal("states share events that they should not")
	}
	for i := 1; i < EventLimit; i++ {
		if w.s.Events[i].Number != w.s.Events[i-1].Number+1 {
			t.Fatalf("numbers %d, %d", w.s.Events[i-1].Number, w.s.Events[i].Number)
		}
	}
}

func TestStatus(t *testing.T) {
	w := newWorld(t, "a", "b", "c", "d", "e")
	w.ok(change(inc("b", 1, "b1"), NodeLost), change(inc("c", 1, "b1"), NodeLeaving), change(inc("d", 2, "b2"), NodeJoining))
	w.ok(fence(inc("e", 1, "b1")), fenced(1, inc("e", 1, "b1"), "confirmed"))
	got := map[string]string{}
	for _, n := range w.s.Status(start).Nodes {
		text := strings.Join([]string{n.InCCM, n.Crmd, n.Join, n.Expected}, " ")
		if len(n.Attributes) > 0 {
			text += " " + n.Attributes[0].Pairs[0].Name
		}
		got[n.Name] = text
	}
	want := map[string]string{
		"a": "true online member member",
		"b": "false offline down member",
		"c": "true online member member shutdown",
		"d": "true online pending member",
		"e": "false offline down down",
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// TestApplyIsTotal feeds commands that make no sense: none may panic, and a
// snapshot taken at any point must go on like the original.
func TestApplyIsTotal(t *testing.T) {
	w := newWorld(t, "a", "b")
	odd := []Command{
		{Init: &Init{}}, {Fork: &Lineage{}}, {Admit: &Admit{}}, {Remove: &Remove{}}, {Node: &NodeChange{}}, {Report: &Report{}},
		{Voters: &Voters{}}, {Grant: &GrantChange{Grants: []Grant{{}}}}, {Grant: &GrantChange{Grants: []Grant{{Instance: "x", Role: "Started", Holders: make([]Incarnation, 2)}}}},
		{Release: &Release{IDs: []uint64{77}}}, {History: &HistoryChange{}}, {Forget: &HistoryForget{Node: "?"}}, {Attribute: &AttributeChange{}},
		{Fence: &FenceBegin{}}, {FenceDone: &FenceEnd{}}, {Ticket: &Ticket{}}, {Token: &Token{}}, {Move: &Move{}}, {MoveDone: &Move{}}, {},
		{Transition: &TransitionChange{}}, {Event: &Event{}}, {Config: &ConfigChange{Base: 1 << 60}},
	}
	for _, from := range []*State{{}, w.s} {
		for _, c := range odd {
			_, r := from.Apply(1000, &Entry{Commands: []Command{c}})
			if c.Event == nil && r[0] == nil {
				t.Errorf("took effect: %s", encode(t, c))
			}
		}
	}
	var snapshot State
	if err := json.Unmarshal([]byte(encode(t, w.s)), &snapshot); err != nil {
		t.Fatal(err)
	}
	e := Entry{Commands: []Command{grant("web", "Started", inc("a", 1, "b1")), {Event: &Event{Text: "x"}}}}
	x, _ := w.s.Apply(500, &e)
	y, _ := snapshot.Apply(500, &e)
	if encode(t, x) != encode(t, y) {
		t.Fatal("a restored snapshot goes on differently")
	}
	if !slices.IsSortedFunc(x.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) }) {
		t.Fatal("members are not sorted")
	}
}
