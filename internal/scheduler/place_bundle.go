package scheduler

// placeBundle distributes the containers like clone instances, then places what
// belongs to each replica, then the clone inside for its roles (SEMANTICS 29).
func (rn *run) placeBundle(b *resource, prefer *node, stopIfFail bool) {
	if b.placed || b.placing {
		return
	}
	b.placing = true
	replicas := b.bundle.replicas
	containers := make([]*resource, len(replicas))
	for i, p := range replicas {
		containers[i] = p.container
	}
	rn.sortInstances(containers)
	rn.placeInstances(b, containers, len(replicas), b.bundle.perHost)
	for _, p := range replicas {
		rn.placeReplica(p, prefer, stopIfFail)
	}
	if inner := b.bundle.inner; inner != nil {
		for i, n := range rn.nodes {
			switch {
			case inner.allowed[i] == absent:
			case b.ownsNode(n):
				inner.allowed[i] = 0
			default:
				inner.allowed[i] = -infinity
			}
		}
		rn.place(inner, prefer, stopIfFail)
	}
	b.placing = false
	b.placed = true
}

// ownsNode tells whether n is one of the bundle's nodes.
func (r *resource) ownsNode(n *node) bool {
	for _, p := range r.bundle.replicas {
		if p.node == n {
			return true
		}
	}
	return false
}

// placeReplica places a replica's address and connection, and confines the
// instance inside to its own bundle node.
func (rn *run) placeReplica(p *replica, prefer *node, stopIfFail bool) {
	if p.address != nil {
		rn.place(p.address, prefer, stopIfFail)
	}
	if p.connection != nil {
		if host := p.container.assigned; host != nil && host.behindConnection() {
			// A remote node has one connection: both must be on the same host.
			rn.addColocation(&colocation{id: "bundle " + p.container.parent.id, score: infinity,
				dependent: p.connection, primary: host.connection, influence: true})
		}
		rn.place(p.connection, prefer, stopIfFail)
	}
	if p.child == nil {
		return
	}
	for i, s := range p.child.allowed {
		n := rn.nodes[i]
		switch {
		case s == absent:
		case n != p.node:
			p.child.allowed[i] = -infinity
		case rn.thresholdReached(p.child, n) == nil:
			p.child.allowed[i] = infinity
		}
	}
	p.child.parent.placing = true
	rn.place(p.child, p.node, stopIfFail)
	p.child.parent.placing = false
}
