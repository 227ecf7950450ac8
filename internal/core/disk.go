package core

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/consensus"
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
)

const (
	lazyCommit    = 100 * time.Millisecond // how long a commit index may wait for another write
	compactEvery  = 2000                   // entries between snapshots
	compactBehind = 500                    // entries kept for followers that are a little behind
)

// disk is what this node wants durable. One batch is out at a time.
type disk struct {
	seq      uint64
	out      bool             // a batch is with the driver
	outRaft  bool             // ... with Raft's part
	identity bool             // the identity has changed
	snapshot *raftpb.Snapshot // of our own state, for compaction
	outSnap  uint64           // index of the snapshot in the batch that is out
	snapAt   uint64           // index of the newest durable snapshot
	lazyDue  time.Duration
	forced   *consensus.Start // of a new lineage, for or with the disk
	// remembered is when the memory of peers was last looked at.
	remembered time.Duration
	done       bool // the first batch, which begins this incarnation, is durable
}

// first tells whether this incarnation is not durable yet: nothing else happens before.
func (d *disk) first() bool { return !d.done }

// maybePersist hands out the next batch if the last one is durable.
func (c *Core) maybePersist() {
	d := &c.disk
	if d.out || c.over || c.out.Persist != nil && mutant.Is("answer before the sync") {
		return
	}
	if d.forced != nil {
		d.seq++
		id := c.identity
		d.out, d.identity, d.snapshot, d.lazyDue = true, false, nil, 0
		c.out.Persist = &event.Persist{Seq: d.seq, Reset: true, Identity: &id, Snapshot: d.forced.Snapshot, Entries: d.forced.Entries, HardState: d.forced.HardState}
		return
	}
	now, lazy := c.raft.Pending()
	d.lazyDue = dueFrom(lazy, d.lazyDue, c.now.Mono+lazyCommit)
	late := lazy && c.now.Mono >= d.lazyDue
	if !now && !late && !d.identity && d.snapshot == nil {
		return
	}
	d.seq++
	p := &event.Persist{Seq: d.seq}
	if c.remember() || d.identity {
		id := c.identity
		p.Identity = &id
	}
	if b := c.raft.NextBatch(); b != nil {
		p.Snapshot, p.Entries, p.HardState = b.Snapshot, b.Entries, b.HardState
		d.outRaft = true
	}
	if p.Snapshot == nil && d.snapshot != nil {
		p.Snapshot, d.outSnap = d.snapshot, d.snapshot.GetMetadata().GetIndex()
		if d.outSnap > compactBehind {
			p.CompactTo = d.outSnap - compactBehind
		}
	}
	d.identity, d.snapshot, d.lazyDue = false, nil, 0
	d.out = true
	c.out.Persist = p
	if mutant.Is("answer before the sync") {
		c.persisted(event.Persisted{Seq: p.Seq})
	}
}

// rememberEvery is how old the memory of peers on the disk may be; it goes there
// with what has to be written anyway.
const rememberEvery = time.Minute

// remember brings the memory of peers up to date now and then, and tells whether it did.
func (c *Core) remember() bool {
	d := &c.disk
	if d.first() || d.remembered > 0 && c.now.Mono-d.remembered < rememberEvery {
		return false
	}
	d.remembered = c.now.Mono
	var list []event.PeerMemory
	for _, v := range c.detector.Peers(c.now.Mono) {
		if p := &v.Packet; p.Lineage == c.identity.Lineage.ID && p.RaftID != 0 && !c.removed(p.RaftID) {
			list = append(list, event.PeerMemory{Node: p.Node, RaftID: p.RaftID, Counter: p.Counter, Boot: p.Boot, Commit: p.Commit})
		}
	}
	for i := range c.identity.Peers {
		if x := &c.identity.Peers[i]; !c.removed(x.RaftID) && !slices.ContainsFunc(list, func(o event.PeerMemory) bool { return o.RaftID == x.RaftID }) {
			list = append(list, *x)
		}
	}
	if slices.Equal(list, c.identity.Peers) {
		return false
	}
	c.identity.Peers = list
	return true
}

// memoryOf returns what the disk remembers of a packet's sender, or nil.
func (c *Core) memoryOf(p *heartbeat.Packet) *event.PeerMemory {
	for i := range c.identity.Peers {
		if x := &c.identity.Peers[i]; x.RaftID == p.RaftID && x.Node == p.Node {
			return x
		}
	}
	return nil
}

func dueFrom(wanted bool, due, otherwise time.Duration) time.Duration {
	switch {
	case !wanted:
		return 0
	case due == 0:
		return otherwise
	}
	return due
}

