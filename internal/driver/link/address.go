package link

import (
	"fmt"
	"net/netip"
)

// DefaultPort is registered for this use (ha-cluster): UDP for heartbeats, TCP
// for everything else.
const DefaultPort = 694

// ParseAddress reads a node's address on a link: ADDR, or ADDR:PORT where the
// port is not the default ([ADDR]:PORT for IPv6).
func ParseAddress(text string) (netip.AddrPort, error) {
	if address, err := netip.ParseAddr(text); err == nil {
		return netip.AddrPortFrom(address.Unmap(), DefaultPort), nil
	}
	full, err := netip.ParseAddrPort(text)
	if err != nil || full.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%.60q is not an address: write 10.0.0.1, or 10.0.0.1:694, or [fd00::1]:694", text)
	}
	return netip.AddrPortFrom(full.Addr().Unmap(), full.Port()), nil
}

// FormatAddress is the inverse of ParseAddress.
func FormatAddress(a netip.AddrPort) string {
	if a.Port() == DefaultPort {
		return a.Addr().String()
	}
	return a.String()
}

// ParseAddresses reads a node's addresses on its links, in order.
func ParseAddresses(texts []string) ([]netip.AddrPort, error) {
	out := make([]netip.AddrPort, len(texts))
	for i, text := range texts {
		var err error
		if out[i], err = ParseAddress(text); err != nil {
			return nil, fmt.Errorf("link %d: %w", i, err)
		}
	}
	return out, nil
}
