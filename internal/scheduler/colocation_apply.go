package scheduler

import "strings"

// How a colocation with a placed primary changes the scores of its dependent
// (SEMANTICS 11, "Effect of one constraint on D's scores").

// colocationEffect is what a colocation concerns at the present moment.
type colocationEffect uint8

const (
	affectsNothing colocationEffect = iota
	affectsNode
	affectsRole
)

// effectOf tells what c means for dependent now. With preview, what it would
// mean if the primary were placed and the dependent not.
func effectOf(dependent, primary *resource, c *colocation, preview bool) colocationEffect {
	if !preview && !primary.placed {
		return affectsNothing
	}
	d, p := roleOwner(dependent), roleOwner(primary)
	if c.dependentRole >= roleUnpromoted && d.parent != nil && d.parent.promotable && d.placed {
		return affectsRole
	}
	if !preview && dependent.placed {
		return affectsNothing
	}
	if c.dependentRole != roleUnknown && c.dependentRole != d.nextRole {
		return affectsNothing
	}
	if c.primaryRole != roleUnknown && c.primaryRole != p.nextRole {
		return affectsNothing
	}
	return affectsNode
}

// roleOwner is whose role counts: for a bundle's container, that of the
// resource inside.
func roleOwner(r *resource) *resource {
	if r.isReplica {
		for _, p := range r.parent.bundle.replicas {
			if p.container == r && p.child != nil {
				return p.child
			}
		}
	}
	return r
}

// colocate applies c to dependent, the constraint's dependent or something in
// it, given where primary went.
func (rn *run) colocate(dependent, primary *resource, c *colocation) {
	if dependent.isGroup() {
		switch {
		case len(dependent.children) == 0:
		case dependent.group.colocated:
			// The others follow their predecessors.
			rn.colocate(dependent.children[0], primary, c)
		case !c.mandatory():
			for _, m := range dependent.children {
				rn.colocate(m, primary, c)
			}
		}
		return
	}
	rn.colocateWith(dependent, primary, c)
}

// colocateWith applies c by the kind of the primary.
func (rn *run) colocateWith(dependent, primary *resource, c *colocation) {
	switch {
	case primary.isGroup():
		rn.colocateWithGroup(dependent, primary, c)
	case primary.isClone():
		rn.colocateWithClone(dependent, primary, c)
	case primary.isBundle():
		rn.colocateWithBundle(dependent, primary, c)
	default:
		switch effectOf(dependent, primary, c, false) {
		case affectsRole:
			rn.colocatePromotion(dependent, primary, c)
		case affectsNode:
			rn.colocateScores(dependent, primary, c)
		}
	}
}

// colocateScores changes a primitive's scores by where a primitive went.
func (rn *run) colocateScores(dependent, primary *resource, c *colocation) {
	if primary.assigned == nil && c.score < 0 {
		return // nothing to avoid
	}
	var value string
	var known bool
	if primary.assigned != nil {
		value, known = rn.colocationValue(primary.assigned, c, primary)
	}
	work := dependent.allowed.clone()
	for i, s := range work {
		if s == absent {
			continue
		}
		switch {
		case primary.assigned == nil:
			work[i] = (-c.score).add(s)
		case rn.sameValue(rn.nodes[i], c, dependent, value, known):
			if !c.mandatory() { // a requirement adds no preference
				work[i] = c.score.add(s)
			}
		case c.mandatory():
			work[i] = -infinity
		}
	}
	if c.infinite() || rn.anyAvailable(work) {
		dependent.allowed = work
	}
}

// anyAvailable tells whether some node may run resources and has a score of at
// least 0. A guest counts only if its container has been placed.
func (rn *run) anyAvailable(v scoreVector) bool {
	for i, s := range v {
		if s >= 0 && rn.nodes[i].availableWithGuest() {
			return true
		}
	}
	return false
}

// availableWithGuest is available, and for a guest node also requires that its
// container has a place.
func (n *node) availableWithGuest() bool {
	if !n.available() {
		return false
	}
	if k := n.container(); k != nil && k.assigned == nil {
		return false
	}
	return true
}

// colocationValue is what makes nodes the same for c, as r sees n. Whatever is
// in a bundle lives, for this purpose, on its container's host.
func (rn *run) colocationValue(n *node, c *colocation, r *resource) (string, bool) {
	name := c.attribute
	if name == "" {
		name = "#uname"
	}
	if n.isBundle() && r.inBundle() {
		return rn.attributeAt(n, name, true, assignedHost)
	}
	return rn.attributeFor(n, name, r, assignedHost)
}

