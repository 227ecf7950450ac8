package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// These faults aim: each brings about the condition that one clause of a safety
// rule is there for, which pure chance would hardly meet.

// aim fills in what an aimed fault needs.
func (f *Fault) aim(rng *rand.Rand) {
	switch f.Kind {
	case "voter change":
		f.Text = []string{"crash", "crash other", "isolate", "isolate", "isolate other", "stick", "stick", "kill"}[rng.IntN(8)]
		f.Rate = rng.Float64()
		f.For = time.Duration(8+rng.IntN(20)) * time.Second
	case "survivor":
		f.For = time.Duration(15+rng.IntN(25)) * time.Second
	case "last word":
		f.For = time.Duration(10+rng.IntN(20)) * time.Second
		f.Text = []string{"leader", "leader", "site"}[rng.IntN(3)]
	case "late vote":
		f.For = time.Duration(5+rng.IntN(20)) * time.Second
		f.Text = []string{"crash", "isolate", "isolate"}[rng.IntN(3)]
	case "cut off":
		f.For = time.Duration(8+rng.IntN(12)) * time.Second
		f.Rate = rng.Float64()
		f.Text = []string{"", "stop hangs", "stop hangs"}[rng.IntN(3)]
	case "confirm heard":
		f.For = time.Duration(3+rng.IntN(8)) * time.Second
	case "flap":
		f.For = time.Duration(1200+rng.IntN(1000)) * time.Millisecond
	case "late start":
		f.For = time.Duration(6000+rng.IntN(9000)) * time.Millisecond
	case "late word":
		f.For = time.Duration(15+rng.IntN(20)) * time.Second
	case "mute":
		f.For = time.Duration(8+rng.IntN(12)) * time.Second
	case "left behind":
		f.For = time.Duration(10+rng.IntN(10)) * time.Second
	case "final loss":
		f.For = time.Duration(10+rng.IntN(12)) * time.Second
	case "late request":
		f.For = time.Duration(1000+rng.IntN(2500)) * time.Millisecond
	case "former leader":
		f.For = time.Duration(1500+rng.IntN(4500)) * time.Millisecond
	case "leave cut":
		f.For = time.Duration(8+rng.IntN(15)) * time.Second
		f.Rate = rng.Float64()
	}
}

// aimed lets an aimed fault happen; false if f is none.
func (w *World) aimed(f Fault) bool {
	h := w.hosts[f.Host]
	switch f.Kind {
	case "voter change": // somebody crashes, and somebody has bad luck while the voters change
		w.crash(h, f.For)
		w.trapVoters(f)
	case "survivor": // who goes on alone dies, and all others boot without it
		w.trapSurvivor(f)
	case "last word": // who has acknowledged a write dies, and nobody hears that it is committed
		w.traps = append(w.traps, &trap{step: stepAnswered, until: w.now + 20*time.Second, do: func(h *Host, _ string) {
			if f.Text == "site" { // ... nor does anybody's disk hold more than was synced
				for _, o := range w.hosts {
					w.crash(o, w.between(f.For/2, f.For))
				}
				return
			}
			f.Host = h.index
			w.cutAll(f)
			w.crash(h, f.For)
		}})
	case "late vote": // the device takes long, and the world goes on meanwhile
		for _, d := range w.devices {
			d.slow = max(d.slow, w.now+f.For+5*time.Second)
		}
		if f.Text == "crash" {
			w.crash(h, w.between(0, 3*time.Second))
		} else {
			f.For = w.between(2*time.Second, 6*time.Second)
			w.cutAll(f)
		}
	case "cut off": // right when it stands still, and what it runs does not stop
		if f.Text != "" {
			for range len(h.agents.running()) {
				w.agent = append(w.agent, agentTrouble{host: f.Host, action: "stop", fault: agentHangs, until: w.now + f.For + 20*time.Second})
			}
		}
		if f.Rate < 0.4 {
			for _, d := range w.devices {
				d.fails = max(d.fails, w.now+f.For+5*time.Second)
			}
		}
		if f.Rate < 0.3 {
			w.cutAll(f)
			break
		}
		// Answers to it are under way for a while, and wait until it wakes.
		slow := Fault{Kind: "delay", Host: f.Host, Link: -1, For: w.between(time.Second, 3*time.Second)}
		w.worsen(slow)
		w.after(w.between(0, 600*time.Millisecond), func() {
			if !w.healed {
				h.pause(time.Duration(f.Rate*0.85*float64(w.shape.watchdogTimeout())), f.Rate > 0.8)
			}
		})
		w.after(900*time.Millisecond, func() {
			if !w.healed {
				w.cutAll(f)
			}
		})
	case "confirm heard": // people err: some node still hears the one that they take for dead
		w.confirmHeard(f)
	case "flap": // links that fail again and again do not count for a while, though they carry
		f.Link = -1
		for i := range 4 {
			w.after(time.Duration(i)*f.For*3/2, func() {
				if !w.healed {
					w.cut(f, []int{f.Host}, w.others(f.Host), true)
				}
			})
		}
	case "late start":
		w.lateStart(f)
	case "late word":
		w.lateWord(f)
	case "mute": // a packet filter drops its heartbeats, and lets all else through
		h.filtered++
		w.ending(f.For, func() { h.filtered-- })
	case "former leader":
		w.formerLeader(f)
	case "final loss":
		w.finalLoss(f)
	case "left behind":
		w.leftBehind(f)
	case "late request":
		w.lateRequest(f)
	case "leave cut": // it says that it leaves, and is cut off before it has
		if h.daemon == nil || h.awake > w.now {
			break
		}
		w.administer(Fault{Kind: "stop", Host: f.Host, Peer: f.Peer, For: f.For}, h)
		w.after(time.Duration(f.Rate*float64(300*time.Millisecond)), func() {
			if !w.healed {
				w.cutAll(f)
			}
		})
	default:
		return false
	}
	return true
}

