package cibgen

import "strconv"

// makeResources fills the resources section with about budget primitives.
func (g *generator) makeResources(budget int) {
	g.resources = el("resources")
	if g.fencing && g.device {
		g.fenceDevices()
	}
	if g.maybe(8, "template") {
		t := el("template", "id", g.id("tmpl"), "class", "ocf", "provider", "pacemaker", "type", "Dummy")
		t.addBlock(g.pairs("meta_attributes", g.metaAttributes(false)))
		if g.maybe(30, "template-operations") {
			g.templateMonitor = &monitorSpec{interval: 15, role: "Started"}
			t.add(el("operations").add(el("op", "id", g.id("op"), "name", "monitor", "interval", "15s", "timeout", "20s"),
				el("op", "id", g.id("op"), "name", "start", "interval", "0s", "timeout", "60s")))
		}
		g.resources.add(t)
		g.templates = append(g.templates, t.Attr("id"))
	}
	for budget > 0 {
		before := len(g.prims)
		g.topLevel()
		budget -= max(1, len(g.prims)-before)
	}
	if g.maybe(12, "tag") && len(g.tops) > 1 {
		tag := el("tag", "id", g.id("tag"))
		for range 1 + g.IntN(3) {
			tag.add(el("obj_ref", "id", pick(g, g.tops).id))
		}
		g.tagsElement = el("tags").add(tag)
		g.tags = append(g.tags, tag.Attr("id"))
	}
}

func (g *generator) topLevel() {
	roll := g.IntN(100)
	if roll >= 81 && roll < 92 {
		// To crm_simulate 2.1.5, nodes behind connections that are down and that it
		// knows nothing of (without fencing: all such) are one and the same.
		if g.connected && !g.fencing {
			roll = 0
		}
		g.connected = true
	}
	switch {
	case roll < 38:
		p := g.dummy(false)
		if len(g.containers) > 0 && g.maybe(2, "in-container") {
			p.element.add(g.pairs("meta_attributes", [][2]string{{"container", pick(g, g.containers)}}))
		} else {
			g.containers = append(g.containers, p.id)
		}
		g.top(p.element, &topSpec{id: p.id, kind: "primitive", members: []*primSpec{p}})
	case roll < 54:
		e, members := g.group(g.IntN(3)+1, false, false)
		g.top(e, &topSpec{id: e.Attr("id"), kind: "group", members: members, grouped: true})
	case roll < 69:
		g.clone(false)
	case roll < 81:
		g.clone(true)
	case roll < 86:
		g.remote()
	case roll < 92:
		g.guest()
	default:
		g.bundle()
	}
}

func (g *generator) top(e *Element, t *topSpec) {
	g.feature(t.kind)
	g.resources.add(e)
	g.tops = append(g.tops, t)
}

// dummy makes an ordinary primitive.
func (g *generator) dummy(promotable bool) *primSpec {
	var params [][2]string
	if g.chance(40) {
		params = append(params, [2]string{"fake", "x" + strconv.Itoa(g.IntN(3))})
	}
	prefix := "r"
	if g.maybe(8, "names-with-signs") {
		prefix = pick(g, []string{"r_", "r-", "r.x", "r_a-", "R"})
	}
	switch {
	case promotable:
		return g.primitive(prefix, "ocf", "pacemaker", "Stateful", params)
	case g.unique && !g.chance(2): // the old version forgets it for part of a group if another part cannot be
	case g.maybe(6, "systemd"):
		return g.primitive(prefix, "systemd", "", "x", params)
	case g.maybe(3, "lsb"):
		return g.primitive(prefix, "lsb", "", "x", params)
	}
	return g.primitive(prefix, "ocf", "pacemaker", "Dummy", params)
}

