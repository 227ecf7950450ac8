package agent

import (
	"context"
	"fmt"
	"time"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/core/event"
)

// adopt takes over what the previous daemon of this boot had in flight (rule 4:
// a restarted daemon ends or awaits it before it reports).
func (r *Runner) adopt() error {
	ids, err := r.records.names()
	if err != nil {
		return err
	}
	for _, id := range ids {
		rec, err := r.records.read(id)
		if err != nil {
			return err
		}
		var p *spawn.Process
		if rec.Process != nil {
			if p, err = spawn.Find(*rec.Process, r.o.Boot); err != nil {
				return err
			}
		}
		if rec.Operation == nil {
			r.endFencing(id, rec, p)
			continue
		}
		r.orphans = append(r.orphans, *rec.Operation)
		if err := r.awaitOrphan(*rec.Operation, rec, p); err != nil {
			return err
		}
	}
	return nil
}

// endFencing ends a fence agent whose caller is gone: the verdict that it acts on
// is not this daemon's.
func (r *Runner) endFencing(id string, rec *record, p *spawn.Process) {
	if rec.Process != nil {
		r.o.Log.Warn("end a fence agent of the previous daemon", "fencing", rec.Fence)
		if err := rec.Process.Kill(); err != nil {
			r.o.Log.Error("a fence agent cannot be ended", "error", err)
		}
	}
	if p != nil {
		p.Forget()
	}
	if out, err := r.records.reopenOutput(id); err == nil {
		r.linger(out)
	}
	r.records.remove(id)
}

// awaitOrphan reports an orphan's end when it has come, within its time-out.
func (r *Runner) awaitOrphan(op event.Operation, rec *record, p *spawn.Process) error {
	out, err := r.records.reopenOutput(op.ID)
	if err != nil {
		return err
	}
	left := max(rec.Deadline-bootClock(), time.Millisecond)
	ctx, ok := r.begin(op.ID, left)
	if !ok {
		out.Close()
		return nil
	}
	started := time.Now()
	go func() {
		result := event.Result{Code: event.CodeError, Status: event.StatusError}
		result.Reason = "the daemon was restarted while this ran; what came of it is not known"
		switch {
		case p != nil:
			e := r.await(ctx, p, out)
			if e.cause == errTimeout || e.cause == errCancelled {
				result.Reason = fmt.Sprintf("the daemon was restarted while this ran; then it %v", e.cause)
			}
			result.Output = cut(e.output, maxOutput)
		case op.Agent.Class == "systemd" || op.Agent.Class == "service":
			r.agents.systemd.Await(ctx, op.Agent.Type)
		}
		if context.Cause(ctx) == errCancelled {
			result.Status = event.StatusCancelled
		}
		if p == nil {
			r.linger(out)
		}
		r.end(op, started, result)
	}()
	return nil
}
