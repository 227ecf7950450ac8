package core

import (
	"fmt"
	"strconv"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
)

const (
	// startGrace is the least time that a node which this daemon has never heard
	// gets before it counts as lost: a whole site does not boot in lockstep.
	startGrace = 10 * time.Second
)

// lossIsFinal tells whether m is lost for good: its fencing has begun, so only
// another boot brings it back (rule 4).
func (c *Core) lossIsFinal(m *cluster.Member) bool {
	if m.State == cluster.NodeFenced {
		return true
	}
	if m.State != cluster.NodeLost {
		return false
	}
	for i := range c.state.Fencings {
		f := &c.state.Fencings[i]
		if f.Target.Node == m.Name && f.Target.Boot == m.Incarnation.Boot && f.Action != "on" && f.Result != "abandoned" {
			return true
		}
	}
	return false
}

// reviewMembers turns what heartbeats say into committed states (rule 1).
func (c *Core) reviewMembers() {
	for i := range c.state.Members {
		m := &c.state.Members[i]
		if m.Name == c.self.Node {
			c.reviewSelf(m)
			continue
		}
		c.reviewMember(m, c.peer(m.Name))
	}
}

// reviewSelf looks at the leader's own member.
func (c *Core) reviewSelf(m *cluster.Member) {
	switch {
	case m.Incarnation != c.self:
		if open := c.state.OpenFencing(m.Name); open == nil && !(m.Incarnation.Boot == c.self.Boot && c.lossIsFinal(m)) {
			c.join(c.self, "started")
		}
	case c.leave.asked && !c.leave.restart && m.State == cluster.NodeOnline:
		c.want(lifeKey(c.self, cluster.NodeLeaving), cluster.Command{Node: &cluster.NodeChange{
			Incarnation: c.self, State: cluster.NodeLeaving, Reason: "its daemon was asked to stop",
		}})
	case m.State == cluster.NodeLost && !c.lossIsFinal(m), m.State == cluster.NodeOffline && !c.leave.asked:
		c.join(c.self, "leads")
	case m.State == cluster.NodeJoining:
		c.askFor(m)
	case m.State == cluster.NodeLeaving:
		c.offline(m)
	}
}

func lifeKey(i cluster.Incarnation, s cluster.NodeState) string {
	return i.Node + "/" + strconv.FormatUint(i.Counter, 10) + "/" + string(s)
}

func (c *Core) join(i cluster.Incarnation, reason string) {
	change := &cluster.NodeChange{Incarnation: i, State: cluster.NodeJoining, Reason: reason}
	if i == c.self {
		change.Version, change.Format, change.Links = c.options.Version, c.options.Format, c.options.Links
	}
	c.want(lifeKey(i, cluster.NodeJoining), cluster.Command{Node: change})
}

// reviewMember looks at another member.
func (c *Core) reviewMember(m *cluster.Member, v heartbeat.View) {
	if m.State != cluster.NodeLost || !c.timeCounts() && !mutant.Is("count the watchdog from before a pair") {
		delete(c.lead.lostSince, m.Incarnation)
	}
	heard := cluster.Incarnation{Node: m.Name, Counter: v.Packet.Counter, Boot: v.Packet.Boot}
	switch {
	case v.Reachable && heard.Counter > m.Incarnation.Counter:
		c.reviewNewLife(m, heard)
	case v.Reachable && heard == m.Incarnation:
		delete(c.lead.suspects, m.Name)
		c.reviewSameLife(m, v)
	case m.State == cluster.NodeOnline || m.State == cluster.NodeJoining || m.State == cluster.NodeLeaving:
		c.reviewSilent(m, v)
	case m.State == cluster.NodeLost:
		c.countdown(m)
	}
}

