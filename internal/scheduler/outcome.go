package scheduler

// writeOutcome fills the rest of the plan: nodes, placements, reasons, scores.
func (rn *run) writeOutcome() {}
