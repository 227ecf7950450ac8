package cluster

import (
	"fmt"
	"slices"
	"strconv"

	"linuxha/internal/cluster/mutant"
)

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
		e.Text = fmt.Sprintf("%s begun: %s", f.What(), c.Reason)
	}
	a.event(e)
	return nil
}

// What names f for people: "fencing of beta (reboot)".
func (f *Fencing) What() string {
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
		return f.Open() && (f.ID == c.ID || c.ID == 0 && f.ends()) && f.Target == c.Target
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
	what := f.What()
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
		a.fenced(m, c.Cut && !mutant.Is("cutting storage ends everything"))
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
