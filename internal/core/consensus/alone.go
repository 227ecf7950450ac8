package consensus

import (
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"linuxha/internal/cluster/mutant"
)

// Idle tells whether nothing waits for the disk or for Take.
func (n *Node) Idle() bool { return len(n.queue) == 0 && len(n.flight) == 0 && !n.raw.HasReady() }

// ConfPending tells whether the log holds a change of voters that is not applied.
func (n *Node) ConfPending() bool {
	entries, err := n.tail()
	if err != nil {
		return true
	}
	for _, list := range [][]*write{n.flight, n.queue} {
		for _, w := range list {
			entries = slices.Concat(entries, w.entries)
		}
	}
	changes := func(e *raftpb.Entry) bool { return e.GetType() != raftpb.EntryNormal }
	return len(n.conf.GetVotersOutgoing()) > 0 || slices.ContainsFunc(entries, changes)
}

// tail returns the log after what is applied.
func (n *Node) tail() ([]*raftpb.Entry, error) {
	last, err := n.log.LastIndex()
	if err != nil || last <= n.applied {
		return nil, err
	}
	return n.log.Entries(n.applied+1, last+1, math.MaxUint64)
}

// Alone returns the beginning of a new history in which this node is the sole
// voter: the applied state as a snapshot, the whole log after it committed, a
// higher term. Changes of voters that were not applied become empty entries;
// branch is the last index that is as it was. The node must be Idle; a Node that
// is New from the result goes on.
func (n *Node) Alone() (start Start, branch uint64, err error) {
	if !n.Idle() {
		return start, 0, fmt.Errorf("go on alone: writes are under way")
	}
	snapshot, err := n.Snapshot()
	if err != nil {
		return start, 0, fmt.Errorf("go on alone: %w", err)
	}
	snapshot.Metadata.ConfState = &raftpb.ConfState{Voters: []uint64{n.id}}
	entries, err := n.tail()
	if err != nil {
		return start, 0, fmt.Errorf("go on alone: %w", err)
	}
	if mutant.Is("the vote forgets what is not applied") {
		entries = nil
	}
	branch = n.applied
	kept := make([]*raftpb.Entry, 0, len(entries))
	same := true
	for _, e := range entries {
		if e.GetType() != raftpb.EntryNormal {
			same = false
			e = &raftpb.Entry{Term: e.Term, Index: e.Index, Type: raftpb.EntryNormal.Enum()}
		}
		if same {
			branch = e.GetIndex()
		}
		kept = append(kept, e)
	}
	return Start{
		ID: n.id, Snapshot: snapshot, Entries: kept, State: n.log.state,
		HardState: &raftpb.HardState{
			Term: proto.Uint64(n.Term() + 1), Vote: proto.Uint64(0), Commit: proto.Uint64(n.applied + uint64(len(kept))),
		},
	}, branch, nil
}
