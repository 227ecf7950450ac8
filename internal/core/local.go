package core

import (
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// refreshAges is how often this node's view is handed out though only ages have changed.
const refreshAges = 500 * time.Millisecond

// glance is what a new view is due for, as far as it can be told without making one.
type glance struct {
	role, leader   string
	term           uint64
	quorate        bool
	peers          uint64 // the detector's count of changes
	begun, running int    // operations
	forked         string
}

// viewLocal hands out this node's own view when it has changed, or now and then
// with fresh ages.
func (c *Core) viewLocal() {
	now := c.now
	g := glance{role: c.raft.Role(), leader: c.leaderName(), term: c.raft.Term(), quorate: c.quorate(), peers: c.detector.Changes(), forked: c.partedWhy}
	g.begun, g.running = c.executor.Turnover()
	if last := &c.lastGlance; c.lastLocal != nil {
		wait := max(c.detector.Times().Interval, refreshAges)
		if *last != g {
			wait = 0
			if last.role == g.role && last.term == g.term && last.leader == g.leader {
				wait = min(c.detector.Times().Interval/2, 50*time.Millisecond) // links can wait a little
			}
		}
		if now.Mono-c.lastLocalAt < wait {
			return
		}
	}
	l := &event.Local{
		Node: c.self.Node, Incarnation: c.self, Role: g.role, Term: g.term,
		Leader: g.leader, Quorate: g.quorate, Committed: c.raft.Commit(), InFlight: c.executor.InFlight(), Forked: g.forked,
	}
	l.Contact = -1
	if c.contact.had {
		l.Contact = max(0, now.Boot-c.contact.since)
	}
	for _, v := range c.detector.Peers(now.Mono) {
		p := event.PeerView{Node: v.Node, Counter: v.Packet.Counter, Reachable: c.peer(v.Node).Reachable}
		for _, x := range c.detector.Links(now.Mono, v.Node) {
			p.Links = append(p.Links, event.LinkView{Link: x.Link, Up: x.Up, Age: x.Age, Loss: x.Loss})
		}
		l.Peers = append(l.Peers, p)
	}
	c.lastLocal, c.lastLocalAt, c.lastGlance = l, now.Mono, g
	c.out.Local = l
}

// leaderName returns the leader as far as one is heard, "" if none is.
func (c *Core) leaderName() string {
	if !c.leaderHeard() {
		return ""
	}
	return c.nodeOf(c.raft.Leader())
}

// quorate tells whether this node takes part in a cluster with quorum.
func (c *Core) quorate() bool {
	return c.lead.active || c.leaderHeard() && c.contact.had && c.leased()
}

// noteStages follows the stages of a failover in the applied state.
func (c *Core) noteStages(old *cluster.State) {
	if c.failover.cause == "" {
		return
	}
	was, is := old.Member(c.failover.node), c.state.Member(c.failover.node)
	if was != nil && is != nil && was.State == cluster.NodeLost && is.State == cluster.NodeFenced {
		c.failover.walking = c.now.Mono
	}
	if was != nil && is != nil && was.State == cluster.NodeJoining && is.State == cluster.NodeOnline && causeOf(is.Incarnation) == c.failover.cause {
		c.failover = failover{} // it is back, with what it runs
	}
}

// material tells whether the applied state calls for a new plan.
func (c *Core) material(old *cluster.State) bool { return c.engine.Material(old, c.state) }
