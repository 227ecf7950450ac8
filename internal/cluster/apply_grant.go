package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"linuxha/internal/cluster/mutant"
)

// heldBy tells whether node holds a part of g, in whichever incarnation.
func (g *Grant) heldBy(node string) bool {
	return slices.ContainsFunc(g.Holders, func(i Incarnation) bool { return i.Node == node })
}

// GrantFor returns the grant of an instance that node may use, or nil. Instances
// of an anonymous clone stand for each other on one node.
func (s *State) GrantFor(instance, node string) *Grant {
	exclusive := s.Config.Exclusive(instance)
	for i := range s.Grants {
		g := &s.Grants[i]
		same := g.Instance == instance || !exclusive && g.Resource == ConfiguredID(instance)
		if same && g.heldBy(node) {
			return g
		}
	}
	return nil
}

// GrantHolders returns who holds the exclusive right to an instance; nil if
// nobody does, or if it is not exclusive.
func (s *State) GrantHolders(instance string) []Incarnation {
	if !s.Config.Exclusive(instance) {
		return nil
	}
	for i := range s.Grants {
		if s.Grants[i].Instance == instance {
			return s.Grants[i].Holders
		}
	}
	return nil
}

// Exclusive tells whether an instance may be active on one node only. It is so for
// everything but the instances of anonymous clones, which may be on one each.
func (c *Config) Exclusive(instance string) bool {
	if mutant.Is("grant what another holds") {
		return false
	}
	clone := c.cloneOf(ConfiguredID(instance))
	if clone == nil {
		return true
	}
	if unique := Value(clone.Meta, "globally-unique"); unique != "" {
		return IsTrue(unique)
	}
	n, err := strconv.Atoi(Value(clone.Meta, "clone-node-max"))
	return err == nil && n > 1
}

// cloneOf returns the clone that contains the configured resource id, or nil.
func (c *Config) cloneOf(id string) *Resource {
	top := c.TopResource(id)
	if top == nil || top.Kind != Clone {
		return nil
	}
	return top
}

// IsTrue tells whether a text is one of the words for true (SEMANTICS 1).
func IsTrue(text string) bool {
	switch strings.ToLower(text) {
	case "true", "on", "yes", "y", "1":
		return true
	}
	return false
}

// promotedMax is how many instances of a resource may be promoted at once.
func (c *Config) promotedMax(id string) int {
	clone := c.cloneOf(id)
	if clone == nil {
		return 1
	}
	for _, name := range []string{"promoted-max", "master-max"} {
		if n, err := strconv.Atoi(Value(clone.Meta, name)); err == nil && n > 0 {
			return n
		}
	}
	return 1
}

// grant adds all grants of c, or none.
func (a *applier) grant(c *GrantChange) *Rejection {
	before, next := a.s.Grants, a.s.NextGrant
	a.s.Grants, a.ownGrants = slices.Clone(a.s.Grants), true
	for i := range c.Grants {
		if r := a.grantOne(c.Grants[i]); r != nil {
			a.s.Grants, a.s.NextGrant, a.ownGrants = before, next, false
			return r
		}
	}
	slices.SortStableFunc(a.s.Grants, compareGrants)
	return nil
}

func compareGrants(x, y Grant) int {
	if c := compareText(x.Instance, y.Instance); c != 0 {
		return c
	}
	if c := compareText(x.Role, y.Role); c != 0 {
		return c
	}
	return compareText(x.Holders[0].Node, y.Holders[0].Node)
}

