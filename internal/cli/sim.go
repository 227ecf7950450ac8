package cli

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
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
	shrink := cmd.Flags().Bool("shrink", false, "leave out faults of failed runs as long as they still fail")
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
			r = sim.Shrink(r, sim.Options{Length: o.Length}, 400)
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

func runSeeds(out *bufio.Writer, first uint64, count int, o sim.Options, limit time.Duration, shrink, asJSON bool) error {
	done, failed, began := 0, 0, time.Now()
	s := sim.Many(first, count, o, func(r *sim.Result) bool {
		if done++; done%100 == 0 {
			fmt.Fprintf(os.Stderr, "ha: %d of %d seeds\n", done, count)
		}
		if r.Failed() {
			fmt.Fprintf(os.Stderr, "ha: seed %d: %v\n", r.Shape.Seed, r.Breaches[0])
		}
		failed += len(r.Breaches)
		return (limit == 0 || time.Since(began) < limit) && failed < 20
	})
	if shrink {
		for i, r := range s.Failures {
			s.Failures[i] = sim.Shrink(r, o, 400)
		}
	}
	if asJSON {
		if err := printJSON(out, s); err != nil {
			return err
		}
	} else {
		printSummary(out, s)
	}
	if len(s.Failures) > 0 {
		return &ExitError{Code: ExitFailure}
	}
	return nil
}

func printRun(out *bufio.Writer, r *sim.Result) {
	fmt.Fprintf(out, "seed %d: %d nodes, %d links, %s, %d faults, %d events, simulated %v, recovery %v\n",
		r.Shape.Seed, r.Shape.Nodes, r.Shape.Links, r.Shape.Preset, len(r.Faults), r.Events, r.Simulated.Round(time.Millisecond), r.Recovery.Round(time.Millisecond))
	if r.Failed() {
		for _, f := range r.Faults {
			fmt.Fprintf(out, "  fault %v\n", f)
		}
	}
	for _, b := range r.Breaches {
		fmt.Fprintf(out, "  BREACH %v\n", b)
	}
}

func printSummary(out *bufio.Writer, s *sim.Summary) {
	for _, r := range s.Failures {
		printRun(out, r)
	}
	names := slices.SortedFunc(maps.Keys(s.Stats), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.Stats[b], s.Stats[a]), cmp.Compare(a, b))
	})
	fmt.Fprintf(out, "%-40s %10s %8s\n", "WHAT HAPPENED", "TIMES", "SEEDS")
	for _, name := range names {
		fmt.Fprintf(out, "%-40s %10d %8d\n", name, s.Stats[name], s.Seen[name])
	}
	fmt.Fprintf(out, "%d seeds, %v simulated in %v, %d events a seed, longest recovery %v, %d failed\n",
		s.Seeds, s.Simulated.Round(time.Second), s.Took.Round(time.Millisecond), s.Events/max(s.Seeds, 1), s.Recovery.Round(time.Millisecond), len(s.Failures))
}
