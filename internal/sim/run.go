package sim

import (
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core"
	"linuxha/internal/core/event"
	"linuxha/internal/sim/truth"
)

// Result is what a run showed.
type Result struct {
	Shape     Shape          `json:"shape"`
	Faults    []Fault        `json:"faults,omitempty"`
	Breaches  []truth.Breach `json:"breaches,omitempty"`
	Stats     map[string]int `json:"stats"`
	Events    int            `json:"events"`
	Simulated time.Duration  `json:"simulated"`
	Recovery  time.Duration  `json:"recovery"` // from the last fault's end to all well
	Bound     time.Duration  `json:"bound"`    // what that should not exceed
}

// Failed tells whether a rule was broken.
func (r *Result) Failed() bool { return len(r.Breaches) > 0 }

// Options tune a run.
type Options struct {
	Length  time.Duration // of the hostile part
	Trace   io.Writer
	Readies func([]byte) // gets every Ready of every core, encoded
}

// Run makes the run of a seed.
func Run(seed uint64, o Options) *Result {
	s := shapeOf(seed)
	return RunFaults(s, planFaults(s, o.Length), o)
}

// RunFaults makes the run of a world with the faults given.
func RunFaults(s Shape, faults []Fault, o Options) (r *Result) {
	w := newWorld(s, o.Trace)
	w.readies = o.Readies
	r = &Result{Shape: s, Faults: faults, Stats: w.stats, Bound: s.bound()}
	defer func() {
		if fault := recover(); fault != nil {
			r.Breaches = append(w.truth.Breaches, truth.Breach{At: w.now, Rule: "panic", Text: fmt.Sprint(fault), Stack: string(debug.Stack())})
			r.Events, r.Simulated = w.events, w.now
		}
	}()
	if w.form() {
		w.trouble(faults, o.Length)
		r.Recovery = w.recover()
	}
	r.Breaches, r.Events, r.Simulated = w.truth.Breaches, w.events, w.now
	return r
}

// form makes the cluster: the first host begins it, the others join.
func (w *World) form() bool {
	first := w.hosts[0]
	w.nextRaft++
	w.owners[w.nextRaft] = first
	id := event.Identity{Node: first.name, RaftID: w.nextRaft, Lineage: w.lineage, Machine: first.name}
	p, err := core.Bootstrap(id, &cluster.Entry{Time: epoch, Commands: []cluster.Command{{Init: &cluster.Init{
		Lineage: w.lineage, Config: w.shape.config(), First: cluster.Member{Name: first.name, RaftID: id.RaftID, Links: []string{"l"}},
	}}}})
	if err != nil {
		panic(err)
	}
	first.disk.apply(p)
	for _, h := range w.hosts {
		h.switchOn()
	}
	if !w.until(2*time.Minute, 50*time.Millisecond, func() bool { return w.well() == "" }) {
		w.stuck("the cluster never formed")
		return false
	}
	w.note("=== formed")
	for _, what := range w.shape.kinds() {
		w.count("world " + what)
	}
	for i := range first.daemon.state.Members {
		if m := &first.daemon.state.Members[i]; !m.Voter && !first.daemon.state.IsWitness(m) {
			w.count("satellite")
		}
	}
	return true
}

func (w *World) stuck(what string) {
	if len(w.truth.Breaches) == 0 {
		w.truth.Stuck(w.now, "%s: %s", what, w.well())
	}
}

// trouble lets the faults happen.
func (w *World) trouble(faults []Fault, length time.Duration) {
	began := w.now
	startClients(w, 2, 4*time.Second)
	w.lookAfter()
	for _, f := range faults {
		w.after(f.At, func() { w.begin(f) })
	}
	w.run(began + length)
}

// recoveryLimit is how long a cluster may take until all is well once the faults
// are over and its hosts are switched on.
const recoveryLimit = 90 * time.Second

// tidyEvery is how often people clean up what failed while a cluster recovers.
const tidyEvery = 10 * time.Second

