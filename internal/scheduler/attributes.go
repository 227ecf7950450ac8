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
			target := rn.references().Pairs[p.Ref]
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

// overlay evaluates transient attributes: blocks in the order of attributes, but what
// comes later replaces what came before, so that of blocks of the same score the first
// in the document wins (crm_simulate; no recorded case).
func (rn *run) overlay(sets []cluster.AttrSet, into map[string]string) {
	for _, set := range rn.orderSets(sets, "") {
		block := map[string]string{}
		rn.attributeSet(set, ruleContext{}, block)
		for name, value := range block {
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
	if set == nil || set.Ref == "" {
		return set
	}
	return rn.references().Set(set)
}

// resolveOperation follows an operation that stands for another.
func (rn *run) resolveOperation(op *cluster.Operation) *cluster.Operation {
	if op == nil || op.Ref == "" {
		return op
	}
	return rn.references().Operation(op)
}

// references indexes the configuration the first time that something refers.
func (rn *run) references() *cluster.References {
	if rn.refs == nil {
		rn.refs = cluster.NewReferences(rn.config)
	}
	return rn.refs
}
