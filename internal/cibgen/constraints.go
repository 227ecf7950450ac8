package cibgen

import (
	"slices"
	"strconv"
)

// makeConstraints adds constraints of every kind among the top-level resources.
func (g *generator) makeConstraints() {
	g.constraints = el("constraints")
	n := g.IntN(2 + 2*len(g.tops))
	for range n {
		switch roll := g.IntN(100); {
		case roll < 30:
			g.location()
		case roll < 60:
			g.colocation()
		case roll < 92:
			g.order()
		default:
			g.ticket()
		}
	}
	if !g.symmetric {
		for _, t := range g.tops {
			if g.chance(80) {
				g.constraints.add(el("rsc_location", "id", g.id("loc"), "rsc", t.id, "node", pick(g, g.nodes).name, "score", "10"))
			}
		}
	}
}

// pair names two different resources, the earlier one first, so that constraints
// do not run in circles; now and then a tag, a template or a member.
func (g *generator) pair() (earlier, later string, ok bool) {
	i, j := g.IntN(len(g.tops)), g.IntN(len(g.tops))
	if i == j {
		return "", "", false
	}
	earlier, later = g.nameOf(g.tops[min(i, j)]), g.nameOf(g.tops[max(i, j)])
	switch roll := g.IntN(100); {
	case roll < 3 && len(g.templates) > 0:
		g.feature("template-in-constraint")
		earlier = g.templates[0]
	case roll < 6 && len(g.tags) > 0:
		g.feature("tag-in-constraint")
		earlier = g.tags[0]
	}
	return earlier, later, true
}

// nameOf is the id of a top-level resource, or of a group's member.
func (g *generator) nameOf(t *topSpec) string {
	if t.kind == "group" && g.maybe(15, "member-in-constraint") {
		return pick(g, t.members).id
	}
	return t.id
}

func (g *generator) topID() string { return pick(g, g.tops).id }

func (g *generator) score() string {
	return pick(g, []string{"INFINITY", "-INFINITY", "INFINITY", "100", "50", "-50", "-100", "1", "10", "500", "-1"})
}

func (g *generator) role(percent int) string {
	if !g.chance(percent) {
		return ""
	}
	return pick(g, []string{"Promoted", "Promoted", "Unpromoted", "Started"})
}

// roleOf is a role that those resources can have: only promotable ones have any
// but Started. (A colocation with another role still keeps what depends on a group
// from starting with it; crm_simulate 2.1.5 forgets that.)
func (g *generator) roleOf(percent int, tops ...*topSpec) string {
	r := g.role(percent)
	// Cloned groups crm_simulate 2.1.5 does not promote by where other resources are.
	if r != "" && slices.ContainsFunc(tops, func(t *topSpec) bool {
		return t.kind != "promotable" && !t.promotedBundle || t.grouped && !g.chance(10)
	}) {
		return "Started"
	}
	return r
}

