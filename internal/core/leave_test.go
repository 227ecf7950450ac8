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
