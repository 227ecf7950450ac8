package sim

import (
	"fmt"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Fault is one thing that goes wrong, or that an administrator does. A run's
// faults are drawn before it begins, so that they can be left out one by one.
type Fault struct {
	At   time.Duration `json:"at"`
	For  time.Duration `json:"for,omitempty"`
	Kind string        `json:"kind"`
	Host int           `json:"host"`
	Peer int           `json:"peer,omitempty"`
	Link int           `json:"link,omitempty"` // -1: all
	Text string        `json:"text,omitempty"`
	Rate float64       `json:"rate,omitempty"`
}

func (f Fault) String() string {
	return strings.TrimSpace(fmt.Sprintf("%.3fs %s n%d peer n%d link %d for %v %s", f.At.Seconds(), f.Kind, f.Host+1, f.Peer+1, f.Link, f.For.Round(time.Millisecond), f.Text))
}

type agentFault int

const (
	agentWell agentFault = iota
	agentFails
	agentSlow
	agentHangs
)

// agentTrouble makes the next matching operation go wrong.
type agentTrouble struct {
	host   int
	action string
	fault  agentFault
	until  time.Duration
}

// faultFor takes the trouble that is meant for an operation, if there is any.
func (w *World) faultFor(h *Host, op event.Operation) agentFault {
	if w.healed || op.Agent.Class == "stonith" {
		return agentWell
	}
	for i, t := range w.agent {
		if t.host == h.index && t.action == op.Action && w.now < t.until {
			w.agent = append(w.agent[:i:i], w.agent[i+1:]...)
			return t.fault
		}
	}
	return agentWell
}

// begin lets a fault happen, and end when its time is over.
func (w *World) begin(f Fault) {
	h := w.hosts[f.Host]
	w.note("--- %s", f)
	w.count("fault " + f.Kind)
	end := func(do func()) { w.ending(f.For, do) }
	switch f.Kind {
	case "crash leader":
		if o := w.leader(); o != nil {
			h = o
		}
		w.crash(h, f.For)
	case "crash":
		w.crash(h, f.For)
	case "crash in fencing":
		w.crash(h, f.For+5*time.Second)
		w.crashCaller(f.For)
	case "site":
		for _, o := range w.hosts {
			w.crash(o, f.For+w.between(0, 5*time.Second))
		}
	case "kill":
		h.kill()
		w.startAgain(h, f.For)
	case "orphan", "crash in operation":
		w.inOperation(f)
	case "migration cut":
		w.cutMigration(f)
	case "pause":
		h.pause(f.For, false)
	case "suspend":
		h.pause(f.For, true)
	case "cut":
		w.cut(f, []int{f.Host}, []int{f.Peer}, true)
	case "cut one way":
		w.cut(f, []int{f.Host}, []int{f.Peer}, false)
	case "isolate":
		f.Link = -1
		w.cut(f, []int{f.Host}, w.others(f.Host), true)
	case "isolate one way":
		f.Link = -1
		if f.Peer > f.Host {
			w.cut(f, []int{f.Host}, w.others(f.Host), false)
		} else {
			w.cut(f, w.others(f.Host), []int{f.Host}, false)
		}
	case "split":
		f.Link = -1
		var a, b []int
		for i := range w.hosts {
			if i == f.Host || w.chance(0.3) && len(a)+1 < len(w.hosts) {
				a = append(a, i)
			} else {
				b = append(b, i)
			}
		}
		w.cut(f, a, b, true)
	case "link down":
		w.cut(f, w.others(-1), w.others(-1), true)
	case "stuck stream":
		w.stuckStream(f)
	case "carrier":
		w.cut(f, []int{f.Host}, w.others(f.Host), true)
		h.carrier(f.Link, false)
		end(func() { h.carrier(f.Link, true) })
	case "loss", "delay", "duplicates", "reorder":
		w.worsen(f)
	case "slow disk":
		h.slow += f.For / 20
		end(func() { h.slow -= f.For / 20 })
	case "stuck disk":
		h.slow += f.For
		end(func() { h.slow -= f.For })
	case "full disk":
		h.disk.fail++
		end(func() { h.disk.fail-- })
	case "torn write":
		h.disk.tear = true
	case "bit rot":
		if w.maySpoil() {
			h.rot()
			h.kill()
			w.startAgain(h, f.For)
		}
	case "set back":
		w.setBack(h, f)
	case "lose disk":
		w.loseDisk(h, f)
	case "flapping":
		for i := range 3 + w.rng.IntN(3) {
			w.ending(time.Duration(i)*w.between(2*time.Second, 6*time.Second), func() { w.crash(h, w.between(500*time.Millisecond, 4*time.Second)) })
		}
	case "wall clock":
		h.wallSkew += w.between(-time.Hour, time.Hour)
	case "slow loop":
		lag := f.For / 10
		h.lag += lag
		end(func() { h.lag -= lag })
	case "late orders":
		w.lateOrders(f)
	case "service dies":
		if names := h.agents.running(); len(names) > 0 {
			h.agents.die(names[w.rng.IntN(len(names))])
		}
	case "agent":
		action, fault, _ := strings.Cut(f.Text, " ")
		kinds := map[string]agentFault{"fails": agentFails, "slow": agentSlow, "hangs": agentHangs}
		w.agent = append(w.agent, agentTrouble{host: f.Host, action: action, fault: kinds[fault], until: w.now + f.For + 20*time.Second})
	case "fence fails":
		d := w.someDevice(f)
		d.fails = max(d.fails, w.now+f.For)
	case "fence out of reach": // others may still call it
		if d := w.someDevice(f); !d.apart[h.index] {
			d.away(h.index, true)
			end(func() { d.away(h.index, false) })
		}
	case "fence slow":
		d := w.someDevice(f)
		d.slow = max(d.slow, w.now+f.For)
	default:
		if !w.aimed(f) {
			w.administer(f, h)
		}
	}
}

// leader returns who takes itself for the leader, nil if nobody does.
func (w *World) leader() *Host {
	for _, h := range w.hosts {
		if h.leads() {
			return h
		}
	}
	return nil
}

// startAgain starts a killed daemon after a while.
func (w *World) startAgain(h *Host, d time.Duration) {
	boot := h.boots
	w.ending(d, func() {
		if h.power && h.boots == boot && !h.stopped {
			h.start()
		}
	})
}

// inOperation makes services move, and ends a daemon, or takes a host's power, while
// it starts or stops one.
func (w *World) inOperation(f Fault) {
	peer := w.hosts[f.Peer].name
	w.ask(w.hosts[f.Host], event.Request{Commands: []cluster.Command{{Attribute: &cluster.AttributeChange{Node: peer, Name: "standby", Value: "on"}}}})
	w.ending(10*time.Second, func() { w.ask(w.hosts[f.Host], online(peer)) })
	step := stepBegins + []string{"start", "stop"}[w.rng.IntN(2)]
	w.traps = append(w.traps, &trap{step: step, after: w.rng.IntN(2), until: w.now + 15*time.Second, do: func(h *Host, _ string) {
		w.ending(w.between(0, 50*time.Millisecond), func() {
			if f.Kind == "orphan" {
				h.kill()
				w.startAgain(h, f.For)
			} else {
				w.crash(h, f.For)
			}
		})
	}})
}

// cutMigration lets the first service migrate, and something happen to one end.
func (w *World) cutMigration(f Fault) {
	owners := w.truth.Owners("r1")
	if !w.shape.Migrate || len(owners) != 1 || len(w.hosts) < 2 {
		f.Kind = "orphan"
		w.inOperation(f)
		return
	}
	to := w.hosts[f.Peer]
	if to.name == owners[0] {
		to = w.hosts[(f.Peer+1)%len(w.hosts)]
	}
	w.ask(w.hosts[f.Host], event.Request{Commands: []cluster.Command{{Move: &cluster.Move{Resource: "r1", Node: to.name}}}})
	step := stepBegins + []string{"migrate_to", "migrate_from", "migrate_to"}[w.rng.IntN(3)]
	w.traps = append(w.traps, &trap{step: step, until: w.now + 15*time.Second, do: func(h *Host, _ string) {
		w.count("migration cut")
		victim := []*Host{h, to, w.byName[owners[0]]}[w.rng.IntN(3)]
		w.after(w.between(0, 100*time.Millisecond), func() {
			switch w.rng.IntN(3) {
			case 0:
				w.crash(victim, f.For)
			case 1:
				victim.kill()
				w.startAgain(victim, w.between(20*time.Millisecond, 3*time.Second))
			default:
				f.Host = victim.index
				w.cutAll(f)
			}
		})
	}})
}

// setBack makes an image of a host's disk and puts it back later, over a loss of
// power.
func (w *World) setBack(h *Host, f Fault) {
	image := h.disk.stored
	w.ending(f.For+5*time.Second, func() {
		if !w.maySpoil() || !h.power || image.Identity.RaftID != h.disk.stored.Identity.RaftID {
			return
		}
		w.crash(h, f.For)
		h.restore(&image)
	})
}

// loseDisk takes the power of all, and one of them comes back without what its
// disk had.
func (w *World) loseDisk(h *Host, f Fault) {
	if !w.maySpoil() {
		return
	}
	for _, o := range w.hosts {
		w.crash(o, f.For/2+w.between(0, 5*time.Second))
	}
	h.rot()
}

// crash takes a host's power for a while.
func (w *World) crash(h *Host, d time.Duration) {
	if !h.power {
		return
	}
	if h.leads() {
		w.count("leader crashed")
		for i := range h.daemon.state.Fencings {
			if h.daemon.state.Fencings[i].Open() {
				w.count("leader crashed in mid-fencing")
			}
		}
	}
	if len(h.agents.runs) > 0 {
		w.count("crash with operations in flight")
	}
	if h.joining == h.boots {
		w.count("crash of a joiner")
	}
	h.switchOff()
	boots := h.boots
	w.after(d, func() {
		if h.boots == boots {
			h.switchOn()
		}
	})
}

// lateOrders keeps orders of the leader on their way to a node until another node
// leads, or until the node was lost and is back.
func (w *World) lateOrders(f Fault) {
	leader := w.leader()
	if leader == nil || len(w.hosts) < 2 {
		return
	}
	peer := (leader.index + 1 + f.Peer%(len(w.hosts)-1)) % len(w.hosts)
	f.Link = -1
	hold := func(d time.Duration) {
		w.each(f, []int{leader.index}, []int{peer}, func(p *path) { p.delay += d })
	}
	hold(400 * time.Millisecond)
	w.ending(3*time.Second, func() { hold(-400 * time.Millisecond) })
	w.ask(leader, event.Request{Refresh: &cluster.HistoryForget{}})
	w.after(w.between(30*time.Millisecond, 150*time.Millisecond), func() {
		if f.Rate < 0.5 {
			w.ask(leader, event.Request{Transfer: new(string)})
			return
		}
		cut := f
		cut.For = w.between(time.Second, 2500*time.Millisecond)
		w.cut(cut, []int{leader.index}, []int{peer}, true)
	})
}

// crashCaller crashes the leader as soon as it has a fencing open.
func (w *World) crashCaller(d time.Duration) {
	end := w.now + 10*time.Second
	var look func()
	look = func() {
		for _, o := range w.hosts {
			if o.leads() && o.daemon.state != nil {
				for i := range o.daemon.state.Fencings {
					if o.daemon.state.Fencings[i].Open() {
						w.crash(o, d)
						return
					}
				}
			}
		}
		if w.now < end && !w.healed {
			w.after(10*time.Millisecond, look)
		}
	}
	look()
}

func (w *World) others(host int) []int {
	var list []int
	for i := range w.hosts {
		if i != host {
			list = append(list, i)
		}
	}
	return list
}

// paths calls do for the paths from hosts to hosts on the fault's link.
func (w *World) each(f Fault, from, to []int, do func(p *path)) {
	for l := range w.net.paths {
		if f.Link >= 0 && f.Link != l {
			continue
		}
		for _, i := range from {
			for _, k := range to {
				if i != k {
					do(&w.net.paths[l][i][k])
				}
			}
		}
	}
}

func (w *World) cut(f Fault, from, to []int, both bool) {
	if w.healed {
		return
	}
	change := func(by int) {
		w.each(f, from, to, func(p *path) { p.cut += by })
		if both {
			w.each(f, to, from, func(p *path) { p.cut += by })
		}
	}
	change(1)
	w.ending(f.For, func() { change(-1) })
}

// stuckStream lets streams between two hosts stand still, while heartbeats pass: nothing
// is delivered, or (a packet filter) the kernel gives connections up.
func (w *World) stuckStream(f Fault) {
	filter := f.Kind == "stuck stream" && w.chance(0.5)
	change := func(by int) {
		stop := func(p *path) {
			if filter {
				p.drop += by
			} else {
				p.mute += by
			}
		}
		w.each(f, []int{f.Host}, []int{f.Peer}, stop)
		if f.Text == "both ways" {
			w.each(f, []int{f.Peer}, []int{f.Host}, stop)
		}
	}
	change(1)
	w.ending(f.For, func() { change(-1) })
}

// worsen makes the paths of a host bad without cutting them.
func (w *World) worsen(f Fault) {
	change := func(sign float64) {
		for _, side := range [2][2][]int{{{f.Host}, w.others(f.Host)}, {w.others(f.Host), {f.Host}}} {
			w.each(f, side[0], side[1], func(p *path) {
				switch f.Kind {
				case "loss":
					p.loss += sign * f.Rate
				case "duplicates":
					p.dup += sign * f.Rate
				case "delay":
					p.delay += time.Duration(sign) * (f.For / 10)
				case "reorder":
					p.mix += time.Duration(sign) * (f.For / 20)
				}
			})
		}
	}
	change(1)
	w.ending(f.For, func() { change(-1) })
}

// ending plans the end of a fault, unless all have been ended before.
func (w *World) ending(d time.Duration, do func()) {
	w.after(d, func() {
		if !w.healed {
			do()
		}
	})
}

// carrier tells a host's daemon of its link's carrier.
func (h *Host) carrier(link int, there bool) {
	for l := range h.w.net.paths {
		if link < 0 || link == l {
			h.whenAwake(func() { h.daemonStep(event.LinkChanged{Link: l, Carrier: there}) }, false)
		}
	}
}
