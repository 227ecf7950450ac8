package scheduler_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/scheduler"
	"linuxha/internal/scheduler/rehearsal"
)

// moment is when the problems of the benchmarks are scheduled.
var moment = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

// problem is something to schedule.
type problem struct {
	config *cluster.Config
	status *cluster.Status
}

func (p problem) schedule(b testing.TB) *cluster.Plan {
	plan, err := scheduler.Schedule(p.config, p.status, moment, scheduler.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return plan
}

// steady is p when all that it called for has been done, agents' wishes to be
// promoted included.
func (p problem) steady(b testing.TB) problem {
	for range 10 {
		plan := p.schedule(b)
		if len(plan.Actions) == 0 {
			return p
		}
		p = p.step(b)
	}
	b.Fatal("the cluster does not come to rest")
	return p
}

// step is p when what it calls for has been done.
func (p problem) step(b testing.TB) problem {
	p.status = rehearsal.Run(p.status, p.schedule(b), moment, nil).Status
	for i := range p.status.Nodes {
		n := &p.status.Nodes[i]
		set := cluster.AttrSet{ID: "t-" + n.ID}
		for _, h := range n.History {
			if strings.HasPrefix(h.ID, "db") && slices.ContainsFunc(h.Operations, func(e cluster.HistoryEntry) bool { return e.Operation != "monitor" }) {
				set.Pairs = append(set.Pairs, cluster.NVPair{Name: "master-" + h.ID, Value: "100"})
			}
		}
		n.Attributes = []cluster.AttrSet{set}
	}
	return p
}

// without is p with its second node gone.
func (p problem) without() problem {
	status := *p.status
	status.Nodes = append([]cluster.NodeStatus(nil), status.Nodes...)
	n := &status.Nodes[1]
	n.InCCM, n.Crmd, n.Join = "false", "offline", "down"
	p.status = &status
	return p
}

// with is p when an operation has had a result.
func (p problem) with(t testing.TB, x rehearsal.Result) problem {
	t.Helper()
	status, err := rehearsal.AddResult(p.config, p.status, x, moment)
	if err != nil {
		t.Fatal(err)
	}
	return problem{p.config, status}
}

// machines makes nodes that have just come up.
func machines(n int) ([]cluster.Node, *cluster.Status) {
	nodes := make([]cluster.Node, n)
	status := &cluster.Status{Quorate: true, Coordinator: "1"}
	for i := range nodes {
		id, name := fmt.Sprint(i+1), fmt.Sprintf("node%04d", i+1)
		nodes[i] = cluster.Node{ID: id, Name: name}
		status.Nodes = append(status.Nodes, cluster.NodeStatus{ID: id, Name: name, InCCM: "true", Crmd: "online", Join: "member", Expected: "member"})
	}
	return nodes, status
}

func service(id string, promotable bool) cluster.Resource {
	r := cluster.Resource{ID: id, Kind: cluster.Primitive, Agent: cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"}}
	monitor := func(name, interval, role string) {
		op := cluster.Operation{ID: id + "-" + name, Name: "monitor", Interval: interval, Attrs: []cluster.NVPair{{Name: "timeout", Value: "20s"}}}
		if role != "" {
			op.Attrs = append(op.Attrs, cluster.NVPair{Name: "role", Value: role})
		}
		r.Operations = append(r.Operations, op)
	}
	if promotable {
		monitor("up", "10s", "Promoted")
		monitor("un", "11s", "Unpromoted")
	} else {
		monitor("m", "10s", "")
	}
	return r
}

func cloneOf(id string, r cluster.Resource, meta ...string) cluster.Resource {
	set := cluster.AttrSet{ID: id + "-meta"}
	for i := 0; i < len(meta); i += 2 {
		set.Pairs = append(set.Pairs, cluster.NVPair{Name: meta[i], Value: meta[i+1]})
	}
	return cluster.Resource{ID: id, Kind: cluster.Clone, Meta: []cluster.AttrSet{set}, Children: []cluster.Resource{r}}
}

// mixed is a cold cluster with a bit of everything: in a hundred services, one
// is an interleaved clone that depends on the one before, one in 250 is a
// promotable clone, a tenth stand alone and avoid groups, the others are in
// groups of four that depend on a clone.
func mixed(nodes, services int) problem {
	c := &cluster.Config{Origin: cluster.OriginCIB}
	var status *cluster.Status
	c.Nodes, status = machines(nodes)
	c.Resources = append(c.Resources, cluster.Resource{ID: "fence", Kind: cluster.Primitive, Agent: cluster.Agent{Class: "stonith", Type: "fence_xvm"}})
	c.ResourceDefaults = []cluster.AttrSet{{ID: "d", Pairs: []cluster.NVPair{{Name: "resource-stickiness", Value: "10"}}}}

	clones, promotables := max(services/100, 1), max(services/250, 1)
	for i := range clones {
		c.Resources = append(c.Resources, cloneOf(fmt.Sprintf("clone%03d", i), service(fmt.Sprintf("base%03d", i), false), "interleave", "true"))
	}
	for i := range promotables {
		c.Resources = append(c.Resources, cloneOf(fmt.Sprintf("promo%03d", i), service(fmt.Sprintf("db%03d", i), true), "promotable", "true", "notify", "true", "clone-max", "3"))
	}
	groups := max((services-clones-promotables-services/10)/4, 1)
	for i := range groups {
		g := cluster.Resource{ID: fmt.Sprintf("group%04d", i), Kind: cluster.Group}
		for m := range 4 {
			g.Children = append(g.Children, service(fmt.Sprintf("g%04dm%d", i, m), false))
		}
		c.Resources = append(c.Resources, g)
	}
	order := func(first, then, action string) {
		c.Orders = append(c.Orders, cluster.Order{ID: "o-" + first + "-" + then, First: first, Then: then, FirstAction: action, ThenAction: "start"})
	}
	colocate := func(r, with, score string) {
		c.Colocations = append(c.Colocations, cluster.Colocation{ID: "c-" + r + "-" + with, Resource: r, With: with, Score: score})
	}
	for i := range groups {
		g, clone := fmt.Sprintf("group%04d", i), fmt.Sprintf("clone%03d", i%clones)
		c.Locations = append(c.Locations, cluster.Location{ID: "l-" + g, Resource: g, Node: c.Nodes[i%nodes].Name, Score: "100"})
		order(clone, g, "start")
		colocate(g, clone, "INFINITY")
		if i < promotables {
			order(fmt.Sprintf("promo%03d", i), g, "promote")
		}
	}
	for i := 1; i < clones; i++ {
		before, after := fmt.Sprintf("clone%03d", i-1), fmt.Sprintf("clone%03d", i)
		order(before, after, "start")
		colocate(after, before, "INFINITY")
	}
	for i := range services / 10 {
		id := fmt.Sprintf("single%03d", i)
		c.Resources = append(c.Resources, service(id, false))
		colocate(id, fmt.Sprintf("group%04d", i%groups), "-1000")
	}
	for i := range promotables {
		id := fmt.Sprintf("promo%03d", i)
		c.Locations = append(c.Locations, cluster.Location{ID: "l-" + id, Resource: id, Role: "Promoted", Node: c.Nodes[i%nodes].Name, Score: "100"})
	}
	return problem{c, status}
}

// plain is a cold cluster of services without constraints and without probes.
func plain(nodes, services int) problem {
	c := &cluster.Config{Origin: cluster.OriginCIB}
	var status *cluster.Status
	c.Nodes, status = machines(nodes)
	c.Options = []cluster.AttrSet{{ID: "o", Pairs: []cluster.NVPair{{Name: "fencing-enabled", Value: "false"}, {Name: "enable-startup-probes", Value: "false"}}}}
	c.ResourceDefaults = []cluster.AttrSet{{ID: "d", Pairs: []cluster.NVPair{{Name: "resource-stickiness", Value: "1"}}}}
	for i := range services {
		c.Resources = append(c.Resources, service(fmt.Sprintf("r%05d", i), false))
	}
	return problem{c, status}
}

// measure schedules p again and again.
func measure(b *testing.B, p problem) {
	runtime.GC()
	b.ReportAllocs()
	actions := 0
	before := cpuTime()
	for b.Loop() {
		actions = len(p.schedule(b).Actions)
	}
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
	b.ReportMetric(float64(actions), "actions")
}

// cpuTime is the processor time used so far, which says more than the time of
// day where other programs run as well.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkSchedule covers the figures that are promised: a cold start, the
// steady state, and the loss of one node.
func BenchmarkSchedule(b *testing.B) {
	for _, size := range [][2]int{{16, 1000}, {32, 1000}} {
		p := mixed(size[0], size[1])
		name := fmt.Sprintf("%dx%d", size[0], size[1])
		b.Run("cold/"+name, func(b *testing.B) { measure(b, p) })
		quiet := p.steady(b)
		b.Run("steady/"+name, func(b *testing.B) { measure(b, quiet) })
		b.Run("lost/"+name, func(b *testing.B) { measure(b, quiet.without()) })
	}
}

// BenchmarkPlain is a large cluster of independent services in its steady state.
func BenchmarkPlain(b *testing.B) {
	for _, size := range [][2]int{{250, 2500}, {500, 5000}, {1000, 10_000}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) { measure(b, plain(size[0], size[1]).steady(b)) })
	}
}

