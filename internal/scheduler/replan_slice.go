package scheduler

import (
	"maps"
	"math"
	"slices"
	"time"

	"linuxha/internal/cluster"
)

// part is a choice of top-level resources to be scheduled as if there were
// nothing else: those that are affected, and their neighbours, which a constraint
// ties to them. Of the constraints only those on something affected count: what
// is at rest, and stays so, concerns nobody.
type part struct {
	affected, in []bool // by top-level resource
	spared       []spared
	size         int // resources, instances and members included
	bystanders
	config cluster.Config
	status cluster.Status
}

// spared is a neighbour of an affected clone that is left out: it rests on one
// node, and only follows the clone. So it concerns the clone no more than anything
// at rest does, and what the clone's instances on other nodes do does not concern
// it either (SEMANTICS 25: with what has a node, a clone is related by what it does
// there).
type spared struct {
	clone, follower int // top-level resources
	node            *node
}

// replan makes the plan for new input from the last one, or returns nil if it
// takes a whole run to tell.
func (m *memory) replan(config *cluster.Config, status *cluster.Status, now time.Time) *Plan {
	if !m.plan.Recheck.IsZero() && !now.Before(m.plan.Recheck) {
		return nil
	}
	d := m.compare(config, status)
	if d.tooLarge {
		return nil
	}
	if !d.any && !slices.Contains(m.timed, true) {
		m.config, m.status, m.history = config, status, d.history
		plan := *m.plan
		return &plan
	}
	affected := make([]bool, len(m.restless))
	for i := range affected {
		affected[i] = d.units[i] || m.restless[i] || m.timed[i]
	}
	known := slices.Clone(affected) // of these, facts may be others
	spread := m.spread(d)
	if m.sizeOf(spread) > m.most() {
		return nil
	}
	mark(affected, spread)
	first, thin := true, true
	for work := 0; ; {
		p := m.part(affected, config, status, d, thin)
		if work += p.size; work > m.most() {
			return nil
		}
		rn := newRun(&p.config, &p.status, now, Options{})
		rn.whole, rn.unchanged, rn.numbers = m.run, m.unchanged(p, d), p.numbers
		if !d.config {
			rn.refs = m.run.refs
		}
		rn.assess()
		if thin && !m.fillIn(&p.bystanders, rn) {
			thin = false
			continue
		}
		if !m.matches(p, rn, d) {
			return nil
		}
		if first {
			first = false
			moved, ok := m.moved(rn, d, known, affected)
			if !ok {
				return nil
			}
			if mark(affected, moved) {
				continue
			}
		}
		moved, ok := m.sortOut(affected)
		if !ok {
			return nil
		}
		if mark(affected, moved) {
			continue
		}
		if !m.stay(&p.bystanders) {
			thin = false
			continue
		}
		m.handOver(rn)
		m.tell(&p.bystanders, rn)
		rn.decideActions()
		if !rn.settled() {
			return nil
		}
		if !m.bearOut(&p.bystanders, rn) {
			thin = false
			continue
		}
		rn.writeGraph()
		stirred, ok := m.stirred(p, rn)
		if !ok {
			return nil
		}
		if mark(affected, stirred) {
			continue
		}
		m.config, m.status, m.history = config, status, d.history
		m.update(p, rn, d)
		plan := *m.plan
		return &plan
	}
}

// settled tells whether another look at the relations between actions changes nothing.
// Else what is found depends on how often each was looked at, and so on all there is
// (layered 1200735: a neighbour at rest leads a whole run back to what it has passed).
func (rn *run) settled() bool {
	before := make([]actionFlags, len(rn.actions))
	for i, a := range rn.actions {
		before[i] = a.actionFlags
	}
	rn.propagateAll()
	if len(rn.actions) != len(before) {
		return false
	}
	for i, a := range rn.actions {
		if a.actionFlags != before[i] {
			return false
		}
	}
	return true
}

// unchanged names the top-level resources in a slice of which the last plan has
// found the history to be as configured, and neither is another one now.
func (m *memory) unchanged(p *part, d *difference) map[string]bool {
	ids := map[string]bool{}
	for unit, in := range p.in {
		if in && m.sameAsRead(d, unit) {
			ids[m.tops[unit].id] = true
		}
	}
	return ids
}

