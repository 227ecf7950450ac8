package scheduler

// newAction returns the action with this identity, creating it if need be.
// Asking for it required (not optional) removes optional; asking for it
// optional never adds it back (SEMANTICS 17).
func (rn *run) newAction(r *resource, task string, interval int64, n *node, optional bool) *action {
	return nil
}

// findAction returns the existing action with this identity, or nil.
func (rn *run) findAction(r *resource, task string, interval int64, n *node) *action {
	return rn.actionMap[keyOf(r, task, interval, n)]
}

func keyOf(r *resource, task string, interval int64, n *node) actionKey {
	k := actionKey{resource: -1, task: task, interval: interval, node: -1}
	if r != nil {
		k.resource = r.index
	}
	if n != nil {
		k.node = n.index
	}
	return k
}

// createActions creates probes and the actions that bring every resource to
// its place and role (SEMANTICS 17 to 21, 26).
func (rn *run) createActions() {}
