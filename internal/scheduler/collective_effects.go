package scheduler

import (
	"slices"
	"strings"
)

// flagsFor gives the properties of an action as a relation with something on n
// sees them. For the action of a collective they follow from its members or
// instances, which may make the action itself required or unrunnable.
func (rn *run) flagsFor(a *action, n *node) actionFlags {
	if a.resource == nil {
		return a.actionFlags
	}
	flags := rn.flagsOf(a.resource, a, nil)
	if n == nil || !a.resource.isClone() {
		return flags
	}
	runnable := flags.runnable
	flags = rn.flagsOf(a.resource, a, n)
	flags.runnable = flags.runnable || runnable
	return flags
}

// flagsOf gives the properties of an action of r on n.
func (rn *run) flagsOf(r *resource, a *action, n *node) actionFlags {
	switch {
	case r.isPrimitive():
		return a.actionFlags
	case r.isGroup():
		return rn.groupFlags(r, a, n)
	case r.isClone():
		return rn.collectiveFlags(a, r.children, n)
	}
	if inner := r.bundle.inner; inner != nil {
		switch plainTask(a.task) {
		case taskPromote, taskDemote, taskNotify:
			return rn.collectiveFlags(a, inner.children, n)
		}
	}
	return rn.collectiveFlags(a, r.containers(), n)
}

// plainTask gives the task whose completion a point stands for: start for
// running, and so on.
func plainTask(task string) string {
	switch task {
	case taskRunning:
		return taskStart
	case taskStopped:
		return taskStop
	case taskPromoted:
		return taskPromote
	case taskDemoted:
		return taskDemote
	case taskNotified:
		return taskNotify
	}
	return task
}

func (rn *run) groupFlags(g *resource, a *action, n *node) actionFlags {
	flags := actionFlags{optional: true, runnable: true, pseudo: true}
	task := plainTask(a.task)
	for _, m := range g.children {
		each := m.latest(task, n)
		if each == nil {
			if task != taskStop && task != taskDemote {
				flags.runnable = false
			}
			continue
		}
		f := rn.flagsOf(m, each, n)
		if !f.optional && flags.optional {
			flags.optional = false
			a.optional = false
		}
		if task != a.task && flags.runnable && !f.runnable {
			flags.runnable = false
			a.runnable = false
		}
	}
	return flags
}

// collectiveFlags: the action of a clone or bundle is required if that of any
// instance is, and runnable if that of any instance is.
func (rn *run) collectiveFlags(a *action, instances []*resource, n *node) actionFlags {
	flags := actionFlags{optional: true, runnable: true, pseudo: true}
	task := originalTask(a)
	anyRunnable := false
	for _, each := range instances {
		on := n
		if !each.isPrimitive() {
			on = nil
		}
		its := each.latest(task, on)
		if its == nil {
			continue
		}
		f := rn.flagsOf(each, its, n)
		if !f.optional && flags.optional {
			flags.optional = false
			a.optional = false
		}
		anyRunnable = anyRunnable || f.runnable
	}
	if !anyRunnable {
		flags.runnable = false
		if n == nil {
			a.runnable = false
		}
	}
	return flags
}

// settleClones makes the actions of clones required or unrunnable as those of their
// instances have become in the end: propagation does not follow up on points of a
// group that become required with its members.
func (rn *run) settleClones() {
	for _, r := range rn.resources {
		if r.isBundle() {
			r = r.bundle.inner
		}
		if r == nil || !r.isClone() {
			continue
		}
		for _, a := range r.actions {
			rn.flagsOf(r, a, nil)
		}
	}
}

// originalTask is what the instances do in a collective's action: for
// completions and notifications, what is completed or told of. Groups have
// completions of their own.
func originalTask(a *action) string {
	task := a.task
	if task == taskNotify || task == taskNotified {
		if _, after, found := strings.Cut(a.key, "_notify_"); found {
			task = after
		}
	}
	if c := a.resource.children; len(c) > 0 && c[0].isGroup() {
		return task
	}
	return plainTask(task)
}

func (rn *run) updateGroup(first, then *action, e effect) changes {
	changed := rn.updatePair(first, then, e)
	if then.resource == nil {
		return changed
	}
	for _, m := range then.resource.children {
		if each := m.latest(then.task, e.node); each != nil {
			changed.add(rn.update(m, first, each, e))
		}
	}
	return changed
}

// updateInstances applies an effect to the instances of a clone or bundle: each
// with its partner if the two interleave, else all with first.
func (rn *run) updateInstances(first, then *action, e effect) changes {
	if then.resource == nil {
		return changes{}
	}
	if interleaved(first, then) {
		return rn.updateInterleaved(first, then, e)
	}
	changed := rn.updatePair(first, then, e)
	for _, each := range then.resource.instancesOrContainers() {
		its := each.latest(then.task, e.node)
		if its == nil || !rn.flagsOf(each, its, e.node).runnable {
			continue
		}
		c := rn.update(each, first, its, e)
		changed.add(c)
		if c.then {
			for i := len(its.after) - 1; i >= 0; i-- {
				rn.propagate(its.after[i].then)
			}
		}
	}
	return changed
}

// instancesOrContainers are a clone's instances or a bundle's containers.
func (r *resource) instancesOrContainers() []*resource {
	if r.isBundle() {
		return r.containers()
	}
	return r.children
}

// containers are a bundle's containers.
func (r *resource) containers() []*resource {
	var all []*resource
	for _, p := range r.bundle.replicas {
		all = append(all, p.container)
	}
	return all
}

