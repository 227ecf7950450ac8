// Package consensus is one node's part in the Raft group: the library's RawNode
// with asynchronous storage, its log kept in memory beside the disk's, and the
// discipline of what may leave before what is durable.
package consensus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"

	"linuxha/internal/cluster/mutant"
)

const (
	maxMessage  = 1 << 20 // bytes of entries in one append
	maxInflight = 256     // appends to one follower without an answer
	maxBacklog  = 64 << 20
)

// ErrNotLeader is why a proposal was not taken.
var ErrNotLeader = errors.New("this node does not lead")

// Start is what a Node begins with: what the disk holds.
type Start struct {
	ID        uint64
	HardState *raftpb.HardState
	Snapshot  *raftpb.Snapshot
	Entries   []*raftpb.Entry
	// ElectionTicks is after how many ticks of a leader a hand-over that did not end is given up.
	ElectionTicks int
	// State returns the encoded applied state, for snapshots.
	State func() ([]byte, error)
}

// Node is one member of the Raft group.
type Node struct {
	id      uint64
	raw     *raft.RawNode
	log     *storage
	conf    *raftpb.ConfState // as applied
	confAt  uint64            // index that conf was applied at
	applied uint64

	queue  []*write // not yet given to the disk
	flight []*write // with the disk
	hard   *raftpb.HardState
	lazy   bool // hard has a commit index that the disk does not
	must   bool // ... and it must go there soon: a voter change

	synced struct { // what the disk is known to have
		commit uint64
		conf   uint64 // index of the newest voter change applied and synced
	}
	reads    uint64
	sending  map[uint64]int // ticks since a snapshot was sent, by receiver
	patience int            // ticks that its answer may take
	ticks    int            // after which a hand-over that did not end is given up
	trace    []string
}

// write is one step of the log that has to be durable before responses go out.
type write struct {
	snapshot  *raftpb.Snapshot
	entries   []*raftpb.Entry
	hard      *raftpb.HardState
	responses []*raftpb.Message
	disk      bool // must be synced
}

// Batch is what the disk has to do next, in the order of its members.
type Batch struct {
	Snapshot  *raftpb.Snapshot
	Entries   []*raftpb.Entry
	HardState *raftpb.HardState
}

// Output is what came of the steps since the last one.
type Output struct {
	Messages  []*raftpb.Message // to other nodes; they may leave now
	Restored  *raftpb.Snapshot  // durable: it replaces the applied state, before Committed is applied
	Committed []*raftpb.Entry   // to be applied, in order
	Confirmed []uint64          // rounds of Confirm that a majority has answered
	Trace     []string
}

// Empty tells whether there is nothing in o.
func (o *Output) Empty() bool {
	return len(o.Messages) == 0 && o.Restored == nil && len(o.Committed) == 0 && len(o.Confirmed) == 0 && len(o.Trace) == 0
}

// New returns the Node that the disk's content describes. Applied state must be
// that of s.Snapshot: later committed entries come out again.
func New(s Start) (*Node, error) {
	n := &Node{
		id: s.ID, log: newStorage(), conf: &raftpb.ConfState{}, sending: map[uint64]int{}, patience: 3 * max(s.ElectionTicks, 20), ticks: max(s.ElectionTicks, 3),
	}
	n.log.state = s.State
	n.log.node = n
	if s.Snapshot != nil && !raft.IsEmptySnap(s.Snapshot) {
		if err := n.log.ApplySnapshot(s.Snapshot); err != nil {
			return nil, fmt.Errorf("restore snapshot at %d: %w", s.Snapshot.GetMetadata().GetIndex(), err)
		}
		n.applied = s.Snapshot.GetMetadata().GetIndex()
		n.conf, n.confAt = s.Snapshot.GetMetadata().GetConfState(), n.applied
	}
	if err := n.log.Append(s.Entries); err != nil {
		return nil, fmt.Errorf("restore %d log entries: %w", len(s.Entries), err)
	}
	n.hard = s.HardState
	if n.hard == nil {
		n.hard = &raftpb.HardState{}
	}
	last, err := n.log.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("read the log's end: %w", err)
	}
	if commit := n.hard.GetCommit(); commit < n.applied || commit > last {
		if commit > last {
			return nil, fmt.Errorf("the log ends at %d, but %d was committed: entries are missing", last, commit)
		}
		n.hard = &raftpb.HardState{Term: proto.Uint64(n.hard.GetTerm()), Vote: proto.Uint64(n.hard.GetVote()), Commit: proto.Uint64(n.applied)}
	}
	if err := n.log.SetHardState(n.hard); err != nil {
		return nil, fmt.Errorf("restore hard state: %w", err)
	}
	n.synced.commit, n.synced.conf = n.hard.GetCommit(), n.confAt
	return n, n.begin()
}

