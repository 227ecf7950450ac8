package scheduler

// newAction returns the action with this identity, creating it if need be.
// Asking for it required (not optional) removes optional; asking for it
// optional never adds it back (SEMANTICS 17).
func (rn *run) newAction(r *resource, task string, interval int64, n *node, optional bool) *action {
	return rn.newActionAs(r, task, task, interval, n, optional)
}

// newActionAs is newAction for an action whose key differs from its task.
func (rn *run) newActionAs(r *resource, key, task string, interval int64, n *node, optional bool) *action {
	k := keyOf(r, key, interval, n)
	a := rn.actionMap[k]
	if a == nil && r != nil {
		a = rn.adopt(r, key, interval, n)
	}
	if a == nil {
		a = rn.actionSlab.take()
		*a = action{id: len(rn.actions) + 1, task: task, key: key, resource: r, node: n, interval: interval}
		a.optional, a.runnable = optional, true
		a.onDC = task == taskForget
		if r != nil && (task == taskStart || task == taskPromote) {
			a.requires = r.requires
		}
		if rn.actionMap == nil {
			rn.actionMap = make(map[actionKey]*action, 2*len(rn.all))
		}
		rn.actionMap[k] = a
		rn.actions = append(rn.actions, a)
		if r != nil {
			r.addAction(a)
			if interval != 0 {
				a.op = rn.operation(r, task, interval, n)
			}
		}
	}
	switch {
	case r != nil && n != nil && !r.managed && interval == 0 && !a.pseudo:
		a.optional = true
	case !optional:
		a.optional = false
	}
	if r != nil {
		rn.updateRunnable(a)
	}
	return a
}

// adopt finds the action that stands for one not found under its exact
// identity: asked for on no node, one on any node; asked for on a node, one
// that was created without and now gets it.
func (rn *run) adopt(r *resource, key string, interval int64, n *node) *action {
	if n == nil {
		if interval == 0 {
			if all := r.actionsOf(key); len(all) > 0 {
				return all[0]
			}
			return nil
		}
		for _, a := range r.actions {
			if a.key == key && a.interval == interval {
				return a
			}
		}
		return nil
	}
	nowhere := keyOf(r, key, interval, nil)
	a := rn.actionMap[nowhere]
	if a != nil {
		a.node = n
		delete(rn.actionMap, nowhere)
		rn.actionMap[keyOf(r, key, interval, n)] = a
	}
	return a
}

// newPoint creates a synchronisation point of a collective resource.
func (rn *run) newPoint(r *resource, task string, optional, runnable bool) *action {
	a := rn.newAction(r, task, 0, nil, optional)
	a.pseudo = true
	if runnable {
		a.runnable = true
	}
	return a
}

// globalPoint returns the synchronisation point of that name that belongs to no
// resource. It is optional until something requires it.
func (rn *run) globalPoint(name string) *action {
	a := rn.newAction(nil, name, 0, nil, true)
	a.pseudo = true
	return a
}

func (rn *run) startAction(r *resource, n *node, optional bool) *action {
	return rn.newAction(r, taskStart, 0, n, optional)
}

func (rn *run) stopAction(r *resource, n *node, optional bool) *action {
	return rn.newAction(r, taskStop, 0, n, optional)
}

// clearFailures schedules that the failures of r on n are forgotten.
func (rn *run) clearFailures(r *resource, n *node, reason string) *action {
	a := rn.newAction(r, taskClearFail, 0, n, false)
	if a.reason == "" {
		a.reason = reason
	}
	return a
}

// cleanup schedules that n forgets r, between its stop and its start. If that is
// optional, either of those makes it required.
func (rn *run) cleanup(r *resource, n *node, optional bool) {
	if r.failed || n.unclean || !n.online {
		return
	}
	rn.newAction(r, taskDelete, 0, n, optional)
	kind := relSeq
	if optional {
		kind = relImply
	}
	rn.order(of(r, taskStop), of(r, taskDelete), kind)
	rn.order(of(r, taskDelete), of(r, taskStart), kind)
}

// updateRunnable decides whether an action of a resource can be carried out,
// relations aside (SEMANTICS 17, "Runnable at creation").
func (rn *run) updateRunnable(a *action) {
	if a.pseudo {
		return
	}
	r, n := a.resource, a.node
	switch {
	case n == nil:
		a.runnable = false
	case !a.onDC && !n.online && (!n.isGuest() || n.requiresReset):
		a.runnable = false
		if r.managed && a.task == taskStop && !n.unclean {
			rn.fenceNode(n, r.id+" "+a.task+" is unrunnable", false)
		}
	case !a.onDC && n.pending:
		a.runnable = false
	case a.requires == requireNothing:
		a.runnable = !n.isGuest() || rn.canFence(n)
	default:
		switch rn.effectivePolicy(r) {
		case noQuorumStop:
			a.runnable = false
		case noQuorumFreeze:
			// What was asked for before it had a node stays unrunnable: a restart for
			// new parameters only stops.
			if len(r.active) == 0 || r.nextRole > r.role {
				a.runnable = false
			}
		default:
			a.runnable = true
		}
	}
}

// effectivePolicy is what the no-quorum policy means for r: ignore with quorum;
// with policy demote, promotable instances may stay, unpromoted.
func (rn *run) effectivePolicy(r *resource) noQuorumPolicy {
	policy := rn.options.noQuorum
	if rn.quorate {
		return noQuorumIgnore
	}
	if policy == noQuorumDemote {
		if r.role < roleUnpromoted {
			return noQuorumStop
		}
		if r.nextRole > roleUnpromoted {
			r.nextRole = roleUnpromoted
		}
		return noQuorumIgnore
	}
	return policy
}

// findAction returns the existing action with this identity, or nil.
func (rn *run) findAction(r *resource, key string, interval int64, n *node) *action {
	return rn.actionMap[keyOf(r, key, interval, n)]
}

func keyOf(r *resource, key string, interval int64, n *node) actionKey {
	k := actionKey{resource: -1, key: key, interval: interval, node: -1}
	if r != nil {
		k.resource = r.index
	}
	if n != nil {
		k.node = n.index
	}
	return k
}

// keyedActions are the one-off actions of one resource with one key, in order of
// creation.
type keyedActions struct {
	key  string
	list []*action
}

// actionsOf returns the one-off actions of r with that key, oldest first. The
// list is r's own.
func (r *resource) actionsOf(key string) []*action {
	for i := range r.byKey {
		if r.byKey[i].key == key {
			return r.byKey[i].list
		}
	}
	return nil
}

func (r *resource) addAction(a *action) {
	r.actions = append(r.actions, a)
	if a.interval != 0 {
		return
	}
	for i := range r.byKey {
		if r.byKey[i].key == a.key {
			r.byKey[i].list = append(r.byKey[i].list, a)
			return
		}
	}
	r.byKey = append(r.byKey, keyedActions{a.key, []*action{a}})
}

// actionOn returns the oldest one-off action of r with that key on n, or nil.
func (r *resource) actionOn(key string, n *node) *action {
	for _, a := range r.actionsOf(key) {
		if a.node == n {
			return a
		}
	}
	return nil
}

// latest returns the newest one-off action of r with that key, on n unless n is
// nil.
func (r *resource) latest(key string, n *node) *action {
	list := r.actionsOf(key)
	for i := len(list) - 1; i >= 0; i-- {
		if n == nil || list[i].node == n {
			return list[i]
		}
	}
	return nil
}
