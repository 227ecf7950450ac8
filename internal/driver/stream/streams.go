package stream

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/driver/clock"
	"linuxha/internal/driver/keys"
	"linuxha/internal/driver/link"
)

// Options say who speaks, and to whom what is received goes.
type Options struct {
	Self     cluster.Incarnation
	Identity *keys.Identity
	Local    []netip.AddrPort
	DeadTime time.Duration // may be changed by SetDeadTime
	Log      *slog.Logger
	// Received gets each message in the order of its sender. While it blocks,
	// nothing more is taken from that peer, and nothing acknowledged to it.
	Received func(peer string, m event.Message)
	// Allowed refuses a peer that the cluster's authority vouches for.
	Allowed func(peer string, certificate *x509.Certificate) error
}

// Streams are this node's streams to and from all peers.
type Streams struct {
	options  Options
	deadTime atomic.Int64
	stop     chan struct{}
	done     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	peers  map[string]*peer
	heard  map[string]*sender // by name of the node that dialled
	closed bool
}

// sender is what is remembered of a node whose messages come in.
type sender struct {
	mu          sync.Mutex // held while a message is handed over; guards the fields below
	incarnation cluster.Incarnation
	last        uint64 // number of the newest message handed over
	conn        *tls.Conn
	ended       bool // the streams are closed
}

// New makes the streams; l serves what peers dial.
func New(o Options, l *Listener) *Streams {
	s := &Streams{options: o, stop: make(chan struct{}), peers: map[string]*peer{}, heard: map[string]*sender{}}
	s.SetDeadTime(o.DeadTime)
	l.Handle(ProtocolNode, s.serve)
	return s
}

// SetDeadTime scales time-outs and the pace of new attempts.
func (s *Streams) SetDeadTime(d time.Duration) { s.deadTime.Store(int64(d)) }

func (s *Streams) dead() time.Duration { return time.Duration(s.deadTime.Load()) }

// Send queues a message to its receiver. Where the queue is full or has waited
// too long, the oldest go: every sender of messages repeats itself.
func (s *Streams) Send(m event.Message) {
	if p := s.peer(m.To); p != nil {
		p.enqueue(m)
	}
}

// SetPeer says where a peer listens, and on which links (bit i: link i) it is
// heard now. A stream on a link that is not heard moves to one that is.
func (s *Streams) SetPeer(name string, addresses []netip.AddrPort, up uint8) {
	if p := s.peer(name); p != nil {
		p.setLinks(addresses, up)
	}
}

// Age tells how long a peer's stream has owed an answer; 0 if it owes none.
func (s *Streams) Age(name string) time.Duration {
	s.mu.Lock()
	p := s.peers[name]
	s.mu.Unlock()
	if p == nil {
		return 0
	}
	return p.age(clock.Boot())
}

// peer returns the stream to a node, beginning it if it is new.
func (s *Streams) peer(name string) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || name == s.options.Self.Node {
		return nil
	}
	p := s.peers[name]
	if p == nil {
		p = &peer{streams: s, name: name, wake: make(chan struct{}, 1)}
		s.peers[name] = p
		s.done.Go(p.run)
	}
	return p
}

// Forget ends the stream to a node that is no member any more.
func (s *Streams) Forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[name]; p != nil {
		p.end()
		delete(s.peers, name)
	}
}

// Close ends all streams, to peers and from them: nothing is received afterwards.
// The listener may serve other Streams from then on.
func (s *Streams) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	for _, p := range s.peers {
		p.end()
	}
	var senders []*sender
	for _, from := range s.heard {
		senders = append(senders, from)
	}
	s.mu.Unlock()
	for _, from := range senders {
		from.end()
	}
	s.done.Wait()
}

func (s *Streams) hello(last uint64) *hello {
	h := &hello{Incarnation: s.options.Self, Last: last}
	for _, address := range s.options.Local {
		h.Links = append(h.Links, link.FormatAddress(address))
	}
	return h
}

// check verifies whom a connection leads to; want "" accepts any node.
func (s *Streams) check(state tls.ConnectionState, want string) error {
	name, err := s.options.Identity.Verify(state.PeerCertificates)
	if err != nil {
		return err
	}
	if want != "" && name != want {
		return fmt.Errorf("this is %s, not %s", name, want)
	}
	if s.options.Allowed != nil {
		return s.options.Allowed(name, state.PeerCertificates[0])
	}
	return nil
}
