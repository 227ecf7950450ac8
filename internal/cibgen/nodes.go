package cibgen

import (
	"fmt"
	"strconv"
)

// clusterNodes makes the nodes with their state.
func (g *generator) clusterNodes(n int) {
	g.nodesElement, g.status = el("nodes"), el("status")
	measured := 10 // percent of nodes; where some are not, many resources have no place
	if g.chance(50) {
		measured = 90
	}
	for i := 1; i <= n; i++ {
		node := &nodeSpec{id: strconv.Itoa(i), name: fmt.Sprintf("n%d", i), kind: "cluster"}
		g.nodes = append(g.nodes, node)
		e := el("node", "id", node.id, "uname", node.name)
		e.addBlock(g.pairs("instance_attributes", g.nodeAttributes()))
		if g.chance(measured) {
			cpu := 4 + g.IntN(8)
			memory := 200 * cpu // who has more of the one has more of the other, or no order would be right
			e.addBlock(g.pairs("utilization", [][2]string{{"cpu", strconv.Itoa(cpu)}, {"memory", strconv.Itoa(memory)}}))
		}
		g.nodesElement.add(e)
		g.nodeState(node, i == 1)
	}
}

func (g *generator) nodeAttributes() [][2]string {
	var v [][2]string
	if g.chance(40) {
		v = append(v, [2]string{"site", pick(g, []string{"a", "b", "B"})})
	}
	if g.maybe(6, "standby-node") {
		v = append(v, [2]string{"standby", "on"})
	}
	if g.maybe(3, "maintenance-node") {
		v = append(v, [2]string{"maintenance", "true"})
	}
	if g.chance(10) {
		v = append(v, [2]string{"release", pick(g, []string{"1.2", "1.10", "1.9"})})
	}
	if g.chance(25) {
		v = append(v, [2]string{"weight", strconv.Itoa(g.IntN(200) - 50)})
	}
	return v
}

// nodeState makes one node_state; the first node, which decides, is up.
func (g *generator) nodeState(n *nodeSpec, coordinator bool) {
	if !coordinator && g.maybe(4, "node-never-seen") {
		return
	}
	e := el("node_state", "id", n.id, "uname", n.name)
	n.up = true
	set := func(member, crmd, join, expected string) {
		e.Attrs = append(e.Attrs, Attr{"in_ccm", member}, Attr{"crmd", crmd}, Attr{"join", join}, Attr{"expected", expected})
	}
	var shutdown bool
	switch roll := g.IntN(100); {
	case coordinator && roll < 96 || roll < 73:
		set("true", "online", "member", "member")
	case coordinator:
		g.feature("coordinator-shutdown")
		shutdown = true
		set("true", "online", "member", "member")
	case roll < 74:
		n.up = false
		switch g.IntN(3) {
		case 0:
			g.feature("node-banned")
			set("true", "online", "banned", "member")
		case 1:
			g.feature("node-not-member")
			set("false", "online", "member", "member")
		case 2:
			g.feature("node-state-empty")
		}
	case roll < 80:
		g.feature("node-offline")
		n.up = false
		set("false", "offline", "down", "down")
	case roll < 87:
		g.feature("node-unclean")
		n.up = false
		set("false", "offline", "down", "member")
	case roll < 91:
		g.feature("node-process-lost")
		set("true", "offline", "member", "member")
	case roll < 92:
		g.feature("node-pending")
		set("true", "online", "pending", pick(g, []string{"member", "down"}))
	default:
		g.feature("node-shutdown")
		shutdown = true
		set("true", "online", "member", "member")
	}
	n.attrs = el("instance_attributes", "id", g.id("b"))
	if shutdown {
		g.transient(n, "shutdown", "1700000000")
	}
	if g.maybe(3, "node-terminate") && !coordinator {
		g.transient(n, "terminate", "true")
	}
	if !coordinator && g.maybe(2, "standby-until-reboot") {
		g.transient(n, "standby", "on")
	}
	if g.maybe(8, "node-health") {
		g.transient(n, "#health-disk", pick(g, []string{"red", "yellow", "green", "-10"}))
	}
	n.history = el("lrm_resources")
	n.state = e
	e.add(el("transient_attributes", "id", n.id).add(n.attrs), el("lrm", "id", n.id).add(n.history))
	g.status.add(e)
}

// transient sets a transient attribute of a node.
func (g *generator) transient(n *nodeSpec, name, value string) {
	if n.attrs != nil {
		n.attrs.add(el("nvpair", "id", g.id("p"), "name", name, "value", value))
	}
}
