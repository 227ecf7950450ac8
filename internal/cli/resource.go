package cli

import (
	"context"
	"fmt"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
)

func newResource() *cobra.Command {
	cmd := &cobra.Command{Use: "resource", Short: "Move, restart, stop and clean up resources"}
	cmd.AddCommand(newMove(), newRestart(), newCleanup(),
		resourceSwitch("stop", "Stopped", "Stop a resource and keep it stopped"),
		resourceSwitch("start", "", "Let a stopped resource run again"))
	return cmd
}

func newMove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "move RESOURCE [NODE]",
		Short: "Move a resource, once, to a node or away from where it is",
		Long:  "Move a resource, once, to a node, or without NODE away from where it is. No constraint is left behind.",
		Example: `  ha resource move site beta
  ha resource move site`,
		Args: cobra.RangeArgs(1, 2), ValidArgsFunction: completeMove,
	}
	asJSON := addJSON(cmd)
	wait := cmd.Flags().Duration("wait", time.Minute, "how long to wait until it has moved; 0: do not wait")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := resourceNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		move := cluster.Move{Resource: r.ID, Begun: time.Now().UTC()}
		from := runsOn(r)
		if len(args) == 2 {
			if err := knownNode(cmd.Context(), args[1]); err != nil {
				return err
			}
			move.Node = args[1]
		} else if len(from) == 1 {
			move.Away = from[0]
		} else {
			return usage("%s runs on %d nodes; say where it should go: ha resource move %s NODE", r.ID, len(from), r.ID)
		}
		begin := time.Now()
		if _, err := client().Request(cmd.Context(), api.Request{By: whoami(), Commands: []cluster.Command{{Move: &move}}}); err != nil {
			return fmt.Errorf("move %s: %w", r.ID, err)
		}
		var to []string
		if *wait > 0 {
			err := waitStatus(cmd.Context(), *wait, func(s *api.Status) bool {
				for _, m := range s.Moves {
					if m.Resource == r.ID {
						return false
					}
				}
				now, err := findResource(s, r.ID)
				if err == nil {
					to = runsOn(now)
				}
				return true
			})
			if err != nil {
				return fmt.Errorf("move %s: %w", r.ID, err)
			}
			if move.Node != "" && !slices.Contains(to, move.Node) {
				return &ExitError{Code: ExitFailure, Err: fmt.Errorf("%s could not move to %s; it runs on %s; see 'ha status' and 'ha events'", r.ID, move.Node, orNone(to))}
			}
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"resource": r.ID, "from": from, "to": to})
		}
		if *wait > 0 {
			fmt.Fprintf(cmd.OutOrStdout(), "%s moved from %s to %s in %s\n", r.ID, orNone(from), orNone(to), span(time.Since(begin)))
		} else {
			fmt.Fprintf(cmd.OutOrStdout(), "%s is to move\n", r.ID)
		}
		return nil
	}
	return cmd
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "nowhere"
	}
	return strings.Join(list, ", ")
}

// resourceNamed asks the daemon for a resource, at any depth.
func resourceNamed(ctx context.Context, id string) (*api.Resource, error) {
	s, err := client().Status(ctx)
	if err != nil {
		return nil, err
	}
	return findResource(s, id)
}

// findResource looks a resource up at any depth.
func findResource(s *api.Status, id string) (*api.Resource, error) {
	var known []string
	var walk func(rs []api.Resource) *api.Resource
	walk = func(rs []api.Resource) *api.Resource {
		for i := range rs {
			known = append(known, rs[i].ID)
			if rs[i].ID == id {
				return &rs[i]
			}
			if r := walk(rs[i].Members); r != nil {
				return r
			}
		}
		return nil
	}
	if r := walk(s.Resources); r != nil {
		return r, nil
	}
	if near := cluster.Nearest(id, known); near != "" {
		return nil, usage("there is no resource %q; did you mean %q?", id, near)
	}
	if len(known) == 0 {
		return nil, usage("there is no resource %q, nor any other yet: 'ha apply FILE' configures them", id)
	}
	return nil, usage("there is no resource %q; 'ha status' shows those that there are", id)
}

// runsOn lists the nodes where a resource, or any member of it, is active.
func runsOn(r *api.Resource) []string {
	var out []string
	for _, i := range r.On {
		if !slices.Contains(out, i.Node) {
			out = append(out, i.Node)
		}
	}
	for i := range r.Members {
		for _, n := range runsOn(&r.Members[i]) {
			if !slices.Contains(out, n) {
				out = append(out, n)
			}
		}
	}
	return out
}

