package executor

import (
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// role is what this node knows of a resource here.
type role int

const (
	stopped role = iota
	unknown      // it may be active: an operation failed, or has not ended
	started
	promoted
)

func (r role) String() string {
	if r == promoted {
		return "Promoted"
	}
	return "Started"
}

// resource is what the executor knows of one resource, by the name that agents use.
type resource struct {
	name      string
	last      event.Operation // the newest that carried the agent's parameters
	role      role
	startedAs uint64 // which start on this node it was, 0: not started here
	queue     []*job
	running   []*running // one; more only if an earlier daemon left more behind
	recurring []*recurring
	history   cluster.ResourceHistory
}

// kind is why an operation runs.
type kind int

const (
	ordered   kind = iota
	repeating      // a recurring monitor
	probing        // the look of a restarted daemon
	orphaned       // begun by an earlier daemon
	giving         // stopping because quorum was lost
)

// job is an operation that waits.
type job struct {
	kind  kind
	order uint64
	op    event.Operation
}

// running is an operation in flight.
type running struct {
	op       event.Operation
	kind     kind
	order    uint64
	resource *resource
	monitor  *recurring
}

// recurring is a monitor with its timer.
type recurring struct {
	op     event.Operation
	order  uint64 // to be answered with the first result
	due    time.Duration
	code   int // of the last result reported
	status int
	again  bool // something changed while it could not look
	ended  bool
}

// learn keeps what an operation says of the agent and its parameters.
func (r *resource) learn(op event.Operation) {
	if op.Action == "cancel" {
		return
	}
	r.last = op
	r.history.Agent = op.Agent
}

// adopt takes over what an earlier daemon had, or may have had, active.
func (r *resource) adopt(op event.Operation) {
	r.learn(op)
	r.role = unknown
}

// derive makes an operation of the executor's own from the newest known.
func (r *resource) derive(action string, interval time.Duration) event.Operation {
	op := r.last
	op.ID, op.Action, op.Interval = "", action, interval
	op.Timeout = max(op.Timeout, 20*time.Second)
	op.TransitionKey, op.SkipDuplicateCheck = "", false
	return op
}

// begun notes that from now on the resource may be active.
func (r *resource) begun(x *Executor, action string) {
	if action == "start" || action == "migrate_from" {
		if r.role == stopped {
			r.role = unknown
		}
		r.count(x)
	}
}

// count gives r its place in the order of starts, unless it has one.
func (r *resource) count(x *Executor) {
	if r.startedAs == 0 {
		x.starts++
		r.startedAs = x.starts
	}
}

// seen draws from a result what role the resource has.
func (r *resource) seen(x *Executor, run *running, result event.Result) {
	if result.Status == 1 && run.kind != orphaned {
		if run.op.Action != "monitor" && run.op.Action != "notify" {
			r.role = unknown
		}
		return
	}
	ok := result.Status == 0
	action := run.op.Action
	switch {
	case action == "notify" || action == "reload" || action == "reload-agent":
	case action == "stop" && ok && result.Code == 0:
		r.role, r.startedAs = stopped, 0
	case action == "monitor" && ok && result.Code == 7:
		r.role, r.startedAs = stopped, 0
	case action == "monitor" && run.op.Interval == 0 && run.kind == ordered && r.role == stopped && (result.Code == 5 || result.Code == 2 || result.Status == 7):
		// a probe that cannot even look: it is not there
	case !ok:
		r.role = unknown
	case action == "monitor" && (result.Code == 8 || result.Code == 191), action == "promote" && result.Code == 0:
		r.role = promoted
	case result.Code == 0 || action == "monitor" && result.Code == 190:
		r.role = started
	default:
		r.role = unknown
	}
	if r.role != stopped {
		r.count(x)
	}
}
