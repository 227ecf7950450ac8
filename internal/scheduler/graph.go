package scheduler

import (
	"slices"
	"time"
)

// writeGraph fills Plan.Actions with what is to be done (SEMANTICS 32).
func (rn *run) writeGraph() {
	rn.settleClones()
	rn.createNotifications()
	rn.leaveOutUnmet()
	count, edges := 0, 0
	for _, a := range rn.actions {
		if a.wanted() {
			count++
			a.graphID = count
			edges += len(a.before)
		}
	}
	rn.plan.Actions = make([]Action, 0, count)
	all := make([]int, 0, edges)
	for _, a := range rn.actions {
		if a.graphID == 0 {
			continue
		}
		from := len(all)
		for _, o := range a.before { // by ascending id of the first
			if o.first.graphID != 0 && o.waits() {
				all = append(all, o.first.graphID)
			}
		}
		rn.plan.Actions = append(rn.plan.Actions, Action{})
		out := &rn.plan.Actions[len(rn.plan.Actions)-1]
		rn.describeAction(a, out)
		out.ID = a.graphID
		if len(all) > from {
			out.After = all[from:len(all):len(all)]
		}
	}
}

// wanted tells whether an action belongs in the graph.
func (a *action) wanted() bool {
	if !a.runnable || a.optional && !a.always {
		return false
	}
	if r := a.resource; r != nil && !r.managed && a.task != taskMonitor && a.interval == 0 {
		return false
	}
	if a.pseudo || a.task == taskFence || a.task == taskShutdown {
		return true
	}
	switch {
	case a.node == nil:
		return false
	case a.onDC, a.node.isGuest() && !a.node.requiresReset:
		return true
	}
	return a.node.online && !a.node.unclean
}

// leaveOutUnmet makes unrunnable what would have to wait for something that will
// not happen, and what requires that in turn. Propagation leaves such actions: it
// does not follow up on a member's start that becomes unrunnable with its group, nor
// does it know that nothing is started of what is not managed. Pacemaker has them in
// its graph, where they wait for good, and its simulator calls that invalid.
func (rn *run) leaveOutUnmet() {
	for _, a := range rn.actions {
		if a.wanted() {
			mergeRelations(a)
		}
	}
	for _, a := range rn.actions {
		a.leaveOutIfUnmet()
	}
}

func (a *action) leaveOutIfUnmet() {
	if !a.wanted() || !slices.ContainsFunc(a.before, (*relation).unmet) {
		return
	}
	a.runnable = false
	for _, o := range a.after {
		o.then.leaveOutIfUnmet()
	}
}

// unmet tells whether a relation makes its then action wait for something that is
// not in the graph.
func (o *relation) unmet() bool {
	return !o.first.optional && !o.first.wanted() && o.waits()
}

// mergeRelations joins relations of a with the same first action.
func mergeRelations(a *action) {
	slices.SortStableFunc(a.before, func(x, y *relation) int { return x.first.id - y.first.id })
	kept := a.before[:0]
	for _, o := range a.before {
		if n := len(kept); n > 0 && kept[n-1].first == o.first {
			kept[n-1].kind |= o.kind
			continue
		}
		kept = append(kept, o)
	}
	a.before = kept
}

// waits tells whether a relation makes its then action, which is in the graph,
// wait for the first one.
func (o *relation) waits() bool {
	first, then := o.first, o.then
	switch {
	case o.kind == relNone:
		return false
	case !first.runnable && (o.kind&^(relSeq|relShowThen|relShowFirst) == 0 || o.kind&(relMin|relMigrBlock) != 0):
		return false
	case o.kind.has(relIfUnmigratable) && first.migratable:
		return false
	case o.kind == relSeq && first.migratable && first.key == taskStop:
		return false
	case o.kind == relIfNodeOrTarget:
		at := then.node
		if then.resource != nil && then.task == taskMigrateTo {
			at = then.resource.assigned
		}
		if first.node != at || first.optional {
			return false
		}
	case o.kind == relIfRequiredSameNode:
		if first.node != nil && then.node != nil && first.node != then.node || first.optional {
			return false
		}
	case first.resource != nil && first.resource != then.resource && first.resource.failed && !first.resource.managed &&
		first.key == taskStop && then.resource != nil && then.resource.isClone():
		return false
	}
	return !first.optional || first.wanted()
}

// leadsBack tells whether then, waiting for the first action of o, would in the
// end wait for itself.
func (rn *run) leadsBack(start *action, o *relation) bool {
	rn.visits++
	return rn.reaches(start, o)
}

func (rn *run) reaches(start *action, o *relation) bool {
	first := o.first
	if first.visit == rn.visits || !o.waits() {
		return false
	}
	if first == start {
		return true
	}
	first.visit = rn.visits
	for _, earlier := range first.before {
		if rn.reaches(start, earlier) {
			return true
		}
	}
	return false
}

// describeAction gives the outside view of an action.
func (rn *run) describeAction(a *action, out *Action) {
	out.Kind, out.Detail, out.Interval = planKind(a), a.detail, milliseconds(a.interval)
	out.ExpectRC, out.Reason = a.expectRC, a.reason
	if a.node != nil && !(a.pseudo && a.task != taskFence) {
		out.Node = a.node.name
	}
	r := a.resource
	if r == nil {
		out.Implied = a.pseudo && a.task == taskFence
		out.Internal = a.pseudo && !out.Implied
		if out.Internal {
			out.Detail = a.key
		}
		if a.task == taskFence {
			out.Timeout = milliseconds(rn.options.fenceTimeout)
		}
		return
	}
	out.Resource, out.Instance, out.Name, out.Agent = r.id, r.id, r.historyName, r.agent
	if r.config != nil {
		out.Resource = r.config.ID
	}
	if a.pseudo {
		out.Implied = r.isPrimitive() && out.Kind != Point
		out.Internal = !out.Implied
		if out.Internal {
			out.Kind, out.Detail = Point, a.key
		}
		return
	}
	if via := rn.router(a); via != nil {
		out.Router = via.name
	}
	rn.describeExecution(a, out)
}

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func planKind(a *action) Kind {
	switch a.task {
	case taskStart:
		return Start
	case taskStop:
		return Stop
	case taskPromote:
		return Promote
	case taskDemote:
		return Demote
	case taskMigrateTo:
		return MigrateTo
	case taskMigrateFrom:
		return MigrateFrom
	case taskReload:
		return Reload
	case taskCancel:
		return Cancel
	case taskNotify:
		if !a.pseudo {
			return Notify
		}
	case taskDelete:
		return Cleanup
	case taskClearFail:
		return ClearFailcount
	case taskForget:
		return Forget
	case taskFence:
		return Fence
	case taskShutdown:
		return Shutdown
	case taskMonitor:
		if a.interval == 0 {
			return Probe
		}
		return Monitor
	}
	if !a.pseudo && a.interval != 0 {
		return Monitor
	}
	return Point
}
