package scheduler

import (
	"slices"

	"linuxha/internal/cluster"
)

// placeResources decides the node and next role of every resource, in list
// order, but connections first: where they go decides which remote and guest
// nodes exist (SEMANTICS 12).
func (rn *run) placeResources() {
	if rn.options.strategy != strategyDefault {
		rn.sortByUtilization()
	}
	rn.begun = make([]*resource, 0, len(rn.resources))
	rn.rounds = make([]round, 0, len(rn.resources))
	for _, r := range rn.resources {
		if r.isConnection {
			rn.placeTop(r, r.partialTarget)
		}
	}
	for _, r := range rn.resources {
		if !r.isConnection {
			rn.placeTop(r, nil)
		}
	}
}

// round is what is placed in one go: the top-level resources that one of them had
// to wait for, and itself.
type round struct {
	resources []*resource // in the order in which their placement began
	balanced  bool        // how many resources the nodes had decided something
}

// placeTop places a top-level resource, and notes the round.
func (rn *run) placeTop(r *resource, prefer *node) {
	from := len(rn.begun)
	rn.balanced = false
	rn.place(r, prefer, true)
	if len(rn.begun) > from {
		rn.rounds = append(rn.rounds, round{rn.begun[from:len(rn.begun):len(rn.begun)], rn.balanced})
	}
}

// place decides where r goes, what it is in and what it depends on first, and
// returns its node. It prefers the node prefer if that is as good as any. With
// stopIfFail a resource without a node is stopped; else the attempt can be
// taken back.
func (rn *run) place(r *resource, prefer *node, stopIfFail bool) *node {
	if r.parent == nil && !r.placed && !r.placing {
		rn.begun = append(rn.begun, r)
	}
	switch r.kind {
	case cluster.Group:
		return rn.placeGroup(r, prefer, stopIfFail)
	case cluster.Clone:
		rn.placeClone(r, prefer, stopIfFail)
		return nil
	case cluster.Bundle:
		rn.placeBundle(r, prefer, stopIfFail)
		return nil
	}
	return rn.placePrimitive(r, prefer, stopIfFail)
}

// placeGroup places the members in order; built-in colocations keep them
// together. Where they need not be, the group counts as being where the first of
// them is that has a node.
func (rn *run) placeGroup(g *resource, prefer *node, stopIfFail bool) *node {
	if g.placed || g.placing {
		return nil
	}
	if len(g.children) == 0 {
		g.placed = true
		return nil
	}
	g.placing = true
	first := g.children[0]
	g.role = first.role
	var chosen *node
	for _, m := range g.children {
		if n := rn.place(m, prefer, stopIfFail); chosen == nil {
			chosen = n
		}
	}
	g.nextRole = first.nextRole
	g.placing = false
	g.placed = true
	return chosen
}

// placePrimitive takes the steps of SEMANTICS 12.
func (rn *run) placePrimitive(r *resource, prefer *node, stopIfFail bool) *node {
	if r.parent != nil && !r.parent.placing {
		rn.place(r.parent, prefer, stopIfFail)
	}
	if r.placed {
		return r.assigned
	}
	if r.placing {
		return nil
	}
	r.placing = true
	if !r.inClone() {
		rn.rescore(r, true)
		defer rn.rescore(r, false)
	}

	rn.applyColocations(r)
	if r.nextRole == roleStopped {
		rn.ban(r, nil, -infinity, "target-role")
	} else if r.nextRole > r.role && !rn.quorate && rn.options.noQuorum == noQuorumFreeze {
		r.nextRole = r.role
	}
	rn.recordScores(r)

	if rn.options.fencing && !rn.fencingReady && rn.config.Origin == cluster.OriginCIB {
		r.managed = false // nothing could be recovered safely
		forgetLists(r)
	}
	switch {
	case !r.managed:
		r.nextRole = r.role
		rn.setPlace(r, r.current(), true, stopIfFail)
	case rn.options.stopAll:
		rn.setPlace(r, nil, true, stopIfFail)
	default:
		rn.placeOnBest(r, prefer, stopIfFail)
	}
	r.placing = false
	if r.isConnection {
		rn.connectionPlaced(r)
	}
	return r.assigned
}

