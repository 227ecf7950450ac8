package consensus

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// storage is the durable log as this node remembers it. Snapshots are made of
// the applied state when Raft asks for one.
type storage struct {
	*raft.MemoryStorage
	node  *Node
	state func() ([]byte, error)
}

func newStorage() *storage { return &storage{MemoryStorage: raft.NewMemoryStorage()} }

// InitialState implements raft.Storage: the configuration is the applied one.
func (s *storage) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	hard, _, err := s.MemoryStorage.InitialState()
	return hard, s.node.conf, err
}

// Snapshot implements raft.Storage.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) {
	snapshot, err := s.node.Snapshot()
	if err != nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return snapshot, nil
}

// Snapshot returns the applied state with the configuration that belongs to it.
func (n *Node) Snapshot() (*raftpb.Snapshot, error) {
	data, err := n.log.state()
	if err != nil {
		return nil, fmt.Errorf("encode the state at %d: %w", n.applied, err)
	}
	term, err := n.log.Term(n.applied)
	if err != nil {
		return nil, fmt.Errorf("find the term of %d: %w", n.applied, err)
	}
	index := n.applied
	return &raftpb.Snapshot{
		Data:     data,
		Metadata: &raftpb.SnapshotMetadata{ConfState: n.conf, Index: &index, Term: &term},
	}, nil
}

// enqueue takes a write that Raft wants.
func (n *Node) enqueue(m *raftpb.Message) {
	w := &write{entries: m.GetEntries(), responses: m.GetResponses()}
	if s := m.GetSnapshot(); s != nil && !raft.IsEmptySnap(s) {
		w.snapshot = s
	}
	if m.Term != nil || m.Vote != nil || m.Commit != nil {
		w.hard = &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
	}
	w.disk = len(w.entries) > 0 || w.snapshot != nil
	if w.hard != nil {
		if w.hard.GetTerm() != n.hard.GetTerm() || w.hard.GetVote() != n.hard.GetVote() {
			w.disk = true
		}
		n.hard = w.hard
		n.lazy = true
	}
	n.queue = append(n.queue, w)
}

// releasable tells whether the oldest write waits for nothing.
func (n *Node) releasable() bool {
	return len(n.flight) == 0 && len(n.queue) > 0 && !n.queue[0].disk
}

// release lets go what the disk need not be asked about: everything before it
// is durable, and it adds nothing itself but a newer commit index.
func (n *Node) release(out *Output) error {
	for n.releasable() {
		w := n.queue[0]
		n.queue = n.queue[1:]
		if err := n.respond(w, out); err != nil {
			return err
		}
	}
	return nil
}

// Pending tells whether the disk has something to do: now, or (lazy) when convenient.
func (n *Node) Pending() (now, lazy bool) {
	if len(n.flight) > 0 {
		return false, false
	}
	return len(n.queue) > 0 || n.must, n.lazy
}

// NextBatch returns what the disk is to do next, nil if nothing or while it is
// busy. Its end is told by Durable.
func (n *Node) NextBatch() *Batch {
	if len(n.flight) > 0 || len(n.queue) == 0 && !n.lazy && !n.must {
		return nil
	}
	n.flight, n.queue = n.queue, nil
	if len(n.flight) == 0 {
		n.flight = []*write{{}}
	}
	b := &Batch{HardState: n.hard}
	n.flight[len(n.flight)-1].hard = n.hard
	n.lazy, n.must = false, false
	for _, w := range n.flight {
		if w.snapshot != nil {
			b.Snapshot, b.Entries = w.snapshot, nil
		}
		b.Entries = merge(b.Entries, w.entries)
	}
	return b
}

// merge appends entries to list, of which they overwrite what they overlap.
func merge(list, entries []*raftpb.Entry) []*raftpb.Entry {
	if len(entries) == 0 {
		return list
	}
	first := entries[0].GetIndex()
	keep := len(list)
	for keep > 0 && list[keep-1].GetIndex() >= first {
		keep--
	}
	return slices.Concat(list[:keep], entries) // both are Raft's: never written to
}

// Durable tells that the last batch is on the disk.
func (n *Node) Durable() (Output, error) {
	var out Output
	flight := n.flight
	n.flight = nil
	for _, w := range flight {
		if w.snapshot != nil {
			if err := n.log.ApplySnapshot(w.snapshot); err != nil {
				return out, fmt.Errorf("take snapshot at %d: %w", w.snapshot.GetMetadata().GetIndex(), err)
			}
			n.applied = w.snapshot.GetMetadata().GetIndex()
			n.conf, n.confAt = w.snapshot.GetMetadata().GetConfState(), n.applied
			out.Restored = w.snapshot
		}
		if err := n.log.Append(w.entries); err != nil {
			return out, fmt.Errorf("append %d entries: %w", len(w.entries), err)
		}
		if w.hard != nil {
			if err := n.log.SetHardState(w.hard); err != nil {
				return out, fmt.Errorf("set hard state: %w", err)
			}
			n.synced.commit = w.hard.GetCommit()
		}
	}
	if n.confAt <= n.synced.commit {
		n.synced.conf = n.confAt
	}
	for _, w := range flight {
		if err := n.respond(w, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// respond lets the answers go that waited for w: to others, and to ourselves.
func (n *Node) respond(w *write, out *Output) error {
	for _, r := range w.responses {
		if r.GetTo() != n.id {
			out.Messages = append(out.Messages, r)
			continue
		}
		if err := n.raw.Step(r); err != nil {
			return fmt.Errorf("acknowledge a write: %w", err)
		}
	}
	return nil
}

// Compact drops entries up to index from memory; a snapshot at or after it must
// be durable.
func (n *Node) Compact(index uint64) {
	first, err := n.log.FirstIndex()
	if err == nil && index >= first {
		// The only error is that of a lower index.
		_ = n.log.Compact(index)
	}
}

// FirstIndex returns the oldest entry kept in memory.
func (n *Node) FirstIndex() uint64 {
	first, _ := n.log.FirstIndex()
	return first
}
