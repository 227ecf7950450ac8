package scheduler

import (
	"maps"
	"slices"
)

// place is what placement decided about one resource.
type place struct {
	allowed             scoreVector
	assigned            *node
	assignedScore       score
	role, nextRole      role
	priority, promotion score
	managed, nowhere    bool
	clone               *cloneData
	children            []*resource // a clone's instances, as sorted
	counts              []int32
	version             int  // of the scores; see rescore
	scored              bool // its scores still matter, since it has no place
}

// placeNow is what has been decided about r.
func (r *resource) placeNow() place {
	return place{
		allowed: r.allowed, assigned: r.assigned, assignedScore: r.assignedScore, role: r.role, nextRole: r.nextRole,
		priority: r.priority, promotion: r.promotion, managed: r.managed, nowhere: r.nowhere, clone: r.clone, children: r.children,
		counts: r.counts, version: r.scored, scored: !r.isClone() && placeOf(r) == nil,
	}
}

// settle makes p be what has been decided about r.
func (r *resource) settle(p *place) {
	r.placed = true
	r.set(p)
	if r.assigned != nil {
		r.assigned.count++
	}
}

// rewind makes r be as f says that it is before it gets its place.
func (r *resource) rewind(f *resource) {
	r.placed = false
	r.set(&place{
		allowed: f.allowed, role: f.role, nextRole: f.nextRole, priority: f.priority, promotion: f.promotion,
		managed: f.managed, nowhere: f.nowhere, clone: f.clone, children: f.children, version: f.scored,
	})
}

func (r *resource) set(p *place) {
	r.allowed, r.assigned, r.assignedScore, r.role, r.nextRole = p.allowed, p.assigned, p.assignedScore, p.role, p.nextRole
	r.priority, r.promotion, r.managed, r.nowhere = p.priority, p.promotion, p.managed, p.nowhere
	r.clone, r.children, r.counts, r.scored = p.clone, p.children, p.counts, p.version
}

// keepFacts remembers every resource as it is before placement.
func (m *memory) keepFacts() {
	m.facts = make([]resource, len(m.run.all))
	for i, r := range m.run.all {
		m.facts[i] = *r
		m.facts[i].own()
	}
}

// own replaces what placement changes in place by copies.
func (r *resource) own() {
	r.allowed = r.allowed.clone()
	if r.isClone() {
		c := *r.clone
		r.clone, r.children = &c, slices.Clone(r.children)
	}
}

// keepPlaces remembers what placement decided.
func (m *memory) keepPlaces() {
	m.places = make([]place, len(m.run.all))
	for i, r := range m.run.all {
		m.places[i] = r.placeNow()
	}
	m.keepCounts()
}

func (m *memory) keepCounts() {
	m.counts = make([]int, len(m.run.nodes))
	for i, n := range m.run.nodes {
		m.counts[i] = n.count
	}
}

// replacing is placement for new facts, round by round, in which a round that
// they cannot concern keeps its places. One is concerned by
//
//   - other facts about something in it, or some about what that is colocated with;
//   - another place of what something in it is colocated with;
//   - other scores of what is, through others perhaps, colocated with something in
//     it, or, if that is a clone, with what the clone is colocated with, since that
//     brings the instances into order;
//   - another balance of the nodes, if the balance has decided something in it.
//
// Clones that stay whatever the scores are keep their places, too, unless it is by
// facts or places that they are concerned.
type replacing struct {
	*memory
	concerned []bool // by top-level resource
	pulled    []bool // by top-level resource: concerned by scores, perhaps
	risen     []bool // by top-level resource: whom its scores concern has been noted
	shift     []int  // by node: how many resources it has more than before by now
	moved     []int  // top-level resources of which something has got another place
	affected  []bool // by top-level resource: its actions will be decided anew
}

// concern notes whom another place of a top-level resource concerns.
func (p *replacing) concern(unit int) { mark(p.concerned, p.dependents[unit]) }

// concernScores notes whom other scores of a top-level resource concern.
func (p *replacing) concernScores(unit int) {
	if p.risen[unit] {
		return
	}
	p.risen[unit] = true
	for _, d := range p.dependents[unit] {
		p.pulled[d] = p.pulled[d] || p.tops[d].isClone()
	}
	for _, primary := range p.primaries[unit] {
		p.pulled[primary] = true
		p.concernScores(primary)
	}
}

