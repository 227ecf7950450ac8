package scheduler

import "sort"

// Which instances of a promotable clone are promoted (SEMANTICS 14).

// addPromotionScores adds positive promotion scores to the instances' node
// scores, and raises each instance's priority to the highest of them.
func (rn *run) addPromotionScores(c *resource) {
	if c.clone.scoresAdded {
		return
	}
	c.clone.scoresAdded = true
	for _, i := range c.children {
		for k, s := range i.allowed {
			n := rn.nodes[k]
			if s == absent || !n.available() {
				continue
			}
			promotion, _ := rn.promotionScore(i, n)
			if promotion > 0 {
				i.allowed[k] = s.add(promotion)
				rn.note(i, n, "promotion score", promotion)
			}
			i.priority = max(i.priority, promotion)
		}
	}
}

// promotionScore is the score that the agent gave to promoting r on n; a cloned
// group has the sum of its members'. set is false where there is none.
func (rn *run) promotionScore(r *resource, n *node) (total score, set bool) {
	if len(r.children) > 0 {
		for _, m := range r.children {
			s, ok := rn.promotionScore(m, n)
			total += s // even beyond infinity: of two such groups the better one wins
			set = set || ok
		}
		return total, set
	}
	if !promotionScoreApplies(r, n) {
		return 0, false
	}
	which := assignedHost
	if !r.placed {
		which = currentHost
	}
	names := []string{r.id} // the agent knows the name that is in its history
	if r.renamed {
		names[0] = r.historyName
	}
	if !r.unique {
		names = append(names, baseID(r.id))
	}
	for _, name := range names {
		if text, ok := rn.attributeFor(n, "master-"+name, r, which); ok {
			return parseScore(text, 0), true
		}
	}
	return 0, false
}

// promotionScoreApplies tells whether a score on n says something of instance r.
func promotionScoreApplies(r *resource, n *node) bool {
	if s := r.allowed.at(n); s == absent || s < 0 {
		return false
	}
	if !r.unique {
		clone, base := r.topInBundle(), baseID(r.id)
		active := activeMember(clone, base, n)
		if active == r || (active == nil && memberKnownOn(clone, base, n)) {
			return true
		}
	}
	if len(r.active) == 0 && r.known.len() == 0 {
		return true
	}
	return r.known.has(n) || r.activeOn(n)
}

// activeMember finds, among a clone's instances, the primitive of that
// configured id that is active on n.
func activeMember(clone *resource, base string, n *node) *resource {
	var found *resource
	clone.primitives(func(p *resource) {
		if found == nil && p.activeOn(n) && baseID(p.id) == base {
			found = p
		}
	})
	return found
}

func memberKnownOn(clone *resource, base string, n *node) bool {
	known := false
	clone.primitives(func(p *resource) {
		known = known || (p.known.has(n) && baseID(p.id) == base)
	})
	return known
}

// chooseRoles promotes the best instances, up to promoted-max.
func (rn *run) chooseRoles(c *resource) {
	c.counts = make([]int32, len(rn.nodes)) // now of promoted instances
	for _, i := range c.children {
		rn.setPromotionPriority(c, i)
	}
	rn.sortForPromotion(c)
	promoted := 0
	for _, i := range c.children {
		rn.recordPromotion(i)
		var n *node
		if i.promotion >= 0 && (promoted < c.clone.promotedMax || !c.managed) {
			n = rn.promotionNode(c, i)
		}
		if n == nil || (currentRoleOf(i) < rolePromoted && !rn.quorate && rn.options.noQuorum == noQuorumFreeze) {
			setUnpromoted(i)
			continue
		}
		c.counts[n.index]++
		promoted++
		setPromoted(i)
	}
	c.clone.promoted = promoted
}

// setPromotionPriority gives an instance the score by which it competes.
func (rn *run) setPromotionPriority(c, i *resource) {
	if i.state() == roleStarted {
		setCurrentUnpromoted(i)
	}
	i.promotion = -infinity
	n := placeOf(i)
	if n == nil {
		return
	}
	next := nextRoleOf(i)
	switch next {
	case roleStarted, roleUnknown:
		s, set := rn.promotionScore(i, n)
		if !set {
			s = -1 // a location score for the promoted role can still outweigh it
		}
		i.priority = s
	case roleUnpromoted, roleStopped:
		i.priority = -infinity
	}
	for _, l := range append(append([]*location(nil), i.locations...), c.locations...) {
		if l.role != rolePromoted {
			continue
		}
		for _, ns := range l.scores {
			if ns.node == n {
				i.priority = i.priority.add(ns.score)
			}
		}
	}
	for _, k := range thisWithOf(i) {
		if k.dependentRole >= roleUnpromoted {
			rn.colocateWith(i, k.primary, k) // a group competes as a whole
		} else {
			rn.colocate(i, k.primary, k)
		}
	}
	i.promotion = i.priority
	if next == rolePromoted {
		i.promotion = infinity
	}
}

