// Package heartbeat keeps what was heard of each peer on each link, and decides
// who is reachable.
package heartbeat

import (
	"slices"
	"time"
)

// MaxLinks is how many links two nodes may share.
const MaxLinks = 8

// Packet is the content of one heartbeat, before sealing. The core fills all
// but the members marked "driver", which the sending thread stamps.
type Packet struct {
	Node    string // sender
	Counter uint64 // sender's incarnation
	Boot    string
	RaftID  uint64
	Leaving bool // the sender is stopping in an orderly way

	Lineage   string
	Term      uint64
	Leader    uint64 // Raft id; 0: none known
	LastIndex uint64 // last log position
	LastTerm  uint64
	Commit    uint64 // newest index that is committed and on the disk, with all before it
	Voters    uint64 // index of the newest change of voters that is applied here and on the disk

	// Ancestors are the lineages that Lineage came from, newest first, with the
	// last index that each shares with it.
	Ancestors []Ancestor
	// Parted: the sender hears a history of this cluster that has parted from its own.
	Parted bool

	Interval time.Duration // the sender's; a receiver knows by it what to expect
	Heard    []Heard       // whom the sender hears, by name

	Sequence  uint64        // driver: grows by one a packet, over all links
	SentAt    time.Duration // driver: sender's boot-time clock
	LoopAge   time.Duration // driver: since the core loop last turned
	SyncAge   time.Duration // driver: age of the oldest sync that has not ended
	StreamAge time.Duration // driver: since the last answer on the stream to the receiver that was waited for; 0: none waited for
}

// Equal tells whether p and o say the same and bear the same stamps; it is asked at every turn of the core.
func (p *Packet) Equal(o *Packet) bool {
	return p.Sequence == o.Sequence && p.SentAt == o.SentAt && p.LoopAge == o.LoopAge && p.SyncAge == o.SyncAge && p.StreamAge == o.StreamAge &&
		p.says(o)
}

// says tells whether p and o say the same, apart from the driver's stamps.
func (p *Packet) says(o *Packet) bool {
	return p.Node == o.Node && p.Counter == o.Counter && p.Boot == o.Boot && p.RaftID == o.RaftID && p.Leaving == o.Leaving && p.Parted == o.Parted &&
		p.Lineage == o.Lineage && p.Term == o.Term && p.Leader == o.Leader && p.LastIndex == o.LastIndex && p.LastTerm == o.LastTerm &&
		p.Commit == o.Commit && p.Voters == o.Voters && p.Interval == o.Interval &&
		slices.Equal(p.Ancestors, o.Ancestors) && slices.Equal(p.Heard, o.Heard)
}

// stamp takes the driver's stamps of o.
func (p *Packet) stamp(o *Packet) {
	p.Sequence, p.SentAt, p.LoopAge, p.SyncAge, p.StreamAge = o.Sequence, o.SentAt, o.LoopAge, o.SyncAge, o.StreamAge
}

// MaxAncestors is how many former lineages a packet names.
const MaxAncestors = 16

// Ancestor is a lineage that another one branched from.
type Ancestor struct {
	Lineage string
	Branch  uint64 // last index that both have
}

// Heard says on which links the sender has heard Node within the dead time.
type Heard struct {
	Node    string
	Counter uint64 // of the incarnation heard
	Links   uint8  // bit i: link i; 0: its messages do not arrive, though its heartbeats do
}