func (a *applier) grantOne(g Grant) *Rejection {
	if g.Instance == "" || len(g.Holders) < 1 || len(g.Holders) > 2 || g.Role != "Started" && g.Role != "Promoted" {
		return reject("invalid", "grant of %s: needs an instance, a role (Started or Promoted) and one holder or both ends of a migration", g.Instance)
	}
	if len(g.Holders) == 2 && g.Holders[0].Node == g.Holders[1].Node {
		return reject("invalid", "grant of %s: a migration needs two nodes", g.Instance)
	}
	g.Resource = ConfiguredID(g.Instance)
	for _, h := range g.Holders {
		if r := a.mayHold(g.Instance, h); r != nil {
			return r
		}
	}
	exclusive := a.s.Config.Exclusive(g.Instance)
	promoted := 0
	existing := -1
	for i := range a.s.Grants {
		o := &a.s.Grants[i]
		if o.Resource == g.Resource && o.Role == "Promoted" && !o.heldBy(g.Holders[len(g.Holders)-1].Node) {
			promoted++
		}
		if exclusive && o.Instance != g.Instance {
			continue
		}
		if !exclusive && (o.Resource != g.Resource || !overlap(o.Holders, g.Holders)) {
			continue
		}
		if !contains(g.Holders, o.Holders) {
			return reject("conflict", "grant of %s to %s: %s holds it", g.Instance, holderNames(g.Holders), holderNames(o.Holders))
		}
		existing = i
	}
	if g.Role == "Promoted" && promoted >= a.s.Config.promotedMax(g.Resource) {
		return reject("conflict", "grant of %s to %s: %d other instances are promoted already", g.Instance, holderNames(g.Holders), promoted)
	}
	a.s.NextGrant = max(a.s.NextGrant, 1)
	if existing >= 0 {
		o := &a.s.Grants[existing]
		if len(g.Holders) > 1 || !slices.Equal(o.Holders, g.Holders) {
			// Another right, or another migration: what was meant for the former one misses it.
			o.ID = a.s.NextGrant
			a.s.NextGrant++
		}
		o.Holders = slices.Clone(g.Holders)
		if len(g.Holders) > 1 {
			a.arrives(g.Instance, g.Holders[1].Node)
		}
		if g.Role == "Promoted" {
			o.Role = g.Role
		}
		return nil
	}
	g.ID = a.s.NextGrant
	a.s.NextGrant++
	g.Holders = slices.Clone(g.Holders)
	if len(g.Holders) > 1 {
		a.arrives(g.Instance, g.Holders[1].Node)
	}
	a.s.Grants = append(a.s.Grants, g)
	return nil
}

// mayHold refuses holders that are not known to be well.
func (a *applier) mayHold(instance string, h Incarnation) *Rejection {
	m := a.s.Member(h.Node)
	switch {
	case m == nil:
		return reject("not-found", "grant of %s: there is no node %s", instance, h.Node)
	case m.Incarnation != h:
		return reject("conflict", "grant of %s: incarnation %d of %s is not its newest (%d)", instance, h.Counter, h.Node, m.Incarnation.Counter)
	case m.State != NodeOnline && m.State != NodeLeaving, !m.Reported:
		return reject("unsafe", "grant of %s: %s is %s", instance, h.Node, m.State)
	case m.Witness:
		return reject("unsafe", "grant of %s: %s is a witness and runs nothing", instance, h.Node)
	case a.s.OpenFencing(h.Node) != nil:
		return reject("unsafe", "grant of %s: %s is being fenced", instance, h.Node)
	}
	return nil
}

func overlap(x, y []Incarnation) bool {
	return slices.ContainsFunc(x, func(i Incarnation) bool {
		return slices.ContainsFunc(y, func(j Incarnation) bool { return i.Node == j.Node })
	})
}

func contains(all, part []Incarnation) bool {
	for _, i := range part {
		if !slices.Contains(all, i) {
			return false
		}
	}
	return true
}

func holderNames(holders []Incarnation) string {
	names := make([]string, len(holders))
	for i, h := range holders {
		names[i] = fmt.Sprintf("%s (incarnation %d)", h.Node, h.Counter)
	}
	return strings.Join(names, " and ")
}

