//go:build mutants

package sim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster/mutant"
)

// mutants are the deliberate breaks of safety rules, each with the rule that it
// breaks. Every one has to be found by the simulator.
var mutants = []struct{ name, rule string }{
	{"start before the grant is committed", "2"},
	{"grant what another holds", "2"},
	{"release when the stop is ordered", "2"},
	{"remove a node that is not confirmed off", "2"},
	{"lost means off", "3"},
	{"a fencing counts when it begins", "3"},
	{"confirm what is heard", "3"},
	{"admit while a fencing is open", "3"},
	{"a failed fencing counts", "3"},
	{"forget the records of operations", "4"},
	{"a restarted daemon is a new boot", "4"},
	{"a report does not overtake orders", "4"},
	{"obey an older term", "4"},
	{"obey an order twice", "4"},
	{"plan before the reports", "4"},
	{"obey what is meant for a former life", "4"},
	{"a loss is not final", "4"},
	{"hear other lineages", "4, 5"},
	{"vote with a change of voters under way", "6"},
	{"say that voters are synced when they are applied", "6"},
	{"vote though the other may not know the voters", "6"},
	{"vote though conditions have changed", "6"},
	{"a failed fencing is a vote", "6"},
	{"a device that leaves the boot alive is a vote", "6"},
	{"without a device silence is the vote", "6"},
	{"the vote forgets what is not applied", "6"},
	{"time is the vote of a pair", "6"},
	{"a sole voter boots and leads", "7"},
	{"without quorum keep everything", "8"},
	{"obey without contact", "8"},
	{"feed the watchdog without contact", "8"},
	{"count the watchdog without the lease", "8"},
	{"count the lease from receipt", "8"},
	{"give lost nodes contact", "8"},
	{"renew leases without a majority", "8"},
	{"answer before the sync", "9"},
	{"acknowledge before the commit", "9"},
}

// TestMutants proves that the simulator can fail: run it with the build tag
// "mutants". HA_SIM_SEEDS is how many seeds each may take, HA_SIM_MUTANT picks
// those whose name contains it.
func TestMutants(t *testing.T) {
	seeds := 2000
	if n, err := strconv.Atoi(os.Getenv("HA_SIM_SEEDS")); err == nil {
		seeds = n
	}
	limit := 10 * time.Minute
	if d, err := time.ParseDuration(os.Getenv("HA_SIM_FOR")); err == nil {
		limit = d
	}
	defer func() { mutant.Current = "" }()
	for _, m := range mutants {
		if !strings.Contains(m.name, os.Getenv("HA_SIM_MUTANT")) {
			continue
		}
		mutant.Current = m.name
		began := time.Now()
		var found *Result
		s := Many(1, seeds, Options{Length: 2 * time.Minute}, func(r *Result) bool {
			if r.Failed() && r.Breaches[0].Rule != "live" && found == nil {
				found = r
			}
			return found == nil && time.Since(began) < limit
		})
		if found == nil {
			t.Errorf("rule %s, %s: not found in %d seeds", m.rule, m.name, s.Seeds)
			fmt.Printf("| %s | %s | not found in %d | |\n", m.rule, m.name, s.Seeds)
			continue
		}
		fmt.Printf("| %s | %s | %d | %s |\n", m.rule, m.name, s.Seeds, found.Breaches[0].Rule)
	}
}

// TestShrink: a failed run keeps failing with fewer faults.
func TestShrink(t *testing.T) {
	defer func() { mutant.Current = "" }()
	mutant.Current = "lost means off"
	o := Options{Length: 2 * time.Minute}
	for seed := uint64(1); seed < 100; seed++ {
		r := Run(seed, o)
		if !r.Failed() || r.Breaches[0].Rule == "live" || len(r.Faults) < 3 {
			continue
		}
		small := Shrink(r, o, 60)
		if !small.Failed() || small.Breaches[0].Rule != r.Breaches[0].Rule || len(small.Faults) >= len(r.Faults) {
			t.Fatalf("seed %d: %d faults became %d, %v", seed, len(r.Faults), len(small.Faults), small.Breaches)
		}
		t.Logf("seed %d: %d faults became %v", seed, len(r.Faults), small.Faults)
		return
	}
	t.Fatal("nothing failed")
}
