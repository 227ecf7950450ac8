package event

import (
	"testing"

	"go.etcd.io/raft/v3/raftpb"
)

// A snapshot of the same index as the one before (of a daemon that has just
// started) must not take away the entries behind it: they were acknowledged.
func TestSecondSnapshotKeepsTheLog(t *testing.T) {
	snapshot := func(text string) *raftpb.Snapshot {
		return &raftpb.Snapshot{Data: []byte(text), Metadata: &raftpb.SnapshotMetadata{Index: new(uint64(10)), Term: new(uint64(2))}}
	}
	s := Stored{}
	for _, p := range []*Persist{
		{Snapshot: snapshot("old")},
		{Entries: []*raftpb.Entry{{Index: new(uint64(11)), Term: new(uint64(2))}, {Index: new(uint64(12)), Term: new(uint64(3))}}},
		{Snapshot: snapshot("new")},
	} {
		if err := s.Apply(p); err != nil {
			t.Fatal(err)
		}
	}
	if string(s.Snapshot.GetData()) != "new" || len(s.Entries) != 2 || s.Entries[1].GetIndex() != 12 {
		t.Fatalf("snapshot %q, %d entries behind it", s.Snapshot.GetData(), len(s.Entries))
	}
}
