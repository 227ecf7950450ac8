package pacemaker

import (
	"slices"

	"linuxha/internal/cluster"
)

const constrainable = kindResource | kindTemplate | kindTag

func (r *reader) constraints(e *element) {
	// There may be thousands, too large to be moved again and again.
	r.config.Locations = slices.Grow(r.config.Locations, r.doc.countNamed(e, "rsc_location"))
	r.config.Colocations = slices.Grow(r.config.Colocations, r.doc.countNamed(e, "rsc_colocation"))
	r.config.Orders = slices.Grow(r.config.Orders, r.doc.countNamed(e, "rsc_order"))
	for c := range r.doc.children(e) {
		switch c.name {
		case "rsc_location":
			r.config.Locations = append(r.config.Locations, r.location(c))
		case "rsc_colocation":
			r.config.Colocations = append(r.config.Colocations, r.colocation(c))
		case "rsc_order":
			r.config.Orders = append(r.config.Orders, r.order(c))
		case "rsc_ticket":
			r.config.TicketRules = append(r.config.TicketRules, r.ticketRule(c))
		default:
			r.unknownElement(e, c)
		}
	}
}

// resourceRef notes that a constraint names a resource.
func (r *reader) resourceRef(a attr, id string) string {
	r.refer(a.pos, a.value, constrainable, "constraint", id)
	return a.value
}

func (r *reader) location(e *element) cluster.Location {
	l := cluster.Location{ID: r.id(e, kindOther)}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
		case "rsc":
			l.Resource = r.resourceRef(a, l.ID)
		case "rsc-pattern":
			l.Pattern = a.value
		case "node":
			l.Node = a.value
			r.nodeRefs = append(r.nodeRefs, idRef{pos: a.pos, id: a.value, by: "constraint", name: l.ID})
		case "score":
			r.score(a)
			l.Score = a.value
		case "role":
			l.Role = r.role(a)
		case "resource-discovery":
			l.Discovery = r.oneOf(a, "always", "never", "exclusive")
		default:
			r.unknownAttr(e, a)
		}
	}
	var lifetime *cluster.Rule
	for c := range r.doc.children(e) {
		switch c.name {
		case "rule":
			l.Rules = append(l.Rules, r.rule(c))
		case "resource_set":
			l.Sets = append(l.Sets, r.resourceSet(c, l.ID))
		case "lifetime":
			lifetime = r.lifetime(c)
		default:
			r.unknownElement(e, c)
		}
	}
	for i := range l.Rules {
		// A rule has a role of its own or none, whatever the constraint or a set says.
		if l.Rules[i].Role == "" && (l.Role != "" || slices.ContainsFunc(l.Sets, func(s cluster.ResourceSet) bool { return s.Role != "" || s.Ref != "" })) {
			l.Rules[i].Role = "Started"
		}
	}
	if lifetime != nil {
		limitLocation(&l, lifetime)
	}
	if l.Resource == "" && l.Pattern == "" && len(l.Sets) == 0 {
		r.fault(e.pos, "location constraint %s names no resource", l.ID)
	}
	if l.Node == "" && len(l.Rules) == 0 {
		r.fault(e.pos, "location constraint %s names neither node nor rule", l.ID)
	}
	return l
}

// lifetime reads when a constraint holds, an element of old schemas.
func (r *reader) lifetime(e *element) *cluster.Rule {
	all := &cluster.Rule{Or: true}
	for c := range r.doc.children(e) {
		if c.name != "rule" {
			r.unknownElement(e, c)
			continue
		}
		rule := r.rule(c)
		all.Conditions = append(all.Conditions, cluster.Condition{Rule: &rule})
	}
	return all
}

// limitLocation expresses a lifetime by rules: each rule counts only while it
// passes, and a node becomes a rule that names it.
func limitLocation(l *cluster.Location, lifetime *cluster.Rule) {
	limit := cluster.Condition{Rule: lifetime}
	if l.Node != "" {
		l.Rules = []cluster.Rule{{ID: l.ID + "-lifetime", Score: l.Score, Role: l.Role, Conditions: []cluster.Condition{
			{Attribute: &cluster.AttrExpr{Attribute: "#uname", Operation: "eq", Value: l.Node}}, limit}}}
		l.Node, l.Score = "", ""
		return
	}
	for i, rule := range l.Rules {
		inner := rule
		inner.Score, inner.ScoreAttribute = "", ""
		rule.Or, rule.Ref = false, ""
		rule.Conditions = []cluster.Condition{{Rule: &inner}, limit}
		l.Rules[i] = rule
	}
}

