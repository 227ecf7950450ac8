//go:build mutants

package sim

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster/mutant"
)

// mutants are the deliberate breaks of safety rules, each with the rule that it
// breaks. Every one has to be found by the simulator.
var mutants = []struct {
	name, rule string
	live       bool // it is found by what does not work any more
	quick      bool // a few seeds are enough
}{
	{quick: true, name: "start before the grant is committed", rule: "2"},
	{name: "grant what another holds", rule: "2"},
	{name: "release when the stop is ordered", rule: "2"},
	{name: "remove a node that is not confirmed off", rule: "2"},
	{quick: true, name: "lost means off", rule: "3"},
	{name: "a fencing counts when it begins", rule: "3"},
	{name: "confirm what is heard", rule: "3"},
	{name: "admit while a fencing is open", rule: "3"},
	{name: "a failed fencing counts", rule: "3"},
	{name: "a helper calls without the leader's word", rule: "3"},
	{name: "cutting storage ends everything", rule: "3"},
	{name: "fence any number of nodes", rule: "3"},
	{quick: true, name: "forget the records of operations", rule: "4"},
	{name: "a restarted daemon is a new boot", rule: "4"},
	{name: "a report does not overtake orders", rule: "4"},
	{name: "obey an older term", rule: "4"},
	{name: "obey an order twice", rule: "4"},
	{name: "obey what is meant for a former life", rule: "4"},
	{live: true, name: "hear other lineages", rule: "4, 5"},
	{quick: true, name: "a witness votes beside any number of nodes", rule: "5"},
	{name: "vote with a change of voters under way", rule: "6"},
	{name: "say that voters are synced when they are applied", rule: "6"},
	{name: "vote though the other may not know the voters", rule: "6"},
	{name: "vote without what the voters of before had committed", rule: "6"},
	{name: "vote though conditions have changed", rule: "6"},
	{name: "a failed fencing is a vote", rule: "6"},
	{name: "a device that leaves the boot alive is a vote", rule: "6"},
	{name: "without a device silence is the vote", rule: "6"},
	{name: "a departure is a vote", rule: "6"},
	{name: "the vote forgets what is not applied", rule: "6"},
	{quick: true, name: "time is the vote of a pair", rule: "6"},
	{name: "a sole voter boots and leads", rule: "7"},
	{name: "without quorum keep everything", rule: "8"},
	{name: "obey without contact", rule: "8"},
	{name: "feed the watchdog without contact", rule: "8"},
	{name: "count the watchdog without the lease", rule: "8"},
	{name: "count the watchdog from before a pair", rule: "8"},
	{name: "keep as a pair with a change of voters under way", rule: "8"},
	{name: "migrate to who does not expect it", rule: "8"},
	{name: "count the lease from receipt", rule: "8"},
	{name: "give lost nodes contact", rule: "8"},
	{name: "renew leases without a majority", rule: "8"},
	{name: "use what is torn or set back", rule: "9"},
	{name: "answer before the sync", rule: "9"},
	{name: "use a format that not all know", rule: "9"},
	{quick: true, name: "acknowledge before the commit", rule: "9"},
	{name: "learn without the term", rule: "9"},
	{name: "carry out a request twice", rule: "9"},
}

// TestMutants proves that the simulator can fail: run it with the build tag
// "mutants". HA_SIM_SEEDS is the last seed that each may take, HA_SIM_FIRST the
// first, HA_SIM_MINUTES how long each is, HA_SIM_FOR how long all may take;
// HA_SIM_MUTANT picks those whose name contains one of its words, which commas part,
// HA_SIM_QUICK those that few seeds find. What is not found soon is looked for again,
// from there on, after the others. It prints the table of docs/DESIGN.md.
func TestMutants(t *testing.T) {
	seeds, first, minutes := uint64(2000), uint64(1), 10.0
	if n, err := strconv.ParseUint(os.Getenv("HA_SIM_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	if n, err := strconv.ParseUint(os.Getenv("HA_SIM_FIRST"), 10, 64); err == nil {
		first = n
	}
	if n, err := strconv.ParseFloat(os.Getenv("HA_SIM_MINUTES"), 64); err == nil {
		minutes = n
	}
	limit := 10 * time.Minute
	if d, err := time.ParseDuration(os.Getenv("HA_SIM_FOR")); err == nil {
		limit = d
	}
	end := time.Now().Add(limit)
	defer func() { mutant.Current = "" }()
	picked := func(name string, quick bool) bool {
		return (quick || os.Getenv("HA_SIM_QUICK") == "") && slices.ContainsFunc(strings.Split(os.Getenv("HA_SIM_MUTANT"), ","), func(word string) bool { return strings.Contains(name, word) })
	}
	results, next := make([]*Result, len(mutants)), make([]uint64, len(mutants))
	for _, most := range []uint64{50, 200, seeds} {
		for i, m := range mutants {
			next[i] = max(next[i], first)
			if last := min(most, seeds); picked(m.name, m.quick) && results[i] == nil && next[i] <= last && time.Now().Before(end) {
				began, from := time.Now(), next[i]
				results[i], next[i] = search(m.name, m.live, from, last, Options{Length: time.Duration(minutes * float64(time.Minute))}, end)
				t.Logf("%s: seeds %d to %d in %v, found: %v", m.name, from, next[i]-1, time.Since(began).Round(time.Second), results[i] != nil)
			}
		}
	}
	for i, m := range mutants {
		switch {
		case !picked(m.name, m.quick):
		case results[i] == nil:
			t.Errorf("rule %s, %s: not found by seed %d", m.rule, m.name, next[i]-1)
			fmt.Printf("| %s | %s | not by %d | |\n", m.rule, m.name, next[i]-1)
		default:
			fmt.Printf("| %s | %s | %d | %s |\n", m.rule, m.name, results[i].Shape.Seed, results[i].Breaches[0].Rule)
		}
	}
}

// search breaks a rule and runs the seeds from first to last, until one fails that
// does not fail with all rules intact. It returns that, and the seed to go on with.
func search(name string, live bool, first, last uint64, o Options, end time.Time) (found *Result, next uint64) {
	mutant.Current = name
	for found == nil && first <= last && time.Now().Before(end) {
		s := Many(first, int(last-first+1), o, func(r *Result) bool {
			if r.Failed() && (r.Breaches[0].Rule != "live" || live) && (found == nil || r.Shape.Seed < found.Shape.Seed) {
				found = r
			}
			return found == nil && time.Now().Before(end)
		})
		first += uint64(s.Seeds)
		if found != nil && soundFails(found.Shape.Seed, o, name) {
			found = nil // that is no proof
		}
	}
	return found, first
}

// soundFails tells whether a seed fails with no rule broken on purpose.
func soundFails(seed uint64, o Options, broken string) bool {
	mutant.Current = ""
	defer func() { mutant.Current = broken }()
	return Run(seed, o).Failed()
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
