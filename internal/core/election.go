package core

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
)

// election is this node's part in finding a leader. Raft's own timers are not
// used: the failure detector says when.
type election struct {
	since  time.Duration // no leader is heard since then; 0: one is
	due    time.Duration // next campaign of this node; 0: none planned
	tries  int
	term   uint64        // newest seen
	termAt time.Duration // since when
	held   []heldVote    // vote requests that wait for the leader to be lost
	told   time.Duration // when others were last told what is committed
	lost   lossOfLeader
}

// lossOfLeader is when and how the last leader was lost, for the event log.
type lossOfLeader struct {
	node  string
	at    time.Duration // when the loss was noticed
	after time.Duration // of silence
}

type heldVote struct {
	at      time.Duration
	message *raftpb.Message
}

// hold keeps a vote request while the leader is heard; the newest of each candidate.
func (e *election) hold(now time.Duration, m *raftpb.Message) {
	e.held = slices.DeleteFunc(e.held, func(h heldVote) bool { return h.message.GetFrom() == m.GetFrom() })
	e.held = append(e.held, heldVote{now, m})
}

// leaderHeard tells whether there is a leader that leads and that this node hears.
func (c *Core) leaderHeard() bool {
	if c.raft.Leads() {
		return c.mayLead()
	}
	id := c.raft.Leader()
	if id == 0 {
		return false
	}
	v := c.peer(c.nodeOf(id))
	return v.Reachable && v.Packet.RaftID == id && (v.Packet.Leader == id || v.Packet.Term < c.raft.Term())
}

// elect starts elections when no leader is heard, in an order of rank: who is
// more likely to win goes first, the others wait a little longer each.
func (c *Core) elect() {
	e := &c.election
	now := c.now.Mono
	dead := c.detector.Times().Dead
	if t := c.raft.Term(); t != e.term {
		e.term, e.termAt = t, now
	}
	if c.leaderHeard() || c.raft.Leads() {
		if !c.raft.Leads() {
			e.lost = lossOfLeader{}
		}
		e.since, e.due, e.tries = 0, 0, 0
		e.held = slices.DeleteFunc(e.held, func(h heldVote) bool { return now-h.at > dead })
		return
	}
	if c.detector.InDoubt(now) {
		return
	}
	if e.since == 0 {
		e.since = now
		e.lost = lossOfLeader{}
		if id := c.raft.Leader(); id != 0 {
			v := c.peer(c.nodeOf(id))
			e.lost = lossOfLeader{node: v.Node, at: now, after: now - v.HeardAt}
			c.trace("the leader %s is lost: %s", v.Node, v.Reason)
		}
	}
	c.tellCommitted()
	stepped := false
	e.held = slices.DeleteFunc(e.held, func(h heldVote) bool {
		switch {
		case now-h.at > 2*dead:
		case !c.heardBy(h.message.GetFrom()):
			return false
		default:
			stepped = true
			c.stepRaft(h.message)
		}
		return true
	})
	if stepped {
		c.drain()
		if c.leaderHeard() {
			return
		}
	}
	if m := c.state.Member(c.self.Node); m != nil && c.state.IsWitness(m) && mutant.Is("a witness never campaigns") {
		return
	}
	if !c.raft.IsVoter(c.identity.RaftID) || !c.hearsMajority() || c.leave.asked || len(c.two.unsure) > 0 {
		e.due = 0
		return
	}
	step := max(2*c.detector.Times().Interval, 20*time.Millisecond)
	if e.due == 0 {
		wait := time.Duration(c.rank()) * step
		if e.tries > 0 {
			wait += step + c.random.upTo(step)
		}
		e.due = now + wait
		if e.tries == 0 {
			e.due = e.since + wait
		}
		if c.raft.Leader() == 0 && len(c.raft.Conf().GetVoters()) > 1 {
			// Somebody's election is under way: it gets its chance.
			e.due = max(e.due, e.termAt+step+wait)
		}
	}
	if now < e.due {
		return
	}
	e.tries++
	e.due = now + max(dead/4, step) + time.Duration(c.rank())*step + c.random.upTo(step)
	c.trace("campaigns, try %d", e.tries)
	if err := c.raft.Campaign(); err != nil {
		c.trace("campaign: %v", err)
	}
}