func (r *reader) colocation(e *element) cluster.Colocation {
	c := cluster.Colocation{ID: r.id(e, kindOther)}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
		case "rsc":
			c.Resource = r.resourceRef(a, c.ID)
		case "with-rsc":
			c.With = r.resourceRef(a, c.ID)
		case "rsc-role":
			c.Role = r.role(a)
		case "with-rsc-role":
			c.WithRole = r.role(a)
		case "rsc-instance":
			c.Instance = a.value
		case "with-rsc-instance":
			c.WithInstance = a.value
		case "node-attribute":
			c.NodeAttribute = a.value
		case "score":
			r.score(a)
			c.Score = a.value
		case "score-attribute", "score-attribute-mangled":
		case "influence":
			c.Influence = r.boolean(a)
		case "symmetrical":
		default:
			r.unknownAttr(e, a)
		}
	}
	for s := range r.doc.children(e) {
		switch s.name {
		case "resource_set":
			c.Sets = append(c.Sets, r.resourceSet(s, c.ID))
		case "lifetime":
			c.Rule = r.lifetime(s)
		default:
			r.unknownElement(e, s)
		}
	}
	if (c.Resource == "" || c.With == "") && len(c.Sets) == 0 {
		r.fault(e.pos, "colocation constraint %s does not name two resources", c.ID)
	}
	return c
}

func (r *reader) order(e *element) cluster.Order {
	o := cluster.Order{ID: r.id(e, kindOther)}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
		case "first":
			o.First = r.resourceRef(a, o.ID)
		case "then":
			o.Then = r.resourceRef(a, o.ID)
		case "first-action":
			o.FirstAction = r.action(a)
		case "then-action":
			o.ThenAction = r.action(a)
		case "first-instance":
			o.FirstInst = a.value
		case "then-instance":
			o.ThenInst = a.value
		case "kind":
			o.Kind = r.oneOf(a, "Optional", "Mandatory", "Serialize")
		case "score":
			r.score(a)
			o.Score = a.value
		case "symmetrical":
			o.Symmetrical = r.boolean(a)
		case "require-all":
			o.RequireAll = r.boolean(a)
		default:
			r.unknownAttr(e, a)
		}
	}
	for s := range r.doc.children(e) {
		switch s.name {
		case "resource_set":
			o.Sets = append(o.Sets, r.resourceSet(s, o.ID))
		case "lifetime":
			r.fault(s.pos, "lifetime of order constraint %s is not supported", o.ID)
		default:
			r.unknownElement(e, s)
		}
	}
	if (o.First == "" || o.Then == "") && len(o.Sets) == 0 {
		r.fault(e.pos, "order constraint %s does not name two resources", o.ID)
	}
	return o
}

func (r *reader) action(a attr) string {
	return r.oneOf(a, "start", "stop", "promote", "demote")
}

func (r *reader) ticketRule(e *element) cluster.TicketRule {
	t := cluster.TicketRule{ID: r.id(e, kindOther)}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
		case "rsc":
			t.Resource = r.resourceRef(a, t.ID)
		case "rsc-role":
			t.Role = r.role(a)
		case "ticket":
			t.Ticket = a.value
		case "loss-policy":
			t.LossPolicy = r.oneOf(a, "stop", "demote", "fence", "freeze")
		case "rsc-instance":
		default:
			r.unknownAttr(e, a)
		}
	}
	for s := range r.doc.children(e) {
		switch s.name {
		case "resource_set":
			t.Sets = append(t.Sets, r.resourceSet(s, t.ID))
		default:
			r.unknownElement(e, s)
		}
	}
	if t.Ticket == "" || t.Resource == "" && len(t.Sets) == 0 {
		r.fault(e.pos, "ticket constraint %s names no ticket or no resource", t.ID)
	}
	return t
}

func (r *reader) resourceSet(e *element, constraint string) cluster.ResourceSet {
	s := cluster.ResourceSet{}
	if ref := r.doc.attr(e, "id-ref"); ref != "" {
		s.Ref = ref
		r.refer(e.pos, ref, kindSet, "constraint", constraint)
	} else {
		s.ID = r.id(e, kindSet)
	}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id", "id-ref":
		case "sequential":
			s.Sequential = r.boolean(a)
		case "require-all":
			s.RequireAll = r.boolean(a)
		case "ordering":
			s.Ordering = r.oneOf(a, "group", "listed")
		case "action":
			s.Action = r.action(a)
		case "role":
			s.Role = r.role(a)
		case "score":
			r.score(a)
			s.Score = a.value
		case "kind":
			s.Kind = r.oneOf(a, "Optional", "Mandatory", "Serialize")
		case "internal-ordering":
		default:
			r.unknownAttr(e, a)
		}
	}
	for c := range r.doc.children(e) {
		if c.name != "resource_ref" {
			r.unknownElement(e, c)
			continue
		}
		id := r.doc.attr(c, "id")
		r.refer(c.pos, id, constrainable, "constraint", constraint)
		s.Resources = append(s.Resources, id)
	}
	return s
}
