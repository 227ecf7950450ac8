package ip

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// TestMain runs the tests in a network namespace of their own, where the agent
// may do as it likes.
func TestMain(m *testing.M) {
	if os.Getenv("HA_TEST_NAMESPACE") == "" && os.Getuid() == 0 {
		c := exec.Command("/proc/self/exe", os.Args[1:]...)
		c.Env = append(os.Environ(), "HA_TEST_NAMESPACE=1")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread()
		if err := c.Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// world is this namespace with link eth0, and a neighbour's namespace at its
// other end.
type world struct {
	t         testing.TB
	neighbour netns.NsHandle
	far       *netlink.Handle
	agent     *Agent
	notices   chan event.ResourceNotice
	announced chan Announcement
}

func newWorld(t testing.TB) *world {
	t.Helper()
	if os.Getenv("HA_TEST_NAMESPACE") == "" {
		t.Skip("network namespaces need root")
	}
	w := &world{t: t, notices: make(chan event.ResourceNotice, 100), announced: make(chan Announcement, 100)}
	w.inNewNamespace()
	must(t, netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(w.neighbour),
	}))
	t.Cleanup(func() {
		if l, err := netlink.LinkByName("eth0"); err == nil {
			netlink.LinkDel(l)
		}
	})
	var err error
	w.far, err = netlink.NewHandleAt(w.neighbour)
	must(t, err)
	t.Cleanup(w.far.Close)
	for i, h := range []*netlink.Handle{nil, w.far} {
		by, add, up := netlink.LinkByName, netlink.AddrAdd, netlink.LinkSetUp
		if h != nil {
			by, add, up = h.LinkByName, h.AddrAdd, h.LinkSetUp
		}
		l, err := by("eth0")
		must(t, err)
		for _, prefix := range []string{fmt.Sprintf("10.9.0.%d/24", i+1), fmt.Sprintf("fd09::%d/64", i+1)} {
			addr, err := netlink.ParseAddr(prefix)
			must(t, err)
			addr.Flags = unix.IFA_F_NODAD
			must(t, add(l, addr))
		}
		must(t, up(l))
	}
	w.agent = New(Options{
		Notices:   func(n event.ResourceNotice) { w.notices <- n },
		Announced: func(a Announcement) { w.announced <- a },
		Log:       slog.New(slog.DiscardHandler),
	})
	t.Cleanup(w.agent.Close)
	w.until("the carrier", func() bool {
		l, err := netlink.LinkByName("eth0")
		return err == nil && l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0
	})
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inNewNamespace makes the neighbour's namespace.
func (w *world) inNewNamespace() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	must(w.t, err)
	defer here.Close()
	w.neighbour, err = netns.New()
	must(w.t, err)
	must(w.t, netns.Set(here))
	w.t.Cleanup(func() { w.neighbour.Close() })
}

// sniff opens a packet socket at the neighbour's end.
func (w *world) sniff(protocol int) *packet.Conn {
	w.t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := netns.Get()
	must(w.t, err)
	defer here.Close()
	must(w.t, netns.Set(w.neighbour))
	l, err := w.far.LinkByName("eth0")
	must(w.t, err)
	conn, err := packet.Listen(&net.Interface{Index: l.Attrs().Index, Name: "eth0"}, packet.Raw, protocol, nil)
	must(w.t, netns.Set(here))
	must(w.t, err)
	w.t.Cleanup(func() { conn.Close() })
	return conn
}

func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (w *world) run(action, address string, more ...cluster.NVPair) event.Result {
	w.t.Helper()
	op := event.Operation{Name: "vip", Action: action, Params: append([]cluster.NVPair{{Name: "address", Value: address}}, more...)}
	return w.agent.Run(context.Background(), op)
}

func (w *world) expect(action, address string, code int, more ...cluster.NVPair) event.Result {
	w.t.Helper()
	result := w.run(action, address, more...)
	if result.Code != code {
		w.t.Fatalf("%s %s: code %d (%s), want %d", action, address, result.Code, result.Reason, code)
	}
	return result
}