// persisted takes the disk's answer.
func (c *Core) persisted(e event.Persisted) {
	d := &c.disk
	if e.Err != nil {
		c.exit(event.Exit{Code: 1, Reason: fmt.Sprintf("the disk failed: %v", e.Err)})
		return
	}
	if !d.out || e.Seq != d.seq {
		return
	}
	d.out, d.done = false, true
	if d.forced != nil {
		d.snapAt = d.forced.Snapshot.GetMetadata().GetIndex()
		c.goOn()
		return
	}
	if d.outSnap > 0 {
		d.snapAt = d.outSnap
		if d.outSnap > compactBehind {
			c.raft.Compact(d.outSnap - compactBehind)
		}
		d.outSnap = 0
	}
	if d.outRaft {
		d.outRaft = false
		out, err := c.raft.Durable()
		c.take(out, err)
	}
}

// drain takes what Raft has to say, until it is silent, and tells whether that was
// more than messages to others.
func (c *Core) drain() (news bool) {
	for !c.over && c.raft.HasOutput() {
		out, err := c.raft.Take()
		if err == nil && out.Empty() {
			return news
		}
		news = news || err != nil || out.Restored != nil || len(out.Committed) > 0 || len(out.Confirmed) > 0 || len(out.Trace) > 0
		c.take(out, err)
	}
	return news
}

func (c *Core) take(out consensus.Output, err error) {
	if err != nil {
		c.exit(event.Exit{Code: 1, Reason: err.Error()})
		return
	}
	c.out.Trace = append(c.out.Trace, out.Trace...)
	for _, m := range out.Messages {
		c.sendRaft(m)
	}
	if out.Restored != nil {
		c.restored(out.Restored)
	}
	for _, e := range out.Committed {
		c.apply(e)
	}
	for _, round := range out.Confirmed {
		c.confirmed(round)
	}
}

// restored replaces the applied state by that of a snapshot.
func (c *Core) restored(s *raftpb.Snapshot) {
	state, err := cluster.DecodeState(s.GetData(), c.options.Format)
	if err != nil {
		c.exit(event.Exit{Code: 1, Rejoin: !errors.Is(err, cluster.ErrFormat), Reason: fmt.Sprintf("take over the leader's state: %v", err)})
		return
	}
	old := c.state
	c.state = state
	c.disk.snapAt = s.GetMetadata().GetIndex()
	c.trace("state taken over at %d", c.disk.snapAt)
	c.changed(old, nil, nil)
}

// apply carries out one committed entry.
func (c *Core) apply(e *raftpb.Entry) {
	if c.over {
		return
	}
	entry := &cluster.Entry{}
	if e.GetType() == raftpb.EntryNormal && len(e.GetData()) > 0 {
		decoded, err := cluster.DecodeEntry(e.GetData(), c.options.Format)
		if err != nil {
			c.exit(event.Exit{Code: 1, Reason: fmt.Sprintf("apply entry %d: %v", e.GetIndex(), err)})
			return
		}
		entry = decoded
	}
	old := c.state
	next, rejections := old.Apply(e.GetIndex(), entry)
	c.state = next
	if uses := next.FormatInUse(); uses > c.options.Format {
		c.exit(event.Exit{Code: 1, Reason: fmt.Sprintf("the cluster uses format %d, this daemon knows %d: install a newer version of ha here", uses, c.options.Format)})
		return
	}
	for i, r := range rejections {
		if r != nil {
			c.trace("entry %d, command %d refused: %s", e.GetIndex(), i+1, r.Text)
		}
	}
	c.changed(old, entry, rejections)
}

// compact makes a snapshot of the state now and then, and drops old entries.
func (c *Core) compact() {
	d := &c.disk
	if d.out || d.snapshot != nil || c.state.Index < d.snapAt+compactEvery {
		return
	}
	s, err := c.raft.Snapshot()
	if err != nil {
		c.trace("snapshot: %v", err)
		return
	}
	d.snapshot = s
}

// Bootstrap returns what makes a new cluster of one voter: the state after its
// first entry, to be written once. The entry's first command must be Init.
func Bootstrap(id event.Identity, first *cluster.Entry) (*event.Persist, error) {
	if id.RaftID == 0 || id.Lineage.ID == "" || id.Node == "" {
		return nil, fmt.Errorf("begin a cluster: node, Raft id and lineage are needed")
	}
	if len(first.Commands) == 0 || first.Commands[0].Init == nil {
		return nil, fmt.Errorf("begin a cluster: the first command must be init")
	}
	state, rejections := (&cluster.State{}).Apply(1, first)
	for _, r := range rejections {
		if r != nil {
			return nil, fmt.Errorf("begin a cluster: %w", r)
		}
	}
	data, err := cluster.EncodeState(state)
	if err != nil {
		return nil, fmt.Errorf("begin a cluster: %w", err)
	}
	return &event.Persist{
		Seq: 1, Reset: true, Identity: &id,
		Snapshot: &raftpb.Snapshot{Data: data, Metadata: &raftpb.SnapshotMetadata{
			ConfState: &raftpb.ConfState{Voters: []uint64{id.RaftID}}, Index: proto.Uint64(1), Term: proto.Uint64(1),
		}},
		HardState: &raftpb.HardState{Term: proto.Uint64(1), Vote: proto.Uint64(0), Commit: proto.Uint64(1)},
	}, nil
}
