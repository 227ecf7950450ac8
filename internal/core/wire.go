package core

import (
	"bytes"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
)

// send addresses a message: every member of the envelope is ours to fill.
func (c *Core) send(to string, m event.Message) {
	if to == "" || to == c.self.Node {
		return
	}
	c.number++
	m.To, m.From, m.RaftID = to, c.self, c.identity.RaftID
	m.Lineage, m.Term, m.Number = c.identity.Lineage.ID, c.raft.Term(), c.number
	c.out.Messages = append(c.out.Messages, m)
}

func (c *Core) sendRaft(m *raftpb.Message) {
	to := c.nodeOf(m.GetTo())
	if to == "" {
		return
	}
	data, err := proto.Marshal(m)
	if err != nil {
		c.trace("encode %s for %s: %v", m.GetType(), to, err)
		return
	}
	c.send(to, event.Message{Raft: data})
}

// nodeOf returns the node that has a Raft id, "" if it is not known.
func (c *Core) nodeOf(id uint64) string {
	if id == c.identity.RaftID {
		return c.self.Node
	}
	for i := range c.state.Members {
		if c.state.Members[i].RaftID == id {
			return c.state.Members[i].Name
		}
	}
	if name, ok := c.names[id]; ok {
		return name
	}
	for i := range c.options.Peers {
		if c.options.Peers[i].RaftID == id {
			return c.options.Peers[i].Name
		}
	}
	return ""
}

// received filters a message by rule 4 and 5, and hands it on. It tells whether
// that may have changed more than what goes on all the time: beats of Raft and leases.
func (c *Core) received(e event.MessageReceived) (news bool) {
	m := &e.Message
	if c.disk.first() || e.Peer != m.From.Node || m.To != c.self.Node || m.From.Node == c.self.Node {
		return false
	}
	if !m.For.IsZero() && m.For != c.self && !mutant.Is("obey what is meant for a former life") {
		return false
	}
	if c.outlived(m.From) {
		return false
	}
	if (m.Lineage != c.identity.Lineage.ID || c.removed(m.RaftID)) && !mutant.Is("hear other lineages") {
		return false
	}
	if c.names[m.RaftID] != m.From.Node {
		c.names[m.RaftID] = m.From.Node
	}
	switch {
	case m.Raft != nil:
		return c.receivedRaft(m)
	case m.Contact != nil:
		return c.contacted(m)
	case m.Dispatch != nil:
		if (m.For == c.self || mutant.Is("obey what is meant for a former life")) && (m.Term >= c.raft.Term() || mutant.Is("obey an older term")) {
			c.executor.Dispatch(c.now, m.Term, m.Dispatch)
		}
	case m.Results != nil:
		c.results(m.From, m.Results.Done)
	case m.Ask != nil:
		if m.For == c.self && m.Term >= c.raft.Term() {
			c.asked(m)
		}
	case m.Report != nil:
		c.reported(m.From, m.Report)
	case m.Propose != nil:
		c.proposed(m)
	case m.Answer != nil:
		c.answered(m.Answer)
	case m.Fence != nil:
		c.orderedCall(m)
	case m.Fenced != nil:
		if c.lead.term != 0 && m.For == c.self && m.Term >= c.lead.term {
			c.orderAnswered(m.From, m.Fenced)
		}
	case m.Leave != nil:
		c.leaves(m.From, m.Leave)
	case m.Known != nil:
		c.learnCommitted(m.From.Node, m.Known)
	case m.Stale != nil:
		if m.For == c.self && c.isPeer(m.From.Node) {
			c.exit(event.Exit{Code: 1, Rejoin: true, Reason: fmt.Sprintf(
				"the stored state is older than what %s remembers of this node (incarnation %d, index %d)", m.From.Node, m.Stale.Counter, m.Stale.Commit)})
		}
	}
	return true
}

