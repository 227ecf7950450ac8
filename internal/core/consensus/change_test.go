package consensus

import (
	"errors"
	"slices"
	"testing"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// member is a Node with a disk that forgets what was not synced.
type member struct {
	*Node
	t    *testing.T
	disk Start
	sent []*raftpb.Message
}

func newMember(t *testing.T, id uint64, voters ...uint64) *member {
	m := &member{t: t, disk: Start{
		ID: id, ElectionTicks: 5, State: func() ([]byte, error) { return []byte("state"), nil },
		HardState: &raftpb.HardState{Term: proto.Uint64(1), Vote: proto.Uint64(0), Commit: proto.Uint64(1)},
		Snapshot: &raftpb.Snapshot{Data: []byte("state"), Metadata: &raftpb.SnapshotMetadata{
			ConfState: &raftpb.ConfState{Voters: voters}, Index: proto.Uint64(1), Term: proto.Uint64(1),
		}},
	}}
	m.boot()
	return m
}

// boot begins anew with what the disk has.
func (m *member) boot() {
	m.t.Helper()
	n, err := New(m.disk)
	if err != nil {
		m.t.Fatal(err)
	}
	m.Node, m.sent = n, nil
	m.take()
}

func (m *member) take() {
	m.t.Helper()
	m.sent = append(m.sent, take(m.t, m.Node).Messages...)
}

// sync lets the disk do what waits for it, once, and tells whether there was anything.
func (m *member) sync() bool {
	m.t.Helper()
	b := m.NextBatch()
	if b == nil {
		return false
	}
	m.disk.Entries = merge(m.disk.Entries, b.Entries)
	m.disk.HardState = proto.Clone(b.HardState).(*raftpb.HardState)
	m.sent = append(m.sent, durable(m.t, m.Node).Messages...)
	return true
}

// exchange delivers all messages among members, and syncs the disks of all but
// those of stuck, until nothing more happens.
func exchange(t *testing.T, members []*member, stuck ...*member) {
	t.Helper()
	for more := true; more; {
		more = false
		for _, m := range members {
			if !slices.Contains(stuck, m) {
				for m.sync() {
					more = true
				}
			}
			sent := m.sent
			m.sent = nil
			for _, x := range sent {
				for _, to := range members {
					if to.ID() == x.GetTo() {
						more = true
						if err := to.Step(proto.Clone(x).(*raftpb.Message)); err != nil {
							t.Fatal(err)
						}
						to.take()
					}
				}
			}
		}
	}
}

func lead(t *testing.T, m *member, members ...*member) {
	t.Helper()
	if err := m.Campaign(); err != nil {
		t.Fatal(err)
	}
	m.take()
	exchange(t, members)
	if !m.Leads() {
		t.Fatalf("%d does not lead", m.ID())
	}
}

func change(kind raftpb.ConfChangeType, ids ...uint64) *raftpb.ConfChangeV2 {
	c := &raftpb.ConfChangeV2{}
	for _, id := range ids {
		c.Changes = append(c.Changes, &raftpb.ConfChangeSingle{Type: kind.Enum(), NodeId: &id})
	}
	return c
}

// Of the pair {1, 2} one stops voting. The leader's disk stands still when it has
// the entry and not its commit, and then the leader loses power: at every such
// moment the two must be able to elect a leader again.
func TestAChangeOfVotersIsKnownToTheLeadersDiskFirst(t *testing.T) {
	for syncs := range 8 {
		a, b := newMember(t, 1, 1, 2), newMember(t, 2, 1, 2)
		both := []*member{a, b}
		lead(t, a, both...)
		if err := a.ProposeConf(change(raftpb.ConfChangeAddLearnerNode, 2)); err != nil {
			t.Fatal(err)
		}
		a.take()
		for range syncs {
			exchange(t, both, a)
			a.sync()
			if err := a.Propose([]byte("behind the change")); err != nil {
				t.Fatal(err)
			}
			a.take()
		}
		exchange(t, both, a)
		if told, _ := a.Synced(); b.ConfIndex() > told {
			t.Errorf("after %d syncs: the other one has applied %d, the leader's disk knows of %d", syncs, b.ConfIndex(), told)
		}
		a.boot()
		for range 3 { // by turns, as the failure detector has them do
			for _, m := range both {
				if !a.Leads() && !b.Leads() && m.IsVoter(m.ID()) {
					if err := m.Campaign(); err != nil {
						t.Fatal(err)
					}
					m.take()
					exchange(t, both)
				}
			}
		}
		if !a.Leads() && !b.Leads() {
			t.Errorf("after %d syncs: nobody can be elected; 1 has voters %v, 2 has %v", syncs, a.Conf().GetVoters(), b.Conf().GetVoters())
		}
	}
}

// changing returns three nodes of which the first leads and has just proposed that
// the last one stops voting.
func changing(t *testing.T) (all []*member) {
	t.Helper()
	a, b, c := newMember(t, 1, 1, 2, 3), newMember(t, 2, 1, 2, 3), newMember(t, 3, 1, 2, 3)
	all = []*member{a, b, c}
	lead(t, a, all...)
	if err := a.ProposeConf(change(raftpb.ConfChangeAddLearnerNode, 3)); err != nil {
		t.Fatal(err)
	}
	a.take()
	return all
}

// The leader's disk stands still, and the other two go on: entries reach them, the
// commit of the change does when the leader's disk has it.
func TestOnlyTheCommitOfAChangeIsHeldBack(t *testing.T) {
	all := changing(t)
	a := all[0]
	at, _ := a.Last()
	exchange(t, all, a)
	if err := a.Propose([]byte("x")); err != nil {
		t.Fatal(err)
	}
	a.take()
	exchange(t, all, a)
	last, _ := a.Last()
	if a.Commit() != last || last != at+1 {
		t.Fatalf("the leader knows of %d as committed, want %d", a.Commit(), last)
	}
	for _, m := range all[1:] {
		if i, _ := m.Last(); i != last || m.Commit() != at-1 {
			t.Errorf("%d has entries up to %d, want %d, and knows of %d as committed, want %d", m.ID(), i, last, m.Commit(), at-1)
		}
	}
	exchange(t, all) // no tick: it is told when the disk has it
	for _, m := range all {
		if m.Commit() != last || m.IsVoter(3) {
			t.Errorf("%d knows of %d as committed, want %d; voters %v", m.ID(), m.Commit(), last, m.Conf().GetVoters())
		}
	}
}

// A snapshot would tell of the change as well.
func TestASnapshotWaitsForTheCommitOfAChange(t *testing.T) {
	all := changing(t)
	a := all[0]
	a.sync() // the entry
	exchange(t, all[:2], a)
	if _, synced := a.Synced(); a.ConfIndex() == synced {
		t.Fatal("the change was not applied before its commit was synced")
	}
	if _, err := a.log.Snapshot(); !errors.Is(err, raft.ErrSnapshotTemporarilyUnavailable) {
		t.Errorf("a snapshot for others: %v", err)
	}
	a.sync()
	if s, err := a.log.Snapshot(); err != nil || s.GetMetadata().GetIndex() < a.ConfIndex() {
		t.Errorf("a snapshot when the commit is synced: %v, %v", s.GetMetadata(), err)
	}
}