// applyColocations changes r's scores by everything it is colocated with:
// requirements first, so that as many as possible are met.
func (rn *run) applyColocations(r *resource) {
	thisWith, withThis := thisWithOf(r), withThisOf(r)
	for _, infinite := range [...]bool{true, false} {
		for _, c := range thisWith {
			if c.infinite() == infinite {
				rn.applyThisWith(r, c)
			}
		}
		if rn.addAllPreferences(r, infinite) {
			continue
		}
		for _, c := range withThis {
			if c.infinite() == infinite {
				before := rn.snapshot(r)
				rn.addPreferences(r, c)
				rn.noteChange(r, before, c.id)
			}
		}
	}
}

// applyThisWith places the primary of c and applies c to r. A constraint on r's
// promoted role and a finite negative one never cost r its last node.
func (rn *run) applyThisWith(r *resource, c *colocation) {
	var kept scoreVector
	if c.dependentRole >= rolePromoted || (c.score < 0 && c.score > -infinity) {
		kept = r.allowed.clone()
	}
	if !c.primary.placed {
		rn.place(c.primary, nil, true)
	}
	before := rn.snapshot(r)
	rn.colocate(r, c.primary, c)
	if kept != nil && !rn.anyAvailable(r.allowed) {
		r.allowed = kept
	}
	rn.noteChange(r, before, c.id)
}

// connectionPlaced lets the node behind a connection count as online once the
// connection has a place, and as shutting down if it has none.
func (rn *run) connectionPlaced(r *resource) {
	rn.connected++
	n := rn.nodeBehind(r)
	if n == nil {
		return
	}
	if r.assigned != nil && r.nextRole != roleStopped {
		n.online = true
		if n.unseen {
			n.unclean = false // the connection will be tried first
		}
		return
	}
	n.shutdown = true
}

// nodeBehind is the node that the connection r makes reachable.
func (rn *run) nodeBehind(r *resource) *node {
	if n := rn.node(r.id); n != nil && n.connection == r {
		return n
	}
	for _, n := range rn.nodes {
		if n.connection == r {
			return n
		}
	}
	return nil
}

// placeOnBest assigns r to the best node that may run it.
func (rn *run) placeOnBest(r *resource, prefer *node, stopIfFail bool) {
	mostFree := rn.banInsufficient(r)
	if prefer == nil {
		prefer = mostFree
	}
	current := r.current()
	best := rn.bestNode(r.allowed, current)
	if best == nil {
		rn.setPlace(r, nil, false, stopIfFail)
		return
	}
	bestScore := r.allowed.at(best)
	chosen := best
	if s := r.allowed.at(prefer); prefer != nil && s != absent && s >= bestScore && s >= 0 && prefer.available() {
		chosen = prefer
	} else if !(r.unique && r.isInstance()) && bestScore > 0 && best.available() &&
		current != nil && current.available() && current.score >= 0 && r.allowed.at(current) == bestScore {
		chosen = current // as good as any
	} else if bestScore >= 0 && best.available() {
		rn.noteTie(r.allowed, best)
	}
	rn.setPlace(r, chosen, false, stopIfFail)
}

// setPlace assigns r, or the primitives in it, to n (nil: nowhere), and tells
// whether that changed anything. Unless forced, a node that may not run it is
// the same as none.
func (rn *run) setPlace(r *resource, n *node, force, stopIfFail bool) bool {
	if parts := r.parts(); len(parts) > 0 {
		changed := false
		for _, c := range parts {
			changed = rn.setPlace(c, n, force, stopIfFail) || changed
		}
		return changed
	}
	s := r.allowed.at(n)
	if !force && n != nil && (s < 0 || (!n.available() && !n.isGuest())) {
		if stopIfFail {
			r.nextRole = roleStopped
		}
		n = nil
	}
	changed := r.assigned != n
	rn.unplace(r)
	r.placed = true
	if n == nil {
		if stopIfFail {
			r.nextRole = roleStopped
			nowhereToRun(r)
		}
		return changed
	}
	r.assigned, r.assignedScore = n, s
	if force {
		r.assignedScore = n.score // it was not chosen by its score
	}
	n.count++
	n.consume(r)
	return changed
}

