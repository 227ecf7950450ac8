package config

import (
	"strings"

	"linuxha/internal/cluster"
)

// low writes a word of a fixed list in lower case.
func (p *printer) low(name, value string) { p.str(name, strings.ToLower(value)) }

func (p *printer) constraints(cfg *cluster.Config) {
	for i := range cfg.Locations {
		p.locationConstraint(&cfg.Locations[i])
	}
	for i := range cfg.Colocations {
		c := &cfg.Colocations[i]
		p.begin("colocation", c.ID)
		p.str("resource", c.Resource)
		p.low("role", c.Role)
		p.str("instance", c.Instance)
		p.str("with", c.With)
		p.low("with_role", c.WithRole)
		p.str("with_instance", c.WithInstance)
		p.str("node_attribute", c.NodeAttribute)
		p.str("score", c.Score)
		p.str("influence", c.Influence)
		if c.Rule != nil {
			p.attr("rule", quote(FormatRule(c.Rule)))
		}
		p.resourceSets(c.Sets)
		p.end()
	}
	for i := range cfg.Orders {
		o := &cfg.Orders[i]
		p.begin("order", o.ID)
		p.str("first", o.First)
		p.str("first_action", o.FirstAction)
		p.str("first_instance", o.FirstInst)
		p.str("then", o.Then)
		p.str("then_action", o.ThenAction)
		p.str("then_instance", o.ThenInst)
		p.low("kind", o.Kind)
		p.str("score", o.Score)
		p.str("symmetrical", o.Symmetrical)
		p.str("require_all", o.RequireAll)
		p.resourceSets(o.Sets)
		p.end()
	}
	for i := range cfg.TicketRules {
		t := &cfg.TicketRules[i]
		p.begin("ticket", t.ID)
		p.str("ticket", t.Ticket)
		p.str("resource", t.Resource)
		p.low("role", t.Role)
		p.str("loss_policy", t.LossPolicy)
		p.resourceSets(t.Sets)
		p.end()
	}
}

func (p *printer) locationConstraint(l *cluster.Location) {
	p.begin("location", l.ID)
	p.str("resource", l.Resource)
	p.str("pattern", l.Pattern)
	p.str("node", l.Node)
	p.low("role", l.Role)
	p.str("discovery", l.Discovery)
	p.str("score", l.Score)
	rules := l.Rules
	if len(rules) == 1 && rules[0].ID == "" && rules[0].Ref == "" && rules[0].Role == "" && l.Score == "" {
		p.str("score", rules[0].Score)
		p.str("score_attribute", rules[0].ScoreAttribute)
		p.attr("rule", quote(FormatRule(&rules[0])))
		rules = nil
	}
	for i := range rules {
		r := &rules[i]
		p.begin("rule", r.ID+r.Ref)
		p.str("same_as", r.Ref)
		p.str("score", r.Score)
		p.str("score_attribute", r.ScoreAttribute)
		p.low("role", r.Role)
		if r.Ref == "" {
			p.attr("when", quote(FormatRule(r)))
		}
		p.end()
	}
	p.resourceSets(l.Sets)
	p.end()
}

func (p *printer) resourceSets(sets []cluster.ResourceSet) {
	for _, s := range sets {
		p.begin("set", "")
		p.str("id", s.ID)
		p.str("same_as", s.Ref)
		if len(s.Resources) > 0 {
			p.attr("resources", list(s.Resources))
		}
		p.str("sequential", s.Sequential)
		p.str("require_all", s.RequireAll)
		p.str("ordering", s.Ordering)
		p.str("action", s.Action)
		p.low("role", s.Role)
		p.str("score", s.Score)
		p.low("kind", s.Kind)
		p.end()
	}
}

func (p *printer) access(cfg *cluster.Config) {
	for i := range cfg.Alerts {
		a := &cfg.Alerts[i]
		p.begin("alert", a.ID)
		p.str("path", a.Path)
		if len(a.Select) > 0 {
			p.attr("select", list(a.Select))
		}
		if len(a.Attributes) > 0 {
			p.attr("attributes", list(a.Attributes))
		}
		p.attrSets("params", "params_set", a.Params, freeKeys)
		p.attrSets("meta", "meta_set", a.Meta, dashedKeys)
		p.recipients(a.Recipients)
		p.end()
	}
	for _, r := range cfg.ACLRoles {
		p.begin("role", r.ID)
		for _, x := range r.Permissions {
			if x.Kind == "deny" {
				p.begin("deny", "")
			} else {
				p.begin("allow", x.Kind)
			}
			p.str("id", x.ID)
			p.str("xpath", x.XPath)
			p.str("reference", x.Reference)
			p.str("object_type", x.ObjectTag)
			p.str("attribute", x.Attribute)
			p.end()
		}
		p.end()
	}
	for _, t := range cfg.ACLTargets {
		kind := "user"
		if t.Group {
			kind = "user_group"
		}
		p.begin(kind, t.ID)
		p.str("name", t.Name)
		p.attr("roles", list(t.Roles))
		p.end()
	}
}

// recipients prints plain ones as a list if all are plain, else each as a block.
func (p *printer) recipients(rs []cluster.Recipient) {
	var values []string
	for _, r := range rs {
		if r.ID == "" && len(r.Meta)+len(r.Params) == 0 {
			values = append(values, r.Value)
		}
	}
	if len(rs) > 0 && len(values) == len(rs) {
		p.attr("recipients", list(values))
		return
	}
	for i, r := range rs {
		p.begin("recipient", orNumber(r.ID, i))
		p.str("value", r.Value)
		p.attrSets("params", "params_set", r.Params, freeKeys)
		p.attrSets("meta", "meta_set", r.Meta, dashedKeys)
		p.end()
	}
}
