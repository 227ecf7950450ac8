package core

import (
	"fmt"
	"strconv"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
	"linuxha/internal/core/fencing"
)

// beginFencing returns the fencing of a member that is (about to be) lost; nil if
// none may or can begin.
func (c *Core) beginFencing(m *cluster.Member, reason string) *cluster.FenceBegin {
	action := c.fenceAction()
	if c.frozen() || !c.state.Config.FencingEnabled() || c.state.OpenFencing(m.Name) != nil || !c.fences.MayBegin(c.now.Mono, m.Name, action) {
		return nil
	}
	if len(fencing.Routes(c.state, m.Name, action)) == 0 || c.tooMany(m.Name) {
		return nil
	}
	return &cluster.FenceBegin{Target: m.Incarnation, Action: action, Reason: reason, Caller: c.self.Node}
}

// routes returns the ways of carrying a fencing out.
func (c *Core) routes(f *cluster.Fencing) []fencing.Route {
	if f.Action == "on" && f.Device != "" {
		return fencing.PowerBack(c.state, f.Target.Node, f.Device)
	}
	return fencing.Routes(c.state, f.Target.Node, f.Action)
}

// tooMany tells whether the fencing of one more node would go beyond the limit: no
// more than a minority, or one, before the membership is smaller, unless
// fencing_max_nodes says otherwise. A fault of our own must not shoot a whole
// cluster: beyond the limit it stands still and says so.
func (c *Core) tooMany(node string) bool {
	if mutant.Is("fence any number of nodes") {
		return false
	}
	if m := c.state.Member(node); m != nil && c.fencingTried(m) {
		return false // it is one of those already
	}
	limit := max(1, (len(c.state.Members)-1)/2)
	if n, err := strconv.Atoi(c.state.Config.Option("fencing-max-nodes")); err == nil && n > 0 {
		limit = n
	}
	if c.fencingsUnderWay() < limit {
		c.lead.limited = 0
		delete(c.lead.alarmed, "too many fencings")
		return false
	}
	if c.lead.limited == 0 {
		c.lead.limited = c.now.Mono
	}
	if c.now.Mono-c.lead.limited < max(startGrace, 10*c.detector.Times().Dead) {
		return true // the membership is about to get smaller
	}
	c.alarm("too many fencings", node, fmt.Sprintf(
		"%s is not fenced: at most %d nodes are fenced before the membership is smaller (fencing_max_nodes); look for a common cause, or fence it yourself: ha fence %s", node, limit, node))
	return true
}

// fencingTried tells whether a device has failed to fence a node that is lost: it may be
// off, or be shot by the next attempt.
func (c *Core) fencingTried(m *cluster.Member) bool {
	return m.State == cluster.NodeLost && c.lossIsFinal(m)
}

// fencingsUnderWay counts the nodes that are being fenced, for which that has failed so
// far, or that were fenced and still vote.
func (c *Core) fencingsUnderWay() int {
	count := 0
	for i := range c.state.Members {
		m := &c.state.Members[i]
		lost, fence := c.lead.wishes[lifeKey(m.Incarnation, cluster.NodeLost)], c.lead.wishes["fence/"+m.Name]
		if c.state.OpenFencing(m.Name) != nil || m.State == cluster.NodeFenced && m.Voter || c.fencingTried(m) || lost.entry != 0 || fence.entry != 0 {
			count++ // begun, or about to be
		}
	}
	return count
}

