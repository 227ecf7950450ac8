package scheduler

import (
	"strconv"
	"strings"
)

// Distribution of the instances of clones, and of a bundle's containers, over
// nodes (SEMANTICS 13).

// placeInstances distributes instances, total in all and perNode per node.
// Those that can stay where they are stay.
func (rn *run) placeInstances(collective *resource, instances []*resource, total, perNode int) {
	nodes := collective.resetCounts(rn)
	optimal := 0
	if nodes > 0 {
		optimal = total / nodes
	}
	optimal = max(optimal, 1)

	assigned := 0
	for _, i := range instances {
		if assigned >= total {
			break
		}
		if i.placed {
			continue
		}
		if n := stayNode(i, optimal); n != nil && rn.placeEarly(i, n, perNode, total-assigned) {
			assigned++
			i.primitives(func(m *resource) {
				if m.assigned == nil { // a member that cannot run where the rest does
					nowhereToRun(m)
				}
			})
		}
	}
	for _, i := range instances {
		if i.placed {
			continue
		}
		if assigned >= total {
			rn.ban(i, nil, -infinity, "clone-max")
		} else if rn.placeInstance(i, nil, perNode) != nil {
			assigned++
		}
	}
}

// resetCounts zeroes the counters of instances per node and returns how many of
// the collective's nodes can run resources.
func (r *resource) resetCounts(rn *run) int {
	r.counts = make([]int32, len(rn.nodes))
	available := 0
	for i, s := range r.allowed {
		if s != absent && rn.nodes[i].available() {
			available++
		}
	}
	return available
}

// stayNode is the node that an instance is active on if it may stay there as far
// as that node's health and share of instances go; else nil.
func stayNode(i *resource, optimal int) *node {
	if len(i.active) == 0 || i.failed {
		return nil
	}
	n := i.current()
	if !n.available() || n.score < 0 {
		return nil
	}
	if i.parent.allowed.at(n) != absent && int(i.parent.counts[n.index]) >= optimal {
		return nil
	}
	return n
}

// placeEarly tries to keep an instance on its current node. Whenever the instance
// would rather go elsewhere, one instance is reserved there, on scratch
// counters, and the instance is tried again: so nodes get their share by
// preference, and instances move no more than they need to.
func (rn *run) placeEarly(i *resource, current *node, perNode, available int) bool {
	if s := i.allowed.at(current); s == absent || s < 0 || !current.available() {
		return false
	}
	parent := i.parent
	counts := parent.counts
	parent.counts = append([]int32(nil), counts...)
	saved := rn.saveScores(i)
	success := false
	for reserved := 0; reserved < available; {
		chosen := rn.placeInstance(i, current, perNode)
		if chosen == current {
			success = true
			break
		}
		saved.restore(rn)
		rn.unplace(i)
		if chosen == nil {
			break
		}
		reserved++
	}
	parent.counts = counts
	if success && parent.allowed.at(current) != absent {
		parent.counts[current.index]++
	}
	return success
}

// savedScores are the score vectors of a resource and everything in it, with how
// many contributions had been noted.
type savedScores []struct {
	resource *resource
	scores   scoreVector
	noted    int
}

func (rn *run) saveScores(r *resource) savedScores {
	var all savedScores
	var visit func(*resource)
	visit = func(r *resource) {
		all = append(all, struct {
			resource *resource
			scores   scoreVector
			noted    int
		}{r, r.allowed.clone(), len(rn.factors[r])})
		for _, c := range r.children {
			visit(c)
		}
	}
	visit(r)
	return all
}

// restore puts the vectors back; it may be called again.
func (s savedScores) restore(rn *run) {
	for _, e := range s {
		e.resource.allowed = e.scores.clone()
		if rn.opts.Reasons {
			rn.factors[e.resource] = rn.factors[e.resource][:e.noted]
		}
	}
}

// placeInstance closes the nodes that cannot take the instance and places it.
func (rn *run) placeInstance(i *resource, prefer *node, perNode int) *node {
	if i.placing {
		return nil
	}
	for k, s := range i.allowed {
		if n := rn.nodes[k]; s != absent && !canTake(i, n, perNode) {
			if n.available() {
				rn.note(i, n, instancesPerNode, -infinity)
			}
			i.allowed[k] = -infinity
			for _, m := range i.children {
				if m.allowed.at(n) != absent {
					m.allowed[k] = -infinity
				}
			}
		}
	}
	chosen := rn.place(i, prefer, prefer == nil)
	if chosen != nil && i.parent.allowed.at(chosen) != absent {
		i.parent.counts[chosen.index]++
	}
	return chosen
}

// canTake tells whether n may get the instance i of its parent.
func canTake(i *resource, n *node, perNode int) bool {
	if i.removed || !n.available() {
		return false
	}
	s := i.parent.allowed.at(n)
	return s != absent && s >= 0 && int(i.parent.counts[n.index]) < perNode
}

