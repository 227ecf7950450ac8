package cluster

import (
	"fmt"
	"slices"
	"strconv"

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
		m.Version = c.Version
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
		allowed = m.State == NodeOnline || m.State == NodeJoining
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

// fenceBegin commits a fencing. A target that was not lost yet is from now on:
// what has been ordered off gets nothing more to do.
func (a *applier) fenceBegin(c *FenceBegin) *Rejection {
	m := a.member(c.Target.Node)
	switch {
	case m == nil:
		return reject("not-found", "there is no node %s", c.Target.Node)
	case !m.Incarnation.Same(c.Target):
		return reject("conflict", "%s has begun another life meanwhile", m.Name)
	case c.Action != "off" && c.Action != "reboot" && c.Action != "on":
		return reject("invalid", "fencing action %q: must be off, reboot or on", c.Action)
	case a.s.OpenFencing(m.Name) != nil:
		return reject("conflict", "%s is being fenced already", m.Name)
	case c.Action == "on" && a.s.OpenOn(m.Name) != nil:
		return reject("conflict", "%s is being switched on already", m.Name)
	case c.Action == "on" && c.Device == "" && m.State != NodeOnline:
		return reject("unsafe", "%s is %s: only a node that is online is unfenced", m.Name, m.State)
	case c.Action == "on" && c.Device != "" && m.State != NodeFenced:
		return reject("conflict", "%s is %s: only a node that was fenced gets its power back", m.Name, m.State)
	}
	a.s.NextFence = max(a.s.NextFence, 1)
	f := Fencing{
		ID: a.s.NextFence, Target: c.Target, Action: c.Action, Reason: c.Reason, Requested: c.Requested,
		Caller: c.Caller, Device: c.Device, Begun: a.time,
	}
	a.s.NextFence++
	a.s.Fencings = append(a.fencings(), f)
	if f.ends() && !m.Off() && m.State != NodeLost {
		a.enter(m, NodeLost, "to be fenced: "+c.Reason)
	}
	if mutant.Is("a fencing counts when it begins") {
		a.releaseBoot(m.Name, m.Incarnation.Boot)
	}
	e := Event{
		Kind: "fencing", Severity: "warning", Node: m.Name, Stage: "fence", Cause: c.Target.cause(),
		Text: fmt.Sprintf("fencing of %s (%s) begun: %s", m.Name, c.Action, c.Reason),
	}
	if !f.ends() { // no stage of a failover
		e.Severity, e.Stage, e.Cause = "info", "", ""
		e.Text = fmt.Sprintf("%s begun: %s", f.what(), c.Reason)
	}
	a.event(e)
	return nil
}

// what names the kind of f for people.
func (f *Fencing) what() string {
	switch {
	case f.Action != "on":
		return fmt.Sprintf("fencing of %s (%s)", f.Target.Node, f.Action)
	case f.Device != "":
		return "power on of " + f.Target.Node
	}
	return "unfencing of " + f.Target.Node
}

// ends tells whether a success of f ends its target's life.
func (f *Fencing) ends() bool { return f.Action == "off" || f.Action == "reboot" }

// fenceEnd ends a fencing; its result counts only for the incarnation it names.
func (a *applier) fenceEnd(c *FenceEnd) *Rejection {
	fencings := a.fencings()
	i := slices.IndexFunc(fencings, func(f Fencing) bool {
		return f.Open() && (f.ID == c.ID || c.ID == 0) && f.Target == c.Target
	})
	if i < 0 {
		return reject("not-found", "no fencing %d of %s (incarnation %d) is open", c.ID, c.Target.Node, c.Target.Counter)
	}
	switch c.Result {
	case "ok", "failed", "confirmed", "abandoned":
	default:
		return reject("invalid", "result of a fencing %q: must be ok, failed, confirmed or abandoned", c.Result)
	}
	f := &fencings[i]
	f.Result, f.Error, f.Ended, f.Cut = c.Result, c.Error, a.time, c.Cut
	what := f.what()
	unfenced := f.Action == "on" && f.Device == ""
	if c.Caller != "" {
		f.Caller = c.Caller
	}
	if c.Device != "" {
		f.Device = c.Device
	}
	if c.Attempts > 0 {
		f.Attempts = c.Attempts
	}
	ended := *f
	a.trimFencings()

	success := c.Result == "ok" || c.Result == "confirmed"
	e := Event{
		Kind: "fencing", Node: c.Target.Node, Stage: "fence", Cause: c.Target.cause(), Took: ended.Ended.Sub(ended.Begun),
		Text: fmt.Sprintf("%s: %s", what, c.Result),
	}
	if !ended.ends() {
		e.Stage, e.Cause = "", ""
	}
	if ended.Device != "" {
		e.Text += " by " + ended.Device
	}
	if c.Error != "" {
		e.Text += ": " + c.Error
	}
	if c.Result == "failed" {
		e.Severity = "error"
	}
	a.event(e)
	m := a.member(c.Target.Node)
	if !success || m == nil || !m.Incarnation.Same(c.Target) && !(ended.ends() && mutant.Is("admit while a fencing is open")) {
		return nil
	}
	switch {
	case unfenced && m.State == NodeOnline:
		m.setAttribute(UnfencedAttribute, strconv.FormatInt(a.time.Unix(), 10))
	case ended.ends():
		a.fenced(m, c.Cut)
	}
	return nil
}

// UnfencedAttribute is the transient node attribute that says since when a node
// is unfenced (Pacemaker's name).
const UnfencedAttribute = "#node-unfenced"

// fenced makes m off. Where only storage or network was cut, that holds for the
// resources that are declared to need it; the node may go on running the others
// (rule 3).
func (a *applier) fenced(m *Member, cut bool) {
	if m.State == NodeFenced && !m.Cut {
		return
	}
	if cut {
		a.dropHolders(func(g *Grant, h Incarnation) bool {
			return h.Node == m.Name && h.Boot == m.Incarnation.Boot && a.s.Config.CutBy(g.Resource)
		})
	} else {
		a.releaseBoot(m.Name, m.Incarnation.Boot)
	}
	reason := "confirmed off"
	if m.Cut = cut; cut {
		reason = "cut off from storage or network; may still run"
	}
	a.enter(m, NodeFenced, reason)
}

// trimFencings drops the oldest ended fencings beyond HistoryLimit, but none that
// makes a loss final.
func (a *applier) trimFencings() {
	ended := 0
	for i := range a.s.Fencings {
		if !a.s.Fencings[i].Open() {
			ended++
		}
	}
	a.s.Fencings = slices.DeleteFunc(a.s.Fencings, func(f Fencing) bool {
		if ended <= HistoryLimit || f.Open() {
			return false
		}
		if m := a.s.Member(f.Target.Node); m != nil && m.State == NodeLost && m.Incarnation.Boot == f.Target.Boot {
			return false
		}
		ended--
		return true
	})
}

// OpenOn returns the open action that switches a node on or unfences it, or nil.
func (s *State) OpenOn(node string) *Fencing {
	for i := range s.Fencings {
		if f := &s.Fencings[i]; f.Open() && !f.ends() && f.Target.Node == node {
			return f
		}
	}
	return nil
}

// OpenFencing returns the open fencing of a node that ends its life, or nil.
func (s *State) OpenFencing(node string) *Fencing {
	for i := range s.Fencings {
		if f := &s.Fencings[i]; f.Open() && f.ends() && f.Target.Node == node {
			return f
		}
	}
	return nil
}
