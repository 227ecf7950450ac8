package ip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// The check asks twice, and waits this long in all. A neighbour on a LAN answers
// within a millisecond; the specifications' seconds are for sleeping hosts.
const (
	duplicateWait   = 20 * time.Millisecond
	duplicateSecond = 8 * time.Millisecond
)

// duplicate returns who else answers for addr, or nil. An error means that
// nobody could be asked.
func duplicate(ctx context.Context, p *place, addr netip.Addr) (net.HardwareAddr, error) {
	protocol, question, answer := unix.ETH_P_ARP, probeARP(p.mac, addr), arpOwner
	to := broadcast
	if addr.Is6() {
		protocol, question, answer = unix.ETH_P_IPV6, solicitation(p.mac, addr), advertiser
		to = net.HardwareAddr(question[:6])
	}
	conn, err := packet.Listen(p.inter(), packet.Raw, protocol, nil)
	if err != nil {
		return nil, fmt.Errorf("ask who has %v: %w", addr, err)
	}
	defer closeLater(conn)

	end := time.Now().Add(duplicateWait)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(end) {
		end = deadline
	}
	buffer := make([]byte, 1514)
	for _, until := range []time.Time{end.Add(duplicateSecond - duplicateWait), end} {
		if _, err := conn.WriteTo(question, &packet.Addr{HardwareAddr: to}); err != nil {
			return nil, fmt.Errorf("ask who has %v: %w", addr, err)
		}
		if err := conn.SetReadDeadline(until); err != nil {
			return nil, fmt.Errorf("ask who has %v: %w", addr, err)
		}
		for {
			n, _, err := conn.ReadFrom(buffer)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("ask who has %v: %w", addr, err)
			}
			if owner := answer(buffer[:n], p.mac, addr); owner != nil {
				return owner, nil
			}
		}
	}
	return nil, nil
}

// closeLater closes a packet socket in the background: the kernel waits for all
// processors then, ten milliseconds and more.
func closeLater(conn *packet.Conn) { go conn.Close() }
