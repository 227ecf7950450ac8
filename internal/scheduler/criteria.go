package scheduler

// applyNodeCriteria applies to every resource what decides by itself where it
// may run: shutdown locks, locations, stickiness, failures, exclusive discovery.
func (rn *run) applyNodeCriteria() {}