// placeAgain places by the present facts, where changed says of each top-level
// resource how they differ and pulled whether scores concern it, and returns the
// top-level resources of which something has got another place. It is not ok if the
// rounds are no longer the same.
func (m *memory) placeAgain(changed []factChange, pulled, affected []bool) (moved []int, ok bool) {
	p := &replacing{memory: m, concerned: make([]bool, len(changed)), pulled: pulled, risen: make([]bool, len(changed)),
		shift: make([]int, len(m.run.nodes)), affected: affected}
	for unit, c := range changed {
		if c.any {
			p.concerned[unit] = true
		}
		if c.shown {
			p.concern(unit)
		}
		if c.scores {
			p.concernScores(unit)
		}
	}
	for i, r := range m.run.all {
		if changed[m.unitOf[i]].any { // what is placed before it looks at it, too
			*r = m.facts[i]
			r.own()
		} else {
			r.rewind(&m.facts[i])
		}
	}
	for _, n := range m.run.nodes {
		n.count = 0
	}
	for i := range m.run.rounds {
		if round := &m.run.rounds[i]; !p.concerns(round) || p.rests(round) {
			for _, top := range round.resources {
				top.each(func(r *resource) { r.settle(&m.places[r.index]) })
			}
		} else if !p.place(round) {
			return nil, false
		}
	}
	m.keepCounts()
	return p.moved, true
}

func (p *replacing) concerns(round *round) bool {
	if round.balanced && slices.ContainsFunc(p.shift, func(more int) bool { return more != 0 }) {
		return true
	}
	return slices.ContainsFunc(round.resources, func(r *resource) bool {
		unit := p.unitOf[r.index]
		return p.concerned[unit] || p.pulled[unit]
	})
}

// place places what is in a round anew. It is false if that is not the same now.
func (p *replacing) place(round *round) bool {
	rn := p.run
	for _, top := range round.resources {
		top.each(func(r *resource) {
			*r = p.facts[r.index]
			r.own()
			if n := p.places[r.index].assigned; n != nil {
				p.shift[n.index]--
			}
		})
	}
	rn.scorings++
	rn.begun, rn.balanced = nil, false
	rn.place(round.resources[0], nil, true)
	round.balanced = rn.balanced
	for _, top := range round.resources {
		p.note(top)
	}
	return slices.Equal(rn.begun, round.resources)
}

// note remembers the new place of a top-level resource, and whom it concerns.
func (p *replacing) note(top *resource) {
	sameScores, samePlaces, same := true, true, true
	top.each(func(r *resource) {
		before, now := &p.places[r.index], r.placeNow()
		if now.assigned != nil {
			p.shift[now.assigned.index]++
		}
		same = same && before.same(&now)
		sameScores = sameScores && before.managed == now.managed && slices.Equal(before.allowed, now.allowed)
		samePlaces = samePlaces && (!r.orderMatters() || slices.Equal(before.children, now.children)) && (!r.promotable || before.assignedScore == now.assignedScore)
		*before = now
	})
	unit := p.unitOf[top.index]
	p.unsorted[unit] = false
	if !same {
		p.moved = append(p.moved, unit)
	}
	if !same || !samePlaces {
		p.concern(unit)
	}
	if !sameScores {
		p.concernScores(unit)
	}
}

// orderMatters tells whether it can matter to what is colocated with r in which
// order r's instances were placed: if several are on one node, or if wishes to be
// with or without them are weighed one after the other.
func (r *resource) orderMatters() bool {
	return r.isClone() && (r.clone.nodeMax > 1 || slices.ContainsFunc(r.withThis, func(c *colocation) bool { return !c.infinite() }))
}

// each calls f for r and everything in it.
func (r *resource) each(f func(*resource)) {
	f(r)
	for _, c := range r.children {
		c.each(f)
	}
}

// same tells whether two placements have the same consequences. The scores of
// what has a place have none, nor has the order of instances at rest.
func (p *place) same(o *place) bool {
	return p.assigned == o.assigned && p.role == o.role && p.nextRole == o.nextRole && p.managed == o.managed && p.nowhere == o.nowhere &&
		p.promotions() == o.promotions() && p.scored == o.scored && (!p.scored || slices.Equal(p.allowed, o.allowed))
}

// promotions is how many instances of a clone will be promoted.
func (p *place) promotions() int {
	if p.clone == nil {
		return 0
	}
	return p.clone.promoted
}