// primitive makes a primitive element with parameters, meta-attributes,
// utilization and operations.
func (g *generator) primitive(prefix, class, provider, kind string, params [][2]string) *primSpec {
	p := &primSpec{id: g.id(prefix), class: class, provider: provider, kind: kind, params: params, promotable: kind == "Stateful"}
	e := el("primitive", "id", p.id)
	if len(g.templates) > 0 && kind == "Dummy" && g.maybe(30, "template-used") {
		e.Attrs = append(e.Attrs, Attr{"template", g.templates[0]})
	} else {
		e.Attrs = append(e.Attrs, Attr{"class", class})
		if provider != "" {
			e.Attrs = append(e.Attrs, Attr{"provider", provider})
		}
		e.Attrs = append(e.Attrs, Attr{"type", kind})
	}
	p.element = e
	e.addBlock(g.pairs("instance_attributes", params))
	if class == "ocf" && g.maybe(2, "parameters-by-node") {
		e.add(g.conditional(g.pairs("instance_attributes", [][2]string{{"fake", "here"}}), el("expression", "id", g.id("expr"), "attribute", "site", "operation", "eq", "value", "a")))
	}
	meta := g.metaAttributes(p.promotable)
	if kind == "Dummy" && g.maybe(12, "allow-migrate") {
		p.migrates = true
		meta = append(meta, [2]string{"allow-migrate", "true"})
	}
	// crm_simulate 2.1.5 asks where a guest's creator runs, not where it will run.
	if g.chance(2) && g.serial%5 == 0 {
		g.feature("container-attribute-target")
		meta = append(meta, [2]string{"container-attribute-target", "host"})
	}
	block := g.pairs("meta_attributes", meta)
	e.addBlock(block)
	switch {
	case g.maybe(4, "meta-more"):
		e.add(g.moreMeta())
	case g.sharedMeta != "" && g.maybe(3, "meta-by-reference"):
		e.add(el("meta_attributes", "id-ref", g.sharedMeta))
	case g.sharedMeta == "" && block != nil && !p.migrates:
		g.sharedMeta = block.Attr("id")
	}
	if g.maybe(15, "utilization") {
		e.addBlock(g.pairs("utilization", [][2]string{{"cpu", strconv.Itoa(1 + g.IntN(4))}}))
	}
	ops := el("operations")
	g.operations(p, ops)
	if m := g.templateMonitor; m != nil && e.Attr("template") != "" && len(p.monitors) == 0 {
		p.monitors = append(p.monitors, *m)
	}
	if len(ops.Children) > 0 {
		e.add(ops)
	}
	g.prims = append(g.prims, p)
	return p
}

func (g *generator) metaAttributes(promotable bool) [][2]string {
	var v [][2]string
	set := func(percent int, name string, values ...string) {
		if g.chance(percent) {
			value := pick(g, values)
			v = append(v, [2]string{name, value})
			g.feature(name)
		}
	}
	roles := []string{"Stopped", "Started", "Stopped"}
	if promotable {
		roles = append(roles, "Unpromoted", "Promoted")
	}
	set(8, "target-role", roles...)
	set(12, "priority", "1", "5", "10", "-5")
	set(5, "is-managed", "false")
	set(2, "maintenance", "true")
	set(20, "resource-stickiness", "0", "1", "100", "INFINITY", "-10")
	set(8, "migration-threshold", "1", "2", "0", "5")
	set(8, "failure-timeout", "60s", "30000h")
	set(6, "multiple-active", "stop_only", "block", "stop_start", "stop_unexpected")
	set(5, "requires", "nothing", "quorum", "fencing", "quorum", "fencing", "unfencing")
	set(5, "critical", "false")
	set(3, "allow-unhealthy-nodes", "true")
	return v
}

func (g *generator) group(n int, promotable, cloned bool) (*Element, []*primSpec) {
	e := el("group", "id", g.id("g"))
	meta := g.metaAttributes(promotable)
	if g.maybe(4, "group-unordered") {
		meta = append(meta, [2]string{"ordered", "false"})
	}
	if g.chance(3) && (!cloned || g.chance(10)) { // of clones of these crm_simulate 2.1.5 puts several instances on a node
		g.feature("group-apart")
		meta = append(meta, [2]string{"collocated", "false"})
	}
	e.addBlock(g.pairs("meta_attributes", meta))
	var members []*primSpec
	for range n {
		m := g.dummy(promotable)
		members = append(members, m)
		e.add(m.element)
	}
	return e, members
}

