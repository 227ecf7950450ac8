package core_test

import (
	"slices"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// newPair forms a cluster of two with the service on a.
func newPair(t *testing.T, config cluster.Config) *world {
	w := newWorld(t, config, "a", "b")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(2) && w.runsOn("a") })
	w.run(3 * time.Second)
	return w
}

func (w *world) isolate(a, b string, cut bool) {
	w.cut[[2]string{a, b}], w.cut[[2]string{b, a}] = cut, cut
}

func TestPairGoesOnAlone(t *testing.T) {
	for _, leader := range []string{"a", "b"} {
		t.Run("leader "+leader, func(t *testing.T) {
			w := newPair(t, served())
			if leader != "a" {
				if r := w.request("a", event.Request{Transfer: &leader}); r.Err != nil {
					t.Fatal(r.Err)
				}
				w.until(time.Second, "handed over", func() bool { return w.leader() == leader })
				w.run(time.Second)
			}
			if testing.Verbose() {
				defer func() {
					for _, l := range w.log {
						t.Log(l)
					}
				}()
			}
			w.nodes["a"].crash()
			took := w.until(10*time.Second, "web recovered", func() bool { return w.runsOn("b") })
			t.Logf("recovered after %v", took)
			if limit := 1200 * time.Millisecond; took > limit {
				t.Errorf("recovered after %v, want at most %v", took, limit)
			}
			w.run(time.Second)
			w.nodes["a"].start()
			w.until(10*time.Second, "a joins afresh", func() bool { return w.allOnline(2) })
			if id := w.nodes["a"].store.Identity.RaftID; id == 101 {
				t.Errorf("a has its old Raft id")
			}
			// And the other way round.
			w.run(3 * time.Second)
			w.nodes["b"].crash()
			w.until(10*time.Second, "web recovered on a", func() bool { return w.runsOn("a") })
			w.nodes["b"].start()
			w.until(10*time.Second, "b joins afresh", func() bool { return w.allOnline(2) })
			if len(w.calls) != 2 {
				t.Errorf("%d fence calls, want 2", len(w.calls))
			}
		})
	}
}

func TestPairWithoutFencingWaits(t *testing.T) {
	c := served()
	c.Resources = c.Resources[1:]
	w := newPair(t, c)
	w.isolate("a", "b", true)
	w.run(30 * time.Second)
	if !w.runsOn("a") {
		t.Errorf("web runs on %v, want a: it keeps what it was granted", w.runningOn())
	}
	w.isolate("a", "b", false)
	w.until(10*time.Second, "together again", func() bool { return w.allOnline(2) && w.leader() != "" })
	if !w.runsOn("a") {
		t.Errorf("web runs on %v", w.runningOn())
	}
}

func TestPairFenceRaceWithHeadStart(t *testing.T) {
	c := served()
	c.Resources[0].Params = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "pcmk_delay_base", Value: "a:2s"}}}}
	w := newPair(t, c)
	w.isolate("a", "b", true) // a, which is shot with a delay, wins
	w.until(10*time.Second, "b fenced", func() bool { return w.member("a", "b") == cluster.NodeFenced })
	if !w.runsOn("a") || w.nodes["b"].core != nil {
		t.Errorf("web runs on %v", w.runningOn())
	}
	w.isolate("a", "b", false)
	w.nodes["b"].start()
	w.until(10*time.Second, "b joins afresh", func() bool { return w.allOnline(2) })
}

// The node that runs what matters more wins; where both matter alike nobody waits.
func TestPairPriorityFencingDelay(t *testing.T) {
	for _, priority := range []string{"10", "0"} {
		c := served()
		c.Options = append(c.Options, cluster.AttrSet{Pairs: []cluster.NVPair{{Name: "priority-fencing-delay", Value: "2s"}}})
		c.ResourceDefaults = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "priority", Value: priority}}}}
		w := newPair(t, c)
		active, other := "a", "b"
		if !w.runsOn("a") {
			active, other = "b", "a"
		}
		begin := w.now
		w.isolate("a", "b", true)
		w.until(10*time.Second, "one fenced", func() bool { return len(w.calls) > 0 })
		if w.now-begin > 2*time.Second {
			t.Errorf("priority %s: the first call comes %v after the cut", priority, w.now-begin)
		}
		if priority != "0" {
			w.until(10*time.Second, other+" fenced", func() bool { return w.member(active, other) == cluster.NodeFenced })
			if !w.runsOn(active) || w.nodes[other].core != nil {
				t.Errorf("web runs on %v", w.runningOn())
			}
		}
	}
}