func (g *generator) location() {
	e := el("rsc_location", "id", g.id("loc"))
	if g.maybe(5, "rsc-pattern") {
		e.Attrs = append(e.Attrs, Attr{"rsc-pattern", pick(g, []string{"^r", "^r.*", "^g"})})
	} else {
		t := pick(g, g.tops)
		if t.kind == "clone" || t.kind == "promotable" {
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
		if r := g.role(8); r != "" {
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
		rule.add(g.expression())
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

func (g *generator) expression() *Element {
	id := g.id("expr")
	switch g.IntN(6) {
	case 0:
		return el("expression", "id", id, "attribute", "#uname", "operation", pick(g, []string{"eq", "ne"}), "value", pick(g, g.nodes).name)
	case 1:
		return el("expression", "id", id, "attribute", "site", "operation", pick(g, []string{"eq", "ne"}), "value", pick(g, []string{"a", "b"}))
	case 2:
		return el("expression", "id", id, "attribute", "site", "operation", pick(g, []string{"defined", "not_defined"}))
	case 3:
		return el("expression", "id", id, "attribute", "weight", "operation", pick(g, []string{"lt", "gte", "gt", "lte"}), "value", strconv.Itoa(g.IntN(100)), "type", pick(g, []string{"", "number", "integer"}))
	case 4:
		g.feature("date-rule")
		if g.chance(50) {
			return el("date_expression", "id", id, "operation", "gt", "start", pick(g, []string{"2020-01-01", "2100-01-01"}))
		}
		return el("date_expression", "id", id, "operation", "lt", "end", pick(g, []string{"2020-01-01", "2100-01-01"}))
	}
	return el("expression", "id", id, "attribute", "#kind", "operation", pick(g, []string{"eq", "ne"}), "value", pick(g, []string{"cluster", "remote", "container"}))
}

func (g *generator) colocation() {
	e := el("rsc_colocation", "id", g.id("col"), "score", g.score())
	if g.maybe(15, "colocation-set") {
		e.Attrs[1].Value = "INFINITY" // for the same reason
		sets := g.sets(false, func(s *Element, tops []*topSpec) {
			if r := g.roleOf(15, tops...); r != "" {
				g.feature("colocation-set-" + r)
				s.Attrs = append(s.Attrs, Attr{"role", r})
			}
		})
		if len(sets) == 0 {
			return
		}
		for _, s := range sets {
			for _, ref := range s.Children {
				for _, t := range g.tops {
					if t.id == ref.Attr("id") {
						t.isPrimary, t.isDependent = true, true
					}
				}
			}
		}
		slices.Reverse(sets) // earlier sets depend on later ones
		e.add(sets...)
		g.constraints.add(e)
		return
	}
	g.feature("colocation")
	i, j := g.IntN(len(g.tops)), g.IntN(len(g.tops))
	if i == j {
		return
	}
	// crm_simulate 2.1.5 does not heed colocations of a group's members for the group.
	p, d := g.tops[min(i, j)], g.tops[max(i, j)]
	with, dependent := p.id, d.id
	if (d.kind == "clone" || d.kind == "promotable") && p.kind != d.kind {
		return // for the same reason as with locations
	}
	if p.kind == "group" && g.chance(50) {
		return // it forgets what depends on a group that is blocked
	}
	if e.Attr("score")[0] == '-' && (d.isDependent || d.located) && !g.chance(15) {
		return // it does not make way for what has one chance only
	}
	if (p.unique || d.unique) && !g.chance(15) {
		return // it lets what depends on instances that may be several on a node have no say
	}
	if (d.kind == "bundle" || p.kind == "bundle") && !g.chance(10) || d.kind == "guest" {
		return // bundles' it understands differently; what creates a guest may wait for what goes there
	}
	if e.Attr("score") != "INFINITY" {
		// It does not scale preferences along chains, nor for groups and bundles.
		// Nor do full clones heed any.
		full := (d.kind == "clone" || d.kind == "promotable") && !g.chance(10)
		if d.grouped || d.kind == "bundle" || full || d.isPrimary || p.prefers || d.isDependent && !d.prefers {
			e.Attrs[1].Value = "INFINITY"
		}
	}
	switch {
	case e.Attr("score") != "INFINITY":
		d.prefers = true
	case d.prefers:
		return // it applies requirements after preferences where we apply them before
	}
	if p.prefers || p.kind == "group" && p.isDependent || d.kind == "group" && d.isPrimary {
		return // what depends on a group does not pull what the group depends on
	}
	p.isPrimary, d.isDependent = true, true
	e.Attrs = append(e.Attrs, Attr{"rsc", dependent}, Attr{"with-rsc", with})
	// crm_simulate 2.1.5 applies negative colocations in all roles but the one given.
	negative := e.Attr("score")[0] == '-'
	if r := g.roleOf(25, d); r != "" && !negative {
		g.feature("colocation-rsc-role-" + r)
		e.Attrs = append(e.Attrs, Attr{"rsc-role", r})
	}
	if r := g.roleOf(30, p); r != "" && !negative {
		g.feature("colocation-with-rsc-role-" + r)
		e.Attrs = append(e.Attrs, Attr{"with-rsc-role", r})
	}
	if g.maybe(8, "node-attribute") {
		e.Attrs = append(e.Attrs, Attr{"node-attribute", "site"})
	}
	if g.maybe(8, "influence") {
		e.Attrs = append(e.Attrs, Attr{"influence", "false"})
	}
	g.constraints.add(e)
}

// sets makes one to three resource sets without a resource twice, in order.
func (g *generator) sets(preferring bool, extra func(*Element, []*topSpec)) []*Element {
	order := g.Perm(len(g.tops))
	if !preferring {
		order = slices.DeleteFunc(order, func(i int) bool {
			t := g.tops[i]
			clonedGroup := t.grouped && t.kind != "group" // what it must be with makes crm_simulate 2.1.5 shuffle it
			return t.prefers || t.unique || clonedGroup && !g.chance(10) || slices.Contains([]string{"group", "bundle", "guest"}, t.kind)
		})
	}
	order = order[:min(len(order), 2+g.IntN(5))]
	slices.Sort(order)
	var out []*Element
	for k := 1 + g.IntN(3); k > 0 && len(order) > 0; k-- {
		s := el("resource_set", "id", g.id("set"))
		if g.chance(40) {
			s.Attrs = append(s.Attrs, Attr{"sequential", pick(g, []string{"true", "false"})})
		}
		var tops []*topSpec
		for k := 1 + g.IntN(3); k > 0 && len(order) > 0; k-- {
			tops = append(tops, g.tops[order[0]])
			s.add(el("resource_ref", "id", g.tops[order[0]].id))
			order = order[1:]
		}
		extra(s, tops)
		out = append(out, s)
	}
	return out
}

func (g *generator) order() {
	e := el("rsc_order", "id", g.id("ord"))
	kind := pick(g, []string{"", "", "Mandatory", "Optional", "Serialize"})
	if kind != "" {
		g.feature("order-" + kind)
		e.Attrs = append(e.Attrs, Attr{"kind", kind})
	}
	if kind != "Serialize" && g.maybe(12, "asymmetrical-order") {
		e.Attrs = append(e.Attrs, Attr{"symmetrical", "false"})
	}
	if g.maybe(15, "order-set") {
		e.add(g.sets(true, func(s *Element, _ []*topSpec) {
			if g.maybe(15, "require-all=false") {
				s.Attrs = append(s.Attrs, Attr{"require-all", "false"})
			}
		})...)
		g.constraints.add(e)
		return
	}
	g.feature("order")
	a, b, ok := g.pair()
	if !ok {
		return
	}
	e.Attrs = append(e.Attrs, Attr{"first", a}, Attr{"then", b})
	if g.chance(25) {
		e.Attrs = append(e.Attrs, Attr{"first-action", pick(g, []string{"start", "promote", "stop", "demote"})})
	}
	if g.chance(20) {
		e.Attrs = append(e.Attrs, Attr{"then-action", pick(g, []string{"start", "promote", "stop", "demote"})})
	}
	g.constraints.add(e)
}

func (g *generator) ticket() {
	g.feature("ticket")
	name := pick(g, []string{"ticketA", "ticketB"})
	g.constraints.add(el("rsc_ticket", "id", g.id("tick"), "rsc", g.topID(), "rsc-role", g.role(25), "ticket", name,
		"loss-policy", pick(g, []string{"", "stop", "demote", "fence", "freeze"})))
	for _, seen := range g.tickets {
		if seen == name {
			return
		}
	}
	g.tickets = append(g.tickets, name)
}
