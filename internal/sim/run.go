package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
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
}

// Failed tells whether a rule was broken.
func (r *Result) Failed() bool { return len(r.Breaches) > 0 }

// shapeOf draws a world: mostly 2 to 5 nodes, 1 or 2 links, normal detection.
func shapeOf(seed uint64) Shape {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := Shape{
		Seed: seed, Nodes: []int{2, 2, 2, 3, 3, 3, 3, 4, 5, 1}[rng.IntN(10)], Links: 1 + rng.IntN(2), Preset: []string{"normal", "normal", "normal", "normal", "normal", "normal", "normal", "fast"}[rng.IntN(8)],
		Resources: 1 + rng.IntN(4), Group: rng.IntN(3), Fencing: rng.IntN(12) > 0, Watchdog: rng.IntN(2) == 0,
		FenceTime: []time.Duration{50 * time.Millisecond, time.Second, 5 * time.Second}[rng.IntN(3)],
		Sync:      []time.Duration{500 * time.Microsecond, 2 * time.Millisecond, 8 * time.Millisecond}[rng.IntN(3)],
	}
	if s.Watchdog && s.Nodes > 2 {
		s.Fencing = rng.IntN(2) == 0
	}
	s.Port = s.Nodes == 2 && s.Fencing && rng.IntN(10) == 0
	s.Timeout = []time.Duration{2 * time.Second, 5 * time.Second}[rng.IntN(2)]
	return s
}

// Options tune a run.
type Options struct {
	Length  time.Duration // of the hostile part
	Trace   io.Writer
	Readies func([]byte) // gets every Ready of every core, encoded
}

// Run makes the run of a seed.
func Run(seed uint64, o Options) *Result {
	s := shapeOf(seed)
	return RunFaults(s, planFaults(s, o.Length, rand.New(rand.NewPCG(seed, 2))), o)
}

// RunFaults makes the run of a world with the faults given.
func RunFaults(s Shape, faults []Fault, o Options) *Result {
	w := newWorld(s, o.Trace)
	w.readies = o.Readies
	r := &Result{Shape: s, Faults: faults, Stats: w.stats}
	defer func() {
		if fault := recover(); fault != nil {
			r.Breaches = append(w.truth.Breaches, truth.Breach{At: w.now, Rule: "panic", Text: fmt.Sprint(fault)})
		}
	}()
	if w.form() {
		w.trouble(faults, o.Length)
		r.Recovery = w.recover()
	}
	r.Breaches, r.Events, r.Simulated = w.truth.Breaches, w.events, w.now
	return r
}

// config is what an administrator of this world configures.
func (w *World) config() cluster.Config {
	s := w.shape
	set := func(pairs ...string) []cluster.AttrSet {
		var list []cluster.NVPair
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, cluster.NVPair{Name: pairs[i], Value: pairs[i+1]})
		}
		return []cluster.AttrSet{{ID: "set-" + pairs[0], Pairs: list}}
	}
	primitive := func(id string) cluster.Resource {
		return cluster.Resource{
			ID: id, Kind: cluster.Primitive, Agent: cluster.Agent{Class: "ha", Type: "process"},
			Operations: []cluster.Operation{
				{ID: id + "-m", Name: "monitor", Interval: "10s", Attrs: []cluster.NVPair{{Name: "timeout", Value: "8s"}}},
				{ID: id + "-start", Name: "start", Attrs: []cluster.NVPair{{Name: "timeout", Value: "10s"}}},
				{ID: id + "-stop", Name: "stop", Attrs: []cluster.NVPair{{Name: "timeout", Value: "10s"}}},
			},
		}
	}
	c := cluster.Config{
		Name: "sim", Detection: cluster.Detection{Preset: s.Preset},
		Options:          set("fencing-timeout", "20s"),
		ResourceDefaults: set("resource-stickiness", "1", "failure-timeout", "30s"),
	}
	if s.Watchdog {
		c.Watchdog = &cluster.Watchdog{Device: "/dev/watchdog", Timeout: s.watchdogTimeout()}
	}
	if s.Fencing {
		device := cluster.Resource{ID: "power", Kind: cluster.Primitive, Agent: cluster.Agent{Class: "stonith", Type: "fence_sim"}}
		if s.Port {
			device.ID, device.Agent.Type = "port", "fence_ifmib"
		}
		c.Resources = append(c.Resources, device)
	}
	for i := range s.Resources {
		c.Resources = append(c.Resources, primitive(fmt.Sprintf("r%d", i+1)))
	}
	if s.Group > 0 {
		g := cluster.Resource{ID: "g", Kind: cluster.Group}
		for i := range s.Group {
			g.Children = append(g.Children, primitive(fmt.Sprintf("g%d", i+1)))
		}
		c.Resources = append(c.Resources, g)
	}
	return c
}

