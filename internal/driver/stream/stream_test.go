package stream

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/driver/keys"
	"linuxha/internal/driver/keys/keystest"
)

type node struct {
	*Streams
	listener *Listener
	received chan event.Message
}

// startNode runs a node's streams on the loopback addresses until the test ends.
func startNode(t *testing.T, authority *keys.Authority, name string, counter uint64, local ...string) *node {
	t.Helper()
	n := &node{received: make(chan event.Message, 10_000)}
	var addresses []netip.AddrPort
	for _, text := range local {
		addresses = append(addresses, netip.MustParseAddrPort(text))
	}
	log := slog.New(slog.DiscardHandler)
	identity := keystest.NewIdentity(t, authority, name)
	var err error
	if n.listener, err = Listen(identity, addresses, log); err != nil {
		t.Fatal(err)
	}
	n.Streams = New(Options{
		Self: cluster.Incarnation{Node: name, Counter: counter, Boot: "b"}, Identity: identity, Local: addresses,
		DeadTime: 200 * time.Millisecond, Log: log,
		Received: func(_ string, m event.Message) { n.received <- m },
		Allowed: func(name string, _ *x509.Certificate) error {
			if name == "banned" {
				return errors.New("banned")
			}
			return nil
		},
	}, n.listener)
	t.Cleanup(n.stop)
	return n
}

func (n *node) stop() {
	n.Streams.Close()
	n.listener.Close()
}

func (n *node) send(to string, number uint64) {
	n.Send(event.Message{To: to, From: n.options.Self, Number: number, Raft: []byte("x")})
}

