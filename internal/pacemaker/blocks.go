package pacemaker

import "linuxha/internal/cluster"

// attrSets reads all blocks named tag below e; anything else there is unknown.
func (r *reader) attrSets(e *element, tag string, spell spelling) []cluster.AttrSet {
	var sets []cluster.AttrSet
	for c := range r.doc.children(e) {
		if c.name != tag {
			r.unknownElement(e, c)
			continue
		}
		sets = append(sets, r.attrSet(c, spell))
	}
	return sets
}

// attrSet reads one block of name-value pairs; spell, if not nil, modernises
// each pair.
func (r *reader) attrSet(e *element, spell spelling) cluster.AttrSet {
	set := cluster.AttrSet{}
	if ref := r.doc.attr(e, "id-ref"); ref != "" {
		set.Ref = ref
		r.refer(e.pos, ref, kindBlock, "<"+e.name+">", "")
	} else {
		set.ID = r.id(e, kindBlock)
	}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id", "id-ref":
		case "score":
			set.Score = r.score(a)
		default:
			r.unknownAttr(e, a)
		}
	}
	set.Pairs = make([]cluster.NVPair, 0, r.doc.count(e))
	for c := range r.doc.children(e) {
		switch c.name {
		case "nvpair":
			if p, ok := r.nvpair(c); ok {
				if spell != nil {
					p = spell(p)
				}
				set.Pairs = append(set.Pairs, p)
			}
		case "rule":
			if set.Rule != nil {
				r.fault(c.pos, "<%s> with a second rule", e.name)
			}
			rule := r.rule(c)
			set.Rule = &rule
		case "attributes": // spelled so by very old tools
			set.Pairs = append(set.Pairs, r.attrSet(c, spell).Pairs...)
		default:
			r.unknownElement(e, c)
		}
	}
	return set
}

// nvpair returns false for a pair without value, which says nothing.
func (r *reader) nvpair(e *element) (cluster.NVPair, bool) {
	p := cluster.NVPair{}
	hasValue := false
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
			p.ID = a.value
		case "id-ref":
			p.Ref = a.value
			r.refer(e.pos, a.value, kindPair, "<nvpair>", "")
		case "name":
			p.Name = a.value
		case "value":
			p.Value, hasValue = a.value, true
		default:
			r.unknownAttr(e, a)
		}
	}
	if p.Ref != "" {
		return p, true
	}
	r.id(e, kindPair)
	if p.Name == "" {
		r.fault(e.pos, "<nvpair> without name")
		return p, false
	}
	return p, hasValue
}

func (r *reader) rule(e *element) cluster.Rule {
	rule := cluster.Rule{}
	if ref := r.doc.attr(e, "id-ref"); ref != "" {
		rule.Ref = ref
		r.refer(e.pos, ref, kindRule, "<rule>", "")
	} else {
		rule.ID = r.id(e, kindRule)
	}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id", "id-ref":
		case "boolean-op":
			rule.Or = r.oneOf(a, "and", "or") == "or"
		case "role":
			rule.Role = r.role(a)
		case "score":
			r.score(a)
			rule.Score = a.value
		case "score-attribute", "score-attribute-mangled":
			rule.ScoreAttribute = a.value
		default:
			r.unknownAttr(e, a)
		}
	}
	for c := range r.doc.children(e) {
		var cond cluster.Condition
		switch c.name {
		case "expression":
			cond.Attribute = r.attributeExpression(c)
		case "date_expression":
			cond.Date = r.dateExpression(c)
		case "rsc_expression":
			cond.Resource = r.resourceExpression(c)
		case "op_expression":
			cond.Operation = r.operationExpression(c)
		case "rule":
			nested := r.rule(c)
			cond.Rule = &nested
		default:
			r.unknownElement(e, c)
			continue
		}
		rule.Conditions = append(rule.Conditions, cond)
	}
	return rule
}

func (r *reader) attributeExpression(e *element) *cluster.AttrExpr {
	x := &cluster.AttrExpr{ID: r.id(e, kindOther)}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
		case "attribute":
			x.Attribute = a.value
		case "operation":
			x.Operation = r.oneOf(a, "defined", "not_defined", "eq", "ne", "lt", "lte", "gt", "gte")
		case "type":
			x.Type = r.oneOf(a, "string", "integer", "number", "version")
		case "value":
			x.Value = a.value
		case "value-source":
			x.ValueSource = r.oneOf(a, "literal", "param", "meta")
		default:
			r.unknownAttr(e, a)
		}
	}
	return x
}

func (r *reader) dateExpression(e *element) *cluster.DateExpr {
	x := &cluster.DateExpr{ID: r.id(e, kindOther)}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
		case "operation":
			x.Operation = r.oneOf(a, "in_range", "gt", "lt", "date_spec")
		case "start":
			x.Start = a.value
		case "end":
			x.End = a.value
		default:
			r.unknownAttr(e, a)
		}
	}
	for c := range r.doc.children(e) {
		switch c.name {
		case "duration":
			x.Duration = r.calendar(c)
		case "date_spec":
			x.Spec = r.calendar(c)
		default:
			r.unknownElement(e, c)
		}
	}
	return x
}

func (r *reader) calendar(e *element) map[string]string {
	m := map[string]string{}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
			r.id(e, kindOther)
		case "years", "months", "monthdays", "weeks", "weekdays", "weekyears", "yeardays", "days",
			"hours", "minutes", "seconds":
			m[a.name] = a.value
		case "moon": // once accepted; nothing ever was decided by it since
		default:
			r.unknownAttr(e, a)
		}
	}
	return m
}

func (r *reader) resourceExpression(e *element) *cluster.ResourceExpr {
	x := &cluster.ResourceExpr{ID: r.id(e, kindOther)}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
		case "class":
			x.Class = a.value
		case "provider":
			x.Provider = a.value
		case "type":
			x.Type = a.value
		default:
			r.unknownAttr(e, a)
		}
	}
	return x
}

func (r *reader) operationExpression(e *element) *cluster.OpExpr {
	x := &cluster.OpExpr{ID: r.id(e, kindOther)}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
		case "name":
			x.Name = a.value
		case "interval":
			x.Interval = a.value
		default:
			r.unknownAttr(e, a)
		}
	}
	return x
}
