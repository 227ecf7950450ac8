package cibgen

import "strconv"

// makeResources fills the resources section with about budget primitives.
func (g *generator) makeResources(budget int) {
	g.resources = el("resources")
	if g.fencing && g.device {
		f := g.primitive("fence", "stonith", "", "fence_xvm", nil)
		g.tops = append(g.tops, &topSpec{id: f.id, kind: "fence", members: []*primSpec{f}})
		g.resources.add(f.element)
	}
	if g.maybe(8, "template") {
		t := el("template", "id", g.id("tmpl"), "class", "ocf", "provider", "pacemaker", "type", "Dummy")
		t.addBlock(g.pairs("meta_attributes", g.metaAttributes(false)))
		g.resources.add(t)
		g.templates = append(g.templates, t.Attr("id"))
	}
	for budget > 0 {
		before := len(g.prims)
		g.topLevel()
		budget -= max(1, len(g.prims)-before)
	}
	if g.maybe(8, "tag") && len(g.tops) > 1 {
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
		g.top(p.element, &topSpec{id: p.id, kind: "primitive", members: []*primSpec{p}})
	case roll < 54:
		e, members := g.group(g.IntN(3)+1, false)
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
	kind := "Dummy"
	if promotable {
		kind = "Stateful"
	}
	return g.primitive("r", "ocf", "pacemaker", kind, params)
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
	meta := g.metaAttributes(p.promotable)
	if kind == "Dummy" && g.maybe(8, "allow-migrate") {
		p.migrates = true
		meta = append(meta, [2]string{"allow-migrate", "true"})
	}
	e.addBlock(g.pairs("meta_attributes", meta))
	if g.maybe(15, "utilization") {
		e.addBlock(g.pairs("utilization", [][2]string{{"cpu", strconv.Itoa(1 + g.IntN(4))}}))
	}
	ops := el("operations")
	g.operations(p, ops)
	if len(ops.Children) > 0 {
		e.add(ops)
	}
	g.prims = append(g.prims, p)
	return p
}

func (g *generator) operations(p *primSpec, ops *Element) {
	onFail := func(choices ...string) string {
		if g.maybe(20, "on-fail") {
			return pick(g, choices)
		}
		return ""
	}
	monitor := func(interval int, role string) {
		policy := onFail("ignore", "restart", "stop", "block", "fence", "standby")
		if role == "Promoted" && g.maybe(15, "on-fail=demote") {
			policy = "demote"
		}
		ops.add(el("op", "id", g.id("op"), "name", "monitor", "interval", strconv.Itoa(interval)+"s", "role", role,
			"timeout", "20s", "on-fail", policy))
		p.monitors = append(p.monitors, monitorSpec{interval: interval, role: role})
	}
	switch {
	case p.promotable && g.chance(80):
		monitor(10, "Promoted")
		monitor(11, "Unpromoted")
	case !p.promotable && g.chance(75):
		monitor(10, "")
	}
	if kind := p.kind; kind != "remote" && kind != "VirtualDomain" && g.maybe(3, "monitor-stopped") {
		monitor(30, "Stopped")
	}
	for _, task := range []string{"start", "stop"} {
		if !g.chance(15) {
			continue
		}
		policy := onFail("ignore", "block", "fence")
		if task == "start" {
			policy = onFail("ignore", "restart", "stop", "block", "fence", "standby")
		}
		ops.add(el("op", "id", g.id("op"), "name", task, "interval", "0s", "timeout", "40s", "on-fail", policy))
	}
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
	set(5, "requires", "nothing", "quorum", "fencing")
	set(5, "critical", "false")
	set(3, "allow-unhealthy-nodes", "true")
	return v
}

func (g *generator) group(n int, promotable bool) (*Element, []*primSpec) {
	e := el("group", "id", g.id("g"))
	e.addBlock(g.pairs("meta_attributes", g.metaAttributes(promotable)))
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
		t.unique = true
		add("globally-unique", "true")
		if g.chance(50) {
			add("clone-node-max", strconv.Itoa(1+g.IntN(3)))
		}
	}
	if g.maybe(25, "clone-max") {
		t.max = 1 + g.IntN(4)
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
		inner, members := g.group(1+g.IntN(2), promotable)
		e.add(inner)
		t.members, t.grouped = members, true
	} else {
		p := g.dummy(promotable)
		e.add(p.element)
		t.members = []*primSpec{p}
	}
	g.top(e, t)
}

// remote makes a remote node's connection.
func (g *generator) remote() {
	p := g.primitive("remote", "ocf", "pacemaker", "remote", [][2]string{{"server", "10.0.0.1"}})
	p.remote = true
	g.top(p.element, &topSpec{id: p.id, kind: "remote", members: []*primSpec{p}})
	g.behindConnection(p.id, "remote")
}

