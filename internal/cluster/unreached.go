package cluster

import "slices"

// remoteNode is the meta-attribute that makes a guest a node.
const remoteNode = "remote-node"

// IsConnection tells whether the agent manages the connection to a remote node,
// which runs no daemon of the cluster.
func (a Agent) IsConnection() bool {
	return a == Agent{Class: "ocf", Provider: "pacemaker", Type: "remote"}
}

// IsGuest tells whether the resource is a guest that is to be a node.
func (r *Resource) IsGuest() bool {
	return slices.ContainsFunc(r.Meta, func(s AttrSet) bool {
		return slices.ContainsFunc(s.Pairs, func(p NVPair) bool { return p.Name == remoteNode && p.Value != "" })
	})
}

// ActedOn returns the configuration without what this cluster keeps and does not act
// on: remote nodes and their connections, guests as nodes (the guests themselves
// stay), and bundles, whose containers are nodes. Else the scheduler would place
// resources where nobody can start them, and order operations that can only fail.
func (c *Config) ActedOn() *Config {
	out := *c
	remote := func(n Node) bool { return n.Kind != NodeCluster }
	if slices.ContainsFunc(c.Nodes, remote) {
		out.Nodes = slices.DeleteFunc(slices.Clone(c.Nodes), remote)
	}
	templates := map[string]bool{} // whose resources are connections
	for i := range c.Templates {
		templates[c.Templates[i].ID] = c.Templates[i].Agent.IsConnection()
	}
	unreached := func(r *Resource) bool {
		return r.Kind == Bundle || r.Agent.IsConnection() || templates[r.Template] || r.IsGuest()
	}
	out.Templates = reached(c.Templates, unreached)
	out.Resources = reached(c.Resources, unreached)
	return &out
}

// reached returns the resources that are acted on: those themselves where that are
// all of them.
func reached(all []Resource, unreached func(*Resource) bool) []Resource {
	var any func(rs []Resource) bool
	any = func(rs []Resource) bool {
		return slices.ContainsFunc(rs, func(r Resource) bool { return unreached(&r) || any(r.Children) })
	}
	if !any(all) {
		return all
	}
	var out []Resource
	for _, r := range all {
		held := len(r.Children)
		r.Children = reached(r.Children, unreached)
		switch {
		case held > 0 && len(r.Children) == 0:
		case !unreached(&r):
			out = append(out, r)
		case r.Kind == Primitive && r.IsGuest() && !r.Agent.IsConnection():
			r.Meta = withoutPair(r.Meta, remoteNode)
			out = append(out, r)
		}
	}
	return out
}

// withoutPair returns the blocks without the pairs of a name.
func withoutPair(sets []AttrSet, name string) []AttrSet {
	sets = slices.Clone(sets)
	for i := range sets {
		sets[i].Pairs = slices.DeleteFunc(slices.Clone(sets[i].Pairs), func(p NVPair) bool { return p.Name == name })
	}
	return sets
}
