package config

import (
	"github.com/hashicorp/hcl/v2"

	"linuxha/internal/cluster"
)

var resourceSet = hcl.BlockHeaderSchema{Type: "set"}

// role reads a role name and returns it as the model spells it.
func (b *body) roleName(name string) string {
	if !b.has(name) {
		return ""
	}
	v, err := spec{values: append([]string{"Master", "Slave"}, roles...)}.canonical(b.text(name))
	if err != nil {
		b.errorf(b.content.Attributes[name].Range, "use stopped, started, unpromoted or promoted", "%s: %s: there is no role %q", b.at, name, b.text(name))
	}
	switch v {
	case "Master":
		return "Promoted"
	case "Slave":
		return "Unpromoted"
	}
	return v
}

// scoreText reads a score, "" if it is not set.
func (b *body) scoreText(name string) string {
	if !b.has(name) {
		return ""
	}
	v, err := canonicalScore(b.text(name))
	if err != nil {
		b.errorf(b.content.Attributes[name].Range, "", "%s: %s: %v", b.at, name, err)
	}
	return v
}

// choice reads an attribute that has a few possible values.
func (b *body) choice(name string, values ...string) string {
	if !b.has(name) {
		return ""
	}
	v, err := spec{values: values}.canonical(b.text(name))
	if err != nil {
		b.errorf(b.content.Attributes[name].Range, "", "%s: %s: %v", b.at, name, err)
	}
	return v
}

var orderActions = []string{"start", "stop", "promote", "demote", "migrate_to", "migrate_from"}

// sets reads the set blocks of a constraint.
func (b *body) resourceSets() []cluster.ResourceSet {
	var out []cluster.ResourceSet
	for _, block := range b.content.Blocks {
		if block.Type != "set" {
			continue
		}
		c := b.open("", block.DefRange, block.Body,
			[]string{"id", "same_as", "resources", "sequential", "require_all", "ordering", "action", "role", "score", "kind"})
		c.at = b.at + " set"
		out = append(out, cluster.ResourceSet{
			ID: c.text("id"), Ref: c.text("same_as"), Resources: c.list("resources"), Sequential: c.boolText("sequential"),
			RequireAll: c.boolText("require_all"), Ordering: c.choice("ordering", "group", "listed"),
			Action: c.choice("action", orderActions...), Role: c.roleName("role"), Score: c.scoreText("score"),
			Kind: c.choice("kind", "Optional", "Mandatory", "Serialize"),
		})
	}
	return out
}

func (r *reader) location(b *hcl.Block) {
	c := r.open("location "+b.Labels[0], b.DefRange, b.Body,
		[]string{"resource", "pattern", "node", "score", "score_attribute", "rule", "role", "discovery"},
		resourceSet, hcl.BlockHeaderSchema{Type: "rule", LabelNames: []string{"id"}})
	l := cluster.Location{
		ID: b.Labels[0], Resource: c.text("resource"), Pattern: c.text("pattern"), Sets: c.resourceSets(), Node: c.text("node"),
		Role: c.roleName("role"), Discovery: c.choice("discovery", "always", "never", "exclusive"),
	}
	if c.has("rule") {
		if rule := c.rule("rule"); rule != nil {
			rule.Score, rule.ScoreAttribute = c.scoreText("score"), c.text("score_attribute")
			l.Rules = append(l.Rules, *rule)
		}
	} else {
		l.Score = c.scoreText("score")
	}
	for _, block := range c.content.Blocks {
		if block.Type != "rule" {
			continue
		}
		k := r.open("", block.DefRange, block.Body, []string{"when", "score", "score_attribute", "role", "same_as"})
		k.at = c.at + " rule " + block.Labels[0]
		rule := &cluster.Rule{}
		if k.has("when") {
			rule = k.rule("when")
		}
		if rule != nil {
			rule.ID, rule.Ref = block.Labels[0], k.text("same_as")
			if rule.Ref != "" {
				rule.ID = ""
			}
			rule.Score, rule.ScoreAttribute, rule.Role = k.scoreText("score"), k.text("score_attribute"), k.roleName("role")
			l.Rules = append(l.Rules, *rule)
		}
	}
	r.cfg.Locations = append(r.cfg.Locations, l)
}

func (r *reader) colocation(b *hcl.Block) {
	c := r.open("colocation "+b.Labels[0], b.DefRange, b.Body,
		[]string{"resource", "with", "with_rsc", "role", "rsc_role", "with_role", "with_rsc_role", "instance", "with_instance", "node_attribute", "score", "influence", "rule"},
		resourceSet)
	k := cluster.Colocation{
		ID: b.Labels[0], Resource: c.text("resource"), With: c.either("with", "with_rsc"),
		Role: c.roleName(c.eitherName("role", "rsc_role")), WithRole: c.roleName(c.eitherName("with_role", "with_rsc_role")),
		Instance: c.text("instance"), WithInstance: c.text("with_instance"), NodeAttribute: c.text("node_attribute"),
		Score: c.scoreText("score"), Influence: c.boolText("influence"), Rule: c.rule("rule"), Sets: c.resourceSets(),
	}
	r.cfg.Colocations = append(r.cfg.Colocations, k)
}

func (b *body) eitherName(name, alias string) string {
	if !b.has(name) && b.has(alias) {
		return alias
	}
	return name
}

func (b *body) either(name, alias string) string { return b.text(b.eitherName(name, alias)) }

func (r *reader) orderConstraint(b *hcl.Block) {
	c := r.open("order "+b.Labels[0], b.DefRange, b.Body,
		[]string{"first", "then", "first_action", "then_action", "first_instance", "then_instance", "kind", "score", "symmetrical", "require_all"}, resourceSet)
	r.cfg.Orders = append(r.cfg.Orders, cluster.Order{
		ID: b.Labels[0], First: c.text("first"), Then: c.text("then"),
		FirstAction: c.choice("first_action", orderActions...), ThenAction: c.choice("then_action", orderActions...),
		FirstInst: c.text("first_instance"), ThenInst: c.text("then_instance"),
		Kind: c.choice("kind", "Optional", "Mandatory", "Serialize"), Score: c.scoreText("score"),
		Symmetrical: c.boolText("symmetrical"), RequireAll: c.boolText("require_all"), Sets: c.resourceSets(),
	})
}

func (r *reader) ticket(b *hcl.Block) {
	c := r.open("ticket "+b.Labels[0], b.DefRange, b.Body, []string{"ticket", "resource", "role", "loss_policy"}, resourceSet)
	r.cfg.TicketRules = append(r.cfg.TicketRules, cluster.TicketRule{
		ID: b.Labels[0], Ticket: c.require("ticket"), Resource: c.text("resource"), Role: c.roleName("role"),
		LossPolicy: c.choice("loss_policy", "stop", "demote", "fence", "freeze"), Sets: c.resourceSets(),
	})
}