// bound is how long recovery may take from when all hosts are up and nothing of
// the faults is left: ten dead times, or twice what fencing takes at most. Where
// watchdogs do that, it takes a lease, their time-out and the margin.
func (s *Shape) bound() time.Duration {
	d := cluster.Detection{Preset: s.Preset}
	bound := max(10*d.Resolve().DeadTime, 2*slowStart) // what agents take is not the cluster's time
	if s.Fencing {
		bound = max(bound, 3*s.FenceTime)
	}
	if s.Port || s.Storage { // all nodes are unfenced first, one after the other
		bound = max(bound, time.Duration(s.Nodes)*3*s.FenceTime)
	}
	if s.Supplies { // off, off, on, on
		bound = max(bound, 6*s.FenceTime)
	}
	if s.Supplies || s.Storage { // a new leader waits for as long as a call of the former one can last
		bound += fencingTimeout
	}
	if s.Watchdog {
		span := d.StallTime() + s.watchdogTimeout()
		bound = max(bound, 2*(span+span/50+time.Second))
	}
	return bound
}

// recover ends all faults and waits until all is well.
func (w *World) recover() time.Duration {
	if len(w.truth.Breaches) > 0 {
		return 0
	}
	w.note("=== faults are over")
	w.healed = true
	w.agent = nil
	w.clock.stop = true
	w.devicesWell()
	for l := range w.net.paths {
		for i := range w.net.paths[l] {
			clear(w.net.paths[l][i])
		}
	}
	for _, h := range w.hosts {
		if h.stopped {
			h.kill() // if it still stops, people lose patience
		}
		h.unplugged = false
		h.filtered, h.slow, h.lag, h.disk.last, h.disk.fail, h.disk.tear, h.stopped = 0, 0, 0, 0, 0, false, false
		for l := range w.net.paths {
			h.carrier(l, true)
		}
		if h.power && h.daemon == nil {
			h.start()
		}
		if h.supplies == [2]bool{} {
			h.repower()
		}
		h.switchOn()
	}
	healed := w.now
	w.until(2*time.Minute, 100*time.Millisecond, func() bool { return w.quiet(healed) })
	w.note("=== nothing of them is left")
	began, tidy, early := w.now, -tidyEvery, false
	ok := w.until(recoveryLimit, 100*time.Millisecond, func() bool {
		// People look after what failed, and once more when nodes have reported what failed there.
		if l := w.leader(); l != nil && (w.now-tidy > tidyEvery || early && !l.seesJoining()) {
			tidy, early = w.now, l.seesJoining()
			w.ask(l, event.Request{Refresh: &cluster.HistoryForget{}}, func(reply event.Reply) {
				if reply.Err != nil {
					tidy = w.now - tidyEvery // they try again
				}
			})
			for _, h := range w.hosts {
				w.ask(w.leader(), online(h.name))
			}
		}
		began = max(began, w.started, w.forced) // before, it was for a host to boot, or for people to act
		if w.spares() || w.holdsLinks(healed) {
			began = w.now
		}
		return w.well() == ""
	})
	if !ok {
		w.stuck("not well after the faults were over")
	} else if w.now-began > w.shape.bound() {
		w.truth.Stuck(w.now, "well only %v after the faults were over and all were up, %v are allowed", w.now-began, w.shape.bound())
	}
	recovery := w.now - began
	if ok {
		w.run(w.now + 2*time.Second)
	}
	for _, h := range w.hosts {
		if h.daemon != nil && h.daemon.state != nil {
			w.clock.checkAll(h, h.daemon.state)
		}
	}
	return recovery
}

// seesJoining tells whether a member has yet to report, as h's state says.
func (h *Host) seesJoining() bool {
	s := h.daemon.state
	return s == nil || slices.ContainsFunc(s.Members, func(m cluster.Member) bool { return m.State == cluster.NodeJoining })
}

// quiet tells whether nothing is left of the faults that ended at a moment: all
// hosts have power and are awake, their daemons run or ask to be admitted, no
// operation, no sync and no call of a fence device from before is under way, as far as
// the cluster can know, and every link that had failed again and again counts once more.
func (w *World) quiet(since time.Duration) bool {
	held := w.now-since <= 10*w.net.dead
	if w.now-since <= fencingTimeout+2*fenceSlack && w.awaitsFormerCall() {
		return false
	}
	for _, h := range w.hosts {
		if held && !h.linked() {
			return false
		}
		if !h.power || h.awake > w.now || h.daemon == nil && h.disk.stored.Identity.RaftID != 0 {
			return false
		}
		for _, r := range h.agents.runs {
			if r.began <= since {
				return false
			}
		}
		if len(h.disk.writes) > 0 && h.disk.writes[0].since <= since {
			return false
		}
		if h.power && w.now < h.owed {
			return false
		}
		for _, began := range h.calls {
			if began <= since {
				return false
			}
		}
	}
	return true
}