func (w *world) notice(part string) {
	w.t.Helper()
	select {
	case n := <-w.notices:
		if n.Name != "vip" || !strings.Contains(n.Reason, part) {
			w.t.Fatalf("notice %+v, want one of vip about %q", n, part)
		}
	case <-time.After(20 * time.Second):
		w.t.Fatalf("no notice about %q", part)
	}
}

func (w *world) has(address string) bool {
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	must(w.t, err)
	for _, a := range addrs {
		if a.IPNet.String() == address {
			return true
		}
	}
	return false
}

func TestLifeOfAnAddress(t *testing.T) {
	for _, address := range []string{"10.9.0.100/24", "fd09::100/64"} {
		t.Run(address, func(t *testing.T) {
			w := newWorld(t)
			w.expect("monitor", address, event.CodeNotRunning)
			w.expect("stop", address, event.CodeOK)
			w.expect("start", address, event.CodeOK)
			if !w.has(address) {
				t.Fatal("the address is not there")
			}
			if a := <-w.announced; a.Resource != "vip" || a.Address != netip.MustParsePrefix(address).Addr() {
				t.Errorf("announced %+v", a)
			}
			w.expect("start", address, event.CodeOK)
			w.expect("monitor", address, event.CodeOK)
			w.expect("stop", address, event.CodeOK)
			w.expect("stop", address, event.CodeOK)
			w.expect("monitor", address, event.CodeNotRunning)
			if w.has(address) {
				t.Error("the address is still there")
			}
			select {
			case n := <-w.notices:
				t.Errorf("a stop that was asked for is news: %+v", n)
			default:
			}
		})
	}
}

