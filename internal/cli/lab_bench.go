package cli

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"linuxha/internal/lab"
)

func newLabBench(o *labOptions) *cobra.Command {
	runs := lab.MinRuns
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure failover on this machine, as a client sees it",
		Long: `Form clusters of three nodes in a lab and measure how long a client gets no
answer from an address and a server when a host crashes, is cut off, loses the
server, or hands it over. State is on disk, with every write synced. It takes
several minutes.`,
		Example: "  ha lab bench --runs 11 --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program's file: %w", err)
			}
			if runs < lab.MinRuns {
				return usage("--runs %d: want at least %d", runs, lab.MinRuns)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			talk := cmd.ErrOrStderr()
			bench, err := lab.RunBench(ctx, o.name, binary, runs,
				func(text string) { fmt.Fprintln(talk, "... "+text) },
				func(m lab.Measurement) { fmt.Fprintf(talk, "%s: median %.1f %s\n", m.Name, m.Median, m.Unit) })
			if err != nil {
				return err
			}
			if o.json {
				return printJSON(cmd.OutOrStdout(), bench)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "state on %s; load of the machine before: %s\n", bench.Filesystem, bench.Load)
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(table, "RUNS\tMEDIAN\tP90\tMAX\tGOAL\t  ")
			for _, m := range bench.Measurements {
				goal := "-"
				if m.Goal > 0 {
					goal = fmt.Sprintf("%.0f", m.Goal)
				}
				fmt.Fprintf(table, "%d\t%.1f\t%.1f\t%.1f\t%s\t  %s, %s\n", len(m.Samples), m.Median, m.P90, m.Max, goal, m.Name, m.Unit)
			}
			return table.Flush()
		},
	}
	cmd.Flags().IntVar(&runs, "runs", runs, "how often each thing is measured")
	return cmd
}
