package scheduler

// readResources creates the resources with their instances and the resources
// that guests and bundles imply, and sorts them into list order (SEMANTICS 2,
// 3, 5, 28, 29).
func (rn *run) readResources() {}

// newInstance adds an instance to a clone, numbered after the existing ones.
func (rn *run) newInstance(clone *resource) *resource { return nil }

// params returns the agent parameters of r as evaluated for n (nil: no node).
// The map is shared: not to be changed.
func (rn *run) params(r *resource, n *node) map[string]string { return nil }
