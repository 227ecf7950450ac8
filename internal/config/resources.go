package config

import (
	"slices"
	"sort"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"linuxha/internal/cluster"
)

var (
	opBlock      = hcl.BlockHeaderSchema{Type: "op", LabelNames: []string{"name"}}
	primAttrs    = []string{"agent", "template", "description", "params", "meta", "utilization", "operations_of"}
	primBlocks   = []hcl.BlockHeaderSchema{opBlock, setBlock("params_set"), setBlock("meta_set"), setBlock("utilization_set")}
	holderBlocks = []hcl.BlockHeaderSchema{setBlock("params_set"), setBlock("meta_set")}
)

// add registers a resource and what it is made of.
func (r *reader) add(res cluster.Resource, parts ...string) {
	r.found[res.ID] = &res
	r.order = append(r.order, res.ID)
	r.parts[res.ID] = parts
}

func (r *reader) resource(b *hcl.Block) {
	res := r.primitive(b)
	if res.Agent.IsFence() {
		r.errorf(b.DefRange, "use a fence_device block", "resource %q has a fence agent", res.ID)
	}
	if res.Agent.Type == "" && res.Template == "" {
		r.errorf(b.DefRange, `write for example agent = "systemd:nginx"`, "resource %q has no agent", res.ID)
	}
	if len(res.Operations) == 0 && res.Template == "" && res.OpsRef == "" {
		res.Operations = []cluster.Operation{{Name: "monitor", Interval: advisedInterval(res.Agent)}}
	}
	r.add(res)
}

// advisedInterval is how often a resource is looked at unless something else
// is said: as its built-in agent advises, else every 10 s.
func advisedInterval(a cluster.Agent) string {
	if m := cluster.Builtin(a.Type); a.Class == "ha" && m != nil {
		if monitor := m.Action("monitor"); monitor != nil && monitor.Interval > 0 {
			return durationText(monitor.Interval)
		}
	}
	return "10s"
}

func (r *reader) template(b *hcl.Block) {
	r.cfg.Templates = append(r.cfg.Templates, r.primitive(b))
}

func (r *reader) primitive(b *hcl.Block) cluster.Resource {
	c := r.open(b.Type+" "+b.Labels[0], b.DefRange, b.Body, primAttrs, primBlocks...)
	if b.Type != "template" {
		r.unique(c, b.Labels[0])
	}
	res := cluster.Resource{
		ID: b.Labels[0], Kind: cluster.Primitive, Description: c.text("description"),
		Template: c.text("template"), OpsRef: c.text("operations_of"),
	}
	if c.has("agent") {
		agent, err := ParseAgent(c.text("agent"))
		if err != nil {
			r.errorf(c.content.Attributes["agent"].Range, "", "%s: %v", c.at, err)
			agent.Type = c.text("agent") // it has one, if a wrong one
		}
		res.Agent = agent
	}
	c.common(&res)
	res.Utilization = c.attrSets("utilization", "utilization_set", (*body).free)
	res.Operations = c.operations()
	return res
}

// unique refuses one name for two resources of different kinds.
func (r *reader) unique(c *body, id string) {
	if old, ok := r.where["name "+id]; ok {
		r.errorf(c.rng, "", "%s: the name is already used at %s:%d", c.at, old.Filename, old.Start.Line)
	}
	r.where["name "+id] = c.rng
}

// common reads what every kind of resource has.
func (c *body) common(res *cluster.Resource) {
	res.Params = c.attrSets("params", "params_set", (*body).param)
	res.Meta = c.attrSets("meta", "meta_set", (*body).metaPair)
}

// ParseAgent reads "class:type" or "ocf:provider:type".
func ParseAgent(s string) (cluster.Agent, error) {
	parts := strings.Split(s, ":")
	for _, p := range parts {
		if p == "" || strings.ContainsAny(p, "/ \t\n\x00") {
			return cluster.Agent{}, agentError(s)
		}
	}
	switch {
	case len(parts) == 3 && parts[0] == "ocf":
		return cluster.Agent{Class: "ocf", Provider: parts[1], Type: parts[2]}, nil
	case len(parts) == 2:
		switch parts[0] {
		case "ha", "systemd", "lsb", "service", "stonith", "upstart", "nagios":
			return cluster.Agent{Class: parts[0], Type: parts[1]}, nil
		case "heartbeat", "pacemaker":
			return cluster.Agent{Class: "ocf", Provider: parts[0], Type: parts[1]}, nil
		}
	case len(parts) == 1 && strings.HasPrefix(s, "fence_"):
		return cluster.Agent{Class: "stonith", Type: s}, nil
	}
	return cluster.Agent{}, agentError(s)
}