// most is how many resources may be scheduled in slices: beyond, a whole run is as
// good.
func (m *memory) most() int {
	if m.eager {
		return math.MaxInt
	}
	return len(m.run.all) / 3
}

// sizeOf counts the resources in top-level ones.
func (m *memory) sizeOf(units []int) int {
	size := 0
	for _, unit := range units {
		size += m.sizes[unit]
	}
	return size
}

// spread foresees what is affected by failures through constraints, so that it
// need not be found out step by step. It may be too much or too little.
func (m *memory) spread(d *difference) (units []int) {
	for _, f := range d.failures {
		on := m.run.nodeByID[f.node]
		reached := make([]bool, len(d.units))
		var reach func(unit int, everywhere bool)
		reach = func(unit int, everywhere bool) {
			if reached[unit] {
				return
			}
			reached[unit] = true
			units = append(units, unit)
			everywhere = everywhere || !m.tops[unit].isClone()
			for _, next := range m.followers[unit] {
				switch then := m.tops[next]; {
				case everywhere, then.isClone():
					reach(next, everywhere || !then.interleaves())
				case m.restsOn(next) == nil || m.restsOn(next) == on:
					reach(next, true)
				}
			}
		}
		reach(f.unit, false)
	}
	return units
}

// restsOn is the node where all of a top-level resource is and stays, nil if there
// is no such node.
func (m *memory) restsOn(unit int) (on *node) {
	alone := true
	m.tops[unit].primitives(func(r *resource) {
		active, assigned := m.facts[r.index].active, m.places[r.index].assigned
		alone = alone && len(active) == 1 && active[0] == assigned && (on == nil || on == assigned)
		on = assigned
	})
	if !alone {
		return nil
	}
	return on
}

// mark adds units to set and tells whether that changed it.
func mark(set []bool, units []int) bool {
	added := false
	for _, unit := range units {
		added = added || !set[unit]
		set[unit] = true
	}
	return added
}

// part chooses what is to be scheduled; thin if what concerns nodes on which nothing
// happens may be left out.
func (m *memory) part(affected []bool, config *cluster.Config, status *cluster.Status, d *difference, thin bool) *part {
	p := &part{affected: affected, in: slices.Clone(affected), config: *config, status: *status}
	ties := func(l *link) bool {
		return slices.ContainsFunc(l.units, func(unit int) bool { return affected[unit] })
	}
	spare := func(l *link) bool {
		if !l.local || !affected[l.clone] || affected[l.follower] || d.config {
			return false
		}
		_, minimum := m.facts[m.tops[l.clone].index].meta["clone-min"]
		return !minimum && m.restsOn(l.follower) != nil
	}
	for kind := range m.links {
		for i := range m.links[kind] {
			if l := &m.links[kind][i]; ties(l) && !spare(l) {
				mark(p.in, l.units)
			}
		}
	}
	concerned := func(l *link) bool {
		if !ties(l) {
			return false
		}
		if l.local && !p.in[l.follower] {
			p.spared = append(p.spared, spared{l.clone, l.follower, m.restsOn(l.follower)})
			return false
		}
		return true
	}
	p.config.Colocations = chosen(config.Colocations, func(i int) bool { return concerned(&m.links[0][i]) })
	p.config.Orders = chosen(config.Orders, func(i int) bool { return concerned(&m.links[1][i]) })
	p.config.TicketRules = chosen(config.TicketRules, func(i int) bool { return concerned(&m.links[2][i]) })
	p.config.Resources = chosen(config.Resources, func(i int) bool { return p.in[i] })
	p.config.Locations = chosen(config.Locations, func(i int) bool {
		r := m.run.byID[config.Locations[i].Resource]
		return r == nil || p.in[m.unitOf[r.index]]
	})
	if thin {
		p.bystanders = m.standBy(p, d)
	}
	p.status.Nodes = slices.Clone(status.Nodes)
	for i := range p.status.Nodes {
		n, units := &p.status.Nodes[i], d.history[i]
		here := m.run.nodeByID[n.ID]
		n.History = chosen(n.History, func(k int) bool {
			return units[k] >= 0 && p.in[units[k]] && !p.tellsNothing(m, units[k], here, &n.History[k])
		})
	}
	for unit, in := range p.in {
		if in {
			p.size += m.sizes[unit]
		}
	}
	for _, left := range p.left {
		if left {
			p.size--
		}
	}
	return p
}

