package cibgen

import (
	"slices"
	"strconv"
)

// makeHistory gives the status section what nodes know of resources, and the
// state of tickets.
func (g *generator) makeHistory() {
	if g.maybe(12, "cold-start") {
		g.ticketState()
		return
	}
	g.findResting()
	g.expires = g.configures("failure-timeout")
	for _, t := range g.tops {
		switch t.kind {
		case "bundle":
			g.bundleHistory(t)
		case "clone", "promotable":
			g.cloneHistory(t)
		default:
			home, active := pick(g, g.nodes), true
			for _, p := range t.members {
				if len(t.members) == 1 && g.chance(12) {
					home = pick(g, g.nodes)
				}
				// crm_simulate 2.1.5 starts a member before later ones have stopped.
				active = active && g.chance(80)
				g.primitiveHistory(p, home, active)
			}
			if t.connection != nil && home.kind == "cluster" && home.up && active && g.chance(85) {
				g.feature("guest-running")
				g.activeOn(t.connection, home, t.connection.id, "Started")
			}
		}
	}
	if g.maybe(8, "removed-resource") {
		p := &primSpec{id: g.id("gone"), class: "ocf", provider: "pacemaker", kind: "Dummy", monitors: []monitorSpec{{interval: 10}}}
		if g.maybe(20, "removed-fence-device") {
			p.class, p.provider, p.kind = "stonith", "", "fence_xvm"
		}
		g.primitiveHistory(p, pick(g, g.nodes), true)
	}
	g.ticketState()
}

// bundleHistory: some replicas run, each on a node of its own.
func (g *generator) bundleHistory(t *topSpec) {
	if t.isPrimary || t.isDependent || t.located {
		return // what pulls the containers makes crm_simulate 2.1.5 shuffle them
	}
	healthy := g.chance(95) // so does what keeps one from staying
	defer func() { g.healthy = false }()
	order := g.Perm(len(g.nodes))
	promoted := false
	for i := range t.bundle.replicas {
		var host *nodeSpec
		for len(order) > 0 && host == nil {
			if n := g.nodes[order[0]]; n.kind == "cluster" && n.up && n.history != nil {
				host = n
			}
			order = order[1:]
		}
		if host == nil || g.chance(20) {
			continue
		}
		g.feature("bundle-running")
		g.healthy = healthy
		address := "#uname"
		if t.bundle.addresses != nil {
			address = t.bundle.addresses[i]
			g.activeOn(t.addressSpec(i), host, t.addressSpec(i).id, "Started")
		}
		g.activeOn(t.containerSpec(i), host, t.containerSpec(i).id, "Started")
		if len(t.members) == 0 || g.chance(8) {
			continue
		}
		if address == "#uname" {
			address = host.name
		}
		name := t.id + "-" + strconv.Itoa(i)
		g.activeOn(connectionSpec(name, address, t.bundle.connectionPort()), host, name, "Started")
		inside := &nodeSpec{id: name, name: name, kind: "bundle", up: true}
		g.stateBehindConnection(inside)
		role := "Started"
		if t.bundle.promoted {
			role = "Unpromoted"
			if !promoted && g.chance(40) {
				role, promoted = "Promoted", true
			}
		}
		g.healthy = false
		if g.chance(90) {
			g.activeOn(t.members[0], inside, t.members[0].id, role)
			if t.bundle.promoted && g.chance(45) {
				g.transient(inside, "master-"+t.members[0].id, pick(g, []string{"5", "10", "100", "-5", "1"}))
			}
		}
	}
}

// configures tells whether anything sets that meta-attribute.
func (g *generator) configures(name string) (found bool) {
	for _, e := range []*Element{g.resources, g.rscDefaults} {
		if e != nil {
			e.each("nvpair", func(v *Element) { found = found || v.Attr("name") == name })
		}
	}
	return found
}