func (c *body) operations() []cluster.Operation {
	var out []cluster.Operation
	names := append([]string{"id", "interval", "same_as", "meta", "params"}, keys(operationAttrs)...)
	for _, block := range c.content.Blocks {
		if block.Type != "op" {
			continue
		}
		o := c.open("", block.DefRange, block.Body, names, setBlock("meta_set"), setBlock("params_set"))
		o.at = c.at + " op " + block.Labels[0]
		op := cluster.Operation{ID: o.text("id"), Name: block.Labels[0], Ref: o.text("same_as")}
		if op.Ref == "" && !slices.Contains(operationNames, op.Name) {
			c.errorf(block.DefRange, nearest(op.Name, append([]string(nil), operationNames...)), "%s: there is no operation %q", c.at, op.Name)
		}
		for _, name := range o.written() {
			if slices.Contains([]string{"id", "same_as", "meta", "params"}, name) {
				continue
			}
			e := entry{name: name, value: o.text(name), rng: o.content.Attributes[name].Range}
			switch name {
			case "interval":
				if v, err := canonicalDuration(e.value); err != nil {
					o.errorf(e.rng, "", "%s: %v", o.at, err)
				} else {
					op.Interval = v
				}
			default:
				if p, ok := o.operationPair(e); ok {
					op.Attrs = append(op.Attrs, p)
					c.where[c.at+".op "+name] = e.rng
				}
			}
		}
		sort.SliceStable(op.Attrs, func(i, j int) bool { return attrRank(op.Attrs[i].Name) < attrRank(op.Attrs[j].Name) })
		op.Meta = o.attrSets("meta", "meta_set", (*body).operationPair)
		op.Params = o.attrSets("params", "params_set", (*body).param)
		out = append(out, op)
	}
	return out
}

// attrRank orders the attributes of an operation as they are printed, so that
// text and model go round without a change.
func attrRank(name string) int {
	return strings.Index("timeout role on-fail enabled start-delay interval-origin record-pending description", name)
}

func (r *reader) group(b *hcl.Block) {
	c := r.open("group "+b.Labels[0], b.DefRange, b.Body, []string{"members", "description", "params", "meta"}, holderBlocks...)
	r.unique(c, b.Labels[0])
	res := cluster.Resource{ID: b.Labels[0], Kind: cluster.Group, Description: c.text("description")}
	c.common(&res)
	members := c.list("members")
	if len(members) == 0 {
		r.errorf(b.DefRange, `write members = ["first", "second"]`, "group %q has no members", res.ID)
	}
	r.add(res, members...)
}

func (r *reader) clone(b *hcl.Block) {
	c := r.open("clone "+b.Labels[0], b.DefRange, b.Body, []string{"resource", "promotable", "description", "params", "meta"}, holderBlocks...)
	r.unique(c, b.Labels[0])
	res := cluster.Resource{ID: b.Labels[0], Kind: cluster.Clone, Description: c.text("description")}
	c.common(&res)
	if c.has("promotable") {
		p := cluster.NVPair{Name: "promotable", Value: c.boolText("promotable")}
		if len(res.Meta) > 0 && plain(res.Meta[0]) {
			res.Meta[0].Pairs = append([]cluster.NVPair{p}, res.Meta[0].Pairs...)
		} else {
			res.Meta = append([]cluster.AttrSet{{Pairs: []cluster.NVPair{p}}}, res.Meta...)
		}
	}
	if inner := c.require("resource"); inner != "" {
		r.add(res, inner)
	}
}

// plain tells whether a block is written as a simple map.
func plain(s cluster.AttrSet) bool {
	if s.ID != "" || s.Ref != "" || s.Score != 0 || s.Rule != nil {
		return false
	}
	for _, p := range s.Pairs {
		if p.ID != "" || p.Ref != "" {
			return false
		}
	}
	return true
}

func (r *reader) bundle(b *hcl.Block) {
	c := r.open("bundle "+b.Labels[0], b.DefRange, b.Body,
		[]string{"resource", "engine", "image", "replicas", "replicas_per_host", "promoted_max", "run_command", "network", "options",
			"ip_range_start", "host_netmask", "host_interface", "control_port", "add_host", "description", "params", "meta"},
		append(holderBlocks, hcl.BlockHeaderSchema{Type: "port", LabelNames: []string{"id"}}, hcl.BlockHeaderSchema{Type: "storage", LabelNames: []string{"id"}})...)
	r.unique(c, b.Labels[0])
	res := cluster.Resource{ID: b.Labels[0], Kind: cluster.Bundle, Description: c.text("description")}
	c.common(&res)
	s := &cluster.BundleSpec{
		Engine: c.require("engine"), Image: c.require("image"), Replicas: c.text("replicas"), ReplicasPerHost: c.text("replicas_per_host"),
		PromotedMax: c.text("promoted_max"), RunCommand: c.text("run_command"), Network: c.text("network"),
		IPRangeStart: c.text("ip_range_start"), HostNetmask: c.text("host_netmask"), HostInterface: c.text("host_interface"),
		ControlPort: c.text("control_port"), AddHost: c.boolText("add_host"),
	}
	if c.has("options") {
		o := c.text("options")
		s.Options = &o
	}
	for _, block := range c.content.Blocks {
		switch block.Type {
		case "port":
			p := r.open("", block.DefRange, block.Body, []string{"port", "internal_port", "range"})
			s.Ports = append(s.Ports, cluster.PortMapping{ID: block.Labels[0], Port: p.text("port"), InternalPort: p.text("internal_port"), Range: p.text("range")})
		case "storage":
			p := r.open("", block.DefRange, block.Body, []string{"source", "source_root", "target", "options"})
			s.Storage = append(s.Storage, cluster.StorageMapping{ID: block.Labels[0], Source: p.text("source"), SourceRoot: p.text("source_root"),
				Target: p.text("target"), Options: p.text("options")})
		}
	}
	res.Bundle = s
	if c.has("resource") {
		r.add(res, c.text("resource"))
	} else {
		r.add(res)
	}
}
