package sim

import (
	"os"
	"strconv"
	"testing"
	"time"
)

func TestTry(t *testing.T) {
	seed, _ := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	n, _ := strconv.Atoi(os.Getenv("N"))
	min, _ := strconv.Atoi(os.Getenv("MIN"))
	if min == 0 {
		min = 10
	}
	for i := range max(n, 1) {
		o := Options{Length: time.Duration(min) * time.Minute}
		if n == 0 {
			o.Trace = os.Stdout
		}
		began := time.Now()
		r := Run(seed+uint64(i), o)
		t.Logf("seed %d: %+v, %d faults, %d events, simulated %v in %v, recovery %v", seed+uint64(i), r.Shape, len(r.Faults), r.Events, r.Simulated, time.Since(began), r.Recovery)
		for _, b := range r.Breaches {
			t.Errorf("%v", b)
		}
		if n == 0 {
			t.Log(r.Stats)
		}
	}
}
