package config

import (
	"cmp"
	"slices"

	"linuxha/internal/cluster"
)

// sets adopts the blocks of one parent. Names are checked against known, unless
// that is nil; what says what they are. Without conditions the blocks become one,
// which can be written as a map.
func (a *adopter) sets(at, what string, sets []cluster.AttrSet, known map[string]spec) []cluster.AttrSet {
	var out []cluster.AttrSet
	conditional := false
	for i := range sets {
		from := a.refs.Set(&sets[i])
		if from == nil {
			a.remark(LeftOut, at, "a block that is the same as %q, which does not exist", sets[i].Ref)
			continue
		}
		set := cluster.AttrSet{ID: from.ID, Score: from.Score, Rule: a.rule(from.Rule), Pairs: a.pairs(at, what, from.Pairs, known)}
		if len(set.Pairs) > 0 {
			conditional = conditional || set.Rule != nil
			out = append(out, set)
		}
	}
	if len(out) == 0 || conditional {
		return out
	}
	// As they are tried: by score, later ones first; the first value of a name wins.
	slices.Reverse(out)
	slices.SortStableFunc(out, func(s, t cluster.AttrSet) int { return cmp.Compare(t.Score, s.Score) })
	var merged []cluster.NVPair
	for _, s := range out {
		for _, p := range s.Pairs {
			if !slices.ContainsFunc(merged, func(m cluster.NVPair) bool { return m.Name == p.Name }) {
				merged = append(merged, p)
			}
		}
	}
	return plainSet(merged)
}

// pairs adopts the values of one block.
func (a *adopter) pairs(at, what string, pairs []cluster.NVPair, known map[string]spec) []cluster.NVPair {
	var out []cluster.NVPair
	for _, p := range pairs {
		if p.Ref != "" {
			target := a.refs.Pairs[p.Ref]
			if target == nil {
				a.remark(LeftOut, at, "a value that is the same as %q, which does not exist", p.Ref)
				continue
			}
			p = cluster.NVPair{Name: cmp.Or(p.Name, target.Name), Value: target.Value}
		}
		p.ID = ""
		if slices.ContainsFunc(out, func(o cluster.NVPair) bool { return o.Name == p.Name }) {
			a.remark(LeftOut, at, "%s = %q: it is set before, and the first counts", p.Name, p.Value)
			continue
		}
		if p.Value == "#default" { // which is the same as not to say it
			continue
		}
		if known != nil {
			s, ok := known[p.Name]
			if !ok {
				a.remark(LeftOut, at, "%s = %q: there is no such %s", p.Name, p.Value, what)
				continue
			}
			v, err := s.loosely(p.Value)
			if err != nil {
				a.remark(LeftOut, at, "%s: %v; the default holds", p.Name, err)
				continue
			}
			p.Value = v
		}
		out = append(out, p)
	}
	return out
}

// rule adopts a condition; one that always holds is none.
func (a *adopter) rule(from *cluster.Rule) *cluster.Rule {
	if from = a.refs.Rule(from); from == nil || len(from.Conditions) == 0 && !from.Or {
		return nil
	}
	rule := *from
	rule.ID, rule.Conditions = "", nil
	for _, c := range from.Conditions {
		if c.Rule != nil {
			if c.Rule = a.rule(c.Rule); c.Rule == nil {
				continue
			}
			if len(c.Rule.Conditions) == 1 { // needs no brackets
				c = c.Rule.Conditions[0]
			}
		}
		if e := c.Attribute; e != nil && e.Attribute == "#id" { // a node is known by its name
			for _, n := range a.from.Nodes {
				if n.ID == e.Value {
					named := *e
					named.Attribute, named.Value = "#uname", n.Name
					c.Attribute = &named
				}
			}
		}
		rule.Conditions = append(rule.Conditions, c)
	}
	if len(rule.Conditions) == 1 && rule.Conditions[0].Rule != nil {
		rule.Or, rule.Conditions = rule.Conditions[0].Rule.Or, rule.Conditions[0].Rule.Conditions
	}
	return &rule
}
