package core

import (
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"linuxha/internal/cluster"
	"linuxha/internal/core/membership"
)

// nearlyAll is how many entries a node may lack and still count as caught up.
const nearlyAll = 64

// reviewVoters brings Raft's configuration to what the members call for: everyone
// who was heard learns, some of them vote.
func (c *Core) reviewVoters() {
	conf := c.raft.Conf()
	if len(conf.GetVotersOutgoing()) > 0 {
		return // a change is under way
	}
	if !c.votersRecorded(conf) {
		c.want("voters", cluster.Command{Voters: &cluster.Voters{IDs: slices.Clone(conf.GetVoters())}})
		return
	}
	if c.lead.confAt > 0 && c.lead.confIndex == c.raft.ConfIndex() && c.now.Mono-c.lead.confAt < 5*c.detector.Times().Interval {
		return
	}
	if s := &c.lead.seats; s.state == c.state && s.conf == c.raft.ConfIndex() {
		return
	}
	changes := c.confChanges(conf)
	if len(changes) == 0 {
		offline := func(m cluster.Member) bool { return m.State != cluster.NodeOnline }
		if len(conf.GetVoters()) == len(c.state.Members) && !slices.ContainsFunc(c.state.Members, offline) {
			c.lead.seats = seats{c.state, c.raft.ConfIndex()}
		}
		return
	}
	c.lead.confAt, c.lead.confIndex = c.now.Mono, c.raft.ConfIndex()
	if err := c.raft.ProposeConf(&raftpb.ConfChangeV2{Changes: changes}); err != nil {
		c.trace("%v", err)
	}
}

// seats is the newest state and configuration in which every member is online, votes
// and should: as long as both stand, nothing else can change who votes.
type seats struct {
	state *cluster.State
	conf  uint64
}

// votersRecorded tells whether State has the voters that Raft has.
func (c *Core) votersRecorded(conf *raftpb.ConfState) bool {
	for i := range c.state.Members {
		m := &c.state.Members[i]
		if m.Voter != slices.Contains(conf.GetVoters(), m.RaftID) {
			return false
		}
	}
	return true
}

func (c *Core) confChanges(conf *raftpb.ConfState) []*raftpb.ConfChangeSingle {
	var changes []*raftpb.ConfChangeSingle
	change := func(t raftpb.ConfChangeType, id uint64) {
		changes = append(changes, &raftpb.ConfChangeSingle{Type: t.Enum(), NodeId: &id})
	}
	var candidates []membership.Candidate
	members := map[uint64]bool{}
	for i := range c.state.Members {
		m := &c.state.Members[i]
		members[m.RaftID] = true
		known := slices.Contains(conf.GetVoters(), m.RaftID) || slices.Contains(conf.GetLearners(), m.RaftID)
		v := c.peer(m.Name)
		self := m.Name == c.self.Node
		if !known && v.Reachable && v.Packet.RaftID == m.RaftID {
			change(raftpb.ConfChangeAddLearnerNode, m.RaftID)
		}
		voter := slices.Contains(conf.GetVoters(), m.RaftID)
		caughtUp := self || voter // of voters it does not matter
		if known && !caughtUp && v.Reachable {
			match, flows := c.raft.Match(m.RaftID)
			caughtUp = flows && match+nearlyAll > c.raft.Commit() && v.Packet.Voters >= c.raft.ConfIndex()
		}
		candidates = append(candidates, membership.Candidate{
			ID: m.RaftID, Name: m.Name, Voter: voter, Witness: c.state.IsWitness(m), Leader: self, CaughtUp: caughtUp,
			Online: m.State == cluster.NodeOnline, Heard: self || v.Reachable, Off: m.Off(),
			Leaving: m.State == cluster.NodeLeaving && len(c.state.Members) > 1 && c.mayLeave(m),
		})
	}
	for _, id := range conf.GetVoters() {
		if !members[id] { // of a member that was removed, or came back with an empty disk
			candidates = append(candidates, membership.Candidate{ID: id, Voter: true, Off: true})
		}
	}
	wanted := membership.Voters(candidates)
	for _, id := range wanted {
		if !slices.Contains(conf.GetVoters(), id) {
			change(raftpb.ConfChangeAddNode, id)
		}
	}
	// A leader that has to go hands over first: one who goes later than the others could
	// be left as one of two, and a witness never may.
	if slices.Contains(wanted, c.identity.RaftID) {
		for _, id := range conf.GetVoters() {
			switch {
			case slices.Contains(wanted, id):
			case members[id]:
				change(raftpb.ConfChangeAddLearnerNode, id)
			default:
				change(raftpb.ConfChangeRemoveNode, id)
			}
		}
	}
	for _, id := range conf.GetLearners() {
		if !members[id] {
			change(raftpb.ConfChangeRemoveNode, id)
		}
	}
	return changes
}
