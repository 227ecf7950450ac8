package daemon

import (
	"context"
	"sync"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/scheduler"
)

// view is what readers see: the newest applied state and the node's own view of
// the world, both read-only.
type view struct {
	mu      sync.Mutex
	state   *cluster.State
	local   *event.Local
	changed chan struct{}
}

func (v *view) init() { v.state, v.changed = &cluster.State{}, make(chan struct{}) }

// forget begins anew with a core that knows nothing yet.
func (v *view) forget() { v.set(func() { v.state, v.local = &cluster.State{}, nil }) }

func (v *view) setState(s *cluster.State) { v.set(func() { v.state = s }) }
func (v *view) setLocal(l *event.Local)   { v.set(func() { v.local = l }) }

func (v *view) set(change func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change()
	close(v.changed)
	v.changed = make(chan struct{})
}

// State returns the applied state (empty, never nil, before there is one) and
// this node's own view (nil before there is one). Both are read-only.
func (d *Daemon) State() (*cluster.State, *event.Local) {
	d.view.mu.Lock()
	defer d.view.mu.Unlock()
	return d.view.state, d.view.local
}

// Changed is closed when what State returns next changes.
func (d *Daemon) Changed() <-chan struct{} {
	d.view.mu.Lock()
	defer d.view.mu.Unlock()
	return d.view.changed
}

// ask is a request on its way into the loop.
type ask struct {
	request event.Request
	answer  chan event.Reply // has room for the one answer
}

// Request hands a request to the core and waits for its answer.
func (d *Daemon) Request(ctx context.Context, r event.Request) event.Reply {
	l := d.life.Load()
	if l == nil {
		return event.Reply{Err: stopped()}
	}
	a := ask{request: r, answer: make(chan event.Reply, 1)}
	select {
	case l.asks <- a:
	case <-l.ended:
		return event.Reply{Err: stopped()}
	case <-ctx.Done():
		return event.Reply{Err: &event.Refusal{Kind: "timeout", Text: "the daemon did not take the request in time"}}
	}
	select {
	case reply := <-a.answer:
		return reply
	case <-ctx.Done():
		return event.Reply{Err: &event.Refusal{Kind: "timeout", Text: "no answer in time; the request may still be carried out: see 'ha events'"}}
	}
}

func stopped() *event.Refusal {
	return &event.Refusal{Kind: "no-leader", Text: "this node is not taking part in the cluster just now: try again, or ask another node"}
}

// ask gives the core a request.
func (l *life) ask(a ask) {
	l.nextRequest++
	l.waiting[l.nextRequest] = a.answer
	l.step(event.Requested{ID: l.nextRequest, Request: a.request})
}

// scheduling runs the scheduler outside the loop, one run at a time. It belongs
// to the loop.
type scheduling struct {
	mu      sync.Mutex
	running bool
	next    *event.ScheduleRequest // only the newest one matters
	planner scheduler.Planner      // used by the one that runs
}

func (s *scheduling) begin(l *life, r *event.ScheduleRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next = r
	if s.running {
		return
	}
	s.running = true
	l.working.Go(func() { s.run(l) })
}

func (s *scheduling) run(l *life) {
	for {
		s.mu.Lock()
		r := s.next
		s.next = nil
		s.running = r != nil
		s.mu.Unlock()
		if r == nil {
			return
		}
		began := time.Now()
		plan, err := s.planner.Schedule(r.Config, r.Status, r.Now, scheduler.Options{})
		if err != nil {
			l.d.log.Error("no plan could be made", "error", err)
		}
		if took := time.Since(began); took > time.Second {
			l.d.log.Warn("planning took long", "took", took)
		}
		l.post(event.Scheduled{ID: r.ID, Plan: plan, Err: err})
	}
}

// Plan schedules the present state as if cfg were its configuration.
func (d *Daemon) Plan(ctx context.Context, cfg *cluster.Config) (*cluster.Plan, error) {
	state, local := d.State()
	wanted := *state
	wanted.Config = *cfg
	now := time.Now().UTC()
	status := wanted.Status(now)
	status.Quorate = local != nil && local.Quorate
	if local != nil {
		status.Coordinator = local.Leader
	}
	return scheduler.Schedule(wanted.SchedulerConfig(), status, now, scheduler.Options{Reasons: true, Scores: true})
}
