package sim

import (
	"encoding/json"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
	"linuxha/internal/scheduler"
)

// ready does what the core wants done.
func (h *Host) ready() {
	w, d := h.w, h.daemon
	r := d.core.Ready()
	for _, line := range r.Trace {
		w.note("%s: %s", h.name, line)
	}
	if w.readies != nil {
		h.record(&r)
	}
	if r.State != nil {
		d.state = r.State
		w.show(h, r.State)
	}
	if r.Heartbeat != nil {
		h.newBeat(r.Heartbeat)
	}
	h.goBy(&r)
	if w.watching() {
		h.steps(&r)
	}
	if r.Persist != nil {
		h.persist(h.written(r.Persist))
	}
	for i := range r.Messages {
		if report := r.Messages[i].Report; report != nil {
			d.reported = max(d.reported, report.Before)
		}
		if to := w.byName[r.Messages[i].To]; to != nil {
			w.net.message(h, to, r.Messages[i])
		}
	}
	for _, op := range r.Operations {
		h.agents.run(op)
	}
	for _, id := range r.Cancels {
		h.agents.cancel(id)
	}
	for _, call := range r.Fences {
		h.fence(call)
	}
	if r.Schedule != nil {
		h.schedule(r.Schedule)
	}
	h.watchdog(r.Watchdog)
	if r.Local != nil {
		if r.Local.Forked != "" && (d.local == nil || d.local.Forked == "") {
			h.w.count("histories that have parted are heard")
			h.w.truth.Parted(h.w.now, h.name, r.Local.Forked)
		}
		d.local = r.Local
		d.self = r.Local.Incarnation
		d.terms = max(d.terms, r.Local.Term)
		w.net.linksChanged(h)
	}
	for _, reply := range r.Replies {
		if answer := d.replies[reply.ID]; answer != nil {
			delete(d.replies, reply.ID)
			answer(reply)
		}
	}
	if r.Exit != nil {
		h.exited(r.Exit)
		return
	}
	if h.daemon == d && r.Deadline > 0 {
		h.wakeAt(r.Deadline)
	}
}

// wakeAt plans a Tick for when the core wants one.
func (h *Host) wakeAt(deadline time.Duration) {
	d := h.daemon
	at := h.w.now + h.until(deadline)
	if d.wake > h.w.now && d.wake <= at {
		return // an earlier one is planned; it asks again
	}
	d.wake = at
	h.inLife(at-h.w.now+h.lag, func() {
		if d.wake == at {
			d.wake = 0
			h.daemonStep(event.Tick{})
		}
	})
}

// newBeat gives the heartbeat thread new content; news of whom we hear or follow
// leaves at once.
func (h *Host) newBeat(b *event.Heartbeat) {
	d := h.daemon
	news := d.beat == nil || d.beat.Packet.Term != b.Packet.Term || d.beat.Packet.Leader != b.Packet.Leader ||
		!slices.EqualFunc(d.beat.Packet.Heard, b.Packet.Heard, func(x, y heartbeat.Heard) bool { return x == y })
	d.beat = b
	if news && h.w.now-d.lastBeat >= 10*time.Millisecond {
		h.round()
	}
}

// schedule runs the scheduler, which takes its time.
func (h *Host) schedule(s *event.ScheduleRequest) {
	h.inLife(h.w.between(time.Millisecond, 8*time.Millisecond), func() {
		plan, err := h.daemon.planner.Schedule(s.Config, s.Status, s.Now, scheduler.Options{})
		h.daemonStep(event.Scheduled{ID: s.ID, Plan: plan, Err: err})
	})
}

// hasLeft tells whether this node's state says that it has left, with everything stopped.
func (h *Host) hasLeft() bool {
	if h.daemon.state == nil {
		return false
	}
	m := h.daemon.state.Member(h.name)
	return m != nil && m.State == cluster.NodeOffline && m.Incarnation == h.daemon.self
}

