package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/scheduler"
	"linuxha/internal/scheduler/rehearsal"
)

// nodeOf is where a plan places an instance.
func nodeOf(t *testing.T, plan *cluster.Plan, id string) string {
	t.Helper()
	for _, place := range plan.Placements {
		if place.Instance == id {
			return place.Node
		}
	}
	t.Fatalf("no placement of %s", id)
	return ""
}

// located is p with a service or group drawn to a node.
func (p problem) located(id, node string) problem {
	config := *p.config
	config.Locations = append(config.Locations[:len(config.Locations):len(config.Locations)], cluster.Location{ID: "move", Resource: id, Node: node, Score: "500000"})
	return problem{&config, p.status}
}

// reusedOf checks how many plans a planner has made from the one before.
func reusedOf(t *testing.T, planner *scheduler.Planner, what string, want int) {
	t.Helper()
	if got := planner.Reused(); got != want {
		t.Errorf("%s: %d plans made from the one before, want %d", what, got, want)
	}
}

// TestReplanFollows moves one service of a cluster at rest: what is colocated with
// it follows, directly, through another, or to keep away from it, and the plan is
// still made from the one before.
func TestReplanFollows(t *testing.T) {
	p := plain(3, 6)
	for _, c := range [][3]string{{"r00001", "r00000", "INFINITY"}, {"r00002", "r00001", "500"}, {"r00003", "r00002", "-INFINITY"}} {
		p.config.Colocations = append(p.config.Colocations, cluster.Colocation{ID: c[0] + "-" + c[1], Resource: c[0], With: c[1], Score: c[2]})
	}
	p = p.steady(t)
	planner := scheduler.NewEagerPlanner()
	before, _ := p.replan(t, planner, moment, "at rest")
	to := nodeOf(t, before, "r00003") // from where r00003 has to give way
	after, _ := p.located("r00000", to).replan(t, planner, moment, "moved")
	reusedOf(t, planner, "moved", 1)
	for _, id := range []string{"r00000", "r00001", "r00002"} {
		if at := nodeOf(t, after, id); at != to {
			t.Errorf("%s goes to %s, not to %s", id, at, to)
		}
	}
	if nodeOf(t, after, "r00003") == to {
		t.Errorf("r00003 stays on %s", to)
	}
}

// TestReplanEditedGroup edits where a group likes to be, of which a later member is
// colocated with something that is placed before the group.
func TestReplanEditedGroup(t *testing.T) {
	p := plain(2, 1)
	p.config.Resources = append(p.config.Resources, cluster.Resource{ID: "group", Kind: cluster.Group, Children: []cluster.Resource{service("a", false), service("b", false)}})
	p.config.Colocations = []cluster.Colocation{{ID: "c", Resource: "b", With: "r00000", Score: "INFINITY"}}
	p = p.steady(t)
	planner := scheduler.NewEagerPlanner()
	for _, node := range []string{"node0001", "node0002", "node0001"} {
		p.located("group", node).replan(t, planner, moment, node)
	}
	reusedOf(t, planner, "moved", 2)
}

// TestReplanLocationOfSet stops one member of a set that a location constraint
// names, of which the others have no part in the plan.
func TestReplanLocationOfSet(t *testing.T) {
	p := plain(3, 6)
	p.config.Locations = []cluster.Location{{ID: "l", Node: "node0002", Score: "100", Sets: []cluster.ResourceSet{{ID: "s", Resources: []string{"r00000", "r00001", "r00002"}}}}}
	p = p.steady(t)
	planner := scheduler.NewEagerPlanner()
	for _, operation := range []string{"start", "stop"} {
		p = p.with(t, rehearsal.Result{Resource: "r00002", Node: "node0002", Operation: operation})
		p.replan(t, planner, moment, operation)
	}
	reusedOf(t, planner, "stopped", 1)
}

// TestReplanWholeWhere makes a service fail where a whole plan is needed to tell
// what follows, and where it is not.
func TestReplanWholeWhere(t *testing.T) {
	for _, each := range []struct {
		first, then string
		reused      int
	}{{"start", "start", 1}, {"promote", "start", 1}, {"stop", "", 1}, {"stop", "start", 0}, {"start", "stop", 0}} {
		p := plain(3, 12)
		p.config.Orders = []cluster.Order{{ID: "o", First: "r00000", Then: "r00001", FirstAction: each.first, ThenAction: each.then}}
		p = p.steady(t)
		planner := scheduler.NewEagerPlanner()
		what := each.first + ", then " + each.then
		rest, _ := p.replan(t, planner, moment, what)
		failure := rehearsal.Result{Resource: "r00000", Node: nodeOf(t, rest, "r00000"), Operation: "monitor", Interval: 10 * time.Second, RC: 7}
		p.with(t, failure).replan(t, planner, moment, what)
		reusedOf(t, planner, what, each.reused)
	}
}

// TestReplanBlockedGroups makes plans for groups of which each starts after the one
// before, and the first cannot run: nothing is done, nor monitored. In a slice,
// propagation comes by in another order.
func TestReplanBlockedGroups(t *testing.T) {
	c := &changing{Rand: rand.New(rand.NewPCG(70248, 3)), now: moment, quiet: true}
	c.problem = layered(c.Rand, 2+c.IntN(4)) // top5 and top8 after top4 after top2 after top1
	c.run(t, "layered 70248")

	p := plain(2, 0)
	for i := range 6 {
		id := fmt.Sprintf("group%d", i)
		p.config.Resources = append(p.config.Resources, cluster.Resource{ID: id, Kind: cluster.Group, Children: []cluster.Resource{service(id+"a", false), service(id+"b", false)}})
		if i > 0 {
			p.config.Orders = append(p.config.Orders, cluster.Order{ID: "o-" + id, First: fmt.Sprintf("group%d", i-1), Then: id})
		}
	}
	for _, n := range p.config.Nodes {
		p.config.Locations = append(p.config.Locations, cluster.Location{ID: "l-" + n.Name, Resource: "group0", Node: n.Name, Score: "-INFINITY"})
	}
	for _, a := range p.schedule(t).Actions {
		t.Errorf("%s of %s on %s, though group0 runs nowhere", a.Kind, a.Instance, a.Node)
	}
}

// TestReplanFound repeats what random happenings have found: an order of instances
// that was not that of a whole plan (800939), and a group that restarted since it was
// ordered after the stop of a clone (800336).
func TestReplanFound(t *testing.T) {
	for _, seed := range []uint64{800336, 800939, 1200735} {
		c := &changing{Rand: rand.New(rand.NewPCG(seed, 3)), now: moment, quiet: true}
		c.problem = layered(c.Rand, 2+c.IntN(4))
		c.run(t, fmt.Sprintf("layered %d", seed))
	}
}