// reviewNewLife admits a newer incarnation, as soon as the old one is surely over
// or in the same boot, and no call of a fence device can hit the new one.
func (c *Core) reviewNewLife(m *cluster.Member, heard cluster.Incarnation) {
	otherBoot := heard.Boot != m.Incarnation.Boot
	if open := c.state.OpenFencing(m.Name); open != nil && !mutant.Is("admit while a fencing is open") {
		if otherBoot {
			c.endOutlived(open)
		}
		return
	}
	if !otherBoot && c.lossIsFinal(m) || otherBoot && (c.fences.Late(m.Name) || c.formerMayCall(m)) {
		return
	}
	reason := "its daemon was started again"
	if otherBoot {
		reason = "booted"
	}
	c.join(heard, reason)
}

// reviewSameLife looks at a member whose newest incarnation is heard.
func (c *Core) reviewSameLife(m *cluster.Member, v heartbeat.View) {
	switch m.State {
	case cluster.NodeFenced:
		// What it sent before it was off may have come a moment ago, or be under way.
		if since, known := c.lead.offSince[m.Incarnation]; !known {
			c.lead.offSince[m.Incarnation] = c.now.Mono
		} else if v.HeardAt > since+2*c.detector.Times().Interval {
			c.alarm("heard/"+causeOf(m.Incarnation), m.Name, fmt.Sprintf(
				"%s was confirmed off, yet it is heard: its fence device, or who confirmed that, is not to be trusted", m.Name))
		}
	case cluster.NodeLost:
		if c.state.OpenFencing(m.Name) == nil && !c.lossIsFinal(m) {
			c.join(m.Incarnation, "heard again before its fencing began")
		}
	case cluster.NodeOffline:
		if !v.Packet.Leaving {
			c.join(m.Incarnation, "heard again after it had stopped everything")
		}
	case cluster.NodeJoining:
		c.askFor(m)
	case cluster.NodeLeaving:
		c.offline(m)
	}
	// Who has not reported does that first: nothing can be stopped on it before.
	if v.Packet.Leaving && !c.restarts(m.Name) && m.State == cluster.NodeOnline {
		c.want(lifeKey(m.Incarnation, cluster.NodeLeaving), cluster.Command{Node: &cluster.NodeChange{
			Incarnation: m.Incarnation, State: cluster.NodeLeaving, Reason: "its daemon was asked to stop",
		}})
	}
}

// restarts tells whether a node announced that its daemon restarts, and still has time.
func (c *Core) restarts(name string) bool { return c.now.Mono < c.graces[name] }

// reviewSilent looks at a member that should be heard and is not.
func (c *Core) reviewSilent(m *cluster.Member, v heartbeat.View) {
	now := c.now.Mono
	if c.detector.InDoubt(now) || c.restarts(m.Name) || v.New {
		return
	}
	if v.Packet.Counter < m.Incarnation.Counter && now-c.started < max(startGrace, 10*c.detector.Times().Dead) {
		return
	}
	if c.handOver(m, v) {
		return
	}
	reason := v.Reason
	commands := []cluster.Command{{Node: &cluster.NodeChange{
		Incarnation: m.Incarnation, State: cluster.NodeLost, Reason: reason,
	}}}
	commands = append(commands, c.stagesOfLoss(m, reason, v.Lasted)...)
	// Lost and fencing begin in one commit.
	if begin := c.beginFencing(m, reason); begin != nil {
		commands = append(commands, cluster.Command{Fence: begin})
	}
	if c.want(lifeKey(m.Incarnation, cluster.NodeLost), commands...) {
		c.trace("%s is lost: %s", m.Name, reason)
	}
}

