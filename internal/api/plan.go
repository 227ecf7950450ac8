package api

import (
	"linuxha/internal/cluster"
	"linuxha/internal/config"
)

// NewPlan describes, for people and programs, what cfg would change in state and
// what p would then do.
func NewPlan(state *cluster.State, cfg *cluster.Config, p *cluster.Plan) *Plan {
	out := &Plan{Base: state.Revision, Plan: p, Config: []Change{}, Actions: []PlanAction{}, Moves: []PlanMove{}}
	out.Config = append(out.Config, config.Diff(&state.Config, cfg)...)
	kinds := map[string]map[cluster.ActionKind]bool{}
	for _, i := range inOrder(p) {
		a := &p.Actions[i]
		if a.Internal || a.Kind == cluster.ActionPoint {
			continue
		}
		name := a.Instance
		if name == "" {
			name = a.Resource
		}
		if kinds[name] == nil {
			kinds[name] = map[cluster.ActionKind]bool{}
		}
		kinds[name][a.Kind] = true
		if a.Kind == cluster.ActionProbe || a.Kind == cluster.ActionMonitor || a.Kind == cluster.ActionCancel || a.Implied {
			continue
		}
		out.Actions = append(out.Actions, PlanAction{Kind: string(a.Kind), Resource: name, Node: a.Node, Reason: a.Reason})
	}
	reasons := map[string]string{}
	for _, r := range p.Reasons {
		reasons[r.Instance] = r.Summary
	}
	for _, pl := range p.Placements {
		m := PlanMove{Instance: pl.Instance, From: pl.Current, To: pl.Node, Role: pl.Role, What: happens(&pl, kinds[pl.Instance]), Reason: reasons[pl.Instance]}
		if m.What != "keep" {
			out.Moves = append(out.Moves, m)
		}
	}
	return out
}

// happens sums an instance's actions up in one word.
func happens(p *cluster.Placement, kinds map[cluster.ActionKind]bool) string {
	stays := len(p.Current) == 1 && p.Current[0] == p.Node
	acts := kinds[cluster.ActionStop] || kinds[cluster.ActionStart] // what is blocked on several nodes does not
	switch {
	case kinds[cluster.ActionMigrateTo], acts && len(p.Current) > 0 && p.Node != "" && !stays:
		return "move"
	case kinds[cluster.ActionStop] && kinds[cluster.ActionStart]:
		return "restart"
	case kinds[cluster.ActionStart]:
		return "start"
	case kinds[cluster.ActionStop]:
		return "stop"
	case kinds[cluster.ActionPromote]:
		return "promote"
	case kinds[cluster.ActionDemote]:
		return "demote"
	case kinds[cluster.ActionReload]:
		return "reload"
	default:
		return "keep"
	}
}

// inOrder returns the indices of the actions in an order in which they can be
// done: each after those that it waits for, else by id.
func inOrder(p *cluster.Plan) []int {
	waits := make([]int, len(p.Actions))
	next := make([][]int, len(p.Actions))
	for i := range p.Actions {
		for _, before := range p.Actions[i].After {
			if before >= 1 && before <= len(p.Actions) {
				waits[i]++
				next[before-1] = append(next[before-1], i)
			}
		}
	}
	var out, ready []int
	for i, n := range waits {
		if n == 0 {
			ready = append(ready, i)
		}
	}
	for len(ready) > 0 {
		i := ready[0]
		ready = ready[1:]
		out = append(out, i)
		for _, j := range next[i] {
			if waits[j]--; waits[j] == 0 {
				ready = append(ready, j)
			}
		}
	}
	return out
}