// TestIPv6IsUsableAtOnce: without waiting for the kernel's own check.
func TestIPv6IsUsableAtOnce(t *testing.T) {
	w := newWorld(t)
	w.expect("start", "fd09::100/64", event.CodeOK)
	conn, err := net.Listen("tcp", "[fd09::100]:80")
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestPlace(t *testing.T) {
	w := newWorld(t)
	w.expect("start", "10.9.0.100", event.CodeOK)
	if !w.has("10.9.0.100/24") {
		t.Error("the prefix length is not that of the network")
	}
	w.expect("stop", "10.9.0.100", event.CodeOK)

	eth0 := cluster.NVPair{Name: "link", Value: "eth0"}
	w.expect("start", "192.0.2.7/32", event.CodeOK, eth0, cluster.NVPair{Name: "label", Value: "eth0:web"})
	w.expect("monitor", "192.0.2.7/32", event.CodeOK, eth0)
	w.expect("stop", "192.0.2.7/32", event.CodeOK, eth0)

	for address, want := range map[string]string{"192.0.2.7/24": "set the parameter link", "fd77::1": "set the parameter link"} {
		if r := w.expect("start", address, event.CodeError); !strings.Contains(r.Reason, want) {
			t.Errorf("%s: %s", address, r.Reason)
		}
	}
	r := w.expect("start", "10.9.0.100/24", event.CodeError, cluster.NVPair{Name: "link", Value: "eth7"})
	if !strings.Contains(r.Reason, "eth7") {
		t.Error(r.Reason)
	}
	w.expect("monitor", "10.9.0.100/24", event.CodeNotRunning, cluster.NVPair{Name: "link", Value: "eth7"})
}

func TestDuplicate(t *testing.T) {
	for _, address := range []string{"10.9.0.2/24", "fd09::2/64"} {
		t.Run(address, func(t *testing.T) {
			w := newWorld(t)
			r := w.expect("start", address, event.CodeError)
			l, err := w.far.LinkByName("eth0")
			must(t, err)
			if !strings.Contains(r.Reason, l.Attrs().HardwareAddr.String()) {
				t.Errorf("reason %q does not name the owner", r.Reason)
			}
			if w.has(address) {
				t.Error("the address was taken all the same")
			}
			op := event.Operation{Name: "vip", Action: "start", SkipDuplicateCheck: true, Params: []cluster.NVPair{{Name: "address", Value: address}}}
			if r := w.agent.Run(context.Background(), op); r.Code != event.CodeOK {
				t.Errorf("the former owner is confirmed off: %+v", r)
			}
		})
	}
}

func TestDuplicateCheckIsShort(t *testing.T) {
	w := newWorld(t)
	started := time.Now()
	p, err := choose(config{addr: netip.MustParseAddr("10.9.0.100"), bits: 24})
	must(t, err)
	owner, err := duplicate(context.Background(), p, netip.MustParseAddr("10.9.0.100"))
	if took := time.Since(started); owner != nil || err != nil || took < duplicateWait || took > duplicateWait+500*time.Millisecond {
		t.Errorf("owner %v, error %v, after %v", owner, err, took)
	}
	_ = w
}

func TestNotices(t *testing.T) {
	const address = "10.9.0.100/24"
	w := newWorld(t)
	w.expect("start", address, event.CodeOK)
	addr, err := netlink.ParseAddr(address)
	must(t, err)
	near, err := netlink.LinkByName("eth0")
	must(t, err)

	must(t, netlink.AddrDel(near, addr))
	w.notice("vanished")
	w.expect("monitor", address, event.CodeNotRunning)
	w.expect("start", address, event.CodeOK)

	far, err := w.far.LinkByName("eth0")
	must(t, err)
	must(t, w.far.LinkSetDown(far))
	w.notice("no carrier")
	if r := w.expect("monitor", address, event.CodeError); !strings.Contains(r.Reason, "no carrier") {
		t.Error(r.Reason)
	}
	for len(w.announced) > 0 {
		<-w.announced
	}
	must(t, w.far.LinkSetUp(far))
	select {
	case <-w.announced: // the neighbours may have forgotten
	case <-time.After(20 * time.Second):
		t.Error("not announced again when the carrier came back")
	}
	must(t, netlink.LinkDel(near))
	for seen := false; !seen; { // the order of address and link is the kernel's
		select {
		case n := <-w.notices:
			seen = strings.Contains(n.Reason, "link eth0 vanished")
		case <-time.After(20 * time.Second):
			t.Fatal("no notice that the link vanished")
		}
	}
}

// TestAdopted: a daemon that was restarted watches the address again.
func TestAdopted(t *testing.T) {
	const address = "10.9.0.100/24"
	w := newWorld(t)
	w.expect("start", address, event.CodeOK)
	w.agent.Close()
	w.agent = New(w.agent.o)
	t.Cleanup(w.agent.Close)
	w.expect("monitor", address, event.CodeOK)
	l, err := netlink.LinkByName("eth0")
	must(t, err)
	addr, err := netlink.ParseAddr(address)
	must(t, err)
	must(t, netlink.AddrDel(l, addr))
	w.notice("vanished")
}

func TestAnnouncedByARP(t *testing.T) {
	w := newWorld(t)
	conn := w.sniff(unix.ETH_P_ARP)
	w.expect("start", "10.9.0.100/24", event.CodeOK)
	near, err := netlink.LinkByName("eth0")
	must(t, err)
	seen := map[uint16]int{}
	must(t, conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	for buffer := make([]byte, 1514); seen[arpRequest] < 3 || seen[arpReply] < 3; {
		n, _, err := conn.ReadFrom(buffer)
		if err != nil {
			t.Fatalf("saw %v: %v", seen, err)
		}
		p := buffer[ethernetSize:n]
		if string(p[14:18]) != string(p[24:28]) || netip.AddrFrom4([4]byte(p[14:18])).String() != "10.9.0.100" {
			continue
		}
		if mac := net.HardwareAddr(p[8:14]).String(); mac != near.Attrs().HardwareAddr.String() {
			t.Errorf("announced with %s", mac)
		}
		seen[binary.BigEndian.Uint16(p[6:])]++
	}
}

// TestNeighbourLearns: what the neighbour's kernel knew wrong is put right by the
// announcement alone.
func TestNeighbourLearns(t *testing.T) {
	for _, address := range []string{"10.9.0.100", "fd09::100"} {
		t.Run(address, func(t *testing.T) {
			w := newWorld(t)
			far, err := w.far.LinkByName("eth0")
			must(t, err)
			near, err := netlink.LinkByName("eth0")
			must(t, err)
			must(t, w.far.NeighSet(&netlink.Neigh{
				LinkIndex: far.Attrs().Index, IP: net.ParseIP(address),
				State: netlink.NUD_STALE, HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
			}))
			w.expect("start", address, event.CodeOK)
			w.until("the neighbour to learn", func() bool {
				list, err := w.far.NeighList(far.Attrs().Index, netlink.FAMILY_ALL)
				must(t, err)
				for _, n := range list {
					if n.IP.String() == address {
						return n.HardwareAddr.String() == near.Attrs().HardwareAddr.String()
					}
				}
				return false
			})
		})
	}
}

func TestBadParameters(t *testing.T) {
	for name, params := range map[string][]cluster.NVPair{
		"missing":      nil,
		"no address":   {{Name: "address", Value: "web"}},
		"multicast":    {{Name: "address", Value: "224.0.0.1/24"}},
		"zone":         {{Name: "address", Value: "fe80::1%eth0"}},
		"mapped":       {{Name: "address", Value: "::ffff:10.0.0.1"}},
		"length":       {{Name: "address", Value: "10.0.0.1/33"}},
		"label":        {{Name: "address", Value: "fd00::1/64"}, {Name: "label", Value: "x"}},
		"long link":    {{Name: "address", Value: "10.0.0.1"}, {Name: "link", Value: strings.Repeat("x", 16)}},
		"bad interval": {{Name: "address", Value: "10.0.0.1"}, {Name: "announce_interval", Value: "often"}},
	} {
		if c, err := parseConfig(params); err == nil {
			t.Errorf("%s passes as %+v", name, c)
		}
	}
}

func FuzzFrames(f *testing.F) {
	mac, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	v4, v6 := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	f.Add(announceARP(other, v4)[0])
	f.Add(probeARP(other, v4))
	f.Add(solicitation(other, v6))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if owner := arpOwner(frame, mac, v4); owner != nil && len(owner) != 6 {
			t.Errorf("owner %v", owner)
		}
		if owner := advertiser(frame, mac, v6); owner != nil && len(owner) != 6 {
			t.Errorf("owner %v", owner)
		}
	})
}

