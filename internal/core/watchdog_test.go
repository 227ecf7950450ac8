package core_test

import (
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// What others count on of a watchdog follows the running configuration: it is armed
// before, and released only after, they do.
func TestWatchdogConfiguredLater(t *testing.T) {
	unfenced := served()
	unfenced.Resources = unfenced.Resources[1:]
	w := newWorld(t, unfenced, "a", "b", "c")
	w.until(10*time.Second, "all online", func() bool { return w.allOnline(3) && w.runsOn("") })
	configure := func(watchdog *cluster.Watchdog, policy string) {
		t.Helper()
		c := unfenced
		c.Watchdog = watchdog
		c.Options = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "no-quorum-policy", Value: policy}}}}
		if r := w.request("a", event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: c}}}}); r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	agreed := func(timeout time.Duration) func() bool {
		return func() bool {
			for _, n := range w.nodes {
				for _, name := range w.names {
					if n.dog != timeout || n.state.Member(name).WatchdogTimeout != timeout {
						return false
					}
				}
			}
			return true
		}
	}
	for _, step := range []struct {
		what     string
		watchdog *cluster.Watchdog
		policy   string
		want     time.Duration
	}{
		{"configured", &cluster.Watchdog{Device: "/dev/watchdog", Timeout: 2 * time.Second}, "stop", 2 * time.Second},
		{"a longer time-out", &cluster.Watchdog{Device: "/dev/watchdog", Timeout: 5 * time.Second}, "stop", 5 * time.Second},
		{"a policy that keeps what runs", &cluster.Watchdog{Device: "/dev/watchdog", Timeout: 5 * time.Second}, "freeze", 0},
		{"a policy that does not", &cluster.Watchdog{Device: "/dev/watchdog", Timeout: 5 * time.Second}, "fence", 5 * time.Second},
		{"another device", &cluster.Watchdog{Device: "/dev/watchdog1", Timeout: 5 * time.Second}, "fence", 5 * time.Second},
		{"taken out", nil, "stop", 0},
		{"and back", &cluster.Watchdog{Device: "/dev/watchdog", Timeout: 3 * time.Second}, "stop", 3 * time.Second},
	} {
		configure(step.watchdog, step.policy)
		w.until(10*time.Second, step.what, agreed(step.want))
	}
	// And others do count on it: nothing else fences here.
	lost := w.runningOn()[0]
	w.nodes[lost].crash()
	cut := w.now
	w.until(30*time.Second, "web runs elsewhere", func() bool { on := w.runningOn(); return len(on) == 1 && on[0] != lost })
	if after := w.now - cut; after < 3*time.Second+4*time.Second {
		t.Errorf("web runs elsewhere %v after the crash: the lease and the watchdog take longer", after)
	}
}

// Others count on a node's watchdog as soon as it is online, also after it was lost
// and is back in the same boot: until then nobody could recover what it runs.
func TestWatchdogIsToldAtOnce(t *testing.T) {
	c := served()
	c.Resources = c.Resources[1:]
	w := newWorld(t, c, "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
	c.Watchdog = &cluster.Watchdog{Device: "/dev/watchdog", Timeout: 2 * time.Second}
	if r := w.request("a", event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: c}}}}); r.Err != nil {
		t.Fatal(r.Err)
	}
	counted := func(name string) bool {
		m := w.nodes[w.leader()].state.Member(name)
		return m.State == cluster.NodeOnline && m.WatchdogTimeout > 0
	}
	w.until(10*time.Second, "every watchdog counts", func() bool { return counted("a") && counted("b") && counted("c") })
	w.sent = func(from *node, m *event.Message) {
		if k := m.Contact; k != nil && !k.Answer && k.Lease > 0 && k.Watchdog == 0 {
			t.Errorf("%s says that it has no watchdog", from.name) // and might take back what its report has said
		}
	}
	for i := range 60 { // at all moments of the rhythm in which contact is asked for
		victim := w.names[i%3]
		w.run(5*time.Second + time.Duration(i)*9*time.Millisecond)
		for _, other := range w.names {
			if other != victim {
				w.isolate(victim, other, true)
			}
		}
		w.until(30*time.Second, "it counts as off", func() bool {
			l := w.leader()
			return l != "" && l != victim && w.member(l, victim) == cluster.NodeOffline
		})
		w.cut = map[[2]string]bool{}
		w.until(20*time.Second, "it is back", func() bool { return w.allOnline(3) })
		w.run(50 * time.Millisecond)
		if !counted(victim) {
			t.Errorf("round %d: the watchdog of %s does not count though it is online", i, victim)
		}
	}
}

// A node's lease is as long as the configuration says when it joins, and stays so for
// its incarnation: also when it was lost for a moment, and is asked anew, it must not
// tell a shorter one while an answer under the longer one still holds.
func TestLeaseStays(t *testing.T) {
	c := served()
	c.Resources = c.Resources[1:]
	c.Detection = cluster.Detection{Preset: "fast"}
	c.Watchdog = &cluster.Watchdog{Device: "/dev/watchdog", Timeout: 2 * time.Second}
	w := newWorld(t, c, "a", "b", "c")
	w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
	leases := func(want time.Duration) {
		t.Helper()
		for _, name := range w.names {
			if got := w.nodes[w.leader()].state.Member(name).Lease; got != want {
				t.Errorf("others count on a lease of %v of %s, want %v", got, name, want)
			}
		}
	}
	leases(time.Second)
	c.Detection.Preset = "normal"
	if r := w.request("a", event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: c}}}}); r.Err != nil {
		t.Fatal(r.Err)
	}
	w.run(5 * time.Second)
	leases(time.Second)
	for _, other := range []string{"a", "c"} {
		w.isolate("b", other, true)
	}
	w.until(5*time.Second, "b is lost", func() bool { return w.member("a", "b") == cluster.NodeLost })
	w.cut = map[[2]string]bool{}
	w.until(10*time.Second, "b is back", func() bool { return w.allOnline(3) })
	leases(time.Second)
}

// A node that leaves in an orderly way releases its watchdog, also on a busy host,
// where it learns that it may go before it has come to feed it.
func TestWatchdogIsReleasedAtTheEnd(t *testing.T) {
	c := served()
	c.Resources = c.Resources[1:]
	c.Watchdog = &cluster.Watchdog{Device: "/dev/watchdog", Timeout: 2 * time.Second}
	for _, late := range []time.Duration{0, 100 * time.Millisecond, 500 * time.Millisecond} {
		w := newWorld(t, c, "a", "b", "c")
		w.until(10*time.Second, "formed", func() bool { return w.allOnline(3) && w.runsOn("a") })
		n := w.nodes["b"]
		n.step(event.Stopping{})
		w.until(20*time.Second, "it may go", func() bool { return w.member(w.leader(), "b") == cluster.NodeOffline })
		n.pausedTill = w.now + late
		w.until(20*time.Second, "it leaves", func() bool { return n.exit != nil })
		if n.dog != 0 {
			t.Errorf("b has left, %v late, but its watchdog is armed", late)
		}
	}
}
