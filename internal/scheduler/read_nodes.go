package scheduler

// readNodes creates the nodes of the configuration, remote and guest nodes
// included (SEMANTICS 7), with their permanent attributes. Bundle nodes follow
// while resources are read.
func (rn *run) readNodes() {}
