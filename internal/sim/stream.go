package sim

import (
	"slices"
	"time"

	"linuxha/internal/core/event"
)

// stream is what one daemon sends to another, with the rules of internal/driver/stream:
// messages wait for their acknowledgement, one connection at a time carries them, and
// another one is dialled when there is something to send, or somebody to be heard. What
// was not acknowledged is sent again there, unless the receiver is another life.
type stream struct {
	n        *network
	from, to *Host
	life     int // of the sender's daemon

	queue    []waiting // in order; the first sent ones await their acknowledgement
	sent     int       // how many of the queue were written to the present connection
	number   uint64    // of the newest message
	owed     time.Duration
	up       uint8 // links on which the sender hears the receiver
	conn     *connection
	dialling bool          // or it waits for the next attempt
	pause    time.Duration // before that
	took     int           // the link of the newest connection
	avoid    int           // the link on which the last one stalled; -1: none
	receiver int           // life of the receiver's daemon that the last connection led to

	handed uint64 // number of the newest message that this life of the receiver was given
}

// waiting is a message in a stream.
type waiting struct {
	number uint64
	queued time.Duration
	tried  bool // it was written to some connection, and may have arrived
	m      event.Message
}

// connection is one way from a daemon to another, over one link.
type connection struct {
	link   int
	life   int           // of the receiver's daemon
	last   time.Duration // when the newest message arrives: the order is kept
	held   []waiting     // on their way, and do not arrive: the link is cut, or the stream stands still
	ack    time.Duration // when the acknowledgement of what was handed over arrives; 0: none is due
	silent time.Duration // since when the other kernel does not answer; 0: it does
}

const (
	firstPause = 10 * time.Millisecond // before a connection is dialled again
	stagger    = 50 * time.Millisecond // before the next link is tried as well
)

// stream returns what h's daemon sends to another one.
func (n *network) stream(from, to *Host) *stream {
	s := n.streams[from.index][to.index]
	if s == nil || s.life != from.life {
		s = &stream{n: n, from: from, to: to, life: from.life, avoid: -1, pause: firstPause}
		n.streams[from.index][to.index] = s
	}
	return s
}

// message hands a message to the stream.
func (n *network) message(from, to *Host, m event.Message) {
	s := n.stream(from, to)
	s.settle()
	s.number++
	if s.owed == 0 {
		s.owed = n.w.now
	}
	s.queue = append(s.queue, waiting{number: s.number, queued: n.w.now, m: m})
	s.turn()
}

// age is how long a stream has owed an answer.
func (n *network) age(from, to *Host) time.Duration {
	s := n.stream(from, to)
	if s.settle(); s.owed == 0 {
		return 0
	}
	return max(n.w.now-s.owed, 1)
}

// keep looks after the streams of a host's daemon, several times a second.
func (n *network) keep(h *Host) {
	for _, to := range n.w.hosts {
		if to != h {
			n.stream(h, to).keep()
		}
	}
}

// linksChanged tells the streams of a daemon on which links it hears the others.
func (n *network) linksChanged(h *Host) {
	for _, p := range h.daemon.local.Peers {
		to := n.w.byName[p.Node]
		if to == nil || to == h {
			continue
		}
		up := uint8(0)
		for _, l := range p.Links {
			if l.Up {
				up |= 1 << l.Link
			}
		}
		s := n.stream(h, to)
		if up == s.up {
			continue
		}
		s.settle()
		if s.up == 0 && s.owed != 0 {
			s.owed = n.w.now // it could not answer while it was away
		}
		s.up = up
		if s.conn != nil && up != 0 && up&(1<<s.conn.link) == 0 {
			s.end(s.conn.link)
		}
		s.turn()
	}
}

// turn writes what waits, or dials where there is reason to.
func (s *stream) turn() {
	if s.conn != nil {
		s.write()
		return
	}
	if s.dialling {
		return
	}
	s.dropOld()
	if s.up != 0 || len(s.queue) > 0 {
		s.dial()
	}
}

// dropOld forgets what has waited for long without a connection.
func (s *stream) dropOld() {
	n, limit := 0, max(2*s.n.dead, time.Second)
	for s.conn == nil && n < len(s.queue) && s.n.w.now-s.queue[n].queued > limit {
		n++
	}
	for range n {
		s.n.w.count("message dropped")
	}
	s.forget(n)
}

// forget drops the first n of the queue. What is dropped is not waited for.
func (s *stream) forget(n int) {
	s.queue = slices.Delete(s.queue, 0, n)
	s.sent = max(s.sent-n, 0)
	if len(s.queue) == 0 {
		s.owed = 0
	}
}

