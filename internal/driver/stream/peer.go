package stream

import (
	"bufio"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/driver/clock"
)

const (
	maxQueue   = 4096 // messages; beyond, the oldest go
	firstPause = 10 * time.Millisecond
)

// peer is the stream to one node.
type peer struct {
	streams *Streams
	name    string
	wake    chan struct{} // something below changed

	mu        sync.Mutex // guards what follows
	addresses []netip.AddrPort
	learned   bool          // addresses came from the peer itself
	up        uint8         // links on which the peer is heard
	queue     []item        // in order; the first sent ones await their acknowledgement
	sent      int           // how many of queue were written to the present connection
	next      uint64        // number of the next message
	owed      time.Duration // boot clock since when an answer is owed; 0: none is
	receiver  cluster.Incarnation
	conn      *connection // nil while there is none
	ended     bool
}

type item struct {
	number uint64
	queued time.Duration // boot clock
	tried  bool          // written to some connection: it may have arrived
	m      event.Message
}

func (p *peer) notify() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *peer) enqueue(m event.Message) {
	now := clock.Boot()
	p.mu.Lock()
	p.next++
	if p.owed == 0 {
		p.owed = now
	}
	p.queue = append(p.queue, item{number: p.next, queued: now, m: m})
	p.dropOld(now)
	p.mu.Unlock()
	p.notify()
}

// dropOld forgets messages that nobody needs any more: the core repeats what
// matters, and a stale vote or append is only load. Callers hold mu.
func (p *peer) dropOld(now time.Duration) {
	limit := max(2*p.streams.dead(), time.Second)
	n := max(len(p.queue)-maxQueue, 0)
	if p.conn == nil {
		for n < len(p.queue) && now-p.queue[n].queued > limit {
			n++
		}
	}
	p.forget(n)
}

// forget drops the first n of the queue. What is dropped is not waited for: else the
// next life of a peer that was off would be told of a stream that stands still, and
// would say that it does not hear us, so that nobody connects. Callers hold mu.
func (p *peer) forget(n int) {
	p.queue = slices.Delete(p.queue, 0, n)
	p.sent = max(p.sent-n, 0)
	if len(p.queue) == 0 {
		p.owed = 0
	}
}

func (p *peer) setLinks(addresses []netip.AddrPort, up uint8) {
	p.mu.Lock()
	changed := !slices.Equal(p.addresses, addresses) || p.up != up
	if p.up == 0 && up != 0 && p.owed != 0 {
		p.owed = clock.Boot() // it could not answer while it was away
	}
	p.addresses, p.learned, p.up = addresses, false, up
	conn := p.conn
	p.mu.Unlock()
	if !changed {
		return
	}
	if conn != nil && up != 0 && up&(1<<conn.link) == 0 {
		conn.abandon(errMoved)
	}
	p.notify()
}

func (p *peer) learn(addresses []netip.AddrPort) {
	p.mu.Lock()
	if len(p.addresses) == 0 || p.learned {
		p.addresses, p.learned = addresses, true
	}
	p.mu.Unlock()
	p.notify()
}

// age returns how long an answer has been owed.
func (p *peer) age(now time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owed == 0 {
		return 0
	}
	return max(now-p.owed, 1)
}

func (p *peer) end() {
	p.mu.Lock()
	p.ended = true
	conn := p.conn
	p.mu.Unlock()
	if conn != nil {
		conn.abandon(errEnded)
	}
	p.notify()
}

var (
	errMoved   = errors.New("its link is not heard any more")
	errStalled = errors.New("no answer on this link")
	errEnded   = errors.New("the stream was ended")
)

// run keeps a connection to the peer and sends what is queued.
func (p *peer) run() {
	pause := firstPause
	avoid := -1 // the link on which the last connection stalled
	for p.wanted() {
		conn, err := p.dial(avoid)
		if err != nil {
			p.streams.options.Log.Debug("no stream to peer", "peer", p.name, "error", err)
			p.sleep(pause)
			pause = min(2*pause, max(p.streams.dead()/2, firstPause))
			continue
		}
		pause, avoid = firstPause, -1
		p.streams.options.Log.Debug("stream to peer", "peer", p.name, "link", conn.link)
		err = p.use(conn)
		if errors.Is(err, errStalled) || errors.Is(err, errMoved) {
			avoid = conn.link
		}
		if !errors.Is(err, errEnded) {
			p.streams.options.Log.Debug("stream to peer ended", "peer", p.name, "link", conn.link, "reason", err)
		}
	}
}

