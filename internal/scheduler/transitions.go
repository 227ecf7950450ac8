package scheduler

import "slices"

// createActions creates probes and the actions that bring every resource to
// its place and role (SEMANTICS 17 to 21, 26).
func (rn *run) createActions() {
	rn.createProbes()
	rn.clearRemovedFailures()
	for _, r := range rn.resources {
		rn.actionsFor(r)
	}
}

func (rn *run) actionsFor(r *resource) {
	switch {
	case r.isPrimitive():
		rn.primitiveActions(r)
	case r.isGroup():
		rn.groupActions(r)
	case r.isClone():
		rn.cloneActions(r)
	case r.isBundle():
		rn.bundleActions(r)
	}
}

// clearRemovedFailures forgets the failures of what is not configured any more.
func (rn *run) clearRemovedFailures() {
	for _, r := range rn.resources {
		if !r.removed {
			continue
		}
		for _, n := range rn.nodes {
			if !n.online {
				continue
			}
			if count, _ := rn.ownFailCount(r, n, true); count > 0 {
				clear := rn.clearFailures(r, n, "it is removed")
				rn.order(exactly(clear), of(r, taskStop), relSeq)
			}
		}
	}
}

// nextStep is the role that a resource passes next on its way from one role to
// another.
func nextStep(from, to role) role {
	switch from {
	case roleStopped:
		if to == rolePromoted {
			return roleUnpromoted
		}
	case roleStarted:
		if to == roleUnknown {
			return roleStopped
		}
	case roleUnpromoted:
		if to == roleStarted || to == roleUnknown {
			return roleStopped
		}
	case rolePromoted:
		switch to {
		case rolePromoted:
		case roleUnknown:
			return roleStopped
		default:
			return roleUnpromoted
		}
	default:
		return roleStopped
	}
	return to
}

// step creates the actions of one step of a resource between two roles.
func (rn *run) step(r *resource, from, to role, n *node, optional bool) {
	switch {
	case from == to:
	case from == rolePromoted:
		rn.demote(r, optional)
	case to == rolePromoted:
		rn.promote(r, n, optional)
	case from == roleStopped:
		rn.start(r, n, optional)
	case to == roleStopped:
		rn.stop(r, optional)
	}
}

// primitiveActions walks one primitive from its present state to the wanted one
// (SEMANTICS 17).
func (rn *run) primitiveActions(r *resource) {
	if r.nextRole == roleUnknown {
		r.nextRole = roleStopped
		if r.assigned != nil {
			r.nextRole = roleStarted
		}
	}
	current := r.current()
	for _, n := range r.dangling {
		stop := rn.stopAction(r, n, false)
		stop.dangling = true
		stop.because(nil, "dangling migration")
	}

	mustStop, mustPromote, mayMigrate := false, false, false
	moving := current != nil && r.assigned != nil && current != r.assigned && r.nextRole >= roleStarted
	if moving {
		mayMigrate = r.canMigrate(current)
		mustStop = true
	}
	multiple := false
	switch {
	case r.partialSource != nil && mayMigrate && len(r.active) == 2 &&
		current == r.partialSource && r.assigned == r.partialTarget:
		// Goes on.
	case r.partialSource != nil || r.partialTarget != nil:
		mustStop = true
		r.partialSource, r.partialTarget = nil, nil
		mayMigrate = false
	case r.requires.fencing():
		multiple = len(r.active) > 1
	default:
		multiple = r.cleanActive() > 1
	}
	r.stopUnexpected = false
	if multiple {
		switch r.onMultiple {
		case stopStart:
			mustStop = true
		case stopUnexpected:
			mustStop = true
			r.stopUnexpected = true
		}
	}

	if r.startPending { // also without a node, for what comes after it
		rn.startAction(r, r.assigned, true).always = true
	}
	switch {
	case moving:
	case r.failed:
		if r.mustStop {
			mustStop = true
		} else if r.nextRole == rolePromoted {
			mustPromote = true
		}
	case r.blocked:
		mustStop = true
	case r.role > roleStarted && current != nil && r.assigned != nil:
		if !rn.startAction(r, r.assigned, true).optional {
			mustStop = true
		}
	}

	rn.restartActions(r, mustStop, mustPromote)
	for at := r.role; at != r.nextRole; {
		next := nextStep(at, r.nextRole)
		rn.step(r, at, next, r.assigned, false)
		at = next
	}
	rn.recurringActions(r)
	if mayMigrate {
		rn.migrationActions(r, current)
	}
}

