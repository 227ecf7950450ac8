package scheduler

// evaluateOrders binds orderings to actions, in order of their creation, and
// propagates what they imply until nothing changes (SEMANTICS 25).
func (rn *run) evaluateOrders() {
	for i := 0; i < len(rn.orderings); i++ {
		o := rn.orderings[i]
		switch {
		case o.first.resource != nil:
			rn.bindFirst(o)
		case o.then.resource != nil:
			rn.bindThen(o.first.action, o)
		default:
			rn.relate(o.first.action, o.then.action, o.kind)
		}
	}
	for i := len(rn.actions) - 1; i >= 0; i-- {
		rn.blockDependents(rn.actions[i])
	}
	rn.orderProbes()
	rn.propagateAll()
	rn.connectRealStarts()
	rn.dropInvalid()
}

func (rn *run) propagateAll() {
	for i := len(rn.actions) - 1; i >= 0; i-- {
		rn.propagate(rn.actions[i])
	}
}

// bindFirst turns an ordering into relations from every matching action of its
// first side. If there is none, a stand-in that cannot run keeps the then side
// waiting, except where the first is down already.
func (rn *run) bindFirst(o *ordering) {
	r := o.first.resource
	if a := o.first.action; a != nil {
		rn.bindTo(a, o)
		return
	}
	firsts := r.actionsOf(o.first.task)
	if len(firsts) == 0 {
		if r == o.then.resource ||
			o.first.task == taskStop && r.state() == roleStopped ||
			o.first.task == taskDemote && r.state() == roleUnpromoted {
			return
		}
		rn.bindTo(rn.newAction(r, o.first.task, 0, nil, true), o)
		return
	}
	for _, first := range firsts {
		rn.bindTo(first, o)
	}
}

func (rn *run) bindTo(first *action, o *ordering) {
	if o.then.resource == nil {
		rn.relate(first, o.then.action, o.kind)
	} else {
		rn.bindThen(first, o)
	}
}

func (rn *run) bindThen(first *action, o *ordering) {
	if o.then.action != nil {
		rn.bindPair(first, o.then.action, o)
		return
	}
	for _, then := range o.then.resource.actionsOf(o.then.task) {
		rn.bindPair(first, then, o)
	}
}

func (rn *run) bindPair(first, then *action, o *ordering) {
	kind := o.kind
	if first == nil {
		then.runnable = false
		return
	}
	if first.resource == then.resource && first.dangling {
		kind &^= relImply
	}
	rn.relate(first, then, kind)
}

// state is the present role of r: of a group or clone, the highest of any part.
// A bundle has none of its own.
func (r *resource) state() role {
	switch {
	case r.isPrimitive():
		return max(r.role, roleStopped)
	case r.isBundle():
		return roleUnknown
	}
	highest := roleUnknown
	for _, c := range r.children {
		highest = max(highest, c.state())
	}
	return highest
}

// blockDependents: where an unrunnable start or promote leaves a resource (all
// instances of it) without the wanted role, what must run with it cannot start
// or be promoted either.
func (rn *run) blockDependents(a *action) {
	if a.runnable || a.resource == nil || a.task != taskStart && a.task != taskPromote {
		return
	}
	r := a.resource.top()
	for _, c := range r.parts() {
		if each := c.latest(a.task, nil); each == nil || each.runnable {
			return
		}
	}
	for _, c := range r.withThis {
		if !c.mandatory() || a.task == taskPromote && c.primaryRole != rolePromoted {
			continue
		}
		task := taskStart
		if c.dependentRole == rolePromoted {
			task = taskPromote
		}
		rn.blockTask(c.dependent, task, a)
	}
}

func (rn *run) blockTask(r *resource, task string, why *action) {
	for _, a := range r.actions {
		if a.task == task && a.runnable {
			a.runnable = false
			a.because(why, "blocked by "+why.resource.id+" "+why.task)
			rn.blockDependents(a)
			rn.propagate(a)
			for i := len(a.after) - 1; i >= 0; i-- {
				rn.propagate(a.after[i].then) // its monitors, for one
			}
		}
	}
	for _, c := range r.parts() {
		rn.blockTask(c, task, why)
	}
}

// because notes the first reason why an action became what it is.
func (a *action) because(first *action, reason string) {
	if a.reason == "" {
		a.reason = reason
	}
}