// begin starts Raft on what the log has.
func (n *Node) begin() (err error) {
	n.raw, err = raft.NewRawNode(&raft.Config{
		ID: n.id, ElectionTick: n.ticks, HeartbeatTick: 1,
		Storage: n.log, Applied: n.applied, AsyncStorageWrites: true,
		MaxSizePerMsg: maxMessage, MaxInflightMsgs: maxInflight, MaxUncommittedEntriesSize: maxBacklog,
		PreVote: true, StepDownOnRemoval: true, DisableProposalForwarding: true,
		Logger: &logger{n},
	})
	if err != nil {
		return fmt.Errorf("start Raft: %w", err)
	}
	return nil
}

// Learn takes another node's word that the log is committed up to the entry of that
// index and term, and tells whether that was news that could be used. Logs that share
// an entry are the same up to there, and what is committed is so for ever: hence it
// is true, whoever leads or votes. Raft itself takes it from a leader only, so it
// begins anew on the same log. Nothing may be waiting for the disk.
func (n *Node) Learn(index, term uint64) (bool, error) {
	if n.Leads() || index <= n.Commit() || !n.Idle() {
		return false, nil
	}
	if own, err := n.log.Term(index); err != nil || own != term && !mutant.Is("learn without the term") {
		return false, nil // not our log
	}
	n.hard = &raftpb.HardState{Term: proto.Uint64(n.hard.GetTerm()), Vote: proto.Uint64(n.hard.GetVote()), Commit: proto.Uint64(index)}
	if err := n.log.SetHardState(n.hard); err != nil {
		return false, fmt.Errorf("take %d as committed: %w", index, err)
	}
	n.lazy, n.must = true, true
	return true, n.begin()
}

// Committed returns the newest entry up to limit that is known to be committed; ok is
// false if the log has it no more.
func (n *Node) Committed(limit uint64) (index, term uint64, ok bool) {
	index = min(limit, n.Commit())
	term, err := n.log.Term(index)
	return index, term, err == nil && term > 0
}

// ID returns the node's Raft id.
func (n *Node) ID() uint64 { return n.id }

// Term returns the current term.
func (n *Node) Term() uint64 { return n.raw.BasicStatus().GetTerm() }

// Leader returns the Raft id of the leader, 0 if none is known.
func (n *Node) Leader() uint64 { return n.raw.BasicStatus().Lead }

// Leads tells whether Raft calls this node the leader.
func (n *Node) Leads() bool { return n.raw.BasicStatus().RaftState == raft.StateLeader }

// Role returns leader, follower or candidate.
func (n *Node) Role() string {
	switch n.raw.BasicStatus().RaftState {
	case raft.StateLeader:
		return "leader"
	case raft.StateFollower:
		return "follower"
	default:
		return "candidate"
	}
}

// Commit returns the newest index known to be committed.
func (n *Node) Commit() uint64 { return n.raw.BasicStatus().GetCommit() }

// Applied returns the index of the last entry handed out as committed.
func (n *Node) Applied() uint64 { return n.applied }

// Synced returns the newest commit index, and the index of the newest voter
// change, that are applied here and on this node's disk.
func (n *Node) Synced() (commit, conf uint64) { return n.synced.commit, n.synced.conf }

// Last returns index and term of the last log entry, durable or not.
func (n *Node) Last() (index, term uint64) {
	// The unstable part of the log is not visible, but is what waits for the disk.
	for _, list := range [][]*write{n.queue, n.flight} {
		for i := len(list) - 1; i >= 0; i-- {
			if e := list[i].entries; len(e) > 0 {
				return e[len(e)-1].GetIndex(), e[len(e)-1].GetTerm()
			}
			if s := list[i].snapshot; s != nil {
				return s.GetMetadata().GetIndex(), s.GetMetadata().GetTerm()
			}
		}
	}
	index, _ = n.log.LastIndex()
	term, _ = n.log.Term(index)
	return index, term
}

// Conf returns the applied configuration.
func (n *Node) Conf() *raftpb.ConfState { return n.conf }

// ConfIndex returns the index that the applied configuration dates from.
func (n *Node) ConfIndex() uint64 { return n.confAt }

