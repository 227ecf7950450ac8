package config

import (
	"slices"
	"strconv"
	"strings"

	"linuxha/internal/cluster"
)

func (p *printer) clusterBlock(cfg *cluster.Config) {
	if cfg.Name == "" && cfg.Detection == (cluster.Detection{}) && cfg.Watchdog == nil && len(cfg.Options) == 0 {
		return
	}
	p.begin("cluster", cfg.Name)
	switch d := cfg.Detection; {
	case d.Preset != "":
		p.str("detection", d.Preset)
	case d.Interval > 0:
		p.attr("detection", "{ interval = "+quote(durationText(d.Interval))+", dead_time = "+quote(durationText(d.DeadTime))+" }")
	}
	if w := cfg.Watchdog; w != nil {
		p.attr("watchdog", "{ device = "+quote(w.Device)+", timeout = "+quote(durationText(w.Timeout))+" }")
	}
	sets := cfg.Options
	if len(sets) > 0 && simple(sets[0]) {
		for _, pair := range sets[0].Pairs {
			p.str(optionKey(pair.Name), pair.Value)
		}
		sets = sets[1:]
	}
	for _, s := range sets {
		p.set("options_set", s, optionKey)
	}
	p.end()
}

func optionKey(name string) string {
	if s, ok := optionSpelling[name]; ok {
		return s
	}
	return scored(name)
}

func (p *printer) node(n *cluster.Node) {
	p.begin("node", n.Name)
	p.str("id", n.ID)
	p.str("kind", string(n.Kind))
	p.str("score", n.Score)
	if n.Witness {
		p.attr("witness", "true")
	}
	sets := n.Attributes
	if len(sets) > 0 && simple(sets[0]) {
		var rest []cluster.NVPair
		for _, pair := range sets[0].Pairs {
			if (pair.Name == "standby" || pair.Name == "maintenance") && (pair.Value == "true" || pair.Value == "false") {
				p.attr(pair.Name, pair.Value)
			} else {
				rest = append(rest, pair)
			}
		}
		if len(rest) > 0 {
			p.object("attributes", rest, freeKeys)
		}
		sets = sets[1:]
	}
	for _, s := range sets {
		p.set("attributes_set", s, freeKeys)
	}
	p.attrSets("utilization", "utilization_set", n.Utilization, freeKeys)
	p.end()
}

// resource prints a resource after those that it is made of.
func (p *printer) resource(r *cluster.Resource) {
	var children []string
	for i := range r.Children {
		p.resource(&r.Children[i])
		children = append(children, r.Children[i].ID)
	}
	switch r.Kind {
	case cluster.Primitive:
		if r.Agent.IsFence() {
			p.primitive("fence_device", r)
		} else {
			p.primitive("resource", r)
		}
		return
	case cluster.Bundle:
		p.bundle(r)
		return
	}
	p.begin(string(r.Kind), r.ID)
	p.str("description", r.Description)
	meta := r.Meta
	if r.Kind == cluster.Group {
		p.attr("members", list(children))
	} else {
		if len(children) > 0 {
			p.str("resource", children[0])
		}
		if len(meta) > 0 && simple(meta[0]) && len(meta[0].Pairs) > 0 && meta[0].Pairs[0].Name == "promotable" {
			p.str("promotable", meta[0].Pairs[0].Value)
			meta = append([]cluster.AttrSet{{Pairs: meta[0].Pairs[1:]}}, meta[1:]...)
		} else if r.LegacyPromotable {
			p.attr("promotable", "true")
		}
	}
	p.holder(r.Params, meta)
	p.end()
}

func (p *printer) holder(params, meta []cluster.AttrSet) {
	p.attrSets("params", "params_set", params, freeKeys)
	p.attrSets("meta", "meta_set", meta, dashedKeys)
}

func (p *printer) primitive(kind string, r *cluster.Resource) {
	p.begin(kind, r.ID)
	p.str("description", r.Description)
	p.str("template", r.Template)
	agent := r.Agent.String()
	params := r.Params
	if kind == "fence_device" {
		agent = r.Agent.Type
		if !strings.HasPrefix(agent, "fence_") {
			agent = r.Agent.String()
		}
		params = p.fenceParams(params)
	}
	p.str("agent", agent)
	p.holder(params, r.Meta)
	p.attrSets("utilization", "utilization_set", r.Utilization, freeKeys)
	p.str("operations_of", r.OpsRef)
	for i := range r.Operations {
		p.operation(&r.Operations[i])
	}
	p.end()
}

