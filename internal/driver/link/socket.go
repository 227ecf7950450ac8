package link

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// networkControl is TC_PRIO_CONTROL of linux/pkt_sched.h.
const networkControl = 7

// A socket is one end of a link. It is not known to the Go runtime's poller,
// which would wake a thread for each datagram that has left.
type socket struct{ *os.File }

// listen binds one link. The address may come later or go away for a while: the
// socket stays.
func listen(local netip.AddrPort) (socket, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var failed error
		err := raw.Control(func(fd uintptr) {
			failed = errors.Join(
				unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_FREEBIND, 1),
				// Network control traffic (CS6) goes first where there is a queue.
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PRIORITY, networkControl),
			)
			if local.Addr().Is4() {
				failed = errors.Join(failed, unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TOS, 0xc0))
			} else {
				failed = errors.Join(failed, unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TCLASS, 0xc0))
			}
		})
		return errors.Join(err, failed)
	}}
	conn, err := config.ListenPacket(context.Background(), "udp", local.String())
	if err != nil {
		return socket{}, err
	}
	file, err := conn.(*net.UDPConn).File() // a second descriptor; the first goes, and the poller's interest with it
	return socket{file}, errors.Join(err, conn.Close())
}

// send gives one datagram to the kernel, or drops it where that would wait. A
// link that is down refuses: silence is what the peer is to see then.
func (s socket) send(datagram []byte, to netip.AddrPort) {
	unix.Sendto(int(s.Fd()), datagram, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, sockaddr(to))
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	v6 := &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
	if zone := a.Addr().Zone(); zone != "" {
		if i, err := net.InterfaceByName(zone); err == nil {
			v6.ZoneId = uint32(i.Index)
		}
	}
	return v6
}

// poller waits for datagrams on all links at once.
type poller struct{ *os.File }

func newPoller(sockets []socket) (poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return poller{}, err
	}
	if err := unix.SetNonblock(fd, true); err != nil { // makes the runtime's poller wait for ours
		return poller{}, errors.Join(err, unix.Close(fd))
	}
	p := poller{os.NewFile(uintptr(fd), "links")}
	for _, s := range sockets {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(s.Fd())}
		if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, int(s.Fd()), &event); err != nil {
			return poller{}, errors.Join(err, p.Close())
		}
	}
	return p, nil
}

// readAll gives every datagram to handle, with the number of its link, until p is
// closed. Between the waits it does not tell the Go scheduler of its system calls,
// which therefore wakes no other thread: at rest that would cost more than the
// heartbeats themselves.
func (p poller) readAll(sockets []socket, handle func(link int, datagram []byte, from func() netip.AddrPort)) error {
	raw, err := p.SyscallConn()
	if err != nil {
		return err
	}
	buffer := make([]byte, maxDatagram+1)
	var sender unix.RawSockaddrAny
	from := func() netip.AddrPort { return addrPort(&sender) }
	return raw.Read(func(uintptr) (done bool) {
		for i, s := range sockets {
			for n, ok := s.receive(buffer, &sender); ok; n, ok = s.receive(buffer, &sender) {
				handle(i, buffer[:n], from)
			}
		}
		return false
	})
}

// receive takes one datagram, if there is one.
func (s socket) receive(buffer []byte, sender *unix.RawSockaddrAny) (n int, ok bool) {
	size := uint32(unix.SizeofSockaddrAny)
	for {
		n, _, err := unix.RawSyscall6(unix.SYS_RECVFROM, s.Fd(), uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)),
			unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(sender)), uintptr(unsafe.Pointer(&size)))
		switch err {
		case 0:
			return int(n), true
		case unix.EINTR, unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH: // the last ones are what a heartbeat of ours met
			continue
		}
		return 0, false
	}
}

// addrPort reads what the kernel wrote of a sender.
func addrPort(s *unix.RawSockaddrAny) netip.AddrPort {
	port := func(p *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(p))[:]) }
	switch s.Addr.Family {
	case unix.AF_INET:
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port(&v4.Port))
	case unix.AF_INET6:
		v6 := (*unix.RawSockaddrInet6)(unsafe.Pointer(s))
		return netip.AddrPortFrom(netip.AddrFrom16(v6.Addr).Unmap(), port(&v6.Port))
	}
	return netip.AddrPort{}
}
