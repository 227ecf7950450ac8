package ip

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// burst are the pauses between the announcements that follow the first: switches
// and neighbours may lose one while a failure keeps them busy.
var burst = []time.Duration{
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	300 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
}

// announceFirst tells the neighbours at once, and says so.
func (a *Agent) announceFirst(h *holding) {
	if err := announce(&h.place, h.config.addr); err != nil {
		a.o.Log.Warn("an address was not announced", "resource", h.resource, "error", err)
		return
	}
	a.o.Announced(Announcement{Resource: h.resource, Address: h.config.addr, At: time.Now()})
}

// announceAgain repeats it until stop is closed.
func (a *Agent) announceAgain(p place, c config, stop <-chan struct{}) {
	timer := time.NewTimer(burst[0])
	defer timer.Stop()
	for i := 1; ; i++ {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		// Without the link this fails; the watch tells of that.
		if err := announce(&p, c.addr); err != nil {
			a.o.Log.Debug("an address was not announced", "address", c.addr, "error", err)
		}
		switch {
		case i < len(burst):
			timer.Reset(burst[i])
		case c.interval > 0:
			timer.Reset(c.interval)
		default:
			return
		}
	}
}

// announce sends gratuitous ARP or an unsolicited neighbour advertisement.
func announce(p *place, addr netip.Addr) error {
	var err error
	if addr.Is4() {
		err = sendFrames(p, announceARP(p.mac, addr))
	} else {
		err = sendAdvertisement(p, addr)
	}
	if err != nil {
		return fmt.Errorf("announce %v on %s: %w", addr, p.name, err)
	}
	return nil
}

// sendFrames sends through a socket that receives nothing (protocol 0).
func sendFrames(p *place, frames [][]byte) error {
	conn, err := packet.Listen(p.inter(), packet.Raw, 0, nil)
	if err != nil {
		return err
	}
	defer closeLater(conn)
	for _, frame := range frames {
		if _, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: broadcast}); err != nil {
			return err
		}
	}
	return nil
}

// sendAdvertisement sends from the address itself to all nodes on the link.
func sendAdvertisement(p *place, addr netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_ICMPV6)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	// RFC 4861 wants 255: proof that no router passed it on.
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, p.index); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	from := &unix.SockaddrInet6{Addr: addr.As16()}
	if addr.IsLinkLocalUnicast() {
		from.ZoneId = uint32(p.index)
	}
	if err := unix.Bind(fd, from); err != nil {
		return os.NewSyscallError("bind", err)
	}
	all := &unix.SockaddrInet6{Addr: [16]byte{0xff, 2, 15: 1}, ZoneId: uint32(p.index)}
	return os.NewSyscallError("sendto", unix.Sendto(fd, advertisement(p.mac, addr), 0, all))
}