// stale tells a node that starts from state older than what is remembered of it,
// by the log or from its heartbeats: it was copied, or set back.
func (c *Core) stale(p *heartbeat.Packet) bool {
	if p.Lineage != c.identity.Lineage.ID || p.RaftID == 0 {
		return false
	}
	if m := c.state.Member(p.Node); m != nil && m.RaftID != p.RaftID && c.removed(p.RaftID) {
		// It was admitted once more, and uses the Raft id that has left.
		c.tellStale(p, "has a Raft id that has left the cluster", event.Stale{Counter: m.Incarnation.Counter})
		return true
	}
	if c.nodeOf(p.RaftID) != p.Node || mutant.Is("use what is torn or set back") {
		return false
	}
	remembered := event.Stale{}
	if m := c.state.Member(p.Node); m != nil && (m.Incarnation.Boot != p.Boot || m.Incarnation.Counter > p.Counter) {
		remembered.Counter = m.Incarnation.Counter
	}
	v, known := c.detector.Peer(c.now.Mono, p.Node)
	if known && v.Packet.RaftID == p.RaftID && v.Packet.Lineage == p.Lineage {
		if v.Packet.Boot != p.Boot || v.Packet.Counter > p.Counter {
			remembered.Counter = max(remembered.Counter, v.Packet.Counter)
		}
		if v.Packet.Counter < p.Counter {
			remembered.Commit = v.Packet.Commit
		}
	}
	if x := c.memoryOf(p); x != nil {
		if x.Boot != p.Boot || x.Counter > p.Counter {
			remembered.Counter = max(remembered.Counter, x.Counter)
		}
		if x.Counter < p.Counter {
			remembered.Commit = max(remembered.Commit, x.Commit)
		}
	}
	if p.Counter > remembered.Counter && p.LastIndex >= remembered.Commit {
		return false
	}
	c.tellStale(p, "starts from old state", remembered)
	return true
}

// tellStale tells a node, now and then, that its state must not be used.
func (c *Core) tellStale(p *heartbeat.Packet, what string, remembered event.Stale) {
	if c.now.Mono < c.toldStale {
		return
	}
	c.toldStale = c.now.Mono + c.detector.Times().Interval
	c.trace("%s (incarnation %d) %s", p.Node, p.Counter, what)
	c.send(p.Node, event.Message{For: cluster.Incarnation{Node: p.Node, Counter: p.Counter, Boot: p.Boot}, Stale: &remembered})
}

// outlived tells whether a newer incarnation of the node is known.
func (c *Core) outlived(from cluster.Incarnation) bool {
	if v, ok := c.detector.Peer(c.now.Mono, from.Node); ok && v.Packet.Counter > from.Counter {
		return true
	}
	m := c.state.Member(from.Node)
	return m != nil && m.Incarnation.Counter > from.Counter
}

// removed tells whether a Raft id has left the cluster.
func (c *Core) removed(id uint64) bool {
	for i := range c.state.Removed {
		if c.state.Removed[i].RaftID == id {
			return true
		}
	}
	return false
}

// transferContext marks the votes of an ordered hand-over, as the library does.
var transferContext = []byte("CampaignTransfer")

func (c *Core) receivedRaft(m *event.Message) (news bool) {
	r := &raftpb.Message{}
	if err := proto.Unmarshal(m.Raft, r); err != nil {
		c.trace("message of %s dropped: %v", m.From.Node, err)
		return true
	}
	if r.GetFrom() != m.RaftID || r.GetTo() != c.identity.RaftID {
		return false
	}
	vote := r.GetType() == raftpb.MsgVote || r.GetType() == raftpb.MsgPreVote
	if vote && (!bytes.Equal(r.GetContext(), transferContext) && c.leaderHeard() || !c.heardBy(r.GetFrom())) {
		c.election.hold(c.now.Mono, r)
		return true
	}
	if last, _ := c.raft.Last(); r.GetType() == raftpb.MsgHeartbeat && r.GetTerm() >= c.raft.Term() && r.GetCommit() > last && !mutant.Is("use what is torn or set back") {
		// The leader has had our word for more than this disk holds.
		c.exit(event.Exit{Code: 1, Rejoin: true, Reason: fmt.Sprintf("the stored log ends at %d, but this node once had what it has no more (%d is known to %s)", last, r.GetCommit(), m.From.Node)})
		return true
	}
	if t := r.GetType(); t != raftpb.MsgHeartbeat && t != raftpb.MsgHeartbeatResp {
		c.stepRaft(r)
		return true
	}
	term, leader, leads := c.raft.Term(), c.raft.Leader(), c.raft.Leads()
	c.stepRaft(r)
	news = c.drain()
	return news || term != c.raft.Term() || leader != c.raft.Leader() || leads != c.raft.Leads()
}

// heardBy tells whether the node with this Raft id hears this very incarnation, and
// so has compared it with what it remembers: before that it gets no vote (rule 9).
func (c *Core) heardBy(id uint64) bool {
	v := c.peer(c.nodeOf(id))
	return v.Reachable && v.Packet.RaftID == id
}

func (c *Core) stepRaft(r *raftpb.Message) {
	if err := c.raft.Step(r); err != nil {
		c.trace("%v", err)
	}
}

