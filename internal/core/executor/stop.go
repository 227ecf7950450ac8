package executor

import (
	"linuxha/internal/core/event"

	"linuxha/internal/cluster/mutant"
)

// stopping is what a node without quorum does to itself.
type stopping struct {
	policy string
	action string // stop or demote; "": nothing but to obey no more
	failed map[string]bool
}

// StopAll makes a node that has lost quorum give up what the policy says: stop and
// fence stop everything, the last started first; demote demotes; freeze and ignore
// only keep what there is. Until Resume no order is obeyed.
func (x *Executor) StopAll(now event.Time, policy string) {
	if x.stopping != nil && x.stopping.policy == policy || mutant.Is("without quorum keep everything") {
		return
	}
	s := &stopping{policy: policy, failed: map[string]bool{}}
	switch policy {
	case "freeze", "ignore":
	case "demote":
		s.action = "demote"
	default:
		s.action = "stop"
	}
	x.trace("has lost quorum: %s", policy)
	x.stopping = s
	for _, r := range x.resources {
		for _, j := range r.queue {
			if j.kind == ordered {
				x.report(now, j.order, j.op, event.Result{Status: 1, Reason: "the node has lost quorum"})
			}
			if j.kind == probing {
				x.opening--
			}
		}
		r.queue = nil
		if s.action != "stop" {
			continue
		}
		x.cancel(now, r, all)
		for _, run := range r.running {
			if run.kind == repeating {
				x.out.Cancels = append(x.out.Cancels, run.op.ID) // nobody waits for it any more
			}
		}
	}
	x.stopNext(now)
}

// Resume ends StopAll: there is quorum again.
func (x *Executor) Resume() {
	if x.stopping != nil {
		x.trace("has quorum again")
	}
	x.stopping = nil
}

// stopNext gives up the resource that was started last, once the one before is done.
// One that cannot be stopped does not keep the others from it.
func (x *Executor) stopNext(now event.Time) {
	s := x.stopping
	if s == nil || s.action == "" {
		return
	}
	var next *resource
	for _, r := range x.resources {
		for _, run := range r.running {
			if run.kind == giving {
				return
			}
		}
		if r.last.Agent.Type == "" && r.last.Resource == "" || s.failed[r.name] {
			continue
		}
		wanted := r.role != stopped
		if s.action == "demote" {
			wanted = r.role == promoted
		}
		if wanted && (next == nil || r.startedAs > next.startedAs) {
			next = r
		}
	}
	if next == nil {
		return
	}
	if len(next.running) > 0 {
		return // its end comes back here
	}
	s.failed[next.name] = true // once; a success makes it irrelevant
	x.cancel(now, next, all)
	next.queue = append(next.queue, &job{kind: giving, op: next.derive(s.action, 0)})
	x.next(now, next)
}
