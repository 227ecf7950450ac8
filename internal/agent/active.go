package agent

import (
	"linuxha/internal/core/event"
)

// noteActive keeps on file what this node has active: the operation that last
// made each resource so, until a stop succeeds. A restarted daemon probes it
// before it reports.
func (r *Runner) noteActive(op event.Operation, result event.Result) {
	if result.Status != event.StatusDone || result.Code != event.CodeOK {
		return
	}
	switch op.Action {
	case "start", "promote", "migrate_from":
		if err := r.active.write(op.Name, &record{Operation: &op, Boot: r.o.Boot}); err != nil {
			r.o.Log.Error("a restarted daemon would not look for a resource", "resource", op.Name, "error", err)
		}
	case "stop":
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