// guest makes a primitive that creates a guest node.
func (g *generator) guest() {
	p := g.primitive("vm", "ocf", "heartbeat", "VirtualDomain", [][2]string{{"config", "/x"}})
	name := g.id("guest")
	block := g.pairs("meta_attributes", [][2]string{{"remote-node", name}})
	p.element.add(block)
	g.top(p.element, &topSpec{id: p.id, kind: "guest", members: []*primSpec{p}, connection: connectionSpec(name, name, "")})
	g.behindConnection(name, "guest")
}

// behindConnection makes the node_state of a remote or guest node.
func (g *generator) behindConnection(name, kind string) {
	n := &nodeSpec{id: name, name: name, kind: kind}
	g.nodes = append(g.nodes, n)
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

func (g *generator) bundle() {
	e := el("bundle", "id", g.id("bundle"))
	promoted := ""
	inner := g.chance(65)
	if inner && g.chance(40) {
		promoted = "1"
		g.feature("promotable-bundle")
	}
	t := &topSpec{id: e.Attr("id"), kind: "bundle", promotedBundle: promoted != "", replicas: 1 + g.IntN(3)}
	e.add(el("docker", "image", "x:latest", "replicas", strconv.Itoa(t.replicas), "promoted-max", promoted))
	network := el("network", "control-port", controlPort)
	if g.chance(60) {
		network = el("network", "ip-range-start", "192.168.122.131", "control-port", controlPort)
		for i := range t.replicas {
			t.addresses = append(t.addresses, "192.168.122."+strconv.Itoa(131+i))
		}
	}
	e.add(network)
	if inner {
		// Constraints on a template mean what is inside bundles too, which
		// crm_simulate 2.1.5 does not look for there.
		templates := g.templates
		g.templates = nil
		p := g.dummy(promoted != "")
		g.templates = templates
		e.add(p.element)
		t.members = []*primSpec{p}
	}
	g.top(e, t)
}

// controlPort is that of all bundles.
const controlPort = "9999"

// connectionSpec is the connection that a guest or a bundle's replica implies.
func connectionSpec(name, address, port string) *primSpec {
	p := &primSpec{id: name, class: "ocf", provider: "pacemaker", kind: "remote", remote: true,
		params: [][2]string{{"addr", address}}, monitors: []monitorSpec{{30, "", 30}}}
	if port != "" {
		p.params = append(p.params, [2]string{"port", port})
	}
	return p
}

// containerSpec is the container of a bundle's i-th replica, with the parameters
// that Pacemaker generates for it.
func (t *topSpec) containerSpec(i int) *primSpec {
	name := t.id + "-" + strconv.Itoa(i)
	options := " --restart=no"
	if t.addresses != nil {
		options += " -h " + name
	}
	options += " -e PCMK_stderr=1 -e PCMK_remote_port=" + controlPort
	params := [][2]string{{"image", "x:latest"}, {"allow_pull", "true"}, {"force_kill", "false"}, {"reuse", "false"}, {"monitor_cmd", "/bin/true"}}
	if len(t.members) > 0 {
		options += " -v /etc/pacemaker/authkey:/etc/pacemaker/authkey -v /var/log/pacemaker/bundles/" + name + ":/var/log -p "
		if t.addresses != nil {
			options += t.addresses[i] + ":"
		}
		options += controlPort + ":" + controlPort
		params = append(params, [2]string{"mount_points", "/var/log/pacemaker/bundles/" + name}, [2]string{"run_cmd", "/usr/sbin/pacemaker-remoted"})
	} else {
		params = append(params, [2]string{"mount_points", ""})
	}
	options += " "
	for j, address := range t.addresses {
		options += " --add-host=" + t.id + "-" + strconv.Itoa(j) + ":" + address
	}
	return &primSpec{id: t.id + "-docker-" + strconv.Itoa(i), class: "ocf", provider: "heartbeat", kind: "docker",
		params: append(params, [2]string{"run_opts", options}), monitors: []monitorSpec{{interval: 60}}}
}

// addressSpec is the address of a bundle's i-th replica.
func (t *topSpec) addressSpec(i int) *primSpec {
	return &primSpec{id: t.id + "-ip-" + t.addresses[i], class: "ocf", provider: "heartbeat", kind: "IPaddr2",
		params: [][2]string{{"ip", t.addresses[i]}, {"cidr_netmask", "32"}}, monitors: []monitorSpec{{interval: 60}}}
}
