package sim

import (
	"fmt"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

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
		r := w.shape.config().Resources
		i := w.rng.IntN(len(r))
		if w.shape.Migrate && w.chance(0.5) {
			i = slices.IndexFunc(r, func(r cluster.Resource) bool { return r.ID == "r1" })
		}
		ask(event.Request{Commands: []cluster.Command{{Move: &cluster.Move{Resource: r[i].ID, Node: peer}}}})
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
		c := w.shape.config()
		c.Options = append(c.Options, cluster.AttrSet{ID: fmt.Sprint("extra-", w.now), Pairs: []cluster.NVPair{{Name: "cluster-recheck-interval", Value: fmt.Sprint(w.now.Seconds())}}})
		ask(event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: c}}}})
	case "upgrade":
		w.upgrade(0, !h.next)
	case "stop", "restart":
		if h.daemon == nil || h.awake > w.now {
			return
		}
		restart := f.Kind == "restart"
		h.stopped = h.stopped || !restart
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
func (w *World) ask(h *Host, r event.Request, answered ...func(event.Reply)) {
	r.By = "admin"
	list := append([]*Host{h}, w.hosts...)
	for _, o := range list {
		if o.request(r, func(reply event.Reply) {
			if reply.Err != nil {
				w.count("wish refused: " + reply.Err.Kind)
			}
			for _, f := range answered {
				f(reply)
			}
		}) {
			return
		}
	}
}

// patience is how long people look on while no node has quorum.
const patience = 20 * time.Second

// lookAfter is what people do now and then about a cluster that cannot help itself.
func (w *World) lookAfter() {
	quorate := slices.ContainsFunc(w.hosts, func(h *Host) bool { return h.daemon != nil && h.daemon.local != nil && h.daemon.local.Quorate })
	switch {
	case quorate:
		w.leaderless = 0
	case w.leaderless == 0:
		w.leaderless = w.now
	case w.now-w.leaderless > patience:
		w.forceQuorum()
	}
	if w.healed {
		w.joinAgain()
		if w.shape.Lying {
			w.undoLies()
		}
	}
	w.after(2*time.Second, w.lookAfter)
}

// forceQuorum lets people force quorum where that is truly safe: on a host that
// has everything that any node has ever shown, while every other one either is up,
// or has lost its disk's content for good. Those are switched off first.
func (w *World) forceQuorum() {
	if w.spoilt == nil || w.spoilt.disk.stored.Identity.RaftID != 0 && w.spoilt.disk.stored.Torn == "" {
		return // nobody has lost anything: they will find each other
	}
	var able []*Host
	for _, h := range w.hosts {
		switch {
		case h == w.spoilt:
		case h.daemon == nil || h.daemon.local == nil || h.awake > w.now || w.now-h.daemon.began < 5*time.Second:
			return // people switch on what they can, first
		case w.truth.HasBranch(h.lineage()): // it will follow who went on without it
		case len(able) > 0 && h.lineage() != able[0].lineage():
			return
		case h.lastIndex() >= w.truth.Reached(h.lineage()):
			able = append(able, h)
		}
	}
	if len(able) == 0 {
		return
	}
	w.leaderless = w.now - patience/2 // if it is of no use, people try another one
	w.forces++
	best := able[w.forces%len(able)]
	if !w.hearsAll(best) {
		return
	}
	w.note("people switch %s off and force quorum on %s", w.spoilt.name, best.name)
	w.crash(w.spoilt, 10*time.Second)
	w.after(2*time.Second, func() {
		if !w.hearsAll(best) {
			return
		}
		best.met[w.spoilt.name] = true
		best.request(event.Request{ForceQuorum: true, By: "admin"}, func(r event.Reply) {
			if r.Err == nil {
				w.count("quorum forced by people")
				w.forced = w.now
				return
			}
			w.note("%s refuses: %v", best.name, r.Err)
			w.count("wish refused: " + r.Err.Kind)
		})
	})
}

// hearsAll tells whether a host hears every other one but the spoilt one, as its
// status and a look at the cables show: else it would take for off who is not.
func (w *World) hearsAll(h *Host) bool {
	if h.daemon == nil || h.daemon.local == nil {
		return false
	}
	heard := map[string]bool{}
	for _, p := range h.daemon.local.Peers {
		// One that follows an older lineage does not count as reachable, but its links do.
		heard[p.Node] = p.Reachable || slices.ContainsFunc(p.Links, func(l event.LinkView) bool { return l.Up })
	}
	for _, o := range w.hosts {
		if o != h && o != w.spoilt && (!heard[o.name] || o.awake > w.now || !w.net.hears(h.index, o.index)) {
			return false
		}
	}
	return true
}

// joinAgain is what people do about a host that was removed while it was off, and is
// back: they clear its disk and let it join.
func (w *World) joinAgain() {
	leader := w.leader()
	if leader == nil || leader.daemon.state == nil {
		return
	}
	for _, h := range w.hosts {
		if h.power && h.disk.stored.Identity.RaftID != 0 && leader.daemon.state.Member(h.name) == nil && w.truth.Descends(leader.lineage(), h.lineage()) {
			w.note("people let %s join again", h.name)
			w.count("removed node joined again")
			h.disk.wipe()
			h.counter = 0
			w.crash(h, 3*time.Second)
		}
	}
}

// undoLies is what people do after a fence device has lied, when the alarm tells
// them: who is held for off is switched off indeed, and of two histories one is
// given up.
func (w *World) undoLies() {
	leader := w.leader()
	if leader == nil || leader.daemon.state == nil {
		return
	}
	for _, h := range w.hosts {
		m := leader.daemon.state.Member(h.name)
		if h == leader || h.daemon == nil || m == nil {
			continue
		}
		other := h.lineage() != "" && !w.truth.Descends(leader.lineage(), h.lineage())
		if other {
			w.note("people give up what %s has on its disk", h.name)
			h.disk.wipe()
			h.counter = 0
		}
		if other || m.State == cluster.NodeFenced && m.Incarnation == h.daemon.self {
			w.crash(h, 5*time.Second)
		}
	}
}

// lastIndex is the end of the log on a host's disk.
func (h *Host) lastIndex() uint64 {
	s := &h.disk.stored
	if n := len(s.Entries); n > 0 {
		return s.Entries[n-1].GetIndex()
	}
	return s.Snapshot.GetMetadata().GetIndex()
}
