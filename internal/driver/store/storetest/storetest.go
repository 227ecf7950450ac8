// Package storetest is the conformance suite of stores: whatever keeps a node's
// durable state, on a disk or in a simulated one, passes it.
package storetest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Store is what the suite drives.
type Store interface {
	Save(*event.Persist) error
	// Reopen lets go of the store and returns what it then holds.
	Reopen() (event.Stored, error)
}

// Run checks a kind of store; open makes a new, empty one.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Run("empty", func(t *testing.T) {
		stored, err := open(t).Reopen()
		if err != nil || !stored.Fresh || stored.Torn != "" {
			t.Fatalf("a store that was never written: %+v, %v", stored, err)
		}
	})
	t.Run("gap", func(t *testing.T) {
		s := open(t)
		want := save(t, s, event.Stored{}, &event.Persist{Identity: &event.Identity{Node: "alpha", Counter: 1}, Entries: entries(1, 1, 3)})
		if err := s.Save(&event.Persist{Seq: 2, Entries: entries(2, 6, 1)}); err == nil {
			t.Fatal("a gap in the log was accepted")
		}
		same(t, s, want)
	})
	for seed := range uint64(8) {
		t.Run(fmt.Sprintf("random/%d", seed), func(t *testing.T) { random(t, open(t), seed) })
	}
}

// random saves random legal batches, reopening now and then, and compares with
// the model after each reopening.
func random(t *testing.T, s Store, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	want := event.Stored{}
	term := uint64(1)
	for seq := uint64(1); seq <= 60; seq++ {
		base := want.Snapshot.GetMetadata().GetIndex()
		last := base + uint64(len(want.Entries))
		p := &event.Persist{Seq: seq}
		if seq == 1 || rng.IntN(8) == 0 {
			p.Identity = &event.Identity{
				Node: "alpha", RaftID: rng.Uint64(), Counter: seq, Boot: "b", Machine: "m",
				Lineage: cluster.Lineage{ID: fmt.Sprint(seed)}, Peers: []event.PeerMemory{{Node: "beta", Counter: seq}},
			}
		}
		if rng.IntN(20) == 0 {
			p.Reset = true
			base, last = 0, 0
		}
		if rng.IntN(10) == 0 { // of this log, or received and ahead of it
			index, snapTerm := base+1+uint64(rng.IntN(int(last-base)+3)), term
			if old := want.Snapshot; old != nil && !p.Reset && rng.IntN(3) == 0 { // once more of the same state
				index, snapTerm = base, old.GetMetadata().GetTerm()
			} else if at := index - base - 1; !p.Reset && at < uint64(len(want.Entries)) && rng.IntN(4) > 0 {
				snapTerm = want.Entries[at].GetTerm()
			} else {
				index = max(index, last+1)
			}
			p.Snapshot = &raftpb.Snapshot{Data: []byte(fmt.Sprint("state ", index)), Metadata: &raftpb.SnapshotMetadata{
				Index: new(index), Term: new(snapTerm), ConfState: &raftpb.ConfState{Voters: []uint64{1, 2}},
			}}
			p.CompactTo = index
			base, last = index, max(index, last)
		}
		if rng.IntN(3) > 0 {
			if rng.IntN(4) == 0 {
				term++
			}
			first := last + 1
			if rng.IntN(4) == 0 && last > base { // overwrite a tail
				first = base + 1 + uint64(rng.IntN(int(last-base)))
				term++
			}
			p.Entries = entries(term, first, 1+rng.IntN(5))
		}
		if rng.IntN(2) == 0 || p.Reset || p.Snapshot != nil || p.Entries != nil {
			p.HardState = &raftpb.HardState{Term: new(term), Vote: new(uint64(2)), Commit: new(base)}
		}
		want = save(t, s, want, p)
		if rng.IntN(6) == 0 {
			same(t, s, want)
		}
	}
	same(t, s, want)
}

func save(t *testing.T, s Store, before event.Stored, p *event.Persist) event.Stored {
	t.Helper()
	if err := before.Apply(p); err != nil {
		t.Fatalf("the suite made a batch that is not legal: %v", err)
	}
	if err := s.Save(p); err != nil {
		t.Fatalf("save batch %d: %v", p.Seq, err)
	}
	return before
}

func same(t *testing.T, s Store, want event.Stored) {
	t.Helper()
	got, err := s.Reopen()
	if err != nil {
		t.Fatalf("reopen: %v", err)
	}
	if diff := Diff(want, got); diff != "" {
		t.Fatalf("stored state differs (-want +got):\n%s", diff)
	}
}

// Diff compares two stored states, "" if they are equal.
func Diff(want, got event.Stored) string {
	return cmp.Diff(want, got, protocmp.Transform())
}

// entries returns n entries of term from index first on.
func entries(term, first uint64, n int) []*raftpb.Entry {
	out := make([]*raftpb.Entry, n)
	for i := range out {
		index := first + uint64(i)
		out[i] = &raftpb.Entry{Term: proto.Uint64(term), Index: new(index), Type: raftpb.EntryNormal.Enum(), Data: fmt.Appendf(nil, "%d/%d", term, index)}
	}
	return out
}
