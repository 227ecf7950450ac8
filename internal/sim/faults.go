package sim

import (
	"fmt"
	"math/rand/v2"
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

// fault kinds with their weights in the mix.
var mix = []struct {
	kind   string
	weight int
}{
	{"crash", 12}, {"crash leader", 6}, {"kill", 8}, {"pause", 6}, {"suspend", 3},
	{"cut", 6}, {"cut one way", 6}, {"isolate", 5}, {"isolate one way", 4}, {"link down", 4}, {"carrier", 3},
	{"loss", 4}, {"delay", 3}, {"duplicates", 2},
	{"slow disk", 3}, {"stuck disk", 3}, {"full disk", 1}, {"torn write", 3}, {"wall clock", 2}, {"slow loop", 2},
	{"service dies", 8}, {"agent", 8}, {"fence fails", 5}, {"fence slow", 4},
	{"standby", 5}, {"move", 6}, {"transfer", 4}, {"fence", 2}, {"refresh", 2}, {"stop", 4}, {"restart", 5}, {"config", 4},
	{"site", 3}, {"split", 4}, {"crash in fencing", 4}, {"remove", 2}, {"confirm", 3}, {"late orders", 4},
	{"voter change", 12}, {"survivor", 4}, {"late vote", 5}, {"cut off", 6}, {"flap", 4}, {"confirm heard", 3},
}

// planFaults draws the faults of a run.
func planFaults(s Shape, length time.Duration, rng *rand.Rand) []Fault {
	var faults []Fault
	total := 0
	for _, m := range mix {
		total += m.weight
	}
	gap := time.Duration(4+rng.IntN(30)) * time.Second
	exponential := func(mean time.Duration) time.Duration { return time.Duration(rng.ExpFloat64() * float64(mean)) }
	for at := exponential(gap); at < length; at += exponential(gap) {
		pick := rng.IntN(total)
		f := Fault{At: at, Host: rng.IntN(s.Nodes), Link: rng.IntN(s.Links)}
		for _, m := range mix {
			if pick -= m.weight; pick < 0 {
				f.Kind = m.kind
				break
			}
		}
		f.Peer = (f.Host + 1 + rng.IntN(max(s.Nodes-1, 1))) % s.Nodes
		if rng.IntN(3) == 0 {
			f.Link = -1
		}
		f.For = 50*time.Millisecond + exponential(4*time.Second)
		switch f.Kind {
		case "crash", "crash leader", "crash in fencing", "site", "stop":
			f.For += time.Duration(rng.IntN(30)) * time.Second
		case "kill":
			f.For = 20*time.Millisecond + exponential(1500*time.Millisecond)
		case "late orders":
			f.Rate = rng.Float64()
		case "loss", "duplicates":
			f.Rate = 0.02 + 0.6*rng.Float64()*rng.Float64()
		case "pause", "suspend":
			f.For = exponential(2 * time.Second)
		case "agent":
			f.Text = []string{"start", "stop", "monitor"}[rng.IntN(3)] + []string{" fails", " slow", " hangs"}[rng.IntN(3)]
		case "fence fails", "fence slow":
			f.For += time.Duration(rng.IntN(20)) * time.Second
		default:
			f.aim(rng)
		}
		faults = append(faults, f)
		// Troubles like company.
		if rng.IntN(4) == 0 {
			at += time.Duration(rng.IntN(1500)) * time.Millisecond
			at -= exponential(gap)
			at = max(at, f.At)
		}
	}
	return faults
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
		for _, o := range w.hosts {
			if o.leads() {
				h = o
			}
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
		boot := h.boots
		end(func() {
			if h.power && h.boots == boot && !h.stopped {
				h.start()
			}
		})
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
	case "carrier":
		w.cut(f, []int{f.Host}, w.others(f.Host), true)
		h.carrier(f.Link, false)
		end(func() { h.carrier(f.Link, true) })
	case "loss", "delay", "duplicates":
		w.worsen(f)
	case "slow disk":
		h.slow += f.For / 20
		end(func() { h.slow -= f.For / 20 })
	case "stuck disk":
		h.slow += f.For
		end(func() { h.slow -= f.For })
	case "full disk":
		h.disk.fail = true
		end(func() { h.disk.fail = false })
	case "torn write":
		h.disk.tear = true
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
		w.device.fails = max(w.device.fails, w.now+f.For)
	case "fence slow":
		w.device.slow = max(w.device.slow, w.now+f.For)
	default:
		if !w.aimed(f) {
			w.administer(f, h)
		}
	}
}

// administer is what people do.
func (w *World) administer(f Fault, h *Host) {
	end := func(do func()) { w.ending(f.For, do) }
	ask := func(r event.Request) { w.ask(h, r) }
	peer := w.hosts[f.Peer].name
	switch f.Kind {
	case "standby":
		ask(event.Request{Commands: []cluster.Command{{Attribute: &cluster.AttributeChange{Node: peer, Name: "standby", Value: "on"}}}})
		end(func() { w.ask(h, online(peer)) })
	case "move":
		r := w.config().Resources
		ask(event.Request{Commands: []cluster.Command{{Move: &cluster.Move{Resource: r[w.rng.IntN(len(r))].ID, Node: peer}}}})
	case "transfer":
		ask(event.Request{Transfer: &peer})
	case "fence":
		if w.shape.Port {
			return // nobody takes that for off
		}
		ask(event.Request{Fence: &event.FenceRequest{Node: peer, Action: "reboot", Reason: "an administrator wants it"}})
	case "remove": // of a node that is lost: it must be refused
		w.whenLost(f, func(m *cluster.Member) {
			w.ask(h, event.Request{Commands: []cluster.Command{{Remove: &cluster.Remove{Node: m.Name, RaftID: m.RaftID}}}})
		})
	case "confirm": // by people who have looked whether the power is off
		w.whenLost(f, func(m *cluster.Member) {
			if w.byName[m.Name].power && w.byName[m.Name].bootID() == m.Incarnation.Boot {
				return
			}
			w.ask(h, event.Request{Confirm: m.Name})
		})
	case "refresh":
		ask(event.Request{Refresh: &cluster.HistoryForget{}})
	case "config":
		c := w.config()
		c.Options = append(c.Options, cluster.AttrSet{ID: fmt.Sprint("extra-", w.now), Pairs: []cluster.NVPair{{Name: "cluster-recheck-interval", Value: fmt.Sprint(w.now.Seconds())}}})
		ask(event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: c}}}})
	case "stop", "restart":
		if h.daemon == nil || h.awake > w.now {
			return
		}
		restart := f.Kind == "restart"
		h.stopped = !restart
		h.daemonStep(event.Stopping{Restart: restart})
		if !restart {
			boot := h.boots
			w.ending(20*time.Second+f.For, func() {
				h.stopped = false
				if h.power && h.boots == boot {
					h.kill() // if it still stops, people lose patience
				}
				if h.power {
					h.start()
				}
			})
		}
	}
}

