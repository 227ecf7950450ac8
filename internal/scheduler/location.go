package scheduler

import (
	"regexp"
	"strings"

	"linuxha/internal/cluster"
)

// location gives scores on nodes to one resource (SEMANTICS 10).
type location struct {
	id        string
	resource  *resource
	role      role // rolePromoted and roleStopped restrict it; else roleUnknown
	discovery discovery
	scores    []nodeScore
}

// nodeScore is one node's score in a location constraint.
type nodeScore struct {
	node  *node
	score score
}

// initialScores gives every resource its score vector, before the status is read.
func (rn *run) initialScores() {
	for _, r := range rn.all {
		rn.initialScoresOf(r)
	}
	for _, r := range rn.all {
		if r.isBundle() {
			rn.confineReplicas(r)
		}
	}
}

// initialScoresOf gives one resource its initial scores: in a symmetric cluster
// 0 on every node and none on what is inside bundles, else no entries. A
// resource created while the status is read (removed ones, surplus instances)
// needs this call at once.
func (rn *run) initialScoresOf(r *resource) {
	r.allowed = make(scoreVector, len(rn.nodes))
	guestConnection := r.isConnection && r.container != nil
	for i, n := range rn.nodes {
		switch {
		case !rn.options.symmetric && !guestConnection:
			r.allowed[i] = absent
		case n.isBundle() && r.index < n.readBefore,
			n.isBundle() && !rn.options.symmetric && n.connection.index <= r.index: // what it knows of itself and what was read before
			r.allowed[i] = -infinity
		case n.isBundle(): // open to what is inside only: confineReplicas
			r.allowed[i] = absent
		default:
			r.allowed[i] = n.score
		}
	}
}

// confineReplicas restricts what a bundle implies: connections to cluster
// nodes, and each inner instance to its own bundle node.
func (rn *run) confineReplicas(b *resource) {
	for _, p := range b.bundle.replicas {
		if p.connection != nil {
			for i, n := range rn.nodes {
				if n.behindConnection() && p.connection.allowed[i] != absent {
					p.connection.allowed[i] = -infinity
				}
			}
		}
		if p.child == nil || p.node == nil {
			continue
		}
		for i := range p.child.allowed {
			p.child.allowed[i] = absent
		}
		p.child.allowed[p.node.index] = 500
		p.child.setDiscovery(p.node, discoverExclusive)
		p.child.exclusive = false
		p.child.parent.allowed[p.node.index] = -infinity
	}
}

// ban adds s (usually -infinity) to the score of r and everything in it on n, or
// on every node if n is nil. why names the cause, for reasons.
func (rn *run) ban(r *resource, n *node, s score, why string) {
	for _, c := range r.parts() {
		rn.ban(c, n, s, why)
	}
	if n != nil {
		rn.note(r, n, why, s)
		r.addOn(n, s)
		return
	}
	rn.note(r, nil, why, s)
	for _, each := range rn.nodes {
		r.addOn(each, s)
	}
}

// addOn adds s to r's score on n. Where r had no entry, it starts from n's own.
func (r *resource) addOn(n *node, s score) {
	if r.allowed[n.index] == absent {
		r.allowed[n.index] = n.score
	}
	r.allowed.add(n, s)
}

// setDiscovery sets where the state of r is probed for on n: exclusive beats
// never beats always.
func (r *resource) setDiscovery(n *node, d discovery) {
	if d == discoverAlways {
		return
	}
	if len(r.discovery) <= n.index {
		r.discovery = append(r.discovery, make([]discovery, len(r.allowed)-len(r.discovery))...)
	}
	if d > r.discovery[n.index] {
		r.discovery[n.index] = d
		if d == discoverExclusive {
			r.exclusive = true
		}
	}
}

// discoveryOn tells whether r is probed for on n.
func (r *resource) discoveryOn(n *node) discovery {
	if n.index < len(r.discovery) {
		return r.discovery[n.index]
	}
	return discoverAlways
}

// readLocations reads the configured location constraints.
func (rn *run) readLocations() {
	for i := range rn.config.Locations {
		rn.readLocation(&rn.config.Locations[i])
	}
}

func (rn *run) readLocation(c *cluster.Location) {
	switch {
	case c.Resource != "":
		ids, _ := rn.expandReference(c.Resource)
		for _, id := range ids {
			if !rn.elsewhere(id) && !rn.newLocation(c, rn.constraintResource(id), c.Role, "", nil) {
				return
			}
		}
	case c.Pattern != "":
		rn.readPatternLocation(c)
	}
	for _, s := range rn.expandSets(c.Sets) {
		role := s.Role
		if role == "" {
			role = c.Role
		}
		for _, id := range s.Resources {
			if !rn.elsewhere(id) && !rn.newLocation(c, rn.constraintResource(id), role, s.Score, nil) {
				return
			}
		}
	}
}

// readPatternLocation applies the constraint to every top-level resource whose
// id matches (or with "!" first, does not match) the pattern.
func (rn *run) readPatternLocation(c *cluster.Location) {
	pattern, invert := strings.CutPrefix(c.Pattern, "!")
	re, err := regexp.Compile(pattern)
	if err != nil {
		rn.warn("location constraint " + c.ID + " is ignored: its pattern is not valid: " + err.Error())
		return
	}
	for _, r := range rn.resources {
		matches := re.FindStringSubmatch(r.id)
		switch {
		case matches != nil && !invert:
			rn.newLocation(c, r, c.Role, "", matches)
		case matches == nil && invert:
			rn.newLocation(c, r, c.Role, "", nil)
		}
	}
}

