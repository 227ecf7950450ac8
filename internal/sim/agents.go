package sim

import (
	"fmt"
	"slices"
	"time"

	"linuxha/internal/core/event"
)

// agents is what agents do and have done in one boot of a host. It outlives the
// daemon, as processes and the records in /run/ha do.
type agents struct {
	h      *Host
	boot   int
	active map[string]bool            // services that run, by the name agents use
	runs   []*agentRun                // begun, and not yet told to a daemon
	record map[string]event.Operation // newest successful start of each, until its stop

	ordered map[string]bool // what was run by order in this boot
}

// agentRun is one run of an agent.
type agentRun struct {
	op      event.Operation
	began   time.Duration
	result  event.Result
	ended   bool
	orphan  bool // its daemon is gone
	told    bool
	aborted bool
}

func newAgents(h *Host) agents {
	return agents{h: h, boot: h.boots, active: map[string]bool{}, record: map[string]event.Operation{}, ordered: map[string]bool{}}
}

// recorded is what a starting daemon finds.
func (a *agents) recorded() event.Recorded {
	var rec event.Recorded
	for _, r := range a.runs {
		rec.InFlight = append(rec.InFlight, r.op)
		a.h.w.count("orphaned operation")
	}
	names := make([]string, 0, len(a.record))
	for name := range a.record {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		rec.Active = append(rec.Active, a.record[name])
	}
	return rec
}

// found tells a new daemon of orphans that have ended meanwhile.
func (a *agents) found() {
	for _, r := range slices.Clone(a.runs) {
		r.orphan = false
		if r.ended {
			a.tell(r)
		}
	}
}

func (a *agents) daemonGone() {
	for _, r := range a.runs {
		r.orphan = true
	}
}

// plan plans something in this boot, whenever the host is awake.
func (a *agents) plan(d time.Duration, do func()) {
	h, boot := a.h, a.boot
	h.w.after(d, func() {
		h.whenAwake(func() {
			if h.power && h.boots == boot {
				do()
			}
		}, false)
	})
}

// durations are what the operations of a well-behaved agent take.
func (w *World) duration(action string) time.Duration {
	switch action {
	case "start", "promote", "migrate_to", "migrate_from":
		return w.between(5*time.Millisecond, 200*time.Millisecond)
	case "stop", "demote":
		return w.between(5*time.Millisecond, 150*time.Millisecond)
	default:
		return w.between(time.Millisecond, 15*time.Millisecond)
	}
}

// run begins an operation. What it does takes effect some time before it ends.
func (a *agents) run(op event.Operation) {
	h, w := a.h, a.h.w
	r := &agentRun{op: op, began: w.now}
	a.runs = append(a.runs, r)
	if op.Agent.Class != "stonith" && (op.Action == "start" || op.Action == "migrate_from") {
		w.truth.Begun(w.now, h.name, op.Instance)
	}
	if op.Order > 0 {
		what := fmt.Sprintf("%s of %s (order %d)", op.Action, op.Name, op.Order)
		if a.ordered[what] {
			w.truth.Again(w.now, h.name, what)
		}
		a.ordered[what] = true
	}
	takes := w.duration(op.Action)
	w.count("operation " + op.Action)
	fault := h.w.faultFor(h, op)
	switch fault {
	case agentSlow:
		takes += w.between(time.Second, 15*time.Second)
		w.count("agent slow")
	case agentHangs:
		takes = op.Timeout + time.Hour
		w.count("agent hangs")
	case agentFails:
		w.count("agent fails")
	}
	if takes < op.Timeout {
		a.plan(time.Duration(w.rng.Int64N(int64(takes))), func() {
			if !r.aborted && !r.ended {
				r.result = a.effect(op, fault)
			}
		})
		a.plan(takes, func() { a.end(r) })
		return
	}
	a.plan(op.Timeout, func() {
		if op.Action == "start" && w.chance(0.5) {
			a.effect(op, agentWell) // it had done it, and then hung
		}
		r.result = event.Result{Code: 1, Status: 2, Reason: "timed out"}
		a.end(r)
	})
}

// effect does what the operation does to the service.
func (a *agents) effect(op event.Operation, fault agentFault) event.Result {
	h := a.h
	if op.Agent.Class == "stonith" {
		if op.Action == "monitor" && !a.active[op.Name] {
			return event.Result{Code: 7}
		}
		switch op.Action {
		case "start":
			a.active[op.Name] = true
		case "stop":
			delete(a.active, op.Name)
		}
		return event.Result{}
	}
	switch op.Action {
	case "start", "migrate_from":
		if fault == agentFails && h.w.chance(0.5) {
			return event.Result{Code: 1, Reason: "did not come up"}
		}
		a.active[op.Name] = true
		h.w.truth.Activate(h.w.now, h.name, op.Instance)
		if fault == agentFails {
			return event.Result{Code: 1, Reason: "came up, but does not answer"}
		}
	case "stop":
		if fault == agentFails {
			return event.Result{Code: 1, Reason: "does not stop"}
		}
		delete(a.active, op.Name)
		h.w.truth.Deactivate(h.name, op.Instance)
	case "monitor":
		switch {
		case fault == agentFails:
			return event.Result{Code: 1, Reason: "does not answer"}
		case !a.active[op.Name]:
			return event.Result{Code: 7}
		}
	}
	return event.Result{}
}

// end ends a run; its result waits for a daemon.
func (a *agents) end(r *agentRun) {
	if r.ended {
		return
	}
	r.ended = true
	r.result.ID = r.op.ID
	r.result.Started = epoch.Add(r.began + a.h.wallSkew)
	r.result.Duration = a.h.w.now - r.began
	switch ok := r.result.Status == 0 && r.result.Code == 0; r.op.Action {
	case "start", "promote", "migrate_from":
		if ok {
			a.record[r.op.Name] = r.op
		}
	case "stop":
		if ok {
			delete(a.record, r.op.Name)
		}
	}
	if !r.orphan {
		a.tell(r)
	}
}

func (a *agents) tell(r *agentRun) {
	if a.h.daemon == nil || r.told {
		return
	}
	r.told = true
	a.runs = slices.DeleteFunc(a.runs, func(o *agentRun) bool { return o == r })
	a.h.daemonStep(event.OperationDone{Result: r.result})
}

// cancel ends an operation early.
func (a *agents) cancel(id string) {
	for _, r := range a.runs {
		if r.op.ID == id && !r.ended {
			r.aborted = true
			r.result = event.Result{Status: 1}
			a.plan(time.Millisecond, func() { a.end(r) })
		}
	}
}

// die lets a service die by itself; the daemon is told, if somebody watches.
func (a *agents) die(name string) {
	if !a.active[name] {
		return
	}
	w := a.h.w
	w.count("service died")
	w.note("%s: %s dies", a.h.name, name)
	delete(a.active, name)
	w.truth.Deactivate(a.h.name, name)
	a.plan(w.between(time.Millisecond, 5*time.Millisecond), func() {
		a.h.daemonStep(event.ResourceNotice{Name: name, Reason: "process ended"})
	})
}
