package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"linuxha/internal/cluster"
)

func newEvents() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Show what happened, with the stages of each failover",
		Example: `  ha events                  the last 50
  ha events --last 1000      more of them
  ha events --follow         and what happens from now on`,
		Args: cobra.NoArgs,
	}
	asJSON := addJSON(cmd)
	follow := cmd.Flags().BoolP("follow", "f", false, "go on with what happens from now on")
	last := cmd.Flags().IntP("last", "n", 50, "how many of the past events to show")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *last < 0 {
			return usage("--last wants a number of events, not %d", *last)
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		out := cmd.OutOrStdout()
		st := styleOf(out)
		var past []*cluster.Event
		err := client().Events(ctx, 0, false, func(e *cluster.Event) error {
			past = append(past, e)
			return nil
		})
		if err != nil {
			return err
		}
		show := func(e *cluster.Event) error {
			if *asJSON {
				return json.NewEncoder(out).Encode(e)
			}
			printEvent(out, st, e)
			return nil
		}
		var next uint64
		for i, e := range past {
			next = e.Number + 1
			if i >= len(past)-*last {
				if err := show(e); err != nil {
					return err
				}
			}
		}
		if !*follow {
			return nil
		}
		if err := client().Events(ctx, next, true, show); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
	return cmd
}

func printEvent(out io.Writer, st style, e *cluster.Event) {
	text := st.severity(e.Severity)(e.Text)
	if e.Stage != "" {
		text = fmt.Sprintf("  %-8s %7.1f ms  %s", e.Stage, float64(e.Took.Microseconds())/1000, text)
	}
	fmt.Fprintf(out, "%s  %-10s  %s\n", st.faint(e.Time.Local().Format("2006-01-02 15:04:05.000")), e.Kind, text)
}