// BenchmarkGrowth shows how the time grows when nodes and services double.
func BenchmarkGrowth(b *testing.B) {
	for _, size := range [][2]int{{4, 250}, {8, 250}, {16, 250}, {32, 250}, {8, 500}, {8, 1000}, {8, 2000}} {
		p := mixed(size[0], size[1])
		name := fmt.Sprintf("%dx%d", size[0], size[1])
		b.Run("cold/"+name, func(b *testing.B) { measure(b, p) })
		quiet := p.steady(b)
		b.Run("steady/"+name, func(b *testing.B) { measure(b, quiet) })
	}
}

// BenchmarkReplan measures plans after one small change to a large cluster at
// rest, made from the plan before, and reports their share of a whole plan.
func BenchmarkReplan(b *testing.B) {
	for _, size := range [][2]int{{16, 1000}, {32, 1000}} {
		quiet := mixed(size[0], size[1]).steady(b)
		for _, each := range smallChanges(b, quiet) {
			b.Run(fmt.Sprintf("%s/%dx%d", each.name, size[0], size[1]), func(b *testing.B) { measureReplan(b, quiet, each.after) })
		}
	}
}

type smallChange struct {
	name  string
	after problem
}

func smallChanges(b *testing.B, quiet problem) []smallChange {
	result := func(r rehearsal.Result) problem {
		for _, n := range quiet.status.Nodes {
			for _, h := range n.History {
				if h.ID == r.Resource && slices.ContainsFunc(h.Operations, func(e cluster.HistoryEntry) bool { return e.IntervalMS == 10_000 }) {
					r.Node = n.Name
				}
			}
		}
		return quiet.with(b, r)
	}
	configured := func(edit func(*cluster.Config)) problem {
		p := quiet
		config := *p.config
		config.Resources, config.Locations = slices.Clone(config.Resources), slices.Clone(config.Locations)
		edit(&config)
		p.config = &config
		return p
	}
	attribute := quiet
	status := *quiet.status
	status.Nodes = slices.Clone(status.Nodes)
	attributes := slices.Clone(status.Nodes[2].Attributes)
	attributes[0].Pairs = append(slices.Clone(attributes[0].Pairs), cluster.NVPair{Name: "ping", Value: "100"})
	status.Nodes[2].Attributes = attributes
	attribute.status = &status
	group := func(c *cluster.Config) *cluster.Resource {
		return &c.Resources[slices.IndexFunc(c.Resources, func(r cluster.Resource) bool { return r.ID == "group0007" })]
	}
	return []smallChange{
		{"monitor", result(rehearsal.Result{Resource: "g0007m2", Operation: "monitor", Interval: 10 * time.Second})},
		{"failure", result(rehearsal.Result{Resource: "g0007m2", Operation: "monitor", Interval: 10 * time.Second, RC: 1})},
		{"stopped", result(rehearsal.Result{Resource: "g0007m3", Operation: "stop"})},
		{"clone-failure", result(rehearsal.Result{Resource: "base002", Operation: "monitor", Interval: 10 * time.Second, RC: 7})},
		{"attribute", attribute},
		{"move", configured(func(c *cluster.Config) {
			c.Locations = append(c.Locations, cluster.Location{ID: "move", Resource: "group0007", Node: c.Nodes[0].Name, Score: "500000"})
		})},
		{"parameter", configured(func(c *cluster.Config) {
			g := group(c)
			g.Children = slices.Clone(g.Children)
			g.Children[1].Params = []cluster.AttrSet{{ID: "p", Pairs: []cluster.NVPair{{Name: "state", Value: "new"}}}}
		})},
		{"target-role", configured(func(c *cluster.Config) {
			group(c).Meta = []cluster.AttrSet{{ID: "m", Pairs: []cluster.NVPair{{Name: "target-role", Value: "Stopped"}}}}
		})},
		{"node-lost", quiet.without()},
	}
}

