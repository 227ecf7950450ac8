package agent

import (
	"linuxha/internal/core/event"
)

// noteActive keeps on file what this node has, or may have, active: the operation
// that last set out to make each resource so, or that found it so, until a stop succeeds. A restarted
// daemon probes it before it reports. It is on file before the operation starts:
// one that fails half-way may have made the resource active all the same.
func (r *Runner) noteActive(op event.Operation) error {
	switch op.Action {
	case "start", "promote", "migrate_from":
		return r.active.write(op.Name, &record{Operation: &op, Boot: r.o.Boot})
	}
	return nil
}

// asStarted gives a stop the agent and parameters that the resource was made active
// with: an edited or removed configuration does not say what there is to stop. Only
// after a start that failed those of the stop count, since they may be what was
// mended. A demotion needs that only where it has another agent, or no parameters at all.
func (r *Runner) asStarted(op event.Operation) event.Operation {
	if op.Action != "stop" && op.Action != "demote" {
		return op
	}
	rec, err := r.active.read(op.Name)
	if err != nil {
		return op
	}
	sameAgent := rec.Operation.Agent == op.Agent
	if op.Action == "demote" && sameAgent && len(op.Params) > 0 {
		return op
	}
	if !rec.Failed || sameAgent && len(op.Params) == 0 {
		op.Agent, op.Params = rec.Operation.Agent, rec.Operation.Params
	}
	return op
}

// noteResult ends that when a stop has succeeded. It also keeps on file what a probe
// has found, before anyone is told: nobody here started that, or has said so yet (a
// virtual machine that has arrived, what people started by hand).
func (r *Runner) noteResult(op event.Operation, result event.Result) {
	ok := result.Status == event.StatusDone && result.Code == event.CodeOK
	switch {
	case op.Action == "start" && !ok:
		r.amend(op, func(rec *record) { rec.Failed = true })
	case (op.Action == "reload" || op.Action == "reload-agent") && ok:
		r.amend(op, func(rec *record) { rec.Operation.Params = op.Params })
	case result.Status != event.StatusDone:
	case op.Action == "stop" && result.Code == event.CodeOK:
		r.active.remove(op.Name)
	case op.Action == "monitor" && op.Interval == 0 && result.Code != event.CodeNotRunning && result.Code != event.CodeNotInstalled:
		if _, err := r.active.read(op.Name); err == nil {
			return
		}
		if err := r.active.write(op.Name, &record{Operation: &op, Boot: r.o.Boot}); err != nil {
			r.o.Log.Error("what a probe has found is not on file: a restart of the daemon would not know of it", "resource", op.Name, "error", err)
		}
	}
}

// amend changes what is on file of an active resource.
func (r *Runner) amend(op event.Operation, change func(*record)) {
	rec, err := r.active.read(op.Name)
	if err == nil {
		change(rec)
		err = r.active.write(op.Name, rec)
	}
	if err != nil {
		r.o.Log.Error("what came of an operation is not on file: the next stop may use other parameters", "resource", op.Name, "action", op.Action, "error", err)
	}
}

// Recorded tells what the previous daemon of this boot left behind.
func (r *Runner) Recorded() (event.Recorded, error) {
	recorded := event.Recorded{InFlight: r.Orphans()}
	names, err := r.active.names()
	if err != nil {
		return recorded, err
	}
	for _, name := range names {
		rec, err := r.active.read(name)
		if err != nil {
			return recorded, err
		}
		recorded.Active = append(recorded.Active, *rec.Operation)
	}
	return recorded, nil
}
