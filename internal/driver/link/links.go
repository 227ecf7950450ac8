// Package link sends and receives heartbeats: sealed datagrams over UDP on each
// of up to eight links. They leave from a thread of their own.
package link

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
	"linuxha/internal/driver/keys"
)

// Options say who sends, and from where.
type Options struct {
	Node   string
	Local  []netip.AddrPort // this node's address on each link
	Ring   *keys.Ring
	Vitals *Vitals
	Log    *slog.Logger
	// Received gets each authentic, fresh heartbeat. It must not block.
	Received func(link int, p heartbeat.Packet)
}

// Links are a node's ends of all links.
type Links struct {
	options Options
	conns   []*net.UDPConn
	salt    salt
	wake    int // eventfd: wakes the sending thread

	content atomic.Pointer[event.Heartbeat]
	peers   atomic.Pointer[map[string][]netip.AddrPort]
	closed  atomic.Bool
	late    atomic.Int64 // worst delay of the thread since it was last asked
	refused atomic.Uint64

	opening sync.Mutex // guards opener
	opener  opener
	done    sync.WaitGroup
}

// Open binds the links and begins to receive; nothing is sent before Send.
func Open(o Options) (*Links, error) {
	if n := len(o.Local); n == 0 || n > heartbeat.MaxLinks {
		return nil, fmt.Errorf("open links: %d given, 1 to %d are possible", n, heartbeat.MaxLinks)
	}
	l := &Links{options: o, opener: opener{ring: o.Ring, sessions: map[string]*session{}}}
	rand.Read(l.salt[:]) // never fails
	l.peers.Store(&map[string][]netip.AddrPort{})
	var err error
	if l.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("open links: %w", err)
	}
	for i, local := range o.Local {
		conn, err := listen(local)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open link %d on %s: %w", i, local, err), l.Close())
		}
		l.conns = append(l.conns, conn)
	}
	for i, conn := range l.conns {
		l.done.Go(func() { l.receive(i, conn) })
	}
	l.done.Go(l.run)
	return l, nil
}

// networkControl is TC_PRIO_CONTROL of linux/pkt_sched.h.
const networkControl = 7

// listen binds one link. The address may come later or go away for a while: the
// socket stays.
func listen(local netip.AddrPort) (*net.UDPConn, error) {
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
		return nil, err
	}
	return conn.(*net.UDPConn), nil
}

// SetPeers says where each peer listens, by link.
func (l *Links) SetPeers(peers map[string][]netip.AddrPort) { l.peers.Store(&peers) }

// Send sets what the thread sends from now on. What others must know soon (a
// new term or leader, whom we hear, a leave) is sent at once.
func (l *Links) Send(h *event.Heartbeat) {
	before := l.content.Swap(h)
	if before == nil || urgent(&before.Packet, &h.Packet) {
		l.kick()
	}
}

func urgent(old, new *heartbeat.Packet) bool {
	if old.Term != new.Term || old.Leader != new.Leader || old.Leaving != new.Leaving || old.Lineage != new.Lineage ||
		old.Interval != new.Interval || len(old.Heard) != len(new.Heard) {
		return true
	}
	for i := range old.Heard {
		if old.Heard[i] != new.Heard[i] {
			return true
		}
	}
	return false
}

func (l *Links) kick() {
	one := [8]byte{0: 1}
	unix.Write(l.wake, one[:]) // full only if it is awake already
}

// Delay returns the most that the thread was late since Delay was last called.
func (l *Links) Delay() time.Duration { return time.Duration(l.late.Swap(0)) }

// Refused counts datagrams that were not a peer's fresh heartbeat.
func (l *Links) Refused() uint64 { return l.refused.Load() }

// receive reads one link until it is closed.
func (l *Links) receive(i int, conn *net.UDPConn) {
	buffer := make([]byte, maxDatagram+1)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			l.options.Log.Warn("receive heartbeat", "link", i, "error", err)
			continue
		}
		l.opening.Lock()
		p, err := l.opener.open(i, buffer[:n])
		l.opening.Unlock()
		if err != nil {
			// Once is worth a line; a flood is not worth a full disk.
			if count := l.refused.Add(1); count&(count-1) == 0 {
				l.options.Log.Warn("heartbeat refused", "link", i, "from", from.String(), "reason", err, "refused", count)
			}
			continue
		}
		if p.Node != l.options.Node {
			l.options.Received(i, p)
		}
	}
}

// Close ends sending and receiving, and waits until both have ended.
func (l *Links) Close() error {
	l.closed.Store(true)
	l.kick()
	var errs []error
	for _, conn := range l.conns {
		errs = append(errs, conn.Close())
	}
	l.done.Wait()
	return errors.Join(append(errs, unix.Close(l.wake))...)
}
