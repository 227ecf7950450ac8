package sim

import (
	"errors"
	"fmt"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core"
	"linuxha/internal/core/event"
	"linuxha/internal/scheduler"
)

// Host is a simulated machine.
type Host struct {
	w     *World
	index int
	name  string

	boots    int // how often it was switched on
	power    bool
	supplies [2]bool         // what feeds it, where fence devices cut each by itself
	dead     bool            // nothing gives it power
	led      bool            // in this boot
	met      map[string]bool // hosts that it has heard, or that were fenced, since it booted
	asOf     time.Duration   // when it was switched on

	// Clocks: the monotonic one runs at rate, stands still in suspend, and like the
	// boot-time one begins at an arbitrary point.
	rate      float64
	suspended time.Duration
	wallSkew  time.Duration

	awake   time.Duration // it stands still until then
	waiting int           // datagrams that wait meanwhile

	disk      disk
	counter   uint64 // of its newest incarnation, when it dropped its state
	joining   int    // the boot in which it asks to be admitted; 0: it does not
	life      int    // grows with every start and end of a daemon
	daemon    *daemon
	next      bool   // the next version of ha is installed
	stopped   bool   // an administrator stopped the daemon
	agents    agents // what agents left behind in this boot
	dog       watchdog
	owed      time.Duration   // until then a call of its former daemon may last
	unplugged bool            // a fence device has cut its network
	calls     []time.Duration // when the daemon called fence devices that have not answered
	slow      time.Duration   // added to every sync
	lag       time.Duration   // added to every turn of the loop
	filtered  int             // how many faults drop its heartbeats
}

// daemon is a running core with what surrounds it.
type daemon struct {
	core     *core.Core
	next     bool // it is of the next version
	planner  scheduler.Planner
	beat     *event.Heartbeat
	sequence uint64
	lastBeat time.Duration
	began    time.Duration
	turned   time.Duration // when the loop last turned
	wake     time.Duration // next planned Tick, in world time
	state    *cluster.State
	local    *event.Local
	terms    uint64 // newest term seen in Local
	voters   int    // that it goes by, as far as a change of them has shown; 0: none has
	reported uint64 // orders up to this number were overtaken by a report
	replies  map[uint64]func(event.Reply)
	nextID   uint64
	self     cluster.Incarnation
	armed    bool   // it has armed the watchdog
	applied  uint64 // change of voters that it goes by
	noted    uint64 // ... and that its disk holds, while traps watch
}

func newHost(w *World, index int, name string) *Host {
	h := &Host{w: w, index: index, name: name, rate: 1 + (w.rng.Float64()*2-1)*w.shape.Drift, wallSkew: w.between(-time.Second, time.Second)}
	h.disk.stored.Fresh = true
	h.supplies = [2]bool{true, true}
	h.next = w.shape.Versions == "next" || w.shape.Versions == "mixed" && index%2 == 1
	return h
}

// lineage is the one whose entries this host's daemon applies.
func (h *Host) lineage() string { return h.disk.stored.Identity.Lineage.ID }

func (h *Host) bootID() string { return fmt.Sprintf("%s-boot-%d", h.name, h.boots) }

// clocks returns the host's time.
func (h *Host) clocks() event.Time {
	up := time.Duration(float64(h.w.now-h.asOf)*h.rate) + time.Second
	return event.Time{Mono: up - h.suspended, Boot: up, Wall: epoch.Add(h.w.now + h.wallSkew)}
}

// until returns how long it takes until the monotonic clock shows mono.
func (h *Host) until(mono time.Duration) time.Duration {
	d := time.Duration(float64(mono-h.clocks().Mono)/h.rate) + 1
	return max(d, time.Microsecond)
}

