package core

import (
	"fmt"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
	"linuxha/internal/core/fencing"
)

// beginFencing returns the fencing of a member that is (about to be) lost; nil if
// none may or can begin.
func (c *Core) beginFencing(m *cluster.Member, reason string) *cluster.FenceBegin {
	if !c.state.Config.FencingEnabled() || c.state.OpenFencing(m.Name) != nil || !c.fences.MayBegin(c.now.Mono, m.Name) {
		return nil
	}
	if c.fencingsUnderWay() >= max(1, (len(c.state.Members)-1)/2) {
		return nil
	}
	action := c.fenceAction()
	if len(fencing.Routes(&c.state.Config, m.Name, action)) == 0 {
		return nil
	}
	return &cluster.FenceBegin{Target: m.Incarnation, Action: action, Reason: reason, Caller: c.self.Node}
}

// routes returns the ways of fencing a node.
func (c *Core) routes(target, action string) []fencing.Route {
	return fencing.Routes(&c.state.Config, target, action)
}

// fencingsUnderWay counts the nodes that are being fenced, or were and still
// vote: no more than a minority, or one, before the membership is smaller. A
// fault of our own must not shoot a whole cluster.
func (c *Core) fencingsUnderWay() int {
	count := 0
	for i := range c.state.Members {
		m := &c.state.Members[i]
		lost, fence := c.lead.wishes[lifeKey(m.Incarnation, cluster.NodeLost)], c.lead.wishes["fence/"+m.Name]
		if c.state.OpenFencing(m.Name) != nil || m.State == cluster.NodeFenced && m.Voter || lost.entry != 0 || fence.entry != 0 {
			count++ // begun, or about to be
		}
	}
	return count
}

// fenceAction is what a lost node is fenced with.
func (c *Core) fenceAction() string {
	if c.state.Config.Option("fencing-action", "stonith-action") == "off" {
		return "off"
	}
	return "reboot"
}

// leadFencing begins what fencings there have to be, and carries out the open ones.
func (c *Core) leadFencing() {
	now := c.now.Mono
	for i := range c.state.Members {
		m := &c.state.Members[i]
		if m.State == cluster.NodeLost && m.Name != c.self.Node && c.state.OpenFencing(m.Name) == nil {
			if begin := c.beginFencing(m, m.Reason); begin != nil && c.mustFence(m) {
				c.want("fence/"+m.Name, cluster.Command{Fence: begin})
			}
			if m.WatchdogTimeout == 0 && (!c.state.Config.FencingEnabled() || len(c.routes(m.Name, c.fenceAction())) == 0) {
				c.alarm("unfenceable/"+causeOf(m.Incarnation), m.Name, fmt.Sprintf(
					"%s is lost and no device can fence it: what it ran is not recovered; make sure that it is off, then say: ha fence confirm %s", m.Name, m.Name))
			}
		}
	}
	for _, t := range c.fences.Review(now, c.state, c.routes, c.headStart) {
		c.trace("%s", t)
	}
	for _, id := range c.fences.Due(now) {
		if f := c.fencingByID(id); f != nil && f.Target.Node == c.self.Node {
			continue // doLead hands over
		}
		c.confirmThen(func() {
			// What the majority took back meanwhile is not shot.
			if f := c.fencingByID(id); f == nil || !f.Open() {
				return
			}
			if call := c.fences.Call(id); call != nil {
				c.trace("calls %s to %s %s, attempt %d", call.Device, call.Action, call.Target.Node, call.Attempt)
				c.out.Fences = append(c.out.Fences, *call)
			}
		})
	}
	for _, end := range c.fences.Ended() {
		if c.want(fmt.Sprintf("fenced/%d", end.ID), cluster.Command{FenceDone: &end}) {
			c.trace("fencing %d of %s: %s %s", end.ID, end.Target.Node, end.Result, end.Error)
			if end.Result == "ok" {
				c.fences.Succeeded(end.Target.Node)
			} else {
				c.fences.Failed(now, end.Target.Node)
			}
		}
	}
}

// mustFence tells whether a lost member has to be fenced still: not if it is back
// and can be adopted.
func (c *Core) mustFence(m *cluster.Member) bool {
	v := c.peer(m.Name)
	return !v.Reachable || c.lossIsFinal(m)
}

func (c *Core) fencingByID(id uint64) *cluster.Fencing {
	for i := range c.state.Fencings {
		if c.state.Fencings[i].ID == id {
			return &c.state.Fencings[i]
		}
	}
	return nil
}

// headStart is how long the first call of a device for target waits.
func (c *Core) headStart(target, action string) time.Duration {
	base, extra := fencing.Delay(&c.state.Config, target, action)
	return base + c.random.upTo(extra)
}

// fenceCalled takes a device's answer.
func (c *Core) fenceCalled(e event.FenceCalled) {
	verdict := "succeeded"
	if !e.OK {
		verdict = "failed: " + e.Error
	}
	c.trace("%s %s of %s %s after %v", e.Call.Device, e.Call.Action, e.Call.Target.Node, verdict, e.Took)
	switch {
	case e.Call.ID&localFence != 0:
		c.two.vote.Called(c.now.Mono, e)
	case c.lead.term != 0:
		e.OK = e.OK || mutant.Is("a failed fencing counts")
		c.fences.Called(c.now.Mono, e)
	}
}

// endOutlived ends the fencing of a life that is over by itself: its node has
// booted anew. A call that may still be under way is waited for first, so that it
// cannot hit the new life (rule 3).
func (c *Core) endOutlived(f *cluster.Fencing) {
	busy, ever := c.fences.Busy(f.ID)
	if busy || !c.settled() {
		return
	}
	result := "abandoned"
	if ever || f.Caller != c.self.Node || c.fencingOlder(f) {
		result = "failed"
	}
	if !ever && result == "failed" && c.now.Mono-c.lead.since < c.longestCall(f) && c.callerMayCall(f) {
		return
	}
	c.want(fmt.Sprintf("fenced/%d", f.ID), cluster.Command{FenceDone: &cluster.FenceEnd{
		ID: f.ID, Target: f.Target, Result: result, Error: "the node has booted anew",
	}})
}

// fencingOlder tells whether f began before this node led.
func (c *Core) fencingOlder(f *cluster.Fencing) bool {
	for _, id := range c.lead.inherited {
		if id == f.ID {
			return true
		}
	}
	return false
}

// callerMayCall tells whether the daemon that called the device for f may still
// do so: not if its node is off.
func (c *Core) callerMayCall(f *cluster.Fencing) bool {
	m := c.state.Member(f.Caller)
	return m != nil && !m.Off()
}

// longestCall bounds how long a call for f can last.
func (c *Core) longestCall(f *cluster.Fencing) time.Duration {
	var longest time.Duration
	for _, r := range fencing.Routes(&c.state.Config, f.Target.Node, f.Action) {
		for _, s := range r.Steps {
			longest = max(longest, s.Call.Timeout)
		}
	}
	return longest
}
