package transition

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
)

// stepState is how far an action of the plan has come.
type stepState int

const (
	waiting  stepState = iota // for other actions, for its grant, or for its turn
	ordered                   // sent, or wished for
	finished                  //
	failed                    // will never finish
)

// step is an action of the plan on its way.
type step struct {
	*cluster.Action
	state  stepState
	before int   // actions it waits for that have not finished
	then   []int // indices of the actions that wait for it
}

// walk is one plan under way.
type walk struct {
	number  uint64
	steps   []step
	ready   []int // indices of the steps that wait for nothing but a grant or their turn, ascending
	moves   []cluster.Move
	aborted string
	failure bool
	refused bool // a node obeys no orders just now
	begun   bool // the begin of the transition was proposed

	abortedAt time.Duration
	keys      map[string]bool // transition keys of the orders that it sent: numbers may repeat under another leader
	// granting holds, by action id, when a grant was last proposed, and how often.
	granting map[int]proposal
	// wished holds, by action id, when a fencing or forgetting was last asked for.
	wished    map[int]time.Duration
	nextFence uint64            // a fencing from this one on was begun after the plan
	unfencing map[string]uint64 // by node: the unfencing that was open then
	retry     time.Duration     // when to propose or wish again
	unsure    bool              // something may still come: a grant that was proposed earlier, what a node has to show
	limits    limits
}

// limits are how much may be under way at once; 0: no limit.
type limits struct{ batch, node, migrations int }

// nodeActions is how many operations a node works on at once, unless the
// configuration says otherwise.
const nodeActions = 20

// Begin starts to walk a plan that was made for the state s.
func (e *Engine) Begin(now event.Time, number uint64, plan *cluster.Plan, s *cluster.State) {
	e.now, e.state = now, s
	if e.walk != nil {
		e.end("aborted", "replaced by the next plan")
	}
	w := &walk{
		number: number, steps: make([]step, len(plan.Actions)), moves: slices.Clone(s.Moves), nextFence: max(s.NextFence, 1),
		unfencing: map[string]uint64{}, keys: map[string]bool{}, granting: map[int]proposal{}, wished: map[int]time.Duration{},
		limits: limits{batch: option(s, "batch-limit", 0), node: option(s, "node-action-limit", nodeActions), migrations: option(s, "migration-limit", 0)},
	}
	for i := range s.Fencings {
		f := &s.Fencings[i]
		if m := s.Member(f.Target.Node); f.Open() && f.Action == "on" && f.Device == "" && m != nil && m.Incarnation.Same(f.Target) {
			w.unfencing[m.Name] = f.ID
		}
	}
	for i := range plan.Actions {
		w.steps[i].Action = &plan.Actions[i]
		w.steps[i].before = len(plan.Actions[i].After)
		for _, id := range plan.Actions[i].After {
			w.steps[id-1].then = append(w.steps[id-1].then, i)
		}
	}
	for i := range w.steps {
		if w.steps[i].before == 0 {
			w.ready = append(w.ready, i)
		}
	}
	e.walk = w
	if len(plan.Actions) > 0 {
		e.trace("%d begins: %d actions", number, len(plan.Actions))
	}
	for _, o := range e.orders {
		o.action = 0
	}
	e.releaseUnused()
	e.advance(now)
}

func option(s *cluster.State, name string, otherwise int) int {
	n, err := strconv.Atoi(s.Config.Option(name))
	if err != nil || n <= 0 {
		return otherwise
	}
	return n
}

// advance does all that can be done now, and ends the walk when nothing more can.
func (e *Engine) advance(now event.Time) {
	w := e.walk
	if w == nil {
		return
	}
	w.retry, w.unsure = 0, false
	for i := range w.steps {
		if w.steps[i].state == ordered {
			e.look(now, &w.steps[i])
		}
	}
	if w.aborted == "" {
		for progress := true; progress && w.aborted == ""; {
			progress = false
			for _, i := range slices.Clone(w.ready) {
				if w.aborted == "" && w.steps[i].state == waiting && e.step(now, &w.steps[i]) {
					progress = true
				}
			}
		}
		e.grant(now)
	}
	e.finish(now)
}

