// Package differential compares our decisions with those of an installed
// crm_simulate on problems made at random, and shrinks what differs.
package differential

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"linuxha/internal/cluster"
	"linuxha/internal/pacemaker"
)

// Problem is one scheduling problem.
type Problem struct {
	Config   cluster.Config
	Status   cluster.Status
	Features map[string]int // how often each occurs in it
}

// CIB returns the problem as the document that both sides read.
func (p *Problem) CIB() []byte { return pacemaker.Format(&p.Config, &p.Status) }

// Now is the time that every problem pretends it is, in epoch seconds; the
// histories lie before it.
const Now = 1_780_000_000

// Generate makes the problem of a seed.
func Generate(seed uint64) *Problem {
	g := &generator{rand: rand.New(rand.NewPCG(seed, 0x6861)), p: &Problem{Features: map[string]int{}}, call: map[string]int{}}
	g.p.Config.Origin = cluster.OriginCIB
	// A feature is on or off for the whole problem, so that both dense mixes
	// and pure cases occur.
	g.nodes()
	g.resources()
	g.constraints()
	g.options()
	g.status()
	return g.p
}

type generator struct {
	rand *rand.Rand
	p    *Problem
	call map[string]int // last call id by node

	names      []string            // of what constraints may name
	primitives []*cluster.Resource // leaves, once the tree is final
	promotable []string            // ids of promotable clones
}

func (g *generator) chance(percent int) bool { return g.rand.IntN(100) < percent }

func (g *generator) saw(feature string) { g.p.Features[feature]++ }

// with is chance that also counts the feature.
func (g *generator) with(percent int, feature string) bool {
	if !g.chance(percent) {
		return false
	}
	g.saw(feature)
	return true
}

func pick[T any](g *generator, from ...T) T { return from[g.rand.IntN(len(from))] }

// pair makes a block of one pair, with an id that nothing else has.
func (g *generator) set(owner, kind string, pairs ...cluster.NVPair) []cluster.AttrSet {
	if len(pairs) == 0 {
		return nil
	}
	for i := range pairs {
		pairs[i].ID = owner + "-" + kind + "-" + strings.TrimPrefix(pairs[i].Name, "#")
	}
	return []cluster.AttrSet{{ID: owner + "-" + kind, Pairs: pairs}}
}

func nv(name, value string) cluster.NVPair { return cluster.NVPair{Name: name, Value: value} }

func (g *generator) nodes() {
	n := 1 + g.rand.IntN(4)
	if g.chance(15) {
		n = 1 + g.rand.IntN(16)
	}
	utilization := g.chance(12)
	if utilization {
		g.saw("utilization")
	}
	for i := range n {
		name := fmt.Sprintf("node%d", i+1)
		node := cluster.Node{ID: strconv.Itoa(i + 1), Name: name}
		var attrs []cluster.NVPair
		if g.with(30, "node-attribute") {
			attrs = append(attrs, nv("rack", pick(g, "a", "b", "c")))
		}
		if g.with(30, "numeric-node-attribute") {
			attrs = append(attrs, nv("cpu", strconv.Itoa(g.rand.IntN(9))))
		}
		if g.with(6, "standby") {
			attrs = append(attrs, nv("standby", "on"))
		}
		if g.with(2, "node-maintenance") {
			attrs = append(attrs, nv("maintenance", "true"))
		}
		if g.with(2, "node-health") {
			attrs = append(attrs, nv("#health_disk", pick(g, "red", "yellow", "green", "-10")))
		}
		node.Attributes = g.set(name, "attrs", attrs...)
		if utilization {
			node.Utilization = g.set(name, "util", nv("mem", strconv.Itoa(g.rand.IntN(20))))
		}
		g.p.Config.Nodes = append(g.p.Config.Nodes, node)
	}
}

func (g *generator) options() {
	var o []cluster.NVPair
	add := func(percent int, name string, values ...string) {
		if g.with(percent, "option "+name) {
			o = append(o, nv(name, pick(g, values...)))
		}
	}
	if g.chance(50) {
		o = append(o, nv("fencing-enabled", "false"))
		g.saw("fencing disabled")
	} else {
		g.saw("fencing enabled")
		if g.with(85, "fence device") {
			g.p.Config.Resources = append(g.p.Config.Resources, cluster.Resource{
				ID: "Fencing", Kind: cluster.Primitive, Agent: cluster.Agent{Class: "stonith", Type: "fence_dummy"},
			})
		}
	}
	add(25, "no-quorum-policy", "stop", "freeze", "ignore", "demote", "suicide")
	add(8, "symmetric-cluster", "false")
	add(5, "fencing-action", "reboot", "off")
	add(4, "startup-fencing", "false")
	add(4, "concurrent-fencing", "false", "true")
	add(3, "stop-all-resources", "true")
	add(5, "stop-removed-resources", "false")
	add(3, "cancel-removed-actions", "false")
	add(3, "maintenance-mode", "true")
	add(4, "enable-startup-probes", "false")
	add(4, "node-health-strategy", "migrate-on-red", "only-green", "progressive")
	add(4, "priority-fencing-delay", "30s")
	if g.p.Features["utilization"] > 0 {
		add(80, "placement-strategy", "utilization", "minimal", "balanced")
	}
	g.p.Config.Options = g.set("cib-bootstrap", "options", o...)
	if len(g.p.Config.Options) > 0 {
		g.p.Config.Options[0].ID = "cib-bootstrap-options"
	}
	if g.with(15, "resource defaults") {
		g.p.Config.ResourceDefaults = g.set("rsc", "defaults", nv("resource-stickiness", pick(g, "1", "100", "INFINITY")))
	}
	if g.with(6, "operation defaults") {
		g.p.Config.OperationDefaults = g.set("op", "defaults", nv(pick(g, "timeout", "on-fail"), "30s"))
		if d := &g.p.Config.OperationDefaults[0].Pairs[0]; d.Name == "on-fail" {
			d.Value = pick(g, "block", "restart", "ignore", "stop")
		}
	}
}
