package link

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"linuxha/internal/core/heartbeat"
	"linuxha/internal/driver/keys"
)

// A datagram is a header in the clear, which the seal covers, and the sealed
// heartbeat. There is no handshake: the key is derived from the cluster key, the
// sender, its incarnation and a salt drawn at its start, so one datagram is
// enough to be heard, and no key meets a nonce twice.
//
//	magic 'H', version, key id, link (1 byte each) · salt (16 bytes) ·
//	incarnation counter, datagram counter (8 bytes each) · length of name, name
const (
	magic         = 'H'
	headerVersion = 1
	saltSize      = 16
	fixedHeader   = 4 + saltSize + 8 + 8 + 1
	maxDatagram   = fixedHeader + maxText + maxPacket + 16
)

type salt [saltSize]byte

// newAEAD derives the key of one sender's incarnation.
func newAEAD(key keys.Key, node string, counter uint64, s salt) (cipher.AEAD, error) {
	info := string(binary.BigEndian.AppendUint64([]byte("ha heartbeat\x00"+node+"\x00"), counter))
	derived, err := hkdf.Key(sha256.New, key.Secret[:], s[:], info, 32)
	if err != nil {
		return nil, fmt.Errorf("derive heartbeat key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("derive heartbeat key: %w", err)
	}
	return cipher.NewGCM(block)
}

// nonce is unique under a sender's key: each link counts its datagrams.
func nonce(link byte, number uint64) []byte {
	n := make([]byte, 12)
	n[0] = link
	binary.BigEndian.PutUint64(n[4:], number)
	return n
}

// sealer seals one incarnation's heartbeats. It belongs to the sending thread.
type sealer struct {
	node    string
	counter uint64
	salt    salt
	key     keys.Key
	aead    cipher.AEAD
	sent    [heartbeat.MaxLinks]uint64 // datagrams, by link
	plain   []byte
	out     []byte
}

// seal returns the datagram of p for a link; it is valid until the next call.
func (s *sealer) seal(link int, p *heartbeat.Packet) ([]byte, error) {
	var err error
	if s.plain, err = appendPacket(s.plain[:0], p); err != nil {
		return nil, err
	}
	s.sent[link]++
	b := append(s.out[:0], magic, headerVersion, s.key.ID, byte(link))
	b = append(b, s.salt[:]...)
	b = binary.BigEndian.AppendUint64(b, s.counter)
	b = binary.BigEndian.AppendUint64(b, s.sent[link])
	b = appendText(b, s.node)
	s.out = s.aead.Seal(b, nonce(byte(link), s.sent[link]), s.plain, b)
	return s.out, nil
}

// Why a datagram was refused.
var (
	errForeign = errors.New("not a heartbeat of this cluster")
	errReplay  = errors.New("a heartbeat that was received before")
	errOld     = errors.New("a heartbeat of a former incarnation")
)

// session is what a receiver knows of a sender's newest incarnation.
type session struct {
	counter uint64
	salt    salt
	keyID   byte
	aead    cipher.AEAD
	windows [heartbeat.MaxLinks]window
}

// opener opens peers' datagrams. Callers serialise its use.
type opener struct {
	ring     *keys.Ring
	sessions map[string]*session
}

// open checks a datagram that came in on a link and returns its content.
// Nothing is remembered of a datagram that does not check.
func (o *opener) open(link int, datagram []byte) (heartbeat.Packet, error) {
	var p heartbeat.Packet
	if len(datagram) > maxDatagram {
		return p, errForeign
	}
	r := reader{b: datagram}
	fixed := r.take(fixedHeader - 1)
	name := r.text()
	if !r.ok() || fixed[0] != magic || fixed[1] != headerVersion || int(fixed[3]) != link {
		return p, errForeign
	}
	header := datagram[:fixedHeader+len(name)]
	keyID, number := fixed[2], binary.BigEndian.Uint64(fixed[4+saltSize+8:])
	counter := binary.BigEndian.Uint64(fixed[4+saltSize:])
	s := o.sessions[name]
	switch {
	case s != nil && counter < s.counter:
		return p, errOld
	case s == nil || counter > s.counter || salt(fixed[4:4+saltSize]) != s.salt || keyID != s.keyID:
		key, ok := o.ring.Find(keyID)
		if !ok {
			return p, errForeign
		}
		same := s != nil && counter == s.counter
		if same && salt(fixed[4:4+saltSize]) != s.salt {
			return p, errForeign // one incarnation draws one salt
		}
		aead, err := newAEAD(key, name, counter, salt(fixed[4:4+saltSize]))
		if err != nil {
			return p, err
		}
		fresh := &session{counter: counter, salt: salt(fixed[4 : 4+saltSize]), keyID: keyID, aead: aead}
		if same {
			fresh.windows = s.windows // the key was changed, the datagrams are counted on
		}
		s = fresh
	}
	plain, err := s.aead.Open(nil, nonce(byte(link), number), r.b, header)
	if err != nil {
		return p, errForeign
	}
	if p, err = decodePacket(plain); err != nil {
		return p, err
	}
	if p.Node != name || p.Counter != counter {
		return p, errForeign
	}
	if !s.windows[link].accept(number) {
		return p, errReplay
	}
	o.sessions[name] = s
	return p, nil
}