// complete marks a step as done and readies what waited for it.
func (w *walk) complete(s *step) {
	s.state = finished
	i := s.ID - 1
	w.ready = slices.DeleteFunc(w.ready, func(r int) bool { return r == i })
	for _, t := range s.then {
		if w.steps[t].before--; w.steps[t].before == 0 && w.steps[t].state == waiting {
			at, _ := slices.BinarySearch(w.ready, t)
			w.ready = slices.Insert(w.ready, at, t)
		}
	}
}

// sent marks a step as under way.
func (w *walk) sent(s *step) {
	s.state = ordered
	w.ready = slices.DeleteFunc(w.ready, func(r int) bool { return r == s.ID-1 })
}

// step begins a ready step, if it may begin. It tells whether something changed.
func (e *Engine) step(now event.Time, s *step) bool {
	w := e.walk
	if s.Implied || s.Internal || s.Kind == cluster.ActionPoint {
		w.complete(s)
		return true
	}
	switch s.Kind {
	case cluster.ActionFence, cluster.ActionCleanup, cluster.ActionClearFailcount, cluster.ActionForget:
		w.sent(s)
		e.look(now, s)
		return true
	case cluster.ActionShutdown:
		e.out.Shutdown = append(e.out.Shutdown, s.Node)
		w.complete(s)
		return true
	}
	m := e.state.Member(s.Node)
	if m == nil { // what does not wait for it goes on
		s.state = failed
		e.trace("%d: %s of %s: there is no node %s", w.number, s.Kind, s.Instance, s.Node)
		return true
	}
	if o := e.sameOrder(m, s); o != nil {
		o.action = s.ID
		w.keys[o.sent.Operation.TransitionKey] = true
		w.sent(s)
		return true
	}
	if m.State != cluster.NodeOnline && m.State != cluster.NodeLeaving || !m.Reported {
		e.abort(fmt.Sprintf("%s is %s", m.Name, m.State))
		return true
	}
	if _, told := e.told[m.Incarnation]; !told {
		w.unsure = true // it was not heard when the plan was made: its report comes first (rule 4)
		return false
	}
	var grant uint64
	if s.needsGrant() {
		g := e.usable(s, m)
		if g == nil {
			return false
		}
		if s.Kind == cluster.ActionMigrateTo && !e.targetKnows(g) {
			w.unsure = true
			w.again(now.Mono + arrivalLook)
			return false
		}
		grant = g.ID
	}
	if e.full(s) {
		return false
	}
	e.order(now, s, m, grant)
	return true
}

// sameOrder finds an order that is under way already and does what s asks for.
func (e *Engine) sameOrder(m *cluster.Member, s *step) *order {
	for _, o := range e.sorted() {
		op := &o.sent.Operation
		if o.action == 0 && o.to == m.Incarnation && op.Name == s.Name && op.Instance == s.Instance && op.Action == operation(s.Action) &&
			op.Interval == s.Interval && op.OpDigest == s.OpDigest && s.Kind != cluster.ActionNotify {
			return o
		}
	}
	return nil
}

// full tells whether the limits leave no room for s.
func (e *Engine) full(s *step) bool {
	l := e.walk.limits
	onNode, migrations := 0, 0
	for _, o := range e.orders {
		if o.to.Node == s.Node {
			onNode++
			if strings.HasPrefix(o.sent.Operation.Action, "migrate") {
				migrations++
			}
		}
	}
	migrating := s.Kind == cluster.ActionMigrateTo || s.Kind == cluster.ActionMigrateFrom
	return l.batch > 0 && len(e.orders) >= l.batch || l.node > 0 && onNode >= l.node || migrating && l.migrations > 0 && migrations >= l.migrations
}

// operation is what the agent is called with.
func operation(a *cluster.Action) string {
	switch a.Kind {
	case cluster.ActionProbe:
		return "monitor"
	default:
		return string(a.Kind)
	}
}

