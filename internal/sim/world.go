// Package sim is a simulated world around many real cores in one process:
// clocks, network, disks, power, fence devices, agents and administrators. One
// seed makes a whole run, and the same seed makes the same run again.
package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/sim/truth"
)

// epoch is the wall clock at the begin of every world.
var epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// World is one simulated world.
type World struct {
	shape   Shape
	rng     *rand.Rand
	now     time.Duration
	queue   queue
	order   uint64
	hosts   []*Host
	byName  map[string]*Host
	net     network
	truth   *truth.Truth
	clock   *clients
	devices []*fenceDevice
	agent   []agentTrouble
	seen    fences
	stats   map[string]int
	traps   []*trap
	change  uint64           // index of the newest change of voters
	votes   uint64           // ... and of the newest that the truth was shown
	voters  int              // how many vote by that one; 0: none was shown
	fencing uint64           // number of the newest fencing that anyone has shown
	owners  map[uint64]*Host // who was given which Raft id
	events  int              // happenings so far

	lineage    cluster.Lineage
	nextRaft   uint64
	healed     bool            // the faults are over
	spoilt     *Host           // its disk's content was lost, and it has not been well since
	format     int             // of entries and states, as far as anyone has shown
	lost       map[string]loss // members that the newest state has for lost: since when that is known
	started    time.Duration   // when a daemon last was
	forced     time.Duration   // when people last did
	forces     int             // how often people tried to force quorum
	leaderless time.Duration   // since when no node has quorum; 0: one has

	trace   io.Writer    // nil: none
	told    uint64       // number of the first event not traced
	readies func([]byte) // gets every Ready, encoded; nil: none
}

// loss is when the newest state first had an incarnation for lost.
type loss struct {
	who   cluster.Incarnation
	since time.Duration
}

func newWorld(s Shape, trace io.Writer) *World {
	w := &World{
		shape: s, rng: rand.New(rand.NewPCG(s.Seed, 0x9e3779b97f4a7c15)), byName: map[string]*Host{}, truth: truth.New(), stats: map[string]int{},
		nextRaft: 100, lost: map[string]loss{}, trace: trace, lineage: cluster.Lineage{ID: fmt.Sprintf("%032x", s.Seed|1<<60)},
	}
	w.seen, w.owners = fences{}, map[uint64]*Host{}
	w.devicesWell()
	for i := range s.Nodes {
		h := newHost(w, i, hostName(i))
		w.hosts = append(w.hosts, h)
		w.byName[h.name] = h
	}
	for _, service := range s.services() {
		w.truth.Declare(service)
	}
	if s.Witness {
		w.truth.Witness(hostName(s.Nodes - 1))
	}
	if s.Lying {
		w.truth.Excused = []string{"owner", "grant", "confirm", "acked", "fork", "removed", "watchdog", "sole", "shot"}
	}
	w.net.init(w)
	return w
}

// after plans something of the world itself.
func (w *World) after(d time.Duration, do func()) {
	w.order++
	w.queue.push(happening{at: w.now + max(d, 0), order: w.order, do: do})
}

// next lets the next thing happen; false if nothing ever will again.
func (w *World) next() bool {
	if len(w.queue.list) == 0 {
		return false
	}
	h := w.queue.pop()
	w.now = max(w.now, h.at)
	w.events++
	h.do()
	return true
}

// run lets time pass until end, or until a rule was broken.
func (w *World) run(end time.Duration) {
	for len(w.truth.Breaches) == 0 && len(w.queue.list) > 0 && w.queue.list[0].at <= end {
		w.next()
	}
	if len(w.truth.Breaches) == 0 {
		w.now = max(w.now, end)
	}
}

// until lets time pass until ok holds, which is looked at every step; false if
// that took longer than limit.
func (w *World) until(limit time.Duration, step time.Duration, ok func() bool) bool {
	end := w.now + limit
	for !ok() {
		if w.now >= end || len(w.truth.Breaches) > 0 {
			return false
		}
		w.run(w.now + step)
	}
	return true
}

