package scheduler

// groupActions creates the actions of a group's members and the points between
// which they happen.
func (rn *run) groupActions(g *resource) {
	for _, m := range g.children {
		rn.actionsFor(m)
	}
	for _, task := range []string{taskStart, taskRunning, taskStop, taskStopped} {
		rn.newPoint(g, task, true, true)
	}
	if isTrue(g.meta["promotable"]) || g.parent != nil && g.parent.promotable {
		for _, task := range []string{taskDemote, taskDemoted, taskPromote, taskPromoted} {
			rn.newPoint(g, task, true, true)
		}
	}
}

// instanceState sums up what happens to the instances of a collective.
type instanceState struct{ active, starting, stopping, restarting bool }

func (s *instanceState) look(r *resource) {
	if !r.isPrimitive() {
		for _, c := range r.children {
			s.look(c)
		}
		return
	}
	if len(r.active) > 0 {
		s.active = true
	}
	starting, stopping := false, false
	for _, a := range r.actions {
		switch {
		case a.optional:
		case a.task == taskStart && a.runnable:
			starting = true
		case a.task == taskStop && (a.pseudo || a.runnable):
			stopping = true
		}
	}
	s.starting = s.starting || starting
	s.stopping = s.stopping || stopping
	s.restarting = s.restarting || starting && stopping
}

// instancePoints creates the points between which all instances start and stop.
func (rn *run) instancePoints(c *resource, instances []*resource) (start, running, stop, stopped *action) {
	var state instanceState
	for _, each := range instances {
		state.look(each)
	}
	start = rn.newPoint(c, taskStart, !state.starting, true)
	running = rn.newPoint(c, taskRunning, !state.starting, false)
	running.runnable = state.active || state.starting
	stop = rn.newPoint(c, taskStop, !state.stopping, true)
	stopped = rn.newPoint(c, taskStopped, !state.stopping, true)
	if !state.restarting {
		stop.migratable = true
	}
	return start, running, stop, stopped
}

func (rn *run) cloneActions(c *resource) {
	for _, each := range c.children {
		rn.actionsFor(each)
	}
	start, running, stop, stopped := rn.instancePoints(c, c.children)
	d := c.clone
	d.notifyStart = rn.notifyPoints(c, start, running)
	d.notifyStop = rn.notifyPoints(c, stop, stopped)
	if d.notifyStart != nil && d.notifyStop != nil {
		rn.relate(d.notifyStop.postDone, d.notifyStart.pre, relSeq)
	}
	if !c.promotable {
		return
	}
	promoting, demoting := false, false
	for _, each := range c.children {
		p, d := each.changesRole()
		promoting, demoting = promoting || p, demoting || d
	}
	promote := rn.newPoint(c, taskPromote, !promoting, true)
	promoted := rn.newPoint(c, taskPromoted, !promoting, true)
	d.notifyPromote = rn.notifyPoints(c, promote, promoted)
	demote := rn.newPoint(c, taskDemote, !demoting, true)
	demoted := rn.newPoint(c, taskDemoted, !demoting, true)
	d.notifyDemote = rn.notifyPoints(c, demote, demoted)
	if d.notifyPromote == nil {
		return
	}
	rn.relate(d.notifyStop.postDone, d.notifyPromote.pre, relSeq)
	rn.relate(d.notifyStart.postDone, d.notifyPromote.pre, relSeq)
	rn.relate(d.notifyDemote.postDone, d.notifyPromote.pre, relSeq)
	rn.relate(d.notifyDemote.postDone, d.notifyStart.pre, relSeq)
	rn.relate(d.notifyDemote.postDone, d.notifyStop.pre, relSeq)
}

// changesRole tells whether some part of r must be promoted or demoted.
func (r *resource) changesRole() (promoting, demoting bool) {
	for _, c := range r.children {
		p, d := c.changesRole()
		promoting, demoting = promoting || p, demoting || d
	}
	for _, a := range r.actions {
		if a.optional {
			continue
		}
		switch a.task {
		case taskPromote:
			promoting = true
		case taskDemote:
			demoting = true
		}
	}
	return promoting, demoting
}

func (rn *run) bundleActions(b *resource) {
	for _, p := range b.bundle.replicas {
		for _, r := range []*resource{p.address, p.container, p.connection} {
			if r != nil {
				rn.actionsFor(r)
			}
		}
	}
	rn.instancePoints(b, b.containers())
	if inner := b.bundle.inner; inner != nil {
		rn.actionsFor(inner)
		if inner.promotable {
			for _, task := range []string{taskPromote, taskPromoted, taskDemote, taskDemoted} {
				rn.newPoint(b, task, true, true)
			}
		}
	}
}
