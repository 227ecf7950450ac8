package differential

import (
	"fmt"
	"slices"
	"strings"

	"linuxha/internal/cluster"
)

func (g *generator) some() string { return pick(g, g.names...) }

func (g *generator) score() string {
	return pick(g, "INFINITY", "INFINITY", "-INFINITY", "100", "10", "-10", "1", "2000")
}

func (g *generator) role(id string) string {
	for _, p := range g.promotable {
		if p == id && g.with(50, "role in constraint") {
			return pick(g, "Promoted", "Promoted", "Started", "Unpromoted")
		}
	}
	return ""
}

func (g *generator) constraints() {
	c := &g.p.Config
	many := 1 + len(g.names)
	for i := range g.rand.IntN(many) {
		c.Locations = append(c.Locations, g.location(fmt.Sprintf("loc%d", i)))
	}
	for i := range g.rand.IntN(many) {
		if k := g.colocation(fmt.Sprintf("col%d", i)); k != nil {
			c.Colocations = append(c.Colocations, *k)
		}
	}
	for i := range g.rand.IntN(many) {
		if o := g.order(fmt.Sprintf("ord%d", i)); o != nil {
			c.Orders = append(c.Orders, *o)
		}
	}
	if g.with(7, "ticket") {
		id := g.some()
		c.TicketRules = append(c.TicketRules, cluster.TicketRule{ID: "tic1", Ticket: "ticketA", Resource: id, Role: g.role(id),
			LossPolicy: pick(g, "stop", "demote", "fence", "freeze")})
	}
}

func (g *generator) location(id string) cluster.Location {
	g.saw("location")
	l := cluster.Location{ID: id, Resource: g.some()}
	if g.with(25, "location rule") {
		r := cluster.Rule{ID: id + "-rule", Score: g.score()}
		x := &cluster.AttrExpr{ID: id + "-expr", Attribute: "rack", Operation: pick(g, "eq", "ne"), Value: pick(g, "a", "b")}
		switch g.rand.IntN(4) {
		case 0:
			x = &cluster.AttrExpr{ID: id + "-expr", Attribute: "cpu", Operation: pick(g, "lt", "gte"), Value: "4", Type: pick(g, "", "integer")}
		case 1:
			x = &cluster.AttrExpr{ID: id + "-expr", Attribute: "#uname", Operation: pick(g, "eq", "ne"), Value: pick(g, "node1", "node2")}
		case 2:
			x = &cluster.AttrExpr{ID: id + "-expr", Attribute: "rack", Operation: pick(g, "defined", "not_defined")}
		}
		r.Conditions = []cluster.Condition{{Attribute: x}}
		if g.with(30, "rule with two conditions") {
			r.Or = g.chance(50)
			r.Conditions = append(r.Conditions, cluster.Condition{Attribute: &cluster.AttrExpr{ID: id + "-expr2", Attribute: "cpu", Operation: "gt", Value: "2"}})
		}
		if g.with(15, "rule with date") {
			r.Conditions = append(r.Conditions, cluster.Condition{Date: &cluster.DateExpr{ID: id + "-date", Operation: pick(g, "gt", "lt"),
				Start: "2026-01-01", End: "2027-01-01"}})
			if d := r.Conditions[len(r.Conditions)-1].Date; d.Operation == "gt" {
				d.End = ""
			} else {
				d.Start = ""
			}
		}
		r.Role = g.role(l.Resource)
		l.Rules = []cluster.Rule{r}
		return l
	}
	l.Node, l.Score, l.Role = pick(g, g.p.Config.Nodes...).Name, g.score(), g.role(l.Resource)
	if g.with(5, "resource discovery") {
		l.Discovery = pick(g, "never", "exclusive", "always")
	}
	return l
}

func (g *generator) colocation(id string) *cluster.Colocation {
	if g.with(10, "colocation set") {
		return &cluster.Colocation{ID: id, Score: pick(g, "INFINITY", "100", "-INFINITY"), Sets: g.resourceSets(id, false, 2)}
	}
	a, b := g.some(), g.some()
	if g.related(a, b) {
		return nil
	}
	g.saw("colocation")
	k := &cluster.Colocation{ID: id, Resource: a, With: b, Score: g.score(), Role: g.role(a), WithRole: g.role(b)}
	if g.with(4, "colocation influence") {
		k.Influence = pick(g, "true", "false")
	}
	if g.with(4, "colocation node-attribute") {
		k.NodeAttribute = "rack"
	}
	return k
}

// related tells whether two names are one resource, or a group and its member:
// crm_simulate aborts on an order between those.
func (g *generator) related(a, b string) bool {
	return a == b || strings.HasPrefix(a, b+"m") || strings.HasPrefix(b, a+"m")
}

// resourceSet makes a set of resources of which none is related to another in
// taken; it returns the longer list.
func (g *generator) resourceSet(id string, order bool, taken []string) (cluster.ResourceSet, []string) {
	s := cluster.ResourceSet{ID: id}
	for _, i := range g.rand.Perm(len(g.names))[:1+g.rand.IntN(min(3, len(g.names)))] {
		if !slices.ContainsFunc(taken, func(other string) bool { return g.related(other, g.names[i]) }) {
			taken = append(taken, g.names[i])
			s.Resources = append(s.Resources, g.names[i])
		}
	}
	if g.chance(40) {
		s.Sequential = pick(g, "true", "false")
	}
	if order && s.Sequential == "false" && g.with(30, "require-all=false") {
		s.RequireAll = "false"
	}
	return s, taken
}

// resourceSets makes up to most sets, none of them empty.
func (g *generator) resourceSets(id string, order bool, most int) []cluster.ResourceSet {
	var sets []cluster.ResourceSet
	var taken []string
	for i := range 1 + g.rand.IntN(most) {
		var s cluster.ResourceSet
		if s, taken = g.resourceSet(fmt.Sprintf("%s-set%d", id, i), order, taken); len(s.Resources) > 0 {
			sets = append(sets, s)
		}
	}
	return sets
}

func (g *generator) order(id string) *cluster.Order {
	if g.with(10, "order set") {
		return &cluster.Order{ID: id, Kind: pick(g, "", "Mandatory", "Optional"), Sets: g.resourceSets(id, true, 3)}
	}
	a, b := g.some(), g.some()
	if g.related(a, b) {
		return nil
	}
	g.saw("order")
	o := &cluster.Order{ID: id, First: a, Then: b, Kind: pick(g, "", "", "Mandatory", "Optional", "Serialize")}
	if g.with(15, "order action") {
		o.FirstAction = pick(g, "start", "stop")
	}
	for _, p := range g.promotable {
		if p == a && g.with(40, "order promote") {
			o.FirstAction = pick(g, "promote", "demote")
		}
		if p == b && g.with(20, "order then promote") {
			o.ThenAction = "promote"
		}
	}
	if g.with(10, "asymmetrical order") {
		o.Symmetrical = "false"
	}
	if g.with(3, "order require-all") {
		o.RequireAll = "false"
	}
	return o
}
