package scheduler

// placeResources decides the node and next role of every resource.
func (rn *run) placeResources() {}
