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
	active map[string]*process        // what runs, by the name that agents use
	runs   []*agentRun                // begun, and not yet told to a daemon
	record map[string]event.Operation // what was last begun to make each active, until it was stopped

	ordered map[string]bool // what was run by order in this boot
}

// process is a service that runs.
type process struct {
	service  string
	promoted bool
}

// agentRun is one run of an agent.
type agentRun struct {
	op      event.Operation
	peer    target // of a migration
	began   time.Duration
	result  event.Result
	ended   bool
	orphan  bool // its daemon is gone
	told    bool
	aborted bool
}

func newAgents(h *Host) agents {
	return agents{h: h, boot: h.boots, active: map[string]*process{}, record: map[string]event.Operation{}, ordered: map[string]bool{}}
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

// slowStart is what a start takes at most.
const slowStart = 2 * time.Second

// durations are what the operations of a well-behaved agent take.
func (w *World) duration(action string) time.Duration {
	switch action {
	case "start", "promote", "migrate_to", "migrate_from":
		if w.chance(0.1) {
			return w.between(200*time.Millisecond, slowStart)
		}
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
	r := &agentRun{op: op, peer: a.migratesTo(op), began: w.now}
	a.runs = append(a.runs, r)
	w.note("%s: %s of %s begins (order %d)", h.name, op.Action, op.Name, op.Order)
	a.begun(op)
	if w.watching() {
		w.step(h, stepBegins+op.Action)
	}
	if op.Order > 0 {
		what := fmt.Sprintf("%s of %s (order %d)", op.Action, op.Name, op.Order)
		if a.ordered[what] {
			w.truth.Again(w.now, h.name, what)
		}
		a.ordered[what] = true
	}
	a.step(op, "begins")
	takes := w.duration(op.Action)
	w.count("operation " + op.Action)
	if op.Order == 0 && (op.Action == "stop" || op.Action == "demote") {
		w.count("given up without quorum")
	}
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
				r.result = a.effect(op, fault, r.peer)
			}
		})
		a.plan(takes, func() { a.end(r) })
		return
	}
	a.plan(op.Timeout, func() {
		if op.Action == "start" && w.chance(0.5) {
			a.effect(op, agentWell, r.peer) // it had done it, and then hung
		}
		r.result = event.Result{Code: 1, Status: 2, Reason: "timed out"}
		a.end(r)
	})
}

// begun records what may make a service active, before that begins.
func (a *agents) begun(op event.Operation) {
	h, w := a.h, a.h.w
	if op.Agent.Class == "stonith" {
		return
	}
	switch op.Action {
	case "start", "migrate_from", "migrate_to":
		w.truth.Begun(w.now, h.name, op.Resource)
	case "promote":
		w.truth.MayPromote(w.now, h.name, op.Resource)
	}
	switch op.Action {
	case "start", "migrate_from", "promote":
		a.record[op.Name] = op
	}
}

// target is the other end of a migration, as it was when that began.
type target struct {
	host *Host
	boot int
}

// migratesTo returns where an operation moves its service.
func (a *agents) migratesTo(op event.Operation) (t target) {
	if op.Action != "migrate_to" {
		return t
	}
	for _, p := range op.Meta {
		if p.Name == "migrate_target" {
			t.host = a.h.w.byName[p.Value]
		}
	}
	if t.host != nil && a.h.w.truth.Granted(t.host.name, op.Resource) { // one that has just booted takes no machines yet
		t.boot = t.host.boots
	}
	return t
}

