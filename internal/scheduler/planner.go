package scheduler

import (
	"slices"
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// Planner schedules one cluster again and again. Its plans are those of
// Schedule, to the byte; but after a small change it works out only what that
// change can concern, and takes the rest from its plan before:
//
//   - what differs in the input names the top-level resources that are affected
//     (replan_input.go), those that are not at rest are always among them;
//   - the affected ones and everything that a constraint ties to them are
//     scheduled by the ordinary steps, as if there were nothing else
//     (replan_slice.go), but placed among all resources (replan_places.go);
//   - if a neighbour is no longer at rest then, it counts as affected, and so on.
//
// Whatever is not plainly of that kind makes a whole plan. What is passed to a
// Planner must not be changed afterwards. The zero value is ready for use; it is
// not for use by several at once.
type Planner struct {
	last   *memory // nil: nothing to build on
	reused int     // plans that were not made as a whole
	eager  bool    // take pains to make no whole plan even where that is no gain
}

// memory is the last plan with what is needed to make the next one from it.
// Top-level resources are known by their position in the configuration.
type memory struct {
	config *cluster.Config
	status *cluster.Status
	plan   *Plan

	run      *run        // the last whole run: all constraints, and where placement is worked out
	unitOf   []int       // top-level resource of each resource, by resource.index
	tops     []*resource // top-level resources
	sizes    []int       // by top-level resource: with all that is in it
	restless []bool      // by top-level resource: something is to be done with it
	timed    []bool      // by top-level resource: what is known of it depends on the time
	stirring []bool      // by resource.index: restless, timed or outdated itself
	outdated []bool      // by top-level resource: its history is not as it is configured
	history  [][]int     // by node of the status: top-level resource of each entry, -1: none
	position []int       // in plan.Placements, by resource.index

	facts    []resource // by resource.index: before placement
	places   []place    // by resource.index: after it
	counts   []int      // resources placed, by node.index
	unsorted []bool     // by top-level resource: the order of its instances is not known

	eager bool

	links [3][]link // by colocation, order and ticket constraint

	// By top-level resource, those that constraints tie it to.
	primaries, dependents [][]int
	followers             [][]int // what is ordered after it
}

// Schedule is the function Schedule.
func (p *Planner) Schedule(config *cluster.Config, status *cluster.Status, now time.Time, opts Options) (*Plan, error) {
	if opts != (Options{}) {
		return Schedule(config, status, now, opts)
	}
	if p.last != nil {
		if plan := p.last.replan(config, status, now); plan != nil {
			p.reused++
			return plan, nil
		}
	}
	p.last = nil
	rn := newRun(config, status, now, opts)
	rn.assess()
	var m *memory
	if rn.reusable() {
		m = &memory{config: config, status: status, run: rn, eager: p.eager}
		m.keepFacts()
	}
	rn.placeResources()
	if m != nil {
		m.keepPlaces()
	}
	rn.decideActions()
	rn.writeGraph()
	rn.writeOutcome()
	if m != nil && m.complete() {
		p.last = m
	}
	return rn.plan, nil
}

// reusable tells whether a run that has read its input is of the plain kind that
// later plans can be made from: every node is up or cleanly down, none of them
// stands behind a connection, and nothing ties all resources together.
func (rn *run) reusable() bool {
	o := &rn.options
	if o.strategy != strategyDefault || o.shutdownLock || !rn.quorate || rn.unfencing || rn.dated ||
		len(rn.guests) > 0 || len(rn.resources) != len(rn.config.Resources) || len(rn.byID) != len(rn.all) {
		return false
	}
	for _, n := range rn.nodes {
		if n.unclean || n.shutdown || n.pending || n.behindConnection() {
			return false
		}
	}
	for _, r := range rn.all {
		if r.isBundle() || r.isConnection || r.container != nil || r.meta["container"] != "" || r.removed && !r.removedInstance {
			return false
		}
	}
	for i := range rn.config.Tags {
		if rn.byID[rn.config.Tags[i].ID] != nil {
			return false
		}
	}
	for i := range rn.config.Templates {
		if rn.byID[rn.config.Templates[i].ID] != nil {
			return false
		}
	}
	return true
}

// complete takes from the finished run what the next plan needs. It is false if
// the run turned out not to be plain.
func (m *memory) complete() bool {
	rn := m.run
	if !rn.reusable() {
		return false
	}
	byID := make(map[string]int, len(rn.config.Resources))
	for i := range rn.config.Resources {
		byID[rn.config.Resources[i].ID] = i
	}
	m.tops, m.sizes = make([]*resource, len(byID)), make([]int, len(byID))
	for _, r := range rn.resources {
		if unit, known := byID[r.id]; known {
			m.tops[unit] = r
		}
	}
	m.unitOf = make([]int, len(rn.all))
	for _, r := range rn.all {
		unit, known := byID[r.top().id]
		if !known {
			return false
		}
		m.unitOf[r.index] = unit
		m.sizes[unit]++
	}
	if !m.readLinks() {
		return false
	}
	m.readTies()
	m.unsorted = make([]bool, len(byID))
	m.restless, m.timed, m.outdated = make([]bool, len(byID)), make([]bool, len(byID)), make([]bool, len(byID))
	m.stirring = make([]bool, len(rn.all))
	if !m.noteRest(rn, func(r *resource) int { return r.index }) {
		return false
	}
	m.history = make([][]int, len(m.status.Nodes))
	for i := range m.status.Nodes {
		m.history[i] = m.historyUnits(nil, nil, m.status.Nodes[i].History)
	}
	m.plan = rn.plan
	m.position = make([]int, len(rn.all))
	for _, r := range rn.all {
		if r.isPrimitive() {
			m.position[r.index], _ = slices.BinarySearchFunc(rn.plan.Placements, r.id, func(p Placement, id string) int { return strings.Compare(p.Instance, id) })
		}
	}
	return true
}

// noteRest marks the resources, and the top-level ones, of a finished run with which something
// is to be done, and the top-level ones whose state depends on the time, or whose history is outdated. It is
// false if something concerns the cluster as a whole.
func (m *memory) noteRest(rn *run, indexOf func(*resource) int) bool {
	mark := func(a *action) {
		if a.resource != nil {
			index := indexOf(a.resource)
			m.stirring[index], m.restless[m.unitOf[index]] = true, true
		}
	}
	for _, a := range rn.actions {
		switch {
		case a.atRest():
		case a.resource != nil:
			mark(a)
		case a.task == taskFence || a.task == taskShutdown:
			return false
		default: // a point between several resources
			for _, o := range a.before {
				mark(o.first)
			}
			for _, o := range a.after {
				mark(o.then)
			}
		}
	}
	for _, r := range rn.all {
		if r.timed {
			m.timed[m.unitOf[indexOf(r)]], m.stirring[indexOf(r)] = true, true
		}
		if r.outdated {
			m.outdated[m.unitOf[indexOf(r)]], m.stirring[indexOf(r)] = true, true
		}
	}
	return true
}

// atRest tells whether a neither is to be done nor keeps anything from being done. What
// cannot be done with an instance for want of a node concerns no other one: its clone can
// do what any of its instances can.
func (a *action) atRest() bool {
	return a.optional && !a.always && (a.runnable || a.node == nil && a.resource != nil && a.resource.isPrimitive() && a.resource.inClone())
}

// link is what a constraint ties together.
type link struct {
	units []int // the top-level resources that it names
	// local: it makes one thing follow a clone, nothing more, and so concerns what
	// stays on one node only by what happens on that node; see sparing.
	local           bool
	clone, follower int // top-level resources; if local
}

// readLinks notes which top-level resources each constraint ties together. It is
// false if it cannot be told by the constraint alone.
func (m *memory) readLinks() bool {
	c := m.config
	plain := true
	read := func(kind, count int, names func(i int) ([]string, []cluster.ResourceSet)) {
		m.links[kind] = make([]link, count)
		for i := range count {
			ids, sets := names(i)
			for k := range sets {
				plain = plain && sets[k].Ref == ""
				ids = append(ids, sets[k].Resources...)
			}
			m.links[kind][i].units = m.unitsNamed(ids)
		}
	}
	read(0, len(c.Colocations), func(i int) ([]string, []cluster.ResourceSet) {
		return []string{c.Colocations[i].Resource, c.Colocations[i].With}, c.Colocations[i].Sets
	})
	read(1, len(c.Orders), func(i int) ([]string, []cluster.ResourceSet) {
		return []string{c.Orders[i].First, c.Orders[i].Then}, c.Orders[i].Sets
	})
	read(2, len(c.TicketRules), func(i int) ([]string, []cluster.ResourceSet) {
		return []string{c.TicketRules[i].Resource}, c.TicketRules[i].Sets
	})
	for i := range c.Locations {
		for k := range c.Locations[i].Sets {
			plain = plain && c.Locations[i].Sets[k].Ref == ""
		}
	}
	for i := range c.Orders {
		up, down := directions(&c.Orders[i])
		plain = plain && (up || down && !slices.ContainsFunc(m.links[1][i].units, func(unit int) bool { return !m.tops[unit].isPrimitive() }))
	}
	for i := range c.Colocations {
		if k := &c.Colocations[i]; k.Rule == nil && k.Role == "" && k.WithRole == "" && k.NodeAttribute == "" && parseScore(k.Score, 0) > 0 {
			m.links[0][i].localTo(m, k.With, k.Resource)
		}
	}
	for i := range c.Orders {
		if o := &c.Orders[i]; parseOrderKind(o.Kind, o.Score, orderMandatory) == orderMandatory && symmetrical(o.Symmetrical, orderMandatory) &&
			orDefault(o.FirstAction, taskStart) == taskStart && orDefault(o.ThenAction, taskStart) == taskStart && o.RequireAll == "" {
			m.links[1][i].localTo(m, o.First, o.Then)
		}
	}
	return plain
}

// directions tells whether an order ties starts and promotions only, or stops and
// demotions only. Where the start of one thing follows the stop of another, or the
// point of a group or clone a stop, what is propagated can depend on how often it is
// looked at, and so on all there is.
func directions(o *cluster.Order) (up, down bool) {
	up, down = true, true
	note := func(task string) {
		rises := task == "" || task == taskStart || task == taskPromote
		up, down = up && rises, down && !rises
	}
	if len(o.Sets) == 0 {
		note(o.FirstAction)
		note(orDefault(o.ThenAction, o.FirstAction))
	}
	for i := range o.Sets {
		note(o.Sets[i].Action)
	}
	return up, down
}

// localTo notes that l makes then follow first, if first is a clone of a primitive
// and then is no clone.
func (l *link) localTo(m *memory, first, then string) {
	clone, follower := m.run.byID[first], m.run.byID[then]
	if len(l.units) == 2 && clone != nil && follower != nil && clone.isClone() && clone.clone.template.Kind == cluster.Primitive &&
		follower.parent == nil && !follower.isClone() {
		l.local, l.clone, l.follower = true, m.unitOf[clone.index], m.unitOf[follower.index]
	}
}

// readTies notes which top-level resources are colocated with, or ordered after,
// which.
func (m *memory) readTies() {
	add := func(ties [][]int, from, to int) {
		if last := len(ties[from]) - 1; from != to && (last < 0 || ties[from][last] != to) {
			ties[from] = append(ties[from], to)
		}
	}
	count := len(m.config.Resources)
	m.primaries, m.dependents, m.followers = make([][]int, count), make([][]int, count), make([][]int, count)
	for _, r := range m.run.all {
		for _, c := range r.thisWith {
			dependent, primary := m.unitOf[r.index], m.unitOf[c.primary.index]
			add(m.primaries, dependent, primary)
			add(m.dependents, primary, dependent)
		}
	}
	for i := range m.config.Orders {
		for _, first := range m.unitsNamed([]string{m.config.Orders[i].First}) {
			for _, then := range m.unitsNamed([]string{m.config.Orders[i].Then}) {
				add(m.followers, first, then)
			}
		}
	}
}

// unitsNamed lists the top-level resources that ids, which may also be of
// templates and tags, stand for.
func (m *memory) unitsNamed(ids []string) []int {
	var units []int
	for _, id := range ids {
		expanded, _ := m.run.expandReference(id)
		for _, each := range expanded {
			if r := m.run.constraintResource(each); r != nil {
				units = append(units, m.unitOf[r.index])
			}
		}
	}
	return units
}
