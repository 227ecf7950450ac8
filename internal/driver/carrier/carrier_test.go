package carrier

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestWatch takes the carrier and then the address from a real interface.
func TestWatch(t *testing.T) {
	changes := make(chan string, 100)
	orders := make(chan func() error)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	local := []netip.Addr{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("127.0.0.9")}

	go func() { // in a network namespace of its own, which ends with its thread
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		if err := makeInterface(); err != nil {
			done <- err
			return
		}
		watched, stop := context.WithCancel(ctx)
		defer stop()
		done <- nil
		// Orders are carried out on this thread, between two looks.
		for order := range orders {
			if order == nil {
				done <- Watch(watched, local, func(link int, up bool) {
					changes <- fmt.Sprintf("%d%v", link, up)
					select {
					case next := <-orders:
						if err := next(); err != nil {
							t.Error(err)
						}
					case <-watched.Done():
					}
				})
				return
			}
		}
	}()
	if err := <-done; err != nil {
		t.Skipf("a network namespace is needed: %v", err)
	}
	orders <- nil
	nothing := func() error { return nil }
	for _, step := range []struct {
		want string
		then func() error
	}{
		{"0true", nothing},
		{"1true", func() error { return setLink("peer", netlink.LinkSetDown) }},
		{"0false", func() error { return setLink("peer", netlink.LinkSetUp) }},
		{"0true", func() error { return address(netlink.AddrDel) }},
		{"0false", func() error { return address(netlink.AddrAdd) }},
		{"0true", func() error { cancel(); return nil }},
	} {
		select {
		case got := <-changes:
			if got != step.want {
				t.Fatalf("told %s, want %s", got, step.want)
			}
			orders <- step.then
		case <-time.After(30 * time.Second):
			t.Fatalf("not told %s", step.want)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func makeInterface() error {
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "mine"}, PeerName: "peer"}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	if err := setLink("mine", netlink.LinkSetUp); err != nil {
		return err
	}
	if err := setLink("peer", netlink.LinkSetUp); err != nil {
		return err
	}
	return address(netlink.AddrAdd)
}

func setLink(name string, set func(netlink.Link) error) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return set(link)
}

func address(change func(netlink.Link, *netlink.Addr) error) error {
	return setLink("mine", func(link netlink.Link) error {
		a, err := netlink.ParseAddr("10.99.0.1/24")
		if err != nil {
			return err
		}
		return change(link, a)
	})
}
