package config

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"linuxha/internal/cluster"
)

func agentError(s string) error {
	return fmt.Errorf("%q is not an agent such as ocf:heartbeat:IPaddr2, systemd:nginx, lsb:foo, ha:ip or (for a fence device) fence_ipmilan", s)
}

// fenceDevice reads a fence device: a primitive of class stonith whose hosts
// and delay become the pcmk_* parameters that Pacemaker's users know.
func (r *reader) fenceDevice(b *hcl.Block) {
	c := r.open("fence_device "+b.Labels[0], b.DefRange, b.Body, append([]string{"hosts", "delay", "delay_max"}, primAttrs...), primBlocks...)
	r.unique(c, b.Labels[0])
	res := cluster.Resource{ID: b.Labels[0], Kind: cluster.Primitive, Description: c.text("description"), Template: c.text("template"), OpsRef: c.text("operations_of")}
	if name := c.require("agent"); name != "" {
		agent, err := ParseAgent(name)
		if err == nil && !agent.IsFence() {
			err = fmt.Errorf("%q is not a fence agent such as fence_ipmilan", name)
		}
		if err != nil {
			r.errorf(c.content.Attributes["agent"].Range, "", "%s: %v", c.at, err)
		}
		res.Agent = agent
	}
	c.common(&res)
	var extra []cluster.NVPair
	if hosts, ok := c.hosts(); ok {
		extra = append(extra, hosts)
	}
	for attr, name := range map[string]string{"delay": "pcmk_delay_base", "delay_max": "pcmk_delay_max"} {
		if c.has(attr) {
			v, err := canonicalDuration(c.text(attr))
			if err != nil {
				r.errorf(c.content.Attributes[attr].Range, "", "%s: %s: %v", c.at, attr, err)
			}
			extra = append(extra, cluster.NVPair{Name: name, Value: v})
		}
	}
	sortPairs(extra)
	if len(extra) > 0 {
		if len(res.Params) == 0 || !plain(res.Params[0]) {
			res.Params = append([]cluster.AttrSet{{}}, res.Params...)
		}
		res.Params[0].Pairs = append(res.Params[0].Pairs, extra...)
	}
	res.Utilization = c.attrSets("utilization", "utilization_set", (*body).free)
	res.Operations = c.operations()
	if len(res.Operations) == 0 && res.Template == "" && res.OpsRef == "" {
		// That a device does not work has to be known before it is needed.
		res.Operations = []cluster.Operation{{Name: "monitor", Interval: "60s"}}
	}
	r.add(res)
}

// hosts reads node = plug pairs, or a list of nodes.
func (c *body) hosts() (cluster.NVPair, bool) {
	a := c.content.Attributes["hosts"]
	if a == nil {
		return cluster.NVPair{}, false
	}
	if _, diags := hcl.ExprMap(a.Expr); diags.HasErrors() {
		return cluster.NVPair{Name: "pcmk_host_list", Value: strings.Join(c.list("hosts"), ",")}, true
	}
	var parts []string
	for _, e := range c.entries("hosts") {
		if strings.ContainsAny(e.name+e.value, ";\n") || strings.Contains(e.name, ":") {
			c.errorf(e.rng, "", "%s: hosts: %q = %q cannot be written as node:plug", c.at, e.name, e.value)
		}
		parts = append(parts, e.name+":"+e.value)
	}
	return cluster.NVPair{Name: "pcmk_host_map", Value: strings.Join(parts, ";")}, true
}

func (r *reader) fencingLevel(b *hcl.Block) {
	c := r.open("", b.DefRange, b.Body, []string{"id", "level", "devices", "pattern", "attribute", "value"})
	c.at = "fencing_level " + b.Labels[0]
	l := cluster.FencingLevel{ID: c.text("id"), Target: b.Labels[0], Value: c.text("value"), Devices: c.list("devices")}
	if c.flag("pattern") {
		l.Target, l.Pattern = "", b.Labels[0]
	} else if c.has("attribute") {
		l.Target, l.Attribute = "", c.text("attribute")
	}
	if _, err := fmt.Sscanf(c.require("level"), "%d", &l.Index); err != nil || l.Index < 1 || l.Index > 9 {
		r.errorf(b.DefRange, "", "%s: level must be 1 to 9", c.at)
	}
	at := fmt.Sprintf("%s level %d", c.at, l.Index)
	r.where[at] = b.DefRange
	r.cfg.FencingLevels = append(r.cfg.FencingLevels, l)
}
