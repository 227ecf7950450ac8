package scheduler

import (
	"strings"

	"linuxha/internal/cluster"
)

// readNodes creates the nodes of the configuration, remote and guest nodes
// included (SEMANTICS 7), with their permanent attributes. Bundle nodes follow
// while resources are read.
func (rn *run) readNodes() {
	for i := range rn.config.Nodes {
		c := &rn.config.Nodes[i]
		if c.Witness || rn.node(c.Name) != nil {
			continue
		}
		n := rn.newNode(c.ID, c.Name, c.Kind)
		n.score = parseScore(c.Score, 0)
		rn.attributes(c.Attributes, ruleContext{}, n.attrs)
		n.utilization = rn.readAmounts(c.Utilization)
	}
	if rn.config.Origin == cluster.OriginNative { // nodes may appear by joining
		for i := range rn.status.Nodes {
			if s := &rn.status.Nodes[i]; !s.Remote && rn.node(s.Name) == nil && !rn.isWitness(s.Name) {
				rn.newNode(s.ID, s.Name, cluster.NodeCluster)
			}
		}
	}
	for i := range rn.config.Resources {
		rn.readConnectedNodes(&rn.config.Resources[i])
	}
}

func (rn *run) isWitness(name string) bool {
	for i := range rn.config.Nodes {
		if c := &rn.config.Nodes[i]; c.Witness && strings.EqualFold(c.Name, name) {
			return true
		}
	}
	return false
}

func (rn *run) newNode(id, name string, kind cluster.NodeKind) *node {
	if id == "" {
		id = name
	}
	n := &node{id: id, name: name, kind: kind, attrs: map[string]string{}}
	n.isDC = rn.status.Coordinator != "" && id == rn.status.Coordinator
	rn.addNode(n)
	return n
}

// readConnectedNodes creates the node that a top-level remote connection stands
// for, and those of guests on primitives and members of groups.
func (rn *run) readConnectedNodes(c *cluster.Resource) {
	switch c.Kind {
	case cluster.Primitive:
		if c.Agent.IsConnection() {
			rn.connectedNode(c.ID, cluster.NodeRemote)
			return
		}
		rn.readGuest(c)
	case cluster.Group:
		for i := range c.Children {
			rn.readGuest(&c.Children[i])
		}
	}
}

func (rn *run) readGuest(c *cluster.Resource) {
	g := guestOf(c)
	if g.name == "" || g.name == c.ID {
		return
	}
	rn.connectedNode(g.name, cluster.NodeGuest)
	rn.guests = append(rn.guests, g)
}

// connectedNode finds or creates a node behind a connection.
func (rn *run) connectedNode(name string, kind cluster.NodeKind) *node {
	if n := rn.node(name); n != nil {
		n.kind = kind
		return n
	}
	return rn.newNode(name, name, kind)
}

// guest is what a resource's meta-attributes say of the guest node it creates.
type guest struct {
	name, container, address, port, connectTimeout, allowMigrate, managed string
}

// guestOf reads the guest that a primitive creates as written, without rules;
// the name is empty if it creates none.
func guestOf(c *cluster.Resource) guest {
	g := guest{container: c.ID, connectTimeout: "60s"}
	for i := range c.Meta {
		for _, p := range c.Meta[i].Pairs {
			switch p.Name {
			case "remote-node":
				g.name = p.Value
			case "remote-addr":
				g.address = p.Value
			case "remote-port":
				g.port = p.Value
			case "remote-connect-timeout":
				g.connectTimeout = p.Value
			case "remote-allow-migrate":
				g.allowMigrate = p.Value
			case "is-managed":
				g.managed = p.Value
			}
		}
	}
	return g
}
