package transition

import (
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
)

// needsGrant tells whether an action may make its resource active, or more so.
func (s *step) needsGrant() bool {
	switch s.Kind {
	case cluster.ActionStart, cluster.ActionPromote, cluster.ActionMigrateTo, cluster.ActionMigrateFrom:
		return !s.Implied && !s.Internal
	}
	return false
}

func (s *step) role() string {
	if s.Kind == cluster.ActionPromote {
		return "Promoted"
	}
	return "Started"
}

// ends are the incarnations that a step's grant must name: its node's, or both
// ends of a migration. ok is false if one of them is not there.
func (e *Engine) ends(s *step) (ends []cluster.Incarnation, ok bool) {
	nodes := []string{s.Node}
	switch s.Kind {
	case cluster.ActionMigrateTo:
		nodes = []string{s.Node, e.walk.nodeOf(cluster.ActionMigrateFrom, s.Instance)}
	case cluster.ActionMigrateFrom:
		if source := e.walk.nodeOf(cluster.ActionMigrateTo, s.Instance); source != "" {
			nodes = []string{source, s.Node}
		}
	}
	for _, n := range nodes {
		m := e.state.Member(n)
		if m == nil {
			return nil, false
		}
		ends = append(ends, m.Incarnation)
	}
	return ends, true
}

func (w *walk) nodeOf(kind cluster.ActionKind, instance string) string {
	for i := range w.steps {
		if w.steps[i].Kind == kind && w.steps[i].Instance == instance {
			return w.steps[i].Node
		}
	}
	return ""
}

// usable returns the committed grant under which a step may begin, or nil.
func (e *Engine) usable(s *step, m *cluster.Member) *cluster.Grant {
	g := e.state.GrantFor(s.Instance, m.Name)
	if g == nil && e.walk.granting[s.ID].call > 0 && mutant.Is("start before the grant is committed") {
		return &cluster.Grant{}
	}
	ends, ok := e.ends(s)
	if g == nil || !ok || s.role() == "Promoted" && g.Role != "Promoted" {
		return nil
	}
	if len(g.Holders) > 1 && (s.Kind == cluster.ActionStart || s.Kind == cluster.ActionPromote) {
		return nil // it may be active at the other end of a migration
	}
	if _, lowered := e.lowering[g.ID]; lowered && s.role() == "Promoted" {
		return nil
	}
	if s.Kind == cluster.ActionMigrateTo && !e.awaited(g) {
		return nil // the target's word that nothing is there would hold for what is sent now
	}
	for _, end := range ends {
		if _, given := e.giving[part{g.ID, end}]; given || !slices.Contains(g.Holders, end) {
			return nil
		}
	}
	return g
}

// awaited tells whether the State says, and goes on saying, that a migration under g
// may bring its resource to the target. One that was given up is granted anew.
func (e *Engine) awaited(g *cluster.Grant) bool {
	if _, settling := e.settling[g.ID]; settling || len(g.Holders) < 2 {
		return false
	}
	target := e.state.Member(g.Holders[1].Node)
	return target != nil && target.Awaits(g.Instance)
}

// arrivalLook is how soon a migration's target is looked at again.
const arrivalLook = 20 * time.Millisecond

// targetKnows tells whether the target of a migration under g knows that something may
// arrive. Else it could, cut off, take itself for empty and feed its watchdog beyond
// the time that others count (rule 8).
func (e *Engine) targetKnows(g *cluster.Grant) bool {
	if len(g.Holders) < 2 {
		return true
	}
	if e.arriving[g.ID] == 0 {
		e.arriving[g.ID] = e.state.Index
	}
	return e.knows(g.Holders[1]) >= e.arriving[g.ID] || mutant.Is("migrate to who does not expect it")
}

// grant proposes, together, every grant that the walk will need and that nobody
// else holds: steps that wait for others get theirs ahead of time.
func (e *Engine) grant(now event.Time) {
	w := e.walk
	for id := range w.granting {
		s := &w.steps[id-1]
		if m := e.state.Member(s.Node); s.state != waiting || m != nil && e.usable(s, m) != nil {
			delete(w.granting, id)
		}
	}
	for i := range w.steps {
		s := &w.steps[i]
		if s.state != waiting || !s.needsGrant() {
			continue
		}
		m := e.state.Member(s.Node)
		if m == nil || e.usable(s, m) != nil || !e.obtainable(s) {
			continue
		}
		p := w.granting[s.ID]
		if p.call > 0 && now.Mono < p.at+proposeWait {
			w.again(p.at + proposeWait)
			continue
		}
		if p.call >= 5 {
			w.failure = true
			e.abort("no grant of " + s.Instance + " on " + s.Node)
			return
		}
		ends, _ := e.ends(s)
		if s.Kind == cluster.ActionMigrateFrom && len(ends) == 2 {
			continue // the other end has asked for both
		}
		w.granting[s.ID] = proposal{call: p.call + 1, at: now.Mono}
		e.asking[place{s.Node, s.Instance}] = now.Mono
		w.again(now.Mono + proposeWait)
		e.begin()
		e.propose(cluster.Command{Grant: &cluster.GrantChange{
			Transition: w.number, Grants: []cluster.Grant{{Resource: s.Resource, Instance: s.Instance, Role: s.role(), Holders: ends}},
		}})
	}
}

