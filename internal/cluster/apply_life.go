package cluster

import (
	"fmt"
	"slices"

	"linuxha/internal/cluster/mutant"
)

// node moves an incarnation through its life (safety rules 3, 4 and 8).
func (a *applier) node(c *NodeChange) *Rejection {
	name := c.Incarnation.Node
	m := a.member(name)
	if m == nil {
		return reject("not-found", "%s is no member", name)
	}
	if c.Incarnation.Counter == 0 || c.Incarnation.Boot == "" {
		return reject("invalid", "%s: an incarnation needs a counter and a boot id", name)
	}
	if c.Version != "" {
		if r := a.tooOld(name, c.Format); r != nil {
			return r
		}
	}
	if m.Incarnation != c.Incarnation {
		if c.Incarnation.Counter <= m.Incarnation.Counter {
			return reject("conflict", "%s: incarnation %d is not newer than %d", name, c.Incarnation.Counter, m.Incarnation.Counter)
		}
		if r := a.newLife(m, c); r != nil {
			return r
		}
	} else if c.State == NodeOnline && m.State == NodeOnline && c.Lease > 0 {
		m.WatchdogTimeout, m.Lease = c.WatchdogTimeout, c.Lease
		return nil
	} else if r := a.sameLife(m, c); r != nil {
		return r
	}
	if c.Version != "" {
		m.Version, m.Format = c.Version, c.Format
	}
	if len(c.Links) > 0 {
		m.Links = c.Links
	}
	if c.State == NodeJoining || c.State == NodeOnline && c.Lease > 0 {
		m.WatchdogTimeout, m.Lease = c.WatchdogTimeout, c.Lease
	}
	a.enter(m, c.State, c.Reason)
	return nil
}

// newLife admits an incarnation that is newer than the member's: rule 3 says when
// the old one counts as over.
func (a *applier) newLife(m *Member, c *NodeChange) *Rejection {
	if c.State != NodeJoining {
		return reject("conflict", "%s: a new incarnation must join before it can be %s", m.Name, c.State)
	}
	if a.s.OpenFencing(m.Name) != nil && !mutant.Is("admit while a fencing is open") {
		return reject("unsafe", "%s: a fencing of its former life is open", m.Name)
	}
	if m.Incarnation.Boot == c.Incarnation.Boot && !mutant.Is("a restarted daemon is a new boot") {
		if r := a.lossFinal(m); r != nil {
			return r
		}
	} else {
		// Another boot id: nothing of the former boot is left.
		a.releaseBoot(m.Name, m.Incarnation.Boot)
		m.Attributes, m.History, m.Unsure, m.Cut = nil, nil, nil, false
	}
	m.Incarnation = c.Incarnation
	m.LastCall = 0
	return nil
}

// sameLife checks a change of state of the incarnation that the member has.
func (a *applier) sameLife(m *Member, c *NodeChange) *Rejection {
	allowed := false
	switch c.State {
	case NodeJoining:
		if m.State == NodeLost || m.State == NodeOnline || m.State == NodeLeaving || m.State == NodeOffline {
			if a.s.OpenFencing(m.Name) != nil {
				return reject("unsafe", "%s: a fencing of it is open", m.Name)
			}
			if r := a.lossFinal(m); r != nil {
				return r
			}
			allowed = true
		}
	case NodeOnline:
		allowed = (m.State == NodeJoining || m.State == NodeLeaving) && m.Reported
	case NodeLeaving:
		// Nothing is planned for, and no report is taken from, who leaves unreported.
		allowed = m.State == NodeOnline || m.State == NodeJoining && m.Reported
	case NodeLost:
		allowed = m.State == NodeOnline || m.State == NodeJoining || m.State == NodeLeaving
	case NodeOffline:
		if m.State == NodeLeaving || m.State == NodeJoining && m.Reported {
			if slices.ContainsFunc(a.s.Grants, func(g Grant) bool { return g.heldBy(m.Name) }) {
				return reject("unsafe", "%s still holds resources: it cannot be offline", m.Name)
			}
			allowed = true
		}
		if m.State == NodeLost {
			// By rule 8's time it has stopped everything, or was reset. Where a fencing
			// has begun it is fenced instead, so that only another boot brings it back.
			if r := a.timed(m); r != nil {
				return r
			}
			if r := a.lossFinal(m); r != nil {
				return r
			}
			a.releaseBoot(m.Name, m.Incarnation.Boot)
			allowed = true
		}
	case NodeFenced:
		if m.State == NodeLost {
			if r := a.timed(m); r != nil {
				return r
			}
			a.releaseBoot(m.Name, m.Incarnation.Boot)
			allowed = true
		}
	}
	if !allowed {
		return reject("conflict", "%s is %s (reported %t): it cannot become %s", m.Name, m.State, m.Reported, c.State)
	}
	return nil
}

// timed refuses to call a lost node off by time alone if nothing resets it.
func (a *applier) timed(m *Member) *Rejection {
	if m.WatchdogTimeout <= 0 {
		return reject("unsafe", "%s reported no watchdog: time alone does not confirm it off", m.Name)
	}
	return nil
}

// lossFinal refuses what has been fenced, or may have been: once the fencing of a
// lost incarnation began, only another boot brings the node back.
func (a *applier) lossFinal(m *Member) *Rejection {
	if m.State == NodeFenced {
		return reject("unsafe", "%s was fenced: it must boot before it joins again", m.Name)
	}
	if m.State != NodeLost {
		return nil
	}
	for i := range a.s.Fencings {
		f := &a.s.Fencings[i]
		if f.Target.Node == m.Name && f.Target.Boot == m.Incarnation.Boot && f.ends() && f.Result != "abandoned" {
			return reject("unsafe", "%s: its fencing began after it was lost, so it must boot before it joins again", m.Name)
		}
	}
	return nil
}

// enter sets m's state with what follows from it.
func (a *applier) enter(m *Member, state NodeState, reason string) {
	was := m.State
	m.State, m.Reason, m.Since = state, reason, a.time
	if state == NodeLost && mutant.Is("lost means off") {
		a.releaseBoot(m.Name, m.Incarnation.Boot)
	}
	switch state {
	case NodeJoining:
		m.Reported = false
	case NodeFenced:
		m.Attributes, m.History, m.Unsure, m.Arriving, m.Reported = nil, nil, nil, nil, false
		m.WatchdogTimeout, m.Lease = 0, 0
	case NodeOffline:
		m.History, m.Unsure, m.Arriving, m.Reported = nil, nil, nil, false
		m.WatchdogTimeout, m.Lease = 0, 0
	}
	if state != NodeOnline && slices.ContainsFunc(a.s.Moves, func(o Move) bool { return o.Node == m.Name }) {
		a.s.Moves = slices.DeleteFunc(slices.Clone(a.s.Moves), func(o Move) bool { return o.Node == m.Name })
	}
	e := Event{Kind: "node", Node: m.Name, Text: fmt.Sprintf("%s is %s (was %s)", m.Name, state, was)}
	if reason != "" {
		e.Text += ": " + reason
	}
	if state == NodeLost {
		e.Severity, e.Stage, e.Cause = "error", "lost", m.Incarnation.cause()
	}
	a.event(e)
}

// cause ties the events of one failover together.
func (i Incarnation) cause() string { return fmt.Sprintf("%s.%d", i.Node, i.Counter) }
