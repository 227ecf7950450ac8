package consensus

import (
	"errors"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// begin returns node 1 of voters, whose log begins with a snapshot at 1.
func begin(t *testing.T, voters ...uint64) *Node {
	t.Helper()
	n, err := New(Start{
		ID: 1, ElectionTicks: 5, State: func() ([]byte, error) { return []byte("state"), nil },
		HardState: &raftpb.HardState{Term: proto.Uint64(1), Vote: proto.Uint64(0), Commit: proto.Uint64(1)},
		Snapshot: &raftpb.Snapshot{Data: []byte("state"), Metadata: &raftpb.SnapshotMetadata{
			ConfState: &raftpb.ConfState{Voters: voters}, Index: proto.Uint64(1), Term: proto.Uint64(1),
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func take(t *testing.T, n *Node) Output {
	t.Helper()
	out, err := n.Take()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func durable(t *testing.T, n *Node) Output {
	t.Helper()
	out, err := n.Durable()
	if err != nil {
		t.Fatal(err)
	}
	more := take(t, n)
	out.Messages = append(out.Messages, more.Messages...)
	out.Committed = append(out.Committed, more.Committed...)
	return out
}

func kinds(messages []*raftpb.Message) (list []raftpb.MessageType) {
	for _, m := range messages {
		list = append(list, m.GetType())
	}
	return list
}

func message(kind raftpb.MessageType, from, term uint64, fill func(*raftpb.Message)) *raftpb.Message {
	m := &raftpb.Message{Type: kind.Enum(), From: &from, To: proto.Uint64(1), Term: &term}
	if fill != nil {
		fill(m)
	}
	return m
}

func TestAVoteLeavesWhenItIsDurable(t *testing.T) {
	n := begin(t, 1, 2, 3)
	if err := n.Step(message(raftpb.MsgVote, 2, 2, func(m *raftpb.Message) { m.Index, m.LogTerm = proto.Uint64(1), proto.Uint64(1) })); err != nil {
		t.Fatal(err)
	}
	if out := take(t, n); len(out.Messages) != 0 {
		t.Fatalf("sent before the disk has it: %v", kinds(out.Messages))
	}
	b := n.NextBatch()
	if b == nil || b.HardState.GetVote() != 2 || b.HardState.GetTerm() != 2 {
		t.Fatalf("batch %+v", b)
	}
	if n.NextBatch() != nil {
		t.Error("a second batch while the first is under way")
	}
	if out := durable(t, n); len(out.Messages) != 1 || out.Messages[0].GetType() != raftpb.MsgVoteResp {
		t.Errorf("after the disk: %v", kinds(out.Messages))
	}
}

func appendOf(term, from uint64, prev, prevTerm, commit uint64, entries ...*raftpb.Entry) *raftpb.Message {
	return message(raftpb.MsgApp, from, term, func(m *raftpb.Message) {
		m.Index, m.LogTerm, m.Commit, m.Entries = &prev, &prevTerm, &commit, entries
	})
}

func entry(index, term uint64, data string) *raftpb.Entry {
	return &raftpb.Entry{Index: &index, Term: &term, Type: raftpb.EntryNormal.Enum(), Data: []byte(data)}
}

func TestEntriesAreAcknowledgedWhenTheyAreDurable(t *testing.T) {
	n := begin(t, 1, 2, 3)
	if err := n.Step(appendOf(2, 2, 1, 1, 1, entry(2, 2, "x"), entry(3, 2, "y"))); err != nil {
		t.Fatal(err)
	}
	if out := take(t, n); len(out.Messages) != 0 {
		t.Fatalf("sent before the disk has it: %v", kinds(out.Messages))
	}
	if index, term := n.Last(); index != 3 || term != 2 {
		t.Errorf("last %d in term %d", index, term)
	}
	// While the disk works, a new leader overwrites what is under way.
	first := n.NextBatch()
	if len(first.Entries) != 2 {
		t.Fatalf("batch of %d entries", len(first.Entries))
	}
	for _, m := range []*raftpb.Message{appendOf(3, 3, 2, 2, 1, entry(3, 3, "z")), appendOf(3, 3, 3, 3, 3, entry(4, 3, "w"))} {
		if err := n.Step(m); err != nil {
			t.Fatal(err)
		}
	}
	take(t, n)
	out := durable(t, n)
	for _, m := range out.Messages {
		if m.GetTerm() == 3 {
			t.Errorf("%s of the second batch after the first", m.GetType())
		}
	}
	second := n.NextBatch()
	if len(second.Entries) != 2 || string(second.Entries[0].GetData()) != "z" || string(second.Entries[1].GetData()) != "w" {
		t.Fatalf("second batch %v", second.Entries)
	}
	if string(first.Entries[1].GetData()) != "y" {
		t.Error("a batch was changed while the disk had it")
	}
	out = durable(t, n)
	var applied string
	for _, e := range out.Committed {
		applied += string(e.GetData())
	}
	if applied != "xz" {
		t.Errorf("applied %q, want xz", applied)
	}
}

// A sole voter commits by its own disk alone.
func TestNothingIsCommittedBeforeItIsDurable(t *testing.T) {
	n := begin(t, 1)
	if err := n.Propose([]byte("early")); !errors.Is(err, ErrNotLeader) {
		t.Errorf("proposed to a follower: %v", err)
	}
	if err := n.Campaign(); err != nil {
		t.Fatal(err)
	}
	for range 6 {
		take(t, n)
		if n.NextBatch() != nil {
			durable(t, n)
		}
	}
	if !n.Leads() {
		t.Fatal("does not lead")
	}
	if err := n.Propose([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if out := take(t, n); len(out.Committed) != 0 {
		t.Error("committed before the disk has it")
	}
	if n.NextBatch() == nil {
		t.Fatal("nothing for the disk")
	}
	if out := durable(t, n); len(out.Committed) != 1 || string(out.Committed[0].GetData()) != "x" {
		t.Errorf("committed %v", out.Committed)
	}
	// A commit index alone is written when convenient.
	if now, lazy := n.Pending(); now || !lazy {
		t.Errorf("pending %v, lazily %v; want lazily", now, lazy)
	}
}

// Alone keeps the whole log but for changes of voters that were not applied.
func TestAlone(t *testing.T) {
	n := begin(t, 1, 2)
	change := entry(3, 2, "")
	change.Type = raftpb.EntryConfChangeV2.Enum()
	if err := n.Step(appendOf(2, 2, 1, 1, 1, entry(2, 2, "x"), change, entry(4, 2, "y"))); err != nil {
		t.Fatal(err)
	}
	take(t, n)
	if _, _, err := n.Alone(); err == nil {
		t.Error("went on alone while a write was under way")
	}
	n.NextBatch()
	durable(t, n)
	if !n.ConfPending() {
		t.Error("the change of voters in the log was not seen")
	}
	start, branch, err := n.Alone()
	if err != nil {
		t.Fatal(err)
	}
	if branch != 2 || len(start.Entries) != 3 || start.HardState.GetCommit() != 4 || start.HardState.GetTerm() != 3 {
		t.Errorf("branch %d, %d entries, hard state %v", branch, len(start.Entries), start.HardState)
	}
	start.ElectionTicks = 5
	alone, err := New(start)
	if err != nil {
		t.Fatal(err)
	}
	if err := alone.Campaign(); err != nil {
		t.Fatal(err)
	}
	var applied string
	for range 6 {
		out := take(t, alone)
		if alone.NextBatch() != nil {
			more := durable(t, alone)
			out.Committed = append(out.Committed, more.Committed...)
		}
		for _, e := range out.Committed {
			applied += string(e.GetData())
		}
	}
	if !alone.Leads() || applied != "xy" || alone.ConfPending() {
		t.Errorf("leads %v, applied %q", alone.Leads(), applied)
	}
}

func TestALogThatLacksCommittedEntriesIsRefused(t *testing.T) {
	_, err := New(Start{ID: 1, ElectionTicks: 5, State: func() ([]byte, error) { return nil, nil },
		HardState: &raftpb.HardState{Term: proto.Uint64(1), Vote: proto.Uint64(0), Commit: proto.Uint64(9)}})
	if err == nil {
		t.Error("a log was accepted that ends before what it has committed")
	}
}