// stick keeps what is on its way now until a while has passed.
func (w *World) stick(d time.Duration) {
	w.net.stuck = w.now + d
	w.after(time.Millisecond, func() { w.net.stuck = 0 })
}

// lateStart cuts a node off right when it is ordered to start something: the order
// is the first that it gets when the links are back, or comes up to two seconds later.
func (w *World) lateStart(f Fault) {
	peer := w.hosts[f.Peer].name
	w.ask(w.hosts[f.Host], event.Request{Commands: []cluster.Command{{Attribute: &cluster.AttributeChange{Node: peer, Name: "standby", Value: "on"}}}})
	w.ending(10*time.Second, func() { w.ask(w.hosts[f.Host], online(peer)) })
	w.traps = append(w.traps, &trap{step: stepOrdered, until: w.now + 15*time.Second, do: func(h *Host, _ string) {
		w.stick(f.For + time.Duration(f.Rate*float64(2*time.Second)) + time.Microsecond)
		f.Host = h.index
		w.cutAll(f)
	}})
}

// formerLeader cuts the leader off with entries that it alone has; when it is back,
// the next leader, which has committed others in their places, has just died.
func (w *World) formerLeader(f Fault) {
	former := w.leader()
	if former == nil || len(w.hosts) < 3 {
		return
	}
	f.Host = former.index
	w.cutAll(f)
	w.ask(former, event.Request{Refresh: &cluster.HistoryForget{}})
	w.ending(f.For-w.between(0, 200*time.Millisecond), func() {
		for _, h := range w.hosts {
			if h != former && h.leads() {
				w.crash(h, f.For)
			}
		}
	})
}