// exited deals with a core that ends itself.
func (h *Host) exited(e *event.Exit) {
	w := h.w
	w.note("%s: daemon exits: %s", h.name, e.Reason)
	if e.Reset {
		w.count("reset by the core")
		w.crash(h, w.between(2*time.Second, 15*time.Second))
		return
	}
	if e.Code == 0 && h.daemon.armed && h.hasLeft() {
		w.truth.Stopped(w.now, h.name, h.bootID(), h.dog.armed)
	}
	h.ended()
	boot := h.boots
	again := func(d time.Duration) {
		w.after(d, func() {
			if h.power && h.boots == boot && !h.stopped {
				h.start()
			}
		})
	}
	switch {
	case e.Rejoin:
		w.count("node dropped its state")
		h.counter = 0
		if h.disk.stored.Torn == "" {
			h.counter = h.disk.stored.Identity.Counter
		}
		h.disk.wipe()
		again(w.between(100*time.Millisecond, time.Second))
	case e.Code != 0 && !h.next && h.w.format > h.format():
		h.tooOld(e.Reason)
	case e.Code != 0:
		again(w.between(100*time.Millisecond, time.Second))
	default:
		if !h.stopped {
			again(w.between(50*time.Millisecond, time.Second))
		}
	}
}

// join asks a member to admit this host, and starts with the identity it gets.
func (h *Host) join() {
	w := h.w
	boot := h.boots
	if h.joining == boot {
		return // it has asked already
	}
	h.joining = boot
	retry := func() {
		h.joining = 0
		w.after(w.between(500*time.Millisecond, 2*time.Second), func() {
			if h.power && h.boots == boot && !h.stopped {
				h.start()
			}
		})
	}
	var via *Host
	for _, o := range w.hosts {
		if o != h && o.daemon != nil && o.daemon.state != nil && o.daemon.local != nil && o.daemon.local.Quorate {
			if via = o; w.chance(0.5) {
				break
			}
		}
	}
	if via == nil {
		retry()
		return
	}
	w.nextRaft++
	w.owners[w.nextRaft] = h
	member := cluster.Member{Name: h.name, RaftID: w.nextRaft, Links: []string{"l"}, Version: h.version(), Format: h.format()}
	admit := &cluster.Admit{Member: member}
	commands := []cluster.Command{{Admit: admit}}
	if via.daemon.state.Member(h.name) == nil {
		token := cluster.Token{Hash: h.name, Expires: epoch.Add(w.now + time.Hour)}
		admit.TokenHash = token.Hash
		commands = []cluster.Command{{Token: &token}, {Admit: admit}}
	}
	answered := false
	w.after(w.between(time.Second, 12*time.Second), func() {
		if !answered {
			answered = true // too late: it asks again, though the first may still come true
			w.count("join repeated")
			retry()
		}
	})
	ok := via.request(event.Request{Commands: commands, By: "join"}, func(r event.Reply) {
		if answered {
			return
		}
		answered = true
		if r.Err != nil || !h.power || h.boots != boot || h.disk.stored.Identity.RaftID != 0 {
			w.note("%s: join refused: %v", h.name, r.Err)
			if r.Err != nil && h.power && h.boots == boot && h.format() < w.format {
				h.joining = 0
				h.tooOld(r.Err.Text)
				return
			}
			retry()
			return
		}
		id := event.Identity{Node: h.name, RaftID: member.RaftID, Lineage: via.daemon.state.Lineage, Machine: h.name}
		if r.Admitted != nil {
			id.Counter = max(h.counter, r.Admitted.Incarnation.Counter)
		}
		h.disk.apply(&event.Persist{Identity: &id})
		h.joining = 0
		h.start()
	})
	if !ok {
		answered = true
		retry()
	}
}

// record gives a Ready to whoever compares runs.
func (h *Host) record(r *event.Ready) {
	c := *r
	var state uint64
	if c.State != nil {
		state = fingerprint(c.State)
	}
	c.State = nil
	data, err := json.Marshal(struct {
		At    time.Duration
		Host  string
		State uint64
		Ready event.Ready
	}{h.w.now, h.name, state, c})
	if err != nil {
		panic(err)
	}
	h.w.readies(data)
}