// heard takes a heartbeat, and tells whether it says anything but that all is as before.
func (c *Core) heard(e event.HeartbeatReceived) (news bool) {
	p := &e.Packet
	if c.stale(p) {
		return true
	}
	if m := c.state.Member(p.Node); m != nil && m.Incarnation.Counter > p.Counter {
		return true
	}
	if p.Lineage == c.identity.Lineage.ID && p.RaftID != 0 && c.names[p.RaftID] != p.Node && !c.removed(p.RaftID) {
		c.names[p.RaftID] = p.Node
	}
	if v, ok := c.detector.Peer(c.now.Mono, p.Node); ok && v.Packet.Counter > p.Counter && v.Packet.RaftID != p.RaftID && p.Lineage == c.identity.Lineage.ID {
		if m := c.state.Member(p.Node); c.removed(v.Packet.RaftID) || m != nil && m.RaftID == p.RaftID {
			c.detector.Forget(p.Node) // it joined afresh, and its counter began anew with its disk
		}
	}
	if !mutant.Is("hear other lineages") {
		c.meet(p)
	}
	if c.over {
		return true
	}
	newer, changed := c.detector.Received(c.now.Mono, e.Link, p)
	if newer {
		c.trace("%s is heard, incarnation %d", p.Node, p.Counter)
		delete(c.graces, p.Node) // the restart is over
		if c.raft.Leads() {
			// What was on its way to the former incarnation is lost.
			c.raft.Unreachable(p.RaftID)
			c.raft.SnapshotFailed(p.RaftID)
		}
	}
	return changed || p.Lineage != c.identity.Lineage.ID
}

// knownTo tells up to which index a node shows, in this very life, that it has what is
// committed on its disk.
func (c *Core) knownTo(node cluster.Incarnation) uint64 {
	if node == c.self {
		return c.state.Index
	}
	p := c.peer(node.Node).Packet
	if p.Counter != node.Counter || p.Boot != node.Boot || p.Lineage != c.identity.Lineage.ID {
		return 0
	}
	return p.Commit
}

// peer returns what is known of a node by heartbeats; one of another lineage, or
// with a removed Raft id, does not count as reachable.
func (c *Core) peer(name string) heartbeat.View {
	v, _ := c.detector.Peer(c.now.Mono, name)
	if v.Reachable && v.Packet.Lineage != c.identity.Lineage.ID && !mutant.Is("hear other lineages") {
		v.Reachable, v.Reason = false, "it belongs to another lineage"
	}
	return v
}

// beat hands new content to the heartbeat thread, if there is any.
func (c *Core) beat() {
	t := c.detector.Times()
	index, term := c.raft.Last()
	p := heartbeat.Packet{
		Node: c.self.Node, Counter: c.self.Counter, Boot: c.self.Boot, RaftID: c.identity.RaftID,
		Leaving: c.leave.asked && !c.leave.restart, Lineage: c.identity.Lineage.ID, Term: c.raft.Term(), Leader: c.raft.Leader(),
		LastIndex: index, LastTerm: term, Interval: t.Interval,
		Heard: c.detector.AppendHeard(c.scratch.heard[:0], c.now.Mono), Parted: c.hearsParted(),
	}
	p.Ancestors = c.ancestors()
	p.Ancestors = p.Ancestors[:min(len(p.Ancestors), heartbeat.MaxAncestors)]
	p.Commit, p.Voters = c.raft.Synced()
	if mutant.Is("say that voters are synced when they are applied") {
		p.Voters = c.raft.ConfIndex()
	}
	if c.raft.Leads() && !c.mayLead() || c.state.Lineage.ID != c.identity.Lineage.ID {
		p.Leader = 0
	}
	peers := c.appendPeers(c.scratch.peers[:0])
	c.scratch.heard, c.scratch.peers = p.Heard, peers
	if l := c.lastPacket; l != nil && l.Limit == t.Stall/2 && l.Packet.Equal(&p) && slices.Equal(l.Peers, peers) {
		return
	}
	c.scratch.heard, c.scratch.peers = nil, nil // they are given away
	c.lastPacket = &event.Heartbeat{Packet: p, Peers: peers, Limit: t.Stall / 2}
	c.out.Heartbeat = c.lastPacket
}

func (c *Core) isPeer(name string) bool { return slices.Contains(c.appendPeers(nil), name) }

func (c *Core) appendPeers(names []string) []string {
	members := c.state.Members
	if len(members) == 0 {
		members = c.options.Peers
	}
	for i := range members {
		if members[i].Name != c.self.Node {
			names = append(names, members[i].Name)
		}
	}
	return names
}