// finalLoss lets a node that runs something be lost for a moment while fencing fails, so
// that it is held for lost though it is heard. Another one loses power for longer, and
// people say so: two vote. When that one is back and the voters change, the lost one is
// cut off.
func (w *World) finalLoss(f Fault) {
	n := len(w.hosts)
	lost := w.hosts[f.Host]
	for i := 0; i < n && len(lost.agents.running()) == 0; i++ {
		lost = w.hosts[(f.Host+i)%n]
	}
	if lost.leads() {
		w.ask(lost, event.Request{Transfer: new(string)})
	}
	until := w.now + f.For + 30*time.Second
	w.ending(2*time.Second, func() {
		leader := w.leader()
		if n < 3 || leader == nil || leader == lost {
			return
		}
		third := w.hosts[(lost.index+1)%n]
		if third == leader {
			third = w.hosts[(lost.index+2)%n]
		}
		for _, d := range w.devices {
			d.fails = max(d.fails, until)
		}
		for range len(lost.agents.running()) {
			w.agent = append(w.agent, agentTrouble{host: lost.index, action: "stop", fault: agentHangs, until: until})
		}
		moment := Fault{Host: lost.index, For: w.between(1200*time.Millisecond, 2*time.Second)}
		w.cutAll(moment)
		w.ending(moment.For, func() { w.crash(third, f.For) })
		w.ending(moment.For+w.between(1500*time.Millisecond, 2500*time.Millisecond), func() {
			if !third.power {
				w.ask(leader, event.Request{Confirm: third.name})
			}
		})
		w.ending(moment.For+f.For, func() {
			w.traps = append(w.traps, &trap{step: stepAnswer, host: lost, until: until, do: func(h *Host, _ string) {
				w.after(w.between(100*time.Microsecond, 800*time.Microsecond), func() { w.cutAll(Fault{Host: h.index, For: f.For}) })
			}})
		})
	})
}

// leftBehind lets one of three voters leave while the leader's disk is slow and clients
// are in a hurry: what they write behind the change of voters is committed with it, by
// the voters of before. The leader's stream to the third voter stands still behind that
// change, and its heartbeats pass: who left tells the third what is committed.
func (w *World) leftBehind(f Fault) {
	leader, n := w.leader(), len(w.hosts)
	if leader == nil || n < 3 {
		return
	}
	leaving, behind := w.hosts[(leader.index+1)%n], w.hosts[(leader.index+2)%n]
	if f.Host%2 == 0 {
		leaving, behind = behind, leaving
	}
	if leaving.daemon == nil || leaving.awake > w.now {
		return
	}
	slow := w.between(50*time.Millisecond, 300*time.Millisecond)
	leader.slow += slow
	w.ending(10*time.Second, func() { leader.slow -= slow })
	for range 3 {
		w.clock.hurry(leader, 8*time.Second)
	}
	w.administer(Fault{Kind: "stop", Host: leaving.index, For: f.For}, leaving)
	w.traps = append(w.traps, &trap{step: stepAppend, host: leader, until: w.now + 10*time.Second, do: func(*Host, string) {
		w.stuckStream(Fault{Host: leader.index, Peer: behind.index, Link: -1, For: f.For})
	}})
}

// lateRequest holds up what a node asks of the leader, until another node has led
// and people have handed leadership back: what was asked has been asked anew by then,
// and its client has gone on.
func (w *World) lateRequest(f Fault) {
	leader := w.leader()
	if leader == nil || len(w.hosts) < 3 {
		return
	}
	f.Host, f.Peer = (leader.index+1+f.Peer%(len(w.hosts)-1))%len(w.hosts), leader.index
	w.stuckStream(f)
	w.clock.hurry(w.hosts[f.Host], f.For+2*time.Second)
	w.ending(w.between(50*time.Millisecond, f.For/4), func() { w.ask(leader, event.Request{Transfer: new(string)}) })
	w.ending(w.between(f.For/2, f.For), func() {
		if next := w.leader(); next != nil {
			w.ask(next, event.Request{Transfer: &leader.name})
		}
	})
}

// lateWord keeps the leader's first word to a node that is to call a fence device
// for it: until that is heard, the target may have been fenced by another call, and
// be back.
func (w *World) lateWord(f Fault) {
	leader := w.leader()
	if leader == nil || len(w.hosts) < 3 {
		return
	}
	for _, d := range w.devices {
		if !d.apart[leader.index] {
			d.away(leader.index, true)
			w.ending(f.For, func() { d.away(leader.index, false) })
		}
	}
	w.crash(w.hosts[(leader.index+1+f.Peer%(len(w.hosts)-1))%len(w.hosts)], f.For)
	w.traps = append(w.traps, &trap{step: stepHelp, until: w.now + 20*time.Second, do: func(h *Host, _ string) {
		for i := range w.hosts {
			if w.hosts[i].leads() && i != h.index {
				w.stick(f.For + time.Duration(f.Rate*float64(6*time.Second)) + time.Microsecond)
				f.Link = w.net.stream(w.hosts[i], h).took
				w.cut(f, []int{i}, []int{h.index}, true)
			}
		}
	}})
}