// whenLost does something once a node is lost, if that happens soon.
func (w *World) whenLost(f Fault, do func(*cluster.Member)) {
	end := w.now + 20*time.Second + f.For
	var look func()
	look = func() {
		for _, h := range w.hosts {
			if !h.leads() || h.daemon.state == nil {
				continue
			}
			for i := range h.daemon.state.Members {
				if m := &h.daemon.state.Members[i]; m.State == cluster.NodeLost {
					do(m)
					return
				}
			}
		}
		if w.now < end && !w.healed {
			w.after(20*time.Millisecond, look)
		}
	}
	look()
}

func online(node string) event.Request {
	return event.Request{Commands: []cluster.Command{{Attribute: &cluster.AttributeChange{Node: node, Name: "standby", Delete: true}}}}
}

// ask hands a wish to a host, or to any other that is up.
func (w *World) ask(h *Host, r event.Request) {
	r.By = "admin"
	list := append([]*Host{h}, w.hosts...)
	for _, o := range list {
		if o.request(r, func(reply event.Reply) {
			if reply.Err != nil {
				w.count("wish refused: " + reply.Err.Kind)
			}
		}) {
			return
		}
	}
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
	var leader *Host
	for _, h := range w.hosts {
		if h.leads() {
			leader = h
		}
	}
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
	change := func(by int) {
		w.each(f, from, to, func(p *path) { p.cut += by })
		if both {
			w.each(f, to, from, func(p *path) { p.cut += by })
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