// handOver gives the resources of a slice the places that the whole run found.
func (m *memory) handOver(rn *run) {
	for i, n := range rn.nodes {
		n.count = m.counts[i]
	}
	for _, r := range rn.all {
		p := &m.places[m.run.byID[r.id].index]
		r.placed, r.allowed = true, p.allowed
		r.assignedScore, r.role, r.nextRole = p.assignedScore, p.role, p.nextRole
		r.priority, r.promotion, r.managed, r.counts = p.priority, p.promotion, p.managed, p.counts
		if p.assigned != nil {
			r.assigned = rn.nodes[p.assigned.index]
		}
		if r.isClone() {
			r.clone.promoted = p.promotions()
			r.children = r.children[:0]
			for _, c := range p.children {
				if i := rn.byID[c.id]; i != nil { // else it is left out
					r.children = append(r.children, i)
				}
			}
		}
		if p.nowhere {
			nowhereToRun(r)
		}
	}
}

// factChange tells how facts about a top-level resource differ as far as placement
// can depend on them.
type factChange struct {
	any    bool
	shown  bool // in what its dependents look at and placement does not decide
	scores bool // in what its primaries see when they ask where it would like to be
}

// takeFacts makes what a slice read of r the facts of the whole run about it.
func (m *memory) takeFacts(r *resource) (c factChange) {
	f := &m.facts[m.run.byID[r.id].index]
	at := func(n *node) *node {
		if n == nil {
			return nil
		}
		return m.run.nodes[n.index]
	}
	all := func(nodes []*node) []*node {
		var out []*node
		for _, n := range nodes {
			out = append(out, at(n))
		}
		return out
	}
	active, source, target, pending := all(r.active), at(r.partialSource), at(r.partialTarget), at(r.pendingNode)
	locations := make([]*location, len(r.locations))
	for i, l := range r.locations {
		c := *l
		c.resource, c.scores = m.run.byID[l.resource.id], nil
		for _, s := range l.scores {
			c.scores = append(c.scores, nodeScore{at(s.node), s.score})
		}
		locations[i] = &c
	}
	c.scores = !slices.Equal(f.allowed, r.allowed) || !slices.Equal(f.active, active) || f.managed != r.managed || f.stickiness != r.stickiness ||
		f.failed != r.failed && r.inClone() || f.critical != r.critical || !slices.EqualFunc(f.locations, locations, sameScores) ||
		f.historyName != r.historyName || f.renamed != r.renamed || f.removed != r.removed || !slices.Equal(f.discovery, r.discovery) || f.exclusive != r.exclusive ||
		f.meta["container-attribute-target"] != r.meta["container-attribute-target"]
	c.any = c.scores || !slices.Equal(f.known, r.known) || f.role != r.role || f.nextRole != r.nextRole || f.blocked != r.blocked ||
		f.priority != r.priority || f.requires != r.requires || f.partialSource != source || !maps.Equal(f.meta, r.meta)
	c.shown = f.blocked != r.blocked || f.removed != r.removed

	if c.scores {
		m.run.byID[r.id].each(func(r *resource) { // what a group likes is asked of its members, too
			f := &m.facts[r.index]
			m.run.rescore(f, false)
			m.run.forgetEffects(f)
		})
	}
	f.allowed, f.discovery, f.exclusive = r.allowed.clone(), r.discovery, r.exclusive
	f.active, f.known, f.role, f.nextRole = active, r.known, r.role, r.nextRole
	f.partialSource, f.partialTarget, f.pendingNode, f.pendingTask = source, target, pending, r.pendingTask
	f.managed, f.blocked, f.maintenance, f.failed, f.mustStop = r.managed, r.blocked, r.maintenance, r.failed, r.mustStop
	f.priority, f.stickiness, f.requires, f.target, f.threshold = r.priority, r.stickiness, r.requires, r.target, r.threshold
	f.historyName, f.renamed = r.historyName, r.renamed
	f.removed, f.allowMigrate, f.locations, f.tickets = r.removed, r.allowMigrate, locations, r.tickets
	f.meta, f.config, f.agent, f.critical = r.meta, r.config, r.agent, r.critical
	f.group, f.unique, f.promotable, f.notify = r.group, r.unique, r.promotable, r.notify
	if r.isClone() {
		c := *r.clone
		c.effects = f.clone.effects
		f.clone = &c
	}
	return c
}

func sameScores(a, b *location) bool { return a.role == b.role && slices.Equal(a.scores, b.scores) }
