// Package transition walks a plan on the leader: it gets grants committed, sends
// orders when what they wait for is done, turns results into commands, and stops
// walking when the world is no longer what the plan was made for.
package transition

import (
	"fmt"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Engine is the leader's transition engine. One that does not lead is never asked.
type Engine struct {
	knows    func(cluster.Incarnation) uint64 // up to where this very life shows that it has what is committed
	term     uint64
	next     uint64            // number of the next order
	orders   map[uint64]*order // sent, not answered
	busy     map[place]string  // operations in flight that an earlier leader ordered
	proposed map[cluster.Incarnation]proposal
	state    *cluster.State
	walk     *walk
	giving   map[part]time.Duration      // parts of grants whose release was proposed, and when
	lowering map[uint64]time.Duration    // grants whose promoted role is being given back, and since when
	settling map[uint64]time.Duration    // two-sided grants whose source was proposed to be done, and when
	told     map[cluster.Incarnation]int // newest result of whom has reported to this leader, as of then
	asking   map[place]time.Duration     // grants that were proposed, and when
	arriving map[uint64]uint64           // two-sided grants, and an index by which the State had them
	now      event.Time
	failures int // transitions in a row that failed
	alarmed  map[string]bool

	out Output
}

// Output is what an Engine wants done.
type Output struct {
	Commands []cluster.Command // to be proposed as one entry, in this order
	Dispatch []Dispatch
	Fence    []Fence
	Shutdown []string // nodes that may go: everything on them is stopped
	Done     *Outcome // the transition ended
	Trace    []string
}

// Dispatch is orders for one incarnation.
type Dispatch struct {
	To       cluster.Incarnation
	Dispatch event.Dispatch
}

// Fence is a wish for a fencing. It is done when the State shows it.
type Fence struct {
	Node   string
	Action string // off, reboot, on
	Reason string
}

// Outcome is how a transition ended.
type Outcome struct {
	Number uint64
	// Result is complete, blocked (all is done that can be done before something
	// changes), aborted (the world changed) or failed (an action did).
	Result string
	Reason string
	// Backoff is how long to wait before scheduling anew, if nothing changes: it
	// grows while transitions fail one after the other.
	Backoff time.Duration
	// Refused: a node did not obey, having lost contact; it soon has it again, or is lost.
	Refused bool
}

// place is one resource instance on one node.
type place struct{ node, instance string }

// part is one holder's part in a grant.
type part struct {
	grant  uint64
	holder cluster.Incarnation
}

// proposal is the newest result of an incarnation that was proposed.
type proposal struct {
	call int
	at   time.Duration
}

// order is an operation that was sent to a node.
type order struct {
	number uint64
	to     cluster.Incarnation
	sent   event.Order
	action int // of the walk, 0: its walk is gone
	again  time.Duration
	wait   time.Duration
	limit  time.Duration // by then the node should have answered
}

const (
	resendFirst = 500 * time.Millisecond // for an answer, before an order is sent again
	resendLimit = 5 * time.Second
	abortWait   = 500 * time.Millisecond // for what is under way, before the next plan
	proposeWait = time.Second            // for a commit, before a command is proposed again
	// answerSlack is what an answer may take beyond the operation's own time-out,
	// and what may wait before it on the node.
	answerSlack = time.Minute
)

// New returns the engine of a node that does not lead. knows tells up to which index a
// node, in this very life, shows that it has on its disk what is committed.
func New(knows func(cluster.Incarnation) uint64) *Engine {
	e := &Engine{knows: knows}
	e.Lead(0)
	return e
}

// Lead begins a term as leader: nothing is known of what nodes do before they
// have reported.
func (e *Engine) Lead(term uint64) {
	*e = Engine{
		knows: e.knows, term: term, next: term<<28 + 1, state: &cluster.State{}, orders: map[uint64]*order{}, busy: map[place]string{},
		proposed: map[cluster.Incarnation]proposal{}, giving: map[part]time.Duration{}, lowering: map[uint64]time.Duration{},
		settling: map[uint64]time.Duration{}, told: map[cluster.Incarnation]int{}, asking: map[place]time.Duration{}, arriving: map[uint64]uint64{}, alarmed: map[string]bool{},
	}
}

// LastOrder is the highest number given to an order in this term so far, for
// event.Ask.Before.
func (e *Engine) LastOrder() uint64 { return e.next - 1 }

// Active tells whether a transition is under way.
func (e *Engine) Active() bool { return e.walk != nil }

// Take returns what is to be done, once.
func (e *Engine) Take() Output {
	out := e.out
	e.out = Output{}
	return out
}

func (e *Engine) trace(format string, args ...any) {
	e.out.Trace = append(e.out.Trace, fmt.Sprintf("transition: "+format, args...))
}

func (e *Engine) propose(c cluster.Command) { e.out.Commands = append(e.out.Commands, c) }

// Reported takes what a node says that it has in flight. Orders that it never
// began, numbered up to before, are gone for good.
func (e *Engine) Reported(now event.Time, from cluster.Incarnation, report *cluster.Report, before uint64) {
	e.now = now
	e.told[from] = report.LastCall
	inflight := map[string]string{}
	for _, r := range report.Running {
		if r.InFlight != "" {
			inflight[e.at(from.Node, r.Instance).instance] = r.InFlight
		}
	}
	for p := range e.busy {
		if p.node == from.Node {
			delete(e.busy, p)
		}
	}
	for _, o := range e.sorted() {
		op := &o.sent.Operation
		if o.to.Node != from.Node {
			continue
		}
		if o.to != from || o.number <= before && inflight[e.at(from.Node, op.Instance).instance] != op.Action {
			e.drop(o, from.Node+" reported without it")
		}
	}
	for instance, action := range inflight {
		if !e.outstanding(from.Node, instance) {
			e.busy[e.at(from.Node, instance)] = action
		}
	}
	e.advance(now)
}

// sorted returns the outstanding orders by number.
func (e *Engine) sorted() []*order {
	orders := make([]*order, 0, len(e.orders))
	for _, o := range e.orders {
		orders = append(orders, o)
	}
	slices.SortFunc(orders, func(a, b *order) int { return int(int64(a.number) - int64(b.number)) })
	return orders
}

// outstanding tells whether an operation of instance may be under way on node.
func (e *Engine) outstanding(node, instance string) bool {
	at := e.at(node, instance)
	if e.busy[at] != "" {
		return true
	}
	for _, o := range e.orders {
		if e.at(o.to.Node, o.sent.Operation.Instance) == at {
			return true
		}
	}
	return false
}

// at returns where operations of instance are under way on node: those of the
// instances of an anonymous clone stand for each other, as its grants do.
func (e *Engine) at(node, instance string) place {
	if !e.state.Config.Exclusive(instance) {
		instance = cluster.ConfiguredID(instance)
	}
	return place{node, instance}
}

// drop gives up an order that will never be answered.
func (e *Engine) drop(o *order, why string) {
	delete(e.orders, o.number)
	op := &o.sent.Operation
	e.trace("gives up %s of %s on %s: %s", op.Action, op.Name, o.to.Node, why)
	if e.walk != nil && o.action > 0 {
		e.walk.steps[o.action-1].state = failed
		e.abort("an order was lost: " + why)
	}
}

// Applied takes every newly applied State.
func (e *Engine) Applied(now event.Time, s *cluster.State) {
	granted := len(s.Grants) > 0 && (len(e.state.Grants) == 0 || &s.Grants[0] != &e.state.Grants[0])
	e.now, e.state = now, s
	e.forgetGiven()
	e.forgetAsked()
	for _, o := range e.sorted() {
		if m := s.Member(o.to.Node); m == nil || m.Incarnation != o.to || m.State == cluster.NodeLost || m.Off() {
			e.drop(o, o.to.Node+" is gone")
		}
	}
	for p := range e.busy {
		if m := s.Member(p.node); m == nil || m.State == cluster.NodeLost || m.Off() {
			delete(e.busy, p)
		}
	}
	if granted && e.walk != nil {
		e.releaseUnused() // what an aborted transition had asked for may come only now
	}
	e.advance(now)
}

// Tick sends again what was not answered.
func (e *Engine) Tick(now event.Time) {
	e.now = now
	for _, o := range e.sorted() {
		switch {
		case now.Mono >= o.limit:
			if op := &o.sent.Operation; op.Action == "migrate_to" {
				e.busy[e.at(o.to.Node, op.Instance)] = op.Action // it may still end
			}
			e.drop(o, "no answer in time")
		case now.Mono >= o.again:
			o.wait = min(2*o.wait, resendLimit)
			o.again = now.Mono + o.wait
			e.send(o)
		}
	}
	e.advance(now)
}

// Deadline is when, on the monotonic clock, Tick has something to do; 0: never.
func (e *Engine) Deadline() time.Duration {
	var next time.Duration
	earlier := func(d time.Duration) {
		if next == 0 || d < next {
			next = max(d, 1)
		}
	}
	for _, o := range e.orders {
		earlier(min(o.again, o.limit))
	}
	if e.walk != nil {
		if d := e.walk.retry; d > 0 {
			earlier(d)
		}
	}
	return next
}

// Abort stops walking: the world is not what the plan was made for. Orders under
// way go on, and their results are taken.
func (e *Engine) Abort(now event.Time, reason string) {
	e.now = now
	if e.walk != nil {
		e.abort(reason)
		e.advance(now)
	}
}

func (e *Engine) abort(reason string) {
	if e.walk.aborted == "" {
		e.walk.aborted, e.walk.abortedAt = reason, e.now.Mono
		e.trace("%d aborted: %s", e.walk.number, reason)
	}
}

// send puts an order among those to be dispatched.
func (e *Engine) send(o *order) {
	number := uint64(0)
	if e.walk != nil {
		number = e.walk.number
	}
	i := slices.IndexFunc(e.out.Dispatch, func(d Dispatch) bool { return d.To == o.to })
	if i < 0 {
		i = len(e.out.Dispatch)
		e.out.Dispatch = append(e.out.Dispatch, Dispatch{To: o.to, Dispatch: event.Dispatch{Transition: number}})
	}
	d := &e.out.Dispatch[i].Dispatch
	d.Orders = append(d.Orders, o.sent)
}

// Decorate adds what is in flight to the status that is scheduled from: what has
// begun is to be awaited, not repeated elsewhere.
func (e *Engine) Decorate(st *cluster.Status) {
	for _, o := range e.sorted() {
		op := &o.sent.Operation
		pend(st, o.to.Node, op)
	}
}

// pend adds a pending operation to one node's history.
func pend(st *cluster.Status, node string, op *event.Operation) {
	switch op.Action {
	case "start", "promote", "migrate_to", "migrate_from":
	default:
		return
	}
	n := slices.IndexFunc(st.Nodes, func(n cluster.NodeStatus) bool { return n.Name == node })
	if n < 0 {
		return
	}
	entry := cluster.HistoryEntry{
		ID: op.Name + "_pending_0", Key: op.Name + "_" + op.Action + "_0", Operation: op.Action, CallID: -1, RC: 193, Status: -1,
		TransitionKey: op.TransitionKey, OnNode: node, OpDigest: op.OpDigest, RestartDigest: op.RestartDigest, ForceRestart: op.ForceRestart,
	}
	history := slices.Clone(st.Nodes[n].History)
	i := slices.IndexFunc(history, func(h cluster.ResourceHistory) bool { return h.ID == op.Name })
	if i < 0 {
		i = len(history)
		history = append(history, cluster.ResourceHistory{ID: op.Name, Agent: op.Agent})
	}
	history[i].Operations = append(slices.Clone(history[i].Operations), entry)
	st.Nodes[n].History = history
}