// acknowledged takes all up to number off the queue.
func (s *stream) acknowledged(number uint64) {
	n := 0
	for n < len(s.queue) && s.queue[n].number <= number {
		n++
	}
	s.forget(n)
	if len(s.queue) > 0 && n > 0 {
		s.owed = s.n.w.now
	}
}

// settle takes the acknowledgement that has arrived by now.
func (s *stream) settle() {
	if c := s.conn; c != nil && c.ack > 0 && c.ack <= s.n.w.now && s.n.works(c.link, s.from.index, s.to.index) {
		c.ack = 0
		s.acknowledged(s.handed)
	}
}

// alive tells whether the daemon is there whose stream this is.
func (s *stream) alive() bool { return s.from.life == s.life && s.from.daemon != nil }

// keep notices what became of the connection.
func (s *stream) keep() {
	c, n := s.conn, s.n
	if c == nil {
		s.turn()
		return
	}
	s.settle()
	works := s.to.power && n.works(c.link, s.from.index, s.to.index)
	drops := n.paths[c.link][s.from.index][s.to.index].drop > 0
	patience := n.dead + 3*time.Second // until the kernel finds out by itself
	if s.sent > 0 {
		patience = max(2*n.dead, time.Second)
	}
	switch {
	case works && !drops && s.to.life != c.life:
		s.end(-1) // the other kernel says that it is over
	case works && !drops:
		c.silent = 0
		s.release()
	case c.silent == 0:
		c.silent = n.w.now
	case n.w.now-c.silent > patience:
		n.w.count("connection timed out")
		s.end(-1)
	}
	if s.conn == c && s.sent > 0 && s.owed != 0 && n.w.now-s.owed > max(n.dead/2, 100*time.Millisecond) && s.up&^(1<<c.link) != 0 {
		s.end(c.link) // it does not answer, and there is another link
	}
	s.turn()
}

// end gives the connection up.
func (s *stream) end(avoid int) {
	s.conn, s.avoid = nil, avoid
	s.turn()
}

// dial connects over the first link that answers: those on which the receiver is heard
// first, the one to avoid last, each tried as well when the ones before have not answered
// for a moment. What takes longer than the limit is given up.
func (s *stream) dial() {
	n, w := s.n, s.n.w
	s.dialling = true
	var heard, others, last []int
	for l := range n.paths {
		switch {
		case l == s.avoid:
			last = append(last, l)
		case s.up&(1<<l) != 0:
			heard = append(heard, l)
		default:
			others = append(others, l)
		}
	}
	limit := max(n.dead, time.Second)
	first, ends := -1, limit // the link that connects first, and when
	starts, refused := time.Duration(0), true
	for _, l := range slices.Concat(heard, last, others) {
		if starts >= ends {
			break
		}
		switch {
		case !s.answers(l):
			refused = false
			starts += stagger
		case s.to.daemon == nil:
			starts += w.between(100*time.Microsecond, time.Millisecond)
		default:
			refused = false
			connects := starts + s.handshake(l)
			if connects < ends {
				first, ends = l, connects
			}
			if connects >= limit {
				w.count("dial too slow")
			}
			starts += stagger
		}
	}
	switch giveUp := w.now + limit; {
	case first >= 0:
		w.after(ends, func() {
			if s.alive() {
				s.from.whenAwake(func() { s.dialled(first, giveUp) }, false)
			}
		})
	case refused:
		w.after(starts, s.again)
	default:
		w.after(limit, s.again)
	}
}

// answers tells whether the other kernel answers who dials on a link.
func (s *stream) answers(link int) bool {
	p := &s.n.paths[link][s.from.index][s.to.index]
	return s.to.power && s.n.works(link, s.from.index, s.to.index) && p.mute == 0 && p.drop == 0
}

// handshake is what three round trips and their cryptography take.
func (s *stream) handshake(link int) time.Duration {
	w := s.n.w
	takes := w.between(time.Millisecond, 10*time.Millisecond)
	for range 3 {
		for _, p := range []*path{&s.n.paths[link][s.from.index][s.to.index], &s.n.paths[link][s.to.index][s.from.index]} {
			takes += s.n.latency(p)
			for w.chance(p.loss) && takes < 2*time.Second {
				takes += w.between(200*time.Millisecond, 300*time.Millisecond) // sent again
			}
		}
	}
	return takes
}

