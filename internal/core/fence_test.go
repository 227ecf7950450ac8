package core_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

func device(id, agent string, params ...string) cluster.Resource {
	set := cluster.AttrSet{}
	for _, p := range params {
		name, value, _ := strings.Cut(p, "=")
		set.Pairs = append(set.Pairs, cluster.NVPair{Name: name, Value: value})
	}
	return cluster.Resource{ID: id, Kind: cluster.Primitive, Agent: cluster.Agent{Class: "stonith", Type: agent}, Params: []cluster.AttrSet{set}}
}

// fenced is a configuration with these devices and the service web.
func fenced(devices ...cluster.Resource) cluster.Config {
	c := served()
	c.Resources = append(devices, c.Resources[1:]...)
	return c
}

func (w *world) deviceState(id string) *cluster.DeviceState {
	n := w.nodes[w.leader()]
	if n == nil || n.state == nil {
		return nil
	}
	i := slices.IndexFunc(n.state.Devices, func(d cluster.DeviceState) bool { return d.ID == id })
	if i < 0 {
		return nil
	}
	return &n.state.Devices[i]
}

func (w *world) hasEvent(text string) bool {
	n := w.nodes[w.leader()]
	return n != nil && n.state != nil && slices.ContainsFunc(n.state.Events, func(e cluster.Event) bool { return strings.Contains(e.Text, text) })
}

// TestAnotherNodeCallsTheDevice: the leader cannot reach it, somebody else can.
func TestAnotherNodeCallsTheDevice(t *testing.T) {
	w := newWorldWith(t, served(), func(caller string, call event.FenceCall) event.FenceCalled {
		e := powerDevice(caller, call)
		if caller != "c" {
			e.OK, e.Error, e.Actions = false, "no route to host", nil
		}
		return e
	}, "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
	w.until(time.Minute, "learnt by c", func() bool { d := w.deviceState("power"); return d != nil && d.Known && d.By == "c" })
	leader := w.leader()
	w.nodes["b"].crash()
	w.until(10*time.Second, "b fenced", func() bool { return w.member(leader, "b") == cluster.NodeFenced })
	last := w.nodes[leader].state.Fencings[len(w.nodes[leader].state.Fencings)-1]
	if last.Caller != "c" || last.Result != "ok" {
		t.Errorf("fencing %+v, want it called by c", last)
	}
}

// TestHeardThoughOff: a node that an administrator has fenced is an alarm only if it
// is heard for longer than what it sent before can be under way.
func TestHeardThoughOff(t *testing.T) {
	for _, lies := range []bool{false, true} {
		w := newWorld(t, served(), "a", "b", "c")
		w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
		w.run(time.Second)
		leader := w.leader()
		victim := "b"
		if leader == "b" {
			victim = "c"
		}
		w.nodes[victim].immortal, w.nodes[victim].stuck = lies, lies // who learns it resets itself
		if r := w.request(leader, event.Request{Fence: &event.FenceRequest{Node: victim, Action: "off"}, By: "test"}); r.Err != nil {
			t.Fatal(r.Err)
		}
		w.until(10*time.Second, "fenced", func() bool { return w.member(leader, victim) == cluster.NodeFenced })
		w.run(10 * time.Second)
		if got := w.hasEvent("yet it is heard"); got != lies {
			t.Errorf("its device lies: %t, alarm: %t", lies, got)
		}
	}
}

// TestWordsToAHelperMayBeLost: each is repeated until it is answered, so that nobody
// waits for as long as the call could last.
func TestWordsToAHelperMayBeLost(t *testing.T) {
	for _, lost := range []string{"the question", "the word to go", "the answer"} {
		t.Run(lost, func(t *testing.T) {
			calls := 0
			var w *world
			away := func(from, to string) {
				w.cut[[2]string{from, to}] = true
				w.after(500*time.Millisecond, func() { w.cut[[2]string{from, to}] = false })
			}
			w = newWorldWith(t, served(), func(caller string, call event.FenceCall) event.FenceCalled {
				e := powerDevice(caller, call)
				switch {
				case caller == "a":
					e.OK, e.Error, e.Actions = false, "no route to host", nil
				case !call.Asks():
					calls++
					if lost == "the answer" {
						away("b", "a")
					}
				}
				return e
			}, "a", "b", "c")
			w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.leader() == "a" })
			w.until(time.Minute, "learnt by b", func() bool { d := w.deviceState("power"); return d != nil && d.Known && d.By == "b" })
			w.run(time.Second)
			w.nodes["c"].crash()
			w.until(10*time.Second, "a asks b", func() bool {
				return slices.ContainsFunc(w.log, func(l string) bool { return strings.Contains(l, "reboot c, attempt 1 b") })
			})
			switch lost {
			case "the word to go":
				w.run(4500 * time.Microsecond) // b is ready, and a majority has confirmed
				fallthrough
			case "the question":
				away("a", "b")
				w.run(100 * time.Millisecond)
				if calls > 0 {
					t.Errorf("%s was not lost", lost)
				}
			}
			if after := w.until(20*time.Second, "c fenced", func() bool { return w.member("a", "c") == cluster.NodeFenced }); after > 5*time.Second {
				t.Errorf("c was fenced after %v", after)
			}
			if calls != 1 {
				t.Errorf("the device was called %d times", calls)
			}
		})
	}
}