func (n *node) expect(t *testing.T, number uint64) {
	t.Helper()
	select {
	case m := <-n.received:
		if m.Number != number {
			t.Fatalf("received message %d, want %d", m.Number, number)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("message %d did not come", number)
	}
}

func TestOrderAndAge(t *testing.T) {
	authority := keystest.NewAuthority(t)
	alpha := startNode(t, authority, "alpha", 1, "127.0.0.1:17695")
	beta := startNode(t, authority, "beta", 1, "127.0.0.2:17695")
	alpha.SetPeer("beta", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:17695")}, 1)
	const count = 1000
	for i := range uint64(count) {
		alpha.send("beta", i+1)
	}
	for i := range uint64(count) {
		beta.expect(t, i+1)
	}
	until(t, "all is acknowledged", func() bool { return alpha.Age("beta") == 0 })

	// beta answers a node that it knows from its stream only.
	beta.send("alpha", 1)
	alpha.expect(t, 1)

	// A message larger than any buffer.
	big := event.Message{To: "beta", From: alpha.options.Self, Number: count + 1, Raft: bytes.Repeat([]byte{7}, 5<<20)}
	alpha.Send(big)
	if got := <-beta.received; !bytes.Equal(got.Raft, big.Raft) {
		t.Error("a large message came out different")
	}

	// To a node that does not answer, an answer is owed.
	alpha.SetPeer("gamma", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.3:17695")}, 0)
	alpha.send("gamma", 1)
	until(t, "the age grows", func() bool { return alpha.Age("gamma") > 50*time.Millisecond })
}

// TestMove freezes the link in use, again and again: nothing is lost, doubled
// or disordered.
func TestMove(t *testing.T) {
	authority := keystest.NewAuthority(t)
	alpha := startNode(t, authority, "alpha", 1, "127.0.0.1:17696", "127.0.1.1:17696")
	beta := startNode(t, authority, "beta", 1, "127.0.0.2:17696", "127.0.1.2:17696")
	links := []*proxy{newProxy(t, "127.0.0.2:17696"), newProxy(t, "127.0.1.2:17696")}
	addresses := []netip.AddrPort{links[0].address, links[1].address}
	alpha.SetPeer("beta", addresses, 0b11)
	number := uint64(0)
	burst := func() {
		for range 20 {
			number++
			alpha.send("beta", number)
		}
		for i := range uint64(20) {
			beta.expect(t, number-19+i)
		}
	}
	for range 3 {
		burst()
		links[0].freeze(true)
		burst() // moved by its own judgement
		links[0].freeze(false)
		links[1].freeze(true)
		alpha.SetPeer("beta", addresses, 0b01) // moved because heartbeats say so
		burst()
		links[1].freeze(false)
		alpha.SetPeer("beta", addresses, 0b11)
	}
}

// TestALinkThatDoesNotAnswer: a connection over a link that takes it, and then carries
// nothing, is given up and made again; meanwhile another link is tried as well.
func TestALinkThatDoesNotAnswer(t *testing.T) {
	authority := keystest.NewAuthority(t)
	alpha := startNode(t, authority, "alpha", 1, "127.0.0.1:17694", "127.0.1.1:17694")
	beta := startNode(t, authority, "beta", 1, "127.0.0.2:17694", "127.0.1.2:17694")
	frozen, carries := newProxy(t, "127.0.0.2:17694"), newProxy(t, "127.0.1.2:17694")
	frozen.freeze(true)
	alpha.SetPeer("beta", []netip.AddrPort{frozen.address}, 0b1)
	until(t, "a dial is given up, and another one made", func() bool { return frozen.accepted.Load() > 1 })
	frozen.freeze(false)
	alpha.send("beta", 1)
	beta.expect(t, 1)

	gamma := startNode(t, authority, "gamma", 1, "127.0.0.3:17694", "127.0.1.3:17694")
	frozen.freeze(true)
	gamma.SetPeer("beta", []netip.AddrPort{frozen.address, carries.address}, 0b11)
	gamma.send("beta", 2)
	beta.expect(t, 2)
	if carries.accepted.Load() != 1 {
		t.Errorf("dialled %d times over the link that carries, want once", carries.accepted.Load())
	}
}

// TestIncarnations restarts the receiver: what may have reached its former life
// is not said to the next.
func TestIncarnations(t *testing.T) {
	authority := keystest.NewAuthority(t)
	alpha := startNode(t, authority, "alpha", 1, "127.0.0.1:17697")
	beta := startNode(t, authority, "beta", 1, "127.0.0.2:17697")
	alpha.SetPeer("beta", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:17697")}, 1)
	alpha.send("beta", 1)
	beta.expect(t, 1)
	beta.stop()
	until(t, "the stream has ended", func() bool {
		p := alpha.peer("beta")
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.conn == nil
	})
	beta = startNode(t, authority, "beta", 2, "127.0.0.2:17697")
	alpha.send("beta", 2)
	beta.expect(t, 2)

	// A restarted sender counts anew, and is heard.
	alpha.stop()
	alpha = startNode(t, authority, "alpha", 2, "127.0.0.1:17697")
	alpha.SetPeer("beta", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:17697")}, 1)
	alpha.send("beta", 1)
	beta.expect(t, 1)
}

func TestStrangers(t *testing.T) {
	authority := keystest.NewAuthority(t)
	beta := startNode(t, authority, "beta", 1, "127.0.0.2:17698")
	address := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:17698")}
	stranger := startNode(t, keystest.NewAuthority(t), "alpha", 1, "127.0.0.1:17698")
	banned := startNode(t, authority, "banned", 1, "127.0.0.3:17698")
	for _, n := range []*node{stranger, banned} {
		n.SetPeer("beta", address, 1)
		n.send("beta", 1)
	}
	bare, err := tls.Dial("tcp", "127.0.0.2:17698", &tls.Config{InsecureSkipVerify: true, NextProtos: []string{ProtocolNode}})
	if err == nil {
		// The client side of TLS 1.3 is done before the server has judged.
		if _, err = bare.Read(make([]byte, 1)); err == nil {
			t.Error("a peer without certificate was served")
		}
		bare.Close()
	}
	// An honest node comes through meanwhile, and is the first to do so.
	honest := startNode(t, authority, "alpha", 1, "127.0.0.4:17698")
	honest.SetPeer("beta", address, 1)
	honest.send("beta", 42)
	beta.expect(t, 42)
	until(t, "the others are owed an answer", func() bool {
		return stranger.Age("beta") > 100*time.Millisecond && banned.Age("beta") > 100*time.Millisecond
	})
	if n := len(beta.received); n > 0 {
		t.Errorf("%d messages of strangers came through", n)
	}
}

func FuzzReadFrame(f *testing.F) {
	greeting, err := appendHello(nil, &hello{Incarnation: cluster.Incarnation{Node: "alpha", Counter: 1}, Links: []string{"10.0.0.1"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(greeting)
	f.Add(appendAck(nil, 7))
	f.Add(appendMessage(nil, 1, []byte(`{"v":1}`)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, byte(kindMessage)})
	f.Add([]byte{0, 0, 0, 0, byte(kindHello)})
	f.Fuzz(func(t *testing.T, data []byte) {
		k, body, err := readFrame(bufio.NewReader(bytes.NewReader(data)))
		if err != nil {
			return
		}
		if again := appendFrame(nil, k, body); !bytes.HasPrefix(data, again) {
			t.Fatal("a frame was read that is not written so")
		}
		if k == kindMessage && len(body) >= 8 {
			event.DecodeMessage(body[8:])
		}
		readHello(bufio.NewReader(bytes.NewReader(data)))
	})
}

func TestLinkOrder(t *testing.T) {
	for _, test := range []struct {
		n     int
		up    uint8
		avoid int
		want  []int
	}{
		{1, 0, -1, []int{0}}, {3, 0b110, -1, []int{1, 2, 0}}, {3, 0b111, 0, []int{1, 2, 0}}, {3, 0b001, 0, []int{0, 1, 2}},
	} {
		if got := linkOrder(test.n, test.up, test.avoid); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain: ", what)
		}
	}
}

// proxy is a link that can be frozen: bytes are then neither carried nor refused.
type proxy struct {
	address  netip.AddrPort
	accepted atomic.Int32
	mu       sync.Mutex
	thaw     *sync.Cond
	frozen   bool
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: netip.MustParseAddrPort(listener.Addr().String())}
	p.thaw = sync.NewCond(&p.mu)
	t.Cleanup(func() { listener.Close(); p.freeze(false) })
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			p.accepted.Add(1)
			go func() {
				defer in.Close()
				out, err := net.Dial("tcp", to)
				if err != nil {
					return
				}
				defer out.Close()
				go p.carry(in, out)
				p.carry(out, in)
			}()
		}
	}()
	return p
}

func (p *proxy) carry(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		for p.frozen {
			p.thaw.Wait()
		}
		p.mu.Unlock()
		if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

func (p *proxy) freeze(frozen bool) {
	p.mu.Lock()
	p.frozen = frozen
	p.mu.Unlock()
	p.thaw.Broadcast()
}

func TestMessageOfAnother(t *testing.T) {
	authority := keystest.NewAuthority(t)
	alpha := startNode(t, authority, "alpha", 1, "127.0.0.1:17699")
	beta := startNode(t, authority, "beta", 1, "127.0.0.2:17699")
	alpha.SetPeer("beta", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:17699")}, 1)
	alpha.Send(event.Message{To: "beta", From: cluster.Incarnation{Node: "gamma", Counter: 1}, Number: 1, Lineage: strings.Repeat("a", 32)})
	until(t, "the stream is refused again and again", func() bool { return alpha.Age("beta") > 300*time.Millisecond })
	if len(beta.received) > 0 {
		t.Error("a message in another node's name came through")
	}
}

// A node that joins afresh begins new streams on the listener that it has: what
// peers send must reach these, not the former ones.
func TestNewStreamsOnTheSameListener(t *testing.T) {
	authority := keystest.NewAuthority(t)
	alpha := startNode(t, authority, "alpha", 1, "127.0.0.1:17698")
	beta := startNode(t, authority, "beta", 1, "127.0.0.2:17698")
	alpha.SetPeer("beta", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.2:17698")}, 1)
	alpha.send("beta", 1)
	beta.expect(t, 1)

	options := beta.options
	options.Self.Counter = 2
	received := make(chan event.Message, 10)
	options.Received = func(_ string, m event.Message) { received <- m }
	beta.Streams.Close()
	again := New(options, beta.listener)
	t.Cleanup(again.Close)
	for number := uint64(2); ; number++ {
		alpha.send("beta", number) // what was on its way to the former incarnation may be lost
		select {
		case <-received:
			return
		case <-beta.received:
			t.Fatal("the former streams still receive")
		case <-time.After(100 * time.Millisecond):
		}
		if number == 200 {
			t.Fatal("nothing reaches the new streams")
		}
	}
}