// fenceParams prints hosts and delays in their own form and returns the other
// parameters.
func (p *printer) fenceParams(sets []cluster.AttrSet) []cluster.AttrSet {
	if len(sets) == 0 || !simple(sets[0]) {
		return sets
	}
	mapped := slices.ContainsFunc(sets[0].Pairs, func(p cluster.NVPair) bool { return p.Name == "pcmk_host_map" && hostMap(p) != nil })
	var rest []cluster.NVPair
	for _, pair := range sets[0].Pairs {
		names := strings.Split(pair.Value, ",")
		switch {
		case pair.Name == "pcmk_host_list" && pair.File == "" && !mapped && !strings.ContainsAny(pair.Value, " ;") && !slices.Contains(names, ""):
			p.attr("hosts", list(names))
		case pair.Name == "pcmk_host_map" && hostMap(pair) != nil:
			p.object("hosts", hostMap(pair), freeKeys)
		case pair.Name == "pcmk_delay_base" && !strings.ContainsAny(pair.Value, ":=") && pair.File == "":
			p.str("delay", pair.Value)
		case pair.Name == "pcmk_delay_max" && pair.File == "":
			p.str("delay_max", pair.Value)
		default:
			rest = append(rest, pair)
		}
	}
	return append([]cluster.AttrSet{{Pairs: rest}}, sets[1:]...)
}

// hostMap splits "node:plug;node:plug"; nil where it is not of exactly that form.
func hostMap(p cluster.NVPair) []cluster.NVPair {
	if p.File != "" {
		return nil
	}
	var out []cluster.NVPair
	seen := map[string]bool{}
	for part := range strings.SplitSeq(p.Value, ";") {
		node, plug, ok := strings.Cut(part, ":")
		if !ok || node == "" || seen[node] || strings.Contains(part, " ") {
			return nil
		}
		seen[node] = true
		out = append(out, cluster.NVPair{Name: node, Value: plug})
	}
	return out
}

func (p *printer) operation(o *cluster.Operation) {
	p.begin("op", o.Name)
	p.str("id", o.ID)
	p.str("same_as", o.Ref)
	p.str("interval", o.Interval)
	for _, a := range o.Attrs {
		p.attr(scored(a.Name), pairValue(a))
	}
	p.attrSets("meta", "meta_set", o.Meta, dashedKeys)
	p.attrSets("params", "params_set", o.Params, freeKeys)
	p.end()
}

func (p *printer) bundle(r *cluster.Resource) {
	p.begin("bundle", r.ID)
	p.str("description", r.Description)
	if len(r.Children) > 0 {
		p.str("resource", r.Children[0].ID)
	}
	s := r.Bundle
	for _, a := range [][2]string{
		{"engine", s.Engine}, {"image", s.Image}, {"replicas", s.Replicas}, {"replicas_per_host", s.ReplicasPerHost},
		{"promoted_max", s.PromotedMax}, {"run_command", s.RunCommand}, {"network", s.Network},
		{"ip_range_start", s.IPRangeStart}, {"host_netmask", s.HostNetmask}, {"host_interface", s.HostInterface},
		{"control_port", s.ControlPort}, {"add_host", s.AddHost},
	} {
		p.str(a[0], a[1])
	}
	if s.Options != nil {
		p.attr("options", quote(*s.Options))
	}
	for i, m := range s.Ports {
		p.begin("port", orNumber(m.ID, i))
		p.str("port", m.Port)
		p.str("internal_port", m.InternalPort)
		p.str("range", m.Range)
		p.end()
	}
	for i, m := range s.Storage {
		p.begin("storage", orNumber(m.ID, i))
		p.str("source", m.Source)
		p.str("source_root", m.SourceRoot)
		p.str("target", m.Target)
		p.str("options", m.Options)
		p.end()
	}
	p.holder(r.Params, r.Meta)
	p.end()
}

func orNumber(id string, i int) string {
	if id != "" {
		return id
	}
	return strconv.Itoa(i)
}

func (p *printer) fencingLevel(l *cluster.FencingLevel) {
	switch {
	case l.Pattern != "":
		p.begin("fencing_level", l.Pattern)
		p.attr("pattern", "true")
	case l.Attribute != "":
		p.begin("fencing_level", l.Attribute)
		p.str("attribute", l.Attribute)
		p.str("value", l.Value)
	default:
		p.begin("fencing_level", l.Target)
	}
	p.str("id", l.ID)
	p.attr("level", strconv.Itoa(l.Index))
	p.attr("devices", list(l.Devices))
	p.end()
}
