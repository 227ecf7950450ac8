package scheduler

// readOrders turns the configured ordering constraints into orderings
// (SEMANTICS 24).
func (rn *run) readOrders() {}

// builtinOrders adds the orderings inside and around every resource
// (SEMANTICS 23, 28, 29).
func (rn *run) builtinOrders() {}

// evaluateOrders binds orderings to actions and propagates what they imply
// (SEMANTICS 25).
func (rn *run) evaluateOrders() {}
