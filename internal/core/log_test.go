package core_test

import (
	"fmt"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// A node that was away while the log was compacted gets the state as a snapshot,
// and everybody still has it after a restart of all.
func TestSnapshotReachesWhoWasAway(t *testing.T) {
	w := newWorld(t, powered(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) })
	w.nodes["c"].crash()
	w.until(10*time.Second, "c fenced", func() bool { return w.member("a", "c") == cluster.NodeFenced })
	const changes = 4500
	for i := range changes {
		n := w.nodes["b"]
		requestID++
		n.step(event.Requested{ID: requestID, Request: event.Request{Commands: []cluster.Command{
			{Attribute: &cluster.AttributeChange{Node: "b", Name: "n", Value: fmt.Sprint(i)}},
		}}})
		w.run(time.Millisecond)
	}
	value := func(of string) string {
		if n := w.nodes[of]; n.up() && n.state != nil && n.state.Member("b") != nil {
			return n.state.Member("b").Attribute("n")
		}
		return ""
	}
	last := fmt.Sprint(changes - 1)
	w.until(10*time.Second, "all applied", func() bool { return value("a") == last && value("b") == last })
	if n := len(w.nodes["a"].store.Entries); n > 3000 {
		t.Errorf("the log still has %d entries", n)
	}
	w.nodes["c"].start()
	w.until(10*time.Second, "c has the state", func() bool { return value("c") == last && w.allOnline(3) })
	for _, name := range w.names {
		w.nodes[name].kill()
	}
	for _, name := range w.names {
		w.nodes[name].start()
	}
	w.until(10*time.Second, "all back", func() bool {
		return w.allOnline(3) && value("a") == last && value("b") == last && value("c") == last
	})
}

// What was acknowledged is on a majority's disks: no crash of a minority, and no
// power cut of all, loses it.
func TestAcknowledgedIsDurable(t *testing.T) {
	w := newWorld(t, powered(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) })
	for i, victim := range []string{"a", "b", "c", "all", "a", "all"} {
		text := fmt.Sprint(i)
		if r := w.request("b", event.Request{Commands: []cluster.Command{{Token: &cluster.Token{Hash: text, Expires: w.wall().Add(time.Hour)}}}}); r.Err != nil {
			t.Fatal(r.Err)
		}
		victims := []string{victim}
		if victim == "all" {
			victims = w.names
		}
		for _, v := range victims {
			w.nodes[v].crash()
		}
		w.run(1500 * time.Millisecond) // whoever is to be fenced has been by now
		for _, v := range victims {
			if n := w.nodes[v]; n.core == nil {
				n.start()
			}
		}
		w.until(30*time.Second, "all back", func() bool { return w.leader() != "" && w.allOnline(3) })
		w.run(time.Second)
		if r := w.request("c", event.Request{Barrier: true}); r.Err != nil {
			t.Fatal(r.Err)
		}
		w.run(time.Second)
		for _, name := range w.names {
			if tokens := w.nodes[name].state.Tokens; len(tokens) != i+1 || tokens[i].Hash != text {
				w.broken("%s has lost acknowledged change %d: %v", name, i, tokens)
			}
		}
	}
}

// With the disk of the leader stuck nothing is acknowledged.
func TestNothingIsAcknowledgedWithoutTheDisk(t *testing.T) {
	w := newWorld(t, powered(), "a")
	w.until(5*time.Second, "online", func() bool { return w.allOnline(1) })
	w.run(time.Second)
	n := w.nodes["a"]
	n.stuck = true
	requestID++
	n.step(event.Requested{ID: requestID, Request: event.Request{Commands: []cluster.Command{{Token: &cluster.Token{Hash: "x", Expires: w.wall().Add(time.Hour)}}}}})
	w.run(5 * time.Second)
	if r, ok := n.reply[requestID]; ok {
		t.Errorf("answered: %+v", r)
	}
	w.run(6 * time.Second)
	if r := n.reply[requestID]; r.Err == nil || r.Err.Kind != "timeout" {
		t.Errorf("reply %+v, want a timeout", r)
	}
}

// A disk that was set back, by a restored snapshot say, has forgotten a vote and
// what it acknowledged: the node joins afresh.
func TestStateOlderThanPeersRememberIsNotUsed(t *testing.T) {
	w := newWorld(t, served(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
	w.run(time.Second)
	old := w.nodes["c"].store
	for range 3 {
		w.nodes["c"].crash()
		w.run(2 * time.Second)
		w.nodes["c"].start()
		w.until(10*time.Second, "c back", func() bool { return w.allOnline(3) })
		w.run(time.Second)
	}
	id := w.nodes["c"].store.Identity.RaftID
	w.nodes["c"].crash()
	w.run(2 * time.Second)
	w.nodes["c"].store = old
	w.nodes["c"].start()
	w.until(20*time.Second, "c has joined afresh", func() bool {
		return w.allOnline(3) && w.nodes["c"].store.Identity.RaftID != id
	})
	if !w.runsOn("a") {
		t.Errorf("web runs on %v", w.runningOn())
	}
}
