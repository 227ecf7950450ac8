package scheduler

import (
	"slices"
	"strings"
)

// writeOutcome fills the rest of the plan: nodes, placements, reasons, scores.
func (rn *run) writeOutcome() {
	fenced := map[string]bool{}
	for i := range rn.plan.Actions {
		if a := &rn.plan.Actions[i]; a.Kind == Fence && a.Detail != "on" {
			fenced[a.Node] = true
		}
	}
	for _, n := range rn.nodes {
		rn.plan.Nodes = append(rn.plan.Nodes, NodeOutcome{Name: n.name, State: n.state(), Fence: fenced[n.name]})
	}
	for _, r := range rn.all {
		if r.isPrimitive() {
			rn.plan.Placements = append(rn.plan.Placements, placementOf(r))
		}
	}
	slices.SortStableFunc(rn.plan.Placements, func(a, b Placement) int { return strings.Compare(a.Instance, b.Instance) })
	rn.writeReasons()
	rn.plan.Scores = rn.scores
	rn.plan.Recheck = rn.recheck
}

// state names what n is, the gravest first.
func (n *node) state() string {
	switch {
	case n.unclean:
		return "unclean"
	case n.pending:
		return "pending"
	case n.standby && n.online:
		return "standby"
	case n.maintenance && n.online:
		return "maintenance"
	case n.online:
		return "online"
	}
	return "offline"
}

func placementOf(r *resource) Placement {
	p := Placement{Resource: r.configuredID(), Instance: r.id, Role: r.nextRole.String(),
		Blocked: !r.managed || r.blocked}
	for _, n := range r.active {
		p.Current = append(p.Current, n.name)
	}
	if r.assigned != nil {
		p.Node = r.assigned.name
	}
	return p
}

// configuredID is the id that r has in the configuration: without the number of
// an instance.
func (r *resource) configuredID() string {
	if r.inClone() {
		return baseID(r.id)
	}
	return r.id
}