func (g *generator) clone(promotable bool) {
	t := &topSpec{kind: "clone", max: len(g.nodes)}
	e := el("clone", "id", g.id("c"))
	t.id = e.Attr("id")
	meta := g.metaAttributes(promotable)
	add := func(name, value string) { meta = append(meta, [2]string{name, value}) }
	if promotable {
		t.kind = "promotable"
		add("promotable", "true")
		if g.maybe(20, "promoted-max") {
			add("promoted-max", strconv.Itoa(g.IntN(3)))
		}
	} else if g.maybe(15, "globally-unique") {
		t.unique, g.unique = true, true
		add("globally-unique", "true")
		if g.chance(50) {
			add("clone-node-max", strconv.Itoa(1+g.IntN(3)))
		}
	}
	if g.maybe(25, "clone-max") {
		if t.max = 1 + g.IntN(4); g.maybe(4, "clone-max=0") {
			t.max = 0
		}
		add("clone-max", strconv.Itoa(t.max))
	}
	if g.maybe(30, "interleave") {
		add("interleave", "true")
	}
	if g.maybe(12, "ordered") {
		add("ordered", "true")
	}
	if g.maybe(15, "notify") {
		add("notify", "true")
	}
	if g.maybe(8, "clone-min") {
		add("clone-min", "2")
	}
	e.addBlock(g.pairs("meta_attributes", meta))
	if g.maybe(20, "cloned-group") {
		inner, members := g.group(1+g.IntN(2), promotable, true)
		e.add(inner)
		t.members, t.grouped = members, true
	} else {
		p := g.dummy(promotable)
		e.add(p.element)
		t.members = []*primSpec{p}
	}
	g.unique = false
	g.top(e, t)
}

// remote makes a remote node's connection.
func (g *generator) remote() {
	params := [][2]string{{"server", "10.0.0.1"}}
	if g.maybe(12, "reconnect-interval") {
		params = append(params, [2]string{"reconnect_interval", pick(g, []string{"60", "30000h"})})
	}
	p := g.primitive("remote", "ocf", "pacemaker", "remote", params)
	p.remote = true
	g.top(p.element, &topSpec{id: p.id, kind: "remote", members: []*primSpec{p}})
	g.behindConnection(p.id, "remote")
}

// guest makes a primitive that creates a guest node, perhaps in a group.
func (g *generator) guest() {
	p := g.primitive("vm", "ocf", "heartbeat", "VirtualDomain", [][2]string{{"config", "/x"}})
	name := g.id("guest")
	meta := [][2]string{{"remote-node", name}}
	address, port := name, ""
	if g.maybe(15, "guest-address") {
		address, port = "10.0.0.7", "3131"
		meta = append(meta, [2]string{"remote-addr", address}, [2]string{"remote-port", port})
	}
	if g.maybe(8, "guest-stays") {
		meta = append(meta, [2]string{"remote-allow-migrate", "false"})
	}
	p.element.add(g.pairs("meta_attributes", meta))
	t := &topSpec{id: p.id, kind: "guest", members: []*primSpec{p}, connection: connectionSpec(name, address, port)}
	e := p.element
	if g.maybe(12, "guest-in-group") {
		e = el("group", "id", g.id("g")).add(p.element)
		t.id, t.grouped = e.Attr("id"), true
	}
	g.top(e, t)
	g.behindConnection(name, "guest")
}

// behindConnection makes the node_state of a remote or guest node.
func (g *generator) behindConnection(name, kind string) {
	n := &nodeSpec{id: name, name: name, kind: kind}
	g.nodes = append(g.nodes, n)
	if g.maybe(25, kind+"-with-attributes") {
		v := g.nodeAttributes()
		if g.maybe(15, "resource-discovery-enabled") {
			v = append(v, [2]string{"resource-discovery-enabled", "false"})
		}
		e := el("node", "id", n.id, "uname", n.name, "type", "remote")
		e.addBlock(g.pairs("instance_attributes", v))
		g.nodesElement.add(e)
	}
	if !g.unseen && g.chance(25) {
		g.unseen = true
		g.feature(kind + "-never-seen")
		return
	}
	n.up = true
	g.stateBehindConnection(n)
}

// stateBehindConnection makes the node_state of a node behind a connection.
func (g *generator) stateBehindConnection(n *nodeSpec) {
	n.attrs = el("instance_attributes", "id", g.id("b"))
	n.history = el("lrm_resources")
	n.state = el("node_state", "id", n.id, "uname", n.name, "remote_node", "true", "in_ccm", "true", "crmd", "online", "join", "member", "expected", "member")
	n.state.add(el("transient_attributes", "id", n.id).add(n.attrs), el("lrm", "id", n.id).add(n.history))
	g.status.add(n.state)
}