// sameValue tells whether n, as r sees it, has that value. Unset equals unset.
func (rn *run) sameValue(n *node, c *colocation, r *resource, value string, known bool) bool {
	v, ok := rn.colocationValue(n, c, r)
	return ok == known && strings.EqualFold(v, value)
}

// inBundle tells whether r is part of a bundle.
func (r *resource) inBundle() bool {
	t := r.top()
	return t != r && t.isBundle()
}

// colocateWithGroup: a mandatory colocation with a group needs all of it, so its
// last member; a preference looks at the first.
func (rn *run) colocateWithGroup(dependent, group *resource, c *colocation) {
	if !group.placed || len(group.children) == 0 {
		return
	}
	switch {
	case group.group.colocated && c.mandatory():
		rn.colocateWith(dependent, group.children[len(group.children)-1], c)
	case group.group.colocated:
		rn.colocateWith(dependent, group.children[0], c)
	case !c.mandatory():
		for _, m := range group.children {
			rn.colocateWith(dependent, m, c)
		}
	}
}

func (rn *run) colocateWithClone(dependent, clone *resource, c *colocation) {
	if !clone.placed {
		return
	}
	if clone.promotable && c.primaryRole != roleUnknown {
		if !dependent.placed {
			rn.colocateWithRole(dependent, clone, c)
			return
		}
		if c.dependentRole == rolePromoted {
			rn.colocatePromotionWithClone(dependent, clone, c)
			return
		}
	}
	if rn.interleaves(c) {
		instance := rn.compatibleInstance(dependent, clone.children)
		switch {
		case instance != nil:
			rn.colocate(dependent, instance, c)
		case c.mandatory():
			rn.setPlace(dependent, nil, true, true)
		}
		return
	}
	if !c.mandatory() {
		for _, i := range clone.children {
			rn.colocateWith(dependent, i, c)
		}
		return
	}
	var hosts nodeSet
	for _, i := range clone.children {
		if n := placeOf(i); n != nil && !anyBlocked(i) {
			hosts.put(n)
		}
	}
	rn.restrictTo(dependent, hosts)
}

// restrictTo bans r from all nodes but those.
func (rn *run) restrictTo(r *resource, hosts nodeSet) {
	for i, s := range r.allowed {
		if s != absent && !hosts.has(rn.nodes[i]) {
			r.allowed[i] = -infinity
		}
	}
}

// interleaves tells whether c relates instance with instance.
func (rn *run) interleaves(c *colocation) bool {
	d := c.dependent
	if d.kindRank() < 2 || !isTrue(d.meta["interleave"]) {
		return false
	}
	return d.perNode() == c.primary.perNode()
}

// perNode is how many instances of r a node may have.
func (r *resource) perNode() int {
	switch {
	case r.isClone():
		return r.clone.nodeMax
	case r.isBundle():
		return r.bundle.perHost
	}
	return 1
}

// compatibleInstance finds, among instances or containers, the one that is where r
// is; or, if r has no node yet, on the best of r's nodes that has one. A bundle node
// stands for its host.
func (rn *run) compatibleInstance(r *resource, instances []*resource) *resource {
	if n := placeOf(r); n != nil {
		return firstOn(instances, n.bundleHost(), placeOf)
	}
	firsts := rn.firstOnEach(instances, placeOf)
	return rn.bestWhere(r.allowed, func(n *node) *resource {
		if host := n.bundleHost(); host != nil {
			return firsts[host.index]
		}
		return nil
	})
}

// bundleHost is the node that a bundle node's container is assigned to, n itself
// if it is another kind of node.
func (n *node) bundleHost() *node {
	if !n.isBundle() {
		return n
	}
	if k := n.container(); k != nil {
		return k.assigned
	}
	return nil
}

// placeOf is the node that r is assigned to; for a collective, if it is one.
func placeOf(r *resource) *node {
	if r.isPrimitive() {
		return r.assigned
	}
	var found *node
	for _, c := range r.children {
		n := placeOf(c)
		if n == nil {
			continue
		}
		if found != nil && found != n {
			return nil
		}
		found = n
	}
	return found
}

// nextRoleOf is the highest next role in r.
func nextRoleOf(r *resource) role {
	if r.isPrimitive() {
		return r.nextRole
	}
	best := roleUnknown
	for _, c := range r.children {
		best = max(best, nextRoleOf(c))
	}
	return best
}

