package scheduler

// writeGraph fills Plan.Actions with what is to be done (SEMANTICS 32).
func (rn *run) writeGraph() {}