// order sends a step's operation to its node.
func (e *Engine) order(now event.Time, s *step, m *cluster.Member, grant uint64) {
	w := e.walk
	op := event.Operation{
		Name: s.Name, Resource: s.Resource, Instance: s.Instance, Agent: s.Agent, Action: operation(s.Action), Params: s.Params, Meta: s.Meta,
		Interval: s.Interval, Timeout: s.Timeout, OpDigest: s.OpDigest, RestartDigest: s.RestartDigest, ForceRestart: s.ForceRestart,
		TransitionKey: cluster.TransitionKey(s.ID, w.number, s.ExpectRC, e.state.Lineage.ID),
	}
	if op.Timeout <= 0 {
		op.Timeout = 20 * time.Second
	}
	if s.Agent.IsFence() && (op.Action == "start" || op.Action == "monitor") { // both ask the device whether it works
		device, _ := cluster.ParseFenceDevice(s.Params) // a slip elsewhere in it is told by others
		op.Timeout = device.Timeout("monitor", op.Timeout)
	}
	if s.Kind == cluster.ActionStart {
		op.SkipDuplicateCheck = e.formerOwnerOff(s)
	}
	o := &order{
		number: e.next, to: m.Incarnation, sent: event.Order{Number: e.next, Action: s.ID, Grant: grant, Operation: op},
		action: s.ID, wait: resendFirst, again: now.Mono + resendFirst, limit: now.Mono + op.Timeout + answerSlack,
	}
	e.next++
	e.orders[o.number] = o
	w.keys[op.TransitionKey] = true
	e.send(o)
	w.sent(s)
	if g := e.state.GrantFor(s.Instance, s.Node); g != nil && s.Kind == cluster.ActionStop && mutant.Is("release when the stop is ordered") {
		e.release(g, m.Incarnation)
	}
}

// formerOwnerOff tells whether the node that had the instance before is confirmed
// off: the plan only implies its stop there.
func (e *Engine) formerOwnerOff(s *step) bool {
	for i := range e.walk.steps {
		o := &e.walk.steps[i]
		if o.Kind == cluster.ActionStop && o.Implied && o.Instance == s.Instance {
			if m := e.state.Member(o.Node); m != nil && m.State == cluster.NodeFenced {
				return true
			}
		}
	}
	return false
}

// look sees whether a fencing or forgetting has happened, and asks for it if need be.
func (e *Engine) look(now event.Time, s *step) {
	w := e.walk
	ask := func() bool {
		last, asked := w.wished[s.ID]
		if w.aborted != "" {
			return false
		}
		if !asked || now.Mono >= last+proposeWait {
			w.wished[s.ID] = now.Mono
			last = now.Mono
			asked = false
		}
		w.again(last + proposeWait)
		return !asked
	}
	switch s.Kind {
	case cluster.ActionFence:
		if e.fenced(s) {
			w.complete(s)
		} else if ask() && e.state.OpenFencing(s.Node) == nil {
			e.out.Fence = append(e.out.Fence, Fence{Node: s.Node, Action: s.Detail, Reason: s.Reason})
		}
	case cluster.ActionCleanup, cluster.ActionForget, cluster.ActionClearFailcount:
		onlyFailures := s.Kind == cluster.ActionClearFailcount
		if e.forgotten(s, onlyFailures) {
			w.complete(s)
		} else if ask() {
			e.propose(cluster.Command{Forget: &cluster.HistoryForget{Node: s.Node, Resource: s.Name, Failcount: onlyFailures}})
		}
	}
}

// again makes sure that Tick comes back at t.
func (w *walk) again(t time.Duration) {
	if w.retry == 0 || t < w.retry {
		w.retry = t
	}
}

func (e *Engine) fenced(s *step) bool {
	m := e.state.Member(s.Node)
	if s.Detail != "on" {
		return m == nil || m.Off() || m.State == cluster.NodeJoining
	}
	return slices.ContainsFunc(e.state.Fencings, func(f cluster.Fencing) bool {
		return f.Target.Node == s.Node && f.Action == "on" && (f.ID >= e.walk.nextFence || f.ID == e.walk.unfencing[s.Node]) && f.Result == "ok"
	})
}