// IsVoter tells whether id votes in the applied configuration (either half of a joint one).
func (n *Node) IsVoter(id uint64) bool {
	return slices.Contains(n.conf.GetVoters(), id) || slices.Contains(n.conf.GetVotersOutgoing(), id)
}

// Pair tells whether this node is one of two voters, and there is no other.
func (n *Node) Pair() bool {
	return len(n.conf.GetVoters()) == 2 && len(n.conf.GetVotersOutgoing()) == 0 && slices.Contains(n.conf.GetVoters(), n.id)
}

// HasQuorum tells whether those that has accepts are a majority of the applied
// configuration (of both halves of a joint one).
func (n *Node) HasQuorum(has func(id uint64) bool) bool {
	majority := func(ids []uint64) bool {
		count := 0
		for _, id := range ids {
			if has(id) {
				count++
			}
		}
		return len(ids) == 0 || count > len(ids)/2
	}
	return len(n.conf.GetVoters()) > 0 && majority(n.conf.GetVoters()) && majority(n.conf.GetVotersOutgoing())
}

// Match returns the last log position that the follower id is known to share
// with this leader, and whether appends flow to it.
func (n *Node) Match(id uint64) (index uint64, flows bool) {
	n.raw.WithProgress(func(who uint64, _ raft.ProgressType, p tracker.Progress) {
		if who == id {
			index, flows = p.Match, p.State == tracker.StateReplicate
		}
	})
	return index, flows
}

// EachReplica tells whether f holds of every voter and learner that this leader
// knows, in the order of their ids; flows says that appends flow to it.
func (n *Node) EachReplica(f func(id, match uint64, flows bool) bool) bool {
	all := true
	n.raw.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		all = all && f(id, p.Match, p.State == tracker.StateReplicate)
	})
	return all
}

// Tick lets a leader resend what was lost; only leaders are ticked. A snapshot
// that is not answered in time counts as lost: Raft itself would wait for ever.
func (n *Node) Tick() {
	if !n.Leads() {
		return
	}
	n.raw.Tick()
	var late []uint64
	n.raw.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if p.State != tracker.StateSnapshot {
			delete(n.sending, id)
			return
		}
		if n.sending[id]++; n.sending[id] > n.patience {
			late = append(late, id)
		}
	})
	for _, id := range late {
		delete(n.sending, id)
		n.SnapshotFailed(id)
	}
}

// Campaign starts an election, by a pre-vote.
func (n *Node) Campaign() error { return n.raw.Campaign() }

// Transfer asks the voter id to take over, once it has the whole log.
func (n *Node) Transfer(id uint64) { n.raw.TransferLeader(id) }

// Transferring tells whether a hand-over is under way: nothing can be proposed.
func (n *Node) Transferring() bool { return n.raw.BasicStatus().LeadTransferee != 0 }

// Unreachable tells a leader that messages to id were probably lost.
func (n *Node) Unreachable(id uint64) { n.raw.ReportUnreachable(id) }

// SnapshotFailed tells a leader that a snapshot did not reach id.
func (n *Node) SnapshotFailed(id uint64) { n.raw.ReportSnapshot(id, raft.SnapshotFailure) }

// Step takes a message of another node. Messages that the group's present state
// makes meaningless are dropped.
//
// One of two voters votes for nobody but the other: a former voter that has yet to
// learn that it is none could be elected by its vote, and commit what the other has
// not (rule 6). A newer configuration is in the log of both, and nodes tell each
// other what is committed.
func (n *Node) Step(m *raftpb.Message) error {
	asks := m.GetType() == raftpb.MsgVote || m.GetType() == raftpb.MsgPreVote
	if asks && n.Pair() && !n.IsVoter(m.GetFrom()) {
		return nil
	}
	if err := n.raw.Step(m); err != nil && !errors.Is(err, raft.ErrStepPeerNotFound) && !errors.Is(err, raft.ErrProposalDropped) {
		return fmt.Errorf("step %s of %x: %w", m.GetType(), m.GetFrom(), err)
	}
	return nil
}

// Propose appends data as one entry of the log.
func (n *Node) Propose(data []byte) error {
	if !n.Leads() {
		return ErrNotLeader
	}
	if err := n.raw.Propose(data); err != nil {
		return fmt.Errorf("propose an entry of %d bytes: %w", len(data), err)
	}
	return nil
}