// TestAHelperNeedsTheWord: a node that was asked to call a device does nothing
// before a majority has confirmed the leader anew; if that was deposed meanwhile,
// nothing at all.
func TestAHelperNeedsTheWord(t *testing.T) {
	called := map[string]int{}
	w := newWorldWith(t, served(), func(caller string, call event.FenceCall) event.FenceCalled {
		e := powerDevice(caller, call)
		if !call.Asks() {
			called[caller]++
		}
		if caller == "a" {
			e.OK, e.Error, e.Actions = false, "no route to host", nil
		}
		return e
	}, "a", "b", "c", "d", "e")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(5) && w.leader() == "a" })
	w.run(3 * time.Second)
	w.nodes["e"].crash()
	w.until(5*time.Second, "a asks b", func() bool {
		return slices.ContainsFunc(w.log, func(l string) bool { return strings.Contains(l, "calls power to reboot e, attempt 1 b") })
	})
	// The question is on its way; the leader is cut off from all but who helps it.
	for _, other := range []string{"c", "d"} {
		w.isolate("a", other, true)
	}
	w.run(500 * time.Millisecond)
	if called["b"] != 0 {
		t.Error("b called the device for a leader that no majority has confirmed")
	}
	w.isolate("a", "b", true)
	w.until(20*time.Second, "the majority fences e and a", func() bool {
		return w.member("b", "e") == cluster.NodeFenced && w.member("b", "a") == cluster.NodeFenced
	})
}

// TestUnfencing: what needs it starts after the node's "on" by every device that
// nodes are unfenced by; the target itself calls what must run there.
func TestUnfencing(t *testing.T) {
	var on []string
	fail := true
	c := fenced(device("power", "fence_test"), device("disk", "fence_disk", "pcmk_host_check=none"))
	c.Resources[2].Meta = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "requires", Value: "unfencing"}}}}
	w := newWorldWith(t, c, func(caller string, call event.FenceCall) event.FenceCalled {
		if call.Device == "power" {
			return powerDevice(caller, call)
		}
		e := answer(call, "off", "status", "monitor")
		e.Actions = append(e.Actions, cluster.AdvisedAction{Name: "on", OnTarget: true, Automatic: true})
		if call.Action == "on" {
			on = append(on, caller+" for "+call.Target.Node)
			if fail {
				e.OK, e.Error = false, "no reservation"
			}
		}
		return e
	}, "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) })
	w.until(20*time.Second, "unfencing has failed", func() bool { return w.hasEvent("unfencing of a: failed") })
	if len(w.runningOn()) != 0 {
		t.Errorf("web runs on %v, which is not unfenced", w.runningOn())
	}
	fail = false
	w.until(60*time.Second, "web runs on a", func() bool { return w.runsOn("a") })
	if m := w.nodes["b"].state.Member("a"); m.Attribute(cluster.UnfencedAttribute) == "" {
		t.Errorf("a has no %s: %+v", cluster.UnfencedAttribute, m.Attributes)
	}
	w.nodes["a"].crash()
	w.until(10*time.Second, "web recovered", func() bool { return w.runsOn("b") || w.runsOn("c") })
	w.nodes["a"].start()
	w.until(10*time.Second, "a is back", func() bool { return w.allOnline(3) })
	leader := w.leader()
	if m := w.nodes[leader].state.Member("a"); m.Attribute(cluster.UnfencedAttribute) != "" {
		t.Error("a counts as unfenced after a boot")
	}
	for _, x := range on {
		if caller, target, _ := strings.Cut(x, " for "); caller != target {
			t.Errorf("%s: on must run on the target", x)
		}
	}
}

