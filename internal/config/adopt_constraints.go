package config

import (
	"slices"
	"strconv"

	"linuxha/internal/cluster"
)

func (a *adopter) constraints(c *cluster.Config) {
	for _, l := range a.from.Locations {
		at := "location " + l.ID
		l.Sets = a.resourceSets(at, l.Sets)
		if l.Pattern == "" && !a.names(at, l.Sets, l.Resource) {
			continue
		}
		l.Score, l.Rules = a.value(at, "score", l.Score, score), a.locationRules(at, l.Rules)
		c.Locations = append(c.Locations, l)
	}
	for _, k := range a.from.Colocations {
		at := "colocation " + k.ID
		if k.Sets = a.resourceSets(at, k.Sets); !a.names(at, k.Sets, k.Resource, k.With) {
			continue
		}
		k.Score, k.Influence = a.value(at, "score", k.Score, score), a.value(at, "influence", k.Influence, boolean)
		k.Rule = a.rule(k.Rule)
		c.Colocations = append(c.Colocations, k)
	}
	for _, o := range a.from.Orders {
		at := "order " + o.ID
		if o.Sets = a.resourceSets(at, o.Sets); !a.names(at, o.Sets, o.First, o.Then) {
			continue
		}
		o.Score, o.Symmetrical = a.value(at, "score", o.Score, score), a.value(at, "symmetrical", o.Symmetrical, boolean)
		o.RequireAll = a.value(at, "require-all", o.RequireAll, boolean)
		c.Orders = append(c.Orders, o)
	}
	for _, t := range a.from.TicketRules {
		at := "ticket " + t.ID
		if t.Sets = a.resourceSets(at, t.Sets); a.names(at, t.Sets, t.Resource) {
			c.TicketRules = append(c.TicketRules, t)
		}
	}
}

// names tells whether a constraint without sets names things that exist; others
// mean nothing, to Pacemaker neither.
func (a *adopter) names(at string, sets []cluster.ResourceSet, ids ...string) bool {
	if len(sets) > 0 {
		return true
	}
	for _, id := range ids {
		if !a.exists(id) {
			a.remark(LeftOut, at, "it names %q, which does not exist", id)
			return false
		}
	}
	return true
}

// exists tells whether a constraint may name id.
func (a *adopter) exists(id string) bool {
	return a.refs.Resources[id] != nil || slices.ContainsFunc(a.from.Tags, func(t cluster.Tag) bool { return t.ID == id })
}

// locationRules adopts the rules of a location; a single one needs no name.
func (a *adopter) locationRules(at string, from []cluster.Rule) []cluster.Rule {
	var out []cluster.Rule
	for i := range from {
		rule := a.rule(&from[i])
		if rule == nil {
			a.remark(LeftOut, at, "a rule without a condition")
			continue
		}
		rule.Score = a.value(at, "score", rule.Score, score)
		if len(from) > 1 || rule.Role != "" {
			rule.ID = orNumber(from[i].ID, i)
		}
		out = append(out, *rule)
	}
	return out
}

// value reads a member of a constraint as Pacemaker does.
func (a *adopter) value(at, name, value string, kind valueKind) string {
	if value == "" {
		return ""
	}
	v, err := spec{kind: kind}.loosely(value)
	if err != nil {
		a.remark(LeftOut, at, "%s: %v; the default holds", name, err)
	}
	return v
}

func (a *adopter) resourceSets(at string, from []cluster.ResourceSet) []cluster.ResourceSet {
	var out []cluster.ResourceSet
	for i, s := range from {
		if s.Ref != "" {
			target := a.refs.ResourceSets[s.Ref]
			if target == nil {
				a.remark(LeftOut, at, "set %s is the same as %q, which does not exist", strconv.Itoa(i+1), s.Ref)
				continue
			}
			s = *target
		}
		s.Score, s.Sequential = a.value(at, "score", s.Score, score), a.value(at, "sequential", s.Sequential, boolean)
		if s.RequireAll = a.value(at, "require-all", s.RequireAll, boolean); s.RequireAll != "false" {
			s.ID = "" // only plans call such a set by it
		}
		s.Resources = slices.DeleteFunc(slices.Clone(s.Resources), func(id string) bool {
			if !a.exists(id) {
				a.remark(LeftOut, at, "a set names %q, which does not exist", id)
			}
			return !a.exists(id)
		})
		if len(s.Resources) > 0 {
			out = append(out, s)
		}
	}
	return out
}