// findResting notes which nodes are in maintenance.
func (g *generator) findResting() {
	g.nodesElement.each("node", func(e *Element) {
		for _, n := range g.nodes {
			n.resting = n.resting || n.id == e.Attr("id") && e.has("maintenance", "true")
		}
	})
	for _, p := range g.prims {
		for _, n := range g.nodes {
			n.resting = n.resting || p.remote && n.id == p.id && p.element.untouched()
		}
	}
	for _, t := range g.tops {
		for _, n := range g.nodes {
			n.resting = n.resting || t.connection != nil && n.id == t.connection.id && t.members[0].element.untouched()
		}
	}
}

func (g *generator) ticketState() {
	if len(g.tickets) == 0 {
		return
	}
	e := el("tickets")
	for _, name := range g.tickets {
		if g.chance(70) {
			e.add(el("ticket_state", "id", name, "granted", pick(g, []string{"true", "false"}), "standby", pick(g, []string{"", "", "true", "false"})))
		}
	}
	g.status.add(e)
}

// primitiveHistory: active at home, known to be stopped elsewhere, with what may
// go wrong.
func (g *generator) primitiveHistory(p *primSpec, home *nodeSpec, active bool) {
	// What is active on a node in maintenance, crm_simulate 2.1.5 goes on to monitor
	// elsewhere.
	everywhere := slices.ContainsFunc(p.monitors, func(m monitorSpec) bool { return m.role == "Stopped" })
	active = active && !(home.resting && everywhere)
	var locked *nodeSpec
	if g.locks && home.history != nil && home.kind == "cluster" && len(p.monitors) > 0 && g.maybe(25, "locked") {
		active, locked = false, home
		e := g.resourceOn(p, home, p.id)
		g.formerly(p, home, p.id)
		e.Attrs = append(e.Attrs, Attr{"shutdown-lock", pick(g, []string{"1700000000", "1782863900"})})
	}
	var second *nodeSpec
	if active && !home.resting && g.maybe(4, "multiply-active") {
		if second = pick(g, g.nodes); second.resting {
			second = nil
		}
	}
	for _, n := range g.nodes {
		if n.history == nil || n == locked || n.kind != "cluster" && (p.remote || p.class == "stonith" || p.kind == "VirtualDomain") {
			continue
		}
		switch {
		case active && (n == home || n == second):
			g.activeOn(p, n, p.id, "Started")
		case active && n.kind == "cluster" && g.maybe(2, "was-here"):
			g.formerly(p, n, p.id)
		case g.chance(88) && n.up:
			g.inactiveOn(p, n, p.id)
		}
	}
	if active && second == nil && p.migrates && home.history != nil && g.chance(75) {
		g.migration(p, home)
	}
}

// migration makes a live migration away from home in some stage of its course.
func (g *generator) migration(p *primSpec, home *nodeSpec) {
	target := pick(g, g.nodes)
	if target == home || target.resting || home.resting || target.history == nil || target.kind != "cluster" || home.kind != "cluster" {
		return
	}
	g.feature("migration-in-history")
	both := []Attr{{"migrate_source", home.name}, {"migrate_target", target.name}}
	at := func(e *Element) *Element {
		e.Attrs = append(e.Attrs, both...)
		return e
	}
	if g.maybe(15, "pending-migrate-to") {
		g.put(g.resourceOn(p, home, p.id), at(g.pending(p, home, p.id, "migrate_to", 0, 0)))
		return
	}
	g.put(g.resourceOn(p, home, p.id), at(g.op(p, home, p.id, "migrate_to", 0, 0, pick(g, []int{0, 0, 1}))))
	switch {
	case g.maybe(10, "pending-migrate-from"):
		g.put(g.resourceOn(p, target, p.id), at(g.pending(p, target, p.id, "migrate_from", 0, 0)))
	case g.chance(60):
		g.put(g.resourceOn(p, target, p.id), at(g.op(p, target, p.id, "migrate_from", 0, 0, pick(g, []int{0, 0, 1}))))
	}
}

