package scheduler

import (
	"strings"

	"linuxha/internal/cluster"
)

// colocation says that where dependent goes depends on where primary goes
// (SEMANTICS 11).
type colocation struct {
	id            string
	dependent     *resource
	primary       *resource
	dependentRole role // roleUnknown: any
	primaryRole   role
	attribute     string // node attribute that makes two nodes the same; "" for the node itself
	score         score
	influence     bool
	configured    bool // not built in
	// effects of merging the dependent, and the primary; see mergeAtOnce.
	effects [2]*mergeEffect
}

// mandatory tells whether the colocation is a requirement, not a preference.
func (c *colocation) mandatory() bool { return c.score >= infinity }

// infinite tells whether the colocation is applied in the first pass.
func (c *colocation) infinite() bool { return c.score >= infinity || c.score <= -infinity }

// factor scales the dependent's preferences for use by the primary.
func (c *colocation) factor() float32 { return float32(c.score) / float32(infinity) }

// readColocations reads the configured colocation constraints.
func (rn *run) readColocations() {
	for i := range rn.config.Colocations {
		rn.readColocation(&rn.config.Colocations[i])
	}
}

func (rn *run) readColocation(c *cluster.Colocation) {
	if c.Rule != nil && !rn.passes(c.Rule, ruleContext{}) {
		return
	}
	total := parseScore(c.Score, 0)
	if len(c.Sets) > 0 {
		rn.colocateSets(c, total, rn.expandSets(c.Sets))
		return
	}
	dependents, primaries, grouped, bothGrouped, ok := rn.expandPair(c.Resource, c.With)
	switch {
	case !ok:
		rn.warn("colocation constraint " + c.ID + " is ignored: it names a resource that does not exist")
	case bothGrouped:
		rn.warn("colocation constraint " + c.ID + " is ignored: two templates or tags cannot be colocated")
	case grouped:
		dependents.Role, primaries.Role = c.Role, c.WithRole
		rn.colocateSets(c, total, []cluster.ResourceSet{dependents, primaries})
	default:
		dependent := rn.constraintResource(c.Resource)
		rn.addColocation(&colocation{id: c.ID, score: total, attribute: c.NodeAttribute, configured: true,
			dependent: dependent, dependentRole: colocationRole(c.Role),
			primary: rn.constraintResource(c.With), primaryRole: colocationRole(c.WithRole),
			influence: influence(c, dependent)})
	}
}

// influence is the constraint's setting, by default the dependent's "critical".
func influence(c *cluster.Colocation, dependent *resource) bool {
	return boolOr(c.Influence, dependent.critical)
}

// colocationRole reads a role; Started is the same as none.
func colocationRole(text string) role {
	if r := parseRole(text); r != roleStarted {
		return r
	}
	return roleUnknown
}

// colocateSets colocates within each set, and each set with its successor.
func (rn *run) colocateSets(c *cluster.Colocation, total score, sets []cluster.ResourceSet) {
	for i := range sets {
		rn.colocateWithin(c, total, &sets[i])
		if i > 0 {
			rn.colocateNeighbours(c, total, &sets[i-1], &sets[i])
		}
	}
}

func isSequential(s *cluster.ResourceSet) bool {
	return s.Sequential == "" || isTrue(s.Sequential)
}

// colocateWithin colocates the members of one set: with positive score each with
// its predecessor, with negative score each with every earlier one.
func (rn *run) colocateWithin(c *cluster.Colocation, total score, s *cluster.ResourceSet) {
	if s.Score != "" {
		total = parseScore(s.Score, 0)
	}
	if total == 0 || !isSequential(s) {
		return
	}
	members := rn.setMembers(s)
	for i, m := range members {
		switch {
		case m == nil: // it and what follows do not count
			rn.warn("resource set " + s.ID + " of colocation constraint " + c.ID + " counts only up to " + s.Resources[i] + ", which does not exist")
			return
		case i == 0:
		case total < 0:
			for _, earlier := range members[:i] {
				rn.colocateMembers(c, s.ID, total, m, s.Role, earlier, s.Role)
			}
		case s.Ordering == "" || s.Ordering == "group":
			rn.colocateMembers(c, s.ID, total, m, s.Role, members[i-1], s.Role)
		default:
			rn.colocateMembers(c, s.ID, total, members[i-1], s.Role, m, s.Role)
		}
	}
}

// colocateNeighbours makes the earlier set depend on the later one: of a
// sequential earlier set its first member, of a sequential later one its last;
// otherwise each.
func (rn *run) colocateNeighbours(c *cluster.Colocation, total score, earlier, later *cluster.ResourceSet) {
	dependents, primaries := rn.setMembers(earlier), rn.setMembers(later)
	if len(dependents) == 0 || len(primaries) == 0 {
		return
	}
	if isSequential(earlier) {
		dependents = dependents[:1]
	}
	if isSequential(later) {
		primaries = primaries[len(primaries)-1:]
	}
	for _, d := range dependents {
		for _, p := range primaries {
			if d == nil || p == nil {
				continue
			}
			rn.colocateMembers(c, c.ID, total, d, earlier.Role, p, later.Role)
		}
	}
}

func (rn *run) colocateMembers(c *cluster.Colocation, id string, total score, d *resource, dRole string, p *resource, pRole string) {
	rn.addColocation(&colocation{id: id, score: total, configured: true,
		dependent: d, dependentRole: colocationRole(dRole), primary: p, primaryRole: colocationRole(pRole),
		influence: influence(c, d)})
}

