package scheduler

// applyHealth turns node health into location scores (SEMANTICS 31).
func (rn *run) applyHealth() {}
