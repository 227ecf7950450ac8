package scheduler

// compareHistory compares recorded parameter digests and operations with the
// configuration (SEMANTICS 20).
func (rn *run) compareHistory() {}