func (e *Engine) forgotten(s *step, onlyFailures bool) bool {
	m := e.state.Member(s.Node)
	if m == nil {
		return true
	}
	for _, p := range m.Attributes {
		if rest, ok := strings.CutPrefix(p.Name, "fail-count-"); ok {
			if name, _, _ := strings.Cut(rest, "#"); name == s.Name || cluster.ConfiguredID(name) == s.Name {
				return false
			}
		}
	}
	return onlyFailures || m.HistoryOf(s.Name) == nil
}

// finish ends the walk if nothing is under way that it should wait for.
func (e *Engine) finish(now event.Time) {
	w := e.walk
	for _, p := range sortedProposals(e.proposed) {
		m := e.state.Member(p.Node)
		if m == nil || m.Incarnation != p || m.State == cluster.NodeLost || m.Off() || m.LastCall >= e.proposed[p].call {
			delete(e.proposed, p)
		}
	}
	if len(e.proposed) > 0 {
		return // the next plan must see these results
	}
	if w.aborted != "" {
		// What is under way is soon over, as a rule: a plan that knows its end is better.
		for _, o := range e.orders {
			if until := w.abortedAt + abortWait; o.action > 0 && now.Mono < until {
				w.again(until)
				return
			}
		}
		result := "aborted"
		if w.failure {
			result = "failed"
		}
		e.end(result, w.aborted)
		return
	}
	unfinished := 0
	for i := range w.steps {
		switch w.steps[i].state {
		case ordered:
			return
		case waiting, failed: // on a node that is not there
			unfinished++
		}
	}
	if len(w.granting) > 0 || w.unsure {
		return
	}
	for _, m := range w.moves {
		e.propose(cluster.Command{MoveDone: &m})
	}
	if unfinished > 0 {
		e.end("blocked", e.alarm())
		return
	}
	e.end("complete", "")
}

func sortedProposals(m map[cluster.Incarnation]proposal) []cluster.Incarnation {
	keys := make([]cluster.Incarnation, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b cluster.Incarnation) int { return strings.Compare(a.Node+a.Boot, b.Node+b.Boot) })
	return keys
}

func (e *Engine) end(result, reason string) {
	w := e.walk
	out := &Outcome{Number: w.number, Result: result, Reason: reason, Refused: w.refused}
	if result == "failed" {
		e.failures++
		out.Backoff = min(time.Duration(e.failures-1)*time.Second, 30*time.Second)
	} else if result != "aborted" {
		e.failures = 0
	}
	if len(w.steps) > 0 {
		e.trace("%d %s: %s", w.number, result, reason)
	}
	e.walk = nil
	for _, o := range e.orders {
		o.action = 0
	}
	e.releaseUnused()
	e.out.Done = out
}

// alarm tells people, once, of starts that must wait because another holds the
// resource, and returns the first.
func (e *Engine) alarm() string {
	first := ""
	for _, i := range e.walk.ready {
		s := &e.walk.steps[i]
		if !s.needsGrant() {
			continue
		}
		text := fmt.Sprintf("%s waits on %s", s.Instance, s.Node)
		if e.state.Member(s.Node) == nil {
			text = fmt.Sprintf("%s cannot start on %s: no such node takes part in the cluster", s.Instance, s.Node)
		}
		for _, h := range e.state.GrantHolders(s.Instance) {
			if m := e.state.Member(h.Node); m != nil && h.Node != s.Node {
				text = fmt.Sprintf("%s cannot start on %s: %s, which is %s, may still run it", s.Instance, s.Node, h.Node, m.State)
			}
		}
		if first == "" {
			first = text
		}
		if !e.alarmed[text] {
			e.alarmed[text] = true
			e.propose(cluster.Command{Event: &cluster.Event{Kind: "alarm", Severity: "error", Resource: s.Instance, Node: s.Node, Text: text}})
		}
	}
	return first
}
