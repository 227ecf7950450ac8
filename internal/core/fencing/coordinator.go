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
	jobs  []*job // by id
	late  []*job // of which the device works still, though an administrator's word has ended them
	order uint64 // of the newest call
	// failures counts fencings that failed one after the other, by what is fenced how.
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
	callers []string      // nodes that may call the device of the step, the next one first; "": this one
	chosen  bool          // callers are of this step
	attempt int           // of the caller, counted from 1
	spent   time.Duration // by the caller's attempts
	order   uint64        // of the call under way
	calls   int
	done    int // steps that succeeded
	called  bool
	helper  string // who made the last successful call
	phase   phase
	until   time.Duration // of delaying
	errors  []string
	result  *cluster.FenceEnd
}

// New returns an empty Coordinator.
func New() *Coordinator { return &Coordinator{failures: map[string]failure{}} }

// Lead forgets everything: a new leader knows nothing of calls under way.
func (f *Coordinator) Lead() { f.jobs, f.late, f.failures = nil, nil, map[string]failure{} }

// Late tells whether a device works still on a fencing of the node that has ended by
// other means: it could hit the node's next life.
func (f *Coordinator) Late(node string) bool {
	return slices.ContainsFunc(f.late, func(j *job) bool { return j.target.Node == node })
}

func failureKey(node, action string) string {
	if action == "on" {
		return "on " + node
	}
	return node
}

// MayBegin tells whether an action on the node may begin now, after failures.
func (f *Coordinator) MayBegin(now time.Duration, node, action string) bool {
	return now >= f.failures[failureKey(node, action)].until
}

// Review takes up the open fencings of s, and drops those that have ended.
// routes gives the ways to carry one out, headStart the delay before its first call.
func (f *Coordinator) Review(now time.Duration, s *cluster.State, routes func(*cluster.Fencing) []Route, headStart func(*cluster.Fencing) time.Duration) (trace []string) {
	f.jobs = slices.DeleteFunc(f.jobs, func(j *job) bool {
		over := !slices.ContainsFunc(s.Fencings, func(x cluster.Fencing) bool { return x.ID == j.id && x.Open() })
		if over && j.phase == calling {
			f.late = append(f.late, j)
		}
		return over
	})
	for i := range s.Fencings {
		x := &s.Fencings[i]
		if !x.Open() || f.job(x.ID) != nil {
			continue
		}
		j := &job{id: x.ID, target: x.Target, action: x.Action, routes: routes(x)}
		j.until = now + headStart(x)
		if len(j.routes) == 0 {
			j.fail("no device can fence it")
		}
		trace = append(trace, fmt.Sprintf("fencing %d of %s: %d ways, begins in %v", j.id, j.target.Node, len(j.routes), j.until-now))
		f.jobs = append(f.jobs, j)
	}
	return trace
}

// Due returns the fencings whose delay is over: the caller asks its majority, and
// answers with Call. callers gives the nodes that may make a step's call, the
// best one first; "" is this node.
func (f *Coordinator) Due(now time.Duration, callers func(target string, s Step) []string) (ids []uint64) {
	for _, j := range f.jobs {
		for j.phase == delaying && now >= j.until {
			if !j.chosen {
				j.callers, j.chosen, j.attempt, j.spent = callers(j.target.Node, j.current()), true, 1, 0
			}
			if len(j.callers) == 0 {
				j.failStep(j.current(), "no node can call the device")
				continue // to the next way
			}
			if !f.free(j) {
				break
			}
			j.phase = confirming
			ids = append(ids, j.id)
		}
	}
	return ids
}

// free tells whether j's next call may be made beside those under way: not with
// more of the same device than it bears, and, unless a single device ends the
// target's boot at one stroke, none while the same node is unfenced or switched on.
func (f *Coordinator) free(j *job) bool {
	s := j.current()
	same := 0
	for _, o := range f.jobs {
		if o == j || o.phase == ended {
			continue
		}
		if busy := o.phase == calling || o.phase == confirming; busy && o.current().Call.Device == s.Call.Device {
			same++
		}
		if o.action == "on" && j.action != "on" && o.target.Node == j.target.Node && !j.routes[j.route].Alone() {
			return false
		}
	}
	return s.Limit < 0 || same < max(s.Limit, 1)
}

