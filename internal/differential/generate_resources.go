package differential

import (
	"fmt"
	"strconv"

	"linuxha/internal/cluster"
)

func (g *generator) resources() {
	n := 1 + g.rand.IntN(8)
	if g.chance(10) {
		n = 1 + g.rand.IntN(30)
	}
	c := &g.p.Config
	if g.with(8, "template") {
		c.Templates = append(c.Templates, g.primitive("tmpl"))
	}
	for i := range n {
		id := fmt.Sprintf("r%d", i+1)
		switch k := g.rand.IntN(100); {
		case k < 50:
			r := g.primitive(id)
			if len(c.Templates) > 0 && g.with(30, "from template") {
				r = cluster.Resource{ID: id, Kind: cluster.Primitive, Template: "tmpl"}
			}
			c.Resources = append(c.Resources, r)
		case k < 68:
			c.Resources = append(c.Resources, g.group(id))
		case k < 82:
			c.Resources = append(c.Resources, g.clone(id, false))
		case k < 95:
			c.Resources = append(c.Resources, g.clone(id, true))
		default:
			c.Resources = append(c.Resources, g.bundle(id, i))
		}
	}
	for i := range c.Resources {
		r := &c.Resources[i]
		g.names = append(g.names, r.ID)
		if r.Kind == cluster.Group && g.chance(30) {
			g.names = append(g.names, r.Children[0].ID)
		}
		g.collect(r)
	}
	if len(c.Resources) > 1 && g.with(5, "tag") {
		c.Tags = append(c.Tags, cluster.Tag{ID: "tag1", References: []string{c.Resources[0].ID, c.Resources[1].ID}})
	}
}

// collect gathers leaves; pointers stay good because the tree is final.
func (g *generator) collect(r *cluster.Resource) {
	if r.Kind == cluster.Primitive {
		g.primitives = append(g.primitives, r)
	}
	for i := range r.Children {
		g.collect(&r.Children[i])
	}
}

