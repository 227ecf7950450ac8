package scheduler

// effect is one kind of relation being applied, with the properties of the
// first action as far as they matter here.
type effect struct {
	kind       relKind
	first      actionFlags // of the first action, for the node in question
	onOptional bool        // the effect may change whether an action is optional
	onRunnable bool        // the effect may change whether an action is runnable
	node       *node       // nil: any
}

// applyRelation applies all kinds of one relation, to every instance and member
// concerned (SEMANTICS 22).
func (rn *run) applyRelation(first, then *action, firstFlags, thenFlags actionFlags, o *relation) changes {
	var changed changes
	n := then.node
	if o.kind.has(relSameNodeImply) {
		o.kind = o.kind&^relSameNodeImply | relImply
		n = first.node
	}
	apply := func(r *resource, kind relKind, optional, runnable bool) {
		changed.add(rn.update(r, first, then, effect{kind: kind, first: firstFlags, onOptional: optional, onRunnable: runnable, node: n}))
	}

	if o.kind.has(relImply) {
		if then.resource != nil {
			apply(then.resource, relImply, true, false)
		} else if !firstFlags.optional && then.optional {
			then.optional = false
			changed.then = true
		}
	}
	if o.kind.has(relRestart) && then.resource != nil {
		apply(then.resource, relRestart, true, true)
	}
	if o.kind.has(relImplyBack) {
		if first.resource != nil {
			apply(first.resource, relImplyBack, true, false)
		} else if !firstFlags.optional && first.runnable {
			first.runnable = false
			changed.first = true
		}
	}
	if o.kind.has(relPromotedBack) && then.resource != nil {
		apply(then.resource, relPromotedBack, true, false)
	}
	if o.kind.has(relMin) {
		if then.resource != nil {
			apply(then.resource, relMin, false, true)
		} else if firstFlags.runnable {
			then.ready++
			if then.ready >= then.minimum && !then.runnable {
				then.runnable = true
				changed.then = true
			}
		}
	}
	if o.kind.has(relNestedProbe) && then.resource != nil {
		if !firstFlags.runnable && first.resource != nil && len(first.resource.active) > 0 {
			o.kind = relNone
		} else {
			apply(then.resource, relBlock, false, true)
		}
	}
	if o.kind.has(relBlock) {
		if then.resource != nil {
			apply(then.resource, relBlock, false, true)
		} else if !firstFlags.runnable && then.runnable {
			then.runnable = false
			changed.then = true
		}
	}
	if o.kind.has(relMigrBlock) && then.resource != nil {
		apply(then.resource, relMigrBlock, true, false)
	}
	if o.kind.has(relElseReal) && then.resource != nil {
		apply(then.resource, relElseReal, true, false)
	}
	if o.kind.has(relSeq) && then.resource != nil {
		apply(then.resource, relSeq, false, true)
	}
	if o.kind.has(relAsym) && then.resource != nil {
		apply(then.resource, relAsym, false, true)
	}

	if first.runnable && o.kind.has(relShowThen) && !firstFlags.optional {
		then.always = true
	}
	if o.kind.has(relShowFirst) && !thenFlags.optional {
		first.always = true
	}
	if o.kind&(relImply|relImplyBack|relRestart) != 0 && first.resource != nil &&
		!first.resource.managed && first.resource.blocked && !first.runnable && first.task == taskStop && then.runnable {
		then.runnable = false
		changed.then = true
	}
	return changed
}

// update applies an effect to then (and to first), as resource r understands it:
// collectives pass it on to what is in them.
func (rn *run) update(r *resource, first, then *action, e effect) changes {
	switch {
	case r.isPrimitive():
		return rn.updatePair(first, then, e)
	case r.isGroup():
		return rn.updateGroup(first, then, e)
	default:
		return rn.updateInstances(first, then, e)
	}
}

// updatePair applies an effect to two actions.
func (rn *run) updatePair(first, then *action, e effect) changes {
	firstWas, thenWas := first.actionFlags, then.actionFlags

	if e.kind.has(relAsym) {
		asymmetric(first, then)
	}
	if e.kind.has(relImplyBack) && !thenWas.optional {
		if e.onOptional && !e.first.optional && firstWas.optional {
			first.optional = false
		}
		if e.first.migratable && !then.migratable {
			first.migratable = false
		}
	}
	if e.kind.has(relPromotedBack) && then.resource != nil && then.resource.role == rolePromoted && !then.optional {
		first.optional = false
		if first.migratable && !then.migratable {
			first.migratable = false
		}
	}
	if e.kind.has(relMigrBlock) && e.onOptional {
		if !then.migratable || !then.runnable {
			first.runnable = false
		}
		if !then.optional {
			first.optional = false
		}
	}
	if e.kind.has(relElseReal) && e.onOptional && !first.runnable {
		then.migratable = false
		then.pseudo = false
	}
	if e.kind.has(relBlock) && e.onRunnable && then.runnable && !e.first.runnable {
		then.runnable = false
		then.migratable = false
	}
	if e.kind.has(relImply) && e.onOptional && then.optional && !e.first.optional && !first.migratable {
		then.optional = false
	}
	if e.kind.has(relRestart) {
		restart(first, then, e)
	}

	var changed changes
	if then.actionFlags != thenWas {
		changed.then = true
		then.because(first, describe(first))
		if then.resource != nil && then.resource.parent != nil {
			rn.propagate(then)
		}
	}
	if first.actionFlags != firstWas {
		changed.first = true
		first.because(then, describe(then))
	}
	return changed
}

// describe says in a few words that an action follows from another.
func describe(a *action) string {
	switch {
	case a.resource != nil && !a.runnable:
		return "unrunnable " + a.resource.id + " " + a.task
	case a.resource != nil:
		return "required " + a.resource.id + " " + a.task
	case a.node != nil:
		return a.task + " of " + a.node.name
	}
	return a.key
}

// asymmetric: what cannot be done keeps the then action from being done, except
// where that would change nothing.
func asymmetric(first, then *action) {
	r := then.resource
	if r == nil || first.runnable {
		return
	}
	if then.optional {
		state := r.state()
		if state == roleStopped && then.task == taskStop {
			return
		}
		if state >= roleStarted && then.task == taskStart && len(r.active) == 1 && r.active[0] == then.node {
			return
		}
	}
	then.optional = false
	then.runnable = false
}

// restart: a start that must or cannot happen needs the stop before it.
func restart(first, then *action, e effect) {
	cannot := e.onRunnable && !then.runnable && then.resource != nil && then.resource.managed && first.resource == then.resource
	must := e.onOptional && !then.optional
	if !cannot && !must {
		return
	}
	if first.runnable || !then.optional {
		first.optional = false
	}
	if !then.migratable {
		first.migratable = false
	}
	if !first.optional && !first.runnable {
		then.runnable = false
	}
}
