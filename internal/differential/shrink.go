package differential

import (
	"encoding/json"
	"slices"

	"linuxha/internal/cluster"
)

// Shrink makes the problem as small as it can while interesting still says true
// of it. It tries to leave out one thing after another until nothing more can go.
func Shrink(p *Problem, interesting func(*Problem) bool) *Problem {
	for {
		smaller := shrinkOnce(p, interesting)
		if smaller == nil {
			return p
		}
		p = smaller
	}
}

// shrinkOnce goes through all reductions once; nil if none held.
func shrinkOnce(p *Problem, interesting func(*Problem) bool) *Problem {
	var best *Problem
	for _, r := range reductions {
		current := p
		if best != nil {
			current = best
		}
		for i := 0; ; {
			c := clone(current)
			if !r(c, i) {
				break
			}
			dropDangling(c)
			if interesting(c) {
				current, best = c, c // the same index now names the next thing
			} else {
				i++
			}
		}
	}
	return best
}

func clone(p *Problem) *Problem {
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // plain data always encodes
	}
	c := &Problem{}
	if err := json.Unmarshal(data, c); err != nil {
		panic(err)
	}
	return c
}

// reductions leave out the i-th thing of a kind; false if there is none.
var reductions = []func(p *Problem, i int) bool{
	func(p *Problem, i int) bool { return cut(&p.Config.Resources, i) },
	func(p *Problem, i int) bool {
		if i >= len(p.Config.Nodes) {
			return false
		}
		name := p.Config.Nodes[i].Name
		p.Status.Nodes = slices.DeleteFunc(p.Status.Nodes, func(n cluster.NodeStatus) bool { return n.Name == name })
		return cut(&p.Config.Nodes, i)
	},
	func(p *Problem, i int) bool { return cut(&p.Config.Locations, i) },
	func(p *Problem, i int) bool { return cut(&p.Config.Colocations, i) },
	func(p *Problem, i int) bool { return cut(&p.Config.Orders, i) },
	func(p *Problem, i int) bool { return cut(&p.Config.TicketRules, i) },
	func(p *Problem, i int) bool { return cut(&p.Config.Tags, i) },
	func(p *Problem, i int) bool { return cut(&p.Config.ResourceDefaults, i) },
	func(p *Problem, i int) bool { return cut(&p.Config.OperationDefaults, i) },
	func(p *Problem, i int) bool { return nth(i, children(p), cutMember) },
	func(p *Problem, i int) bool {
		return nth(i, pairs(p), func(at pairAt) bool { return cut(&at.set.Pairs, at.i) })
	},
	func(p *Problem, i int) bool {
		return nth(i, operations(p), func(at opAt) bool { return cut(&at.r.Operations, at.i) })
	},
	func(p *Problem, i int) bool {
		return nth(i, operations(p), func(at opAt) bool { return cut(&at.r.Operations[at.i].Attrs, 0) || true })
	},
	func(p *Problem, i int) bool {
		return nth(i, histories(p), func(at historyAt) bool { return cut(&at.n.History, at.i) })
	},
	func(p *Problem, i int) bool {
		return nth(i, entries(p), func(at entryAt) bool { return cut(&at.h.Operations, at.i) })
	},
	func(p *Problem, i int) bool {
		return nth(i, sets(p), func(at setAt) bool { return cut(at.sets, at.i) })
	},
	func(p *Problem, i int) bool {
		return nth(i, sets(p), func(at setAt) bool { return cut(&(*at.sets)[at.i].Resources, 0) })
	},
}

func cut[T any](list *[]T, i int) bool {
	if i >= len(*list) {
		return false
	}
	*list = slices.Delete(*list, i, i+1)
	return true
}

// nth applies do to the i-th place.
func nth[T any](i int, places []T, do func(T) bool) bool {
	return i < len(places) && do(places[i])
}

// walk visits every resource.
func walk(rs []cluster.Resource, visit func(*cluster.Resource)) {
	for i := range rs {
		visit(&rs[i])
		walk(rs[i].Children, visit)
	}
}

type memberAt struct {
	r *cluster.Resource
	i int
}

func children(p *Problem) []memberAt {
	var out []memberAt
	walk(p.Config.Resources, func(r *cluster.Resource) {
		if r.Kind == cluster.Group && len(r.Children) > 1 || r.Kind == cluster.Bundle {
			for i := range r.Children {
				out = append(out, memberAt{r, i})
			}
		}
	})
	return out
}

func cutMember(at memberAt) bool { return cut(&at.r.Children, at.i) }