// newLocation adds the constraint to one resource: a score on one node, or one
// location per rule. It returns false if there is no such resource, so that the
// rest of the constraint does not count.
func (rn *run) newLocation(c *cluster.Location, r *resource, roleText, scoreText string, matches []string) bool {
	if r == nil {
		rn.warn("location constraint " + c.ID + " counts only up to a resource that does not exist")
		return false
	}
	if scoreText == "" {
		scoreText = c.Score
	}
	if c.Node != "" && scoreText != "" {
		n := rn.node(c.Node)
		if n == nil {
			return true
		}
		rn.addLocation(&location{id: c.ID, resource: r, role: locationRole(roleText),
			discovery: parseDiscovery(c.Discovery), scores: []nodeScore{{n, parseScore(scoreText, 0)}}})
		return true
	}
	for i := range c.Rules {
		rule := rn.resolveRule(&c.Rules[i]) // the score is that of the rule referred to
		if rule == nil {
			continue
		}
		text := roleText
		if rule.Role != "" {
			text = rule.Role
		}
		l := &location{id: c.ID, resource: r, role: locationRole(text), discovery: parseDiscovery(c.Discovery)}
		for _, n := range rn.nodes {
			if rn.passes(rule, ruleContext{node: n, resource: r, matches: matches}) {
				l.scores = append(l.scores, nodeScore{n, rn.ruleScore(rule, r, n, matches)})
			}
		}
		rn.addLocation(l)
	}
	return true
}

func (rn *run) addLocation(l *location) {
	if l.discovery == discoverExclusive {
		l.resource.exclusive = true // even if it names no node
	}
	rn.locations = append(rn.locations, l)
	l.resource.locations = append(l.resource.locations, l)
}

// ruleScore is the score that a passing location rule gives on n: written, or
// the value of a node attribute (-INFINITY where the node does not have it).
func (rn *run) ruleScore(rule *cluster.Rule, r *resource, n *node, matches []string) score {
	if rule.Score != "" || rule.ScoreAttribute == "" {
		return parseScore(rule.Score, 0)
	}
	value, ok := rn.attributeFor(n, submatches(rule.ScoreAttribute, matches), r, currentHost)
	if !ok {
		return -infinity
	}
	return parseScore(value, 0)
}

// locationRole reads the role of a location constraint. Only Promoted and
// Stopped restrict it: whatever runs is Started or Unpromoted at least.
func locationRole(text string) role {
	switch r := parseRole(text); r {
	case rolePromoted, roleStopped:
		return r
	}
	return roleUnknown
}

func parseDiscovery(text string) discovery {
	switch text {
	case "never":
		return discoverNever
	case "exclusive":
		return discoverExclusive
	}
	return discoverAlways
}

// applyLocation adds a location's scores to r and what is in it that they
// concern (SEMANTICS 10).
func (rn *run) applyLocation(r *resource, l *location) {
	rn.applyLocationTo(r, l, false)
	switch {
	case r.isGroup():
		for i, m := range r.children {
			if i == 0 || !r.group.colocated {
				rn.applyLocation(m, l)
			} else {
				rn.applyLocationTo(m, l, true)
			}
		}
	case r.isClone():
		for _, c := range r.children {
			rn.applyLocation(c, l)
		}
	case r.isBundle():
		for _, p := range r.bundle.replicas {
			rn.applyLocation(p.container, l)
			if p.address != nil {
				rn.applyLocation(p.address, l)
			}
		}
		if inner := r.bundle.inner; inner != nil && l.role == rolePromoted {
			rn.applyLocation(inner, l)
			inner.locations = append(inner.locations, l)
		}
	}
}

// applyLocationTo adds a location's scores, or with zero only its entries, to
// one resource alone.
func (rn *run) applyLocationTo(r *resource, l *location, zero bool) {
	if l.role != roleUnknown && l.role != r.nextRole {
		return
	}
	for _, ns := range l.scores {
		s := ns.score
		if zero {
			s = 0
		}
		if ns.node.isBundle() && !r.belongsIn(ns.node) {
			s = -infinity
		}
		r.allowed.add(ns.node, s)
		rn.note(r, ns.node, l.id, s)
		r.setDiscovery(ns.node, l.discovery)
	}
}

// belongsIn tells whether r is what the bundle node n exists for.
func (r *resource) belongsIn(n *node) bool {
	return r.topInBundle().parent != nil && r.top() == n.connection.parent
}

// hostKind says whose host counts for container-attribute-target=host: where
// the container is, or where it will be.
type hostKind bool

const (
	currentHost  hostKind = false
	assignedHost hostKind = true
)

// attributeFor returns a node's attribute as r sees it: on guest and bundle
// nodes that of the host, if r's container-attribute-target says so.
func (rn *run) attributeFor(n *node, name string, r *resource, which hostKind) (string, bool) {
	onHost := r != nil && n.isGuest() && strings.EqualFold(r.meta["container-attribute-target"], "host")
	return rn.attributeAt(n, name, onHost, which)
}

// attributeAt returns an attribute of n, or of the host of the container that n
// is in.
func (rn *run) attributeAt(n *node, name string, onHost bool, which hostKind) (string, bool) {
	if onHost && n.isGuest() {
		c := n.container()
		if c == nil {
			return "", false
		}
		if which == assignedHost {
			n = c.assigned
		} else {
			n = c.current()
		}
		if n == nil {
			return "", false
		}
	}
	return rn.nodeAttribute(n, name)
}