// setMembers are the members of a set, nil for one that does not exist.
func (rn *run) setMembers(s *cluster.ResourceSet) []*resource {
	out := make([]*resource, len(s.Resources))
	for i, id := range s.Resources {
		out[i] = rn.constraintResource(id)
	}
	return out
}

// addColocation makes a colocation count. Score 0 is no constraint.
func (rn *run) addColocation(c *colocation) {
	if c.score == 0 || c.dependent == nil || c.primary == nil || c.dependent == c.primary {
		return
	}
	if c.attribute == "#uname" {
		c.attribute = ""
	}
	rn.colocations = append(rn.colocations, c)
	c.dependent.thisWith = insertColocation(c.dependent.thisWith, c, primaryOf)
	c.primary.withThis = insertColocation(c.primary.withThis, c, dependentOf)
	if c.score <= -infinity {
		rn.antiColocationOrders(c)
	}
}

func primaryOf(c *colocation) *resource   { return c.primary }
func dependentOf(c *colocation) *resource { return c.dependent }

// insertColocation adds c to a list that is sorted by the other resource; the
// newest comes first among equals.
func insertColocation(list []*colocation, c *colocation, other func(*colocation) *resource) []*colocation {
	at := 0
	for at < len(list) && compareForColocation(other(c), other(list[at])) > 0 {
		at++
	}
	list = append(list, nil)
	copy(list[at+1:], list[at:])
	list[at] = c
	return list
}

// compareForColocation orders the resources at the other ends of colocations:
// priority; bundles, clones, groups, primitives; promotable clones before
// others; id.
func compareForColocation(a, b *resource) int {
	if a.priority != b.priority {
		if a.priority > b.priority {
			return -1
		}
		return 1
	}
	if ra, rb := a.kindRank(), b.kindRank(); ra != rb {
		return rb - ra
	}
	if a.isClone() && a.promotable != b.promotable {
		if a.promotable {
			return -1
		}
		return 1
	}
	return strings.Compare(a.id, b.id)
}

// kindRank orders kinds from primitives up to bundles.
func (r *resource) kindRank() int {
	switch r.kind {
	case cluster.Group:
		return 1
	case cluster.Clone:
		return 2
	case cluster.Bundle:
		return 3
	}
	return 0
}

// builtinColocations adds the colocations inside groups, of contents with their
// containers, and in bundles, and keeps what must not nest off remote nodes.
func (rn *run) builtinColocations() {
	for _, r := range rn.resources {
		rn.colocateInside(r)
	}
}

func (rn *run) colocateInside(r *resource) {
	switch {
	case r.isPrimitive():
		rn.colocateWithContainer(r)
	case r.isGroup():
		for i, m := range r.children {
			rn.colocateInside(m)
			if i > 0 && r.group.colocated {
				rn.addColocation(&colocation{id: "group " + r.id, score: infinity,
					dependent: m, primary: r.children[i-1], influence: m.critical})
			}
		}
	case r.isClone():
		for _, c := range r.children {
			rn.colocateInside(c)
		}
	case r.isBundle():
		rn.colocateReplicas(r)
	}
}

func (rn *run) colocateReplicas(b *resource) {
	for _, p := range b.bundle.replicas {
		rn.colocateInside(p.container)
		if p.address != nil {
			rn.colocateInside(p.address)
			rn.addColocation(&colocation{id: "bundle " + b.id, score: infinity,
				dependent: p.address, primary: p.container, influence: true})
		}
		if p.connection != nil {
			rn.colocateInside(p.connection)
		}
	}
	if b.bundle.inner != nil {
		rn.colocateInside(b.bundle.inner)
	}
}

// bundleConnectionScore is how strongly a bundle's connection prefers its
// container's host: not a requirement, so that the container may run on a
// remote node.
const bundleConnectionScore = 10000

func (rn *run) colocateWithContainer(r *resource) {
	if !r.managed {
		return
	}
	nested := r.isConnection && r.parent != nil && r.parent.isBundle()
	if k := r.container; k != nil {
		guest := rn.connectionInside(k)
		if k.isConnection {
			guest = k
		}
		switch {
		case !r.isConnection && guest != nil:
			for i, n := range rn.nodes {
				if n.connection != guest && r.allowed[i] != absent {
					rn.note(r, n, "container "+k.id, -infinity)
					r.allowed[i] = -infinity
				}
			}
		default:
			if r.isConnection && !nested {
				rn.avoidRemoteNodes(k)
			}
			total := infinity
			if nested {
				total = bundleConnectionScore
			}
			rn.addColocation(&colocation{id: "container " + k.id, score: total,
				dependent: r, primary: k, influence: true})
		}
	}
	if r.isConnection || r.isFence {
		rn.avoidRemoteNodes(r)
	}
}

// connectionInside returns the guest node's connection among the contents of a
// container, or nil.
func (rn *run) connectionInside(container *resource) *resource {
	for _, c := range container.contents {
		if c.isConnection {
			return c
		}
	}
	return nil
}

// avoidRemoteNodes bans r from nodes reached through a connection.
func (rn *run) avoidRemoteNodes(r *resource) {
	for i, n := range rn.nodes {
		if n.connection != nil && r.allowed[i] != absent {
			rn.note(r, n, "not on remote nodes", -infinity)
			r.allowed[i] = -infinity
		}
	}
}