// sortInstances puts the instances into the order in which they are placed. The
// comparison can run in a circle (what is active on fewer nodes comes first, but what
// may not stay where it is comes after what is active nowhere); then the outcome
// depends on who is compared, so that halves are sorted and merged, as in Pacemaker.
func (rn *run) sortInstances(instances []*resource) {
	rn.sorts++
	rn.sortHalves(instances, make([]*resource, len(instances)))
}

func (rn *run) sortHalves(list, scratch []*resource) {
	if len(list) < 2 {
		return
	}
	half := len(list) / 2
	rn.sortHalves(list[:half], scratch[:half])
	rn.sortHalves(list[half:], scratch[half:])
	copy(scratch, list)
	first, second := scratch[:half], scratch[half:len(list)]
	for i := range list {
		if len(second) == 0 || len(first) > 0 && rn.compareInstances(first[0], second[0]) <= 0 {
			list[i], first = first[0], first[1:]
		} else {
			list[i], second = second[0], second[1:]
		}
	}
}

// compareInstances is negative if a is placed before b.
func (rn *run) compareInstances(a, b *resource) int {
	if na, nb := len(a.active)+a.activeAgain, len(b.active)+b.activeAgain; na > 0 && nb > 0 && na != nb {
		return na - nb
	}
	nodeA, canA := allowedCurrent(a)
	nodeB, canB := allowedCurrent(b)
	if canA != canB {
		return firstIf(canA)
	}
	if a.priority != b.priority {
		return firstIf(a.priority > b.priority)
	}
	if nodeA == nil || nodeB == nil {
		if nodeA == nil && nodeB == nil {
			return 0
		}
		return firstIf(nodeA != nil)
	}
	if nodeA.available() != nodeB.available() {
		return firstIf(nodeA.available())
	}
	inA, inB := a.parent.allowed.at(nodeA) != absent, b.parent.allowed.at(nodeB) != absent
	if !inA || !inB {
		if inA == inB {
			return 0
		}
		return firstIf(inA)
	}
	if ca, cb := a.parent.countOn(nodeA), b.parent.countOn(nodeB); ca != cb {
		return firstIf(ca < cb)
	}
	if fa, fb := anyFailed(a), anyFailed(b); fa != fb {
		return firstIf(fb)
	}
	if ca, cb := rn.preferenceInSort(a, nodeA), rn.preferenceInSort(b, nodeB); ca != cb {
		return firstIf(ca > cb)
	}
	return instanceNumber(a) - instanceNumber(b)
}

func firstIf(first bool) int {
	if first {
		return -1
	}
	return 1
}

// allowedCurrent is the node that r is active on and may stay on; ok is false if
// it is active where it may not be.
func allowedCurrent(r *resource) (n *node, ok bool) {
	n = r.current()
	if n == nil {
		return nil, true
	}
	if s := r.allowed.at(n); s == absent || s < 0 {
		return nil, false
	}
	return n, true
}

func (r *resource) countOn(n *node) int32 {
	if n.index < len(r.counts) {
		return r.counts[n.index]
	}
	return 0
}

func anyFailed(r *resource) bool {
	if r.failed {
		return true
	}
	for _, c := range r.parts() {
		if anyFailed(c) {
			return true
		}
	}
	return false
}

// preferenceInSort is colocationPreference, worked out once in a sort.
func (rn *run) preferenceInSort(i *resource, n *node) score {
	if i.sortedIn != rn.sorts {
		i.sortedIn, i.preference = rn.sorts, rn.colocationPreference(i, n)
	}
	return i.preference
}

// colocationPreference is how much colocated resources want instance i on n.
func (rn *run) colocationPreference(i *resource, n *node) score {
	scores := make(scoreVector, len(rn.nodes))
	for k := range scores {
		scores[k] = absent
	}
	scores[n.index] = n.score
	rn.mergeOnly = n
	for _, c := range thisWithOf(i) {
		rn.mergeInto(c.primary, i, &scores, c, 0)
	}
	if !i.isInstance() || !rn.mergeAllAtOnce(i, i.parent, scores, allOnes, mergePositive) {
		for _, c := range withThisOf(i) {
			if c.hasInfluence(i) {
				rn.mergeInto(c.dependent, i, &scores, c, mergePositive)
			}
		}
	}
	rn.mergeOnly = nil
	return scores[n.index]
}

// instanceNumber is the number after the colon of an instance's id.
func instanceNumber(r *resource) int {
	i := strings.LastIndexByte(r.id, ':')
	n, err := strconv.Atoi(r.id[i+1:])
	if err != nil {
		// A container: its number is at the end.
		end := len(r.id)
		for end > 0 && isDigit(r.id[end-1]) {
			end--
		}
		n, _ = strconv.Atoi(r.id[end:])
	}
	return n
}