// between returns a duration in [low, high).
func (w *World) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(w.rng.Int64N(int64(high-low)))
}

// chance is true with probability p.
func (w *World) chance(p float64) bool { return p > 0 && w.rng.Float64() < p }

func (w *World) count(what string) { w.stats[what]++ }

func (w *World) note(format string, args ...any) {
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%10.4f %s\n", w.now.Seconds(), fmt.Sprintf(format, args...))
	}
}

// show gives a node's applied state to the truth.
func (w *World) show(h *Host, s *cluster.State) {
	lineage := h.disk.stored.Identity.Lineage
	for _, l := range append([]cluster.Lineage{lineage}, s.Former...) {
		w.truth.Branch(w.now, h.name, l.ID, l.Parent, l.Branch)
	}
	w.truth.Applied(w.now, h.name, lineage.ID, s.Index, fingerprint(s))
	if f := s.FormatInUse(); f > h.knows() {
		w.truth.Shut(w.now, h.name, h.name, f)
	}
	for i := range s.Members {
		if m := &s.Members[i]; m.State == cluster.NodeFenced || m.State == cluster.NodeOffline {
			if !w.seen.once(m) {
				continue
			}
			if m.State == cluster.NodeFenced && m.Cut {
				continue // from the network only
			}
			off := slices.ContainsFunc(s.Fencings, func(f cluster.Fencing) bool {
				return f.Target.Node == m.Name && f.Target.Boot == m.Incarnation.Boot && f.Action != "on" && !f.Cut && (f.Result == "ok" || f.Result == "confirmed")
			})
			if m.State == cluster.NodeFenced && (off || !w.shape.Watchdog) { // else by its watchdog's time
				w.truth.Confirmed(w.now, h.name, m.Name, m.Incarnation.Boot)
			} else if m.Incarnation.Boot != "" && w.truth.Newer(lineage.ID, s.Index) { // it may be back since, in the same boot
				w.truth.Left(w.now, h.name, m.Name, m.Incarnation.Boot)
			}
		}
	}
	if w.clock != nil {
		w.clock.check(h, s)
	}
	w.sole(h, s)
	if !w.truth.Newer(lineage.ID, s.Index) {
		return
	}
	w.radius(h, s)
	a := truth.Agreed{Lineage: lineage.ID, Index: s.Index, Holders: map[string][]truth.Holder{}, Master: map[string][]truth.Holder{}, Lives: map[string]string{}}
	for i := range s.Members {
		if m := &s.Members[i]; !m.Off() && m.State != cluster.NodeLost {
			a.Lives[m.Name] = m.Incarnation.Boot
		}
	}
	for i := range s.Grants {
		g := &s.Grants[i]
		if len(a.Holders[g.Resource]) > 0 && s.Config.Exclusive(g.Instance) {
			a.Twice = append(a.Twice, g.Resource)
		}
		for _, holder := range g.Holders {
			x := truth.Holder{Host: holder.Node, Boot: holder.Boot}
			a.Holders[g.Resource] = append(a.Holders[g.Resource], x)
			if g.Role == "Promoted" {
				a.Master[g.Resource] = append(a.Master[g.Resource], x)
			}
		}
	}
	w.truth.Agree(w.now, a)
	w.followLost(s)
	w.followFormat(s)
	if w.trace == nil {
		return
	}
	for i := range s.Events {
		if e := &s.Events[i]; e.Number >= w.told {
			w.told = e.Number + 1
			w.note("  [%d] %s", s.Index, e.Text)
		}
	}
}

