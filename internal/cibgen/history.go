package cibgen

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// transition is the id in the keys of recorded operations.
const transition = "0abcdef0-1234-5678-9abc-def012345678"

// makeHistory gives the status section what nodes know of resources, and the
// state of tickets.
func (g *generator) makeHistory() {
	if g.maybe(12, "cold-start") {
		g.ticketState()
		return
	}
	g.findResting()
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
	for i := range t.replicas {
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
		if t.addresses != nil {
			address = t.addresses[i]
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
		g.activeOn(connectionSpec(name, address, controlPort), host, name, "Started")
		inside := &nodeSpec{id: name, name: name, kind: "bundle", up: true}
		g.stateBehindConnection(inside)
		role := "Started"
		if t.promotedBundle {
			role = "Unpromoted"
			if !promoted && g.chance(40) {
				role, promoted = "Promoted", true
			}
		}
		g.healthy = false
		if g.chance(90) {
			g.activeOn(t.members[0], inside, t.members[0].id, role)
			if t.promotedBundle && g.chance(45) {
				g.transient(inside, "master-"+t.members[0].id, pick(g, []string{"5", "10", "100", "-5", "1"}))
			}
		}
	}
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
	var second *nodeSpec
	if active && !home.resting && g.maybe(4, "multiply-active") {
		if second = pick(g, g.nodes); second.resting {
			second = nil
		}
	}
	for _, n := range g.nodes {
		if n.history == nil || n.kind != "cluster" && (p.remote || p.class == "stonith" || p.kind == "VirtualDomain") {
			continue
		}
		switch {
		case active && (n == home || n == second):
			g.activeOn(p, n, p.id, "Started")
		case g.chance(88) && n.up:
			g.put(g.resourceOn(p, n, p.id), g.op(p, n, p.id, "monitor", 0, 7, 7))
		}
	}
	if active && second == nil && p.migrates && home.history != nil && g.chance(40) {
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
	to := g.op(p, home, p.id, "migrate_to", 0, 0, pick(g, []int{0, 0, 1}))
	to.Attrs = append(to.Attrs, both...)
	g.put(g.resourceOn(p, home, p.id), to)
	if g.chance(60) {
		from := g.op(p, target, p.id, "migrate_from", 0, 0, pick(g, []int{0, 0, 1}))
		from.Attrs = append(from.Attrs, both...)
		g.put(g.resourceOn(p, target, p.id), from)
	}
}

func (g *generator) cloneHistory(t *topSpec) {
	g.healthy = g.chance(50) // what keeps an instance from staying may make crm_simulate 2.1.5 shuffle them
	defer func() { g.healthy = false }()
	instance, promoted := 0, 0
	idle := g.maybe(8, "clone-inactive")
	// crm_simulate 2.1.5 shuffles the instances of clones that could move.
	partly := g.maybe(2, "clone-partly-active")
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
			}
			switch {
			case active:
				g.activeOn(p, n, id, role)
			case g.chance(88) && n.up:
				g.put(g.resourceOn(p, n, id), g.op(p, n, id, "monitor", 0, 7, 7))
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

// activeOn records the operations of a resource that is active, perhaps failed.
func (g *generator) activeOn(p *primSpec, n *nodeSpec, id, role string) {
	e := g.resourceOn(p, n, id)
	if g.chance(30) {
		g.put(e, g.op(p, n, id, "monitor", 0, 7, 7))
	}
	if !g.healthy && g.maybe(3, "failed-start") {
		g.put(e, g.op(p, n, id, "start", 0, 0, pick(g, []int{1, 5, 6, 2})))
		g.failed(p, n, id, "start", 0)
		return
	}
	if g.maybe(2, "pending-start") {
		g.put(e, g.pending(p, n, id, "start"))
		return
	}
	if g.maybe(5, "found-by-probe") {
		g.put(e, g.op(p, n, id, "monitor", 0, 7, map[string]int{"Started": 0, "Unpromoted": 0, "Promoted": 8}[role]))
	} else {
		g.put(e, g.op(p, n, id, "start", 0, 0, 0))
		if role == "Promoted" {
			g.put(e, g.op(p, n, id, "promote", 0, 0, pick(g, []int{0, 0, 0, 0, 0, 0, 0, 0, 0, 1})))
		}
	}
	for _, m := range p.monitors {
		expected := 0
		switch m.role {
		case "Promoted":
			if role != "Promoted" {
				continue
			}
			expected = 8
		case "Stopped":
			continue
		case "Unpromoted":
			if role == "Promoted" {
				continue
			}
		default:
			if role == "Promoted" {
				continue
			}
		}
		if g.chance(6) {
			continue // not known to run
		}
		rc := expected
		if !g.healthy && g.maybe(4, "failed-monitor") {
			rc = pick(g, []int{1, 7, 7, 5})
			g.failed(p, n, id, "monitor", m.interval*1000)
		}
		g.put(e, g.op(p, n, id, "monitor", m.interval*1000, expected, rc))
	}
	if g.healthy {
		return
	}
	if g.maybe(2, "failed-stop") {
		g.put(e, g.op(p, n, id, "stop", 0, 0, 1))
		g.failed(p, n, id, "stop", 0)
	} else if g.maybe(2, "stopped") {
		g.put(e, g.op(p, n, id, "stop", 0, 0, 0))
	} else if role == "Promoted" && g.maybe(2, "failed-demote") {
		g.put(e, g.op(p, n, id, "demote", 0, 0, 1))
	}
}

// failed sets a fail count, mostly.
func (g *generator) failed(p *primSpec, n *nodeSpec, id, task string, interval int) {
	if !g.chance(80) {
		return
	}
	key := fmt.Sprintf("%s#%s_%d", strings.SplitN(id, ":", 2)[0], task, interval)
	g.transient(n, "fail-count-"+key, pick(g, []string{"1", "2", "INFINITY"}))
	g.transient(n, "last-failure-"+key, pick(g, []string{"1700000000", "1782863990"}))
}

// put adds an operation to a resource's history as Pacemaker would: an entry of
// the same name is replaced, and a failure is the last operation as well.
func (g *generator) put(history, op *Element) {
	place := func(op *Element) {
		for i, e := range history.Children {
			if e.Attr("id") == op.Attr("id") {
				history.Children = append(history.Children[:i], history.Children[i+1:]...)
				break
			}
		}
		history.add(op)
	}
	place(op)
	if id, failed := strings.CutSuffix(op.Attr("id"), "_last_failure_0"); failed && op.Attr("interval") == "0" {
		last := op.clone()
		last.Attrs[0].Value = id + "_last_0"
		place(last)
	}
}

// op makes one recorded operation.
func (g *generator) op(p *primSpec, n *nodeSpec, id, task string, interval, expected, rc int) *Element {
	n.calls++
	key := fmt.Sprintf("%d:%d:%d:%s", n.calls, n.calls, expected, transition)
	status := "0"
	name := id + "_last_0"
	switch {
	case task == "migrate_to" || task == "migrate_from":
		name = fmt.Sprintf("%s_%s_0", id, task)
	case rc != expected && rc != 193:
		name = id + "_last_failure_0"
	case interval > 0:
		name = fmt.Sprintf("%s_%s_%d", id, task, interval)
	}
	e := el("lrm_rsc_op", "id", name, "operation_key", fmt.Sprintf("%s_%s_%d", id, task, interval), "operation", task,
		"crm_feature_set", "3.16.1", "transition-key", key, "transition-magic", fmt.Sprintf("%s:%d;%s", status, rc, key),
		"on_node", n.name, "call-id", strconv.Itoa(n.calls), "rc-code", strconv.Itoa(rc), "op-status", status,
		"interval", strconv.Itoa(interval), "last-rc-change", pick(g, []string{"1700000000", "1782863000"}))
	if task == "start" || task == "monitor" || task == "promote" || task == "migrate_from" {
		g.digests(e, p, interval)
	}
	return e
}

// pending makes an operation without a result.
func (g *generator) pending(p *primSpec, n *nodeSpec, id, task string) *Element {
	e := g.op(p, n, id, task, 0, 0, 193)
	for i := range e.Attrs {
		switch e.Attrs[i].Name {
		case "call-id", "op-status":
			e.Attrs[i].Value = "-1"
		case "last-rc-change":
			e.Attrs[i].Value = "1782863990"
		case "transition-magic":
			e.Attrs[i].Value = "-1:193;" + e.Attr("transition-key")
		}
	}
	return e
}

// digests records what the parameters were, mostly the present ones.
func (g *generator) digests(e *Element, p *primSpec, interval int) {
	params := append([][2]string(nil), p.params...)
	if interval > 0 {
		timeout := "20000"
		for _, m := range p.monitors {
			if m.interval*1000 == interval && m.timeout != 0 {
				timeout = strconv.Itoa(m.timeout * 1000)
			}
		}
		params = append(params, [2]string{"CRM_meta_timeout", timeout})
	}
	digest := paramDigest(params)
	if g.maybe(3, "changed-parameters") {
		digest = paramDigest([][2]string{{"fake", "changed"}})
	}
	e.Attrs = append(e.Attrs, Attr{"op-digest", digest})
	if interval == 0 && g.maybe(15, "restart-digest") {
		e.Attrs = append(e.Attrs, Attr{"op-force-restart", " state "}, Attr{"op-restart-digest", paramDigest(nil)})
	}
}

// paramDigest is the MD5 of parameters written as Pacemaker writes them.
func paramDigest(params [][2]string) string {
	sort.Slice(params, func(i, j int) bool { return params[i][0] < params[j][0] })
	var b strings.Builder
	b.WriteString(" <parameters")
	for _, p := range params {
		b.WriteString(" " + p[0] + `="`)
		xml.EscapeText(&b, []byte(p[1])) // writing to a builder cannot fail
		b.WriteByte('"')
	}
	b.WriteString("/>\n")
	sum := md5.Sum([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}
