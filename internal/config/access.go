package config

import (
	"github.com/hashicorp/hcl/v2"
	"slices"

	"linuxha/internal/cluster"
)

func (r *reader) alert(b *hcl.Block) {
	c := r.open("alert "+b.Labels[0], b.DefRange, b.Body, []string{"path", "recipients", "select", "attributes", "params", "meta"},
		hcl.BlockHeaderSchema{Type: "recipient", LabelNames: []string{"id"}}, setBlock("params_set"), setBlock("meta_set"))
	a := cluster.Alert{ID: b.Labels[0], Path: c.require("path"), Select: c.list("select"), Attributes: c.list("attributes")}
	for _, s := range a.Select {
		if !slices.Contains([]string{"nodes", "fencing", "resources", "attributes"}, s) {
			r.errorf(b.DefRange, "select nodes, fencing, resources or attributes", "%s: there is nothing called %q to select", c.at, s)
		}
	}
	a.Params = c.attrSets("params", "params_set", (*body).free)
	a.Meta = c.attrSets("meta", "meta_set", (*body).alertMeta)
	for _, v := range c.list("recipients") {
		a.Recipients = append(a.Recipients, cluster.Recipient{Value: v})
	}
	for _, block := range c.content.Blocks {
		if block.Type != "recipient" {
			continue
		}
		k := r.open("", block.DefRange, block.Body, []string{"value", "params", "meta"}, setBlock("params_set"), setBlock("meta_set"))
		k.at = c.at + " recipient " + block.Labels[0]
		a.Recipients = append(a.Recipients, cluster.Recipient{
			ID: block.Labels[0], Value: k.require("value"),
			Params: k.attrSets("params", "params_set", (*body).free), Meta: k.attrSets("meta", "meta_set", (*body).alertMeta),
		})
	}
	r.cfg.Alerts = append(r.cfg.Alerts, a)
}

var alertMeta = map[string]spec{"timeout": {kind: duration}, "timestamp-format": {}, "enabled": {kind: boolean}}

func (b *body) alertMeta(e entry) (cluster.NVPair, bool) {
	return b.known(e, dashed(e.name), alertMeta)
}

func (r *reader) role(b *hcl.Block) {
	c := r.open("role "+b.Labels[0], b.DefRange, b.Body, nil, hcl.BlockHeaderSchema{Type: "allow", LabelNames: []string{"kind"}},
		hcl.BlockHeaderSchema{Type: "deny"})
	role := cluster.ACLRole{ID: b.Labels[0]}
	for _, block := range c.content.Blocks {
		p := cluster.ACLPermission{Kind: "deny"}
		if block.Type == "allow" {
			p.Kind = block.Labels[0]
			if p.Kind != "read" && p.Kind != "write" {
				r.errorf(block.DefRange, `write allow "read" or allow "write"`, "%s: there is no permission %q", c.at, p.Kind)
			}
		}
		k := r.open("", block.DefRange, block.Body, []string{"id", "xpath", "reference", "object_type", "attribute"})
		p.ID, p.XPath, p.Reference, p.ObjectTag, p.Attribute = k.text("id"), k.text("xpath"), k.text("reference"), k.text("object_type"), k.text("attribute")
		role.Permissions = append(role.Permissions, p)
	}
	r.cfg.ACLRoles = append(r.cfg.ACLRoles, role)
}

func (r *reader) user(b *hcl.Block)      { r.target(b, false) }
func (r *reader) userGroup(b *hcl.Block) { r.target(b, true) }

func (r *reader) target(b *hcl.Block, group bool) {
	c := r.open(b.Type+" "+b.Labels[0], b.DefRange, b.Body, []string{"name", "roles"})
	r.cfg.ACLTargets = append(r.cfg.ACLTargets, cluster.ACLTarget{ID: b.Labels[0], Name: c.text("name"), Group: group, Roles: c.list("roles")})
}
