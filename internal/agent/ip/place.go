package ip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// place is where an address is, or is to be.
type place struct {
	index  int
	name   string
	mac    net.HardwareAddr
	flags  uint32 // IFF_*
	prefix netip.Prefix
	failed bool // the kernel found the address in use elsewhere
}

// problem says why the place does not serve, or is "".
func (p *place) problem() string {
	switch {
	case p.failed:
		return fmt.Sprintf("the kernel found %v in use elsewhere", p.prefix.Addr())
	case p.flags&unix.IFF_UP == 0:
		return fmt.Sprintf("link %s is down", p.name)
	case p.flags&unix.IFF_LOWER_UP == 0:
		return fmt.Sprintf("link %s has no carrier", p.name)
	}
	return ""
}

// speaksEthernet tells whether there are neighbours to talk to.
func (p *place) speaksEthernet() bool {
	return len(p.mac) == 6 && p.flags&(unix.IFF_LOOPBACK|unix.IFF_NOARP|unix.IFF_POINTOPOINT) == 0
}

func (p *place) link() netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: p.index, Name: p.name}}
}

func (p *place) ipNet() *net.IPNet {
	return &net.IPNet{IP: p.prefix.Addr().AsSlice(), Mask: net.CIDRMask(p.prefix.Bits(), p.prefix.Addr().BitLen())}
}

func (p *place) inter() *net.Interface {
	return &net.Interface{Index: p.index, Name: p.name, HardwareAddr: p.mac}
}

func placeOn(l netlink.Link, prefix netip.Prefix) *place {
	attrs := l.Attrs()
	return &place{index: attrs.Index, name: attrs.Name, mac: attrs.HardwareAddr, flags: attrs.RawFlags, prefix: prefix}
}

// find returns where the address is now, or nil: on the configured link, or on
// any if none is configured.
func find(c config) (*place, error) {
	index := 0
	if c.link != "" {
		l, err := netlink.LinkByName(c.link)
		if isMissing(err) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("look for link %s: %w", c.link, err)
		}
		index = l.Attrs().Index
	}
	addrs, err := addresses(c)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		prefix, ok := prefixOf(a.IPNet)
		if !ok || prefix.Addr() != c.addr || index != 0 && a.LinkIndex != index {
			continue
		}
		l, err := netlink.LinkByIndex(a.LinkIndex)
		if isMissing(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at the link of %v: %w", c.addr, err)
		}
		p := placeOn(l, prefix)
		p.failed = a.Flags&unix.IFA_F_DADFAILED != 0
		return p, nil
	}
	return nil, nil
}

// choose returns where to put the address: the configured link, or that whose
// network contains it most narrowly.
func choose(c config) (*place, error) {
	if c.link != "" && c.bits >= 0 {
		l, err := netlink.LinkByName(c.link)
		if err != nil {
			return nil, fmt.Errorf("link %s: %w", c.link, err)
		}
		return placeOn(l, netip.PrefixFrom(c.addr, c.bits)), nil
	}
	addrs, err := addresses(c)
	if err != nil {
		return nil, err
	}
	var best *place
	for _, a := range addrs {
		prefix, ok := prefixOf(a.IPNet)
		if !ok || !prefix.Masked().Contains(c.addr) || best != nil && best.prefix.Bits() >= prefix.Bits() || prefix.IsSingleIP() {
			continue
		}
		l, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil || c.link != "" && l.Attrs().Name != c.link {
			continue
		}
		best = placeOn(l, prefix)
	}
	switch {
	case best == nil && c.link != "":
		return nil, fmt.Errorf("link %s has no network that contains %v; write the prefix length, %v/24 for example", c.link, c.addr, c.addr)
	case best == nil:
		return nil, fmt.Errorf("no link has a network that contains %v; set the parameter link", c.addr)
	}
	bits := best.prefix.Bits()
	if c.bits >= 0 {
		bits = c.bits
	}
	best.prefix = netip.PrefixFrom(c.addr, bits)
	return best, nil
}

func addresses(c config) ([]netlink.Addr, error) {
	family := netlink.FAMILY_V4
	if c.addr.Is6() {
		family = netlink.FAMILY_V6
	}
	addrs, err := netlink.AddrList(nil, family)
	for tries := 0; errors.Is(err, netlink.ErrDumpInterrupted) && tries < 5; tries++ {
		addrs, err = netlink.AddrList(nil, family)
	}
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return addrs, nil
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, ones), ok && bits == addr.BitLen()
}

func isMissing(err error) bool {
	var missing netlink.LinkNotFoundError
	return errors.As(err, &missing)
}
