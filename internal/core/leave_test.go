package core_test

import (
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// A leaving voter whose vote is needed, since another one is lost and not
// confirmed off, counts for as long as it is up.
func TestALeavingVoterCountsWhileItIsNeeded(t *testing.T) {
	for _, leader := range []string{"a", "b", "c"} {
		t.Run("leader "+leader, func(t *testing.T) {
			w := newWorld(t, served(), "a", "b", "c")
			w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
			w.request("a", event.Request{Transfer: &leader})
			w.until(time.Second, "handed over", func() bool { return w.leader() == leader })
			w.run(time.Second)
			w.fail = true
			w.nodes["b"].crash()
			w.until(5*time.Second, "b lost", func() bool { return w.member("a", "b") == cluster.NodeLost })
			w.run(time.Second)
			leaving := w.nodes["c"]
			leaving.step(event.Stopping{})
			w.until(5*time.Second, "a leads", func() bool { return w.leader() == "a" })
			for range 20 {
				w.run(time.Second)
				if w.leader() != "a" || leaving.exit != nil || !w.runsOn("a") {
					t.Fatalf("leader %q, exit of c %+v, web on %v", w.leader(), leaving.exit, w.runningOn())
				}
			}
			w.fail = false
			w.until(60*time.Second, "c has left", func() bool { return leaving.exit != nil && leaving.exit.Code == 0 })
			w.until(5*time.Second, "a goes on alone", func() bool { return w.leader() == "a" && w.allOnline(1) && w.runsOn("a") })
			leaving.start()
			w.nodes["b"].start()
			w.until(20*time.Second, "all back", func() bool { return w.allOnline(3) })
		})
	}
}

// A node that still holds what did not stop does not leave, and the log says why, once.
func TestALeavingNodeThatCannotStop(t *testing.T) {
	w := newWorld(t, served(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
	w.run(time.Second)
	leaving := w.nodes["a"]
	leaving.stubborn = true
	w.until(time.Second, "b knows", func() bool { return w.nodes["b"].state.Index == leaving.state.Index })
	leaving.step(event.Stopping{})
	w.run(10 * time.Second)
	index := w.nodes["b"].state.Index
	w.run(60 * time.Second)
	if grown := w.nodes["b"].state.Index - index; grown > 12 {
		t.Errorf("%d entries in a minute", grown)
	}
	said := 0
	for _, e := range w.nodes["b"].state.Events {
		if e.Kind == "alarm" && e.Node == "a" {
			t.Log(e.Text)
			said++
		}
	}
	if said != 1 || leaving.exit != nil {
		t.Errorf("said %d times why, exit %+v", said, leaving.exit)
	}
}

// Without a leader nobody can let a node go: it stops what it runs, and ends.
func TestLeavingWithoutALeader(t *testing.T) {
	for _, names := range [][]string{{"a", "b"}, {"a", "b", "c"}} {
		w := newWorld(t, served(), names...)
		w.until(10*time.Second, "formed", func() bool { return w.allOnline(len(names)) && w.runsOn("a") })
		w.run(time.Second)
		w.fail = true
		for _, name := range names[1:] {
			w.nodes[name].crash()
		}
		w.run(time.Second)
		n := w.nodes["a"]
		n.step(event.Stopping{})
		w.until(15*time.Second, "a has stopped everything", func() bool { return n.exit != nil })
		if len(w.runningOn()) != 0 || n.exit.Code != 0 {
			t.Errorf("web runs on %v, exit %+v", w.runningOn(), *n.exit)
		}
	}
}
