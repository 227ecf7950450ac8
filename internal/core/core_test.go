package core_test

import (
	"slices"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// powered is a configuration with a device that fences every node.
func powered() cluster.Config {
	return cluster.Config{Name: "test", Resources: []cluster.Resource{{
		ID: "power", Kind: cluster.Primitive, Agent: cluster.Agent{Class: "stonith", Type: "fence_test"},
	}}}
}

func TestOneNodeLeadsAndCommits(t *testing.T) {
	w := newWorld(t, powered(), "a")
	w.until(5*time.Second, "a online", func() bool { return w.allOnline(1) })
	r := w.request("a", event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: cluster.Config{Name: "renamed"}}}}})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if got := w.nodes["a"].state.Config.Name; got != "renamed" {
		t.Errorf("name = %q", got)
	}
	w.nodes["a"].crash()
	w.nodes["a"].start()
	w.until(5*time.Second, "a online again", func() bool { return w.leader() == "a" && w.allOnline(1) })
	w.request("a", event.Request{Barrier: true})
	if got := w.nodes["a"].state.Config.Name; got != "renamed" {
		t.Errorf("name after a restart = %q", got)
	}
}

func TestThreeNodesJoin(t *testing.T) {
	w := newWorld(t, powered(), "a", "b", "c")
	took := w.until(10*time.Second, "all online, three voters", func() bool { return w.allOnline(3) })
	t.Logf("formed in %v", took)
	r := w.request("c", event.Request{By: "test", Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: cluster.Config{Name: "renamed"}}}}})
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	if got := w.nodes["c"].state.Config.Name; got != "renamed" {
		t.Errorf("name = %q", got)
	}
	if r := w.request("b", event.Request{Barrier: true}); r.Err != nil || r.Index == 0 {
		t.Errorf("barrier: %+v", r)
	}
}

func TestCrashIsFenced(t *testing.T) {
	for _, victim := range []string{"a", "c"} { // the leader, and another
		t.Run(victim, func(t *testing.T) {
			w := newWorld(t, powered(), "a", "b", "c")
			w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) })
			w.run(3 * time.Second)
			w.nodes[victim].crash()
			took := w.until(5*time.Second, victim+" fenced", func() bool { return w.member("b", victim) == cluster.NodeFenced })
			if testing.Verbose() {
				for _, l := range w.log {
					t.Log(l)
				}
			}
			if limit := 1250 * time.Millisecond; took > limit {
				t.Errorf("fenced after %v, want at most %v", took, limit)
			}
			t.Logf("%s fenced after %v", victim, took)
			w.until(5*time.Second, "two voters", func() bool { return w.allOnline(2) })
			w.nodes[victim].start()
			w.until(10*time.Second, "back", func() bool { return w.allOnline(3) })
			if len(w.calls) != 1 {
				t.Errorf("%d fence calls, want 1", len(w.calls))
			}
		})
	}
}

// served is powered, with a service.
func served() cluster.Config {
	c := powered()
	c.Resources = append(c.Resources, cluster.Resource{ID: "web", Kind: cluster.Primitive, Agent: cluster.Agent{Class: "ha", Type: "test"}})
	return c
}

// runningOn lists where the service runs.
func (w *world) runningOn() (on []string) {
	for _, name := range w.names {
		if w.nodes[name].has("web") {
			on = append(on, name)
		}
	}
	return on
}

func (w *world) runsOn(name string) bool {
	on := w.runningOn()
	if len(on) > 1 {
		w.t.Fatalf("web runs on %v", on)
	}
	return len(on) == 1 && (name == "" || on[0] == name)
}

func TestServiceIsRecovered(t *testing.T) {
	for _, leader := range []string{"a", "b"} {
		t.Run("leader "+leader, func(t *testing.T) {
			w := newWorld(t, served(), "a", "b", "c")
			w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
			w.run(3 * time.Second)
			if leader != "a" {
				if r := w.request("c", event.Request{Transfer: &leader}); r.Err != nil {
					t.Fatal(r.Err)
				}
				w.until(time.Second, "handed over", func() bool { return w.leader() == leader })
				w.run(time.Second)
			}
			w.nodes["a"].crash()
			took := w.until(5*time.Second, "web recovered", func() bool { return w.runsOn("b") })
			if testing.Verbose() {
				for _, l := range w.log {
					t.Log(l)
				}
			}
			if limit := 1100 * time.Millisecond; took > limit {
				t.Errorf("recovered after %v, want at most %v", took, limit)
			}
			w.run(time.Second)
			stages := map[string]time.Duration{}
			for _, e := range w.nodes["b"].state.Events {
				if e.Stage != "" {
					stages[e.Stage] = e.Took
				}
			}
			t.Logf("recovered after %v, stages %v", took, stages)
			for _, stage := range []string{"detect", "lost", "fence", "decide", "start", "announce"} {
				if _, ok := stages[stage]; !ok {
					t.Errorf("stage %s was not recorded", stage)
				}
			}
		})
	}
}

