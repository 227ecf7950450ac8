package scheduler

import (
	"sort"

	"linuxha/internal/cluster"
)

// attributes evaluates blocks of name-value pairs into into: blocks by
// descending score, later ones of the same score first, and the first value of
// a name wins, also over what into has already (SEMANTICS 3).
func (rn *run) attributes(sets []cluster.AttrSet, c ruleContext, into map[string]string) {
	switch len(sets) {
	case 0:
		return
	case 1:
		rn.attributeSet(rn.resolveSet(&sets[0]), c, into)
		return
	}
	for _, set := range rn.orderSets(sets, "") {
		rn.attributeSet(set, c, into)
	}
}

// orderSets returns the blocks in the order in which they are tried; the one
// with the id first, if any, before all others.
func (rn *run) orderSets(sets []cluster.AttrSet, first string) []*cluster.AttrSet {
	order := make([]*cluster.AttrSet, 0, len(sets))
	for i := len(sets) - 1; i >= 0; i-- {
		if set := rn.resolveSet(&sets[i]); set != nil {
			order = append(order, set)
		}
	}
	sort.SliceStable(order, func(i, j int) bool {
		a, b := order[i], order[j]
		if first != "" && (a.ID == first) != (b.ID == first) {
			return a.ID == first
		}
		return a.Score > b.Score
	})
	return order
}

func (rn *run) attributeSet(set *cluster.AttrSet, c ruleContext, into map[string]string) {
	if set == nil || !rn.passes(set.Rule, c) {
		return
	}
	for i := range set.Pairs {
		p := &set.Pairs[i]
		name, value := p.Name, p.Value
		if p.Ref != "" {
			target := rn.references().pairs[p.Ref]
			if target == nil {
				continue
			}
			value = target.Value
			if name == "" {
				name = target.Name
			}
		}
		if value == "#default" {
			delete(into, name)
		} else if _, set := into[name]; !set {
			into[name] = value
		}
	}
}

// ruled tells whether some block counts only under a rule, so that its outcome
// may differ by node.
func (rn *run) ruled(sets []cluster.AttrSet) bool {
	for i := range sets {
		if set := rn.resolveSet(&sets[i]); set != nil && set.Rule != nil {
			return true
		}
	}
	return false
}

// resolveSet follows a block that stands for another; nil if that does not exist.
func (rn *run) resolveSet(set *cluster.AttrSet) *cluster.AttrSet {
	for range 8 { // references to references end somewhere, or mean nothing
		if set == nil || set.Ref == "" {
			return set
		}
		set = rn.references().sets[set.Ref]
	}
	return nil
}

// resolveOperation follows an operation that stands for another.
func (rn *run) resolveOperation(op *cluster.Operation) *cluster.Operation {
	for range 8 {
		if op == nil || op.Ref == "" {
			return op
		}
		op = rn.references().operations[op.Ref]
	}
	return nil
}

// referable finds what configuration elements refer to by id.
type referable struct {
	sets       map[string]*cluster.AttrSet
	pairs      map[string]*cluster.NVPair
	rules      map[string]*cluster.Rule
	operations map[string]*cluster.Operation
	resources  map[string]*cluster.Resource
}

// references indexes the configuration the first time that something refers.
func (rn *run) references() *referable {
	if rn.refs != nil {
		return rn.refs
	}
	x := &referable{
		sets: map[string]*cluster.AttrSet{}, pairs: map[string]*cluster.NVPair{}, rules: map[string]*cluster.Rule{},
		operations: map[string]*cluster.Operation{}, resources: map[string]*cluster.Resource{},
	}
	rn.refs = x
	c := rn.config
	for _, sets := range [][]cluster.AttrSet{c.Options, c.ResourceDefaults, c.OperationDefaults} {
		x.addSets(sets)
	}
	for i := range c.Nodes {
		x.addSets(c.Nodes[i].Attributes)
		x.addSets(c.Nodes[i].Utilization)
	}
	x.addResources(c.Resources)
	x.addResources(c.Templates)
	for i := range c.Locations {
		for j := range c.Locations[i].Rules {
			x.addRule(&c.Locations[i].Rules[j])
		}
	}
	return x
}

func (x *referable) addResources(resources []cluster.Resource) {
	for i := range resources {
		r := &resources[i]
		x.resources[r.ID] = r
		x.addSets(r.Meta)
		x.addSets(r.Params)
		x.addSets(r.Utilization)
		for j := range r.Operations {
			op := &r.Operations[j]
			if op.ID != "" {
				x.operations[op.ID] = op
			}
			x.addSets(op.Meta)
			x.addSets(op.Params)
		}
		x.addResources(r.Children)
	}
}

func (x *referable) addSets(sets []cluster.AttrSet) {
	for i := range sets {
		set := &sets[i]
		if set.ID != "" {
			x.sets[set.ID] = set
		}
		for j := range set.Pairs {
			if p := &set.Pairs[j]; p.ID != "" {
				x.pairs[p.ID] = p
			}
		}
		if set.Rule != nil {
			x.addRule(set.Rule)
		}
	}
}

func (x *referable) addRule(rule *cluster.Rule) {
	if rule.ID != "" {
		x.rules[rule.ID] = rule
	}
	for i := range rule.Conditions {
		if nested := rule.Conditions[i].Rule; nested != nil {
			x.addRule(nested)
		}
	}
}