// changes tells which side of a relation an update changed.
type changes struct{ first, then bool }

func (c *changes) add(o changes) {
	c.first = c.first || o.first
	c.then = c.then || o.then
}

// propagate applies the relations in which then is the later one, and follows up
// on what changes.
func (rn *run) propagate(then *action) {
	var changed changes
	last := then.actionFlags
	if then.needsAny {
		then.ready = 0
		then.minimum = max(then.minimum, 1)
		then.runnable = false
	}
	for i := len(then.before) - 1; i >= 0; i-- {
		changed.first = false
		rn.evaluateRelation(then.before[i], &changed)
		if changed.first {
			first := then.before[i].first
			for j := len(first.after) - 1; j >= 0; j-- {
				rn.propagate(first.after[j].then)
			}
			rn.propagate(first)
		}
	}
	if then.needsAny {
		changed.then = last != then.actionFlags
	}
	if !changed.then {
		return
	}
	if last.runnable && !then.runnable {
		rn.blockDependents(then)
	}
	rn.propagate(then)
	for j := len(then.after) - 1; j >= 0; j-- {
		rn.propagate(then.after[j].then)
	}
}

// evaluateRelation applies one relation.
func (rn *run) evaluateRelation(o *relation, changed *changes) {
	first, then := o.first, o.then
	if o.kind == relNone {
		return
	}
	firstNode, thenNode := first.node, then.node
	if first.resource != nil && first.resource.isGroup() && first.task == taskStart {
		firstNode = first.resource.onlyNode(false)
	}
	if then.resource != nil && then.resource.isGroup() && then.task == taskStart {
		thenNode = then.resource.onlyNode(false)
	}
	if o.kind.has(relIfSameNode) && firstNode != nil && thenNode != nil && firstNode != thenNode {
		o.kind = relNone
		return
	}
	if first.resource != nil && o.kind.has(relCancel) && !then.optional {
		first.optional = true
		if first.task == taskReload {
			first.resource.reload = false
		}
	}
	if first.resource != nil && then.resource != nil && first.resource != then.resource && !then.resource.within(first.resource) {
		first = completionOf(first)
	}
	firstFlags := rn.flagsFor(first, thenNode)
	thenFlags := rn.flagsFor(then, firstNode)
	if first == o.first {
		changed.add(rn.applyRelation(first, then, firstFlags, thenFlags, o))
		return
	}
	if rn.relate(first, then, o.kind) {
		changed.then = true
		o.kind = relNone
	}
}

// completionOf returns what others have to wait for if they are ordered after
// the action of a collective: its completion, or with notifications the
// confirmation that all instances know of it. A bundle that says notify itself has
// no such confirmation, only its content has: what is ordered after it does not
// wait for it (recorded as bundle-order-partial-start).
func completionOf(a *action) *action {
	r := a.resource
	if r.isPrimitive() || a.interval != 0 {
		return a
	}
	var done string
	switch a.key {
	case taskStart, taskRunning:
		done = taskRunning
	case taskStop, taskStopped:
		done = taskStopped
	case taskPromote, taskPromoted:
		done = taskPromoted
	case taskDemote, taskDemoted:
		done = taskDemoted
	default:
		return a
	}
	if r.notify && (r.isClone() || r.isBundle()) {
		done = "confirmed-post_notify_" + done
	}
	if found := r.actionOn(done, nil); found != nil {
		return found
	}
	return a
}

// dropInvalid voids relations that cannot be kept: of what runs in a guest with
// the resource that creates it, and what would close a cycle of moving loads.
func (rn *run) dropInvalid() {
	for i := len(rn.actions) - 1; i >= 0; i-- {
		before := rn.actions[i].before
		for j := len(before) - 1; j >= 0; j-- {
			if rn.invalid(before[j]) {
				before[j].kind = relNone
			}
		}
	}
}

func (rn *run) invalid(o *relation) bool {
	then, n := o.then, o.first.node
	if !o.kind.has(relGuestOK) && then.resource != nil && n != nil && n.isGuest() &&
		then.resource == n.container() && o.first.resource != nil {
		return true
	}
	return o.kind == relIfNodeOrTarget && then.resource != nil && then.task == taskMigrateTo &&
		rn.leadsBack(then, o)
}
