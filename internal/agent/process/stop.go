package process

import (
	"context"
	"os"
	"time"

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
		// Children that survive their parent get the same chance to end.
		if patience.Err() == nil && rec.Process.Rest() > 0 {
			rec.Process.SignalAll(c.stopSignal)
			for pause := time.Millisecond; patience.Err() == nil && rec.Process.Rest() > 0; pause = min(2*pause, 50*time.Millisecond) {
				time.Sleep(pause)
			}
		}
	}
	if context.Cause(ctx) == ErrDaemonStops {
		return failed(ErrDaemonStops)
	}
	if rec.Process.Boot == a.o.Boot {
		if err := rec.Process.Kill(); err != nil {
			return failed(err)
		}
	}
	if p != nil {
		<-p.Done()
	}
	a.mu.Lock()
	s.process, s.last = nil, ""
	a.mu.Unlock()
	if err := os.Remove(a.path(op.Name, ".json")); err != nil {
		return failed(err)
	}
	return event.Result{}
}