func (g *generator) primitive(id string) cluster.Resource {
	g.saw("primitive")
	r := cluster.Resource{ID: id, Kind: cluster.Primitive, Agent: cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"}}
	if g.with(8, "other class") {
		r.Agent = cluster.Agent{Class: pick(g, "systemd", "lsb"), Type: "dummy"}
	}
	if g.with(30, "parameters") {
		r.Params = g.set(id, "params", nv("state", "/run/"+id))
	}
	r.Meta = g.set(id, "meta", g.meta()...)
	if g.p.Features["utilization"] > 0 && g.chance(70) {
		r.Utilization = g.set(id, "util", nv("mem", strconv.Itoa(1+g.rand.IntN(8))))
	}
	if g.with(70, "monitor") {
		op := cluster.Operation{ID: id + "-monitor", Name: "monitor", Interval: "10s"}
		if g.with(15, "on-fail") {
			op.Attrs = append(op.Attrs, nv("on-fail", pick(g, "ignore", "block", "stop", "restart", "fence", "standby")))
		}
		if g.with(3, "operation disabled") {
			op.Attrs = append(op.Attrs, nv("enabled", "false"))
		}
		r.Operations = append(r.Operations, op)
	}
	if g.with(8, "monitor for Stopped") {
		r.Operations = append(r.Operations, cluster.Operation{ID: id + "-monitor-stopped", Name: "monitor", Interval: "17s", Attrs: []cluster.NVPair{nv("role", "Stopped")}})
	}
	for _, name := range []string{"start", "stop"} {
		if g.with(12, "operation "+name) {
			op := cluster.Operation{ID: id + "-" + name, Name: name, Attrs: []cluster.NVPair{nv("timeout", "33s")}}
			if g.with(30, "on-fail of "+name) {
				op.Attrs = append(op.Attrs, nv("on-fail", pick(g, "ignore", "block", "fence")))
			}
			r.Operations = append(r.Operations, op)
		}
	}
	return r
}

// meta is a random choice of meta-attributes that every resource may have.
func (g *generator) meta() []cluster.NVPair {
	var m []cluster.NVPair
	add := func(percent int, name string, values ...string) {
		if g.with(percent, "meta "+name) {
			m = append(m, nv(name, pick(g, values...)))
		}
	}
	add(10, "priority", "1", "5", "10", "-3")
	add(8, "target-role", "Stopped", "Started", "Stopped")
	add(5, "is-managed", "false")
	add(2, "maintenance", "true")
	add(12, "resource-stickiness", "0", "1", "50", "INFINITY")
	add(10, "migration-threshold", "1", "3")
	add(8, "failure-timeout", "60s", "1h")
	add(5, "multiple-active", "block", "stop_only", "stop_start", "stop_unexpected")
	add(8, "allow-migrate", "true")
	add(5, "requires", "nothing", "quorum", "fencing")
	add(4, "critical", "false")
	add(2, "allow-unhealthy-nodes", "true")
	return m
}

func (g *generator) group(id string) cluster.Resource {
	g.saw("group")
	r := cluster.Resource{ID: id, Kind: cluster.Group}
	for i := range 1 + g.rand.IntN(4) {
		r.Children = append(r.Children, g.primitive(fmt.Sprintf("%sm%d", id, i+1)))
	}
	var m []cluster.NVPair
	if g.chance(20) {
		m = g.meta()
	}
	if g.with(5, "group not ordered") {
		m = append(m, nv("ordered", "false"))
	}
	if g.with(5, "group not collocated") {
		m = append(m, nv("collocated", "false"))
	}
	r.Meta = g.set(id, "meta", m...)
	return r
}

func (g *generator) clone(id string, promotable bool) cluster.Resource {
	g.saw("clone")
	r := cluster.Resource{ID: id, Kind: cluster.Clone}
	if g.with(30, "cloned group") {
		r.Children = []cluster.Resource{g.group(id + "g")}
	} else {
		r.Children = []cluster.Resource{g.primitive(id + "p")}
	}
	var m []cluster.NVPair
	add := func(percent int, name string, values ...string) {
		if g.with(percent, "clone "+name) {
			m = append(m, nv(name, pick(g, values...)))
		}
	}
	if promotable {
		g.saw("promotable clone")
		m = append(m, nv("promotable", "true"))
		add(25, "promoted-max", "1", "2")
		add(5, "promoted-node-max", "1", "2")
		g.promotable = append(g.promotable, id)
		g.promotableParts(&r.Children[0])
	}
	add(30, "interleave", "true")
	add(15, "notify", "true")
	add(12, "ordered", "true")
	add(20, "clone-max", "1", "2", "3")
	add(8, "clone-node-max", "1", "2")
	add(8, "clone-min", "1", "2")
	add(8, "globally-unique", "true")
	if g.chance(15) {
		m = append(m, g.meta()...)
	}
	r.Meta = g.set(id, "meta", m...)
	return r
}

// promotableParts makes the parts of a promotable clone ones that can be.
func (g *generator) promotableParts(r *cluster.Resource) {
	for i := range r.Children {
		g.promotableParts(&r.Children[i])
	}
	if r.Kind != cluster.Primitive {
		return
	}
	r.Agent = cluster.Agent{Class: "ocf", Provider: "pacemaker", Type: "Stateful"}
	if g.with(60, "monitor for Promoted") {
		op := cluster.Operation{ID: r.ID + "-monitor-promoted", Name: "monitor", Interval: "11s", Attrs: []cluster.NVPair{nv("role", "Promoted")}}
		if g.with(20, "on-fail for Promoted") {
			op.Attrs = append(op.Attrs, nv("on-fail", pick(g, "demote", "restart", "block")))
		}
		r.Operations = append(r.Operations, op)
	}
}

func (g *generator) bundle(id string, index int) cluster.Resource {
	g.saw("bundle")
	r := cluster.Resource{ID: id, Kind: cluster.Bundle, Bundle: &cluster.BundleSpec{Engine: pick(g, "docker", "podman"), Image: "local:" + id}}
	if g.chance(70) {
		r.Bundle.Replicas = strconv.Itoa(1 + g.rand.IntN(3))
	}
	if g.chance(60) {
		r.Bundle.IPRangeStart = fmt.Sprintf("192.168.%d.10", index)
	} else {
		r.Bundle.ControlPort = "3121"
	}
	if g.with(70, "bundle with resource") {
		child := g.primitive(id + "p")
		child.Agent = cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"}
		if g.with(30, "promotable bundle") {
			r.Bundle.PromotedMax = "1"
			g.promotableParts(&child)
		}
		r.Children = []cluster.Resource{child}
	}
	return r
}
