package scheduler

import "slices"

// Clones that have an instance at rest wherever one may be. Scores can bring their
// instances into another order, and let one of them want to be where another one
// is; but there is no room for it, and so it stays (SEMANTICS 13; see placeEarly).
// Their order shows only in that of actions: it is worked out when they are affected.

// rests tells whether all in a round that facts and places leave as it is stays
// where it is, whatever else concerns it, and if so, works out its scores, at which
// others look.
func (p *replacing) rests(round *round) bool {
	for _, top := range round.resources {
		if p.concerned[p.unitOf[top.index]] || !p.filled(top) {
			return false
		}
	}
	rn := p.run
	rn.scorings++
	scores := make([]scoreVector, len(round.resources))
	for i, top := range round.resources {
		scores[i] = top.allowed.clone()
		if !rn.mergeAllAtOnce(top, top, scores[i], allOnes, mergeActive|mergePositive) || p.pushed(top) {
			return false
		}
	}
	for i, top := range round.resources {
		unit, place := p.unitOf[top.index], &p.places[top.index]
		if p.unsorted[unit] = !p.affected[unit]; p.affected[unit] {
			top.allowed, top.children = scores[i], slices.Clone(top.children)
			rn.sortInstances(top.children)
			place.children = top.children
		}
		if !slices.Equal(place.allowed, scores[i]) {
			rn.rescore(top, false)
			place.allowed, place.version = scores[i], top.scored
			p.concernScores(unit)
		}
	}
	round.balanced = true // with these scores, perhaps
	return true
}

// sortOut sorts the instances of affected clones of which the order is not known. It
// returns the top-level resources of which something has got another place.
func (m *memory) sortOut(affected []bool) (moved []int, ok bool) {
	unsorted := make([]bool, len(affected))
	for unit := range affected {
		unsorted[unit] = affected[unit] && m.unsorted[unit]
	}
	if !slices.Contains(unsorted, true) {
		return nil, true
	}
	return m.placeAgain(make([]factChange, len(affected)), unsorted, affected)
}

// filled tells whether c is a clone with one instance at rest on every node that
// may have one, and without a wish to be elsewhere.
func (p *replacing) filled(c *resource) bool {
	if !c.isClone() || c.promotable || c.clone.nodeMax != 1 || c.orderMatters() {
		return false
	}
	for _, k := range c.thisWith {
		if !k.mandatory() || k.attribute != "" || k.dependentRole != roleUnknown || k.primaryRole != roleUnknown {
			return false
		}
	}
	allowed := p.facts[c.index].allowed
	taken := make([]bool, len(p.run.nodes))
	count := 0
	for _, i := range c.children {
		if !i.isPrimitive() || len(i.thisWith) > 0 || len(i.withThis) > 0 {
			return false
		}
		f, place := &p.facts[i.index], &p.places[i.index]
		n := place.assigned
		if n == nil {
			if len(f.active) > 0 || slices.ContainsFunc(place.allowed, func(s score) bool { return s > -infinity }) {
				return false
			}
			continue
		}
		if len(f.active) != 1 || f.active[0] != n || f.partialSource != nil || f.failed || f.blocked || !f.managed || !place.managed || f.nextRole == roleStopped ||
			f.allowed.at(n) < 0 || allowed.at(n) < 0 || !n.available() || n.score < 0 || taken[n.index] {
			return false
		}
		taken[n.index] = true
		count++
	}
	for i, s := range allowed {
		if s > -infinity && p.run.nodes[i].available() && !taken[i] {
			return false
		}
	}
	return count <= c.clone.max
}

// pushed tells whether what depends on c may want an instance of it away from where
// one is, so much that the instance cannot stay, or, as it tries to be elsewhere,
// finds no node at all.
func (p *replacing) pushed(c *resource) bool {
	infinite, finite := p.run.effectOfAll(c, infiniteOnes), p.run.effectOfAll(c, finiteOnes)
	if !infinite.ok || !finite.ok {
		return true
	}
	lowest := make([]score, len(p.run.nodes)) // that an instance with score 0 would get on the way
	for i := range lowest {
		x := infinite.nodes[i]
		x.add(&finite.nodes[i])
		lowest[i] = clampScore(x.lowest)
		if x.never {
			lowest[i] = -infinity
		}
	}
	for _, i := range c.children {
		n, allowed := p.places[i.index].assigned, p.facts[i.index].allowed
		if n == nil {
			continue
		}
		for k, s := range allowed {
			// With what c requires it first goes where its score is best.
			if (k == n.index || s >= allowed[n.index] && len(c.thisWith) > 0) && s.add(lowest[k]) < 0 {
				return true
			}
		}
	}
	return false
}