// begin records the begin of the transition, with the first thing that it commits.
func (e *Engine) begin() {
	if w := e.walk; w != nil && !w.begun {
		w.begun = true
		if w.number > e.state.Transition {
			e.propose(cluster.Command{Transition: &cluster.TransitionChange{Number: w.number}})
		}
	}
}

// obtainable tells whether a grant would be given: all it names are well, nobody
// else holds the instance (or gives it up in this very entry), and no probe of the
// resource is still to say where it is.
func (e *Engine) obtainable(s *step) bool {
	ends, ok := e.ends(s)
	if !ok {
		return false
	}
	for _, end := range ends {
		m := e.state.Member(end.Node)
		if m.State != cluster.NodeOnline && m.State != cluster.NodeLeaving || !m.Reported || e.state.OpenFencing(end.Node) != nil {
			return false
		}
	}
	for i := range e.walk.steps {
		p := &e.walk.steps[i]
		if p.Kind == cluster.ActionProbe && p.Resource == s.Resource && p.state != finished {
			return false
		}
	}
	if s.Kind == cluster.ActionPromote && e.promotedElsewhere(s) {
		return false
	}
	for _, h := range e.state.GrantHolders(s.Instance) {
		if !slices.Contains(ends, h) && !e.releasing(s.Instance, h) {
			return false
		}
	}
	return !e.askedElsewhere(s)
}

// askedElsewhere tells whether an earlier transition has asked for the instance on
// another node, and the answer is still to come: it is waited for, and released.
func (e *Engine) askedElsewhere(s *step) bool {
	if !e.state.Config.Exclusive(s.Instance) {
		return false
	}
	pending := false
	for p, at := range e.asking {
		if p.instance == s.Instance && p.node != s.Node && e.now.Mono < at+proposeWait {
			e.walk.again(at + proposeWait)
			e.walk.unsure = true
			pending = true
		}
	}
	return pending
}

// forgetAsked drops the proposals whose outcome the State shows.
func (e *Engine) forgetAsked() {
	for p := range e.asking {
		m := e.state.Member(p.node)
		if e.state.GrantFor(p.instance, p.node) != nil || m == nil || m.State == cluster.NodeLost || m.Off() {
			delete(e.asking, p)
		}
	}
}

// promotedElsewhere tells whether the plan still has to demote, or stop, another
// instance before this one may be promoted.
func (e *Engine) promotedElsewhere(s *step) bool {
	for i := range e.state.Grants {
		g := &e.state.Grants[i]
		if g.Resource != s.Resource || g.Role != "Promoted" || g.Holders[0].Node == s.Node {
			continue
		}
		for k := range e.walk.steps {
			d := &e.walk.steps[k]
			if (d.Kind == cluster.ActionDemote || d.Kind == cluster.ActionStop) && d.Node == g.Holders[0].Node && d.Resource == s.Resource && !e.demoting(g.Holders[0]) {
				return true
			}
		}
	}
	return false
}

// demoting tells whether this very entry carries a demotion, or stop, on h.
func (e *Engine) demoting(h cluster.Incarnation) bool {
	return slices.ContainsFunc(e.out.Commands, func(c cluster.Command) bool {
		return c.History != nil && c.History.Incarnation == h && (c.History.Entry.Operation == "demote" || c.History.Entry.Operation == "stop") && !c.History.Entry.Failed()
	})
}

// releasing tells whether the release of h's part in instance is under way: what
// is proposed from now on comes behind it.
func (e *Engine) releasing(instance string, h cluster.Incarnation) bool {
	return slices.ContainsFunc(e.state.Grants, func(g cluster.Grant) bool {
		_, given := e.giving[part{g.ID, h}]
		return given && g.Instance == instance
	})
}

// release proposes the end of h's part in g. From now on nothing begins under it.
func (e *Engine) release(g *cluster.Grant, h cluster.Incarnation) {
	key := part{g.ID, h}
	if at, given := e.giving[key]; given && e.now.Mono < at+proposeWait {
		return
	}
	e.giving[key] = e.now.Mono
	e.propose(cluster.Command{Release: &cluster.Release{IDs: []uint64{g.ID}, Holder: h}})
}

// settle proposes that the source of a migration is done, if it has not begun or
// its end is known: from then on the target can tell what it has.
func (e *Engine) settle(g *cluster.Grant) {
	if len(g.Holders) < 2 || e.outstandingGrant(g.Holders[0].Node, g) || e.wanted(g, g.Holders[0]) || e.wanted(g, g.Holders[1]) {
		return
	}
	source, target := e.state.Member(g.Holders[0].Node), e.state.Member(g.Holders[1].Node)
	if source == nil || target == nil || source.Incarnation != g.Holders[0] || !source.Reported || source.State == cluster.NodeLost || source.Off() || !target.Awaits(g.Instance) {
		return
	}
	if !e.hasAllOf(source) {
		return
	}
	if at, settling := e.settling[g.ID]; settling && e.now.Mono < at+proposeWait {
		return
	}
	e.settling[g.ID] = e.now.Mono
	e.begin()
	e.propose(cluster.Command{Release: &cluster.Release{IDs: []uint64{g.ID}, SourceDone: true}})
}