// switchOn gives power; the daemon starts by itself, unless it was stopped.
func (h *Host) switchOn() {
	if h.power || h.dead || h.supplies == [2]bool{} {
		return
	}
	h.boots++
	h.met, h.led = map[string]bool{}, false
	h.power, h.asOf, h.suspended, h.awake, h.waiting = true, h.w.now, 0, 0, 0
	h.agents = newAgents(h)
	h.dog = watchdog{}
	h.w.truth.PowerOn(h.name, h.bootID())
	h.w.note("%s: power on, boot %d", h.name, h.boots)
	if !h.stopped {
		boot := h.boots
		h.w.after(h.w.between(200*time.Millisecond, 2*time.Second), func() {
			if h.power && h.boots == boot {
				h.start()
			}
		})
	}
}

// switchOff takes power away. What the disk had not synced may be lost.
func (h *Host) switchOff() {
	if !h.power {
		return
	}
	h.w.note("%s: power off", h.name)
	h.power = false
	h.life++
	h.daemon = nil
	h.disk.crash(h.w)
	h.w.truth.PowerOff(h.name)
}

// start starts the daemon on what the disk holds, or lets the host join.
func (h *Host) start() {
	if !h.power || h.daemon != nil {
		return
	}
	if h.disk.stored.Identity.RaftID == 0 {
		h.join()
		return
	}
	w := h.w
	h.life++
	h.calls, w.started = nil, w.now
	var peers []cluster.Member
	for _, o := range w.hosts {
		if o.disk.stored.Identity.RaftID != 0 {
			peers = append(peers, cluster.Member{Name: o.name, RaftID: o.disk.stored.Identity.RaftID})
		}
	}
	c, err := core.New(core.Options{
		Node: h.name, Boot: h.bootID(), Machine: h.name, Version: h.version(), Format: h.format(), Links: []string{"l"}, Seed: w.rng.Uint64(),
		Now: h.clocks(), Stored: h.read(), Peers: peers,
	})
	if errors.Is(err, cluster.ErrFormat) && !h.next {
		h.tooOld(err.Error())
		return
	}
	if err != nil {
		panic(fmt.Sprintf("start of %s: %v", h.name, err))
	}
	w.note("%s: daemon starts", h.name)
	h.daemon = &daemon{core: c, next: h.next, replies: map[uint64]func(event.Reply){}, began: w.now, turned: w.now}
	h.ready()
	if h.daemon == nil {
		return
	}
	h.daemonStep(h.agents.recorded())
	h.agents.found()
	h.pulse(h.life)
}

// kill ends the daemon alone: services and agents go on.
func (h *Host) kill() {
	if h.daemon == nil {
		return
	}
	h.w.note("%s: daemon killed", h.name)
	h.ended()
}

func (h *Host) ended() {
	for _, began := range h.calls {
		h.owed = max(h.owed, began+fencingTimeout+fenceSlack)
	}
	h.life++
	h.daemon = nil
	h.disk.killed(h.w)
	h.agents.daemonGone()
}

// inLife plans something for as long as the present daemon lives.
func (h *Host) inLife(d time.Duration, do func()) {
	life := h.life
	h.w.after(d, func() {
		h.whenAwake(func() {
			if h.life == life && h.daemon != nil {
				do()
			}
		}, false)
	})
}

// whenAwake does something now, or when the host no longer stands still; of
// datagrams only a socket's buffer full waits.
func (h *Host) whenAwake(do func(), datagram bool) {
	if h.awake <= h.w.now {
		do()
		return
	}
	if datagram {
		if h.waiting >= 200 {
			return
		}
		h.waiting++
	}
	h.w.after(h.awake-h.w.now, func() {
		if datagram && h.waiting > 0 {
			h.waiting--
		}
		h.whenAwake(do, datagram)
	})
}

// pause makes the host stand still: suspended, its monotonic clock does as well.
func (h *Host) pause(d time.Duration, suspend bool) {
	if !h.power {
		return
	}
	h.awake = max(h.awake, h.w.now+d)
	if suspend {
		h.suspended += d
	}
}