// measureReplan plans the change there and back, and the same as a whole, by turns.
func measureReplan(b *testing.B, before, after problem) {
	plan := func(p *scheduler.Planner, x problem) *cluster.Plan {
		plan, err := p.Schedule(x.config, x.status, moment, scheduler.Options{})
		if err != nil {
			b.Fatal(err)
		}
		return plan
	}
	var planner scheduler.Planner
	plan(&planner, before)
	runtime.GC()
	actions := 0
	var parts, wholes []time.Duration
	for b.Loop() {
		began := cpuTime()
		actions = len(plan(&planner, after).Actions)
		parts = append(parts, cpuTime()-began)
		plan(&planner, before)
		began = cpuTime()
		after.schedule(b)
		wholes = append(wholes, cpuTime()-began)
	}
	slices.Sort(parts)
	slices.Sort(wholes)
	report := func(name string, part, whole time.Duration) {
		b.ReportMetric(float64(part)/1e6, name+"-cpu-ms")
		b.ReportMetric(float64(whole)/1e6, name+"-whole-cpu-ms")
		b.ReportMetric(100*float64(part)/float64(whole), name+"-%")
	}
	report("best", parts[0], wholes[0])
	report("median", parts[len(parts)/2], wholes[len(wholes)/2])
	b.ReportMetric(float64(actions), "actions")
}

// fresh is a cluster of independent services that are to be started.
func fresh(nodes, services int) problem {
	p := plain(nodes, services)
	p.config.Options = []cluster.AttrSet{{ID: "o", Pairs: []cluster.NVPair{{Name: "fencing-enabled", Value: "false"}}}}
	return p
}

// BenchmarkFresh starts many new services, with a probe of each on every node.
func BenchmarkFresh(b *testing.B) {
	b.Run("16x1000", func(b *testing.B) { measure(b, fresh(16, 1000)) })
	b.Run("16x1000/unprobed", func(b *testing.B) { measure(b, plain(16, 1000)) })
}
