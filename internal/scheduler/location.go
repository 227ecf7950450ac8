package scheduler

// location gives scores on nodes to one resource (SEMANTICS 10).
type location struct {
	id        string
	resource  *resource
	role      role // rolePromoted and roleStopped matter; else roleUnknown
	discovery discovery
	scores    []nodeScore
}

// nodeScore is one node's score in a location constraint.
type nodeScore struct {
	node  *node
	score score
}

// ticketRule makes one resource depend on a ticket (SEMANTICS 30).
type ticketRule struct {
	id     string
	ticket string
	role   role
	policy string // stop demote fence freeze
}

// readLocations reads the configured location constraints.
func (rn *run) readLocations() {}

// initialScores gives every resource its score vector, before the status is read.
func (rn *run) initialScores() {
	for _, r := range rn.all {
		rn.initialScoresOf(r)
	}
}

// initialScoresOf gives one resource its initial scores: in a symmetric cluster
// 0 on every node, else none. A resource created while the status is read
// (removed ones, surplus instances) needs this call at once.
func (rn *run) initialScoresOf(r *resource) {
	r.allowed = make(scoreVector, len(rn.nodes))
	if !rn.options.symmetric {
		for i := range r.allowed {
			r.allowed[i] = absent
		}
	}
}

// ban adds s (usually -infinity) to the score of r and everything in it on n, or
// on every node if n is nil. why is for reasons: "failures", "removed", ...
func (rn *run) ban(r *resource, n *node, s score, why string) {
	for _, c := range r.children {
		rn.ban(c, n, s, why)
	}
	if n != nil {
		r.allowed.add(n, s)
		return
	}
	for _, each := range rn.nodes {
		r.allowed.add(each, s)
	}
}
