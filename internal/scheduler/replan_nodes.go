package scheduler

import (
	"slices"
	"strings"

	"linuxha/internal/cluster"
)

// Nodes on which nothing happens. On each of them every clone of a slice has one
// instance, which rests there, and nothing else in the slice has to do with them: they
// can be exchanged for each other, and what two of them show, all do. So the slice
// has the instances on two such nodes, and those on the others are left out. The same
// holds for what the history of a node says of something at rest elsewhere, as long as
// it says no more than that it is not there.

// bystanders is what a slice leaves out for the sake of nodes on which nothing happens.
type bystanders struct {
	left     []bool           // by resource.index: instances that are left out; nil: none
	homeless []bool           // by node.index: the nodes of these
	watched  []int            // resource.index of the instances that stand for them
	numbers  map[string][]int // by clone: the instances that it has in the slice
	homes    []*node          // by top-level resource: where it rests, if what other nodes say of it may be left out
}

// fewest is how many nodes on which nothing happens a slice keeps: two, so that what is
// on several of them is on several.
const fewest = 2

// standBy finds out what p may leave out.
func (m *memory) standBy(p *part, d *difference) (b bystanders) {
	if d.config || d.promote {
		return b
	}
	b.homes = make([]*node, len(p.in))
	for unit, in := range p.in {
		if in && !m.tops[unit].isClone() && m.sameAsRead(d, unit) {
			b.homes[unit] = m.restsOn(unit)
		}
	}
	busy, clones := m.busyNodes(p, d)
	if clones == nil {
		return b
	}
	kept := slices.Clone(busy)
	idle := 0
	for _, c := range clones { // by the first instance, histories find a clone
		if n := m.places[m.facts[c.index].children[0].index].assigned; n != nil && !kept[n.index] {
			kept[n.index] = true
			idle++
		}
	}
	homeless := make([]bool, len(busy))
	some := false
	for i := range kept {
		switch {
		case kept[i]:
		case idle < fewest:
			idle++
		default:
			homeless[i], some = true, true
		}
	}
	if !some {
		return b
	}
	b.homeless, b.left, b.numbers = homeless, make([]bool, len(m.facts)), map[string][]int{}
	for _, c := range clones {
		for number, i := range m.facts[c.index].children {
			n := m.places[i.index].assigned
			if n != nil && homeless[n.index] {
				b.left[i.index] = true
				continue
			}
			if n != nil && !busy[n.index] {
				b.watched = append(b.watched, i.index)
			}
			b.numbers[c.id] = append(b.numbers[c.id], number)
		}
	}
	return b
}

// sameAsRead tells whether what was read of a top-level resource for the last plan is
// what would be read now.
func (m *memory) sameAsRead(d *difference, unit int) bool {
	return !d.units[unit] && !m.restless[unit] && !m.timed[unit] && !m.outdated[unit]
}

// busyNodes finds the nodes with which something in p has to do but for resting instances,
// one of each clone, and the clones of p of which instances can be left out.
func (m *memory) busyNodes(p *part, d *difference) (busy []bool, clones []*resource) {
	busy = make([]bool, len(m.run.nodes))
	note := func(n *node) {
		if n != nil {
			busy[n.index] = true
		}
	}
	noteAll := func(r *resource) {
		f := &m.facts[r.index]
		for _, n := range f.active {
			note(n)
		}
		note(f.partialSource)
		note(f.partialTarget)
		note(f.pendingNode)
		note(m.places[r.index].assigned)
	}
	for i := range d.touched {
		if d.touched[i] {
			note(m.run.nodeByID[m.status.Nodes[i].ID])
		}
	}
	for unit, in := range p.in {
		if !in {
			continue
		}
		c := m.tops[unit]
		if c.isClone() && d.begun[unit] { // its instances may go by other numbers now
			return nil, nil
		}
		if !c.isClone() {
			// A neighbour that rests sees of clones what they do on its node: nothing.
			if p.affected[unit] || m.restsOn(unit) == nil {
				c.primitives(noteAll)
			}
			continue
		}
		separate := m.separate(unit)
		if separate {
			clones = append(clones, c)
		}
		homes := make([]bool, len(busy))
		for _, i := range m.facts[c.index].children {
			n := m.places[i.index].assigned
			if n == nil {
				if m.tiedToClones(unit) { // perhaps to an instance of one of these, on any node
					return nil, nil
				}
				i.primitives(noteAll)
				continue
			}
			if !separate || !m.restsThere(i) || homes[n.index] {
				i.primitives(noteAll)
			}
			homes[n.index] = true
		}
		for i := range homes {
			busy[i] = busy[i] || separate && !homes[i]
		}
	}
	return busy, clones
}