// confirmHeard cuts a node off from the leader, but not from others, and lets
// people say again and again that it is off.
func (w *World) confirmHeard(f Fault) {
	f.Link = -1
	for _, l := range w.hosts {
		if !l.leads() || l.index == f.Host || len(w.hosts) < 3 {
			continue
		}
		name := w.hosts[f.Host].name
		w.cut(f, []int{f.Host}, []int{l.index}, true)
		end := w.now + f.For
		var ask func()
		ask = func() {
			// Whom nobody hears may be up (its links are cut, it stands still, its daemon
			// is dead): the cluster cannot know, that is for people to find out.
			if w.now >= end || w.healed || !l.leads() {
				return
			}
			for _, o := range w.hosts {
				if o.index != f.Host && o != l && w.hosts[f.Host].beats() && o.beats() && l.awake <= w.now &&
					w.net.hears(o.index, f.Host) && w.net.hears(o.index, l.index) {
					w.count("confirm of a node that is heard")
					w.ask(l, event.Request{Confirm: name})
					break
				}
			}
			w.after(200*time.Millisecond, ask)
		}
		ask()
		return
	}
}

func (w *World) cutAll(f Fault) {
	f.Link = -1
	w.cut(f, []int{f.Host}, w.others(f.Host), true)
}

// cutOff isolates a host that alone reaches the fence device then: nobody shoots
// it first.
func (w *World) cutOff(f Fault) {
	w.cutAll(f)
	for _, d := range w.devices {
		d.apart = map[int]bool{}
		for _, o := range w.others(f.Host) {
			d.apart[o] = true
		}
		w.ending(f.For, func() { d.apart = nil })
	}
}

// trapVoters makes somebody suffer at one step of the next change of voters.
func (w *World) trapVoters(f Fault) {
	t := &trap{after: int(f.Rate * 30), until: w.now + f.For + 30*time.Second}
	switch f.Text {
	case "isolate":
		t.step, t.after = stepAnswer, int(f.Rate*6)
	case "isolate other":
		t.step, t.after = stepApplied, int(f.Rate*6)
	case "stick":
		t.step, t.after = stepWritten, int(f.Rate*4)
		w.trapSurvivor(f)
	}
	t.do = func(h *Host, step string) {
		w.note("--- %s at step %q of %s", f.Text, step, h.name)
		other := f
		other.Host = (h.index + 1 + f.Peer%max(len(w.hosts)-1, 1)) % len(w.hosts)
		f.Host = h.index
		switch f.Text {
		case "crash":
			w.crash(h, f.For)
		case "crash other":
			w.crash(w.hosts[other.Host], f.For)
		case "isolate": // when its answer has arrived, and the next word to it has not
			w.after(w.between(100*time.Microsecond, 800*time.Microsecond), func() { w.cutOff(f) })
		case "isolate other": // before it hears that the change is committed
			w.cutOff(other)
		case "stick":
			stuck := w.between(300*time.Millisecond, time.Second)
			h.slow += stuck
			w.after(stuck/2, func() { w.crash(h, f.For/2) })
			w.ending(stuck, func() { h.slow -= stuck })
		case "kill":
			f.Kind, f.For = "kill", w.between(20*time.Millisecond, 3*time.Second)
			w.begin(f)
		default:
			panic(fmt.Sprintf("voter change: %q", f.Text))
		}
	}
	w.traps = append(w.traps, t)
}

// trapSurvivor lets who goes on alone die soon, and gives all others power.
func (w *World) trapSurvivor(f Fault) {
	w.traps = append(w.traps, &trap{step: stepAlone, until: w.now + f.For + 30*time.Second, do: func(h *Host, _ string) {
		w.after(w.between(0, 3*time.Second), func() {
			if w.healed {
				return
			}
			w.note("--- the survivor %s dies, the others boot", h.name)
			w.crash(h, f.For)
			for _, o := range w.hosts {
				if o != h {
					o.switchOn()
				}
			}
		})
	}})
}