// effect does what the operation does to the service.
func (a *agents) effect(op event.Operation, fault agentFault, peer target) event.Result {
	if op.Agent.Class == "stonith" {
		return a.register(op)
	}
	w, p := a.h.w, a.active[op.Name]
	failed := func(why string) event.Result { return event.Result{Code: 1, Reason: why} }
	switch op.Action {
	case "start":
		if !a.stored(op.Resource) {
			return failed("its storage cannot be reached")
		}
		if fault == agentFails && w.chance(0.5) {
			return failed("did not come up")
		}
		a.activate(op)
		if fault == agentFails {
			return failed("came up, but does not answer")
		}
	case "migrate_to":
		if fault == agentFails || p == nil || peer.host == nil || !peer.host.power || peer.host.boots != peer.boot || !w.net.reaches(a.h, peer.host) || !peer.host.agents.stored(op.Resource) {
			return failed("cannot migrate")
		}
		a.deactivate(op.Name)
		peer.host.agents.activate(op)
		w.count("migrated")
	case "migrate_from":
		if p == nil || fault == agentFails {
			return failed("did not arrive")
		}
	case "promote":
		if p == nil || fault == agentFails {
			return failed("cannot be promoted")
		}
		p.promoted = true
		w.truth.Promote(w.now, a.h.name, p.service)
	case "demote":
		if fault == agentFails {
			return failed("cannot be demoted")
		}
		if p == nil {
			return event.Result{Code: 7}
		}
		p.promoted = false
		w.truth.Demote(a.h.name, p.service)
	case "stop":
		if fault == agentFails {
			return failed("does not stop")
		}
		a.deactivate(op.Name)
	case "monitor":
		switch {
		case fault == agentFails:
			return failed("does not answer")
		case p == nil:
			return event.Result{Code: 7}
		case p.promoted:
			return event.Result{Code: 8}
		}
	}
	return event.Result{}
}

// stored tells whether a service has the storage here that it needs.
func (a *agents) stored(service string) bool {
	return !a.h.w.shape.declared(service) || a.h.w.truth.Stored(a.h.name)
}

// register is what a fence device does when it is started, stopped or looked at.
func (a *agents) register(op event.Operation) event.Result {
	switch op.Action {
	case "start":
		a.active[op.Name] = &process{}
	case "stop":
		delete(a.active, op.Name)
	case "monitor":
		if a.active[op.Name] == nil {
			return event.Result{Code: 7}
		}
	}
	return event.Result{}
}

func (a *agents) activate(op event.Operation) {
	if a.active[op.Name] == nil {
		a.active[op.Name] = &process{service: op.Resource}
	}
	a.h.w.truth.Activate(a.h.w.now, a.h.name, op.Resource, op.Name)
}

func (a *agents) deactivate(name string) {
	if p := a.active[name]; p != nil {
		delete(a.active, name)
		a.h.w.truth.Deactivate(a.h.name, p.service, name)
	}
}

// running are the services that run, by name.
func (a *agents) running() []string {
	var names []string
	for name, p := range a.active {
		if p.service != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// end ends a run; its result waits for a daemon.
func (a *agents) end(r *agentRun) {
	if r.ended {
		return
	}
	r.ended = true
	a.h.w.note("%s: %s of %s ends: %d %s", a.h.name, r.op.Action, r.op.Name, r.result.Code, r.result.Reason)
	r.result.ID = r.op.ID
	r.result.Started = epoch.Add(r.began + a.h.wallSkew)
	r.result.Duration = a.h.w.now - r.began
	switch _, known := a.record[r.op.Name]; {
	case r.result.Status != 0 || r.op.Agent.Class == "stonith":
	case r.op.Action == "stop" && r.result.Code == 0:
		delete(a.record, r.op.Name)
	case r.op.Action == "monitor" && r.op.Interval == 0 && r.result.Code != 7 && !known:
		a.record[r.op.Name] = r.op // found, though nobody has said that it was started here
	}
	a.step(r.op, "ends")
	if !r.orphan {
		a.tell(r)
	}
}

// step tells the traps of a migration's course.
func (a *agents) step(op event.Operation, what string) {
	if (op.Action == "migrate_to" || op.Action == "migrate_from") && a.h.w.watching() {
		a.h.w.step(a.h, stepMigrate+op.Action+" "+what)
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
	if a.active[name] == nil {
		return
	}
	w := a.h.w
	w.count("service died")
	w.note("%s: %s dies", a.h.name, name)
	a.deactivate(name)
	a.plan(w.between(time.Millisecond, 5*time.Millisecond), func() {
		a.h.daemonStep(event.ResourceNotice{Name: name, Reason: "process ended"})
	})
}