// One of a pair announces that it leaves, and the link breaks before both have
// agreed that it does not vote any more: that is no vote for the other one.
func TestLeavingIsNoVote(t *testing.T) {
	for delay := time.Duration(0); delay < 120*time.Millisecond; delay += 9 * time.Millisecond {
		w := newPair(t, served())
		w.fail = true
		a, b := w.nodes["a"], w.nodes["b"]
		b.step(event.Stopping{})
		w.run(delay)
		w.isolate("a", "b", true)
		w.run(20 * time.Second)
		both := func() (n int) {
			for _, x := range []*node{a, b} {
				if x.up() && x.local.Role == "leader" && x.local.Quorate {
					n++
				}
			}
			return n
		}
		if left := b.exit != nil && b.exit.Reason == "left the cluster"; !left && w.leader() == "a" && a.store.Identity.Lineage != b.store.Identity.Lineage {
			t.Fatalf("cut after %v: a went on alone though b, which has not left, was not fenced", delay)
		}
		b.kill() // its daemon starts again, in the same boot
		b.start()
		for range 20 {
			if w.run(time.Second); both() > 1 || len(w.runningOn()) > 1 {
				t.Fatalf("cut after %v: both lead, web runs on %v", delay, w.runningOn())
			}
		}
		w.isolate("a", "b", false)
		w.fail = false
		w.until(30*time.Second, "both online", func() bool { return w.allOnline(2) && w.runsOn("") })
	}
}

func TestPairBootsOneByOne(t *testing.T) {
	w := newPair(t, served())
	w.nodes["a"].crash()
	w.nodes["b"].crash()
	w.calls = nil
	w.run(time.Second)
	w.nodes["b"].start()
	w.run(60 * time.Second)
	if len(w.calls) != 0 || len(w.runningOn()) != 0 {
		t.Errorf("%d fence calls, web runs on %v: booting is not knowing", len(w.calls), w.runningOn())
	}
	w.nodes["a"].start()
	w.until(10*time.Second, "both online", func() bool { return w.allOnline(2) && w.runsOn("") })
	if len(w.calls) != 0 {
		t.Errorf("%d fence calls", len(w.calls))
	}
}

func TestQuorumForce(t *testing.T) {
	w := newPair(t, served())
	w.nodes["a"].crash()
	w.nodes["b"].crash()
	w.nodes["b"].start()
	w.run(5 * time.Second)
	if r := w.request("b", event.Request{ForceQuorum: true, By: "test"}); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.until(10*time.Second, "web recovered", func() bool { return w.runsOn("b") })
	w.nodes["a"].start()
	w.until(10*time.Second, "a joins afresh", func() bool { return w.allOnline(2) })
}

// Power is lost between the forced configuration and the first entry of its lineage:
// the node waits until it is forced once more, and then goes on in that lineage.
func TestQuorumForcedTwice(t *testing.T) {
	w := newPair(t, served())
	w.nodes["a"].crash()
	w.nodes["b"].crash()
	w.fail = true
	b := w.nodes["b"]
	b.start()
	w.run(5 * time.Second)
	before := b.store.Identity.Lineage.ID
	b.step(event.Requested{ID: 1 << 40, Request: event.Request{ForceQuorum: true, By: "test"}})
	w.until(5*time.Second, "the new lineage is on the disk", func() bool { return b.store.Identity.Lineage.ID != before })
	b.crash()
	lineage := b.store.Identity.Lineage.ID
	b.state = nil
	b.start()
	w.run(30 * time.Second)
	if w.leader() != "" || b.state == nil || b.state.Lineage.ID != before {
		t.Fatalf("%q leads, shown state %v", w.leader(), b.state)
	}
	if r := w.request("b", event.Request{ForceQuorum: true, By: "test"}); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.until(10*time.Second, "web recovered", func() bool { return w.runsOn("b") })
	if b.state.Lineage.ID != lineage || w.member("b", "a") != cluster.NodeFenced {
		t.Errorf("lineage %s, want %s; a is %s", b.state.Lineage.ID, lineage, w.member("b", "a"))
	}
	w.nodes["a"].start()
	w.until(10*time.Second, "a joins afresh", func() bool { return w.allOnline(2) })
}

