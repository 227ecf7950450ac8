// Package executor is a node's obedience: it runs the operations that the leader
// orders, each at most once and one at a time for each resource, repeats recurring
// monitors, and keeps results until a commit shows that they were taken.
package executor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
)

// Executor is one incarnation's executor. It is driven by its methods, and what
// it wants done is fetched with Take.
type Executor struct {
	self      cluster.Incarnation
	resources []*resource         // by name
	inflight  map[string]*running // by operation id

	begun   bool
	opening int // operations to end before the first report: orphans and probes

	committed *cluster.ResourceHistory // first of the committed histories that ours were last taken from

	term   uint64          // newest seen: orders of older ones are refused
	before uint64          // orders numbered up to this are refused
	obeyed map[uint64]bool // numbers above before that were taken

	nextID   uint64
	starts   uint64 // counts starts, for the order of stopping
	lastCall int    // number of the newest result
	results  []event.OrderResult
	version  uint64
	stopping *stopping

	out Output
}

// Output is what an Executor wants done.
type Output struct {
	Operations []event.Operation
	Cancels    []string // ids of operations
	Trace      []string
}

// obeyedLimit bounds the memory of obeyed orders: the oldest half goes, and with
// it the readiness to obey anything as old.
const obeyedLimit = 1 << 14

// New returns the executor of an incarnation. It obeys nothing before Begin.
func New(self cluster.Incarnation) *Executor {
	return &Executor{self: self, inflight: map[string]*running{}, obeyed: map[uint64]bool{}}
}

// Take returns what is to be done, once.
func (x *Executor) Take() Output {
	out := x.out
	x.out = Output{}
	return out
}

func (x *Executor) trace(format string, args ...any) {
	x.out.Trace = append(x.out.Trace, fmt.Sprintf("executor: "+format, args...))
}

// Begin tells what an earlier daemon of this boot left behind: its operations in
// flight are awaited, and what it had active is probed, before the first report.
func (x *Executor) Begin(now event.Time, rec event.Recorded) {
	if x.begun {
		return
	}
	x.begun = true
	if mutant.Is("forget the records of operations") {
		return
	}
	for _, op := range rec.Active {
		r := x.resource(op.Name, true)
		r.adopt(op)
	}
	for _, op := range rec.InFlight {
		r := x.resource(op.Name, true)
		if r.role == stopped {
			r.adopt(op)
		}
		if x.inflight[op.ID] != nil {
			continue
		}
		x.trace("awaits %s of %s, left by an earlier daemon", op.Action, op.Name)
		run := &running{op: op, resource: r, kind: orphaned}
		x.inflight[op.ID] = run
		r.running = append(r.running, run)
		x.opening++
	}
	for _, r := range x.resources {
		x.opening++
		r.queue = append(r.queue, &job{kind: probing, op: r.derive("monitor", 0)})
		x.next(now, r)
	}
}

// Refuse makes the executor refuse orders of terms older than term.
func (x *Executor) Refuse(term uint64) { x.term = max(x.term, term) }

// Dispatch takes orders. The caller has checked that they are addressed to this
// incarnation, in this lineage, by the leader of term.
func (x *Executor) Dispatch(now event.Time, term uint64, d *event.Dispatch) {
	if !x.begun || term < x.term && !mutant.Is("obey an older term") {
		x.trace("refuses %d orders of term %d, has seen %d", len(d.Orders), term, x.term)
		return
	}
	x.term = term
	for _, o := range d.Orders {
		x.order(now, o)
	}
	x.forgetOldest()
}

func (x *Executor) order(now event.Time, o event.Order) {
	if (o.Number <= x.before && !mutant.Is("a report does not overtake orders") || x.obeyed[o.Number]) && !mutant.Is("obey an order twice") {
		x.trace("refuses order %d: obeyed or overtaken already", o.Number)
		return
	}
	x.obeyed[o.Number] = true
	op := o.Operation
	if x.stopping != nil && !mutant.Is("obey without contact") {
		x.trace("does not obey order %d (%s of %s): it has lost quorum", o.Number, op.Action, op.Name)
		x.report(now, o.Number, op, event.Result{Status: 1, Reason: "the node has lost quorum"})
		return
	}
	r := x.resource(op.Name, true)
	r.learn(op)
	switch {
	case op.Action == "cancel":
		x.cancel(now, r, func(m *recurring) bool { return m.op.Interval == op.Interval })
		x.report(now, o.Number, op, event.Result{Status: 1})
	case op.Action == "monitor" && op.Interval > 0:
		x.cancel(now, r, func(m *recurring) bool { return m.op.Interval == op.Interval })
		m := &recurring{op: op, order: o.Number, due: now.Mono}
		r.recurring = append(r.recurring, m)
	default:
		r.queue = append(r.queue, &job{kind: ordered, order: o.Number, op: op})
	}
	x.next(now, r)
}

