package process

import (
	"context"
	"os"
	"syscall"
	"time"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/core/event"
)

// stop returns when nothing of the service is left.
func (a *Agent) stop(ctx context.Context, op event.Operation, c config) event.Result {
	s := a.service(op.Name)
	defer s.busy.Unlock()
	p, err := a.running(op.Name, s)
	if err != nil {
		return failed(err)
	}
	rec, err := a.read(op.Name)
	if err != nil {
		return failed(err)
	}
	if rec == nil {
		return event.Result{}
	}
	a.mu.Lock()
	s.stopping = true
	a.mu.Unlock()
	patience, cancel := context.WithTimeout(ctx, c.stopTimeout)
	defer cancel()
	if p != nil {
		if err := p.Signal(c.stopSignal); err != nil {
			return failed(err)
		}
		select {
		case <-p.Done():
		case <-patience.Done():
		}
	}
	if context.Cause(ctx) == ErrDaemonStops {
		return failed(ErrDaemonStops)
	}
	if rec.Process.Boot == a.o.Boot {
		if err := endRest(patience, rec.Process, c.stopSignal); err != nil {
			return failed(err)
		}
	}
	if p != nil {
		<-p.Done()
	}
	a.removeGroup(rec.Process.Group)
	a.mu.Lock()
	s.process, s.last = nil, ""
	a.mu.Unlock()
	if err := os.Remove(a.path(op.Name, ".json")); err != nil {
		return failed(err)
	}
	return event.Result{}
}

// endRest ends what is left of the process: children that survived their parent
// get the same chance to end by themselves.
func endRest(patience context.Context, id spawn.ID, sig syscall.Signal) error {
	asked := false
	for pause := time.Millisecond; patience.Err() == nil; pause = min(2*pause, 50*time.Millisecond) {
		if id.Rest() == 0 {
			return nil
		}
		if asked {
			time.Sleep(pause)
			continue
		}
		id.SignalAll(sig)
		asked = true
	}
	return id.Kill()
}