// pulse is the heartbeat thread: every interval, while loop and disk are alive.
func (h *Host) pulse(life int) {
	if h.life != life || h.daemon == nil {
		return
	}
	d := h.daemon
	h.w.net.keep(h)
	interval := 100 * time.Millisecond
	if d.beat != nil {
		interval = max(d.beat.Packet.Interval, time.Millisecond)
		h.round()
	}
	h.inLife(interval, func() { h.pulse(life) })
}

// beats tells whether heartbeats of it are on their way: its daemon runs, and it
// neither stands still nor did so a moment ago.
func (h *Host) beats() bool {
	d := h.daemon
	return d != nil && d.beat != nil && h.awake <= h.w.now && h.w.now-d.lastBeat <= 3*max(d.beat.Packet.Interval, time.Millisecond)
}

// round sends one heartbeat on every link to every peer.
func (h *Host) round() {
	d, w := h.daemon, h.w
	loop, sync := w.now-d.turned, h.disk.age(w.now)
	if loop > d.beat.Limit || sync > d.beat.Limit {
		w.count("heartbeats held back")
		return
	}
	if h.filtered > 0 {
		return
	}
	d.lastBeat = w.now
	p := d.beat.Packet
	p.SentAt, p.LoopAge, p.SyncAge = h.clocks().Boot, loop, sync
	for _, name := range d.beat.Peers {
		to := w.byName[name]
		if to == nil {
			continue
		}
		p.StreamAge = w.net.age(h, to)
		for link := range w.net.paths {
			d.sequence++
			p.Sequence = d.sequence
			w.net.datagram(h, to, link, event.HeartbeatReceived{Link: link, Packet: p})
		}
	}
}

// received hands a message to the daemon, and watches that no order of an older
// term is obeyed.
func (h *Host) received(from string, m event.Message) {
	d := h.daemon
	if d == nil {
		return
	}
	if m.Dispatch == nil {
		h.daemonStep(event.MessageReceived{Peer: from, Message: m})
		return
	}
	old := map[string]string{} // orders that must not be obeyed any more, by transition key
	for _, o := range m.Dispatch.Orders {
		if o.Number <= d.reported {
			h.w.count("order overtaken by a report")
		}
		switch {
		case m.For != d.self:
			old[o.Operation.TransitionKey] = fmt.Sprintf("meant for incarnation %d", m.For.Counter)
			h.w.count("order for a former life")
		case m.Term < d.terms:
			old[o.Operation.TransitionKey] = fmt.Sprintf("of term %d after it had seen %d", m.Term, d.terms)
			h.w.count("order of an older term")
		case o.Number <= d.reported:
			old[o.Operation.TransitionKey] = fmt.Sprintf("numbered %d after it had reported up to %d", o.Number, d.reported)
		}
	}
	begun := len(h.agents.runs)
	h.daemonStep(event.MessageReceived{Peer: from, Message: m})
	if h.daemon != d || begun > len(h.agents.runs) {
		return
	}
	for _, r := range h.agents.runs[begun:] {
		if why := old[r.op.TransitionKey]; why != "" && r.op.TransitionKey != "" {
			h.w.truth.Obeyed(h.w.now, h.name, why)
		}
	}
}

// daemonStep lets the core take an event, and does what it wants.
func (h *Host) daemonStep(ev event.Event) {
	if h.daemon == nil {
		return
	}
	h.daemon.turned = h.w.now
	h.daemon.core.Step(h.clocks(), ev)
	h.ready()
}

// request hands an administrator's wish to the daemon.
func (h *Host) request(r event.Request, answer func(event.Reply)) bool {
	if h.daemon == nil || h.awake > h.w.now {
		return false
	}
	h.daemon.nextID++
	h.daemon.replies[h.daemon.nextID] = answer
	h.daemonStep(event.Requested{ID: h.daemon.nextID, Request: r})
	return true
}