type pairAt struct {
	set *cluster.AttrSet
	i   int
}

func pairs(p *Problem) []pairAt {
	var out []pairAt
	add := func(sets []cluster.AttrSet) {
		for i := range sets {
			for j := range sets[i].Pairs {
				out = append(out, pairAt{&sets[i], j})
			}
		}
	}
	add(p.Config.Options)
	for i := range p.Config.Nodes {
		add(p.Config.Nodes[i].Attributes)
		add(p.Config.Nodes[i].Utilization)
	}
	walk(p.Config.Resources, func(r *cluster.Resource) {
		add(r.Meta)
		add(r.Utilization)
	})
	for i := range p.Status.Nodes {
		add(p.Status.Nodes[i].Attributes)
	}
	return out
}

type opAt struct {
	r *cluster.Resource
	i int
}

func operations(p *Problem) []opAt {
	var out []opAt
	walk(p.Config.Resources, func(r *cluster.Resource) {
		for i := range r.Operations {
			out = append(out, opAt{r, i})
		}
	})
	return out
}

type historyAt struct {
	n *cluster.NodeStatus
	i int
}

func histories(p *Problem) []historyAt {
	var out []historyAt
	for i := range p.Status.Nodes {
		for j := range p.Status.Nodes[i].History {
			out = append(out, historyAt{&p.Status.Nodes[i], j})
		}
	}
	return out
}

type entryAt struct {
	h *cluster.ResourceHistory
	i int
}

func entries(p *Problem) []entryAt {
	var out []entryAt
	for _, at := range histories(p) {
		h := &at.n.History[at.i]
		for i := range h.Operations {
			out = append(out, entryAt{h, i})
		}
	}
	return out
}

type setAt struct {
	sets *[]cluster.ResourceSet
	i    int
}

func sets(p *Problem) []setAt {
	var out []setAt
	for i := range p.Config.Colocations {
		for j := range p.Config.Colocations[i].Sets {
			out = append(out, setAt{&p.Config.Colocations[i].Sets, j})
		}
	}
	for i := range p.Config.Orders {
		for j := range p.Config.Orders[i].Sets {
			out = append(out, setAt{&p.Config.Orders[i].Sets, j})
		}
	}
	return out
}

// dropDangling removes what names something that is gone, and histories of
// resources that were left out (they would be another problem: removed ones).
func dropDangling(p *Problem) {
	known := map[string]bool{"gone": true}
	walk(p.Config.Resources, func(r *cluster.Resource) { known[r.ID] = true })
	for i := range p.Config.Tags {
		t := &p.Config.Tags[i]
		t.References = slices.DeleteFunc(t.References, func(id string) bool { return !known[id] })
	}
	p.Config.Tags = slices.DeleteFunc(p.Config.Tags, func(t cluster.Tag) bool { return len(t.References) == 0 })
	nodes := map[string]bool{}
	for i := range p.Config.Nodes {
		nodes[p.Config.Nodes[i].Name] = true
	}
	trim := func(sets *[]cluster.ResourceSet) {
		for i := range *sets {
			(*sets)[i].Resources = slices.DeleteFunc((*sets)[i].Resources, func(id string) bool { return !known[id] })
		}
		*sets = slices.DeleteFunc(*sets, func(s cluster.ResourceSet) bool { return len(s.Resources) == 0 })
	}
	c := &p.Config
	c.Locations = slices.DeleteFunc(c.Locations, func(l cluster.Location) bool {
		return !known[l.Resource] || l.Node != "" && !nodes[l.Node]
	})
	for i := range c.Colocations {
		trim(&c.Colocations[i].Sets)
	}
	c.Colocations = slices.DeleteFunc(c.Colocations, func(k cluster.Colocation) bool {
		return len(k.Sets) == 0 && !(known[k.Resource] && known[k.With])
	})
	for i := range c.Orders {
		trim(&c.Orders[i].Sets)
	}
	c.Orders = slices.DeleteFunc(c.Orders, func(o cluster.Order) bool { return len(o.Sets) == 0 && !(known[o.First] && known[o.Then]) })
	c.TicketRules = slices.DeleteFunc(c.TicketRules, func(t cluster.TicketRule) bool { return !known[t.Resource] })
	for i := range p.Status.Nodes {
		n := &p.Status.Nodes[i]
		n.History = slices.DeleteFunc(n.History, func(h cluster.ResourceHistory) bool { return !known[cluster.ConfiguredID(h.ID)] })
	}
}