func TestFrames(t *testing.T) {
	mac, other := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	v4 := netip.MustParseAddr("10.0.0.1")
	for _, frame := range announceARP(other, v4) {
		if owner := arpOwner(frame, mac, v4); owner.String() != other.String() {
			t.Errorf("owner %v", owner)
		}
		if owner := arpOwner(frame, other, v4); owner != nil {
			t.Error("we are taken for somebody else")
		}
	}
	if owner := arpOwner(probeARP(other, v4), mac, v4); owner != nil {
		t.Error("a question is taken for a claim")
	}
}

// BenchmarkStart measures a take-over after confirmed fencing.
func BenchmarkStart(b *testing.B) {
	w := newWorld(b)
	for _, address := range []string{"10.9.0.100/24", "fd09::100/64"} {
		b.Run(address, func(b *testing.B) {
			op := event.Operation{Name: "vip", SkipDuplicateCheck: true, Params: []cluster.NVPair{{Name: "address", Value: address}}}
			for b.Loop() {
				op.Action = "start"
				if r := w.agent.Run(context.Background(), op); r.Code != 0 {
					b.Fatal(r.Reason)
				}
				b.StopTimer()
				op.Action = "stop"
				w.agent.Run(context.Background(), op)
				for len(w.announced) > 0 {
					<-w.announced
				}
				b.StartTimer()
			}
		})
	}
}
