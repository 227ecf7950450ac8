package config

import (
	"time"

	"github.com/hashicorp/hcl/v2"

	"linuxha/internal/cluster"
)

// topLevel lists every block with its reader, in the order of the reference.
var topLevel []struct {
	name   string
	labels []string
	read   func(*reader, *hcl.Block)
}

func init() {
	one := func(name, label string, read func(*reader, *hcl.Block)) {
		var labels []string
		if label != "" {
			labels = []string{label}
		}
		topLevel = append(topLevel, struct {
			name   string
			labels []string
			read   func(*reader, *hcl.Block)
		}{name, labels, read})
	}
	one("cluster", "name", (*reader).cluster)
	one("node", "name", (*reader).node)
	one("fence_device", "name", (*reader).fenceDevice)
	one("fencing_level", "target", (*reader).fencingLevel)
	one("resource", "name", (*reader).resource)
	one("template", "name", (*reader).template)
	one("group", "name", (*reader).group)
	one("clone", "name", (*reader).clone)
	one("bundle", "name", (*reader).bundle)
	one("tag", "name", (*reader).tag)
	one("location", "name", (*reader).location)
	one("colocation", "name", (*reader).colocation)
	one("order", "name", (*reader).orderConstraint)
	one("ticket", "name", (*reader).ticket)
	one("defaults", "", (*reader).defaults)
	one("alert", "name", (*reader).alert)
	one("role", "name", (*reader).role)
	one("user", "name", (*reader).user)
	one("user_group", "name", (*reader).userGroup)
}

// root reads all files' blocks in the order of the document, then puts
// resources where groups, clones and bundles want them.
func (r *reader) root(bodies []hcl.Body) {
	schema := &hcl.BodySchema{}
	read := map[string]func(*reader, *hcl.Block){}
	for _, t := range topLevel {
		schema.Blocks = append(schema.Blocks, hcl.BlockHeaderSchema{Type: t.name, LabelNames: t.labels})
		read[t.name] = t.read
	}
	for _, b := range bodies {
		content, diags := b.Content(schema)
		r.diags = append(r.diags, diags...)
		for _, block := range content.Blocks {
			read[block.Type](r, block)
		}
	}
	r.place()
}

// place builds the resource tree.
func (r *reader) place() {
	for _, id := range r.order {
		for _, part := range r.parts[id] {
			at := r.found[id].Kind
			switch taken := r.owner[part]; {
			case r.found[part] == nil:
				r.errorf(r.where[string(at)+" "+id], nearest(part, r.ids()), "%s %q names %q, which is not defined", at, id, part)
			case taken != "":
				r.errorf(r.where[string(at)+" "+id], "a resource can be in one of them only", "%s %q names %q, which is already part of %q", at, id, part, taken)
			case !mayHold(at, r.found[part].Kind):
				r.errorf(r.where[string(at)+" "+id], "", "%s %q cannot hold the %s %q", at, id, r.found[part].Kind, part)
			default:
				r.owner[part] = id
			}
		}
	}
	if r.diags.HasErrors() {
		return
	}
	for _, id := range r.order {
		if r.owner[id] == "" {
			r.cfg.Resources = append(r.cfg.Resources, r.build(id))
		}
	}
}

// mayHold tells whether a collective can have such a part. There can be no
// cycle: a clone holds no clone, a group holds primitives only.
func mayHold(outer, inner cluster.ResourceKind) bool {
	return inner == cluster.Primitive || outer == cluster.Clone && inner == cluster.Group
}

func (r *reader) build(id string) cluster.Resource {
	res := *r.found[id]
	for _, part := range r.parts[id] {
		res.Children = append(res.Children, r.build(part))
	}
	return res
}

func (r *reader) ids() []string { return append([]string(nil), r.order...) }

func (r *reader) cluster(b *hcl.Block) {
	attrs := append(keys(options), "detection", "watchdog")
	for alias := range optionAliases {
		attrs = append(attrs, scored(alias))
	}
	c := r.open("cluster "+b.Labels[0], b.DefRange, b.Body, attrs, setBlock("options_set"))
	if r.cfg.Name != "" {
		r.errorf(b.DefRange, "", "there is a cluster block already, for %q", r.cfg.Name)
		return
	}
	r.cfg.Name = b.Labels[0]
	r.cfg.Detection = c.detection()
	r.cfg.Watchdog = c.watchdog()
	var pairs []cluster.NVPair
	for _, name := range c.written() {
		if name != "detection" && name != "watchdog" {
			if p, ok := c.option(entry{name: name, value: c.text(name), rng: c.content.Attributes[name].Range}); ok {
				pairs = append(pairs, p)
				r.where[c.at+"."+scored(p.Name)] = c.content.Attributes[name].Range // whatever the spelling
			}
		}
	}
	r.cfg.Options = append(plainSet(pairs), c.sets("options_set", (*body).option)...)
}

// option checks one cluster option, under any of its spellings.
func (b *body) option(e entry) (cluster.NVPair, bool) {
	name := dashed(e.name)
	if a, ok := optionAliases[name]; ok {
		name = a
	}
	return b.known(e, name, options)
}