// release ends grants whose owner, alive and known, reported nothing of them
// active. What a lost node holds ends by rule 3 only.
func (a *applier) release(c *Release) *Rejection {
	for _, id := range c.IDs {
		i := slices.IndexFunc(a.s.Grants, func(g Grant) bool { return g.ID == id })
		if i < 0 {
			return reject("not-found", "there is no grant %d", id)
		}
		if c.SourceDone {
			a.sourceDone(a.s.Config.historyName(a.s.Grants[i].Instance), a.s.Transition)
			continue
		}
		for _, h := range a.s.Grants[i].Holders {
			if !c.Holder.IsZero() && h != c.Holder {
				continue
			}
			m := a.s.Member(h.Node)
			if m == nil || m.Incarnation != h || !m.Reported || m.State == NodeLost || m.Off() {
				return reject("unsafe", "release of %s: what %s runs is not known", a.s.Grants[i].Instance, h.Node)
			}
			if c.Promoted {
				if m.MayBePromoted(a.s.Grants[i].Instance) {
					return reject("unsafe", "release of %s as promoted: %s has not reported it demoted", a.s.Grants[i].Instance, h.Node)
				}
				continue
			}
			if m.MayRun(a.s.Grants[i].Instance) && !mutant.Is("release when the stop is ordered") {
				return reject("unsafe", "release of %s: %s has not reported it stopped", a.s.Grants[i].Instance, h.Node)
			}
		}
	}
	if c.SourceDone {
		return nil
	}
	if c.Promoted {
		grants := a.grants()
		for i := range grants {
			if slices.Contains(c.IDs, grants[i].ID) {
				grants[i].Role = "Started"
			}
		}
		slices.SortStableFunc(grants, compareGrants)
		return nil
	}
	for _, id := range c.IDs {
		a.dropHolders(func(g *Grant, h Incarnation) bool { return g.ID == id && (c.Holder.IsZero() || h == c.Holder) })
	}
	return nil
}

// releaseBoot ends what any incarnation of a node's boot holds: that boot is over.
func (a *applier) releaseBoot(node, boot string) {
	a.dropHolders(func(_ *Grant, h Incarnation) bool { return h.Node == node && h.Boot == boot })
}

// dropHolders takes matching holders out of grants, and grants without a holder away.
func (a *applier) dropHolders(match func(*Grant, Incarnation) bool) {
	grants := a.grants()
	kept := grants[:0]
	for i := range grants {
		g := grants[i]
		if slices.ContainsFunc(g.Holders, func(h Incarnation) bool { return match(&g, h) }) {
			g.Holders = slices.DeleteFunc(slices.Clone(g.Holders), func(h Incarnation) bool { return match(&g, h) })
			if len(grants[i].Holders) > 1 {
				a.sourceGone(a.s.Config.historyName(g.Instance))
			}
		}
		if len(g.Holders) > 0 {
			kept = append(kept, g)
		}
	}
	a.s.Grants = kept
}

// adopt grants an instance that is active without a grant to the node that has it.
// If somebody else has the right to it, it is active twice: people are told, and
// the history makes the scheduler stop it.
func (a *applier) adopt(m *Member, instance, role string) {
	if role != "Promoted" {
		role = "Started"
	}
	if g := a.s.GrantFor(instance, m.Name); g != nil && (g.Role == role || role == "Started") {
		return
	}
	if r := a.conflicting(instance, m.Name); r != nil {
		a.event(Event{Kind: "alarm", Severity: "error", Node: m.Name, Resource: instance, Text: fmt.Sprintf("%s is active on %s, but %s holds it", instance, m.Name, holderNames(r))})
		return
	}
	if g := a.s.GrantFor(instance, m.Name); g != nil {
		grants := a.grants()
		grants[slices.IndexFunc(grants, func(o Grant) bool { return o.ID == g.ID })].Role = role
		return
	}
	a.s.NextGrant = max(a.s.NextGrant, 1)
	g := Grant{ID: a.s.NextGrant, Resource: ConfiguredID(instance), Instance: instance, Role: role, Holders: []Incarnation{m.Incarnation}}
	a.s.NextGrant++
	a.s.Grants = append(a.grants(), g)
	slices.SortStableFunc(a.s.Grants, compareGrants)
}

// conflicting returns who else holds an exclusive instance.
func (a *applier) conflicting(instance, node string) []Incarnation {
	for _, h := range a.s.GrantHolders(instance) {
		if h.Node != node {
			return a.s.GrantHolders(instance)
		}
	}
	return nil
}