// handOver keeps the leader from declaring lost what another voter still hears:
// it gives that voter a moment to notice the same, and then, if the voter hears
// strictly more than itself, hands leadership over.
func (c *Core) handOver(m *cluster.Member, v heartbeat.View) (wait bool) {
	now, t := c.now.Mono, c.detector.Times()
	better, heardBy := uint64(0), ""
	own := len(c.detector.Heard(now))
	for _, id := range c.raft.Conf().GetVoters() {
		p := c.peer(c.nodeOf(id))
		if id == c.identity.RaftID || !p.Reachable {
			continue
		}
		for _, h := range p.Packet.Heard {
			if h.Node == m.Name && h.Counter == m.Incarnation.Counter && h.Links != 0 {
				heardBy = p.Node
				if match, flows := c.raft.Match(id); len(p.Packet.Heard) > own && flows && match+64 > c.raft.Commit() {
					better = id
				}
			}
		}
	}
	if heardBy == "" {
		delete(c.lead.suspects, m.Name)
		return false
	}
	since, known := c.lead.suspects[m.Name]
	if !known {
		c.lead.suspects[m.Name] = now
		return true
	}
	if now-since < 3*t.Interval {
		return true
	}
	if better == 0 || now-c.lead.handover < 4*t.Dead && c.lead.handover > 0 {
		return false
	}
	c.lead.handover = now
	c.trace("%s still hears %s and more than this node does: hands over to it", heardBy, m.Name)
	c.raft.Transfer(better)
	return true
}

// reporting is the leader's asking of joining members what they run.
type reporting struct {
	asked map[string]asking
}

type asking struct {
	of     cluster.Incarnation
	before uint64
	at     time.Duration
	// answered is the incarnation that has answered this leader.
	answered cluster.Incarnation
}

// askFor asks a joining member for its report, now and then until it answers.
func (c *Core) askFor(m *cluster.Member) {
	if !c.settled() {
		return
	}
	if c.reports.asked == nil {
		c.reports.asked = map[string]asking{}
	}
	a := c.reports.asked[m.Name]
	if a.of == m.Incarnation && c.now.Mono-a.at < 2*c.detector.Times().Interval {
		return
	}
	c.reports.asked[m.Name] = asking{of: m.Incarnation, before: c.engine.LastOrder(), at: c.now.Mono}
	ask := event.Ask{Before: c.reports.asked[m.Name].before}
	if m.Name == c.self.Node {
		if report, ok := c.report(ask, c.raft.Term()); ok {
			c.reported(c.self, report)
		}
		return
	}
	c.send(m.Name, event.Message{For: m.Incarnation, Ask: &ask})
}

// asked answers the leader with a report of what runs here.
func (c *Core) asked(m *event.Message) {
	if report, ok := c.report(*m.Ask, m.Term); ok {
		c.send(m.From.Node, event.Message{For: m.From, Report: report})
	}
}

// report says what runs here, once that is known, and what others may count on: the
// watchdog and the length of the lease, which hang on the configuration.
func (c *Core) report(ask event.Ask, term uint64) (*event.NodeReport, bool) {
	if len(c.state.Members) == 0 || !c.watchdogKnown() {
		return nil, false
	}
	report, ok := c.executor.Report(ask, term)
	if !ok {
		return nil, false
	}
	c.guard.told = true
	return &event.NodeReport{
		Report: *report, Before: ask.Before, Version: c.options.Version, Format: c.options.Format, Links: c.options.Links,
		WatchdogTimeout: c.guard.declared, Lease: c.tellLease(),
	}, true
}

// reported takes a report: with its commit the member is online.
func (c *Core) reported(from cluster.Incarnation, r *event.NodeReport) {
	a, ok := c.reports.asked[from.Node]
	m := c.state.Member(from.Node)
	if !c.settled() || !ok || m == nil || m.Incarnation != from || a.of != from || a.before != r.Before || r.Report.Incarnation != from {
		return
	}
	if a.answered != from {
		a.answered = from
		c.reports.asked[from.Node] = a
		c.engine.Reported(c.now, from, &r.Report, r.Before)
		c.takeEngine()
		c.schedule.dirty, c.schedule.urgent = true, true // what it holds, and does not run, is free from now on
	}
	if m.State != cluster.NodeJoining {
		return
	}
	if c.want(lifeKey(from, cluster.NodeOnline),
		cluster.Command{Report: &r.Report},
		cluster.Command{Node: &cluster.NodeChange{
			Incarnation: from, State: cluster.NodeOnline, Version: r.Version, Format: r.Format, Links: r.Links,
			WatchdogTimeout: r.WatchdogTimeout, Lease: r.Lease,
		}}) {
		c.trace("%s has reported: %d running", from.Node, len(r.Report.Running))
	}
}