// awaitsFormerCall tells whether people have said that a lost life is over while a fence
// device was being called for it, and its successor waits: a leader that was not the
// one then admits it only when a call of the former one can last no longer.
func (w *World) awaitsFormerCall() bool {
	return slices.ContainsFunc(w.hosts, func(h *Host) bool {
		if h.daemon == nil || h.daemon.state == nil {
			return false
		}
		s := h.daemon.state
		return slices.ContainsFunc(s.Fencings, func(f cluster.Fencing) bool {
			m := s.Member(f.Target.Node)
			return f.Result == "confirmed" && f.Action != "on" && f.Caller != "" && m != nil && m.State == cluster.NodeFenced && m.Incarnation.Boot == f.Target.Boot
		})
	})
}

// spares tells whether a sole voter that has booted gives a former voter time to boot
// before it has that one fenced (rule 7): who has dropped its state, and waits for somebody
// to admit it, cannot be heard.
func (w *World) spares() bool {
	grace := max(10*time.Second, 10*w.net.dead)
	return slices.ContainsFunc(w.hosts, func(h *Host) bool {
		if h.daemon == nil || h.daemon.state == nil || h.boots == 1 || h.led || w.now-h.daemon.began > grace {
			return false
		}
		waits := false
		for i := range h.daemon.state.Members {
			m := &h.daemon.state.Members[i]
			if m.Voter != (m.Name == h.name) {
				return false
			}
			waits = waits || m.Voted && w.byName[m.Name].disk.stored.Identity.RaftID == 0
		}
		return waits
	})
}

// holdsLinks tells whether a link failed again and again until faults ended at a moment,
// for the last time when nothing that was delayed came any more, and does not count yet.
func (w *World) holdsLinks(since time.Duration) bool {
	return w.now-since <= 11*w.net.dead && slices.ContainsFunc(w.hosts, func(h *Host) bool { return !h.linked() })
}

// linked tells whether every link to a peer whose daemon runs counts for h's daemon.
func (h *Host) linked() bool {
	if h.daemon == nil || h.daemon.local == nil {
		return true
	}
	for _, p := range h.daemon.local.Peers {
		if o := h.w.byName[p.Node]; o == nil || o.daemon == nil || p.Counter == 0 {
			continue
		}
		if slices.ContainsFunc(p.Links, func(l event.LinkView) bool { return !l.Up }) {
			return false
		}
	}
	return true
}

// well returns what is not as it should be, or "".
func (w *World) well() string {
	leaders := 0
	for _, h := range w.hosts {
		switch {
		case h.daemon == nil || h.daemon.state == nil || h.daemon.local == nil:
			return h.name + " is not up"
		case len(h.daemon.state.Members) != len(w.hosts):
			return fmt.Sprintf("%s knows %d members", h.name, len(h.daemon.state.Members))
		}
		for i := range h.daemon.state.Members {
			m := &h.daemon.state.Members[i]
			if m.State != cluster.NodeOnline || m.Incarnation != w.byName[m.Name].daemonSelf() {
				return fmt.Sprintf("%s has %s as %s (%s)", h.name, m.Name, m.State, m.Reason)
			}
		}
		if h.leads() {
			leaders++
		}
	}
	if leaders != 1 {
		return fmt.Sprintf("%d leaders", leaders)
	}
	return w.serves()
}

// serves returns which service is not where it should be, or "".
func (w *World) serves() string {
	nodes := len(w.hosts)
	if w.shape.Witness {
		nodes--
	}
	for _, service := range w.shape.services() {
		active, promoted := w.truth.Active(service.Name), 0
		for _, a := range active {
			if a.Promoted {
				promoted++
			}
		}
		switch {
		case service.Anywhere && len(active) != nodes, !service.Anywhere && len(active) != 1:
			return fmt.Sprintf("%s runs on %v", service.Name, w.truth.Owners(service.Name))
		case promoted != service.Promoted:
			return fmt.Sprintf("%d of %s are promoted", promoted, service.Name)
		}
	}
	return ""
}

func (h *Host) daemonSelf() cluster.Incarnation {
	if h.daemon == nil {
		return cluster.Incarnation{}
	}
	return h.daemon.self
}