// nowhereToRun adapts the actions that exist for r already: it will be stopped.
func nowhereToRun(r *resource) {
	r.nowhere = true
	for _, a := range r.actions {
		switch {
		case a.task == taskStop:
			a.optional = false
		case a.task == taskStart:
			a.runnable = false
		case a.interval != 0 && a.expectRC != rcNotRunning:
			a.runnable = false
		}
	}
}

// unplace takes r's placement back.
func (rn *run) unplace(r *resource) {
	r.placed = false
	for _, c := range r.parts() {
		rn.unplace(c)
	}
	n := r.assigned
	if n == nil {
		return
	}
	r.assigned = nil
	n.count--
	n.release(r)
}

// nodeRanking holds what two nodes are compared by.
type nodeRanking struct {
	rn      *run
	scores  scoreVector
	current *node
}

// effective is a node's score, -infinity where it cannot run anything.
func (k nodeRanking) effective(n *node) score {
	if !n.available() {
		return -infinity
	}
	return k.scores.at(n)
}

// better tells whether a comes before b (SEMANTICS 12, "Sorting nodes").
func (k nodeRanking) better(a, b *node) bool {
	if sa, sb := k.effective(a), k.effective(b); sa != sb {
		return sa > sb
	}
	strategy := k.rn.options.strategy
	if strategy == strategyMinimal {
		return a.name < b.name
	}
	if strategy == strategyBalanced {
		if d := a.compareCapacity(b); d != 0 {
			return d < 0
		}
	}
	if a.count != b.count {
		return a.count < b.count
	}
	if a == k.current || b == k.current {
		return a == k.current
	}
	return a.name < b.name
}

// bestNode returns the best node with an entry in scores, or nil.
func (rn *run) bestNode(scores scoreVector, current *node) *node {
	k := nodeRanking{rn, scores, current}
	var best *node
	for i, s := range scores {
		if s != absent && (best == nil || k.better(rn.nodes[i], best)) {
			best = rn.nodes[i]
		}
	}
	return best
}

// noteTie notes whether the balance may have decided for best: another node has
// the same score.
func (rn *run) noteTie(scores scoreVector, best *node) {
	k := nodeRanking{rn, scores, nil}
	highest := k.effective(best)
	for i, s := range scores {
		if n := rn.nodes[i]; s != absent && n != best && k.effective(n) == highest {
			rn.balanced = true
			return
		}
	}
}

// bestWhere returns what find finds on the best node with an entry in scores where
// it finds something, or nil.
func (rn *run) bestWhere(scores scoreVector, find func(*node) *resource) *resource {
	if rn.options.strategy == strategyBalanced { // nodes may be better than each other in a circle
		for _, n := range rn.sortedNodes(scores, nil) {
			if r := find(n); r != nil {
				return r
			}
		}
		return nil
	}
	k := nodeRanking{rn, scores, nil}
	var best *node
	var found *resource
	for i, s := range scores {
		n := rn.nodes[i]
		if s == absent || best != nil && !k.better(n, best) {
			continue
		}
		if r := find(n); r != nil {
			best, found = n, r
		}
	}
	if best != nil {
		rn.noteTie(scores, best)
	}
	return found
}

// sortedNodes returns the nodes with an entry in scores, best first.
func (rn *run) sortedNodes(scores scoreVector, current *node) []*node {
	out := make([]*node, 0, len(scores))
	for i, s := range scores {
		if s != absent {
			out = append(out, rn.nodes[i])
		}
	}
	k := nodeRanking{rn, scores, current}
	slices.SortStableFunc(out, func(a, b *node) int {
		if k.better(a, b) {
			return -1
		}
		return 1 // no two are equally good
	})
	return out
}

// recordScores keeps r's scores as they are when its node is chosen; those of
// what is not configured any more interest nobody.
func (rn *run) recordScores(r *resource) {
	if !rn.opts.Scores || r.removed {
		return
	}
	if rn.scores == nil {
		rn.scores = make([]Score, 0, min(len(rn.all)*len(rn.nodes), 1<<16))
	}
	for i, s := range r.allowed {
		if s != absent {
			rn.scores = append(rn.scores, Score{Kind: "placement", Resource: r.id, Node: rn.nodes[i].name, Score: s.String()})
		}
	}
}
