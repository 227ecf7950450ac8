// Package carrier tells whether this node's links can carry anything: whether
// the interface that has a link's address is up and has a carrier.
package carrier

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// recheck is the safety net under the kernel's notices.
const recheck = 10 * time.Second

// Watch calls changed(i, up) for each of a node's link addresses, first for how
// it is now, then for every change, until ctx ends.
func Watch(ctx context.Context, local []netip.Addr, changed func(link int, up bool)) error {
	links := make(chan netlink.LinkUpdate, 64)
	addresses := make(chan netlink.AddrUpdate, 64)
	done := make(chan struct{})
	defer close(done)
	if err := netlink.LinkSubscribe(links, done); err != nil {
		return fmt.Errorf("watch network interfaces: %w", err)
	}
	if err := netlink.AddrSubscribe(addresses, done); err != nil {
		return fmt.Errorf("watch network addresses: %w", err)
	}
	ticker := time.NewTicker(recheck)
	defer ticker.Stop()
	var known []bool
	for {
		now, err := look(local)
		if err != nil {
			return err
		}
		for i, up := range now {
			if known == nil || known[i] != up {
				changed(i, up)
			}
		}
		known = now
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-links:
			if !ok {
				return fmt.Errorf("watch network interfaces: the kernel's notices ended")
			}
		case _, ok := <-addresses:
			if !ok {
				return fmt.Errorf("watch network addresses: the kernel's notices ended")
			}
		case <-ticker.C:
		}
	}
}

// look returns which of the addresses are on an interface with a carrier. Every
// address of the loopback network counts as being there.
func look(local []netip.Addr) ([]bool, error) {
	up := make([]bool, len(local))
	for i, address := range local {
		up[i] = address.IsLoopback()
	}
	interfaces, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list network interfaces: %w", err)
	}
	for _, link := range interfaces {
		attributes := link.Attrs()
		if attributes.RawFlags&unix.IFF_UP == 0 || attributes.RawFlags&unix.IFF_RUNNING == 0 {
			continue
		}
		has, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			continue // the interface has just gone
		}
		for _, a := range has {
			address, _ := netip.AddrFromSlice(a.IP)
			for i := range local {
				up[i] = up[i] || local[i].WithZone("") == address.Unmap()
			}
		}
	}
	return up, nil
}
