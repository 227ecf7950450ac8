// Package link sends and receives heartbeats: sealed datagrams over UDP on each
// of up to eight links. They leave from a thread of their own.
package link

import (
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
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
	sockets []socket
	poller  poller
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
		s, err := listen(local)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open link %d on %s: %w", i, local, err), l.Close())
		}
		l.sockets = append(l.sockets, s)
	}
	if l.poller, err = newPoller(l.sockets); err != nil {
		return nil, errors.Join(fmt.Errorf("open links: %w", err), l.Close())
	}
	l.done.Go(l.receive)
	l.done.Go(l.run)
	return l, nil
}

// SetPeers says where each peer listens, by link.
func (l *Links) SetPeers(peers map[string][]netip.AddrPort) { l.peers.Store(&peers) }

// Send sets what the thread sends from now on. What others must know soon (a
// new term or leader, whom we hear, a leave, which voters we have synced) is sent at once.
func (l *Links) Send(h *event.Heartbeat) {
	before := l.content.Swap(h)
	if before == nil || urgent(&before.Packet, &h.Packet) {
		l.kick()
	}
}

func urgent(old, new *heartbeat.Packet) bool {
	if old.Term != new.Term || old.Leader != new.Leader || old.Leaving != new.Leaving || old.Parted != new.Parted || old.Lineage != new.Lineage || old.Voters != new.Voters ||
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

// receive reads the links until they are closed.
func (l *Links) receive() {
	if err := l.poller.readAll(l.sockets, l.take); !errors.Is(err, os.ErrClosed) {
		l.options.Log.Error("heartbeats are not received any more", "error", err)
	}
}

// take gives a datagram on if it is a peer's fresh heartbeat.
func (l *Links) take(i int, datagram []byte, from func() netip.AddrPort) {
	l.opening.Lock()
	p, err := l.opener.open(i, datagram)
	l.opening.Unlock()
	if err != nil {
		// Once is worth a line; a flood is not worth a full disk.
		if count := l.refused.Add(1); count&(count-1) == 0 {
			l.options.Log.Warn("heartbeat refused", "link", i, "from", from().String(), "reason", err, "refused", count)
		}
		return
	}
	if p.Node != l.options.Node {
		l.options.Received(i, p)
	}
}

// Close ends sending and receiving, and waits until both have ended.
func (l *Links) Close() error {
	l.closed.Store(true)
	l.kick()
	var errs []error
	if l.poller.File != nil {
		errs = append(errs, l.poller.Close())
	}
	l.done.Wait()
	for _, s := range l.sockets {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, unix.Close(l.wake))...)
}
