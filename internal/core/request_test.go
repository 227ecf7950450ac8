package core_test

import (
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// A node is admitted twice: it starts with the first Raft id, which the second
// admission ends. It is told, and joins afresh by itself.
func TestTwoAdmissionsInFlight(t *testing.T) {
	w := newWorld(t, powered(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) })
	w.run(time.Second)
	n := w.nodes["c"]
	n.crash()
	w.until(5*time.Second, "c fenced", func() bool { return w.member("a", "c") == cluster.NodeFenced })
	w.until(5*time.Second, "two voters", func() bool { return w.allOnline(2) })
	for _, id := range []uint64{901, 902} {
		r := w.request("a", event.Request{Commands: []cluster.Command{{Admit: &cluster.Admit{Member: cluster.Member{Name: "c", RaftID: id, Links: []string{"l0"}}}}}})
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	n.store = event.Stored{}
	n.store.Apply(&event.Persist{Identity: &event.Identity{Node: "c", RaftID: 901, Lineage: w.nodes["a"].state.Lineage, Counter: 1}})
	n.start()
	w.until(10*time.Second, "c joins afresh", func() bool { return w.allOnline(3) })
	if id := n.store.Identity.RaftID; id == 901 || id == 902 {
		t.Errorf("c has Raft id %d", id)
	}
}

// A follower that takes over the state from a snapshot still answers, at once,
// what its administrators had asked.
func TestRequestsAreAnsweredAcrossASnapshot(t *testing.T) {
	w := newWorld(t, powered(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.leader() == "a" })
	w.run(time.Second)
	// What the leader sends to c is lost, and its log is dropped meanwhile.
	n := w.nodes["c"]
	requestID++
	id := requestID
	w.deaf = "c"
	config := cluster.ConfigChange{Config: powered()}
	n.step(event.Requested{ID: id, Request: event.Request{Commands: []cluster.Command{{Config: &config}}}})
	for range 4100 {
		requestID++
		w.nodes["a"].step(event.Requested{ID: requestID, Request: event.Request{Commands: []cluster.Command{{Config: &config}}}})
		w.run(time.Millisecond)
	}
	if _, ok := n.reply[id]; ok {
		t.Fatal("c has an answer already")
	}
	w.deaf = ""
	w.until(2*time.Second, "an answer", func() bool { _, ok := n.reply[id]; return ok })
	if r := n.reply[id]; r.Err != nil || r.Index == 0 || n.state.Index < r.Index {
		t.Errorf("answer %+v at %d", r, n.state.Index)
	}
	if len(w.log) > 0 && testing.Verbose() {
		for _, l := range w.log[len(w.log)-20:] {
			t.Log(l)
		}
	}
}

// Who forwards a request asks each new leader again. A copy that comes late, in this
// term or from an earlier one, must not undo what was done since.
func TestARequestIsCarriedOutOnce(t *testing.T) {
	w := newWorld(t, powered(), "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.leader() == "a" })
	w.run(time.Second)
	set := func(value string) {
		t.Helper()
		r := w.request("c", event.Request{Commands: []cluster.Command{{Attribute: &cluster.AttributeChange{Node: "c", Name: "color", Value: value}}}})
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	var first *event.Message
	w.sent = func(_ *node, m *event.Message) {
		if m.Propose != nil && first == nil {
			first = m
		}
	}
	set("red")
	set("green")
	again := func(when string) {
		t.Helper()
		w.nodes["a"].step(event.MessageReceived{Peer: "c", Message: *first})
		w.run(time.Second)
		for _, name := range w.names {
			for _, p := range w.nodes[name].state.Member("c").Attributes {
				if p.Name == "color" && p.Value != "green" {
					t.Errorf("%s: a late copy of a request was carried out: %s has %s", when, name, p.Value)
				}
			}
		}
	}
	again("in the same term")
	given := *first.Propose
	given.ID, given.Until = given.ID+1000, given.Until-15*time.Second
	first.Propose = &given
	again("given up before it came")
	lead := func(name string) {
		t.Helper()
		w.until(10*time.Second, "a leader", func() bool { return w.leader() != "" && w.allOnline(3) })
		w.run(time.Second)
		if r := w.request(w.leader(), event.Request{Transfer: &name}); r.Err != nil {
			t.Fatal(r.Err)
		}
		w.until(10*time.Second, name+" leads", func() bool { return w.leader() == name })
		w.run(time.Second)
	}
	lead("b")
	w.nodes["a"].kill() // and remembers nothing but what its disk has
	w.nodes["a"].start()
	lead("a")
	again("in a later term")
}

// That a node is off is not true as long as anyone hears it, also where there is no
// leader who could be told: it is not judged later, when who hears it is lost, too.
func TestConfirmIsRefusedWithoutALeader(t *testing.T) {
	w := newWorld(t, served(), "a", "b", "c", "d")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.leader() != "" })
	w.fail = true
	name := "a"
	if w.leader() != name {
		if r := w.request(w.leader(), event.Request{Transfer: &name}); r.Err != nil {
			t.Fatal(r.Err)
		}
		w.until(10*time.Second, "a leads", func() bool { return w.leader() == name })
	}
	w.run(time.Second)
	w.nodes["b"].crash()
	w.cut[[2]string{"a", "c"}] = true // c still reaches a, but nobody leads
	w.cut[[2]string{"a", "d"}], w.cut[[2]string{"d", "a"}] = true, true
	w.run(3 * time.Second)
	r := w.request("a", event.Request{Confirm: "d"})
	if r.Err == nil || r.Err.Kind != "unsafe" || !strings.Contains(r.Err.Text, "c still hears d") {
		t.Errorf("a confirms d, which c hears: %v", r.Err)
	}
}
