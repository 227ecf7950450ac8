// Package sim is a simulated world around many real cores in one process:
// clocks, network, disks, power, fence devices, agents and administrators. One
// seed makes a whole run, and the same seed makes the same run again.
package sim

import (
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/sim/truth"
)

// epoch is the wall clock at the begin of every world.
var epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// World is one simulated world.
type World struct {
	shape  Shape
	rng    *rand.Rand
	now    time.Duration
	queue  queue
	order  uint64
	hosts  []*Host
	byName map[string]*Host
	net    network
	truth  *truth.Truth
	clock  *clients
	device device
	agent  []agentTrouble
	seen   fences
	stats  map[string]int
	traps  []*trap
	change uint64 // index of the newest change of voters, while traps watch
	events int    // happenings so far

	lineage  cluster.Lineage
	nextRaft uint64
	healed   bool // the faults are over
	torn     bool // a store was torn already

	trace   io.Writer    // nil: none
	told    uint64       // number of the first event not traced
	readies func([]byte) // gets every Ready, encoded; nil: none
}

// Shape is what a world consists of.
type Shape struct {
	Seed      uint64        `json:"seed"`
	Nodes     int           `json:"nodes"`
	Links     int           `json:"links"`
	Preset    string        `json:"preset"`
	Resources int           `json:"resources"` // exclusive primitives
	Group     int           `json:"group"`     // members of a group beside them
	Fencing   bool          `json:"fencing"`
	Watchdog  bool          `json:"watchdog"`
	Timeout   time.Duration `json:"timeout,omitempty"` // of the watchdogs; 0: two seconds
	Port      bool          `json:"port,omitempty"`    // the fence device cuts the network only, not the power
	FenceTime time.Duration `json:"fence_time"`        // what a device usually takes
	Sync      time.Duration `json:"sync"`              // what a disk usually takes
}

func newWorld(s Shape, trace io.Writer) *World {
	w := &World{
		shape: s, rng: rand.New(rand.NewPCG(s.Seed, 0x9e3779b97f4a7c15)), byName: map[string]*Host{}, truth: truth.New(), stats: map[string]int{},
		nextRaft: 100, trace: trace, lineage: cluster.Lineage{ID: fmt.Sprintf("%032x", s.Seed|1<<60)},
	}
	w.seen = fences{}
	for i := range s.Nodes {
		h := newHost(w, i, fmt.Sprintf("n%d", i+1))
		w.hosts = append(w.hosts, h)
		w.byName[h.name] = h
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

// show gives every node's applied state to the truth.
func (w *World) show(h *Host, s *cluster.State) {
	lineage := s.Lineage.ID
	w.truth.Branch(w.now, h.name, lineage, s.Lineage.Parent)
	w.truth.Applied(w.now, h.name, lineage, s.Index, fingerprint(s))
	for i := range s.Members {
		if m := &s.Members[i]; m.State == cluster.NodeFenced || m.State == cluster.NodeOffline {
			if !w.seen.once(m) {
				continue
			}
			if m.State == cluster.NodeFenced {
				w.truth.Confirmed(w.now, h.name, m.Name, m.Incarnation.Boot)
			} else if m.Incarnation.Boot != "" {
				w.truth.Left(w.now, h.name, m.Name, m.Incarnation.Boot)
			}
		}
	}
	if w.clock != nil {
		w.clock.check(h.name, s)
	}
	if !w.truth.Newer(lineage, s.Index) {
		return
	}
	a := truth.Agreed{Lineage: lineage, Index: s.Index, Holders: map[string][]truth.Holder{}}
	for i := range s.Grants {
		if len(a.Holders[s.Grants[i].Instance]) > 0 {
			a.Twice = append(a.Twice, s.Grants[i].Instance)
		}
		for _, holder := range s.Grants[i].Holders {
			a.Holders[s.Grants[i].Instance] = append(a.Holders[s.Grants[i].Instance], truth.Holder{Host: holder.Node, Boot: holder.Boot})
		}
	}
	w.truth.Agree(w.now, a)
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

// fences remembers which confirmed boots were looked at.
type fences map[string]bool

func (f fences) once(m *cluster.Member) bool {
	key := m.Name + m.Incarnation.Boot + string(m.State)
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
