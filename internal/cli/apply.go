package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
	"linuxha/internal/config"
)

func newPlan() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan FILE",
		Short: "Show what a configuration would change, and what that would do",
		Long: "Show how a configuration differs from the running one, and what the cluster would do if it were applied. Nothing is changed.\n" +
			"The exit code is 0, also where there are changes.",
		Example: "  ha plan cluster.hcl",
		Args:    cobra.ExactArgs(1),
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		_, p, err := planFile(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), p)
		}
		printPlan(cmd.OutOrStdout(), styleOf(cmd.OutOrStdout()), p.Plan)
		printWarnings(cmd.ErrOrStderr(), p.Warnings)
		return nil
	}
	return cmd
}

func newApply() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apply FILE",
		Short: "Make a configuration the running one",
		Long: "Show what the configuration would change, ask, and apply it. It replaces the running configuration as a whole; a file without a\n" +
			"cluster block keeps the running cluster block.",
		Example: "  ha apply cluster.hcl\n  ha apply --yes site.d/",
		Args:    cobra.ExactArgs(1),
	}
	asJSON := addJSON(cmd)
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		out := cmd.OutOrStdout()
		cfg, p, err := planFile(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if !*asJSON {
			printPlan(out, styleOf(out), p.Plan)
			printWarnings(cmd.ErrOrStderr(), p.Warnings)
		}
		if len(p.Config) > 0 {
			if !*yes {
				if err := confirm(cmd, "apply this?"); err != nil {
					return err
				}
			}
			_, err := client().Request(cmd.Context(), api.Request{By: whoami(), Commands: []cluster.Command{{Config: &cluster.ConfigChange{Base: p.Base, Config: *cfg, By: whoami()}}}})
			if err != nil {
				return fmt.Errorf("apply %s: %w", args[0], err)
			}
		}
		if *asJSON {
			return printJSON(out, p)
		}
		if len(p.Config) > 0 {
			fmt.Fprintln(out, "applied")
		}
		return nil
	}
	return cmd
}

// filePlan is what a file would change, and what one should be warned of in it.
type filePlan struct {
	*api.Plan
	Warnings []*config.Error `json:"warnings,omitempty"`
}

// planFile reads a configuration and asks the daemon what it would change.
func planFile(ctx context.Context, path string) (*cluster.Config, *filePlan, error) {
	cfg, warnings, err := readConfig(path)
	if err != nil {
		return nil, nil, err
	}
	running, err := client().Config(ctx)
	if err != nil {
		return nil, nil, err
	}
	if cfg.Name == "" {
		cfg.Name, cfg.Detection, cfg.Watchdog, cfg.Options = running.Config.Name, running.Config.Detection, running.Config.Watchdog, running.Config.Options
	}
	if cfg.Name != running.Config.Name {
		return nil, nil, usage("%s is for the cluster %q, but this is %q; nothing was changed", path, cfg.Name, running.Config.Name)
	}
	cfg.Origin = running.Config.Origin
	p, err := client().Plan(ctx, cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("plan %s: %w", path, err)
	}
	return cfg, &filePlan{p, warnings}, nil
}

func printPlan(out io.Writer, st style, p *api.Plan) {
	if len(p.Config) == 0 {
		fmt.Fprintln(out, "no change of the configuration")
	}
	for _, c := range p.Config {
		switch c.What {
		case "added":
			fmt.Fprintf(out, "%s %s %s\n", st.good("+"), c.Kind, c.Name)
		case "removed":
			fmt.Fprintf(out, "%s %s %s\n", st.bad("-"), c.Kind, c.Name)
		case "reordered":
			fmt.Fprintf(out, "%s the order of blocks\n", st.warn("~"))
		default:
			fmt.Fprintf(out, "%s %s %s\n", st.warn("~"), c.Kind, c.Name)
			for _, l := range lineDiff(c.Old, c.New) {
				paint := st.good
				if l[0] == '-' {
					paint = st.bad
				}
				fmt.Fprintf(out, "    %s\n", paint(l))
			}
		}
	}
	if len(p.Moves) == 0 && len(p.Config) > 0 {
		fmt.Fprintln(out, "no service is touched")
	}
	if len(p.Moves) > 0 {
		fmt.Fprintln(out, "\nthis will")
		t := &table{}
		for _, m := range p.Moves {
			where := ""
			switch {
			case m.What == "move":
				where = strings.Join(m.From, ",") + " -> " + m.To
			case m.What == "stop":
				where = "on " + strings.Join(m.From, ",")
			case m.To != "":
				where = "on " + m.To
			}
			t.add("  "+st.bold(m.What), m.Instance, where, st.faint(strings.TrimPrefix(m.Reason, "on "+m.To+": ")))
		}
		t.print(out)
	}
}

// lineDiff lists the lines that only one of two texts has, in order.
func lineDiff(old, new string) []string {
	count := map[string]int{}
	for _, l := range strings.Split(old, "\n") {
		count[l]++
	}
	var added []string
	for _, l := range strings.Split(new, "\n") {
		if count[l] > 0 {
			count[l]--
		} else {
			added = append(added, "+"+l)
		}
	}
	var out []string
	for _, l := range strings.Split(old, "\n") {
		if count[l] > 0 {
			count[l]--
			out = append(out, "-"+l)
		}
	}
	return append(out, added...)
}

// confirm asks a person; without a terminal it says how to go on.
func confirm(cmd *cobra.Command, question string) error {
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return usage("nobody to ask (no terminal); nothing was changed; use --yes")
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if a := strings.ToLower(strings.TrimSpace(line)); a != "y" && a != "yes" {
		return &ExitError{Code: ExitFailure, Err: fmt.Errorf("nothing was changed")}
	}
	return nil
}

// whoami names the person behind a change, for the event log.
func whoami() string {
	for _, name := range []string{"SUDO_USER", "USER", "LOGNAME"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}
