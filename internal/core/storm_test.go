package core_test

import (
	"flag"
	"fmt"
	"math/rand"
	"testing"
	"time"
)

var (
	stormSeeds = flag.Int("storm.seeds", 20, "random runs")
	stormSeed  = flag.Int64("storm.seed", 0, "only this random run")
)

// TestStorm lets random faults happen for a while: the service must never run
// twice, and must run once all is well again.
func TestStorm(t *testing.T) {
	for i := range *stormSeeds {
		seed := int64(i + 1)
		if *stormSeed != 0 {
			seed = *stormSeed
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { storm(t, seed) })
		if t.Failed() || *stormSeed != 0 {
			return
		}
	}
}

func storm(t *testing.T, seed int64) {
	r := rand.New(rand.NewSource(seed))
	names := []string{"a", "b", "c", "d", "e"}[:[]int{1, 2, 2, 3, 3, 4, 5}[r.Intn(7)]]
	w := newWorld(t, served(), names...)
	w.until(20*time.Second, "formed", func() bool { return w.leader() != "" && w.runsOn("") })
	end := w.now + time.Duration(30+r.Intn(90))*time.Second
	for w.now < end {
		w.run(time.Duration(r.Intn(4000)) * time.Millisecond)
		n, o := w.nodes[names[r.Intn(len(names))]], w.nodes[names[r.Intn(len(names))]]
		switch r.Intn(12) {
		case 0, 1:
			if n.up() {
				n.crash()
			}
		case 2, 3, 4:
			if n.core == nil {
				w.note("--- %s starts", n.name)
				n.start()
			}
		case 5:
			if n.up() {
				n.kill()
			}
		case 6:
			w.note("--- cut %s to %s", n.name, o.name)
			w.cut[[2]string{n.name, o.name}] = true
		case 7:
			w.note("--- isolate %s", n.name)
			for _, x := range names {
				w.isolate(n.name, x, true)
			}
		case 8, 9:
			w.note("--- heal")
			clear(w.cut)
		case 10:
			w.fail = r.Intn(2) == 0
			w.note("--- fence devices fail: %v", w.fail)
		case 11:
			d := time.Duration(r.Intn(3000)) * time.Millisecond
			w.note("--- pause %s for %v", n.name, d)
			n.pausedTill = w.now + d
		}
	}
	w.note("--- all well again")
	clear(w.cut)
	w.fail = false
	ok := func() bool {
		for _, name := range names {
			if n := w.nodes[name]; n.core == nil {
				n.start()
			}
		}
		votes := map[int]int{1: 1, 2: 2, 3: 3, 4: 3, 5: 5}[len(names)]
		return w.leader() != "" && w.allOnline(votes) && len(w.runningOn()) == 1
	}
	w.until(60*time.Second, "recovered", ok)
}