// currentRoleOf is the highest present role in r.
func currentRoleOf(r *resource) role {
	if r.isPrimitive() {
		return r.role
	}
	best := roleUnknown
	for _, c := range r.children {
		best = max(best, currentRoleOf(c))
	}
	return best
}

// anyBlocked tells whether r or something in it is blocked.
func anyBlocked(r *resource) bool {
	if r.blocked {
		return true
	}
	for _, c := range r.parts() {
		if anyBlocked(c) {
			return true
		}
	}
	return false
}

// colocateWithRole places an unplaced dependent by where the clone's instances
// of the wanted role are.
func (rn *run) colocateWithRole(dependent, clone *resource, c *colocation) {
	gains := map[*node]score{}
	for _, i := range clone.children {
		n := placeOf(i)
		if n == nil || nextRoleOf(i) != c.primaryRole {
			continue
		}
		if !c.mandatory() {
			value, known := rn.colocationValue(n, c, clone)
			for k, s := range dependent.allowed {
				if s != absent && rn.sameValue(rn.nodes[k], c, dependent, value, known) {
					dependent.allowed[k] = s.add(c.score)
				}
			}
		}
		gains[n] = assignedScore(i)
	}
	if !c.mandatory() || (c.dependentRole == rolePromoted && c.primaryRole == rolePromoted) {
		return
	}
	for k, s := range dependent.allowed {
		if s == absent {
			continue
		}
		gain, ok := gains[rn.nodes[k]]
		if !ok {
			dependent.allowed[k] = -infinity
			continue
		}
		dependent.allowed[k] = s.add(gain)
	}
}

// assignedScore is the score that r's node had when r was placed.
func assignedScore(r *resource) score {
	for len(r.children) > 0 {
		r = r.children[0]
	}
	return r.assignedScore
}

func (rn *run) colocateWithBundle(dependent, bundle *resource, c *colocation) {
	if !bundle.placed {
		return
	}
	replicas := bundle.bundle.replicas
	if c.dependent.kindRank() >= 2 {
		containers := make([]*resource, len(replicas))
		for i, p := range replicas {
			containers[i] = p.container
		}
		match := rn.compatibleInstance(dependent, containers)
		switch {
		case match != nil:
			rn.colocate(dependent, match, c)
		case c.mandatory():
			rn.setPlace(dependent, nil, true, true)
		}
		return
	}
	if !c.mandatory() {
		for _, p := range replicas {
			rn.colocateWith(dependent, p.container, c)
		}
		return
	}
	var hosts nodeSet
	for _, p := range replicas {
		n := p.container.assigned
		if n == nil || p.container.blocked {
			continue
		}
		if c.primaryRole >= rolePromoted && (p.child == nil || p.child.nextRole < rolePromoted) {
			continue
		}
		hosts.put(n)
	}
	rn.restrictTo(dependent, hosts)
}

// colocatePromotion changes the promotion priority of a placed instance by where
// a primitive went (SEMANTICS 14).
func (rn *run) colocatePromotion(dependent, primary *resource, c *colocation) {
	place := placeOf(dependent)
	if place == nil || (c.primaryRole != roleUnknown && c.primaryRole != roleOwner(primary).nextRole) {
		return
	}
	same := false
	if primary.assigned != nil {
		value, known := rn.colocationValue(primary.assigned, c, primary)
		same = rn.sameValue(place, c, dependent, value, known)
	}
	s := c.score
	switch {
	case same && c.dependentRole == roleUnpromoted:
		s = -s
	case same:
	case c.mandatory() && c.dependentRole == rolePromoted:
		s = -s
	default:
		return
	}
	dependent.priority = dependent.priority.add(s)
}

// colocatePromotionWithClone changes the promotion priority of a placed instance
// by whether the clone has an instance of the wanted role where it is.
func (rn *run) colocatePromotionWithClone(dependent, clone *resource, c *colocation) {
	if place := placeOf(dependent); place != nil {
		value, known := rn.colocationValue(place, c, dependent)
		for _, i := range clone.children {
			n := placeOf(i)
			if n != nil && nextRoleOf(i) == c.primaryRole && !anyBlocked(i) && rn.sameValue(n, c, clone, value, known) {
				dependent.priority = dependent.priority.add(c.score)
				return
			}
		}
	}
	if c.mandatory() {
		dependent.priority = -infinity
	}
}
