package scheduler

import "strings"

// notifyPoints creates the points around an action of a clone at which its
// instances are told of it, nil if the clone wants none (SEMANTICS 26). Either
// of a and complete may be nil.
func (rn *run) notifyPoints(c *resource, a, complete *action) *notifications {
	if !c.notify {
		return nil
	}
	n := &notifications{}
	point := func(prefix, kind string, about *action, runnable bool) *action {
		p := rn.newActionAs(c, prefix+"_notify_"+about.task, kind, 0, nil, about.optional)
		p.pseudo = true
		p.runnable = runnable
		return p
	}
	if a != nil {
		n.pre = point("pre", taskNotify, a, true)
		n.preDone = point("confirmed-pre", taskNotified, a, true)
		rn.relate(n.pre, n.preDone, relSeq)
		rn.relate(n.preDone, a, relSeq)
	}
	if complete != nil {
		n.post = point("post", taskNotify, complete, complete.runnable)
		n.postDone = point("confirmed-post", taskNotified, complete, complete.runnable)
		rn.relate(complete, n.post, relImply)
		rn.relate(n.post, n.postDone, relImply)
	}
	if a != nil && complete != nil {
		rn.relate(n.preDone, n.post, relSeq)
	}
	return n
}

// notifiedTask is the task that a notification is about.
func notifiedTask(a *action) string {
	_, about, _ := strings.Cut(a.key, "_notify_")
	return plainTask(about)
}

// createNotifications adds the notify actions of all clones, once it is settled
// what will happen.
func (rn *run) createNotifications() {
	for _, r := range rn.resources {
		rn.notifyIn(r)
	}
}

func (rn *run) notifyIn(r *resource) {
	if r.isBundle() {
		if inner := r.bundle.inner; inner != nil {
			rn.notifyIn(inner)
		}
		return
	}
	if !r.isClone() || !r.notify {
		return
	}
	d := r.clone
	for _, each := range []struct {
		task   string
		points *notifications
	}{{taskStart, d.notifyStart}, {taskStop, d.notifyStop}, {taskPromote, d.notifyPromote}, {taskDemote, d.notifyDemote}} {
		if each.points != nil {
			rn.notifyAround(r, each.task, each.points)
		}
	}
}

// notifyAround creates the notify actions around one task of a clone.
func (rn *run) notifyAround(c *resource, task string, points *notifications) {
	happens := c.willDo(task)
	if happens {
		for _, p := range []*action{points.pre, points.preDone, points.post, points.postDone} {
			if p != nil {
				p.optional = false
			}
		}
	} else if task != taskStop {
		return
	}
	c.primitives(func(r *resource) { rn.notifyInstance(r, task, points) })
}

// willDo tells whether some part of r has a required action of that task that
// can be carried out. A stop on an unclean node counts as well.
func (r *resource) willDo(task string) bool {
	found := false
	r.primitives(func(p *resource) {
		for _, a := range p.actions {
			if a.task == task && !a.optional && a.node != nil && (a.runnable || task == taskStop && a.node.unclean) {
				found = true
			}
		}
	})
	return found
}

func (rn *run) notifyInstance(r *resource, task string, points *notifications) {
	switch task {
	case taskStop, taskDemote:
		for _, n := range r.active {
			stop := r.latest(taskStop, n)
			if stop != nil && stop.pseudo && (n.unclean || n.requiresReset) {
				continue // implied by its fencing
			}
			rn.notify(r, n, task, points.pre, points.preDone)
			if task == taskDemote || stop == nil || stop.optional {
				rn.notifyPost(r, n, task, points)
			}
		}
	default:
		if r.nextRole == roleStopped || r.assigned == nil || r.assigned.cannotConnect() {
			return
		}
		start := r.latest(taskStart, nil)
		if task != taskStart || start == nil || start.optional {
			rn.notify(r, r.assigned, task, points.pre, points.preDone)
		}
		rn.notifyPost(r, r.assigned, task, points)
	}
}

// notifyOfFencing has the instances that remain told, after a fencing, of the
// stop of r that it implied (SEMANTICS 26). Whether an instance remains is judged
// by what is known when fencing is decided: one that only then turns out to have
// to stop is told as well.
func (rn *run) notifyOfFencing(r *resource, fence *action) {
	post := rn.newActionAs(r, "post_notify_"+taskStop, taskNotify, 0, nil, fence.optional)
	done := rn.newActionAs(r, "confirmed-post_notify_"+taskStop, taskNotified, 0, nil, fence.optional)
	for _, p := range []*action{post, done} {
		p.pseudo, p.runnable = true, fence.runnable
	}
	rn.relate(fence, post, relImply)
	rn.relate(post, done, relImply)
	points := &notifications{post: post, postDone: done}
	r.topInBundle().primitives(func(each *resource) { rn.notifyInstance(each, taskStop, points) })
}

// cannotConnect tells whether the node's connection is to come up, or stay up,
// and cannot.
func (n *node) cannotConnect() bool {
	if !n.behindConnection() || n.connection == nil {
		return false
	}
	if n.connection.nextRole == roleStopped {
		return true
	}
	start := n.connection.latest(taskStart, nil)
	return start != nil && !start.runnable
}

func (rn *run) notifyPost(r *resource, n *node, task string, points *notifications) {
	rn.notify(r, n, task, points.post, points.postDone)
	if points.postDone == nil {
		return
	}
	for _, mon := range r.actions {
		if mon.interval != 0 && mon.task != taskCancel {
			rn.relate(points.postDone, mon, relSeq)
		}
	}
}

// notify tells the instance r on n of what is going on, between two points.
func (rn *run) notify(r *resource, n *node, task string, point, done *action) {
	if point == nil || done == nil || !n.online || !point.runnable {
		return
	}
	before, _, _ := strings.Cut(point.key, "_notify_")
	a := rn.newActionAs(r, before+"_notify_"+task, taskNotify, 0, n, point.optional)
	a.detail = before + "-" + task
	rn.relate(point, a, relSeq)
	rn.relate(a, done, relSeq)
}