// fenceAction is what a lost node is fenced with.
func (c *Core) fenceAction() string {
	switch c.state.Config.Option("fencing-action", "stonith-action") {
	case "off", "poweroff":
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
			if m.WatchdogTimeout == 0 && (!c.state.Config.FencingEnabled() || len(fencing.Routes(c.state, m.Name, c.fenceAction())) == 0) {
				c.alarm("unfenceable/"+causeOf(m.Incarnation), m.Name, fmt.Sprintf(
					"%s is lost and no device can fence it: what it ran is not recovered; make sure that it is off, then say: ha fence confirm %s", m.Name, m.Name))
			}
		}
	}
	for _, t := range c.fences.Review(now, c.state, c.routes, c.headStart) {
		c.trace("%s", t)
	}
	c.endPointless()
	for _, id := range c.fences.Due(now, c.callers) {
		f := c.fencingByID(id)
		if f != nil && f.Target.Node == c.self.Node && f.Action != "on" {
			continue // doLead hands over
		}
		if f != nil && c.spares(f) {
			c.fences.Hold(id, now+c.detector.Times().Interval)
			continue
		}
		c.confirmThen(func() {
			// What the majority took back meanwhile is not shot, nor what this leader has
			// decided to end: the next life may be admitted as soon as that is committed.
			f := c.fencingByID(id)
			if f == nil || !f.Open() || c.ending(id) {
				return
			}
			if c.spares(f) {
				c.fences.Hold(id, c.now.Mono+c.detector.Times().Interval)
				return
			}
			if call := c.fences.Call(id); call != nil {
				c.callDevice(*call)
			}
		})
	}
	c.keepOrders()
	for _, end := range c.fences.Ended() {
		f := c.fencingByID(end.ID)
		if f == nil {
			continue
		}
		commands := []cluster.Command{{FenceDone: &end}}
		if back := c.powerBack(f, &end); back != nil {
			commands = append(commands, cluster.Command{Fence: back})
		}
		if c.want(fencedKey(end.ID), commands...) {
			c.trace("fencing %d of %s: %s %s", end.ID, end.Target.Node, end.Result, end.Error)
			if end.Result == "ok" {
				c.fences.Succeeded(end.Target.Node, f.Action)
			} else {
				c.fences.Failed(now, end.Target.Node, f.Action)
			}
		}
	}
	c.learnDevices()
}

// spares tells whether no device is called for f, since another history of this
// cluster is heard: people decide first, and may fence for that.
func (c *Core) spares(f *cluster.Fencing) bool { return c.frozen() && f.Requested == "" }

// fencedKey names the wish that ends a fencing.
func fencedKey(id uint64) string { return "fenced/" + strconv.FormatUint(id, 10) }

// ending tells whether the end of a fencing is on its way into the log.
func (c *Core) ending(id uint64) bool {
	w := c.lead.wishes[fencedKey(id)]
	return w.entry != 0 || c.now.Mono < w.until
}

// callDevice has a device called, by this node or by another.
func (c *Core) callDevice(call event.FenceCall) {
	if !call.Asks() {
		c.trace("calls %s to %s %s, attempt %d %s", call.Device, call.Action, call.Target.Node, call.Attempt, call.Caller)
	}
	if call.Caller == "" {
		c.out.Fences = append(c.out.Fences, call)
		return
	}
	c.orderCall(call)
}

// powerBack is what follows a reboot by several devices: they were all switched
// off, which is what recovery waits for, and are switched on again.
func (c *Core) powerBack(f *cluster.Fencing, end *cluster.FenceEnd) *cluster.FenceBegin {
	if f.Action != "reboot" || end.Result != "ok" {
		return nil
	}
	for _, r := range c.routes(f) {
		if r.PowerBack != "" && r.Uses(end.Device) {
			return &cluster.FenceBegin{Target: f.Target, Action: "on", Device: r.PowerBack, Reason: "after the fencing by " + r.PowerBack, Caller: c.self.Node}
		}
	}
	return nil
}