// radius shows the truth how many are fenced at once when the newest state begins
// one more fencing that no administrator asked for. Whom an administrator wants fenced
// does not count: if that fails it is tried again, and that is still their wish.
func (w *World) radius(h *Host, s *cluster.State) {
	var hosts []string
	begun := false
	for i := range s.Members {
		m := &s.Members[i]
		ofLife := func(f cluster.Fencing) bool {
			return f.Target.Node == m.Name && f.Target.Boot == m.Incarnation.Boot && f.Action != "on"
		}
		if slices.ContainsFunc(s.Fencings, func(f cluster.Fencing) bool { return ofLife(f) && f.Requested != "" }) {
			continue
		}
		counts := func(f cluster.Fencing) bool {
			if !ofLife(f) {
				return false
			}
			begun = begun || f.Open() && f.ID > w.fencing
			return f.Open() || f.Result == "ok" && m.State == cluster.NodeFenced && m.Voter
		}
		if slices.ContainsFunc(s.Fencings, counts) {
			hosts = append(hosts, m.Name)
		}
	}
	for i := range s.Fencings {
		w.fencing = max(w.fencing, s.Fencings[i].ID)
	}
	if begun {
		w.truth.Fencing(w.now, h.name, hosts, max(1, (len(s.Members)-1)/2))
	}
}

// followLost sets a deadline for everyone whom the newest state has for lost, and
// whose watchdog is counted on. Of two voters none has to stop for time alone, be it up
// to follow that or not: who votes is what the newest change says that anyone goes by,
// of which the state tells later.
func (w *World) followLost(s *cluster.State) {
	voters := 0
	for i := range s.Members {
		if s.Members[i].Voter {
			voters++
		}
	}
	if w.voters > 0 {
		voters = min(voters, w.voters)
	}
	for i := range s.Members {
		m := &s.Members[i]
		if m.State != cluster.NodeLost || voters < 3 {
			delete(w.lost, m.Name)
			continue
		}
		old, known := w.lost[m.Name]
		known = known && old.who == m.Incarnation
		if span := m.Lease + m.WatchdogTimeout; !known && m.WatchdogTimeout > 0 && (w.shape.NoQuorum == "" || w.shape.NoQuorum == "fence") {
			i, now := m.Incarnation, loss{m.Incarnation, w.now}
			w.lost[m.Name] = now
			w.after(span+span/50+time.Second, func() {
				if w.lost[i.Node] == now {
					w.count("watchdog deadline")
					w.truth.Deadline(w.now, i.Node, i.Boot)
				}
			})
		}
	}
}

// sole shows the truth who leads as the only voter when it first leads in a boot.
func (w *World) sole(h *Host, s *cluster.State) {
	if !h.leads() || h.boots == 1 || h.led {
		return
	}
	h.led = true
	if h.daemon.voters > 1 {
		return // others have elected it: its state does not say yet who votes
	}
	for i := range s.Members {
		if m := &s.Members[i]; m.Voter != (m.Name == h.name) {
			return
		}
	}
	for i := range s.Members {
		if m := &s.Members[i]; m.Voted && m.Name != h.name && !h.met[m.Name] && w.byName[m.Name].disk.stored.Identity.RaftID == m.RaftID {
			w.truth.Led(w.now, h.name, m.Name)
		}
	}
}

// fences remembers which confirmed boots were looked at, each time that they were.
type fences map[heldOff]bool

type heldOff struct {
	node, boot string
	state      cluster.NodeState
	since      int64
}

func (f fences) once(m *cluster.Member) bool {
	key := heldOff{m.Name, m.Incarnation.Boot, m.State, m.Since.UnixNano()}
	if f[key] {
		return false
	}
	f[key] = true
	return true
}

// fingerprint condenses a state: all of what safety rests on, and by the number
// of events a good deal of the rest.
func fingerprint(s *cluster.State) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, s.Lineage.ID, s.Index, s.Revision, s.Transition, s.NextEvent, s.NextGrant, s.NextFence)
	for i := range s.Members {
		m := &s.Members[i]
		fmt.Fprint(h, m.Name, m.RaftID, m.Incarnation, m.State, m.Since.UnixNano(), m.Voter, m.Reported, m.LastCall, len(m.History), m.Attributes)
	}
	for i := range s.Grants {
		fmt.Fprint(h, s.Grants[i].ID, s.Grants[i].Instance, s.Grants[i].Role, s.Grants[i].Holders)
	}
	for i := range s.Tickets {
		fmt.Fprint(h, s.Tickets[i].ID, s.Tickets[i].LastGranted.UnixNano())
	}
	return h.Sum64()
}
