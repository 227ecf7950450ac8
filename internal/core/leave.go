package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

const (
	// restartGrace is how long an announced restart of a daemon may take.
	restartGrace = 30 * time.Second
	// leaveAlone is the least time that a leaving node waits for a leader.
	leaveAlone = 5 * time.Second
	// leavePatience is after how long an administrator is told what keeps a node
	// from leaving.
	leavePatience = 3 * time.Second
)

// leaving is this node's own orderly stop.
type leaving struct {
	asked   bool
	restart bool
	at      time.Duration
	led     time.Duration // when a leader was last heard
	alone   bool          // none is: it stops what it runs by itself
}

// stopping begins an orderly stop. A restart tells the others and ends at once:
// services go on.
func (c *Core) stopping(e event.Stopping) {
	if c.leave.asked {
		return
	}
	c.leave = leaving{asked: true, restart: e.Restart, at: c.now.Mono, led: c.now.Mono}
	for _, name := range c.appendPeers(nil) {
		c.send(name, event.Message{Leave: &event.Leave{Restart: e.Restart}})
	}
	if c.disk.first() {
		c.exit(event.Exit{Reason: "stopped before it took part"})
	}
	if e.Restart || c.over {
		return // keepLeaving ends it
	}
	if m := c.state.Member(c.self.Node); m == nil || m.State != cluster.NodeOnline && m.State != cluster.NodeLeaving && m.State != cluster.NodeJoining {
		c.exit(event.Exit{Reason: "stopped"})
	}
}

// keepLeaving ends a restart: services go on, and another voter leads by then. A
// node that leaves for good is told by the leader when it may go; if none is
// heard for a while it stops what it runs by itself.
func (c *Core) keepLeaving() {
	l := &c.leave
	switch {
	case !l.asked:
	case l.restart:
		if c.raft.Leads() && c.lead.active && c.now.Mono-l.at < c.detector.Times().Dead && c.nodeCanLead(nil) {
			return
		}
		c.exit(event.Exit{Reason: "restart: services go on"})
	case (c.lead.active || c.leaderHeard() && !c.raft.Leads()) && !c.frozen(): // then no leader has anything stopped
		l.led = c.now.Mono
		if l.alone {
			l.alone = false
			c.resume()
		}
	case c.now.Mono-l.led < max(leaveAlone, 5*c.detector.Times().Dead):
	case !l.alone:
		l.alone = true
		c.trace("no leader can let this node go: it stops everything by itself")
		c.executor.StopAll(c.now, "stop")
		c.takeExecutor()
	case c.nothingRuns():
		c.exit(event.Exit{Reason: "stopped everything, but no leader could be told"})
	}
}

// resume obeys orders again, unless something else forbids it still.
func (c *Core) resume() {
	if !c.contact.gaveUp && !c.leave.alone {
		c.executor.Resume()
	}
}

// leaves takes a peer's announcement.
func (c *Core) leaves(from cluster.Incarnation, l *event.Leave) {
	delete(c.graces, from.Node)
	if l.Restart {
		c.graces[from.Node] = c.now.Mono + restartGrace
		c.trace("the daemon of %s restarts", from.Node)
	}
}

// departure is a leaving member that the transition is done with.
type departure struct {
	of    cluster.Incarnation
	since time.Duration
}

// offline commits that a leaving node has stopped everything, once the transition
// has said so, nothing is held any more, and its vote is not needed.
func (c *Core) offline(m *cluster.Member) {
	d := c.lead.departures[m.Name]
	if d.of != m.Incarnation && c.state.IsWitness(m) { // it runs nothing, and no plan knows of it
		d = departure{of: m.Incarnation, since: c.now.Mono}
		c.lead.departures[m.Name] = d
	}
	if d.of != m.Incarnation {
		return
	}
	why := ""
	switch held := c.heldBy(m.Name); {
	case len(held) > 0:
		list := strings.Join(held, ", ")
		why = fmt.Sprintf("%s cannot leave: it still holds %s, which did not stop; stop it by hand there, then say: ha resource cleanup", m.Name, list)
	case c.raft.IsVoter(m.RaftID) && len(c.raft.Conf().GetVoters()) > 1:
		// It leaves the voters first, while it still helps to decide that.
		why = fmt.Sprintf("%s cannot leave yet: without its vote there is no majority until the lost nodes are confirmed off", m.Name)
	case c.soleVoter() && m.Name == c.self.Node && (c.raft.ConfPending() || len(c.confChanges(c.raft.Conf())) > 0):
		return // who is to decide when it is gone gets the vote before
	default:
		c.want(lifeKey(m.Incarnation, cluster.NodeOffline), cluster.Command{Node: &cluster.NodeChange{
			Incarnation: m.Incarnation, State: cluster.NodeOffline, Reason: "left",
		}})
		return
	}
	if c.now.Mono-d.since >= leavePatience {
		c.alarm("leaves/"+causeOf(m.Incarnation)+"/"+why, m.Name, why)
	}
}

// mayLeave tells whether a leaving member has stopped everything: until then it votes.
func (c *Core) mayLeave(m *cluster.Member) bool {
	return c.lead.departures[m.Name].of == m.Incarnation && len(c.heldBy(m.Name)) == 0
}

// heldBy lists the instances that a node was granted.
func (c *Core) heldBy(name string) []string {
	var held []string
	for i := range c.state.Grants {
		g := &c.state.Grants[i]
		if slices.ContainsFunc(g.Holders, func(h cluster.Incarnation) bool { return h.Node == name }) && !slices.Contains(held, g.Instance) {
			held = append(held, g.Instance)
		}
	}
	return held
}

// followLife looks at what the applied state says of this node itself.
func (c *Core) followLife() {
	m := c.state.Member(c.self.Node)
	if m == nil {
		if c.removed(c.identity.RaftID) {
			c.exit(event.Exit{Code: 1, Reason: fmt.Sprintf("%s was removed from the cluster", c.self.Node)})
		}
		return
	}
	if m.State == cluster.NodeFenced && m.Incarnation.Boot == c.self.Boot {
		// What this node ran may run elsewhere: only another boot takes part again.
		c.exit(event.Exit{Code: 1, Reset: true, Reason: fmt.Sprintf("the cluster holds this boot of %s for off (%s)", c.self.Node, m.Reason)})
		return
	}
	if c.leave.asked && c.hasLeft() {
		c.exit(event.Exit{Reason: "left the cluster"})
	}
}

// hasLeft tells whether it is committed that this node has stopped everything: nobody
// counts on its watchdog any more, whatever is still being probed here.
func (c *Core) hasLeft() bool { return c.isHeldFor(cluster.NodeOffline) }

// isHeldFor tells whether the applied state has this life of this node in a state.
func (c *Core) isHeldFor(state cluster.NodeState) bool {
	m := c.state.Member(c.self.Node)
	return m != nil && m.Incarnation == c.self && m.State == state
}
