package link

import (
	"bytes"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
	"linuxha/internal/driver/keys"
)

func example() heartbeat.Packet {
	return heartbeat.Packet{
		Node: "alpha", Counter: 7, Boot: "fc8425bb-6687-40ac-a25e-8398e3693a7b", RaftID: 1 << 62, Leaving: true,
		Lineage: strings.Repeat("ab", 16), Term: 12, Leader: 99, LastIndex: 1000, LastTerm: 11, Commit: 998,
		Interval: 100 * time.Millisecond,
		Heard:    []heartbeat.Heard{{Node: "beta", Counter: 3, Links: 0b11}, {Node: "gamma", Counter: 1, Links: 0b10}},
		Voters:   950, Ancestors: []heartbeat.Ancestor{{Lineage: strings.Repeat("cd", 16), Branch: 940}}, Parted: true,
		Sequence: 4711, SentAt: time.Hour, LoopAge: time.Millisecond, SyncAge: 2 * time.Millisecond, StreamAge: 3 * time.Millisecond,
	}
}

func TestPacketRoundTrip(t *testing.T) {
	for _, want := range []heartbeat.Packet{{}, example()} {
		data, err := appendPacket(nil, &want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodePacket(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for n := range len(data) - 1 {
			if _, err := decodePacket(data[:n]); err == nil {
				t.Errorf("%d of %d bytes were read as a heartbeat", n, len(data))
			}
		}
		want.Parted = false // an older sender does not say that
		if got, err := decodePacket(data[:len(data)-1]); err != nil || !cmp.Equal(want, got) {
			t.Errorf("what an older sender says: %v %s", err, cmp.Diff(want, got))
		}
	}
	long := example()
	long.Node = strings.Repeat("x", 256)
	if _, err := appendPacket(nil, &long); err == nil {
		t.Error("an overlong name was encoded")
	}
}

func FuzzDecodePacket(f *testing.F) {
	p := example()
	data, err := appendPacket(nil, &p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:20])
	f.Add([]byte{packetVersion})
	f.Add([]byte{packetVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := decodePacket(data)
		if err != nil {
			return
		}
		again, err := appendPacket(nil, &p)
		if err != nil {
			t.Fatalf("%+v was decoded and cannot be encoded: %v", p, err)
		}
		back, err := decodePacket(again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(p, back); diff != "" {
			t.Fatal(diff)
		}
	})
}

func newTestSealer(t testing.TB, ring *keys.Ring, node string, counter uint64, s salt) *sealer {
	t.Helper()
	key, _ := ring.Find(ring.Active)
	aead, err := newAEAD(key, node, counter, s)
	if err != nil {
		t.Fatal(err)
	}
	return &sealer{node: node, counter: counter, salt: s, key: key, aead: aead}
}

func FuzzOpen(f *testing.F) {
	ring := &keys.Ring{Active: 1, Keys: []keys.Key{{ID: 1}}}
	p := example()
	datagram, err := newTestSealer(f, ring, "alpha", 7, salt{1}).seal(0, &p)
	if err != nil {
		f.Fatal(err)
	}
	genuine := bytes.Clone(datagram)
	f.Add(genuine)
	f.Add(genuine[:fixedHeader])
	f.Add([]byte("H\x01\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		o := opener{ring: ring, sessions: map[string]*session{}}
		if _, err := o.open(0, data); err == nil && !bytes.Equal(data, genuine) {
			t.Fatal("a datagram was accepted that nobody sealed")
		}
	})
}

func TestSeal(t *testing.T) {
	ring := keys.NewRing()
	o := opener{ring: ring, sessions: map[string]*session{}}
	s := newTestSealer(t, ring, "alpha", 7, salt{1})
	p := example()
	seal := func(s *sealer, link int) []byte {
		d, err := s.seal(link, &p)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(d)
	}
	expect := func(what string, link int, datagram []byte, want error) {
		t.Helper()
		if _, err := o.open(link, datagram); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
	}
	first, second := seal(s, 0), seal(s, 0)
	expect("second before first", 0, second, nil)
	expect("first, late", 0, first, nil)
	expect("first again", 0, first, errReplay)
	expect("on another link", 1, seal(s, 0), errForeign)
	for i := range first {
		broken := bytes.Clone(seal(s, 0))
		broken[i] ^= 0x10
		if _, err := o.open(0, broken); err == nil {
			t.Errorf("byte %d was changed, and the datagram accepted", i)
		}
	}
	expect("another salt of the same incarnation", 0, seal(newTestSealer(t, ring, "alpha", 7, salt{2}), 0), errForeign)
	expect("another cluster", 0, seal(newTestSealer(t, keys.NewRing(), "alpha", 8, salt{3}), 0), errForeign)

	next := newTestSealer(t, ring, "alpha", 8, salt{4})
	p.Counter = 8
	expect("the next incarnation", 0, seal(next, 0), nil)
	p.Counter = 7
	expect("the former one", 0, seal(s, 0), errOld)
	liar := newTestSealer(t, ring, "alpha", 9, salt{5})
	expect("content of another incarnation", 0, seal(liar, 0), errForeign)

	// The cluster key is changed while the incarnation goes on.
	o.ring = &keys.Ring{Active: 2, Keys: []keys.Key{ring.Keys[0], {ID: 2, Secret: [32]byte{9}}}}
	p.Counter = 8
	old := seal(next, 0)
	rotated := newTestSealer(t, o.ring, "alpha", 8, salt{4})
	rotated.sent = next.sent
	expect("under the new key", 0, seal(rotated, 0), nil)
	expect("sealed under the old key before", 0, old, nil)
	expect("sealed under the old key before, again", 0, old, errReplay)
}

// TestWindow compares the window with a set.
func TestWindow(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var w window
	seen, newest := map[uint64]bool{}, uint64(0)
	for range 200_000 {
		n := newest + uint64(rng.IntN(40))
		if back := uint64(rng.IntN(1500)); rng.IntN(2) == 0 && back < n {
			n -= back
		}
		if rng.IntN(5000) == 0 {
			n += 3000
		}
		want := n > 0 && !seen[n] && (n > newest || newest-n < windowSize)
		if got := w.accept(n); got != want {
			t.Fatalf("%d (newest %d): accepted %v, want %v", n, newest, got, want)
		}
		if want {
			seen[n] = true
			newest = max(newest, n)
		}
	}
}

type received struct {
	link int
	p    heartbeat.Packet
}

func openLinks(t *testing.T, node string, ring *keys.Ring, v *Vitals, local ...string) (*Links, chan received) {
	t.Helper()
	ch := make(chan received, 10_000)
	addresses, err := ParseAddresses(local)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(Options{
		Node: node, Local: addresses, Ring: ring, Vitals: v, Log: slog.New(slog.DiscardHandler),
		Received: func(link int, p heartbeat.Packet) { ch <- received{link, p} },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, ch
}

// TestLinks sends over two real links, until the sender's loop stands still.
func TestLinks(t *testing.T) {
	ring := keys.NewRing()
	vitals := &Vitals{Stream: func(peer string) time.Duration { return 5 * time.Millisecond }}
	vitals.LoopTurned()
	alpha, _ := openLinks(t, "alpha", ring, vitals, "127.0.0.1:17694", "127.0.1.1:17694")
	_, heard := openLinks(t, "beta", ring, &Vitals{}, "127.0.0.2:17694", "127.0.1.2:17694")
	alpha.SetPeers(map[string][]netip.AddrPort{"beta": {netip.MustParseAddrPort("127.0.0.2:17694"), netip.MustParseAddrPort("127.0.1.2:17694")}})
	p := example()
	p.Interval = 5 * time.Millisecond
	content := &event.Heartbeat{Packet: p, Peers: []string{"beta", "unknown"}, Limit: time.Hour}
	alpha.Send(content)

	next := map[int]uint64{}
	for range 40 {
		r := receive(t, heard)
		if r.p.Node != "alpha" || r.p.Term != 12 || r.p.StreamAge != 5*time.Millisecond || r.p.SentAt == 0 {
			t.Fatalf("received %+v", r.p)
		}
		if want := next[r.link]; want != 0 && r.p.Sequence != want {
			t.Errorf("link %d: heartbeat %d after %d", r.link, r.p.Sequence, want-1)
		}
		next[r.link] = r.p.Sequence + 1
	}
	if len(next) != 2 {
		t.Errorf("heard on links %v, want both", next)
	}

	// A new term is sent at once, whatever the interval.
	slow := *content
	slow.Packet.Interval = time.Hour
	alpha.Send(&slow)
	urgent := slow
	urgent.Packet.Term = 13
	alpha.Send(&urgent)
	for receive(t, heard).p.Term != 13 {
	}

	// Nothing is sent while the loop stands still, and again when it turns.
	still := urgent
	still.Limit, still.Packet.Interval, still.Packet.Term = time.Nanosecond, time.Millisecond, 14
	alpha.Send(&still)
	turning := still
	turning.Limit, turning.Packet.Term = time.Hour, 15
	vitals.SyncBegan()
	vitals.SyncEnded()
	alpha.Send(&turning)
	for {
		r := receive(t, heard)
		if r.p.Term == 14 {
			t.Fatal("a heartbeat left although the loop stood still")
		}
		if r.p.Term == 15 {
			break
		}
	}
}

func receive(t *testing.T, ch chan received) received {
	t.Helper()
	select {
	case r := <-ch:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("no heartbeat came")
		return received{}
	}
}

func TestAddress(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.1": "10.0.0.1:694", "10.0.0.1:694": "10.0.0.1:694", "10.0.0.1:7000": "10.0.0.1:7000",
		"fd00::1": "[fd00::1]:694", "[fd00::1]:7": "[fd00::1]:7", "::ffff:10.0.0.1": "10.0.0.1:694",
		"": "", "host": "", "10.0.0.1:0": "", "10.0.0": "", "10.0.0.1:x": "",
	} {
		got, err := ParseAddress(text)
		if (err != nil) != (want == "") || (err == nil && got.String() != want) {
			t.Errorf("%q: %v, %v; want %q", text, got, err, want)
		}
		if err == nil {
			if again, err := ParseAddress(FormatAddress(got)); err != nil || again != got {
				t.Errorf("%q: written as %q, read back as %v, %v", text, FormatAddress(got), again, err)
			}
		}
	}
}

func BenchmarkSealOpen(b *testing.B) {
	ring := keys.NewRing()
	s := newTestSealer(b, ring, "alpha", 7, salt{1})
	o := opener{ring: ring, sessions: map[string]*session{}}
	p := example()
	for b.Loop() {
		d, err := s.seal(0, &p)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := o.open(0, d); err != nil {
			b.Fatal(err)
		}
	}
}