// instances are the names of all exclusive services.
func (w *World) instances() []string {
	var names []string
	for i := range w.shape.Resources {
		names = append(names, fmt.Sprintf("r%d", i+1))
	}
	for i := range w.shape.Group {
		names = append(names, fmt.Sprintf("g%d", i+1))
	}
	return names
}

// form makes the cluster: the first host begins it, the others join.
func (w *World) form() bool {
	first := w.hosts[0]
	w.nextRaft++
	id := event.Identity{Node: first.name, RaftID: w.nextRaft, Lineage: w.lineage, Machine: first.name}
	p, err := core.Bootstrap(id, &cluster.Entry{Time: epoch, Commands: []cluster.Command{{Init: &cluster.Init{
		Lineage: w.lineage, Config: w.config(), First: cluster.Member{Name: first.name, RaftID: id.RaftID, Links: []string{"l"}},
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
	for _, f := range faults {
		w.after(f.At, func() { w.begin(f) })
	}
	w.run(began + length)
}

// recoveryLimit is how long a cluster may take until all is well once the faults
// are over and its hosts are switched on.
const recoveryLimit = 90 * time.Second

// recover ends all faults and waits until all is well.
func (w *World) recover() time.Duration {
	if len(w.truth.Breaches) > 0 {
		return 0
	}
	w.note("=== faults are over")
	w.healed = true
	w.agent = nil
	w.clock.stop = true
	w.device = device{}
	for l := range w.net.paths {
		for i := range w.net.paths[l] {
			clear(w.net.paths[l][i])
		}
	}
	for _, h := range w.hosts {
		if h.stopped {
			h.kill() // if it still stops, people lose patience
		}
		h.slow, h.lag, h.disk.fail, h.disk.tear, h.stopped = 0, 0, false, false, false
		for l := range w.net.paths {
			h.carrier(l, true)
		}
		if h.power && h.daemon == nil {
			h.start()
		}
		h.switchOn()
	}
	began := w.now
	for _, h := range w.hosts {
		w.ask(w.hosts[0], online(h.name))
	}
	tidy := time.Duration(0)
	ok := w.until(recoveryLimit, 100*time.Millisecond, func() bool {
		if w.now-tidy > 20*time.Second { // administrators look after what failed
			tidy = w.now
			w.ask(w.hosts[w.rng.IntN(len(w.hosts))], event.Request{Refresh: &cluster.HistoryForget{}})
			for _, h := range w.hosts {
				w.ask(h, online(h.name))
			}
		}
		return w.well() == ""
	})
	if !ok {
		w.stuck("not well after the faults were over")
		return w.now - began
	}
	recovery := w.now - began
	w.run(w.now + 2*time.Second)
	for _, h := range w.hosts {
		if h.daemon != nil && h.daemon.state != nil {
			w.clock.checkAll(h.name, h.daemon.state)
		}
	}
	return recovery
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
	for _, instance := range w.instances() {
		if owners := w.truth.Owners(instance); len(owners) != 1 {
			return fmt.Sprintf("%s runs on %v", instance, owners)
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

// running are the services that run, by name.
func (a *agents) running() []string {
	var names []string
	for name := range a.active {
		if name != "power" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
