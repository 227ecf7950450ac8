package agent

import (
	"linuxha/internal/core/event"
)

// noteActive keeps on file what this node has, or may have, active: the operation
// that last set out to make each resource so, until a stop succeeds. A restarted
// daemon probes it before it reports. It is on file before the operation starts:
// one that fails half-way may have made the resource active all the same.
func (r *Runner) noteActive(op event.Operation) error {
	switch op.Action {
	case "start", "promote", "migrate_from":
		return r.active.write(op.Name, &record{Operation: &op, Boot: r.o.Boot})
	}
	return nil
}

// noteStopped ends that.
func (r *Runner) noteStopped(op event.Operation, result event.Result) {
	if op.Action == "stop" && result.Status == event.StatusDone && result.Code == event.CodeOK {
		r.active.remove(op.Name)
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