// TestCuttingStorageIsNotPower: a node of which only storage was cut still holds
// what was not declared to need it (rule 3), until its power is off.
func TestCuttingStorageIsNotPower(t *testing.T) {
	for _, declared := range []bool{false, true} {
		t.Run(fmt.Sprintf("declared %t", declared), func(t *testing.T) {
			c := fenced(device("disk", "fence_scsi", "pcmk_host_check=none"))
			if declared {
				c.Resources[1].Meta = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "requires", Value: "unfencing"}}}}
			}
			w := newWorldWith(t, c, func(_ string, call event.FenceCall) event.FenceCalled { return answer(call, "on", "off") }, "a", "b", "c")
			w.cuts = true
			w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
			w.run(2 * time.Second)
			a := w.nodes["a"]
			// It hears nothing and goes on: its storage is gone, nothing else.
			for _, other := range []string{"b", "c"} {
				w.isolate("a", other, true)
			}
			a.pausedTill = w.now + time.Hour
			w.until(10*time.Second, "a cut off", func() bool { return w.member("b", "a") == cluster.NodeFenced })
			held := w.nodes["b"].state.GrantFor("web", "a") != nil
			if held == declared {
				w.broken("a holds web: %t; %+v", held, w.nodes["b"].state.Fencings)
			}
			if r := w.request("b", event.Request{Commands: []cluster.Command{{Remove: &cluster.Remove{Node: "a", RaftID: w.nodes["b"].state.Member("a").RaftID}}}}); r.Err == nil {
				t.Error("a node that may still run was removed")
			}
			if declared {
				delete(a.active, "web") // its disk is gone
				w.until(10*time.Second, "web recovered", func() bool { return w.nodes["b"].has("web") || w.nodes["c"].has("web") })
				return
			}
			w.run(20 * time.Second)
			if w.nodes["b"].has("web") || w.nodes["c"].has("web") {
				t.Fatal("web runs twice")
			}
			a.crash()
			if r := w.request("b", event.Request{Confirm: "a", By: "test"}); r.Err != nil {
				t.Fatalf("confirm: %v", r.Err)
			}
			w.until(10*time.Second, "web recovered", func() bool { return w.runsOn("b") || w.runsOn("c") })
		})
	}
}

// TestStorageIsNoVote: one of two voters goes on alone by power only, whatever
// level of the other's fencing succeeded.
func TestStorageIsNoVote(t *testing.T) {
	c := fenced(device("disk", "fence_scsi", "pcmk_host_check=none"), device("power", "fence_test"))
	for _, name := range []string{"a", "b"} {
		c.FencingLevels = append(c.FencingLevels, cluster.FencingLevel{Target: name, Index: 1, Devices: []string{"disk", "power"}},
			cluster.FencingLevel{Target: name, Index: 2, Devices: []string{"disk"}})
	}
	w := newPair(t, c)
	w.cuts = true // power does not work, and says so
	w.device = func(caller string, call event.FenceCall) event.FenceCalled {
		if call.Device == "disk" {
			return answer(call, "on", "off", "status")
		}
		e := powerDevice(caller, call)
		e.OK = call.Asks()
		return e
	}
	w.nodes["b"].crash()
	w.run(30 * time.Second)
	if w.leader() != "" {
		t.Errorf("%s leads, though only the other's storage was cut", w.leader())
	}
}

