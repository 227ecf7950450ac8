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
	drop  int           // how many faults drop the packets of streams, so that the kernel gives connections up
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
	streams [][]*stream   // by from, to
	dead    time.Duration // the dead time
	alike   int           // messages of Raft and leases between versions so far
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
	d := cluster.Detection{Preset: w.shape.Preset}
	n.dead = d.Resolve().DeadTime
	n.streams = make([][]*stream, hosts)
	for i := range n.streams {
		n.streams[i] = make([]*stream, hosts)
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