func TestQuorumForceIsRefusedWhileThereIsQuorum(t *testing.T) {
	w := newPair(t, served())
	if r := w.request("b", event.Request{ForceQuorum: true}); r.Err == nil {
		t.Error("quorum was forced though there is quorum")
	}
	w.nodes["a"].kill()
	w.fail = true
	w.run(300 * time.Millisecond)
	if r := w.request("b", event.Request{ForceQuorum: true}); r.Err == nil {
		t.Error("quorum was forced though a is still heard")
	}
}

// A went on alone and lost power; an administrator forced B; A boots with links cut.
func TestTwinSoleVoters(t *testing.T) {
	w := newPair(t, served())
	w.nodes["b"].crash()
	w.until(10*time.Second, "a alone", func() bool { return w.member("a", "b") == cluster.NodeFenced })
	w.run(time.Second)
	w.nodes["a"].crash()
	w.nodes["b"].start()
	w.run(5 * time.Second)
	if r := w.request("b", event.Request{ForceQuorum: true, By: "test"}); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.until(10*time.Second, "web on b", func() bool { return w.runsOn("b") })
	w.isolate("a", "b", true)
	w.fail = true
	w.nodes["a"].start()
	w.run(60 * time.Second)
	if !w.runsOn("b") {
		t.Errorf("web runs on %v", w.runningOn())
	}
	w.isolate("a", "b", false)
	w.run(10 * time.Second)
	if !w.runsOn("b") {
		t.Errorf("web runs on %v", w.runningOn())
	}
	if w.nodes["a"].local.Forked == "" || !w.hasEvent("a has another history") {
		t.Errorf("a says %q; b alarms: %t", w.nodes["a"].local.Forked, w.hasEvent("a has another history"))
	}
}

func TestShrinkToTheLastAndGrowBack(t *testing.T) {
	w := newWorld(t, served(), "a", "b", "c", "d", "e")
	w.until(20*time.Second, "formed", func() bool { return w.allOnline(5) && w.runsOn("") })
	w.run(3 * time.Second)
	for i, name := range []string{"a", "b", "c", "d"} {
		w.nodes[name].crash()
		voters := []int{3, 3, 2, 1}[i]
		w.until(20*time.Second, name+" gone", func() bool { return w.allOnline(voters) && w.leader() != "" && w.runsOn("") })
		w.run(3 * time.Second)
	}
	for i, name := range []string{"b", "a", "d", "c"} {
		w.nodes[name].start()
		voters := []int{2, 3, 3, 5}[i]
		w.until(20*time.Second, name+" back", func() bool { return w.allOnline(voters) && w.runsOn("e") })
		w.run(3 * time.Second)
	}
}

// A fencing that was committed before its target, the other voter, went down is
// the vote: the device is not called again.
func TestOrderedFencingOfAPairIsTheVote(t *testing.T) {
	w := newPair(t, served())
	if r := w.request("b", event.Request{Fence: &event.FenceRequest{Node: "b"}, By: "test"}); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.until(10*time.Second, "a alone", func() bool { return w.member("a", "b") == cluster.NodeFenced && w.leader() == "a" })
	if len(w.calls) != 1 {
		t.Errorf("%d fence calls, want 1", len(w.calls))
	}
	w.nodes["b"].start()
	w.until(10*time.Second, "b back", func() bool { return w.allOnline(2) && w.runsOn("a") })
}

