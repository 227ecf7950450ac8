package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/sim"
)

// newSim is for developers: the real core in simulated worlds.
func newSim() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "sim",
		Hidden: true,
		Short:  "Run the core through simulated, hostile worlds",
		Long: `Runs the real core in simulated worlds: clocks, networks, disks, power, fence
devices, agents and administrators that fail as a seed says. Each run is checked
against what really happened in its world. The same seed makes the same run.`,
		Example: "  ha sim --seeds 500 --minutes 10\n  ha sim --seed 17 --trace\n  ha sim --seed 17 --shrink",
		Args:    cobra.NoArgs,
	}
	seeds := cmd.Flags().Int("seeds", 100, "how many seeds to run")
	first := cmd.Flags().Uint64("first", 1, "the first of them")
	seed := cmd.Flags().Uint64("seed", 0, "run this seed only")
	minutes := cmd.Flags().Float64("minutes", 10, "simulated minutes of trouble in each run")
	trace := cmd.Flags().Bool("trace", false, "with --seed: print what happens")
	shrink := cmd.Flags().Bool("shrink", false, "make every failed run small, by leaving out faults as long as it still fails (one of each kind is always)")
	limit := cmd.Flags().Duration("for", 0, "begin no further seed after this time (0: all seeds)")
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *minutes <= 0 || *seeds <= 0 {
			return usage("--minutes and --seeds must be above 0")
		}
		o := sim.Options{Length: time.Duration(*minutes * float64(time.Minute))}
		out := bufio.NewWriter(cmd.OutOrStdout())
		defer out.Flush()
		if *seed == 0 {
			return runSeeds(out, *first, *seeds, o, *limit, *shrink, *asJSON)
		}
		if *trace {
			o.Trace = out
		}
		r := sim.Run(*seed, o)
		if r.Failed() && *shrink {
			r = sim.Shrink(r, sim.Options{Length: o.Length}, 2*tries)
		}
		if *asJSON {
			if err := printJSON(out, r); err != nil {
				return err
			}
		} else {
			printRun(out, r)
		}
		if r.Failed() {
			return &ExitError{Code: ExitFailure}
		}
		return nil
	}
	return cmd
}

// tries bounds how many runs the shrinking of one failed run may take.
const tries = 200

func runSeeds(out *bufio.Writer, first uint64, count int, o sim.Options, limit time.Duration, shrink, asJSON bool) error {
	progress := newSimProgress(count)
	failed := 0
	s := sim.Many(first, count, o, func(r *sim.Result) bool {
		progress.add(r)
		failed += len(r.Breaches)
		return (limit == 0 || time.Since(progress.began) < limit) && failed < 20
	})
	classes := classesOf(s)
	for _, rule := range slices.Sorted(maps.Keys(classes)) {
		for i, r := range classes[rule] {
			if i > 0 && !shrink {
				break // one of each class is made small in any case
			}
			fmt.Fprintf(os.Stderr, "ha: shrinking seed %d\n", r.Shape.Seed)
			*r = *sim.Shrink(r, o, tries)
		}
	}
	if asJSON {
		if err := printJSON(out, s); err != nil {
			return err
		}
	} else {
		printSummary(out, s, classes)
	}
	if len(s.Failures) > 0 {
		return &ExitError{Code: ExitFailure}
	}
	return nil
}

// simProgress says on stderr how far a long run is.
type simProgress struct {
	count, done, failed int
	began, told         time.Time
}

func newSimProgress(count int) *simProgress {
	return &simProgress{count: count, began: time.Now(), told: time.Now()}
}

func (p *simProgress) add(r *sim.Result) {
	p.done++
	if r.Failed() {
		p.failed++
		fmt.Fprintf(os.Stderr, "ha: seed %d failed: %v\n", r.Shape.Seed, r.Breaches[0])
	}
	if time.Since(p.told) < 10*time.Second && p.done < p.count {
		return
	}
	p.told = time.Now()
	rate := float64(p.done) / time.Since(p.began).Seconds()
	left := time.Duration(float64(p.count-p.done) / rate * float64(time.Second))
	fmt.Fprintf(os.Stderr, "ha: %d of %d seeds, %.1f a second, %d failed, %v left\n", p.done, p.count, rate, p.failed, left.Round(time.Second))
}

// classesOf sorts failed runs by the rule that was broken.
func classesOf(s *sim.Summary) map[string][]*sim.Result {
	classes := map[string][]*sim.Result{}
	for _, r := range s.Failures {
		classes[r.Breaches[0].Rule] = append(classes[r.Breaches[0].Rule], r)
	}
	return classes
}

func printRun(out *bufio.Writer, r *sim.Result) {
	fmt.Fprintf(out, "seed %d: %v; %d faults, %d events, %v simulated, recovered in %v (%v allowed)\n",
		r.Shape.Seed, r.Shape.String(), len(r.Faults), r.Events, r.Simulated.Round(time.Millisecond), r.Recovery.Round(time.Millisecond), r.Bound)
	if r.Failed() {
		for _, f := range r.Faults {
			fmt.Fprintf(out, "  fault %v\n", f)
		}
	}
	for _, b := range r.Breaches {
		fmt.Fprintf(out, "  BROKEN %v\n", b)
		if b.Stack != "" {
			fmt.Fprintf(out, "%s\n", b.Stack)
		}
	}
}

func printSummary(out *bufio.Writer, s *sim.Summary, classes map[string][]*sim.Result) {
	names := slices.SortedFunc(maps.Keys(s.Stats), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Stats[b], s.Stats[a]), cmp.Compare(a, b))
	})
	t := &table{}
	t.add("WHAT HAPPENED", "TIMES", "A SEED", "IN SEEDS")
	for _, name := range names {
		t.add(name, fmt.Sprint(s.Stats[name]), fmt.Sprintf("%.2f", float64(s.Stats[name])/float64(s.Seeds)), fmt.Sprint(s.Seen[name]))
	}
	t.print(out)
	if rare := s.Rare(); len(rare) > 0 {
		fmt.Fprintf(out, "\nless than once in 20 seeds: %s\n", strings.Join(rare, ", "))
	}
	fmt.Fprintln(out)
	t = &table{}
	t.add("seeds", fmt.Sprint(s.Seeds))
	t.add("simulated", s.Simulated.Round(time.Second).String())
	t.add("took", s.Took.Round(100*time.Millisecond).String())
	t.add("events a seed", fmt.Sprint(s.Events/max(s.Seeds, 1)))
	t.add("recovery", fmt.Sprintf("median %v, 99 %% within %v, longest %v", s.Recovery.Median.Round(time.Millisecond), s.Recovery.P99.Round(time.Millisecond), s.Recovery.Longest.Round(time.Millisecond)))
	t.add("failed", fmt.Sprint(len(s.Failures)))
	for _, rule := range slices.Sorted(maps.Keys(classes)) {
		var seeds []string
		for _, r := range classes[rule] {
			seeds = append(seeds, fmt.Sprint(r.Shape.Seed))
		}
		t.add("  "+rule, fmt.Sprintf("%d: %s", len(seeds), strings.Join(seeds, " ")))
	}
	t.print(out)
	for _, rule := range slices.Sorted(maps.Keys(classes)) {
		fmt.Fprintln(out)
		printRun(out, classes[rule][0])
	}
}
