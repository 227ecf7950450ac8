package scheduler

// relKind is a set of the kinds of relations of SEMANTICS 22.
type relKind uint32

const (
	relSeq relKind = 1 << iota
	relImply
	relImplyBack
	relPromotedBack
	relBlock
	relRestart
	relMigrBlock
	relElseReal
	relMin
	relAsym
	relCancel
	relShowThen
	relShowFirst
	relSameNodeImply
	relIfSameNode
	relIfRequiredSameNode
	relIfNodeOrTarget
	relIfUnmigratable
	relSerial
	relGuestOK
	relNestedProbe

	relNone relKind = 0
)

// relation makes then wait for first, with the further effects of its kind. A
// kind of relNone means that it is void.
type relation struct {
	first, then *action
	kind        relKind
}

// ordering is a relation not yet bound to actions: each side is a resource and
// a task, or one action.
type ordering struct {
	kind        relKind
	first, then orderSide
}

// orderSide is one side of an ordering: all actions of a resource with a task
// and interval 0, or one action.
type orderSide struct {
	resource *resource // nil for an action without resource
	task     string
	action   *action // if set, this very action
}

// of is the side "every action of r with this task".
func of(r *resource, task string) orderSide { return orderSide{resource: r, task: task} }

// exactly is the side "this action".
func exactly(a *action) orderSide {
	return orderSide{resource: a.resource, task: a.key, action: a}
}

// isTask tells whether the side is about one-off actions of that task.
func (s orderSide) isTask(task string) bool {
	return s.task == task && (s.action == nil || s.action.interval == 0)
}

// has tells whether all kinds of o are in k.
func (k relKind) has(o relKind) bool { return k&o == o }

// order adds an ordering, to be bound to actions once all of those exist. Where
// live migration makes it necessary, it adds the orderings that follow from
// it for migrations (SEMANTICS 21).
func (rn *run) order(first, then orderSide, kind relKind) {
	o := rn.orderingSlab.take()
	*o = ordering{kind: kind, first: first, then: then}
	rn.orderings = append(rn.orderings, o)
	a, b := first.resource, then.resource
	if a == nil || b == nil || a == b || a.within(b) || b.within(a) || !b.allowMigrate {
		return
	}
	side := of(b, taskMigrateTo)
	switch {
	case first.isTask(taskStart) && then.isTask(taskStart):
		flags := relSeq // what keeps the start from happening ends the migration through it
		if a.allowMigrate {
			rn.order(of(a, taskMigrateFrom), side, relSeq)
			flags |= relIfUnmigratable
		}
		rn.order(of(a, taskStart), side, flags)
	case first.isTask(taskStop) && then.isTask(taskStop):
		flags := relSeq
		if a.allowMigrate {
			flags |= relIfUnmigratable
		}
		rn.order(of(a, taskStop), side, flags)
		if b.partialTarget != nil {
			rn.order(of(a, taskStop), of(b, taskMigrateFrom), flags)
		}
	case first.isTask(taskPromote) && then.isTask(taskStart):
		rn.order(of(a, taskPromote), side, kind)
	case first.isTask(taskDemote) && then.isTask(taskStop):
		rn.order(of(a, taskDemote), side, kind)
		if b.partialTarget != nil {
			rn.order(of(a, taskDemote), of(b, taskMigrateFrom), kind)
		}
	}
}

// within tells whether p is an ancestor of r.
func (r *resource) within(p *resource) bool {
	for r = r.parent; r != nil; r = r.parent {
		if r == p {
			return true
		}
	}
	return false
}

// appendOneOfFew is append for lists that rarely stay with one or two relations.
func appendOneOfFew(list []*relation, o *relation) []*relation {
	if list == nil {
		list = make([]*relation, 0, 4)
	}
	return append(list, o)
}

// relate makes then wait for first at once. A relation that repeats a kind
// already present between the two is not added again; it reports whether it
// was added.
func (rn *run) relate(first, then *action, kind relKind) bool {
	if kind == relNone || first == nil || then == nil {
		return false
	}
	if len(first.after) <= len(then.before) {
		for _, o := range first.after {
			if o.then == then && o.kind&kind != 0 {
				return false
			}
		}
	} else {
		for _, o := range then.before {
			if o.first == first && o.kind&kind != 0 {
				return false
			}
		}
	}
	o := rn.relationSlab.take()
	*o = relation{first: first, then: then, kind: kind}
	first.after = appendOneOfFew(first.after, o)
	then.before = appendOneOfFew(then.before, o)
	return true
}
