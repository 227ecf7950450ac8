package scheduler

import (
	"strings"

	"linuxha/internal/cluster"
)

// orderKind is the kind of a configured ordering (SEMANTICS 24).
type orderKind uint8

const (
	orderMandatory orderKind = iota
	orderOptional
	orderSerialize
)

// direction says which orderings a configured one gives: forward only, forward
// of a symmetrical one, or its inverse.
type direction uint8

const (
	oneWay direction = iota
	forward
	inverse
)

// readOrders turns the configured ordering constraints into orderings
// (SEMANTICS 24).
func (rn *run) readOrders() {
	for i := range rn.config.Orders {
		o := &rn.config.Orders[i]
		kind := parseOrderKind(o.Kind, o.Score, orderMandatory)
		both := symmetrical(o.Symmetrical, kind)
		sets := rn.expandSets(o.Sets)
		if len(sets) == 0 {
			first, then, needed, _, ok := rn.expandPair(o.First, o.Then)
			if !ok {
				continue
			}
			if needed {
				// As sets, both default to start: the second does not follow the first.
				first.Action, then.Action = o.FirstAction, o.ThenAction
				sets = []cluster.ResourceSet{first, then}
			}
		}
		if len(sets) == 0 {
			rn.simpleOrder(o, kind, both)
			continue
		}
		var last *orderSet
		for j := range sets {
			set := rn.readOrderSet(&sets[j])
			if set == nil {
				rn.warn("ordering constraint " + o.ID + " counts only up to its set number " + itoa(j+1) + ": that names a resource that does not exist")
				break
			}
			if set.id == "" { // our language does not ask for one
				set.id = o.ID + "-set-" + itoa(j+1)
			}
			if len(set.members) == 0 {
				continue
			}
			rn.orderInSet(o, set, kind, both)
			if last != nil {
				rn.orderSetPair(o, last, set, kind, both)
			}
			last = set
		}
	}
}

func parseOrderKind(kind, score string, def orderKind) orderKind {
	switch {
	case strings.EqualFold(kind, "Optional"):
		return orderOptional
	case strings.EqualFold(kind, "Serialize"):
		return orderSerialize
	case kind != "":
		return orderMandatory
	case score != "":
		if parseScore(score, 0) == 0 {
			return orderOptional
		}
		return orderMandatory
	}
	return def
}

// symmetrical tells whether the inverse of an ordering holds too.
func symmetrical(text string, kind orderKind) bool {
	return kind != orderSerialize && boolOr(text, true)
}

// kinds gives the kinds of relation that a configured ordering means.
func (k orderKind) kinds(firstAction string, d direction) relKind {
	switch {
	case k == orderOptional:
		return relSeq
	case k == orderSerialize:
		return relSeq | relSerial
	case d == oneWay:
		return relSeq | relAsym
	case d == inverse:
		return relSeq | relImplyBack
	case firstAction == taskStart || firstAction == taskPromote:
		return relSeq | relImply | relBlock
	}
	return relSeq | relImply
}

// invert gives the task that undoes a task, "" if there is none.
func invert(task string) string {
	switch task {
	case taskStart:
		return taskStop
	case taskStop:
		return taskStart
	case taskPromote:
		return taskDemote
	case taskDemote:
		return taskPromote
	}
	return ""
}

func (rn *run) simpleOrder(o *cluster.Order, kind orderKind, both bool) {
	first, then := rn.constraintResource(o.First), rn.constraintResource(o.Then)
	if first == nil || then == nil {
		return
	}
	firstAction := orDefault(o.FirstAction, taskStart)
	thenAction := orDefault(o.ThenAction, firstAction)
	way := oneWay
	if both {
		way = forward
	}
	kinds := kind.kinds(firstAction, way)
	if need := minimumOf(first, o.RequireAll); need > 0 {
		point := rn.globalPoint("one-or-more:" + o.ID)
		point.needsAny = true
		point.minimum = need
		for _, each := range first.children {
			rn.order(of(each, firstAction), exactly(point), relMin|relShowThen)
		}
		rn.order(exactly(point), of(then, thenAction), kinds|relBlock)
	} else {
		rn.order(of(first, firstAction), of(then, thenAction), kinds)
	}
	if !both {
		return
	}
	firstAction, thenAction = invert(firstAction), invert(thenAction)
	if firstAction != "" && thenAction != "" {
		rn.order(of(then, thenAction), of(first, firstAction), kind.kinds(firstAction, inverse))
	}
}