// tiedToClones tells whether an order ties a top-level resource to a clone.
func (m *memory) tiedToClones(unit int) bool {
	return slices.ContainsFunc(m.links[1], func(l link) bool {
		return slices.Contains(l.units, unit) && slices.ContainsFunc(l.units, func(other int) bool { return other != unit && m.tops[other].isClone() })
	})
}

// separate tells whether a top-level resource is a clone of which the instances have
// nothing to do with each other.
func (m *memory) separate(unit int) bool {
	c := &m.facts[m.tops[unit].index]
	d := c.clone
	return d.template.Kind == cluster.Primitive && !c.promotable && !c.unique && !c.notify && !d.ordered && d.nodeMax == 1 && d.min == 0 &&
		d.max == len(c.children)
}

// restsThere tells whether an instance stays where it is, and by the last plan nothing is
// to be done with it, nor does it depend on the time.
func (m *memory) restsThere(i *resource) bool {
	f, place := &m.facts[i.index], &m.places[i.index]
	return place.assigned != nil && len(f.active) == 1 && f.active[0] == place.assigned && place.assigned.available() &&
		f.partialSource == nil && f.partialTarget == nil && f.pendingNode == nil && f.managed && place.managed && !f.blocked && !f.failed && !f.mustStop &&
		!f.removed && f.role == roleStarted && place.role == roleStarted &&
		(place.nextRole == roleUnknown || place.nextRole == roleStarted) && !place.nowhere && !m.stirring[i.index]
}

// tellsNothing tells whether a slice can do without the history of a top-level
// resource on n.
func (b *bystanders) tellsNothing(m *memory, unit int, n *node, h *cluster.ResourceHistory) bool {
	if n == nil {
		return false
	}
	if m.tops[unit].isClone() {
		return b.homeless != nil && b.homeless[n.index]
	}
	return b.homes != nil && b.homes[unit] != nil && b.homes[unit] != n && saysNotThere(h)
}

// saysNotThere tells whether all that a history holds is a probe that found nothing, as
// expected.
func saysNotThere(h *cluster.ResourceHistory) bool {
	if len(h.Operations) != 1 || h.LockTime != "" {
		return false
	}
	e := &h.Operations[0]
	if e.Operation != taskMonitor || e.IntervalMS != 0 || e.RC != rcNotRunning || e.Status != statusDone {
		return false
	}
	_, rest, _ := strings.Cut(e.TransitionKey, ":") // see parseTransitionKey, which takes longer
	number, rest, _ := strings.Cut(rest, ":")
	digits := len(number) > 0 && len(number) < 10
	for i := range len(number) {
		digits = digits && isDigit(number[i])
	}
	return digits && strings.HasPrefix(rest, "7:")
}

// fillIn gives a slice that has read its input what it has not read because of b. It is
// false if what was read differs in something that concerns what is left out.
func (m *memory) fillIn(b *bystanders, rn *run) bool {
	for _, r := range rn.all {
		same := m.run.byID[r.id]
		if same == nil {
			return false
		}
		f := &m.facts[same.index]
		if b.homes != nil && b.homes[m.unitOf[same.index]] != nil {
			if r.role != f.role || r.nextRole != f.nextRole || !sameIndices(r.active, f.active) {
				return false
			}
			r.known = slices.Clone(f.known)
		}
		top := r.top()
		if b.numbers[top.id] == nil {
			continue
		}
		if !slices.Equal(r.allowed, f.allowed) || r.isPrimitive() && !sameIndices(r.active, f.active) {
			return false
		}
		if r == top {
			for _, i := range f.children {
				if b.left[i.index] {
					r.known.putAll(m.facts[i.index].known)
				}
			}
		}
	}
	return true
}

// tell lets instances know what those that are left out know.
func (m *memory) tell(b *bystanders, rn *run) {
	for id := range b.numbers {
		c := rn.byID[id]
		known := slices.Clone(c.children[0].known)
		known.putAll(c.known)
		c.children[0].known = known
	}
}

func sameIndices(a, b []*node) bool {
	return slices.EqualFunc(a, b, func(x, y *node) bool { return x.index == y.index })
}

// stay tells whether what is left out still rests, by the places of now.
func (m *memory) stay(b *bystanders) bool {
	for i, left := range b.left {
		if left && !m.restsThere(m.run.all[i]) {
			return false
		}
	}
	return true
}

// bearOut tells whether the instances that stand for those left out rest in a finished
// slice.
func (m *memory) bearOut(b *bystanders, rn *run) bool {
	for _, i := range b.watched {
		r := rn.byID[m.run.all[i].id]
		if r.assigned == nil || slices.ContainsFunc(r.actions, func(a *action) bool { return !a.atRest() }) {
			return false
		}
	}
	return true
}
