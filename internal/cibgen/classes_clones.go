package cibgen

import (
	"slices"
	"strconv"
	"strings"
)

// tops maps every top-level resource, and every primitive in it, to its id.
func (e *Element) tops() map[string]string {
	top := map[string]string{}
	e.each("resources", func(all *Element) {
		for _, t := range all.Children {
			top[t.Attr("id")] = t.Attr("id")
			t.each("primitive", func(p *Element) { top[p.Attr("id")] = t.Attr("id") })
		}
	})
	return top
}

// colocations calls do for every colocation, sets taken apart. role is that of the
// dependent, "" if none is given.
func (e *Element) colocations(do func(dependent, primary, score, role string)) {
	e.each("rsc_colocation", func(k *Element) {
		if k.Attr("rsc") != "" {
			do(k.Attr("rsc"), k.Attr("with-rsc"), k.Attr("score"), k.Attr("rsc-role"))
			return
		}
		var refs, roles []string
		k.each("resource_set", func(s *Element) {
			s.each("resource_ref", func(r *Element) { refs, roles = append(refs, r.Attr("id")), append(roles, s.Attr("role")) })
		})
		for i, dependent := range refs {
			for _, primary := range refs {
				if dependent != primary {
					do(dependent, primary, k.Attr("score"), roles[i])
				}
			}
		}
	})
}

// about tells whether all lines are about parts of those top-level resources.
func (c Comparison) about(resources map[string]bool) bool {
	top := c.Document.tops()
	return len(resources) > 0 && !slices.ContainsFunc(c.Lines, func(line string) bool {
		return !resources[top[stripInstance(strings.Fields(line)[2])]]
	})
}

// fullClone: what differs has to do with a clone with as many instances as there are
// nodes for them that something goes with, or all is about such a clone, what it is
// colocated with by preference, and what follows these.
func fullClone(c Comparison) bool {
	online := 0
	for _, up := range c.Facts.Online {
		if up {
			online++
		}
	}
	full := map[string]bool{}
	c.Document.each("clone", func(e *Element) {
		most := online
		for _, block := range e.Children {
			for _, p := range block.Children {
				if p.Attr("name") == "clone-max" {
					most, _ = strconv.Atoi(p.Attr("value"))
				}
			}
		}
		full[e.Attr("id")] = most >= online
	})
	concerned := map[string]bool{}
	top := c.Document.tops()
	c.Document.colocations(func(dependent, primary, score, _ string) {
		dependent, primary = top[dependent], top[primary]
		if full[dependent] && score != "INFINITY" || full[primary] && !strings.HasPrefix(score, "-") {
			concerned[dependent], concerned[primary] = true, true
		}
	})
	// What else depends on these follows them.
	c.Document.colocations(func(dependent, primary, _, _ string) {
		if concerned[top[primary]] {
			concerned[top[dependent]] = true
		}
	})
	return c.about(concerned) || slices.ContainsFunc(c.Lines, func(line string) bool {
		id := top[stripInstance(strings.Fields(line)[2])]
		return full[id] && concerned[id]
	})
}

// clonedGroupHeld: the reference stops members of cloned groups, after ones that
// are not managed, for what the clone must run with.
func clonedGroupHeld(c Comparison) bool {
	bound := map[string]bool{}
	c.Document.colocations(func(dependent, _, score, _ string) { bound[dependent] = bound[dependent] || score == "INFINITY" })
	after := map[string]bool{}
	c.Document.each("clone", func(e *Element) {
		if !bound[e.Attr("id")] {
			return
		}
		held := false
		e.each("group", func(g *Element) {
			g.each("primitive", func(p *Element) {
				after[p.Attr("id")] = held
				held = held || p.untouched()
			})
		})
	})
	return onlyReference(c.Lines, after, "stop", "demote")
}

