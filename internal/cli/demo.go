package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"linuxha/internal/lab"
)

func newDemo() *cobra.Command {
	spec := lab.Spec{Links: 2}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a real cluster keep a web site up while it is broken",
		Long: `Boot three hosts on this machine, make a cluster of them, run a web site on it,
and break one thing after the other, while a client asks the site every 5 ms and
measures for how long it gets no answer. Nothing is left behind.`,
		Example: `  ha demo
  ha demo --detection fast
  ha demo --keep                     leave the lab standing, to look around`,
		Args: cobra.NoArgs,
	}
	asJSON := addJSON(cmd)
	cmd.Flags().StringVar(&spec.Name, "name", "demo", "the lab's name")
	cmd.Flags().IntVar(&spec.Nodes, "nodes", 3, "how many hosts besides the client; at least 3 survive all that is shown")
	detection := cmd.Flags().String("detection", "normal", "failure detection: extreme, fast, normal or patient")
	keep := cmd.Flags().Bool("keep", false, "leave the lab standing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkLab(spec, *detection); err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		out, talk := cmd.OutOrStdout(), cmd.ErrOrStderr()
		st := styleOf(talk)
		steps, err := runDemo(ctx, spec, *detection, *keep,
			func(text string) { fmt.Fprintln(talk, st.faint("... "+text)) },
			func(s lab.DemoStep) { fmt.Fprintf(talk, "%s. %s\n", s.What, st.bold(describeOutage(s.Outage))) })
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(out, map[string]any{"detection": *detection, "nodes": spec.Nodes, "steps": steps})
		}
		fmt.Fprintln(out)
		if err := printDemo(out, steps); err != nil {
			return err
		}
		if *keep {
			fmt.Fprintf(talk, "\nlook around: ha lab --name %s exec host1 -- ha status\nend it:      ha lab --name %s down\n", spec.Name, spec.Name)
		}
		return nil
	}
	return cmd
}

// runDemo makes the lab, shows the demonstration, and takes the lab down also
// after a failure.
func runDemo(ctx context.Context, spec lab.Spec, detection string, keep bool, say func(string), tell func(lab.DemoStep)) (steps []lab.DemoStep, err error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's file: %w", err)
	}
	say(fmt.Sprintf("booting %d hosts and a client", spec.Nodes))
	spec.Temporary = !keep
	l, err := lab.Up(ctx, spec, binary)
	if err != nil {
		return nil, err
	}
	defer func() {
		if keep {
			return
		}
		downErr := l.Down(context.WithoutCancel(ctx))
		switch {
		case downErr != nil:
			err = errors.Join(err, downErr)
		case ctx.Err() != nil:
			err = errors.New("interrupted; nothing is left of the lab")
		}
	}()
	err = l.Demo(ctx, detection, say, func(s lab.DemoStep) {
		steps = append(steps, s)
		tell(s)
	})
	return steps, err
}

func describeOutage(o lab.Outage) string {
	if o.OutageMS < outageNoticed {
		return "The client noticed nothing"
	}
	return fmt.Sprintf("The client got no answer for %.0f ms", o.OutageMS)
}

// outageNoticed is the gap, in milliseconds, below which two answers are
// consecutive: three intervals of the client.
const outageNoticed = 15

func printDemo(w io.Writer, steps []lab.DemoStep) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "EVENT\tSITE BEFORE\tSITE AFTER\tLONGEST OUTAGE\tREQUESTS ANSWERED")
	for _, s := range steps {
		fmt.Fprintf(table, "%s\t%s\t%s\t%.0f ms\t%d of %d\n", s.Name, s.From, s.To, s.OutageMS, s.Answered, s.Requests)
	}
	return table.Flush()
}
