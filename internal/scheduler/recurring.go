package scheduler

// recurringActions schedules, keeps and cancels the recurring monitors of r
// (SEMANTICS 19).
func (rn *run) recurringActions(r *resource) {
	if r.blocked || r.maintenance {
		return
	}
	n := r.assigned
	var start *action
	if n != nil && !n.maintenance && (r.nextRole != roleStopped || !r.managed) {
		start = rn.startAction(r, n, true)
	}
	for _, op := range r.ops {
		if op.interval == 0 || !op.enabled || op.duplicate || !mayRecur(op.name) {
			continue
		}
		if start != nil {
			rn.monitorActive(r, op, n, start)
		}
		if op.role == roleStopped && r.unique {
			rn.monitorStopped(r, op, n)
		}
	}
}

// mayRecur tells whether an operation can be repeated: those that change a
// state cannot.
func mayRecur(name string) bool {
	switch name {
	case taskStart, taskStop, taskPromote, taskDemote, taskMigrateTo, taskMigrateFrom, taskReload, "reload":
		return false
	}
	return true
}

// monitorActive schedules a monitor where r will be active, or cancels it if it
// runs but is for another role.
func (rn *run) monitorActive(r *resource, op *operation, n *node, start *action) {
	running := rn.findAction(r, op.name, op.interval, n)
	optional := running != nil && start.optional && !running.reschedule
	if op.role == roleUnknown && r.nextRole == rolePromoted || op.role != roleUnknown && op.role != r.nextRole {
		if !optional {
			return
		}
		cancel := rn.cancelAction(r, op.name, op.interval, n)
		before := ""
		switch {
		case r.role == rolePromoted:
			before = taskDemote
		case r.role < roleStarted:
		case r.nextRole == rolePromoted:
			before = taskPromote
		case r.nextRole == roleStopped:
			before = taskStop
		}
		if before != "" {
			rn.order(exactly(cancel), of(r, before), relBlock)
		}
		return
	}

	mon := rn.newAction(r, op.name, op.interval, n, optional)
	if !start.runnable || !n.online || n.unclean {
		mon.runnable = false
	}
	if r.nextRole == rolePromoted {
		mon.expectRC = 8
	}
	if !r.managed {
		return
	}
	rn.order(of(r, taskStart), exactly(mon), relImply|relBlock)
	rn.order(of(r, taskReload), exactly(mon), relImply|relBlock)
	switch {
	case r.nextRole == rolePromoted:
		rn.order(of(r, taskPromote), exactly(mon), relSeq|relBlock)
	case r.role == rolePromoted:
		rn.order(of(r, taskDemote), exactly(mon), relSeq|relBlock)
	}
}

// monitorStopped schedules a monitor for role Stopped on every node but the one
// where r will be, where it is cancelled.
func (rn *run) monitorStopped(r *resource, op *operation, at *node) {
	if at != nil && rn.findAction(r, op.name, op.interval, at) != nil {
		cancel := rn.cancelAction(r, op.name, op.interval, at)
		if r.nextRole == roleStarted || r.nextRole == roleUnpromoted {
			rn.order(exactly(cancel), of(r, taskStart), relBlock)
		}
	}
	for _, n := range rn.nodes {
		if n == at {
			continue
		}
		optional := rn.findAction(r, op.name, op.interval, n) != nil
		mon := rn.newAction(r, op.name, op.interval, n, optional)
		mon.expectRC = 7
		for _, first := range []*action{r.actionOn(taskMonitor, n), r.actionOn(taskStop, n)} {
			if first == nil {
				continue
			}
			if first.task == taskStop && !first.runnable {
				mon.runnable = false // it runs there, and stays
			}
			if r.managed {
				rn.order(exactly(first), exactly(mon), relImply|relBlock)
			}
		}
		if !n.online || n.unclean {
			mon.runnable = false
		}
	}
}

// cancelAction ends a recurring operation: the action that stands for it
// becomes its cancellation.
func (rn *run) cancelAction(r *resource, task string, interval int64, n *node) *action {
	a := rn.newActionAs(r, task, taskCancel, interval, n, false)
	a.task = taskCancel
	a.detail = task
	return a
}