// clonedGroupPromoted: all that differs is about cloned groups that are to be
// promoted where, or where not, something else is.
func clonedGroupPromoted(c Comparison) bool {
	promoted := map[string]bool{}
	c.Document.colocations(func(dependent, _, _, role string) {
		promoted[dependent] = promoted[dependent] || role == "Promoted"
	})
	groups := map[string]bool{}
	c.Document.each("clone", func(e *Element) {
		e.each("group", func(*Element) { groups[e.Attr("id")] = promoted[e.Attr("id")] })
	})
	return c.about(groups)
}

// withContainer: all that differs is about interleaved clones that are ordered
// after a bundle.
func withContainer(c Comparison) bool {
	bundles, interleaved := map[string]bool{}, map[string]bool{}
	c.Document.each("bundle", func(b *Element) { bundles[b.Attr("id")] = true })
	c.Document.each("clone", func(e *Element) { interleaved[e.Attr("id")] = e.has("interleave", "true") })
	after := map[string]bool{}
	c.Document.each("rsc_order", func(o *Element) {
		refs := []string{o.Attr("first"), o.Attr("then")}
		o.each("resource_ref", func(r *Element) { refs = append(refs, r.Attr("id")) })
		bundled := false
		for _, ref := range refs {
			after[ref] = after[ref] || bundled && interleaved[ref]
			bundled = bundled || bundles[ref]
		}
	})
	return c.about(after)
}

// uniqueByPart: all that differs is that the reference looks after what is stopped
// of a clone that is unique but for a part that cannot be.
func uniqueByPart(c Comparison) bool {
	parts := map[string]bool{}
	c.Document.each("clone", func(e *Element) {
		mixed := false
		e.each("primitive", func(p *Element) { mixed = mixed || p.Attr("class") == "lsb" || p.Attr("class") == "systemd" })
		if mixed && e.has("globally-unique", "true") {
			e.each("primitive", func(p *Element) { parts[p.Attr("id")] = true })
		}
	})
	return onlyReference(c.Lines, parts, "monitor")
}

// unprobedStarted: all that differs is that the reference starts instances of
// clones that are active nowhere, and some node behind a connection does not come
// up, so that nobody can look for them there.
func unprobedStarted(c Comparison) bool {
	remotes, guests := c.Document.connections()
	down := false
	for _, names := range []map[string]bool{remotes, guests} {
		for name := range names {
			down = down || !c.Facts.Online[name]
		}
	}
	inactive := map[string]bool{}
	c.Document.each("clone", func(e *Element) {
		e.each("primitive", func(p *Element) { inactive[p.Attr("id")] = down })
	})
	for where := range c.Facts.Active {
		id, _, _ := strings.Cut(where, " ")
		delete(inactive, id)
	}
	return onlyReference(c.Lines, inactive, "start", "monitor", "promote", "notify")
}

// withoutNode: something prefers to be with a promotable clone that has an instance
// more than there are nodes for, and the outcomes differ in it.
func withoutNode(c Comparison) bool {
	running := map[string]int{}
	for _, line := range c.Reference.State {
		running[stripInstance(strings.Fields(line)[0])]++
	}
	nodes := 0
	c.Document.each("node", func(*Element) { nodes++ })
	spare := map[string]bool{} // clones
	c.Document.each("clone", func(e *Element) {
		if !e.has("promotable", "true") {
			return
		}
		most := nodes
		for _, block := range e.Children {
			for _, p := range block.Children {
				if p.Attr("name") == "clone-max" {
					most, _ = strconv.Atoi(p.Attr("value"))
				}
			}
		}
		e.each("primitive", func(p *Element) { spare[e.Attr("id")] = spare[e.Attr("id")] || running[p.Attr("id")] < most })
	})
	top := c.Document.tops()
	concerned := map[string]bool{}
	c.Document.colocations(func(dependent, primary, score, _ string) {
		if spare[top[primary]] && !strings.HasSuffix(score, "INFINITY") {
			concerned[top[dependent]] = true
		}
	})
	return slices.ContainsFunc(c.Lines, func(line string) bool { return concerned[top[stripInstance(strings.Fields(line)[2])]] })
}
