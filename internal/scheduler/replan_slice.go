package scheduler

import (
	"maps"
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
	config       cluster.Config
	status       cluster.Status
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
	for first, work := true, 0; ; first = false {
		p := m.part(affected, config, status, d.history)
		if work += len(p.config.Resources); work > len(config.Resources)/6 && !m.eager {
			return nil // a whole run is as good
		}
		rn := newRun(&p.config, &p.status, now, Options{})
		rn.whole = m.run
		if !d.config {
			rn.refs = m.run.refs
		}
		rn.assess()
		if !m.matches(p, rn, d) || first && !m.eager && m.spreads(rn, d) {
			return nil
		}
		if first {
			moved, ok := m.moved(p, rn, d)
			if !ok {
				return nil
			}
			if mark(affected, moved) {
				continue
			}
		}
		m.handOver(rn)
		rn.decideActions()
		rn.writeGraph()
		stirred, ok := m.stirred(p, rn)
		if !ok {
			return nil
		}
		if mark(affected, stirred) {
			continue
		}
		m.config, m.status, m.history = config, status, d.history
		m.update(p, rn)
		plan := *m.plan
		return &plan
	}
}

// spreads tells whether something has failed now on which so much depends that a
// whole run is as good.
func (m *memory) spreads(rn *run, d *difference) bool {
	reached := make([]bool, len(d.units))
	count := 0
	var reach func(int)
	reach = func(unit int) {
		if reached[unit] {
			return
		}
		reached[unit] = true
		count++
		for _, next := range m.followers[unit] {
			reach(next)
		}
	}
	for _, r := range rn.all {
		if unit := m.unitOf[m.run.byID[r.id].index]; r.failed && d.units[unit] {
			reach(unit)
		}
	}
	return count > len(reached)/6
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

// part chooses what is to be scheduled.
func (m *memory) part(affected []bool, config *cluster.Config, status *cluster.Status, history [][]int) *part {
	p := &part{affected: affected, in: slices.Clone(affected), config: *config, status: *status}
	concerned := func(units []int) bool {
		for _, unit := range units {
			if affected[unit] {
				mark(p.in, units)
				return true
			}
		}
		return false
	}
	p.config.Colocations = chosen(config.Colocations, func(i int) bool { return concerned(m.links[0][i]) })
	p.config.Orders = chosen(config.Orders, func(i int) bool { return concerned(m.links[1][i]) })
	p.config.TicketRules = chosen(config.TicketRules, func(i int) bool { return concerned(m.links[2][i]) })
	p.config.Resources = chosen(config.Resources, func(i int) bool { return p.in[i] })
	p.config.Locations = chosen(config.Locations, func(i int) bool {
		r := m.run.byID[config.Locations[i].Resource]
		return r == nil || p.in[m.unitOf[r.index]]
	})
	p.status.Nodes = slices.Clone(status.Nodes)
	for i := range p.status.Nodes {
		n := &p.status.Nodes[i]
		n.History = chosen(n.History, func(k int) bool { return history[i][k] >= 0 && p.in[history[i][k]] })
	}
	return p
}

// chosen returns the elements of list at the wanted positions.
func chosen[T any](list []T, wanted func(i int) bool) []T {
	var out []T
	for i := range list {
		if wanted(i) {
			out = append(out, list[i])
		}
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
		if p.in[m.unitOf[r.index]] {
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

// moved takes over what a slice found out about the affected resources, and
// places anew what that may concern. It returns what moved.
func (m *memory) moved(p *part, rn *run, d *difference) (units []int, ok bool) {
	for i, n := range m.run.nodes {
		n.attrs, n.failures = rn.nodes[i].attrs, rn.nodes[i].failures
	}
	changed := make([]factChange, len(p.affected))
	some := false
	for _, r := range rn.all {
		if unit := m.unitOf[m.run.byID[r.id].index]; p.affected[unit] {
			c := m.takeFacts(r)
			c.any = c.any || d.promote && d.units[unit]
			changed[unit].any, changed[unit].scores = changed[unit].any || c.any, changed[unit].scores || c.scores
			some = some || c.any
		}
	}
	if !some {
		return nil, true
	}
	return m.placeAgain(changed)
}

// stirred returns the neighbours that a finished slice leaves no longer at rest.
// It is not ok if there is more to it: fencing, or probes, whose order can follow
// from what is not in the slice.
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
		if unit := m.unitOf[m.run.byID[a.resource.id].index]; !p.affected[unit] && !a.atRest() {
			units = append(units, unit)
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

// update makes the finished slice part of what is remembered.
func (m *memory) update(p *part, rn *run) {
	for unit, affected := range p.affected {
		if affected {
			m.restless[unit], m.timed[unit] = false, false
		}
	}
	m.noteRest(rn, func(r *resource) int { return m.unitOf[m.run.byID[r.id].index] })
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
	m.plan = &plan
}
