package event

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"go.etcd.io/raft/v3/raftpb"
)

// Apply changes s as a durable batch changes what is stored: it is the meaning
// of Persist, which every store has to keep to. A batch that would leave a gap
// in the log is refused whole. s shares the batch's entries afterwards.
func (s *Stored) Apply(p *Persist) error {
	next := *s
	next.Fresh = false
	if p.Reset {
		next.HardState, next.Snapshot, next.Entries = nil, nil, nil
	}
	if p.Identity != nil {
		next.Identity = *p.Identity
	}
	if p.Snapshot != nil {
		if next.Snapshot == nil || next.Snapshot.GetMetadata().GetIndex() != p.Snapshot.GetMetadata().GetIndex() {
			next.Entries = after(next.Entries, p.Snapshot)
		} // else what follows the old one follows the new one
		next.Snapshot = p.Snapshot
	}
	base := next.Snapshot.GetMetadata().GetIndex()
	if len(p.Entries) > 0 {
		entries, err := splice(next.Entries, p.Entries, base)
		if err != nil {
			return err
		}
		next.Entries = entries
	}
	if p.HardState != nil {
		next.HardState = proto.CloneOf(p.HardState)
	}
	*s = next
	return nil
}

// after returns what a new snapshot leaves of the log: the entries that follow
// it if the log holds the very entry it ends with (Raft, section 7), else none.
func after(log []*raftpb.Entry, snapshot *raftpb.Snapshot) []*raftpb.Entry {
	meta := snapshot.GetMetadata()
	for i, e := range log {
		if e.GetIndex() == meta.GetIndex() && e.GetTerm() == meta.GetTerm() {
			return log[i+1:]
		}
	}
	return nil
}

// splice returns log with added in place of everything from added's first
// index on; base is the index of the snapshot below log.
func splice(log, added []*raftpb.Entry, base uint64) ([]*raftpb.Entry, error) {
	for i, e := range added {
		if e.GetIndex() != added[0].GetIndex()+uint64(i) {
			return nil, fmt.Errorf("entries %d and %d of a batch do not follow each other", added[0].GetIndex()+uint64(i)-1, e.GetIndex())
		}
	}
	for len(added) > 0 && added[0].GetIndex() <= base {
		added = added[1:] // the snapshot holds it already
	}
	if len(added) == 0 {
		return log, nil
	}
	keep := added[0].GetIndex() - base - 1
	if keep > uint64(len(log)) {
		return nil, fmt.Errorf("entry %d leaves a gap: the log ends at %d", added[0].GetIndex(), base+uint64(len(log)))
	}
	out := make([]*raftpb.Entry, 0, keep+uint64(len(added)))
	return append(append(out, log[:keep]...), added...), nil
}
