package scheduler

// orderRemoteActions relates actions on remote and guest nodes to their
// connections (SEMANTICS 28).
func (rn *run) orderRemoteActions() {
	for i := len(rn.actions) - 1; i >= 0; i-- { // newest first: where relations contradict, their order matters
		a := rn.actions[i]
		r := a.resource
		if r == nil {
			continue
		}
		if r.isConnection && a.task == taskClearFail {
			rn.order(exactly(a), of(r, taskStart), relSeq)
			continue
		}
		if a.node == nil || !a.node.behindConnection() || a.node.connection == nil {
			continue
		}
		if a.pseudo { // what is implied, such as the start that ends a migration, needs no connection
			if a.task == taskStart {
				rn.impliedStarts = append(rn.impliedStarts, a)
			}
			continue
		}
		connection := a.node.connection
		if a.task == taskStart {
			// If the connection cannot be made, the resource stays where it is.
			for _, stop := range r.actions {
				if stop.task == taskStop && stop.node != a.node {
					rn.order(of(connection, taskStart), exactly(stop), relSeq)
				}
			}
		}
		if a.node.isGuest() {
			rn.orderGuestAction(a, connection)
		} else {
			rn.orderRemoteAction(a, connection)
		}
	}
}

// connectRealStarts: starts that were implied by migrations and turned out to be
// real need the connection after all.
func (rn *run) connectRealStarts() {
	for _, a := range rn.impliedStarts {
		if a.pseudo {
			continue
		}
		c := a.node.connection
		start := c.latest(taskStart, nil)
		if start != nil {
			rn.relate(start, a, relBlock|relGuestOK)
		} else if len(c.active) == 0 {
			a.runnable = false
		}
		rn.propagate(a)
		for i := len(a.after) - 1; i >= 0; i-- {
			rn.propagate(a.after[i].then)
		}
	}
}

// afterStart orders a after the start of a connection or container. The kinds
// are none that a configured order would have, which would hide these (SEMANTICS
// 25.1).
func (rn *run) afterStart(r *resource, a *action, more relKind) {
	rn.order(of(r, taskStart), exactly(a), relBlock|relGuestOK|more)
}

// beforeStop orders a before the stop of a connection.
func (rn *run) beforeStop(a *action, connection *resource, more relKind) {
	rn.order(exactly(a), of(connection, taskStop), relGuestOK|more)
}

func (rn *run) orderGuestAction(a *action, connection *resource) {
	container := connection.container
	if container == nil {
		return
	}
	if container.failed {
		rn.fenceNode(a.node, "container failed", false)
	}
	switch a.task {
	case taskStart, taskPromote:
		rn.afterStart(container, a, relImply)
		rn.afterStart(connection, a, relNone)
	case taskStop, taskDemote, taskMigrateTo, taskMigrateFrom: // the same connection carries them
		if !container.failed { // else implied by the stop of the container
			rn.beforeStop(a, connection, relSeq)
		}
	default:
		switch {
		case a.interval == 0:
			rn.afterStart(connection, a, relNone)
		case a.task != taskCancel:
			rn.afterStart(connection, a, relImply)
		}
	}
}

// connectionState is what can be expected of a remote node's connection.
type connectionState uint8

const (
	connectionAlive   connectionState = iota
	connectionUnknown                 // not running yet
	connectionResting                 // on its way to another host
	connectionStopped                 // cleanly going away
	connectionFailed                  // lost for good
)

func (rn *run) connectionState(n *node) connectionState {
	c := n.connection
	host := c.current()
	if c.nextRole == roleStopped || c.assigned == nil {
		switch {
		case host != nil && host.unclean:
			return connectionFailed
		case !c.failed:
			return connectionStopped
		case c.nextRole == roleStopped && c.reconnect > 0 && n.wasFenced && !n.shutdownRequested():
			return connectionUnknown
		}
		return connectionFailed
	}
	switch {
	case host == nil:
		return connectionUnknown
	case host.unclean || !host.online:
		return connectionResting
	case len(c.active) > 1 && c.partialSource != nil && c.partialTarget != nil:
		return connectionResting
	}
	return connectionAlive
}

// shutdownRequested tells whether the node was asked to leave.
func (n *node) shutdownRequested() bool {
	v := n.attrs["shutdown"]
	return v != "" && v != "0"
}

func (rn *run) orderRemoteAction(a *action, c *resource) {
	state := rn.connectionState(a.node)
	switch {
	case a.task == taskStart || a.task == taskPromote:
		if state == connectionFailed {
			rn.afterStart(c, a, relImply)
		} else {
			rn.afterStart(c, a, relNone)
		}
	case a.task == taskStop || a.task == taskMigrateTo || a.task == taskMigrateFrom: // the same connection carries them
		switch {
		case state == connectionAlive:
			rn.beforeStop(a, c, relImplyBack)
		case state == connectionFailed:
			// Fencing is the only way to stop it.
			rn.fenceNode(a.node, "resources are active but connection is unrecoverable", false)
		case c.nextRole == roleStopped:
			rn.beforeStop(a, c, relImplyBack)
		default:
			rn.afterStart(c, a, relNone)
		}
	case a.task == taskDemote:
		if state == connectionResting || state == connectionUnknown {
			rn.afterStart(c, a, relNone)
		}
	case a.interval != 0 && a.task != taskCancel:
		rn.afterStart(c, a, relImply)
	default:
		if a.task == taskMonitor && state == connectionFailed {
			rn.fenceNode(a.node, "resources are in unknown state and connection is unrecoverable", false)
		}
		switch {
		case c.current() == nil || state != connectionStopped:
			rn.afterStart(c, a, relNone)
		case a.task == taskCancel: // what cannot be cancelled since it is stopped keeps nothing up
			rn.order(exactly(a), of(c, taskStop), relSeq)
		default:
			rn.beforeStop(a, c, relBlock)
		}
	}
}

// router is the cluster node whose connection carries an action on a remote or
// guest node, nil if it needs none.
func (rn *run) router(a *action) *node {
	n := a.node
	if n == nil || !n.behindConnection() || n.connection == nil {
		return nil
	}
	c := n.connection
	began, ended := c.current(), c.assigned
	switch {
	case began == nil:
		return ended
	case ended == nil || began == ended:
		return began
	}
	task := a.task
	if task == taskNotify {
		task = notifiedTask(a)
	}
	switch task {
	case taskStop, taskDemote, taskCancel, taskMigrateFrom, taskMigrateTo:
		if c.partialTarget != nil && c.allowMigrate {
			return ended
		}
		return began
	}
	return ended
}