// wanted waits until there is reason to connect; false: the stream was ended.
func (p *peer) wanted() bool {
	for {
		p.mu.Lock()
		p.dropOld(clock.Boot())
		ended, reason := p.ended, len(p.addresses) > 0 && (p.up != 0 || len(p.queue) > 0)
		p.mu.Unlock()
		if ended || reason {
			return !ended
		}
		<-p.wake
	}
}

// sleep waits for d or for a change.
func (p *peer) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.streams.stop:
	}
}

// use sends over conn until it fails, and returns why.
func (p *peer) use(conn *connection) error {
	p.mu.Lock()
	if conn.hello.Incarnation != p.receiver {
		// What may have reached a former incarnation is not for this one.
		p.queue = slices.DeleteFunc(p.queue, func(i item) bool { return i.tried })
		p.receiver = conn.hello.Incarnation
		if p.owed != 0 {
			p.owed = clock.Boot()
		}
	}
	p.conn, p.sent = conn, 0
	ended := p.ended
	p.mu.Unlock()
	p.acknowledged(conn.hello.Last)
	if ended {
		conn.abandon(errEnded)
	}
	var reading sync.WaitGroup
	reading.Go(func() { p.readAcks(conn) })
	p.write(conn)
	reading.Wait()
	p.mu.Lock()
	p.conn = nil
	p.mu.Unlock()
	return conn.reason
}

// acknowledged takes all up to number off the queue.
func (p *peer) acknowledged(number uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.queue) && p.queue[n].number <= number {
		n++
	}
	p.forget(n)
	switch {
	case len(p.queue) == 0:
		p.owed = 0
	case n > 0:
		p.owed = clock.Boot()
	}
}

func (p *peer) readAcks(conn *connection) {
	for {
		k, body, err := readFrame(conn.reader)
		if err == nil && k != kindAck {
			err = errors.New("a frame that is no acknowledgement")
		}
		var number uint64
		if err == nil {
			number, err = decodeNumber(body)
		}
		if err != nil {
			conn.abandon(err)
			p.notify()
			return
		}
		p.acknowledged(number)
	}
}

// write sends what is queued until the connection is abandoned. A connection
// that owes an answer for half the dead time is given up where there is another
// link to try.
func (p *peer) write(conn *connection) {
	w := bufio.NewWriterSize(conn.tls, 16<<10)
	var buffer []byte
	for {
		now := clock.Boot()
		patience := max(p.streams.dead()/2, 100*time.Millisecond) // several times the pause of acknowledgements
		p.mu.Lock()
		stalled := p.sent > 0 && p.owed != 0 && now-p.owed > patience && p.otherLink(conn.link)
		waiting := p.sent > 0
		fresh := slices.Clone(p.queue[p.sent:])
		for i := p.sent; i < len(p.queue); i++ {
			p.queue[i].tried = true
		}
		p.sent = len(p.queue)
		p.mu.Unlock()
		if stalled {
			conn.abandon(errStalled)
		}
		if conn.gone() {
			return
		}
		for _, item := range fresh {
			encoded, err := event.EncodeMessage(&item.m)
			if err != nil {
				p.streams.options.Log.Error("message cannot be sent", "peer", p.name, "error", err)
				continue
			}
			buffer = appendMessage(buffer[:0], item.number, encoded)
			conn.tls.SetWriteDeadline(time.Now().Add(conn.timeout))
			if _, err := w.Write(buffer); err != nil {
				conn.abandon(err)
				return
			}
		}
		if err := w.Flush(); err != nil {
			conn.abandon(err)
			return
		}
		if len(fresh) > 0 || waiting {
			p.await(conn, patience)
		} else {
			<-p.wake
		}
	}
}

// await waits for something to change, at most for d.
func (p *peer) await(conn *connection, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.wake:
	case <-conn.done:
	case <-timer.C:
	}
}

// otherLink tells whether the peer is heard on another link than this. Callers hold mu.
func (p *peer) otherLink(link int) bool { return p.up&^(1<<link) != 0 }
