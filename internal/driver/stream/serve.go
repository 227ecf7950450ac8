package stream

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"linuxha/internal/core/event"
	"linuxha/internal/driver/link"
)

// serve receives a peer's messages until the connection ends.
func (s *Streams) serve(conn *tls.Conn, peer string) {
	defer conn.Close()
	err := s.check(conn.ConnectionState(), "")
	if err == nil {
		err = s.receive(conn, peer)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		s.options.Log.Debug("stream from peer ended", "peer", peer, "error", err)
	}
}

func (s *Streams) receive(conn *tls.Conn, peer string) error {
	keepAlive(conn.NetConn(), s.dead())
	r := bufio.NewReader(conn)
	conn.SetReadDeadline(time.Now().Add(handshakeTime))
	h, err := readHello(r)
	if err != nil {
		return err
	}
	conn.SetReadDeadline(time.Time{})
	if h.Incarnation.Node != peer {
		return fmt.Errorf("it says that it is %s, its certificate is of %s", h.Incarnation.Node, peer)
	}
	from := s.sender(peer)
	if from == nil {
		return errEnded
	}
	last, err := from.begin(h, conn)
	if err != nil {
		return err
	}
	s.learn(peer, h)
	answer, err := appendHello(nil, s.hello(last))
	if err != nil {
		return err
	}
	if _, err := conn.Write(answer); err != nil {
		return err
	}
	acks := &acks{conn: conn, pause: s.dead() / 8}
	for {
		k, body, err := readFrame(r)
		if err != nil {
			return err
		}
		if k != kindMessage {
			return fmt.Errorf("a frame of kind %d among messages", k)
		}
		number, err := decodeNumber(body)
		if err != nil {
			return err
		}
		m, err := event.DecodeMessage(body[8:])
		if err != nil {
			return err
		}
		if m.From.Node != peer {
			return fmt.Errorf("a message of %s on the stream of %s", m.From.Node, peer)
		}
		if !from.hand(conn, number, func() { s.options.Received(peer, *m) }) {
			return errors.New("a newer stream of this peer has taken over")
		}
		acks.owe(number)
	}
}

// acks acknowledges what was handed over, one frame for all of a short while:
// that something was received matters to nobody at once.
type acks struct {
	conn  *tls.Conn
	pause time.Duration

	mu     sync.Mutex
	newest uint64
	timer  *time.Timer // nil while nothing is owed
}

func (a *acks) owe(number uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.newest = number
	if a.timer == nil {
		a.timer = time.AfterFunc(a.pause, a.send)
	}
}

func (a *acks) send() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = nil
	a.conn.SetWriteDeadline(time.Now().Add(handshakeTime))
	if _, err := a.conn.Write(appendAck(nil, a.newest)); err != nil {
		a.conn.NetConn().Close() // its reader ends the stream
	}
}

// sender returns what is remembered of a dialling node; nil once the streams are
// closed.
func (s *Streams) sender(name string) *sender {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	from := s.heard[name]
	if from == nil {
		from = &sender{}
		s.heard[name] = from
	}
	return from
}

// begin makes conn the stream of this sender, in place of an older one, and
// returns the number of the last message that came from its incarnation.
func (from *sender) begin(h *hello, conn *tls.Conn) (uint64, error) {
	from.mu.Lock()
	defer from.mu.Unlock()
	if from.ended {
		return 0, errEnded
	}
	if h.Incarnation.Counter < from.incarnation.Counter {
		return 0, fmt.Errorf("a stream of incarnation %d, which %d has replaced", h.Incarnation.Counter, from.incarnation.Counter)
	}
	if h.Incarnation != from.incarnation {
		from.incarnation, from.last = h.Incarnation, 0
	}
	if from.conn != nil {
		from.conn.NetConn().Close()
	}
	from.conn = conn
	return from.last, nil
}

// end closes the connection, and takes no other.
func (from *sender) end() {
	from.mu.Lock()
	defer from.mu.Unlock()
	from.ended = true
	if from.conn != nil {
		from.conn.NetConn().Close()
		from.conn = nil
	}
}

// hand gives a message on, unless it came before; it fails once another
// connection has taken over, so that the order is kept.
func (from *sender) hand(conn *tls.Conn, number uint64, deliver func()) bool {
	from.mu.Lock()
	defer from.mu.Unlock()
	if from.conn != conn {
		return false
	}
	if number > from.last {
		deliver()
		from.last = number
	}
	return true
}

// learn takes the addresses that a node gives for itself where nothing else is
// known: a node that lags behind does not know newer members yet, and has to
// answer them to catch up.
func (s *Streams) learn(name string, h *hello) {
	addresses, err := link.ParseAddresses(h.Links)
	if err != nil || len(addresses) == 0 || len(addresses) > 8 {
		return
	}
	if p := s.peer(name); p != nil {
		p.learn(addresses)
	}
}