// sortForPromotion brings the clone's node scores, and through them the wishes of
// what depends on the promoted role, into the instances' priorities, and sorts.
func (rn *run) sortForPromotion(c *resource) {
	if c.clone.promotionReady {
		return
	}
	c.clone.promotionReady = true
	apart := rn.mergeApart
	c.merging, rn.mergeApart = true, true
	for _, i := range c.children {
		if n := placeOf(i); n != nil && i.promotion >= 0 {
			c.allowed.add(n, i.promotion)
		}
	}
	for _, k := range thisWithOf(c) {
		if k.dependentRole == rolePromoted && k.mandatory() {
			rn.mergePreferences(k.primary, c, &c.allowed, k, k.factor(), 0)
		}
	}
	for _, k := range withThisOf(c) {
		if k.primaryRole == rolePromoted && k.hasInfluence(nil) {
			rn.mergePreferences(k.dependent, c, &c.allowed, k, k.factor(), mergeActive|mergePositive)
		}
	}
	rn.requirePromotionTickets(c)
	for _, i := range c.children {
		n := placeOf(i)
		switch {
		case !i.managed && nextRoleOf(i) == rolePromoted:
			i.promotion = infinity
		case n == nil || i.promotion < 0:
		default:
			i.promotion = c.allowed.at(n)
		}
	}
	rn.sorts++
	sort.SliceStable(c.children, func(x, y int) bool {
		a, b := c.children[x], c.children[y]
		if a.promotion != b.promotion {
			return a.promotion > b.promotion
		}
		if ra, rb := currentRoleOf(a), currentRoleOf(b); ra != rb {
			return ra > rb
		}
		return rn.compareInstances(a, b) < 0
	})
	c.merging, rn.mergeApart = false, apart
}

// promotionNode is where instance i would be promoted, or nil if it cannot be.
func (rn *run) promotionNode(c, i *resource) *node {
	for _, m := range i.children {
		if rn.promotionNode(c, m) == nil {
			return nil
		}
	}
	n := placeOf(i)
	switch {
	case n == nil:
		return nil
	case !i.managed:
		if currentRoleOf(i) != rolePromoted {
			return nil
		}
	case i.priority < 0 || i.promotion < 0 || !n.availableWithGuest():
		return nil
	}
	if c.allowed.at(n) == absent || (i.managed && int(c.counts[n.index]) >= c.clone.promotedNodeMax) {
		return nil
	}
	return n
}

// setCurrentUnpromoted corrects the present role of what history only showed to
// be started.
func setCurrentUnpromoted(r *resource) {
	if r.role == roleStarted {
		r.role = roleUnpromoted
	}
	for _, m := range r.children {
		setCurrentUnpromoted(m)
	}
}

func setUnpromoted(r *resource) {
	r.nextRole = roleStopped
	if anyPlaced(r) {
		r.nextRole = roleUnpromoted
	}
	for _, m := range r.children {
		setUnpromoted(m)
	}
}

// setPromoted leaves alone a next role that something else decided.
func setPromoted(r *resource) {
	if r.nextRole == roleUnknown {
		r.nextRole = rolePromoted
	}
	for _, m := range r.children {
		setPromoted(m)
	}
}

// anyPlaced tells whether something in r has a node.
func anyPlaced(r *resource) bool {
	if r.isPrimitive() {
		return r.assigned != nil
	}
	for _, c := range r.children {
		if anyPlaced(c) {
			return true
		}
	}
	return false
}

// recordPromotion keeps the promotion score of an instance.
func (rn *run) recordPromotion(i *resource) {
	if !rn.opts.Scores {
		return
	}
	if n := placeOf(i); n != nil {
		rn.scores = append(rn.scores, Score{Kind: "promotion", Resource: i.id, Node: n.name, Score: i.promotion.String()})
	}
}