// endPointless ends what would switch on or unfence a node that is not to be: one
// that is no longer online, or is to be fenced. A call under way is waited for.
func (c *Core) endPointless() {
	for i := range c.state.Fencings {
		f := &c.state.Fencings[i]
		if !f.Open() || f.Action != "on" {
			continue
		}
		m := c.state.Member(f.Target.Node)
		fits := m != nil && m.Incarnation.Same(f.Target) && c.state.OpenFencing(m.Name) == nil
		if fits && f.Device == "" {
			fits = m.State == cluster.NodeOnline
		}
		if fits && f.Device != "" {
			fits = m.State == cluster.NodeFenced
		}
		if busy, _ := c.fences.Busy(f.ID); fits || busy || c.mayBeCalled(f) {
			continue
		}
		c.want(fencedKey(f.ID), cluster.Command{FenceDone: &cluster.FenceEnd{
			ID: f.ID, Target: f.Target, Result: "failed", Error: "the node is in another state now",
		}})
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

// headStart is how long the first call for a fencing waits: as the device says
// and, where an unfencing or a switching on that a former leader began may still
// be under way, as long as that can last. It could undo a cut, or put one of
// several power supplies on again between the others.
func (c *Core) headStart(f *cluster.Fencing) time.Duration {
	if f.Action == "on" {
		return 0
	}
	routes := c.routes(f)
	base, extra := fencing.Delay(c.state, routes, f.Target.Node)
	wait := base + c.random.upTo(extra)
	if open := c.state.OpenOn(f.Target.Node); open != nil && len(routes) > 0 && !routes[0].Alone() && c.mayBeCalled(open) {
		wait = max(wait, c.lead.since+c.longestCall(open)-c.now.Mono)
	}
	return wait
}

// fenceCalled takes a device's answer.
func (c *Core) fenceCalled(e event.FenceCalled) {
	verdict := "succeeded"
	if !e.OK {
		verdict = "failed: " + e.Error
	}
	if e.Call.Caller == c.self.Node {
		c.helped(e)
		return
	}
	if !e.Call.Asks() {
		c.trace("%s %s of %s %s after %v", e.Call.Device, e.Call.Action, e.Call.Target.Node, verdict, e.Took)
	}
	switch {
	case e.Call.ID&localFence != 0:
		c.two.vote.Called(c.now.Mono, e)
	case c.lead.term == 0:
	case e.Call.ID&learning != 0:
		c.learnt(e)
	default:
		c.lead.unable[e.Call.Device] = !e.OK
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
	if !ever && result == "failed" && c.mayBeCalled(f) {
		return
	}
	c.want(fencedKey(f.ID), cluster.Command{FenceDone: &cluster.FenceEnd{
		ID: f.ID, Target: f.Target, Result: result, Error: "the node has booted anew",
	}})
}

// mayBeCalled tells whether a call that a former leader made, or ordered, for f may
// still be under way.
func (c *Core) mayBeCalled(f *cluster.Fencing) bool {
	return (f.Caller != c.self.Node || c.fencingOlder(f)) && c.callLasts(f)
}

// callLasts tells whether a call that was ordered for f before this node led may last
// until now.
func (c *Core) callLasts(f *cluster.Fencing) bool {
	return c.now.Mono-c.lead.since < c.longestCall(f) && c.othersMayCall(f)
}

// formerMayCall tells whether a fencing of m that people's word has ended was begun
// under a former leader, whose call may still be under way: it could hit the next life.
func (c *Core) formerMayCall(m *cluster.Member) bool {
	for i := range c.state.Fencings {
		f := &c.state.Fencings[i]
		if f.Target.Node == m.Name && f.Target.Boot == m.Incarnation.Boot && f.Action != "on" && f.Result == "confirmed" && f.Caller != "" &&
			f.ID < c.lead.fences && c.callLasts(f) {
			return true
		}
	}
	return false
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

// othersMayCall tells whether some daemon may still call a device for f: the
// former leader's, or that of a node that it asked to. None does whose node is off.
func (c *Core) othersMayCall(f *cluster.Fencing) bool {
	for i := range c.state.Members {
		if m := &c.state.Members[i]; m.Name != c.self.Node && (m.Name != f.Target.Node || f.Action == "on") && !m.Off() {
			return true
		}
	}
	return false
}

// longestCall bounds how long a call for f, that a leader has ordered, can last from
// then on: another node obeys the word to go for two dead times.
func (c *Core) longestCall(f *cluster.Fencing) time.Duration {
	var longest time.Duration
	for _, r := range c.routes(f) {
		for _, s := range r.Steps {
			longest = max(longest, s.Call.Timeout)
		}
	}
	return longest + 2*c.detector.Times().Dead
}
