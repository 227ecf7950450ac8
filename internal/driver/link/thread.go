package link

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"linuxha/internal/core/event"
	"linuxha/internal/driver/clock"
)

// Scheduling of the heartbeat thread, and of no other.
const (
	realtimePriority = 10  // SCHED_FIFO, of 1 to 99
	niceness         = -15 // where real time is not allowed
)

// shortest is the pause between a heartbeat and one that is sent at once.
const shortest = 10 * time.Millisecond

// idle is how long the thread sleeps while it has nothing to send.
const idle = time.Second

// run is the heartbeat thread. It sleeps in the kernel, not on the runtime's
// timers, and sends on time whatever the rest of the daemon does, as long as
// the loop and the disk are alive.
func (l *Links) run() {
	runtime.LockOSThread() // for good: the thread ends with this function
	l.raisePriority()
	var s *sealer
	round := uint64(0)
	next := clock.Mono()
	var last time.Duration // when heartbeats last left
	for !l.closed.Load() {
		kicked := l.sleep(next - clock.Mono())
		if kicked {
			if wait := last + shortest - clock.Mono(); wait > 0 {
				l.sleepOut(wait)
			}
		}
		content := l.content.Load()
		if content == nil || content.Packet.Interval <= 0 {
			next = clock.Mono() + idle
			continue
		}
		now := clock.Mono()
		if !kicked {
			l.noteDelay(now - next)
		}
		last = now
		if s == nil || s.counter != content.Packet.Counter {
			s = l.newSealer(content.Packet.Counter)
		}
		if s != nil {
			round++
			l.beat(s, content, round)
		}
		if next += content.Packet.Interval; next <= now || kicked {
			next = now + content.Packet.Interval
		}
	}
}

// sleep waits for d, or until it is kicked, and says which.
func (l *Links) sleep(d time.Duration) (kicked bool) {
	timeout := unix.NsecToTimespec(int64(max(d, 0)))
	fds := []unix.PollFd{{Fd: int32(l.wake), Events: unix.POLLIN}}
	n, err := unix.Ppoll(fds, &timeout, nil)
	if err != nil || n == 0 {
		return false
	}
	var count [8]byte
	unix.Read(l.wake, count[:])
	return true
}

// sleepOut waits for d, kicked or not.
func (l *Links) sleepOut(d time.Duration) {
	timeout := unix.NsecToTimespec(int64(d))
	unix.Nanosleep(&timeout, nil)
}

func (l *Links) noteDelay(d time.Duration) {
	if int64(d) > l.late.Load() {
		l.late.Store(int64(d))
	}
}

func (l *Links) newSealer(counter uint64) *sealer {
	o := l.options
	key, _ := o.Ring.Find(o.Ring.Active)
	aead, err := newAEAD(key, o.Node, counter, l.salt)
	if err != nil {
		o.Log.Error("heartbeats cannot be sealed", "error", err)
		return nil
	}
	return &sealer{node: o.Node, counter: counter, salt: l.salt, key: key, aead: aead}
}

// beat sends one heartbeat to every peer on every link.
func (l *Links) beat(s *sealer, content *event.Heartbeat, round uint64) {
	p := content.Packet
	p.SentAt = clock.Boot()
	p.LoopAge, p.SyncAge = l.options.Vitals.ages(p.SentAt)
	if limit := content.Limit; limit > 0 && (p.LoopAge > limit || p.SyncAge > limit) {
		return // whoever stands still must not look alive
	}
	p.Sequence = round
	addresses := *l.peers.Load()
	for _, peer := range content.Peers {
		if l.options.Vitals.Stream != nil {
			p.StreamAge = l.options.Vitals.Stream(peer)
		}
		for i, to := range addresses[peer] {
			if i >= len(l.sockets) || !to.IsValid() {
				continue
			}
			datagram, err := s.seal(i, &p)
			if err != nil {
				l.options.Log.Error("heartbeat cannot be sent", "peer", peer, "error", err)
				return
			}
			l.sockets[i].send(datagram, to)
		}
	}
}

// raisePriority is best effort: without the right to it, heartbeats leave with
// the priority of everything else.
func (l *Links) raisePriority() {
	attr := &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: realtimePriority,
		Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}
	err := unix.SchedSetAttr(0, attr, 0)
	if err == nil {
		return
	}
	if niceErr := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), niceness); niceErr != nil {
		l.options.Log.Warn("heartbeats are sent without priority", "real_time", err, "nice", niceErr)
	}
}