// known checks a named value against a table.
func (b *body) known(e entry, name string, table map[string]spec) (cluster.NVPair, bool) {
	s, ok := table[name]
	if !ok {
		b.errorf(e.rng, nearest(e.name, keys(table)), "%s: there is no %q here", b.at, e.name)
		return cluster.NVPair{}, false
	}
	if e.file != "" {
		b.errorf(e.rng, "file(...) can stand for an agent's parameter only", "%s: %s must be a plain value", b.at, e.name)
		return cluster.NVPair{}, false
	}
	v, err := s.canonical(e.value)
	if err != nil {
		b.errorf(e.rng, "", "%s: %s: %v", b.at, e.name, err)
		return cluster.NVPair{}, false
	}
	return cluster.NVPair{Name: name, Value: v}, true
}

func (b *body) detection() cluster.Detection {
	a := b.content.Attributes["detection"]
	if a == nil {
		return cluster.Detection{}
	}
	if _, diags := hcl.ExprMap(a.Expr); diags.HasErrors() {
		name := b.text("detection")
		if _, ok := cluster.Presets[name]; !ok {
			b.errorf(a.Range, "use extreme, fast, normal, patient or { interval = ..., dead_time = ... }", "there is no detection preset %q", name)
		}
		return cluster.Detection{Preset: name}
	}
	var d cluster.Detection
	for _, e := range b.mapEntries(a.Expr) {
		v, err := time.ParseDuration(e.value)
		switch {
		case err != nil:
			b.errorf(e.rng, `write for example "100ms"`, "%s %q is not a duration", e.name, e.value)
		case e.name == "interval":
			d.Interval = v
		case e.name == "dead_time":
			d.DeadTime = v
		default:
			b.errorf(e.rng, "detection has interval and dead_time", "there is no %q here", e.name)
		}
	}
	if d.Interval < 5*time.Millisecond || d.DeadTime < 3*d.Interval || d.DeadTime > 10*time.Minute {
		b.errorf(a.Range, "interval must be at least 5ms, dead_time at least 3 intervals and at most 10m", "these detection times cannot work")
	}
	return d
}

func (b *body) watchdog() *cluster.Watchdog {
	if !b.has("watchdog") {
		return nil
	}
	w := &cluster.Watchdog{Device: "/dev/watchdog", Timeout: 5 * time.Second}
	for _, e := range b.entries("watchdog") {
		switch e.name {
		case "device":
			w.Device = e.value
		case "timeout":
			d, err := time.ParseDuration(e.value)
			if err != nil || d < time.Second {
				b.errorf(e.rng, `write for example "5s"`, "watchdog timeout %q is not a duration of at least 1s", e.value)
			}
			w.Timeout = d
		default:
			b.errorf(e.rng, "a watchdog has device and timeout", "there is no %q here", e.name)
		}
	}
	return w
}

func (r *reader) node(b *hcl.Block) {
	c := r.open("node "+b.Labels[0], b.DefRange, b.Body,
		[]string{"id", "kind", "witness", "score", "standby", "maintenance", "attributes", "utilization"},
		setBlock("attributes_set"), setBlock("utilization_set"))
	n := cluster.Node{ID: c.text("id"), Name: b.Labels[0], Witness: c.flag("witness"), Score: c.scoreText("score")}
	switch kind := c.text("kind"); kind {
	case "", "cluster", "member":
	case "remote":
		n.Kind = cluster.NodeRemote
	default:
		r.errorf(c.rng, "use remote, or leave kind out", "%s: there is no kind %q", c.at, kind)
	}
	var pairs []cluster.NVPair
	for _, name := range []string{"standby", "maintenance"} {
		if c.has(name) {
			if c.flag(name) {
				pairs = append(pairs, cluster.NVPair{Name: name, Value: "true"})
			} else {
				pairs = append(pairs, cluster.NVPair{Name: name, Value: "false"})
			}
		}
	}
	pairs = append(pairs, c.plain("attributes")...)
	n.Attributes = append(plainSet(pairs), c.sets("attributes_set", (*body).free)...)
	n.Utilization = append(plainSet(c.plain("utilization")), c.sets("utilization_set", (*body).free)...)
	r.cfg.Nodes = append(r.cfg.Nodes, n)
}

func (r *reader) tag(b *hcl.Block) {
	c := r.open("tag "+b.Labels[0], b.DefRange, b.Body, []string{"references"})
	r.cfg.Tags = append(r.cfg.Tags, cluster.Tag{ID: b.Labels[0], References: c.list("references")})
}

func (r *reader) defaults(b *hcl.Block) {
	c := r.open("", b.DefRange, b.Body, []string{"resource", "operation"}, setBlock("resource_set"), setBlock("operation_set"))
	c.at = "defaults"
	r.where["defaults"] = b.DefRange
	r.cfg.ResourceDefaults = append(r.cfg.ResourceDefaults, c.attrSets("resource", "resource_set", (*body).metaPair)...)
	r.cfg.OperationDefaults = append(r.cfg.OperationDefaults, c.attrSets("operation", "operation_set", (*body).operationPair)...)
}
