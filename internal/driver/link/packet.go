package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"linuxha/internal/core/heartbeat"
)

// Bounds of the encoded form of a heartbeat.
const (
	packetVersion = 1
	maxText       = 255  // bytes of a name, boot id or lineage
	maxHeard      = 1024 // peers in one heartbeat
	maxPacket     = 32 << 10
)

// appendPacket appends the encoded form of p. Numbers are varints and texts
// have their length before them; members added later go to the end, where older
// receivers ignore them.
func appendPacket(b []byte, p *heartbeat.Packet) ([]byte, error) {
	if len(p.Heard) > maxHeard {
		return nil, fmt.Errorf("encode heartbeat: it names %d peers, at most %d are allowed", len(p.Heard), maxHeard)
	}
	start := len(b)
	b = append(b, packetVersion)
	for _, text := range []string{p.Node, p.Boot, p.Lineage} {
		if len(text) > maxText {
			return nil, fmt.Errorf("encode heartbeat: %.20q... is longer than %d bytes", text, maxText)
		}
		b = appendText(b, text)
	}
	for _, n := range []uint64{p.Counter, p.RaftID, flag(p.Leaving), p.Term, p.Leader, p.LastIndex, p.LastTerm, p.Commit, p.Sequence} {
		b = binary.AppendUvarint(b, n)
	}
	for _, d := range []time.Duration{p.Interval, p.SentAt, p.LoopAge, p.SyncAge, p.StreamAge} {
		b = binary.AppendUvarint(b, uint64(max(d, 0)))
	}
	b = binary.AppendUvarint(b, uint64(len(p.Heard)))
	for _, h := range p.Heard {
		if len(h.Node) > maxText {
			return nil, fmt.Errorf("encode heartbeat: %.20q... is longer than %d bytes", h.Node, maxText)
		}
		b = appendText(b, h.Node)
		b = binary.AppendUvarint(b, h.Counter)
		b = append(b, h.Links)
	}
	b = binary.AppendUvarint(b, p.Voters)
	ancestors := p.Ancestors[:min(len(p.Ancestors), heartbeat.MaxAncestors)]
	b = binary.AppendUvarint(b, uint64(len(ancestors)))
	for _, a := range ancestors {
		if len(a.Lineage) > maxText {
			return nil, fmt.Errorf("encode heartbeat: %.20q... is longer than %d bytes", a.Lineage, maxText)
		}
		b = binary.AppendUvarint(appendText(b, a.Lineage), a.Branch)
	}
	b = binary.AppendUvarint(b, flag(p.Parted))
	if len(b)-start > maxPacket {
		return nil, fmt.Errorf("encode heartbeat: %d bytes, at most %d are allowed", len(b)-start, maxPacket)
	}
	return b, nil
}

func flag(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}

func appendText(b []byte, text string) []byte { return append(append(b, byte(len(text))), text...) }

var errPacket = errors.New("decode heartbeat: it is cut short or out of bounds")

// decodePacket reads what appendPacket wrote.
func decodePacket(b []byte) (heartbeat.Packet, error) {
	var p heartbeat.Packet
	if len(b) > maxPacket {
		return p, errPacket
	}
	r := reader{b: b}
	if version := r.byte(); r.ok() && version != packetVersion {
		return p, fmt.Errorf("decode heartbeat: version %d, this daemon knows %d", version, packetVersion)
	}
	p.Node, p.Boot, p.Lineage = r.text(), r.text(), r.text()
	p.Counter, p.RaftID = r.number(), r.number()
	p.Leaving = r.number() == 1
	for _, n := range []*uint64{&p.Term, &p.Leader, &p.LastIndex, &p.LastTerm, &p.Commit, &p.Sequence} {
		*n = r.number()
	}
	for _, d := range []*time.Duration{&p.Interval, &p.SentAt, &p.LoopAge, &p.SyncAge, &p.StreamAge} {
		*d = r.duration()
	}
	count := r.number()
	if !r.ok() || count > maxHeard {
		return heartbeat.Packet{}, errPacket
	}
	for range count {
		h := heartbeat.Heard{Node: r.text(), Counter: r.number(), Links: r.byte()}
		if !r.ok() {
			return heartbeat.Packet{}, errPacket
		}
		p.Heard = append(p.Heard, h)
	}
	p.Voters, count = r.number(), r.number()
	if !r.ok() || count > heartbeat.MaxAncestors {
		return heartbeat.Packet{}, errPacket
	}
	for range count {
		a := heartbeat.Ancestor{Lineage: r.text(), Branch: r.number()}
		if !r.ok() {
			return heartbeat.Packet{}, errPacket
		}
		p.Ancestors = append(p.Ancestors, a)
	}
	if len(r.b) > 0 { // an older sender says no more
		if p.Parted = r.number() == 1; !r.ok() {
			return heartbeat.Packet{}, errPacket
		}
	}
	return p, nil
}

// reader takes values off the front of b; after the first that is not there,
// all are zero and ok is false.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) ok() bool { return !r.failed }

func (r *reader) take(n int) []byte {
	if r.failed || n > len(r.b) {
		r.failed = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) text() string { return string(r.take(int(r.byte()))) }

func (r *reader) number() uint64 {
	if r.failed {
		return 0
	}
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.failed = true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) duration() time.Duration {
	n := r.number()
	if n > 1<<62 {
		r.failed = true
		return 0
	}
	return time.Duration(n)
}