// cancel ends recurring monitors. One that was never answered is now.
func (x *Executor) cancel(now event.Time, r *resource, match func(*recurring) bool) {
	kept := r.recurring[:0:0]
	for _, m := range r.recurring {
		if !match(m) {
			kept = append(kept, m)
			continue
		}
		m.ended = true
		if m.order != 0 {
			x.report(now, m.order, m.op, event.Result{Status: 1, Reason: "cancelled"})
		}
	}
	r.recurring = kept
}

func all(*recurring) bool { return true }

// forgetOldest bounds the memory of obeyed orders.
func (x *Executor) forgetOldest() {
	if len(x.obeyed) <= obeyedLimit {
		return
	}
	numbers := make([]uint64, 0, len(x.obeyed))
	for n := range x.obeyed {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	x.overtake(numbers[len(numbers)/2])
}

// overtake refuses from now on what is numbered up to number.
func (x *Executor) overtake(number uint64) {
	x.before = max(x.before, number)
	for n := range x.obeyed {
		if n <= x.before {
			delete(x.obeyed, n)
		}
	}
}

// Done takes an agent's answer.
func (x *Executor) Done(now event.Time, result event.Result) {
	run := x.inflight[result.ID]
	if run == nil {
		x.trace("an unknown operation %s ended", result.ID)
		return
	}
	delete(x.inflight, result.ID)
	r := run.resource
	r.running = slices.DeleteFunc(r.running, func(o *running) bool { return o == run })
	r.seen(x, run, result)
	switch run.kind {
	case orphaned, probing:
		x.opening--
		x.reportFound(now, run, result)
	case repeating:
		x.repeated(now, run, result)
	default:
		x.report(now, run.order, run.op, result)
	}
	x.next(now, r)
	x.stopNext(now)
}

// repeated reports a recurring monitor if its result is new, and sets its timer.
func (x *Executor) repeated(now event.Time, run *running, result event.Result) {
	m := run.monitor
	if m.ended {
		return
	}
	m.due = now.Mono + m.op.Interval
	if m.again {
		m.due = now.Mono
	}
	if m.order == 0 && m.code == result.Code && m.status == result.Status {
		return
	}
	order := m.order
	m.order, m.code, m.status = 0, result.Code, result.Status
	x.report(now, order, m.op, result)
}

// Notice looks at a resource at once: something about it changed by itself.
func (x *Executor) Notice(now event.Time, name, reason string) {
	r := x.resource(name, false)
	if r == nil {
		return
	}
	x.trace("looks at %s: %s", name, reason)
	for _, m := range r.recurring {
		m.due = now.Mono
		m.again = len(r.running) > 0
	}
	x.next(now, r)
}

// Tick runs what is due.
func (x *Executor) Tick(now event.Time) {
	for _, r := range x.resources {
		x.next(now, r)
	}
}

// Deadline is when, on the monotonic clock, Tick has something to do; 0: never.
func (x *Executor) Deadline() time.Duration {
	var next time.Duration
	for _, r := range x.resources {
		if len(r.running) > 0 {
			continue // its end is the next event
		}
		for _, m := range r.recurring {
			if next == 0 || m.due < next {
				next = max(m.due, 1)
			}
		}
	}
	return next
}

// next begins the next operation of r, if none is in flight: orders first, then
// what is due of the recurring monitors.
func (x *Executor) next(now event.Time, r *resource) {
	if len(r.running) > 0 {
		return
	}
	if len(r.queue) > 0 {
		j := r.queue[0]
		r.queue = r.queue[1:]
		if j.op.Action == "stop" {
			x.cancel(now, r, all)
		}
		x.run(r, &running{op: j.op, kind: j.kind, order: j.order})
		return
	}
	var due *recurring
	for _, m := range r.recurring {
		if m.due <= now.Mono && (due == nil || m.due < due.due) {
			due = m
		}
	}
	if due != nil {
		due.again = false
		x.run(r, &running{op: due.op, kind: repeating, monitor: due})
	}
}

func (x *Executor) run(r *resource, run *running) {
	x.nextID++
	run.op.ID = fmt.Sprintf("%d.%d", x.self.Counter, x.nextID)
	run.op.Order = run.order
	run.resource = r
	x.inflight[run.op.ID] = run
	r.running = append(r.running, run)
	r.begun(x, run.op.Action)
	x.out.Operations = append(x.out.Operations, run.op)
}

// resource returns the resource that agents call name.
func (x *Executor) resource(name string, create bool) *resource {
	i, found := slices.BinarySearchFunc(x.resources, name, func(r *resource, name string) int { return strings.Compare(r.name, name) })
	if found {
		return x.resources[i]
	}
	if !create {
		return nil
	}
	r := &resource{name: name, history: cluster.ResourceHistory{ID: name}}
	x.resources = slices.Insert(x.resources, i, r)
	return r
}
