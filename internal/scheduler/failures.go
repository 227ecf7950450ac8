package scheduler

// failCount is the number of failures of r on n, those of resources inside it
// included for a container, and the moment of the last one (epoch seconds, 0 if
// unknown). With effective, expired failures do not count (SEMANTICS 9).
func (rn *run) failCount(r *resource, n *node, effective bool) (count score, last int64) {
	return 0, 0
}
