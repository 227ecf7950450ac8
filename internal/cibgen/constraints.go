package cibgen

import (
	"slices"
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
		case roll < 97:
			g.ticket()
		default:
			g.tagged()
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
	case roll < 20 && len(g.templates) > 0:
		g.feature("template-in-constraint")
		earlier = g.templates[0]
	case roll < 25 && len(g.tags) > 0 && !slices.ContainsFunc(g.tops[max(i, j):], func(t *topSpec) bool { return g.isTagged(t.id) }):
		g.feature("tag-in-constraint")
		earlier = g.tags[0]
	}
	return earlier, later, true
}

// isTagged tells whether a tag names the resource.
func (g *generator) isTagged(id string) (named bool) {
	g.tagsElement.each("obj_ref", func(r *Element) { named = named || r.Attr("id") == id })
	return named
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
		return t.kind != "promotable" && !(t.bundle != nil && t.bundle.promoted) || t.grouped && !g.chance(10)
	}) {
		return "Started"
	}
	return r
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
	if (d.kind == "clone" || d.kind == "promotable") && p.kind != d.kind && (d.kind == "clone" || !g.chance(10)) {
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
	likely := func(t *topSpec) int { // what is promotable is mostly asked for in a role
		if t.kind == "promotable" {
			return 70
		}
		return 25
	}
	if r := g.roleOf(likely(d), d); r != "" && !negative {
		g.feature("colocation-rsc-role-" + r)
		e.Attrs = append(e.Attrs, Attr{"rsc-role", r})
	}
	if r := g.roleOf(likely(p), p); r != "" && !negative {
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
	switch {
	case kind != "":
		g.feature("order-" + kind)
		e.Attrs = append(e.Attrs, Attr{"kind", kind})
	case g.maybe(6, "order-by-score"):
		e.Attrs = append(e.Attrs, Attr{"score", pick(g, []string{"0", "INFINITY", "10"})})
	}
	if kind != "Serialize" && g.maybe(12, "asymmetrical-order") {
		e.Attrs = append(e.Attrs, Attr{"symmetrical", "false"})
	}
	if g.maybe(15, "order-set") {
		e.add(g.sets(true, func(s *Element, _ []*topSpec) {
			if g.maybe(15, "require-all=false") {
				s.Attrs = append(s.Attrs, Attr{"require-all", "false"})
			}
			if g.maybe(12, "order-set-action") {
				s.Attrs = append(s.Attrs, Attr{"action", pick(g, []string{"start", "promote", "stop", "demote"})})
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
	e := el("rsc_ticket", "id", g.id("tick"), "ticket", name)
	if g.maybe(15, "ticket-set") {
		s := el("resource_set", "id", g.id("set"), "role", g.role(25))
		for _, i := range g.Perm(len(g.tops))[:min(len(g.tops), 3)] {
			s.add(el("resource_ref", "id", g.tops[i].id))
		}
		e.add(s)
	} else {
		e.Attrs = append(e.Attrs, el("", "rsc", g.topID(), "rsc-role", g.role(25)).Attrs...)
	}
	if policy := pick(g, []string{"", "stop", "demote", "fence", "freeze"}); policy != "" {
		g.feature("loss-policy=" + policy)
		e.Attrs = append(e.Attrs, Attr{"loss-policy", policy})
	}
	g.constraints.add(e)
	if !slices.Contains(g.tickets, name) {
		g.tickets = append(g.tickets, name)
	}
}

// tagged makes a colocation of what a tag names with something before all of it.
func (g *generator) tagged() {
	if g.tagsElement == nil {
		return
	}
	var named []*topSpec
	first := len(g.tops)
	g.tagsElement.each("obj_ref", func(r *Element) {
		i := slices.IndexFunc(g.tops, func(t *topSpec) bool { return t.id == r.Attr("id") })
		first = min(first, i)
		named = append(named, g.tops[i])
	})
	if first == 0 || slices.ContainsFunc(named, func(t *topSpec) bool { return t.prefers || t.kind != "primitive" }) {
		return
	}
	p := g.tops[g.IntN(first)]
	if p.prefers || p.kind != "primitive" && p.kind != "fence" {
		return
	}
	g.feature("tag-in-colocation")
	p.isPrimary = true
	for _, d := range named {
		d.isDependent = true
	}
	g.constraints.add(el("rsc_colocation", "id", g.id("col"), "score", "INFINITY", "rsc", g.tags[0], "with-rsc", p.id))
}
