package sim

import (
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// path is one direction between two hosts on one link.
type path struct {
	cut   int           // how many faults cut it
	mute  int           // how many faults make its streams stand still: what they take is not delivered
	loss  float64       // probability that a datagram is lost
	delay time.Duration // added to the usual
	dup   float64       // probability that a datagram comes twice
	mix   time.Duration // datagrams come late by up to this, each by another time
}

// network is all paths, and the streams over them.
type network struct {
	w       *World
	stuck   time.Duration // what gets stuck on its way now stays there until then; 0: nothing does for sure
	paths   [][][]path    // by link, from, to
	streams [][]stream    // by from, to
	alike   int           // messages of Raft and leases between versions so far
}

// stream is one direction of the reliable channel between two hosts. It uses one
// link at a time, and takes a moment to move to another.
type stream struct {
	link  int
	ready time.Duration   // not before: it is being set up again
	last  time.Duration   // when the newest message arrives: the order is kept
	held  []event.Message // taken, and not delivered: the stream stands still
	owed  time.Duration   // since when, if something is held
}

func (n *network) init(w *World) {
	n.w = w
	hosts := w.shape.Nodes
	n.paths = make([][][]path, w.shape.Links)
	for l := range n.paths {
		n.paths[l] = make([][]path, hosts)
		for i := range n.paths[l] {
			n.paths[l][i] = make([]path, hosts)
		}
	}
	n.streams = make([][]stream, hosts)
	for i := range n.streams {
		n.streams[i] = make([]stream, hosts)
	}
}

// latency is what a packet takes on a quiet local network.
func (n *network) latency(p *path) time.Duration {
	return n.w.between(80*time.Microsecond, 400*time.Microsecond) + p.delay
}

// datagram carries a heartbeat.
func (n *network) datagram(from, to *Host, link int, e event.HeartbeatReceived) {
	p := &n.paths[link][from.index][to.index]
	if p.cut > 0 || n.w.chance(p.loss) {
		return
	}
	boot := to.boots
	deliver := func() {
		if p.cut == 0 && to.boots == boot {
			to.whenAwake(func() {
				if to.daemon != nil {
					to.met[from.name] = true
				}
				to.daemonStep(e)
			}, true)
		}
	}
	late := n.w.between(0, p.mix)
	if late > 0 {
		n.w.count("datagram out of order")
	}
	n.w.after(n.latency(p)+late, deliver)
	if n.w.chance(p.dup) {
		n.w.count("datagram duplicated")
		n.w.after(n.latency(p)+n.w.between(0, 200*time.Millisecond), deliver)
	}
}

// works tells whether a link carries both ways between two hosts.
func (n *network) works(link, a, b int) bool {
	return n.paths[link][a][b].cut == 0 && n.paths[link][b][a].cut == 0
}

// hears tells whether some link carries both ways between two hosts, and has for
// long enough to be counted.
func (n *network) hears(a, b int) bool {
	for l := range n.paths {
		if n.works(l, a, b) && n.paths[l][a][b].loss+n.paths[l][b][a].loss+n.paths[l][a][b].delay.Seconds()+n.paths[l][b][a].delay.Seconds() == 0 {
			return true
		}
	}
	return false
}

// reaches tells whether some link carries both ways between two hosts.
func (n *network) reaches(a, b *Host) bool {
	for l := range n.paths {
		if n.works(l, a.index, b.index) {
			return true
		}
	}
	return false
}

// message carries a message over the stream, if there is one.
func (n *network) message(from, to *Host, m event.Message) {
	w := n.w
	s := &n.streams[from.index][to.index]
	if !n.works(s.link, from.index, to.index) {
		if s.ready <= w.now {
			for l := range n.paths {
				if n.works(l, from.index, to.index) {
					s.link, s.ready = l, w.now+w.between(20*time.Millisecond, 400*time.Millisecond)
					w.count("stream moved to another link")
					break
				}
			}
		}
		w.count("message lost")
		return
	}
	if s.ready > w.now {
		w.count("message lost")
		return
	}
	if n.paths[s.link][from.index][to.index].mute > 0 || len(s.held) > 0 {
		n.hold(from, to, m)
		return
	}
	n.carry(from, to, m)
}

// hold keeps a message in a stream that stands still, as everything behind it.
func (n *network) hold(from, to *Host, m event.Message) {
	w, s := n.w, &n.streams[from.index][to.index]
	if s.held = append(s.held, m); len(s.held) > 1 {
		return
	}
	s.owed = w.now
	w.count("stream stands still")
	life, receiver := from.life, to.life
	d := cluster.Detection{Preset: w.shape.Preset}
	patience := d.Resolve().DeadTime / 2
	var look func()
	look = func() {
		if from.life != life || to.life != receiver || len(s.held) == 0 {
			return // the connection is gone, and reset made a new stream
		}
		if n.paths[s.link][from.index][to.index].mute > 0 {
			for l := range n.paths {
				if w.now-s.owed > patience && n.paths[l][from.index][to.index].mute == 0 && n.works(l, from.index, to.index) {
					s.link, s.ready = l, w.now+w.between(20*time.Millisecond, 400*time.Millisecond)
					w.count("stream moved to another link")
					break
				}
			}
			w.after(w.between(20*time.Millisecond, 100*time.Millisecond), look)
			return
		}
		if s.ready > w.now {
			w.after(s.ready-w.now, look)
			return
		}
		held := s.held
		s.held = nil
		for _, m := range held {
			n.carry(from, to, m)
		}
	}
	w.after(w.between(20*time.Millisecond, 100*time.Millisecond), look)
}

// age is how long a stream has owed an answer.
func (n *network) age(from, to *Host) time.Duration {
	if s := &n.streams[from.index][to.index]; len(s.held) > 0 {
		return n.w.now - s.owed
	}
	return 0
}

// carry lets a message travel over the link that the stream uses.
func (n *network) carry(from, to *Host, m event.Message) {
	w, s := n.w, &n.streams[from.index][to.index]
	m = n.encoded(from, to, m)
	p := &n.paths[s.link][from.index][to.index]
	d := n.latency(p)
	for w.chance(p.loss) && d < 2*time.Second {
		d += w.between(200*time.Millisecond, 300*time.Millisecond) // sent again
	}
	s.last = max(s.last+1, w.now+d)
	link, boot, life := s.link, to.boots, to.life
	w.after(s.last-w.now, func() {
		if (to.boots != boot || to.life != life) && (m.Dispatch == nil || w.chance(0.7)) {
			w.count("message lost")
			return
		}
		if n.works(link, from.index, to.index) {
			to.whenAwake(func() { to.received(from.name, m) }, false)
			return
		}
		stays := w.between(100*time.Millisecond, 6*time.Second)
		switch {
		case n.stuck > w.now:
			stays = n.stuck - w.now
		case w.chance(0.5):
			w.count("message lost")
			return
		}
		// It stays in the old connection, and comes behind what took another link.
		w.after(stays, func() {
			if to.boots == boot && to.life == life && n.works(link, from.index, to.index) {
				w.count("message late")
				to.whenAwake(func() { to.received(from.name, m) }, false)
			}
		})
	})
}

// reset forgets the streams of a host whose daemon ended: they are made anew.
func (n *network) reset(h *Host) {
	for i := range n.streams {
		n.streams[i][h.index] = stream{ready: n.w.now + n.w.between(2*time.Millisecond, 50*time.Millisecond)}
		n.streams[h.index][i] = stream{ready: n.w.now + n.w.between(2*time.Millisecond, 50*time.Millisecond)}
	}
}