// Hold puts a fencing that was due off until a later time: its call may not be made now.
func (f *Coordinator) Hold(id uint64, until time.Duration) {
	if j := f.job(id); j != nil && j.phase == confirming {
		j.phase, j.until = delaying, until
	}
}

// Call returns the call to be made now that the majority has confirmed; nil if
// the fencing has ended meanwhile.
func (f *Coordinator) Call(id uint64) *event.FenceCall {
	j := f.job(id)
	if j == nil || j.phase != confirming {
		return nil
	}
	f.order++
	j.phase, j.called, j.order = calling, true, f.order
	j.calls++
	s := j.current()
	call := s.Call
	call.ID, call.Target, call.Attempt, call.Order, call.Caller = j.id, j.target, j.attempt, j.order, j.callers[0]
	call.Timeout -= j.spent
	return &call
}

// Called takes a device's answer. What is not the answer that is waited for is ignored.
func (f *Coordinator) Called(now time.Duration, e event.FenceCalled) {
	f.late = slices.DeleteFunc(f.late, func(j *job) bool { return j.id == e.Call.ID && j.order == e.Call.Order })
	j := f.job(e.Call.ID)
	if j == nil || j.phase != calling || e.Call.Target != j.target || e.Call.Order != j.order {
		return
	}
	s := j.current()
	j.phase, j.until = delaying, now
	j.spent += e.Took
	again := j.attempt < s.Attempts && s.Call.Timeout-j.spent >= s.Call.Timeout/10
	switch {
	case e.OK:
		j.helper = j.callers[0]
		j.done++
		j.next()
	case again:
		j.attempt++
		j.note(s, e.Error)
	case len(j.callers) > 1:
		j.callers, j.attempt, j.spent = j.callers[1:], 1, 0
		j.note(s, e.Error)
	default:
		j.failStep(s, e.Error)
	}
}

// failStep gives the present way up, and goes to the next.
func (j *job) failStep(s Step, text string) {
	j.note(s, text)
	if s.Optional {
		j.next()
		return
	}
	j.route, j.step, j.chosen, j.done = j.route+1, 0, false, 0
	if j.route >= len(j.routes) {
		j.fail("every device failed")
	}
}

func (j *job) note(s Step, text string) {
	if text == "" {
		text = "failed"
	}
	by := ""
	if len(j.callers) > 0 && j.callers[0] != "" {
		by = " called by " + j.callers[0]
	}
	if len(j.errors) < 8 {
		j.errors = append(j.errors, s.String()+by+": "+text)
	}
}

func (j *job) current() Step { return j.routes[j.route].Steps[j.step] }

// next goes to the step after a success, or after one that may fail.
func (j *job) next() {
	device, r := j.current().Call.Device, j.routes[j.route]
	j.step, j.chosen = j.step+1, false
	if j.step < len(r.Steps) {
		return
	}
	if j.done == 0 {
		j.fail("every device failed")
		return
	}
	j.phase = ended
	j.result = &cluster.FenceEnd{
		ID: j.id, Target: j.target, Result: "ok", Device: device, Attempts: j.calls, Error: strings.Join(j.errors, "; "), Caller: j.helper,
		Cut: j.action != "on" && !r.EndsBoot(),
	}
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

// Failed notes that an action on the node failed: the next one waits longer.
func (f *Coordinator) Failed(now time.Duration, node, action string) {
	key := failureKey(node, action)
	x := f.failures[key]
	x.until = now + min(time.Second<<min(x.count, 6), time.Minute)
	x.count++
	f.failures[key] = x
}

// Succeeded forgets the failures of a node.
func (f *Coordinator) Succeeded(node, action string) { delete(f.failures, failureKey(node, action)) }

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
		if j.phase == delaying && (next == 0 || j.until < next) && !(j.chosen && len(j.callers) > 0 && !f.free(j)) {
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