// chosen returns the elements of list at the wanted positions.
func chosen[T any](list []T, wanted func(i int) bool) []T {
	at := make([]int32, 0, len(list))
	for i := range list {
		if wanted(i) {
			at = append(at, int32(i))
		}
	}
	out := make([]T, len(at))
	for k, i := range at {
		out[k] = list[i]
	}
	return out
}

// matches tells whether a slice that has read its input finds the same resources,
// names and nodes as the whole run did.
func (m *memory) matches(p *part, rn *run, d *difference) bool {
	if !rn.reusable() || !m.sameNodes(rn) || d.config && (rn.refs != nil || len(rn.plan.Warnings) > 0 || len(m.plan.Warnings) > 0) {
		return false
	}
	count := 0
	for _, r := range m.run.all {
		if p.in[m.unitOf[r.index]] && (p.left == nil || !p.left[r.index]) {
			count++
		}
	}
	if count != len(rn.all) {
		return false
	}
	for _, r := range rn.all {
		same := m.run.byID[r.id]
		if same == nil || same.top().id != r.top().id {
			return false
		}
		if f := &m.facts[same.index]; d.config && (f.priority != r.priority || !sameColocations(f.thisWith, r.thisWith) && p.affected[m.unitOf[same.index]] ||
			!sameColocations(f.withThis, r.withThis) && p.affected[m.unitOf[same.index]]) {
			return false
		}
	}
	for name, r := range rn.inHistory {
		if same := m.run.inHistory[name]; same == nil || same.top().id != r.top().id {
			return false
		}
	}
	for name, r := range m.run.inHistory {
		if p.in[m.unitOf[r.index]] && rn.inHistory[name] == nil {
			return false
		}
	}
	return true
}

func sameColocations(a, b []*colocation) bool {
	return slices.EqualFunc(a, b, func(x, y *colocation) bool {
		return x.id == y.id && x.dependent.id == y.dependent.id && x.primary.id == y.primary.id && x.dependentRole == y.dependentRole &&
			x.primaryRole == y.primaryRole && x.attribute == y.attribute && x.score == y.score && x.influence == y.influence
	})
}

// sameNodes tells whether the nodes are as the whole run found them.
func (m *memory) sameNodes(rn *run) bool {
	return slices.EqualFunc(m.run.nodes, rn.nodes, func(a, b *node) bool {
		return a.id == b.id && a.name == b.name && a.score == b.score && a.online == b.online && a.unclean == b.unclean && a.unseen == b.unseen &&
			a.standby == b.standby && a.maintenance == b.maintenance && a.pending == b.pending && a.shutdown == b.shutdown && a.isDC == b.isDC
	})
}

// moved takes over what a slice found out about known affected resources, and places
// anew what that may concern. It returns what moved.
func (m *memory) moved(rn *run, d *difference, known, affected []bool) (units []int, ok bool) {
	for i, n := range m.run.nodes {
		n.attrs, n.failures = rn.nodes[i].attrs, rn.nodes[i].failures
	}
	changed := make([]factChange, len(affected))
	some := false
	for _, r := range rn.all {
		if unit := m.unitOf[m.run.byID[r.id].index]; known[unit] {
			c := m.takeFacts(r)
			c.any = c.any || d.promote && d.units[unit]
			edited := d.config && d.units[unit]
			was := changed[unit]
			changed[unit] = factChange{any: was.any || c.any, shown: was.shown || c.shown || edited && c.any, scores: was.scores || c.scores}
			some = some || c.any
		}
	}
	if !some {
		return nil, true
	}
	return m.placeAgain(changed, make([]bool, len(changed)), affected)
}