func (g *generator) cloneHistory(t *topSpec) {
	g.healthy = g.chance(50) // what keeps an instance from staying may make crm_simulate 2.1.5 shuffle them
	defer func() { g.healthy = false }()
	instance, promoted := 0, 0
	idle := g.maybe(8, "clone-inactive")
	// crm_simulate 2.1.5 shuffles the instances of clones that could move.
	partly := g.maybe(2, "clone-partly-active")
	numbered := !t.unique && g.maybe(4, "numbered-instances") // as versions before 1.1.8 did
	for _, n := range g.nodes {
		if n.history == nil {
			continue
		}
		active := n.up && instance < max(t.max, 1)
		if partly {
			active = g.chance(60) && instance < max(t.max, 1)
		}
		active = active && !idle
		role := "Started"
		if t.kind == "promotable" {
			role = "Unpromoted"
			if active && promoted < 1 && g.chance(40) {
				role = "Promoted"
				promoted++
			}
		}
		for _, p := range t.members {
			id := p.id
			if t.unique {
				id += ":" + strconv.Itoa(instance)
			} else if numbered {
				id += ":" + strconv.Itoa(g.IntN(3))
			}
			switch {
			case active:
				g.activeOn(p, n, id, role)
			case g.chance(88) && n.up:
				g.inactiveOn(p, n, id)
			}
			// A score where no instance is pulls instances there, which makes
			// crm_simulate 2.1.5 shuffle them.
			if t.kind == "promotable" && (idle || g.runsOn(n, id)) && g.chance(45) {
				g.feature("promotion-score")
				g.transient(n, "master-"+id, pick(g, []string{"5", "10", "100", "-5", "1", "INFINITY", "-INFINITY"}))
			}
		}
		if active {
			instance++
		}
	}
	if t.unique && !g.healthy && g.maybe(25, "removed-instance") {
		if n := g.nodes[0]; n.history != nil {
			for _, p := range t.members {
				g.activeOn(p, n, p.id+":"+strconv.Itoa(instance+3+t.max), "Started")
			}
		}
	}
}

// runsOn tells whether the history has the resource started on n, and not stopped
// since.
func (g *generator) runsOn(n *nodeSpec, id string) bool {
	runs := false
	for _, e := range n.history.Children {
		if e.Attr("id") != id {
			continue
		}
		for _, op := range e.Children {
			switch op.Attr("operation") {
			case "start", "promote":
				runs = true
			case "monitor":
				runs = runs || op.Attr("rc-code") == "0" || op.Attr("rc-code") == "8"
			case "stop":
				runs = false
			}
		}
	}
	return runs
}

// inactiveOn records a probe that found nothing, or failed, or has no result.
func (g *generator) inactiveOn(p *primSpec, n *nodeSpec, id string) {
	e := g.resourceOn(p, n, id)
	switch {
	case p.remote || p.class == "stonith":
	case !g.healthy && g.maybe(1, "failed-probe"):
		g.put(e, g.failure(p, n, id, "monitor", 0, 7))
		return
	case g.maybe(1, "pending-probe"):
		g.put(e, g.pending(p, n, id, "monitor", 0, 7))
		return
	}
	g.put(e, g.op(p, n, id, "monitor", 0, 7, 7))
}

// formerly records what ran and was stopped.
func (g *generator) formerly(p *primSpec, n *nodeSpec, id string) {
	e := g.resourceOn(p, n, id)
	for _, m := range p.monitors {
		if m.role == "" && g.chance(60) {
			g.put(e, g.op(p, n, id, "monitor", m.interval*1000, 0, 0))
		}
	}
	g.put(e, g.op(p, n, id, "stop", 0, 0, 0))
}

// resourceOn finds or makes the resource's entry in the node's history.
func (g *generator) resourceOn(p *primSpec, n *nodeSpec, id string) *Element {
	for _, e := range n.history.Children {
		if e.Attr("id") == id {
			return e
		}
	}
	e := el("lrm_resource", "id", id, "class", p.class, "provider", p.provider, "type", p.kind)
	n.history.add(e)
	return e
}