// TestSeveralSuppliesComeBack: recovery waits for all offs only; the ons follow,
// and are in the log, so that a new leader sees to them.
func TestSeveralSuppliesComeBack(t *testing.T) {
	c := fenced(device("p", "fence_test"), device("q", "fence_test"))
	c.FencingLevels = []cluster.FencingLevel{{Pattern: ".", Index: 1, Devices: []string{"p", "q"}}}
	w := newWorld(t, c, "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.leader() == "a" })
	w.run(2 * time.Second)
	var calls []string
	w.device = func(caller string, call event.FenceCall) event.FenceCalled {
		if !call.Asks() {
			calls = append(calls, call.Device+" "+call.Action)
		}
		return powerDevice(caller, call)
	}
	w.nodes["c"].crash()
	w.until(10*time.Second, "c fenced", func() bool { return w.member("a", "c") == cluster.NodeFenced })
	w.until(10*time.Second, "power is back", func() bool { return w.hasEvent("power on of c: ok") })
	if got, want := strings.Join(calls, ", "), "p off, q off, p on, q on"; got != want {
		t.Errorf("calls %s, want %s", got, want)
	}
}

// TestDeviceTroubleIsToldBefore: a device that cannot be asked is an alert while
// nobody needs it.
func TestDeviceTroubleIsToldBefore(t *testing.T) {
	broken := false
	list := "1,a\n2,b\n"
	w := newWorldWith(t, fenced(device("vm", "fence_vm")), func(caller string, call event.FenceCall) event.FenceCalled {
		e := answer(call, "on", "off", "reboot", "list")
		if e.Output = list; broken && call.Action == "list" {
			e.OK, e.Error = false, "login refused"
		}
		return e
	}, "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) })
	w.until(10*time.Second, "listed", func() bool { d := w.deviceState("vm"); return d != nil && d.Listed && len(d.Plugs) == 2 })
	broken = true
	w.until(3*time.Minute, "the trouble is told", func() bool { return w.hasEvent("fence device vm does not answer") })
	if d := w.deviceState("vm"); d.Error != "login refused" || len(d.Plugs) != 2 {
		t.Errorf("device %+v: what it said before still counts", d)
	}
	broken, list = false, "1,a\n2,b\n3,c\n"
	w.until(3*time.Minute, "it answers again", func() bool { d := w.deviceState("vm"); return d.Error == "" && len(d.Plugs) == 3 })
	entries := w.nodes["a"].state.Index
	w.run(10 * time.Minute)
	if grown := w.nodes["a"].state.Index - entries; grown > 5 {
		t.Errorf("%d entries in 10 quiet minutes", grown)
	}
}

// TestNoMoreThanAMinorityIsFenced: beyond the limit nothing is shot, and that is said.
func TestNoMoreThanAMinorityIsFenced(t *testing.T) {
	w := newWorld(t, powered(), "a", "b", "c", "d", "e")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(5) && w.leader() != "" })
	w.run(3 * time.Second)
	leader := w.leader()
	w.device = func(caller string, call event.FenceCall) event.FenceCalled {
		e := powerDevice(caller, call)
		e.OK, e.Took = call.Asks(), time.Minute // never ends well
		return e
	}
	lost := 0
	for _, name := range w.names {
		if name != leader && lost < 2 {
			w.nodes[name].crash()
			lost++
		}
	}
	w.run(5 * time.Second)
	targets := map[string]bool{}
	for _, call := range w.calls {
		targets[call.Target.Node] = true
	}
	if len(targets) != 2 {
		t.Errorf("%v are fenced, want the two that are lost", targets)
	}
}
