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
	children            []*resource // a clone's instances, as sorted
	counts              []int32
	promoted            int
	scored              bool // its scores still matter, since it has no place
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
		p := &m.places[i]
		*p = place{
			allowed: r.allowed, assigned: r.assigned, assignedScore: r.assignedScore, role: r.role, nextRole: r.nextRole,
			priority: r.priority, promotion: r.promotion, managed: r.managed, nowhere: r.nowhere, counts: r.counts,
			scored: !r.isClone() && placeOf(r) == nil,
		}
		if r.isClone() {
			p.children, p.promoted = slices.Clone(r.children), r.clone.promoted
		}
	}
	m.counts = make([]int, len(m.run.nodes))
	for i, n := range m.run.nodes {
		m.counts[i] = n.count
	}
}

// placeAgain places everything by the present facts, and returns the top-level
// resources of which something has got another place.
func (m *memory) placeAgain() []int {
	for i, r := range m.run.all {
		*r = m.facts[i]
		r.own()
	}
	m.run.scorings++
	for _, n := range m.run.nodes {
		n.count, n.placed = 0, nil
	}
	before := m.places
	m.run.placeResources()
	m.keepPlaces()
	var moved []int
	for i := range before {
		if !before[i].same(&m.places[i]) {
			moved = append(moved, m.unitOf[i])
		}
	}
	return moved
}

// same tells whether two placements have the same consequences. The scores of
// what has a place have none, nor has the order of instances at rest.
func (p *place) same(o *place) bool {
	return p.assigned == o.assigned && p.role == o.role && p.nextRole == o.nextRole && p.managed == o.managed && p.nowhere == o.nowhere &&
		p.promoted == o.promoted && p.scored == o.scored && (!p.scored || slices.Equal(p.allowed, o.allowed))
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
			r.clone.promoted = p.promoted
			for k, c := range p.children {
				r.children[k] = rn.byID[c.id]
			}
		}
		if p.nowhere {
			nowhereToRun(r)
		}
	}
}

// takeFacts makes what a slice read of r the facts of the whole run about it. It
// tells whether placement may depend on what has changed.
func (m *memory) takeFacts(r *resource) (changed bool) {
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
	changed = !slices.Equal(f.allowed, r.allowed) || !slices.Equal(f.active, active) || !slices.Equal(f.known, r.known) ||
		f.role != r.role || f.nextRole != r.nextRole || f.managed != r.managed || f.blocked != r.blocked || f.failed != r.failed && r.inClone() ||
		f.priority != r.priority || f.stickiness != r.stickiness || f.requires != r.requires || f.partialSource != source ||
		f.historyName != r.historyName || f.removed != r.removed || !slices.EqualFunc(f.locations, locations, sameScores) ||
		f.critical != r.critical || !maps.Equal(f.meta, r.meta)

	if changed {
		m.run.rescore(f, false)
		m.run.forgetEffects(f)
	}
	f.allowed, f.discovery, f.exclusive = r.allowed.clone(), r.discovery, r.exclusive
	f.active, f.known, f.role, f.nextRole = active, r.known, r.role, r.nextRole
	f.partialSource, f.partialTarget, f.pendingNode, f.pendingTask = source, target, pending, r.pendingTask
	f.managed, f.blocked, f.maintenance, f.failed, f.mustStop = r.managed, r.blocked, r.maintenance, r.failed, r.mustStop
	f.priority, f.stickiness, f.requires, f.target, f.threshold = r.priority, r.stickiness, r.requires, r.target, r.threshold
	f.historyName, f.removed, f.allowMigrate, f.locations, f.tickets = r.historyName, r.removed, r.allowMigrate, locations, r.tickets
	f.meta, f.config, f.agent, f.critical = r.meta, r.config, r.agent, r.critical
	f.group, f.unique, f.promotable, f.notify = r.group, r.unique, r.promotable, r.notify
	if r.isClone() {
		c := *r.clone
		f.clone = &c
	}
	return changed
}

func sameScores(a, b *location) bool { return a.role == b.role && slices.Equal(a.scores, b.scores) }