// dialled uses the connection that was made, if all is still there.
func (s *stream) dialled(link int, giveUp time.Duration) {
	if !s.alive() {
		return
	}
	if !s.answers(link) || s.to.daemon == nil || s.to.awake > s.n.w.now {
		s.n.w.after(giveUp-s.n.w.now, s.again)
		return
	}
	if s.receiver == s.to.life && s.took != link {
		s.n.w.count("stream moved to another link")
	}
	s.took = link
	s.dialling, s.avoid, s.pause = false, -1, firstPause
	s.conn = &connection{link: link, life: s.to.life}
	if s.receiver != s.to.life { // what may have reached its former life is not for this one
		s.queue = slices.DeleteFunc(s.queue, func(x waiting) bool { return x.tried })
		s.receiver, s.handed = s.to.life, 0
		if s.owed != 0 {
			s.owed = s.n.w.now
		}
	}
	s.sent = 0
	s.acknowledged(s.handed)
	s.write()
}

// again dials once more after a pause.
func (s *stream) again() {
	if !s.alive() {
		return
	}
	s.n.w.after(s.pause, func() {
		if s.alive() {
			s.from.whenAwake(func() {
				s.dialling = false
				s.turn()
			}, false)
		}
	})
	s.pause = min(2*s.pause, max(s.n.dead/2, firstPause))
}

// write gives the connection what waits for it.
func (s *stream) write() {
	for i := s.sent; i < len(s.queue); i++ {
		s.queue[i].tried = true
		s.carry(s.conn, s.queue[i])
	}
	s.sent = len(s.queue)
}

// carry lets a message travel in a connection.
func (s *stream) carry(c *connection, x waiting) {
	w, p := s.n.w, &s.n.paths[c.link][s.from.index][s.to.index]
	x.m = s.n.encoded(s.from, s.to, x.m)
	if p.mute > 0 || p.drop > 0 {
		if len(c.held) == 0 {
			w.count("stream stands still")
		}
		c.hold(x)
		return
	}
	d := s.n.latency(p)
	for w.chance(p.loss) && d < 2*time.Second {
		d += w.between(200*time.Millisecond, 300*time.Millisecond) // sent again
	}
	c.last = max(c.last+1, w.now+d)
	w.after(c.last-w.now, func() { s.arrived(c, x) })
}

// arrived looks whether a message can come out of its connection now.
func (s *stream) arrived(c *connection, x waiting) {
	w, works := s.n.w, s.n.works(c.link, s.from.index, s.to.index)
	switch {
	case s.to.life != c.life:
		if x.m.Dispatch != nil && w.chance(0.3) { // an order must not be obeyed by a later life, whatever brings it
			s.to.whenAwake(func() { s.to.received(s.from.name, x.m) }, false)
			return
		}
		w.count("message lost")
	case s.conn != c:
		w.count("message lost") // it is sent again, in another connection
	case !works && s.astray(c, x):
	case !works, len(c.held) > 0 && c.held[0].number < x.number:
		c.hold(x)
	default:
		s.hand(c, x)
	}
}

// hold keeps a message that does not arrive, in order.
func (c *connection) hold(x waiting) {
	i := len(c.held)
	for i > 0 && c.held[i-1].number > x.number {
		i--
	}
	c.held = slices.Insert(c.held, i, x)
}

// astray lets a message that is on its way in a link that was cut come late, behind
// what takes another way: worse than any stream is, but nothing may break by it.
func (s *stream) astray(c *connection, x waiting) bool {
	w, n := s.n.w, s.n
	stays := w.between(100*time.Millisecond, 6*time.Second)
	switch {
	case n.stuck > w.now:
		stays = n.stuck - w.now
	case w.chance(0.5):
		return false
	}
	if i := slices.IndexFunc(s.queue, func(q waiting) bool { return q.number == x.number }); i >= 0 { // it is not sent again
		s.queue = slices.Delete(s.queue, i, i+1)
		if i < s.sent {
			s.sent--
		}
		s.forget(0)
	}
	w.after(stays, func() {
		if s.to.life == c.life && n.works(c.link, s.from.index, s.to.index) {
			w.count("message late")
			s.to.whenAwake(func() { s.to.received(s.from.name, x.m) }, false)
		}
	})
	return true
}

// release lets go what was held, once nothing is in its way.
func (s *stream) release() {
	c := s.conn
	if len(c.held) == 0 || s.n.paths[c.link][s.from.index][s.to.index].mute > 0 {
		return
	}
	held := c.held
	c.held = nil
	for _, x := range held {
		s.hand(c, x)
	}
}

// hand gives a message to the receiver's daemon when that is awake, unless it came
// before, or another connection has taken over.
func (s *stream) hand(c *connection, x waiting) {
	s.to.whenAwake(func() {
		if s.to.life != c.life || s.conn != c && s.conn != nil || x.number <= s.handed {
			return
		}
		s.handed = x.number
		if c.ack == 0 {
			c.ack = s.n.w.now + s.n.dead/8 + s.n.latency(&s.n.paths[c.link][s.to.index][s.from.index])
		}
		s.to.received(s.from.name, x.m)
	}, false)
}