// minimumOf is the number of instances that must be able to act before what is
// ordered after the clone may; 0 for all.
func minimumOf(first *resource, requireAll string) int {
	if !first.isClone() {
		return 0
	}
	if _, set := first.meta["clone-min"]; set {
		return first.clone.min
	}
	if requireAll != "" && !isTrue(requireAll) {
		return 1
	}
	return 0
}

func orDefault(text, def string) string {
	if text == "" {
		return def
	}
	return text
}

// orderSet is one set of a configured ordering, evaluated.
type orderSet struct {
	id         string
	members    []*resource
	action     string
	kind       string
	sequential string // "" if unset, which means different things inside and between sets
	requireAll bool
}

// readOrderSet returns nil if a member is unknown (inside a bundle, for one,
// where nothing can be ordered by itself).
func (rn *run) readOrderSet(s *cluster.ResourceSet) *orderSet {
	set := &orderSet{id: s.ID, action: orDefault(s.Action, taskStart), kind: s.Kind, sequential: s.Sequential, requireAll: boolOr(s.RequireAll, true)}
	for _, id := range s.Resources {
		r := rn.constraintResource(id)
		if r == nil {
			return nil
		}
		set.members = append(set.members, r)
	}
	return set
}

// orderInSet orders the members of one set.
func (rn *run) orderInSet(o *cluster.Order, set *orderSet, parent orderKind, both bool) {
	kind := parseOrderKind(set.kind, "", parent)
	if kind == orderSerialize {
		both = false
	}
	way := oneWay
	if both {
		way = forward
	}
	kinds := kind.kinds(set.action, way)
	if kind == orderSerialize {
		for i, r := range set.members {
			for _, later := range set.members[i+1:] {
				rn.order(of(r, set.action), of(later, set.action), kinds)
			}
		}
		return
	}
	if !boolOr(set.sequential, true) {
		return
	}
	undo := invert(set.action)
	for i := 1; i < len(set.members); i++ {
		rn.order(of(set.members[i-1], set.action), of(set.members[i], set.action), kinds)
	}
	if !both || undo == "" {
		return
	}
	for i := 1; i < len(set.members); i++ {
		rn.order(of(set.members[i], undo), of(set.members[i-1], undo), kind.kinds(undo, inverse))
	}
}

// orderSetPair orders neighbouring sets.
func (rn *run) orderSetPair(o *cluster.Order, a, b *orderSet, kind orderKind, both bool) {
	way := oneWay
	if both {
		way = forward
	}
	// Between sets, an unset sequential counts as false.
	seqA, seqB := boolOr(a.sequential, false), boolOr(b.sequential, false)
	kinds := kind.kinds(b.action, way) // odd: between sets, the later one's action decides
	if !a.requireAll && a.action != taskStop && a.action != taskDemote {
		rn.orderAnyOf(o, a, b.members, a.action, b.action, kinds)
	} else {
		firsts, thens := a.members, b.members
		if seqA {
			firsts = firsts[len(firsts)-1:]
		}
		if seqB {
			thens = thens[:1]
		}
		rn.orderEach(o, firsts, a.action, thens, b.action, kinds)
	}
	if !both {
		return
	}
	undoA, undoB := invert(a.action), invert(b.action)
	if undoA == "" || undoB == "" {
		return
	}
	kinds = kind.kinds(undoB, inverse)
	if !b.requireAll && undoB != taskStop && undoB != taskDemote {
		rn.orderAnyOf(o, b, a.members, undoB, undoA, kinds)
		return
	}
	firsts, thens := b.members, a.members
	if seqB {
		firsts = firsts[:1]
	}
	if seqA {
		thens = thens[len(thens)-1:]
	}
	rn.orderEach(o, firsts, undoB, thens, undoA, kinds)
}

func (rn *run) orderEach(o *cluster.Order, firsts []*resource, firstAction string, thens []*resource, thenAction string, kinds relKind) {
	for _, first := range firsts {
		for _, then := range thens {
			rn.order(of(first, firstAction), of(then, thenAction), kinds)
		}
	}
}

// orderAnyOf makes thens wait until one member of a set can act.
func (rn *run) orderAnyOf(o *cluster.Order, set *orderSet, thens []*resource, firstAction, thenAction string, kinds relKind) {
	point := rn.globalPoint("one-or-more:" + set.id)
	point.needsAny = true
	for _, r := range set.members {
		rn.order(of(r, firstAction), exactly(point), relMin|relShowThen)
	}
	for _, r := range thens {
		rn.order(exactly(point), of(r, thenAction), kinds|relBlock)
	}
}
