package fencing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Coordinator is the leader's work on the open fencings of the State.
type Coordinator struct {
	jobs []*job // by id
	// failures counts fencings that failed one after the other, by node.
	failures map[string]failure
}

type failure struct {
	count int
	until time.Duration // not tried again before
}

type phase int

const (
	delaying   phase = iota // gives the target its head start, or waits to try again
	confirming              // the majority is asked whether we may
	calling                 // the device works
	ended                   // the result waits for its commit
)

// job is one open fencing.
type job struct {
	id      uint64
	target  cluster.Incarnation
	action  string
	routes  []Route
	route   int
	step    int
	attempt int // of the step, counted from 1
	calls   int
	called  bool
	phase   phase
	until   time.Duration // of delaying
	errors  []string
	result  *cluster.FenceEnd
}

// New returns an empty Coordinator.
func New() *Coordinator { return &Coordinator{failures: map[string]failure{}} }

// Lead forgets everything: a new leader knows nothing of calls under way.
func (f *Coordinator) Lead() { f.jobs, f.failures = nil, map[string]failure{} }

// MayBegin tells whether a fencing of the node may begin now, after failures.
func (f *Coordinator) MayBegin(now time.Duration, node string) bool {
	return now >= f.failures[node].until
}

// Review takes up the open fencings of s, and drops those that have ended.
// routes gives the ways to fence a target, headStart the delay before the first call.
func (f *Coordinator) Review(now time.Duration, s *cluster.State, routes func(target, action string) []Route, headStart func(target, action string) time.Duration) (trace []string) {
	f.jobs = slices.DeleteFunc(f.jobs, func(j *job) bool {
		return !slices.ContainsFunc(s.Fencings, func(x cluster.Fencing) bool { return x.ID == j.id && x.Open() })
	})
	for i := range s.Fencings {
		x := &s.Fencings[i]
		if !x.Open() || f.job(x.ID) != nil {
			continue
		}
		j := &job{id: x.ID, target: x.Target, action: x.Action, routes: routes(x.Target.Node, x.Action), attempt: 1}
		j.until = now + headStart(x.Target.Node, x.Action)
		if len(j.routes) == 0 {
			j.fail("no device can fence it")
		}
		trace = append(trace, fmt.Sprintf("fencing %d of %s: %d ways, begins in %v", j.id, j.target.Node, len(j.routes), j.until-now))
		f.jobs = append(f.jobs, j)
	}
	return trace
}

// Due returns the fencings whose delay is over: the caller asks its majority, and
// answers with Call.
func (f *Coordinator) Due(now time.Duration) (ids []uint64) {
	for _, j := range f.jobs {
		if j.phase == delaying && now >= j.until {
			j.phase = confirming
			ids = append(ids, j.id)
		}
	}
	return ids
}

// Call returns the call to be made now that the majority has confirmed; nil if
// the fencing has ended meanwhile.
func (f *Coordinator) Call(id uint64) *event.FenceCall {
	j := f.job(id)
	if j == nil || j.phase != confirming {
		return nil
	}
	j.phase, j.called = calling, true
	j.calls++
	call := j.current().Call
	call.ID, call.Target, call.Attempt = j.id, j.target, j.attempt
	return &call
}

// Called takes a device's answer. What is not the answer that is waited for is ignored.
func (f *Coordinator) Called(now time.Duration, e event.FenceCalled) {
	j := f.job(e.Call.ID)
	if j == nil || j.phase != calling || e.Call.Target != j.target || e.Call.Attempt != j.attempt || e.Call.Device != j.current().Call.Device {
		return
	}
	s := j.current()
	j.phase, j.until = delaying, now
	switch {
	case e.OK || s.Optional && j.attempt >= s.Attempts:
		j.next()
	case j.attempt < s.Attempts:
		j.attempt++
		j.note(s, e.Error)
	default:
		j.note(s, e.Error)
		j.route, j.step, j.attempt = j.route+1, 0, 1
		if j.route >= len(j.routes) {
			j.fail("every device failed")
		}
	}
}

func (j *job) note(s Step, text string) {
	if text == "" {
		text = "failed"
	}
	if len(j.errors) < 8 {
		j.errors = append(j.errors, s.String()+": "+text)
	}
}

func (j *job) current() Step { return j.routes[j.route].Steps[j.step] }

// next goes to the step after a success. What is left when the target is surely
// off (power on again) goes on, but cannot fail the fencing.
func (j *job) next() {
	device := j.current().Call.Device
	j.step, j.attempt = j.step+1, 1
	if j.step < len(j.routes[j.route].Steps) {
		return
	}
	j.phase = ended
	j.result = &cluster.FenceEnd{ID: j.id, Target: j.target, Result: "ok", Device: device, Attempts: j.calls, Error: strings.Join(j.errors, "; ")}
}

func (j *job) fail(text string) {
	j.phase = ended
	j.errors = append(j.errors, text)
	j.result = &cluster.FenceEnd{ID: j.id, Target: j.target, Result: "failed", Attempts: j.calls, Error: strings.Join(j.errors, "; ")}
}

// Ended returns the results that are to be committed.
func (f *Coordinator) Ended() (ends []cluster.FenceEnd) {
	for _, j := range f.jobs {
		if j.phase == ended {
			ends = append(ends, *j.result)
		}
	}
	return ends
}

// Failed notes that a fencing of the node failed: the next one waits longer.
func (f *Coordinator) Failed(now time.Duration, node string) {
	x := f.failures[node]
	x.until = now + min(time.Second<<min(x.count, 6), time.Minute)
	x.count++
	f.failures[node] = x
}

// Succeeded forgets the failures of a node.
func (f *Coordinator) Succeeded(node string) { delete(f.failures, node) }

// Busy tells whether a device works on the fencing now, and whether one was ever
// called for it by this leader.
func (f *Coordinator) Busy(id uint64) (now, ever bool) {
	j := f.job(id)
	if j == nil {
		return false, false
	}
	return j.phase == calling, j.called
}

// Deadline returns when a delay is over; 0: none runs.
func (f *Coordinator) Deadline() time.Duration {
	var next time.Duration
	for _, j := range f.jobs {
		if j.phase == delaying && (next == 0 || j.until < next) {
			next = max(j.until, 1)
		}
	}
	return next
}

func (f *Coordinator) job(id uint64) *job {
	for _, j := range f.jobs {
		if j.id == id {
			return j
		}
	}
	return nil
}
