package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sort"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/lab"
)

func newLabChaos(l *labOptions) *cobra.Command {
	o := lab.ChaosOptions{}
	spec := lab.Spec{Links: 2}
	var minutes float64
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Break a cluster at random, and check that it keeps its promises",
		Long: `Make a cluster on a lab of its own, let a client write through a service that it
protects, have a guest migrate live, and break one thing after the other at
random: crashes, cuts (one-way too), pauses, loss, killed daemons. Ownership is looked at 100 times a second on
the hosts themselves. The exit code is 0 only if there never were two owners, no
acknowledged write was lost, and all recovered.`,
		Example: `  ha lab chaos --minutes 10 --seed 7
  ha lab chaos --nodes 2 --minutes 5 --json
  ha lab chaos --nodes 5 --watchdog --witness
  ha lab chaos --minutes 0.5 --plant double-owner     the checks must see it`,
		Args: cobra.NoArgs,
	}
	setUpFlags(cmd, &spec)
	cmd.Flags().Float64Var(&minutes, "minutes", 10, "for how long")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 1, "which faults, when, where")
	cmd.Flags().StringVar(&o.Detection, "detection", "normal", "failure detection: extreme, fast, normal or patient")
	cmd.Flags().StringVar(&o.Plant, "plant", "", "spoil the service, to show that the checks see it: double-owner or lost-write")
	keep := cmd.Flags().Bool("keep", false, "leave the lab standing if something went wrong")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		spec.Name = l.name
		if err := checkLab(spec, o.Detection); err != nil {
			return err
		}
		if o.Plant != "" && o.Plant != "double-owner" && o.Plant != "lost-write" {
			return usage("there is nothing called %q to plant; use double-owner or lost-write", o.Plant)
		}
		o.For = time.Duration(minutes * float64(time.Minute))
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		talk := cmd.ErrOrStderr()
		begin := time.Now()
		report, err := runChaos(ctx, spec, o, *keep, func(text string) {
			fmt.Fprintf(talk, "%7.1fs  %s\n", time.Since(begin).Seconds(), text)
		})
		if err != nil {
			return err
		}
		if l.json {
			if err := printJSON(cmd.OutOrStdout(), report); err != nil {
				return err
			}
		} else {
			printChaos(cmd.OutOrStdout(), report)
		}
		if !report.Clean() {
			return &ExitError{Code: ExitFailure, Err: fmt.Errorf("the cluster broke its promises (seed %d)", o.Seed)}
		}
		return nil
	}
	return cmd
}

// runChaos makes the lab, runs, and takes the lab down also after a failure.
func runChaos(ctx context.Context, spec lab.Spec, o lab.ChaosOptions, keep bool, tell func(string)) (report *lab.ChaosReport, err error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file: %w", err)
	}
	spec.Temporary = !keep
	l, err := lab.Up(ctx, spec, binary)
	if err != nil {
		return nil, err
	}
	defer func() {
		if keep && (err != nil || report == nil || !report.Clean()) {
			return
		}
		if downErr := l.Down(context.WithoutCancel(ctx)); err == nil {
			err = downErr
		}
	}()
	if err := l.Form(ctx, o.Detection); err != nil {
		return nil, err
	}
	return l.Chaos(ctx, o, tell)
}

func printChaos(out io.Writer, r *lab.ChaosReport) {
	fmt.Fprintf(out, "%d nodes (%s), detection %s, seed %d, %.1f minutes\n", r.Nodes, r.SetUp, r.Detection, r.Seed, r.Minutes)
	fmt.Fprintf(out, "faults        %d, one every %.1f s:", r.FaultsTotal, r.Minutes*60/float64(max(r.FaultsTotal, 1)))
	var names []string
	for name := range r.Faults {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if a, b := r.Faults[names[i]], r.Faults[names[j]]; a != b {
			return a > b
		}
		return names[i] < names[j]
	})
	for _, name := range names {
		fmt.Fprintf(out, " %s %d", name, r.Faults[name])
	}
	fmt.Fprintf(out, "\nmigrations    %d came to an end", r.Migrations)
	fmt.Fprintf(out, "\nwrites        %d acknowledged, %.0f a second outside outages, %d lost\n", r.Acknowledged, r.Rate, len(r.Lost))
	fmt.Fprintf(out, "ownership     %d violations in %d samples, at most %.0f ms apart\n", len(r.Violations), r.Samples, r.SlowestMS)
	fmt.Fprintf(out, "availability  %.2f %%, %d outages, the longest %.0f ms (at %.0f s); longest recovery after a fault %.0f ms\n",
		r.Availability*100, r.Outages, r.LongestMS, r.LongestAt, r.RecoveryMS)
	for _, v := range r.Violations {
		fmt.Fprintf(out, "VIOLATION     %s: %s owned by %v\n", v.At.Format(time.RFC3339Nano), v.What, v.Owners)
	}
	for i, line := range r.Lost {
		if i == 20 {
			fmt.Fprintf(out, "LOST          and %d more\n", len(r.Lost)-i)
			break
		}
		fmt.Fprintf(out, "LOST          %s\n", line)
	}
	if r.Unrecovered != "" {
		fmt.Fprintf(out, "UNRECOVERED   %s\n", r.Unrecovered)
	}
}