// ProposeConf begins a change of voters and learners. Raft refuses it silently
// while another one is not finished.
func (n *Node) ProposeConf(change *raftpb.ConfChangeV2) error {
	if !n.Leads() {
		return ErrNotLeader
	}
	if err := n.raw.ProposeConfChange(change); err != nil {
		return fmt.Errorf("propose a change of voters: %w", err)
	}
	return nil
}

// Confirm asks a majority whether this node still leads it; the number returned
// comes back in Output.Confirmed when it has said so. Lost with leadership.
func (n *Node) Confirm() uint64 {
	n.reads++
	n.raw.ReadIndex(binary.BigEndian.AppendUint64(nil, n.reads))
	return n.reads
}

// HasOutput tells whether Take would return something.
func (n *Node) HasOutput() bool { return n.raw.HasReady() || n.releasable() }

// Take returns what came of the steps since the last Take. Entries that change
// voters are applied here as well.
func (n *Node) Take() (Output, error) {
	var out Output
	for n.HasOutput() {
		if err := n.takeOnce(&out); err != nil {
			return out, err
		}
	}
	out.Trace, n.trace = n.trace, nil
	return out, nil
}

func (n *Node) takeOnce(out *Output) error {
	if n.raw.HasReady() {
		ready := n.raw.Ready()
		for _, r := range ready.ReadStates {
			if len(r.RequestCtx) == 8 {
				out.Confirmed = append(out.Confirmed, binary.BigEndian.Uint64(r.RequestCtx))
			}
		}
		for _, m := range ready.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				n.enqueue(m)
			case raft.LocalApplyThread:
				if err := n.apply(m, out); err != nil {
					return err
				}
			default:
				out.Messages = append(out.Messages, m)
			}
		}
	}
	return n.release(out)
}

// apply hands out committed entries, and tells Raft that they are applied.
func (n *Node) apply(m *raftpb.Message, out *Output) error {
	for _, e := range m.GetEntries() {
		var change raftpb.ConfChangeI
		switch e.GetType() {
		case raftpb.EntryConfChange:
			c := &raftpb.ConfChange{}
			if err := proto.Unmarshal(e.GetData(), c); err != nil {
				return fmt.Errorf("read the change of voters at %d: %w", e.GetIndex(), err)
			}
			change = c
		case raftpb.EntryConfChangeV2:
			c := &raftpb.ConfChangeV2{}
			if err := proto.Unmarshal(e.GetData(), c); err != nil {
				return fmt.Errorf("read the change of voters at %d: %w", e.GetIndex(), err)
			}
			change = c
		}
		if change != nil {
			n.conf, n.confAt, n.must = n.raw.ApplyConfChange(change), e.GetIndex(), true
			n.trace = append(n.trace, fmt.Sprintf("from %d on voters are %d (outgoing %d), learners %d", n.confAt, n.conf.GetVoters(), n.conf.GetVotersOutgoing(), n.conf.GetLearners()))
		}
		n.applied = e.GetIndex()
		out.Committed = append(out.Committed, e)
	}
	for _, r := range m.GetResponses() {
		if err := n.raw.Step(r); err != nil {
			return fmt.Errorf("acknowledge entries up to %d: %w", n.applied, err)
		}
	}
	return nil
}

// logger passes what Raft warns of to the trace; Raft's panics stay panics.
type logger struct{ n *Node }

func (l *logger) note(format string, v ...any) {
	if len(l.n.trace) < 100 {
		l.n.trace = append(l.n.trace, "raft: "+fmt.Sprintf(format, v...))
	}
}

func (l *logger) Debug(...any)                {}
func (l *logger) Debugf(string, ...any)       {}
func (l *logger) Info(...any)                 {}
func (l *logger) Infof(string, ...any)        {}
func (l *logger) Warning(v ...any)            { l.note("%s", fmt.Sprint(v...)) }
func (l *logger) Warningf(f string, v ...any) { l.note(f, v...) }
func (l *logger) Error(v ...any)              { l.note("%s", fmt.Sprint(v...)) }
func (l *logger) Errorf(f string, v ...any)   { l.note(f, v...) }
func (l *logger) Fatal(v ...any)              { panic("raft: " + fmt.Sprint(v...)) }
func (l *logger) Fatalf(f string, v ...any)   { panic("raft: " + fmt.Sprintf(f, v...)) }
func (l *logger) Panic(v ...any)              { panic("raft: " + fmt.Sprint(v...)) }
func (l *logger) Panicf(f string, v ...any)   { panic("raft: " + fmt.Sprintf(f, v...)) }