// The result of an operation is in the log as soon as it can be, on the leader like
// anywhere else: what follows from it does not wait for the next heartbeat.
func TestResultsAreToldAtOnce(t *testing.T) {
	for _, leader := range []string{"a", "b"} {
		t.Run("leader "+leader, func(t *testing.T) {
			w := newWorld(t, powered(), "a", "b", "c")
			w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) })
			if leader != "a" {
				if r := w.request("c", event.Request{Transfer: &leader}); r.Err != nil {
					t.Fatal(r.Err)
				}
				w.until(time.Second, "handed over", func() bool { return w.leader() == leader })
			}
			w.run(3 * time.Second)
			w.request("c", event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: served()}}}})
			w.until(time.Second, "web runs", func() bool { return w.runsOn("a") })
			took := w.until(time.Second, "its start is in the log", func() bool {
				return slices.ContainsFunc(w.nodes["a"].state.Member("a").History, func(h cluster.ResourceHistory) bool { return h.ID == "web" })
			})
			if limit := 20 * time.Millisecond; took > limit {
				t.Errorf("known after %v, want at most %v", took, limit)
			}
		})
	}
}

func TestDaemonRestartIsNoFailure(t *testing.T) {
	for _, victim := range []string{"a", "b"} { // the leader, and another
		t.Run(victim, func(t *testing.T) {
			w := newWorld(t, served(), "a", "b", "c")
			w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
			w.run(3 * time.Second)
			w.nodes[victim].kill()
			w.run(300 * time.Millisecond)
			w.nodes[victim].start()
			w.until(10*time.Second, "back", func() bool { return w.allOnline(3) })
			w.run(3 * time.Second)
			if len(w.calls) != 0 || !w.runsOn("a") {
				t.Errorf("%d fence calls, web runs on %v", len(w.calls), w.runningOn())
			}
		})
	}
}

func TestOrderlyLeave(t *testing.T) {
	for _, victim := range []string{"a", "b"} {
		t.Run(victim, func(t *testing.T) {
			w := newWorld(t, served(), "a", "b", "c")
			w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
			n := w.nodes[victim]
			n.step(event.Stopping{})
			took := w.until(10*time.Second, "left", func() bool { return n.exit != nil })
			t.Logf("left in %v", took)
			if n.exit.Code != 0 {
				t.Errorf("exit: %+v", n.exit)
			}
			w.until(5*time.Second, "web runs", func() bool { return w.runsOn("") && w.member("c", victim) == cluster.NodeOffline })
			if len(w.calls) != 0 {
				t.Errorf("%d fence calls", len(w.calls))
			}
			n.start()
			w.until(10*time.Second, "back", func() bool { return w.allOnline(3) })
		})
	}
}

func TestMinorityDoesNothing(t *testing.T) {
	w := newWorld(t, served(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
	w.run(3 * time.Second)
	w.fail = true // nobody can be fenced
	for _, other := range []string{"b", "c"} {
		w.cut[[2]string{"a", other}], w.cut[[2]string{other, "a"}] = true, true
	}
	w.until(5*time.Second, "a lost", func() bool { return w.member("b", "a") == cluster.NodeLost })
	w.until(10*time.Second, "a gives up", func() bool { return len(w.runningOn()) == 0 })
	w.run(10 * time.Second)
	if on := w.runningOn(); len(on) != 0 {
		t.Errorf("web runs on %v, though a was never confirmed off", on)
	}
	for _, call := range w.calls {
		if call.Target.Node != "a" {
			t.Errorf("%s was fenced", call.Target.Node)
		}
	}
	if r := w.request("b", event.Request{Confirm: "a", By: "test"}); r.Err != nil {
		t.Fatalf("confirm: %v", r.Err)
	}
	w.until(5*time.Second, "web recovered", func() bool { return w.runsOn("b") })
}

func TestAWitnessMakesTwoNodesThreeVoters(t *testing.T) {
	c := served()
	c.Nodes = []cluster.Node{{Name: "w", Witness: true}}
	w := newWorld(t, c, "a", "b", "w")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
	w.run(3 * time.Second)
	if w.leader() == "w" {
		t.Error("the witness leads")
	}
	w.nodes["a"].crash()
	w.until(5*time.Second, "recovered", func() bool { return w.runsOn("b") })
	w.until(10*time.Second, "b leads alone", func() bool { return w.leader() == "b" && w.allOnline(1) })
	w.nodes["w"].crash()
	w.until(10*time.Second, "the witness is gone", func() bool { return w.member("b", "w") == cluster.NodeFenced })
	if !w.runsOn("b") {
		t.Errorf("web runs on %v", w.runningOn())
	}
	w.nodes["a"].start()
	w.nodes["w"].start()
	w.until(10*time.Second, "all back", func() bool { return w.allOnline(3) })
}

func TestARestartingLeaderHandsOver(t *testing.T) {
	w := newWorld(t, served(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
	w.run(time.Second)
	n := w.nodes["a"]
	n.step(event.Stopping{Restart: true})
	took := w.until(time.Second, "a has ended, another leads", func() bool { return n.exit != nil && w.leader() != "" })
	if took > 100*time.Millisecond {
		t.Errorf("there was no leader for %v", took)
	}
	w.run(5 * time.Second) // longer than the dead time
	n.kill()
	n.start()
	w.until(10*time.Second, "back", func() bool { return w.allOnline(3) })
	if len(w.calls) != 0 || !w.runsOn("a") {
		t.Errorf("%d fence calls, web runs on %v", len(w.calls), w.runningOn())
	}
}

func TestADrainedLeaderMakesWay(t *testing.T) {
	w := newWorld(t, served(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.leader() == "a" })
	c := served()
	c.Nodes = []cluster.Node{{Name: "a", Attributes: []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "standby", Value: "true"}}}}}}
	if r := w.request("a", event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: c}}}}); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.until(5*time.Second, "another leads", func() bool { return w.leader() != "" && w.leader() != "a" })
}