// Releasing tells whether the release of a grant is under way: what was blocked by it
// may begin then.
func (e *Engine) Releasing() bool { return len(e.giving) > 0 }

// hasAllOf tells whether the State has every result of m that is known to exist: those
// of before its report to this leader (an earlier one may have ordered something there,
// whose result is still to come), and those that were proposed since.
func (e *Engine) hasAllOf(m *cluster.Member) bool {
	call, told := e.told[m.Incarnation]
	return told && max(call, e.proposed[m.Incarnation].call) <= m.LastCall
}

// Doubtful tells whether a migration may have brought something to a node that is
// up, and that node has not been asked since its source was done.
func (e *Engine) Doubtful() bool {
	return slices.ContainsFunc(e.state.Members, func(m cluster.Member) bool {
		return m.State == cluster.NodeOnline && slices.ContainsFunc(m.Arriving, func(x cluster.Arrival) bool { return !m.Awaits(x.Resource) })
	})
}

// lower proposes to give back the promoted role of what runs, but not promoted:
// somebody else may need it. From now on nothing is promoted under g.
func (e *Engine) lower(g *cluster.Grant) {
	if at, lowered := e.lowering[g.ID]; lowered && e.now.Mono < at+proposeWait {
		return
	}
	e.lowering[g.ID] = e.now.Mono
	e.propose(cluster.Command{Release: &cluster.Release{IDs: []uint64{g.ID}, Promoted: true}})
}

// forgetGiven drops what the State shows to be released, or active after all.
func (e *Engine) forgetGiven() {
	for id := range e.lowering {
		i := slices.IndexFunc(e.state.Grants, func(g cluster.Grant) bool { return g.ID == id })
		if i < 0 || e.state.Grants[i].Role != "Promoted" {
			delete(e.lowering, id)
			continue
		}
		// Refused, or it will be: its history was erased meanwhile, say.
		g := &e.state.Grants[i]
		if h := g.Holders[0]; e.state.Member(h.Node) == nil || e.state.Member(h.Node).MayBePromoted(g.Instance) && e.proposed[h].call <= e.state.Member(h.Node).LastCall {
			delete(e.lowering, id)
		}
	}
	for id := range e.settling {
		if !slices.ContainsFunc(e.state.Grants, func(g cluster.Grant) bool { return g.ID == id && len(g.Holders) > 1 }) {
			delete(e.settling, id)
		}
	}
	for key := range e.giving {
		i := slices.IndexFunc(e.state.Grants, func(g cluster.Grant) bool { return g.ID == key.grant && slices.Contains(g.Holders, key.holder) })
		if i < 0 {
			delete(e.giving, key)
			continue
		}
		if m := e.state.Member(key.holder.Node); m == nil || m.Incarnation != key.holder || m.MayRun(e.state.Grants[i].Instance) && e.proposed[key.holder].call <= m.LastCall {
			delete(e.giving, key)
		}
	}
}

// releaseUnused gives back what nobody uses: grants of nodes that are well, know
// of nothing active, and have nothing of the instance under way.
func (e *Engine) releaseUnused() {
	for i := range e.state.Grants {
		g := &e.state.Grants[i]
		e.settle(g)
		for _, h := range g.Holders {
			m := e.state.Member(h.Node)
			if m == nil || m.Incarnation != h || !m.Reported || m.State != cluster.NodeOnline && m.State != cluster.NodeLeaving {
				continue
			}
			if !e.hasAllOf(m) || e.outstandingGrant(h.Node, g) || e.wanted(g, h) {
				continue
			}
			switch {
			case !m.MayRun(g.Instance):
				e.release(g, h)
			case g.Role == "Promoted" && len(g.Holders) == 1 && !m.MayBePromoted(g.Instance):
				e.lower(g)
			}
		}
	}
}

// outstandingGrant tells whether an operation under g may be under way on node, or
// at the other end of a migration: what is done there makes it active here.
func (e *Engine) outstandingGrant(node string, g *cluster.Grant) bool {
	if e.outstanding(node, g.Instance) {
		return true
	}
	for _, h := range g.Holders {
		if e.busy[e.at(h.Node, g.Instance)] != "" {
			return true
		}
	}
	for _, o := range e.orders {
		if o.sent.Grant == g.ID {
			return true
		}
	}
	return false
}

// wanted tells whether the walk will use h's part in g.
func (e *Engine) wanted(g *cluster.Grant, h cluster.Incarnation) bool {
	if e.walk == nil || e.walk.aborted != "" {
		return false
	}
	for i := range e.walk.steps {
		s := &e.walk.steps[i]
		if s.needsGrant() && s.state != finished && s.state != failed && (s.Instance == g.Instance || s.Resource == g.Resource && !e.state.Config.Exclusive(g.Instance)) {
			if ends, ok := e.ends(s); ok && slices.Contains(ends, h) {
				return true
			}
		}
	}
	return false
}
