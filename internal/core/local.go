package core

import (
	"reflect"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// viewLocal hands out this node's own view when it has changed, or with fresh
// ages once in an interval.
func (c *Core) viewLocal() {
	now := c.now
	if last := c.lastLocal; last != nil && now.Mono-c.lastLocalAt < min(c.detector.Times().Interval/2, 50*time.Millisecond) &&
		last.Role == c.raft.Role() && last.Term == c.raft.Term() && last.Leader == c.leaderName() {
		return // ages and links can wait a little
	}
	l := &event.Local{
		Node: c.self.Node, Incarnation: c.self, Role: c.raft.Role(), Term: c.raft.Term(),
		Leader: c.leaderName(), Quorate: c.quorate(), Committed: c.raft.Commit(), InFlight: c.executor.InFlight(),
	}
	if c.contact.had {
		l.Contact = max(0, now.Boot-(c.contact.until-c.lease()))
	}
	for _, v := range c.detector.Peers(now.Mono) {
		p := event.PeerView{Node: v.Node, Reachable: c.peer(v.Node).Reachable}
		for _, x := range c.detector.Links(now.Mono, v.Node) {
			p.Links = append(p.Links, event.LinkView{Link: x.Link, Up: x.Up, Age: x.Age, Loss: x.Loss})
		}
		l.Peers = append(l.Peers, p)
	}
	if c.lastLocal != nil && now.Mono-c.lastLocalAt < c.detector.Times().Interval && sameView(c.lastLocal, l) {
		return
	}
	c.lastLocal, c.lastLocalAt = l, now.Mono
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
	return c.lead.active || c.leaderHeard() && c.contact.had && c.now.Boot < c.contact.until
}

// sameView compares what does not change with the clock.
func sameView(a, b *event.Local) bool {
	if a.Role != b.Role || a.Leader != b.Leader || a.Term != b.Term || a.Quorate != b.Quorate ||
		len(a.Peers) != len(b.Peers) || !reflect.DeepEqual(a.InFlight, b.InFlight) {
		return false
	}
	for i := range a.Peers {
		x, y := &a.Peers[i], &b.Peers[i]
		if x.Node != y.Node || x.Reachable != y.Reachable || len(x.Links) != len(y.Links) {
			return false
		}
		for j := range x.Links {
			if x.Links[j].Up != y.Links[j].Up {
				return false
			}
		}
	}
	return true
}

func sameHeartbeat(a, b *event.Heartbeat) bool {
	return a.Limit == b.Limit && a.Packet.Equal(&b.Packet) && slices.Equal(a.Peers, b.Peers)
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
}

// material tells whether the applied state calls for a new plan.
func (c *Core) material(old *cluster.State) bool { return c.engine.Material(old, c.state) }
