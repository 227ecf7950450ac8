package scheduler

import (
	"slices"
	"sort"
)

// builtinOrders adds the orderings inside and around every resource
// (SEMANTICS 23, 28, 29).
func (rn *run) builtinOrders() {
	rn.orderings = slices.Grow(rn.orderings, 8*len(rn.all)) // about as many as there will be
	for _, r := range rn.resources {
		rn.internalOrders(r)
	}
}

func (rn *run) internalOrders(r *resource) {
	switch {
	case r.isPrimitive():
		rn.primitiveOrders(r)
	case r.isGroup():
		rn.groupOrders(r)
	case r.isClone():
		rn.cloneOrders(r)
	case r.isBundle():
		rn.bundleOrders(r)
	}
}

// primitiveOrders are those of one primitive with itself, with unfencing and
// with the container it runs in.
func (rn *run) primitiveOrders(r *resource) {
	if !r.managed {
		return
	}
	rn.order(of(r, taskStop), of(r, taskStart), relSeq|relImply|relRestart)
	if r.topInBundle().promotable || r.role > roleUnpromoted {
		rn.order(of(r, taskDemote), of(r, taskStop), relPromotedBack)
		rn.order(of(r, taskStart), of(r, taskPromote), relBlock)
	}
	rn.order(of(r, taskDelete), of(r, taskMonitor), relIfSameNode|relCancel)
	if rn.unfencing && !r.isFence && r.requires == requireUnfencing {
		for _, n := range rn.allowedNodes(r) {
			unfence := rn.fenceAction(n, "on", true, "", false)
			rn.order(of(r, taskStop), exactly(unfence), relSeq|relIfSameNode)
			rn.order(exactly(unfence), of(r, taskStart), relSameNodeImply|relIfSameNode)
		}
	}
	if rn.options.strategy != strategyDefault && len(r.utilization) > 0 {
		rn.loadOrders(r)
	}
	if r.container != nil {
		rn.containerOrders(r, r.container)
	}
}

// loadOrders make what arrives on a node wait until what leaves it has freed
// its share of the capacity (SEMANTICS 16).
func (rn *run) loadOrders(r *resource) {
	for _, n := range r.active {
		rn.order(of(r, taskStop), exactly(rn.loadStopped(n)), relIfNodeOrTarget)
	}
	for _, n := range rn.allowedNodes(r) {
		gone := rn.loadStopped(n)
		rn.order(exactly(gone), of(r, taskStart), relIfNodeOrTarget)
		rn.order(exactly(gone), of(r, taskMigrateTo), relIfNodeOrTarget)
	}
}

// loadStopped is the point at which everything that leaves n has done so.
func (rn *run) loadStopped(n *node) *action {
	point := rn.globalPoint("load_stopped_" + n.name)
	point.optional = false
	point.node = n
	return point
}

// containerOrders relate what runs inside a container to it. What is confined
// to a remote or guest node needs none: the connection's orders cover it.
func (rn *run) containerOrders(r, container *resource) {
	if r.isConnection {
		// A container that is found running after all needs no recovery of
		// its connection: find out first.
		rn.order(of(container, taskMonitor), of(r, taskStop), relSeq)
	} else if rn.confiningConnection(container) != nil {
		return
	}
	rn.order(of(container, taskStart), of(r, taskStart), relImply|relBlock)
	rn.order(of(r, taskStop), of(container, taskStop), relImplyBack)
}

// confiningConnection is the connection whose node a resource inside container
// is confined to: container itself, or that of the guest it creates; else nil.
func (rn *run) confiningConnection(container *resource) *resource {
	if container.isConnection {
		return container
	}
	for _, c := range container.contents {
		if c.isConnection {
			return c
		}
	}
	return nil
}

