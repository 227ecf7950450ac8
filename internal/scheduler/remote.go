package scheduler

// orderRemoteActions relates actions on remote and guest nodes to their
// connections (SEMANTICS 28).
func (rn *run) orderRemoteActions() {}