func completeMove(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return completeNodes(cmd, args, word)
	}
	return completeResources(cmd, args, word)
}

func completeResources(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	var walk func(rs []api.Resource)
	walk = func(rs []api.Resource) {
		for i := range rs {
			names = append(names, rs[i].ID)
			walk(rs[i].Members)
		}
	}
	if s, err := client().Status(cmd.Context()); err == nil {
		walk(s.Resources)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// setTargetRole changes the target role of a resource; "" removes it.
func setTargetRole(ctx context.Context, id, role string) error {
	return editConfig(ctx, func(cfg *cluster.Config) error {
		r := cfg.FindResource(id)
		if r == nil {
			return usage("there is no resource %q; 'ha status' shows those that there are", id)
		}
		r.Meta = setPair(r.Meta, "target-role", role)
		return nil
	})
}

func newRestart() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "restart RESOURCE",
		Short:   "Stop a resource and what depends on it, and start it again",
		Example: "  ha resource restart nginx",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: completeResources,
	}
	asJSON := addJSON(cmd)
	wait := cmd.Flags().Duration("wait", 2*time.Minute, "how long each half may take")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		r, err := resourceNamed(ctx, args[0])
		if err != nil {
			return err
		}
		if len(runsOn(r)) == 0 {
			return &ExitError{Code: ExitFailure, Err: fmt.Errorf("%s does not run; see 'ha status'", r.ID)}
		}
		before := r.Target
		if err := setTargetRole(ctx, r.ID, "Stopped"); err != nil {
			return fmt.Errorf("restart %s: %w", r.ID, err)
		}
		stopped := waitStatus(ctx, *wait, func(s *api.Status) bool {
			r, err := findResource(s, args[0])
			return err != nil || len(runsOn(r)) == 0
		})
		// Whatever happened, also an interrupt: it must not stay stopped.
		if err := setTargetRole(context.WithoutCancel(ctx), r.ID, before); err != nil {
			return fmt.Errorf("restart %s: it is stopped and could not be started again; use 'ha resource start %s': %w", r.ID, r.ID, err)
		}
		if stopped != nil {
			return fmt.Errorf("restart %s: waiting for its stop: %w", r.ID, stopped)
		}
		var on []string
		err = waitStatus(ctx, *wait, func(s *api.Status) bool {
			r, err := findResource(s, args[0])
			if err != nil {
				return true
			}
			on = runsOn(r)
			return r.State != "stopped" && r.State != "starting" && r.State != "partial"
		})
		if err != nil {
			return fmt.Errorf("restart %s: waiting for its start: %w", r.ID, err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"resource": r.ID, "on": on})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s restarted on %s\n", r.ID, orNone(on))
		return nil
	}
	return cmd
}

func newCleanup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cleanup [RESOURCE]",
		Short: "Forget failures, so that a resource may run again where it failed",
		Example: `  ha resource cleanup nginx
  ha resource cleanup --node beta`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeResources,
	}
	asJSON := addJSON(cmd)
	node := cmd.Flags().String("node", "", "only on this node")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		forget := cluster.HistoryForget{Node: *node, Failcount: true}
		if len(args) == 1 {
			if _, err := resourceNamed(cmd.Context(), args[0]); err != nil {
				return err
			}
			forget.Resource = args[0]
		}
		if *node != "" {
			if err := knownNode(cmd.Context(), *node); err != nil {
				return err
			}
		}
		if _, err := client().Request(cmd.Context(), api.Request{By: whoami(), Commands: []cluster.Command{{Forget: &forget}}}); err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), forget)
		}
		fmt.Fprintln(cmd.OutOrStdout(), "failures forgotten")
		return nil
	}
	return cmd
}

func resourceSwitch(use, role, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " RESOURCE", Short: short, Example: "  ha resource " + use + " nginx", Args: cobra.ExactArgs(1), ValidArgsFunction: completeResources,
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := resourceNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if err := setTargetRole(cmd.Context(), r.ID, role); err != nil {
			return fmt.Errorf("%s %s: %w", use, r.ID, err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]string{"resource": r.ID, "target_role": role})
		}
		if role == "" {
			fmt.Fprintf(cmd.OutOrStdout(), "%s may run again\n", r.ID)
		} else {
			fmt.Fprintf(cmd.OutOrStdout(), "%s is to stop, and to stay so until 'ha resource start %s'\n", r.ID, r.ID)
		}
		return nil
	}
	return cmd
}