// cleanActive counts the nodes where r is active that need no fencing.
func (r *resource) cleanActive() int {
	count := 0
	for _, n := range r.active {
		if n.online && !n.unclean {
			count++
		}
	}
	return count
}

// restartActions brings a resource down to Stopped and up to its present role
// again. Unless required, these actions are optional: they exist so that other
// resources can make them required.
func (rn *run) restartActions(r *resource, mustStop, mustPromote bool) {
	r.restarting = true
	at := r.role
	if at == roleUnknown {
		at = roleStopped
	}
	for at != roleStopped {
		next := nextStep(at, roleStopped)
		rn.step(r, at, next, nil, !mustStop)
		at = next
	}
	for r.role <= r.nextRole && at < r.role && !r.blocked {
		next := nextStep(at, r.role)
		required := mustStop || next == rolePromoted && mustPromote
		rn.step(r, at, next, r.assigned, !required)
		at = next
	}
	r.restarting = false
}

// staysOn tells whether n is the one of several nodes where a resource was found
// active that it is expected on, so that it is spared the restart there.
func (r *resource) staysOn(n *node) bool {
	return r.stopUnexpected && r.restarting && r.nextRole > roleStopped && n != nil && r.assigned == n &&
		slices.Contains(r.active, n)
}

func (rn *run) stop(r *resource, optional bool) {
	for _, n := range append([]*node(nil), r.active...) {
		if r.staysOn(n) {
			continue
		}
		optionalHere := optional
		if r.partialTarget != nil {
			if n == r.partialTarget && n == r.assigned {
				continue
			}
			optionalHere = false
		}
		stop := rn.stopAction(r, n, optionalHere)
		switch {
		case r.assigned == nil:
			stop.reason = "node availability"
		case r.restarting && r.stopUnexpected:
			stop.because(nil, "being multiply active")
		}
		if !r.managed {
			stop.runnable = false
		}
		if r.requires == requireUnfencing {
			unfence := rn.fenceAction(n, "on", true, "", false)
			rn.relate(stop, unfence, relImplyBack)
		}
	}
}

func (rn *run) start(r *resource, n *node, optional bool) {
	start := rn.startAction(r, n, true)
	if n != nil {
		rn.orderUnfencing(r, n, start, relImply)
	}
	if start.runnable && !optional {
		start.optional = false
	}
	if r.staysOn(n) {
		start.pseudo = true
	}
}

func (rn *run) promote(r *resource, n *node, optional bool) {
	if start := r.actionOn(taskStart, n); start != nil && !start.runnable {
		if promote := r.actionOn(taskPromote, n); promote != nil {
			promote.runnable = false
		}
		return
	}
	promote := rn.newAction(r, taskPromote, 0, n, optional)
	if r.staysOn(n) {
		promote.pseudo = true
	}
}

func (rn *run) demote(r *resource, optional bool) {
	for _, n := range r.active {
		if !r.staysOn(n) {
			rn.newAction(r, taskDemote, 0, n, optional)
		}
	}
}

// canMigrate tells whether r may move by live migration from its current node.
func (r *resource) canMigrate(current *node) bool {
	return r.allowMigrate && r.managed && !r.failed && !r.startPending &&
		!current.unclean && r.assigned != nil && !r.assigned.unclean
}

// migrationActions creates the actions of a live migration beside the stop and
// start that it stands for (SEMANTICS 21).
func (rn *run) migrationActions(r *resource, source *node) {
	target := r.assigned
	start := rn.startAction(r, target, true)
	stop := rn.stopAction(r, source, true)
	from := rn.newAction(r, taskMigrateFrom, 0, target, start.optional)
	from.migratable, from.requires = true, start.requires
	start.migratable, stop.migratable = true, true
	start.pseudo = true // more simply done than taking it out of the graph
	if r.partialTarget == nil {
		to := rn.newAction(r, taskMigrateTo, 0, source, start.optional)
		to.migratable, to.requires = true, start.requires
		rn.order(of(r, taskMonitor), of(r, taskMigrateTo), relSeq)
		rn.order(of(r, taskMigrateTo), of(r, taskMigrateFrom), relSeq|relBlock|relMigrBlock) // nothing arrives that cannot leave
		setMigration(to, source, target)
	}
	rn.order(of(r, taskMigrateFrom), of(r, taskStop), relSeq|relMigrBlock)
	rn.order(of(r, taskMigrateFrom), of(r, taskStart), relSeq|relElseReal|relMigrBlock)
	setMigration(from, source, target)
}

func setMigration(a *action, source, target *node) {
	a.meta = map[string]string{"migrate_source": source.name, "migrate_target": target.name}
}
