package scheduler

// readStatus turns node states, transient attributes and operation history into
// what is active where, and what has failed (SEMANTICS 7 to 9).
func (rn *run) readStatus() {}

// canFence tells whether n can be fenced (SEMANTICS 27).
func (rn *run) canFence(n *node) bool { return false }

// fenceNode marks n as one that must be fenced. With priority, it was lost from
// membership, so that priority-fencing-delay applies.
func (rn *run) fenceNode(n *node, reason string, priority bool) {}
