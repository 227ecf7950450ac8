package scheduler

import (
	"slices"
	"sort"
	"strings"

	"linuxha/internal/cluster"
)

// Utilization: nodes have capacities, primitives use them up (SEMANTICS 16).

// amounts are how much there is, or is needed, of each utilization attribute. They
// are few: looking through them is faster than a map.
type amounts []amount

type amount struct {
	name string
	n    int
}

// find returns the amount of a name, to be changed, or nil.
func (m amounts) find(name string) *amount {
	for i := range m {
		if m[i].name == name {
			return &m[i]
		}
	}
	return nil
}

// of returns the amount of a name, 0 if there is none.
func (m amounts) of(name string) int {
	if a := m.find(name); a != nil {
		return a.n
	}
	return 0
}

// readAmounts evaluates utilization blocks.
func (rn *run) readAmounts(sets []cluster.AttrSet) amounts {
	if len(sets) == 0 {
		return nil
	}
	values := map[string]string{}
	rn.attributes(sets, ruleContext{}, values)
	out := make(amounts, 0, len(values))
	for name, v := range values {
		out = append(out, amount{name, int(intOr(v, 0, -1<<31))})
	}
	slices.SortFunc(out, func(a, b amount) int { return strings.Compare(a.name, b.name) })
	return out
}

// consume subtracts what r needs from n's free capacity.
func (n *node) consume(r *resource) {
	for _, needed := range r.utilization {
		if free := n.utilization.find(needed.name); free != nil {
			free.n -= needed.n
		}
	}
}

// release gives back what r took.
func (n *node) release(r *resource) {
	for _, needed := range r.utilization {
		if free := n.utilization.find(needed.name); free != nil {
			free.n += needed.n
		}
	}
}

// holds tells whether n has room for the demand.
func (n *node) holds(demand amounts) bool {
	for _, needed := range demand {
		if needed.n > n.utilization.of(needed.name) {
			return false
		}
	}
	return true
}

// compareCapacity is negative if n has more free capacity than o: the number of
// attributes in which o has more minus those in which n has more.
func (n *node) compareCapacity(o *node) int {
	d := 0
	count := func(mine, theirs int) {
		switch {
		case mine > theirs:
			d--
		case mine < theirs:
			d++
		}
	}
	for _, mine := range n.utilization {
		count(mine.n, o.utilization.of(mine.name))
	}
	for _, theirs := range o.utilization {
		if n.utilization.find(theirs.name) == nil {
			count(0, theirs.n)
		}
	}
	return d
}

// sortByUtilization sorts resources before placement: priority; score on the
// current node; first difference of scores over the nodes.
func (rn *run) sortByUtilization() {
	order := rn.sortedNodes(make(scoreVector, len(rn.nodes)), nil)
	scores := make(map[*resource]scoreVector, len(rn.resources))
	for _, r := range rn.resources {
		var v scoreVector
		rn.mergePreferences(r, nil, &v, nil, 1, mergeThisWith)
		scores[r] = v
	}
	at := func(r *resource, n *node) score {
		if s := scores[r].at(n); n != nil && s != absent {
			return s
		}
		return -infinity
	}
	sort.SliceStable(rn.resources, func(i, j int) bool {
		a, b := rn.resources[i], rn.resources[j]
		if a.priority != b.priority {
			return a.priority > b.priority
		}
		if sa, sb := at(a, a.current()), at(b, b.current()); sa != sb {
			return sa > sb
		}
		for _, n := range order {
			if sa, sb := at(a, n), at(b, n); sa != sb {
				return sa > sb
			}
		}
		return false
	})
}

// banInsufficient bans r from nodes without room for it: together with
// everything that will be forced to the same place if some node can hold all of
// that, else for it alone. In the latter case it returns the node with the most
// free capacity.
func (rn *run) banInsufficient(r *resource) *node {
	if rn.options.strategy == strategyDefault {
		return nil
	}
	rn.companions++
	together := &companions{list: rn.together[:0], mark: rn.companions, demand: rn.demand[:0]}
	together.follow(r, r)
	together.add(r)
	for _, c := range together.list {
		together.addDemand(c)
	}
	demand := together.demand
	rn.together, rn.demand = together.list, demand
	var mostFree *node
	capable := false
	for i, s := range r.allowed {
		n := rn.nodes[i]
		if s == absent || s < 0 || !n.available() {
			continue
		}
		capable = capable || n.holds(demand)
		if mostFree == nil || n.compareCapacity(mostFree) < 0 {
			mostFree = n
		}
	}
	if capable {
		mostFree = nil
	} else {
		demand = r.utilization
	}
	for i, s := range r.allowed {
		if n := rn.nodes[i]; s != absent && s >= 0 && n.available() && !n.holds(demand) {
			rn.ban(r, n, -infinity, "utilization")
		}
	}
	return mostFree
}

// companions are the resources that mandatory colocations force together, each of
// which bears the mark.
type companions struct {
	list   []*resource
	mark   int
	demand amounts // what those of them that are not placed yet need
}

func (k *companions) has(r *resource) bool { return r.companionMark == k.mark }

func (k *companions) add(r *resource) {
	if !k.has(r) {
		r.companionMark = k.mark
		k.list = append(k.list, r)
	}
}

// follow collects what r must be with, in both directions. From a clone it does
// not go on to dependents that are no clones: they follow one instance only.
func (k *companions) follow(r, orig *resource) {
	if r.isGroup() && (r.group.colocated || (r.parent != nil && r.parent.isClone())) {
		k.add(r)
		for _, m := range r.children {
			k.follow(m, orig)
		}
		return
	}
	if k.has(r) {
		return
	}
	k.add(r)
	for _, c := range thisWithOf(r) {
		if c.primary != orig && c.mandatory() && effectOf(r, c.primary, c, true) == affectsNode {
			k.follow(c.primary, orig)
		}
	}
	for _, c := range withThisOf(r) {
		if c.dependent == orig || (r.isClone() && !c.dependent.isClone()) {
			continue
		}
		if c.mandatory() && effectOf(c.dependent, r, c, true) == affectsNode {
			k.follow(c.dependent, orig)
		}
	}
}

// addDemand adds what r, not placed yet, needs. Members and instances that are
// listed themselves are not counted twice.
func (k *companions) addDemand(r *resource) {
	if r.placed {
		return
	}
	switch {
	case r.isPrimitive():
		for _, needed := range r.utilization {
			if a := k.demand.find(needed.name); a != nil {
				a.n += needed.n
			} else {
				k.demand = append(k.demand, needed)
			}
		}
	case r.isGroup():
		for _, m := range r.children {
			if !m.placed && !k.has(m) {
				k.addDemand(m)
			}
			if !r.group.colocated && (r.parent == nil || !r.parent.isClone()) {
				return // the members may be apart
			}
		}
	case r.isClone():
		k.addCloneDemand(r)
	case r.isBundle():
		if len(r.bundle.replicas) > 0 {
			k.addDemand(r.bundle.replicas[0].container)
		}
	}
}

// addCloneDemand counts one instance, unless one is listed already.
func (k *companions) addCloneDemand(r *resource) {
	existing := false
	for _, c := range r.children {
		if k.has(c) {
			existing = true
			continue
		}
		for _, m := range c.children {
			if k.has(m) {
				k.addDemand(c)
				existing = true
				break
			}
		}
	}
	if !existing && len(r.children) > 0 {
		k.addDemand(r.children[0])
	}
}