func TestFencingTheLeaderMovesLeadershipFirst(t *testing.T) {
	w := newWorld(t, served(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
	w.run(time.Second)
	leader := w.leader()
	if r := w.request(leader, event.Request{Fence: &event.FenceRequest{Node: leader}, By: "test"}); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.until(10*time.Second, "recovered", func() bool { return w.nodes[leader].core == nil && w.runsOn("") && w.leader() != "" })
	if len(w.calls) != 1 {
		t.Errorf("%d fence calls, want 1", len(w.calls))
	}
}

// A sole voter that boots reaches every former voter first, or confirms it off,
// whatever its newest snapshot says of who votes; a restart of its daemon does
// not make it sure.
func TestASoleVoterThatBootsWaits(t *testing.T) {
	w := newPair(t, served())
	b := w.nodes["b"]
	b.step(event.Stopping{})
	w.until(10*time.Second, "b has left", func() bool { return b.exit != nil && w.leader() == "a" && w.allOnline(1) })
	w.run(time.Second)
	w.fail = true
	a := w.nodes["a"]
	if conf := a.store.Snapshot.GetMetadata().GetConfState().GetVoters(); len(conf) != 1 {
		t.Logf("snapshot has voters %v", conf)
	}
	a.crash()
	a.start()
	for range 30 {
		w.run(time.Second)
		if w.leader() != "" || len(w.runningOn()) != 0 {
			t.Fatalf("%q leads, web runs on %v", w.leader(), w.runningOn())
		}
	}
	a.kill()
	a.start()
	for range 30 {
		w.run(time.Second)
		if w.leader() != "" || len(w.runningOn()) != 0 {
			t.Fatalf("after a restart of its daemon %q leads, web runs on %v", w.leader(), w.runningOn())
		}
	}
	b.start()
	w.until(10*time.Second, "both online", func() bool { return w.allOnline(2) && w.runsOn("") })
	// Sure once, a daemon that is started again in the same boot leads at once.
	b.step(event.Stopping{})
	w.until(10*time.Second, "b has left", func() bool { return b.exit != nil && w.leader() == "a" && w.allOnline(1) })
	a.kill()
	a.start()
	w.until(2*time.Second, "a leads", func() bool { return w.leader() == "a" && w.runsOn("a") })
}

// A node whose disk was set back to when it was the only voter hears the other one
// before that can object: it is not sure yet, and shoots nobody whom it hears.
func TestAnOldSoleVoterThatHears(t *testing.T) {
	w := newPair(t, served())
	a, b := w.nodes["a"], w.nodes["b"]
	b.step(event.Stopping{})
	w.until(10*time.Second, "b has left", func() bool { return b.exit != nil && w.leader() == "a" && w.allOnline(1) })
	w.run(time.Second)
	old := a.store
	old.Entries = slices.Clone(old.Entries)
	b.start()
	w.until(10*time.Second, "both online", func() bool { return w.allOnline(2) && w.runsOn("") })
	w.run(3 * time.Second)
	w.fail = true
	a.crash()
	a.store = old
	w.cut[[2]string{"a", "b"}] = true // b does not hear a, and a hears b
	w.calls = nil
	a.start()
	for range 40 {
		w.run(time.Second)
		if w.leader() == "a" {
			t.Fatal("a leads with an old state")
		}
	}
	for _, call := range w.calls {
		if call.Target.Node == "b" {
			t.Fatal("a has booted with an old state, hears b, and fences it")
		}
	}
	w.fail = false
	w.isolate("a", "b", false)
	w.until(time.Minute, "b goes on alone", func() bool { return w.leader() == "b" && w.runsOn("b") && a.core == nil })
	a.start()
	w.until(10*time.Second, "both online", func() bool { return w.allOnline(2) && w.runsOn("b") })
}

// A node whose snapshot is of when it was the only voter, and whose log has made
// it one of two since, is one of two.
func TestOneOfTwoIsNoSoleVoter(t *testing.T) {
	w := newPair(t, served())
	w.fail = true
	a := w.nodes["a"]
	if conf := a.store.Snapshot.GetMetadata().GetConfState().GetVoters(); len(conf) != 1 {
		t.Fatalf("snapshot has voters %v", conf)
	}
	w.isolate("a", "b", true)
	a.crash()
	a.start()
	w.calls = nil
	w.run(60 * time.Second)
	for _, call := range w.calls {
		if call.Target.Node == "b" {
			t.Fatalf("a, one of two voters, has booted, hears nobody, and fences b")
		}
	}
}

// A node that learns that it was confirmed off, though it is up, resets itself: a
// device that lies must not leave two owners for longer than can be helped.
func TestWhoIsHeldForOffResetsItself(t *testing.T) {
	for _, names := range [][]string{{"a", "b"}, {"a", "b", "c"}} {
		c := served()
		c.Resources[0].Params = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "pcmk_delay_base", Value: "a:5s"}}}}
		w := newWorld(t, c, names...)
		w.until(10*time.Second, "formed", func() bool { return w.allOnline(len(names)) && w.runsOn("a") })
		w.run(3 * time.Second)
		victim := w.nodes[names[len(names)-1]] // runs nothing: the harness allows no double owner
		victim.immortal = true
		for _, name := range names {
			w.isolate(victim.name, name, true)
		}
		w.until(10*time.Second, "held for off", func() bool { return w.member("a", victim.name) == cluster.NodeFenced })
		boot := victim.boot
		for _, name := range names {
			w.isolate(victim.name, name, false)
		}
		w.until(20*time.Second, "back after a reset", func() bool { return victim.boot > boot && w.allOnline(len(names)) })
	}
}
