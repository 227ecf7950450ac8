package cibgen

import (
	"slices"
)

func (g *generator) location() {
	e := el("rsc_location", "id", g.id("loc"))
	if g.maybe(5, "rsc-pattern") {
		e.Attrs = append(e.Attrs, Attr{"rsc-pattern", pick(g, []string{"^r", "^r.*", "^g", "!^[rcg]", "^(v)m[0-9]+$"})})
	} else if g.maybe(4, "location-set") {
		if !g.locationSet(e) {
			return
		}
	} else if len(g.templates) > 0 && g.maybe(4, "template-in-location") {
		e.Attrs = append(e.Attrs, Attr{"rsc", g.templates[0]})
	} else {
		t := pick(g, g.tops)
		if t.kind == "clone" || t.kind == "promotable" {
			if t.kind == "promotable" && g.maybe(30, "location-promoted") {
				g.constraints.add(el("rsc_location", "id", g.id("loc"), "rsc", t.id, "node", pick(g, g.nodes).name, "score", g.score(), "role", "Promoted"))
				return
			}
			// Preferences make crm_simulate 2.1.5 shuffle instances, bans do less often.
			if g.chance(50) {
				return
			}
			g.feature("location")
			g.constraints.add(el("rsc_location", "id", g.id("loc"), "rsc", t.id, "node", pick(g, g.nodes).name, "score", "-INFINITY"))
			return
		}
		t.located = true
		e.Attrs = append(e.Attrs, Attr{"rsc", g.nameOf(t)})
	}
	if d := pick(g, []string{"", "", "", "", "", "never", "exclusive"}); d != "" && g.chance(40) {
		g.feature("resource-discovery=" + d)
		e.Attrs = append(e.Attrs, Attr{"resource-discovery", d})
	}
	if !g.maybe(35, "location-rule") {
		g.feature("location")
		e.Attrs = append(e.Attrs, Attr{"node", pick(g, g.nodes).name}, Attr{"score", g.score()})
		if r := g.role(8); r != "" && len(e.Children) == 0 {
			e.Attrs = append(e.Attrs, Attr{"role", r})
		}
		g.constraints.add(e)
		return
	}
	role := g.role(15)
	if role == "Started" {
		role = "" // crm_simulate 2.1.5 ignores such a rule
	}
	rule := el("rule", "id", g.id("rule"), "role", role)
	if g.maybe(15, "score-attribute") {
		rule.Attrs = append(rule.Attrs, Attr{"score-attribute", "weight"})
	} else {
		rule.Attrs = append(rule.Attrs, Attr{"score", g.score()})
	}
	for range 1 + g.IntN(2) {
		rule.add(g.condition())
	}
	switch {
	case slices.ContainsFunc(g.tops, func(t *topSpec) bool { return t.kind == "bundle" && len(t.members) > 0 }):
		// crm_simulate 2.1.5 would let anything run inside bundles.
		rule.add(el("expression", "id", g.id("expr"), "attribute", "#kind", "operation", "ne", "value", "container"))
	case len(rule.Children) > 1:
		rule.Attrs = append(rule.Attrs, Attr{"boolean-op", pick(g, []string{"and", "or"})})
	}
	g.constraints.add(e.add(rule))
}

// locationSet makes e a constraint on a set of resources.
func (g *generator) locationSet(e *Element) bool {
	s := el("resource_set", "id", g.id("set"))
	for _, i := range g.Perm(len(g.tops)) {
		t := g.tops[i]
		if t.kind == "clone" || t.kind == "promotable" || len(s.Children) > 2 {
			continue // for the reason given there
		}
		t.located = true
		s.add(el("resource_ref", "id", t.id))
	}
	e.add(s)
	return len(s.Children) > 0
}
