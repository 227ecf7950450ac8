package cibgen

import "strconv"

// condition makes one condition on a node, as rules of location constraints have.
func (g *generator) condition() *Element {
	id := g.id("expr")
	attribute := func(name, operation, value, kind string) *Element {
		return el("expression", "id", id, "attribute", name, "operation", operation, "value", value, "type", kind)
	}
	equality := pick(g, []string{"eq", "ne"})
	switch roll := g.IntN(100); {
	case roll < 14:
		return attribute("#uname", equality, pick(g, g.nodes).name, "")
	case roll < 28:
		return attribute("site", equality, pick(g, []string{"a", "b"}), "")
	case roll < 40:
		return attribute("site", pick(g, []string{"defined", "not_defined"}), "", "")
	case roll < 54:
		return attribute("weight", pick(g, []string{"lt", "gte", "gt", "lte"}), strconv.Itoa(g.IntN(100)), pick(g, []string{"", "number", "integer"}))
	case roll < 70:
		return g.dateCondition()
	case roll < 76:
		g.feature("rule-version")
		return attribute("release", pick(g, []string{"lt", "gte", "eq", "ne"}), pick(g, []string{"1.2", "1.10"}), "version")
	case roll < 80:
		g.feature("rule-value-source")
		e := attribute("site", equality, "fake", "")
		e.Attrs = append(e.Attrs, Attr{"value-source", "param"})
		return e
	case roll < 83:
		g.feature("rule-value-source")
		e := attribute("weight", pick(g, []string{"lt", "gte"}), "priority", "number")
		e.Attrs = append(e.Attrs, Attr{"value-source", "meta"})
		return e
	case roll < 86:
		g.feature("rule-cluster-name")
		return attribute(pick(g, []string{"#cluster-name", "#site-name"}), equality, "c1", "")
	case roll < 89:
		g.feature("rule-node-id")
		return attribute("#id", equality, "1", "")
	case roll < 92:
		g.feature("rule-nested")
		inner := el("rule", "id", g.id("rule"), "boolean-op", pick(g, []string{"and", "or"}))
		return inner.add(attribute("site", equality, "a", ""), g.dateCondition())
	}
	return attribute("#kind", equality, pick(g, []string{"cluster", "remote", "container"}), "")
}

// dateCondition makes a condition on the present time, which is `moment` in the
// tests: the first second of Wednesday, July 1st 2026.
func (g *generator) dateCondition() *Element {
	g.feature("date-rule")
	e := el("date_expression", "id", g.id("expr"))
	set := func(pairs ...string) *Element {
		e.Attrs = append(e.Attrs, el("", pairs...).Attrs...)
		return e
	}
	past, future := "2020-01-01", "2100-01-01"
	switch roll := g.IntN(100); {
	case roll < 20:
		return set("operation", "gt", "start", pick(g, []string{past, future}))
	case roll < 40:
		return set("operation", "lt", "end", pick(g, []string{past, future}))
	case roll < 55:
		g.feature("date-range")
		return set("operation", "in_range", "start", pick(g, []string{past, "2026-06-30 12:00:00Z"}), "end", pick(g, []string{"2026-06-30 23:00:00Z", future}))
	case roll < 70:
		g.feature("date-duration")
		d := el("duration", "id", g.id("d"))
		d.Attrs = append(d.Attrs, pick(g, []Attr{{"years", "10"}, {"months", "3"}, {"weeks", "2"}, {"days", "40"}, {"hours", "30"}}))
		return set("operation", "in_range", "start", pick(g, []string{past, "2026-06-29", "2026-05-20"})).add(d)
	}
	g.feature("date-spec")
	spec := el("date_spec", "id", g.id("d"))
	spec.Attrs = append(spec.Attrs, pick(g, []Attr{{"years", "2026"}, {"years", "2027-"}, {"months", "6-8"}, {"months", "1-6"}, {"monthdays", "1"},
		{"weekdays", "1-5"}, {"weekdays", "6-7"}, {"hours", "0-8"}, {"hours", "9-17"}, {"yeardays", "182"}, {"weeks", "27"}, {"weekyears", "2026"}}))
	if g.chance(30) {
		spec.Attrs = append(spec.Attrs, Attr{"minutes", pick(g, []string{"0-30", "15-"})})
	}
	return set("operation", "date_spec").add(spec)
}

// conditional puts a rule with one condition into a block, nil if there is none.
func (g *generator) conditional(block, condition *Element) *Element {
	if block == nil {
		return nil
	}
	rule := el("rule", "id", g.id("rule"), "boolean-op", pick(g, []string{"", "and", "or"})).add(condition)
	block.Children = append([]*Element{rule}, block.Children...)
	return block
}

// moreMeta are meta-attributes in a block of their own, which has a score or holds
// at certain times.
func (g *generator) moreMeta() *Element {
	block := g.pairs("meta_attributes", [][2]string{pick(g, [][2]string{{"priority", "7"}, {"resource-stickiness", "20"}, {"resource-stickiness", "#default"},
		{"is-managed", "true"}, {"target-role", "Started"}, {"migration-threshold", "4"}, {"failure-timeout", "90s"}, {"critical", "true"}})})
	if g.maybe(50, "meta-with-rule") {
		g.conditional(block, g.dateCondition())
	}
	if g.chance(60) {
		g.feature("meta-with-score")
		block.Attrs = append(block.Attrs, Attr{"score", pick(g, []string{"5", "-5", "INFINITY"})})
	}
	return block
}