// interleaved tells whether two collective actions are related instance by
// instance: by the setting of the later one, for stops and demotes of the first.
func interleaved(first, then *action) bool {
	a, b := first.resource, then.resource
	if a == nil || b == nil || a == b || !a.isClone() && !a.isBundle() || !b.isClone() && !b.isBundle() {
		return false
	}
	if then.key == taskStop || then.key == taskDemote {
		return a.interleaves()
	}
	return b.interleaves()
}

func (r *resource) interleaves() bool {
	if r.isClone() {
		return r.clone.interleave
	}
	return isTrue(r.meta["interleave"])
}

func (rn *run) updateInterleaved(first, then *action, e effect) changes {
	var changed changes
	task := originalTask(first)
	current := strings.HasSuffix(first.key, taskStopped) || strings.HasSuffix(first.key, taskDemoted) // or the notification of it
	for _, each := range then.resource.instancesOrContainers() {
		partner := rn.partnerOf(each, first.resource, current)
		if partner == nil {
			if !current && e.kind&(relBlock|relImply) != 0 && rn.unassign(each) {
				changed.then = true
			}
			continue
		}
		a := rn.instanceAction(first, partner, task, e.node, true)
		if a == nil {
			continue
		}
		b := rn.instanceAction(then, each, then.task, e.node, false)
		if b == nil {
			continue
		}
		if rn.relate(a, b, e.kind) {
			changed = changes{true, true}
		}
		mine := e
		mine.first = rn.flagsOf(a.resource, a, e.node)
		changed.add(rn.update(b.resource, a, b, mine))
	}
	return changed
}

// instanceAction finds the action that an instance contributes to a collective
// action. For a bundle's replica, that of what is inside, except that a
// bundle's stop as first, and all but promote and demote as then, are the
// container's.
func (rn *run) instanceAction(collective *action, each *resource, task string, n *node, asFirst bool) *action {
	r := each
	if each.isReplica {
		own := asFirst && (task == taskStop || task == taskStopped)
		if !asFirst {
			own = plainTask(task) != taskPromote && plainTask(task) != taskDemote
		}
		if p := each.replica(); !own && p != nil && p.child != nil {
			r = p.child
			n = nil // the collective's node is not the one inside
		}
	}
	return r.latest(task, n)
}

// replica is the part of a bundle that r is the container of.
func (r *resource) replica() *replica {
	if r.parent == nil || !r.parent.isBundle() {
		return nil
	}
	for _, p := range r.parent.bundle.replicas {
		if p.container == r {
			return p
		}
	}
	return nil
}

// unassign takes its place from an instance whose necessary partner does not
// exist. It reports whether that changed anything.
func (rn *run) unassign(r *resource) bool {
	if !r.isPrimitive() {
		changed := false
		for _, c := range r.children {
			changed = rn.unassign(c) || changed
		}
		return changed
	}
	changed := r.assigned != nil
	r.assigned = nil
	r.nextRole = roleStopped
	for _, a := range r.actions {
		switch {
		case a.task == taskStop:
			a.optional = false
		case a.task == taskStart:
			a.runnable = false
		case a.interval != 0 && (a.op == nil || a.op.role != roleStopped):
			a.runnable = false
		}
	}
	return changed
}

// onlyNode is the node where r is (current) or will be, if that is a single one.
func (r *resource) onlyNode(current bool) *node {
	n, several := r.onlyNodeWith(current, nil)
	if several {
		return nil
	}
	return n
}

// onlyNodeWith adds the nodes where r is or will be to a set of at most one, nil if
// it is empty. Relations ask for it so often that no list is made.
func (r *resource) onlyNodeWith(current bool, only *node) (joined *node, several bool) {
	switch {
	case !r.isPrimitive():
		for _, c := range r.instancesOrContainers() {
			if only, several = c.onlyNodeWith(current, only); several {
				return nil, true
			}
		}
	case current:
		for _, n := range r.active {
			if only != nil && n != only {
				return nil, true
			}
			only = n
		}
	case r.assigned != nil:
		return r.assigned, only != nil && only != r.assigned
	}
	return only, false
}

// partnerOf finds the instance of a clone or bundle that belongs to r: the one
// on r's node, present or future, or, while r has none, on the best of r's nodes
// that has one.
func (rn *run) partnerOf(r, collective *resource, current bool) *resource {
	return rn.nearest(r, collective.instancesOrContainers(), func(i *resource) *node { return i.onlyNode(current) })
}

// nearest finds the first of instances that is where r is, or, while r has no node,
// on the best of r's nodes that has one; place tells where each is.
func (rn *run) nearest(r *resource, instances []*resource, place func(*resource) *node) *resource {
	if n := place(r); n != nil {
		return firstOn(instances, n, place)
	}
	firsts := rn.firstOnEach(instances, place)
	return rn.bestWhere(r.allowed, func(n *node) *resource { return firsts[n.index] })
}

// firstOn returns the first of instances that is on n and not blocked, or nil.
func firstOn(instances []*resource, n *node, place func(*resource) *node) *resource {
	for _, i := range instances {
		if n != nil && place(i) == n && !anyBlocked(i) {
			return i
		}
	}
	return nil
}

// firstOnEach returns by node.index what firstOn does. The next call takes the list
// back.
func (rn *run) firstOnEach(instances []*resource, place func(*resource) *node) []*resource {
	rn.firsts = slices.Grow(rn.firsts[:0], len(rn.nodes))[:len(rn.nodes)]
	clear(rn.firsts)
	for _, i := range instances {
		if n := place(i); n != nil && rn.firsts[n.index] == nil && !anyBlocked(i) {
			rn.firsts[n.index] = i
		}
	}
	return rn.firsts
}