// allowedNodes are the nodes that r has any score for.
func (rn *run) allowedNodes(r *resource) []*node {
	var nodes []*node
	for _, n := range rn.nodes {
		if r.allowed.at(n) != absent {
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// antiColocationOrders: whatever makes one of two that cannot be together lose
// its place or role on a node comes before what gives the other that place.
func (rn *run) antiColocationOrders(c *colocation) {
	rn.placeOrders(c.dependent, c.dependentRole, c.primary, c.primaryRole)
	rn.placeOrders(c.primary, c.primaryRole, c.dependent, c.dependentRole)
}

func (rn *run) placeOrders(first *resource, firstRole role, then *resource, thenRole role) {
	losing, gaining := []string{taskStop}, []string{taskStart}
	switch firstRole {
	case rolePromoted:
		losing = []string{taskDemote}
	case roleUnpromoted:
		losing = []string{taskStop, taskPromote}
	}
	switch thenRole {
	case rolePromoted:
		gaining = []string{taskPromote}
	case roleUnpromoted:
		gaining = []string{taskStart, taskDemote}
	}
	for _, lose := range losing {
		for _, gain := range gaining {
			rn.order(of(first, lose), of(then, gain), relIfRequiredSameNode)
		}
	}
}

// groupWalk is the state of a walk over the members of a group.
type groupWalk struct {
	group            *resource
	previous         *resource
	lastActive       *resource
	down, downDone   relKind
	ordered, promote bool
}

func (rn *run) groupOrders(g *resource) {
	rn.order(of(g, taskStop), of(g, taskStopped), relBlock)
	rn.order(of(g, taskStopped), of(g, taskStart), relSeq)
	rn.order(of(g, taskStart), of(g, taskRunning), relBlock)

	w := groupWalk{group: g, ordered: g.group.ordered, promote: g.topInBundle().promotable, down: relShowFirst, downDone: relShowThen}
	for _, m := range g.children {
		rn.memberOrders(m, &w)
	}
}

func (rn *run) memberOrders(m *resource, w *groupWalk) {
	const up = relBlock | relImply | relShowThen
	g := w.group
	rn.internalOrders(m)
	if w.previous == nil && w.ordered {
		w.down |= relSeq
		w.downDone |= relImply
	}
	if w.promote {
		rn.order(of(g, taskDemote), of(m, taskDemote), w.down)
		rn.order(of(m, taskDemote), of(g, taskDemoted), w.downDone)
		rn.order(of(m, taskPromote), of(g, taskPromoted), up)
		rn.order(of(g, taskPromote), of(m, taskPromote), relShowFirst)
	}
	rn.order(of(g, taskStop), of(m, taskStop), w.down)
	rn.order(of(m, taskStop), of(g, taskStopped), w.downDone)
	rn.order(of(g, taskStart), of(m, taskStart), relShowFirst)
	rn.order(of(m, taskStart), of(g, taskRunning), up)

	switch p := w.previous; {
	case !w.ordered:
		rn.order(of(g, taskStart), of(m, taskStart), relImply|relBlock|relShowFirst)
		if w.promote {
			rn.order(of(g, taskPromote), of(m, taskPromote), relImply|relBlock|relShowFirst)
		}
	case p != nil:
		rn.order(of(p, taskStart), of(m, taskStart), relImply|relBlock)
		rn.order(of(m, taskStop), of(p, taskStop), relSeq|relRestart)
		newBelow := len(m.active) > 0 && len(p.active) == 0
		if newBelow {
			rn.order(of(m, taskStop), of(p, taskStart), relImplyBack|relBlock)
		}
		if w.promote {
			rn.order(of(p, taskPromote), of(m, taskPromote), relImply|relBlock)
			rn.order(of(m, taskDemote), of(p, taskDemote), relSeq)
			if newBelow {
				rn.order(of(m, taskDemote), of(p, taskPromote), relImplyBack|relBlock)
			}
		}
	}

	if len(m.active) > 0 {
		if w.ordered && w.previous != nil && len(w.previous.active) == 0 && w.lastActive != nil {
			rn.order(of(m, taskStop), of(w.lastActive, taskStop), relSeq)
		}
		w.lastActive = m
	}
	w.previous = m
}

func (rn *run) cloneOrders(c *resource) {
	rn.order(of(c, taskStopped), of(c, taskStart), relSeq)
	rn.order(of(c, taskStart), of(c, taskRunning), relBlock)
	rn.order(of(c, taskStop), of(c, taskStopped), relBlock)
	if c.promotable {
		rn.order(of(c, taskDemoted), of(c, taskStop), relSeq)
		rn.order(of(c, taskRunning), of(c, taskPromote), relBlock)
	}
	instances := byNumber(c.children)
	for i, each := range instances {
		rn.internalOrders(each)
		rn.order(of(c, taskStart), of(each, taskStart), relBlock|relShowFirst)
		rn.order(of(each, taskStart), of(c, taskRunning), relShowThen)
		rn.order(of(c, taskStop), of(each, taskStop), relShowFirst)
		rn.order(of(each, taskStop), of(c, taskStopped), relShowThen)
		if !c.clone.ordered {
			continue
		}
		for _, later := range instances[i+1:] {
			rn.order(of(each, taskStart), of(later, taskStart), relSeq)
			rn.order(of(later, taskStop), of(each, taskStop), relSeq)
		}
	}
	if !c.promotable {
		return
	}
	rn.promotableRestartOrders(c)
	var last *resource
	for _, each := range instances {
		rn.order(of(each, taskDemote), of(each, taskPromote), relSeq)
		rn.order(of(c, taskPromote), of(each, taskPromote), relSeq)
		rn.order(of(each, taskPromote), of(c, taskPromoted), relSeq)
		rn.order(of(c, taskDemote), of(each, taskDemote), relShowFirst)
		rn.order(of(each, taskDemote), of(c, taskDemoted), relShowThen)
		if last != nil && c.clone.ordered {
			rn.order(of(last, taskPromote), of(each, taskPromote), relSeq)
			rn.order(of(each, taskDemote), of(last, taskDemote), relSeq)
		}
		last = each
	}
}

// promotableRestartOrders: all demotes before all stops, all stops before all
// starts, all starts before all promotes.
func (rn *run) promotableRestartOrders(c *resource) {
	for _, pair := range [][2]string{
		{taskStopped, taskStart}, {taskStopped, taskPromote},
		{taskDemoted, taskStop}, {taskDemoted, taskStart}, {taskDemoted, taskPromote},
		{taskRunning, taskPromote}, {taskDemote, taskDemoted},
	} {
		rn.order(of(c, pair[0]), of(c, pair[1]), relSeq)
	}
}

func (rn *run) bundleOrders(b *resource) {
	inner := b.bundle.inner
	if inner != nil {
		rn.order(of(b, taskStart), of(inner, taskStart), relShowFirst)
		rn.order(of(b, taskStop), of(inner, taskStop), relShowFirst)
		rn.order(of(inner, taskRunning), of(b, taskRunning), relShowThen)
		rn.order(of(inner, taskStopped), of(b, taskStopped), relShowThen)
	}
	for _, p := range b.bundle.replicas {
		rn.internalOrders(p.container)
		rn.order(of(b, taskStart), of(p.container, taskStart), relBlock|relShowFirst)
		if p.child != nil {
			rn.order(of(b, taskStop), of(p.child, taskStop), relShowFirst)
		}
		rn.order(of(b, taskStop), of(p.container, taskStop), relShowFirst)
		rn.order(of(p.container, taskStart), of(b, taskRunning), relShowThen)
		rn.order(of(p.container, taskStop), of(b, taskStopped), relShowThen)
		if p.address != nil {
			rn.internalOrders(p.address)
			rn.order(of(p.address, taskStart), of(p.container, taskStart), relBlock|relGuestOK)
			rn.order(of(p.container, taskStop), of(p.address, taskStop), relImplyBack|relGuestOK)
		}
		if p.connection != nil {
			rn.internalOrders(p.connection)
		}
	}
	if inner == nil {
		return
	}
	rn.internalOrders(inner)
	if inner.promotable {
		rn.promotableRestartOrders(b)
		rn.order(of(inner, taskDemoted), of(b, taskDemoted), relShowThen)
		rn.order(of(b, taskDemote), of(inner, taskDemote), relShowFirst)
		rn.order(of(inner, taskPromoted), of(b, taskPromoted), relShowThen)
		rn.order(of(b, taskPromote), of(inner, taskPromote), relShowFirst)
	}
}

// byNumber returns the instances of a clone by ascending number, which is the
// order in which they were created.
func byNumber(instances []*resource) []*resource {
	sorted := append([]*resource(nil), instances...)
	sort.SliceStable(sorted, func(i, j int) bool { return instanceNumber(sorted[i]) < instanceNumber(sorted[j]) })
	return sorted
}
