package consensus

import (
	"slices"
	"testing"

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

// Of the pair {1, 2} one stops voting. The leader has entries, and not their commit,
// on its disk when it loses power, while the other one may have applied the change: at
// every such moment the two can elect a leader again, if what is known to be
// committed is told.
func TestAPowerCutAfterAChangeOfVoters(t *testing.T) {
	stuck := 0
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
		a.boot()
		elect(t, both)
		if !a.Leads() && !b.Leads() {
			stuck++
			last, _ := a.Last()
			index, term, ok := b.Committed(last)
			if news, err := a.Learn(index, term); !ok || !news || err != nil {
				t.Fatalf("after %d syncs: told of %d in term %d (%t): news %t, %v", syncs, index, term, ok, news, err)
			}
			a.take()
			if a.ConfIndex() != b.ConfIndex() || !a.IsVoter(1) || a.IsVoter(2) {
				t.Errorf("after %d syncs: voters %v of %d, want those of %d", syncs, a.Conf().GetVoters(), a.ConfIndex(), b.ConfIndex())
			}
			if _, conf := a.Synced(); conf == a.ConfIndex() {
				t.Errorf("after %d syncs: says that it has synced what it was just told", syncs)
			}
			elect(t, both)
		}
		if !a.Leads() && !b.Leads() {
			t.Errorf("after %d syncs: nobody can be elected; 1 has voters %v, 2 has %v", syncs, a.Conf().GetVoters(), b.Conf().GetVoters())
		}
		if a.Commit() != b.Commit() {
			t.Errorf("after %d syncs: 1 has committed %d, 2 has %d", syncs, a.Commit(), b.Commit())
		}
	}
	if stuck == 0 {
		t.Error("no moment was found at which nobody can be elected")
	}
}

// elect has both campaign by turns, as the failure detector does.
func elect(t *testing.T, members []*member) {
	t.Helper()
	for range 3 {
		for _, m := range members {
			if slices.ContainsFunc(members, func(o *member) bool { return o.Leads() }) || !m.IsVoter(m.ID()) {
				continue
			}
			if err := m.Campaign(); err != nil {
				t.Fatal(err)
			}
			m.take()
			exchange(t, members)
		}
	}
}

// What is told counts only for the same log, and for more than is known.
func TestLearnIsOfTheSameLog(t *testing.T) {
	n := begin(t, 1, 2, 3)
	if err := n.Step(appendOf(2, 2, 1, 1, 1, entry(2, 2, "x"), entry(3, 2, "y"))); err != nil {
		t.Fatal(err)
	}
	take(t, n)
	learn := func(index, term uint64) bool {
		t.Helper()
		news, err := n.Learn(index, term)
		if err != nil {
			t.Fatal(err)
		}
		return news
	}
	if learn(2, 2) {
		t.Error("taken while the disk has not got it")
	}
	n.NextBatch()
	durable(t, n)
	for _, x := range [][2]uint64{{2, 1}, {3, 3}, {4, 2}, {1, 1}, {0, 0}} {
		if learn(x[0], x[1]) {
			t.Errorf("%d of term %d was taken", x[0], x[1])
		}
	}
	if !learn(2, 2) {
		t.Fatal("the same entry was not taken")
	}
	out := take(t, n)
	if len(out.Committed) != 1 || string(out.Committed[0].GetData()) != "x" || n.Term() != 2 {
		t.Errorf("committed %v in term %d", out.Committed, n.Term())
	}
	// It votes as before, and follows the leader of its term.
	if err := n.Step(appendOf(2, 2, 3, 2, 3)); err != nil {
		t.Fatal(err)
	}
	if out := take(t, n); len(out.Committed) != 1 || n.Leader() != 2 {
		t.Errorf("committed %v, leader %d", out.Committed, n.Leader())
	}
}