// stirred returns the neighbours that a finished slice leaves no longer at rest.
// It is not ok if there is more to it: fencing, or probes, whose order can follow
// from what is not in the slice; or notifications that something waits for, or
// something that several others require, since which reason is found first can
// follow from more, too.
func (m *memory) stirred(p *part, rn *run) (units []int, ok bool) {
	if rn.dated || !m.sameNodes(rn) {
		return nil, false
	}
	for _, a := range rn.actions {
		if a.resource == nil {
			if a.task == taskFence || a.task == taskShutdown {
				return nil, false
			}
			continue
		}
		if a.task == taskMonitor && a.interval == 0 {
			return nil, false
		}
		unit := m.unitOf[m.run.byID[a.resource.id].index]
		if !a.atRest() && (a.resource.notify && a.resource.isClone() && len(m.followers[unit]) > 0 || a.followsSeveral()) {
			return nil, false
		}
		if !p.affected[unit] && !a.atRest() {
			units = append(units, unit)
		}
	}
	startable := map[int]bool{} // of clones that have no instance on a node: they can run elsewhere
	for _, each := range p.spared {
		clone := rn.byID[m.tops[each.clone].id]
		if p.homeless != nil && p.homeless[each.node.index] && p.numbers[clone.id] != nil {
			can, known := startable[each.clone]
			if !known {
				can = rn.startable(clone)
				startable[each.clone] = can
			}
			if !can {
				units = append(units, each.follower)
			}
		} else if !rn.untouched(clone, rn.nodes[each.node.index]) {
			units = append(units, each.follower)
		}
	}
	for _, r := range rn.all {
		same := m.run.byID[r.id]
		unit := m.unitOf[same.index]
		if !r.isPrimitive() || p.affected[unit] {
			continue
		}
		if was, is := &m.plan.Placements[m.position[same.index]], placementOf(r); was.Node != is.Node || was.Role != is.Role || was.Blocked != is.Blocked {
			units = append(units, unit)
		}
	}
	return units, true
}

// followsSeveral tells whether several other top-level resources require a.
func (a *action) followsSeveral() bool {
	var one *resource
	for _, o := range a.before {
		if o.first.resource == nil || o.first.optional || !o.kind.has(relImply) {
			continue
		}
		top := o.first.resource.top()
		if top == a.resource.top() {
			continue
		}
		if one != nil && one != top {
			return true
		}
		one = top
	}
	return false
}

// untouched tells whether what follows the start of a clone, and rests on n, sees
// nothing of what is done with the clone.
func (rn *run) untouched(clone *resource, n *node) bool {
	start := rn.findAction(clone, taskStart, 0, nil)
	if start == nil {
		return false
	}
	flags := rn.flagsFor(completionOf(start), n)
	return flags.optional && flags.runnable
}

// startable tells whether an instance of a clone can be started somewhere.
func (rn *run) startable(clone *resource) bool {
	start := rn.findAction(clone, taskStart, 0, nil)
	return start != nil && rn.flagsFor(completionOf(start), nil).runnable
}

// update makes the finished slice part of what is remembered.
func (m *memory) update(p *part, rn *run, d *difference) {
	for unit, affected := range p.affected {
		if affected {
			m.restless[unit], m.timed[unit] = false, false
			m.outdated[unit] = m.outdated[unit] && !d.units[unit]
		}
	}
	for _, r := range rn.all {
		m.stirring[m.run.byID[r.id].index] = false
	}
	m.noteRest(rn, func(r *resource) int { return m.run.byID[r.id].index })
	if m.run.looked == nil {
		m.run.looked = map[string]bool{}
	}
	maps.Copy(m.run.looked, rn.looked)
	plan := *m.plan
	plan.Actions, plan.Recheck = rn.plan.Actions, rn.recheck
	plan.Placements = slices.Clone(plan.Placements)
	for _, r := range rn.all {
		if same := m.run.byID[r.id]; r.isPrimitive() && p.affected[m.unitOf[same.index]] {
			plan.Placements[m.position[same.index]] = placementOf(r)
		}
	}
	for i, left := range p.left {
		if left && p.affected[m.unitOf[i]] && !restsOn(&plan.Placements[m.position[i]], m.places[i].assigned) {
			r := m.facts[i]
			r.set(&m.places[i])
			r.nextRole = roleStarted
			plan.Placements[m.position[i]] = placementOf(&r)
		}
	}
	m.plan = &plan
}

// restsOn tells whether a placement says that something runs on n, and goes on there.
func restsOn(p *Placement, n *node) bool {
	return p.Node == n.name && p.Role == roleStarted.String() && !p.Blocked && len(p.Current) == 1 && p.Current[0] == n.name
}