// tellCommitted tells those who know less what is committed, while no leader does.
// Who applied a change of voters may have no vote any more, and who should decide
// now may not know of the change: the leader that told one of them is gone. Neither
// could win by the voters that it goes by.
func (c *Core) tellCommitted() {
	e := &c.election
	if e.told > 0 && c.now.Mono-e.told < c.detector.Times().Dead {
		return
	}
	e.told = c.now.Mono
	for _, name := range c.appendPeers(nil) {
		v := c.peer(name)
		if !v.Reachable || v.Packet.Commit >= c.raft.Commit() {
			continue
		}
		last := uint64(0)
		// The newest that it may have; and the change of voters, should its log differ behind that.
		for _, limit := range []uint64{v.Packet.LastIndex, min(v.Packet.LastIndex, c.raft.ConfIndex())} {
			if index, term, ok := c.raft.Committed(limit); ok && index > v.Packet.Commit && index != last {
				last = index
				c.send(name, event.Message{Known: &event.Known{Index: index, Term: term}})
			}
		}
	}
}

// learnCommitted takes such a word, unless a leader will tell it.
func (c *Core) learnCommitted(from string, k *event.Known) {
	if c.leaderHeard() || c.disk.out || c.two.force != nil {
		return // it comes again
	}
	news, err := c.raft.Learn(k.Index, k.Term)
	if err != nil {
		c.exit(event.Exit{Code: 1, Reason: err.Error()})
		return
	}
	if news {
		c.trace("%s knows that %d is committed", from, k.Index)
		c.two.judged, c.identity.Sure = false, "" // if it is the sole voter now, it has to be sure of the others
	}
}

// hearsMajority tells whether this node and the voters that it hears are a majority.
func (c *Core) hearsMajority() bool {
	return c.raft.HasQuorum(func(id uint64) bool {
		return id == c.identity.RaftID || c.peer(c.nodeOf(id)).Reachable
	})
}

// candidate is a voter as far as its chances in an election go.
type candidate struct {
	name        string
	self        bool
	final       bool // its loss is final: it is to be fenced
	index, term uint64
	heard       int
	witness     bool
}

// rank returns this node's place among the voters that it hears, 0 first:
// newest log, most voters heard, nodes before witnesses, by name.
func (c *Core) rank() int {
	var list []candidate
	for _, id := range c.raft.Conf().GetVoters() {
		name := c.nodeOf(id)
		x := candidate{name: name, self: id == c.identity.RaftID}
		if m := c.state.Member(name); m != nil {
			x.witness, x.final = c.state.IsWitness(m), c.lossIsFinal(m)
		}
		if x.self {
			x.index, x.term = c.raft.Last()
			x.heard = c.votersHeard(c.detector.Heard(c.now.Mono))
		} else {
			v := c.peer(name)
			if !v.Reachable {
				continue
			}
			x.index, x.term, x.heard = v.Packet.LastIndex, v.Packet.LastTerm, c.votersHeard(v.Packet.Heard)
		}
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(compareBool(a.final, b.final), cmp.Compare(b.term, a.term), cmp.Compare(b.index, a.index),
			cmp.Compare(b.heard, a.heard), compareBool(a.witness, b.witness), strings.Compare(a.name, b.name))
	})
	return max(0, slices.IndexFunc(list, func(x candidate) bool { return x.self }))
}

// votersHeard counts voters among those heard, without the leader that was lost:
// not everyone has noticed that at the same moment.
func (c *Core) votersHeard(list []heartbeat.Heard) int {
	count := 0
	for _, h := range list {
		if m := c.state.Member(h.Node); m != nil && c.raft.IsVoter(m.RaftID) && m.RaftID != c.raft.Leader() && h.Node != c.election.lost.node {
			count++
		}
	}
	return count
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
