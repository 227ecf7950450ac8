package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
)

func newNode() *cobra.Command {
	cmd := &cobra.Command{Use: "node", Short: "Drain nodes and take them back"}
	cmd.AddCommand(
		nodeSwitch("standby", "standby", "true", "Move everything off a node and keep it empty", "is in standby", true),
		nodeSwitch("online", "standby", "", "Let a node in standby run resources again", "may run resources", false),
		nodeSwitch("maintenance", "maintenance", "true", "Leave a node's resources alone, whatever happens to them", "is in maintenance", false),
		nodeSwitch("ready", "maintenance", "", "End a node's maintenance", "is not in maintenance any more", false),
		newNodeRemove(),
	)
	return cmd
}

// nodeSwitch makes a command that sets (or with value "" removes) a node's
// permanent attribute, and then says that it is done.
func nodeSwitch(use, attribute, value, short, done string, drains bool) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " NODE", Short: short, Example: "  ha node " + use + " alpha", Args: cobra.ExactArgs(1),
		ValidArgsFunction: completeNodes,
	}
	asJSON := addJSON(cmd)
	wait := cmd.Flags().Duration("wait", time.Minute, "how long to wait until nothing runs there; 0: do not wait")
	if !drains {
		cmd.Flags().Lookup("wait").Hidden = true
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		node := args[0]
		if err := knownNode(cmd.Context(), node); err != nil {
			return err
		}
		err := editConfig(cmd.Context(), func(cfg *cluster.Config) error {
			setNodeAttribute(cfg, node, attribute, value)
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s %s: %w", use, node, err)
		}
		if drains && *wait > 0 {
			if err := waitStatus(cmd.Context(), *wait, func(s *api.Status) bool { return empty(s, node) }); err != nil {
				return fmt.Errorf("%s is in standby, but resources still run there: %w", node, err)
			}
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]string{"node": node, attribute: value})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", node, done)
		return nil
	}
	return cmd
}

func empty(s *api.Status, node string) bool {
	for _, n := range s.Nodes {
		if n.Name == node {
			return len(n.Running) == 0
		}
	}
	return true
}

func knownNode(ctx context.Context, node string) error {
	s, err := client().Status(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, n := range s.Nodes {
		if n.Name == node {
			return nil
		}
		names = append(names, n.Name)
	}
	return usage("there is no node %q; there are %s", node, strings.Join(names, ", "))
}

func completeNodes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if s, err := client().Status(cmd.Context()); err == nil {
		for _, n := range s.Nodes {
			names = append(names, n.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// editConfig changes the running configuration; when somebody else changed it
// meanwhile, it starts over from what is running then.
func editConfig(ctx context.Context, change func(*cluster.Config) error) error {
	for attempt := 0; ; attempt++ {
		v, err := client().Config(ctx)
		if err != nil {
			return err
		}
		if err := change(&v.Config); err != nil {
			return err
		}
		_, err = client().Request(ctx, api.Request{By: whoami(), Commands: []cluster.Command{
			{Config: &cluster.ConfigChange{Base: v.Revision, Config: v.Config, By: whoami()}}}})
		if r, ok := errors.AsType[*api.Refusal](err); ok && r.Kind == "conflict" && attempt < 5 {
			continue
		}
		return err
	}
}

// setNodeAttribute sets a permanent attribute in the node's plain block; value
// "" removes it, and a block of the configuration that then says nothing.
func setNodeAttribute(cfg *cluster.Config, node, name, value string) {
	at := -1
	for i := range cfg.Nodes {
		if strings.EqualFold(cfg.Nodes[i].Name, node) {
			at = i
		}
	}
	if at < 0 {
		if value == "" {
			return
		}
		at = len(cfg.Nodes)
		cfg.Nodes = append(cfg.Nodes, cluster.Node{Name: node})
	}
	n := &cfg.Nodes[at]
	n.Attributes = setPair(n.Attributes, name, value)
	if len(n.Attributes)+len(n.Utilization) == 0 && n.ID == "" && n.Kind == "" && !n.Witness {
		cfg.Nodes = append(cfg.Nodes[:at], cfg.Nodes[at+1:]...)
	}
}

// setPair sets (value "": removes) a name in the first unconditional block.
func setPair(sets []cluster.AttrSet, name, value string) []cluster.AttrSet {
	at := -1
	for i := range sets {
		if sets[i].Rule == nil && sets[i].Ref == "" && at < 0 {
			at = i
		}
	}
	if at < 0 {
		if value == "" {
			return sets
		}
		sets = append([]cluster.AttrSet{{}}, sets...)
		at = 0
	}
	var pairs []cluster.NVPair
	found := false
	for _, p := range sets[at].Pairs {
		if p.Name == name {
			if found = true; value == "" {
				continue
			}
			p.Value = value
		}
		pairs = append(pairs, p)
	}
	if !found && value != "" {
		pairs = append(pairs, cluster.NVPair{Name: name, Value: value})
	}
	sets[at].Pairs = pairs
	if len(pairs) == 0 {
		sets = append(sets[:at], sets[at+1:]...)
	}
	return sets
}

// waitStatus waits until done says so, at most for limit.
func waitStatus(ctx context.Context, limit time.Duration, done func(*api.Status) bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done after %s", limit))
	defer cancel()
	errDone := errors.New("done")
	err := client().WatchStatus(ctx, func(s *api.Status) error {
		if done(s) {
			return errDone
		}
		return nil
	})
	switch {
	case errors.Is(err, errDone):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		return errors.New("the daemon ended")
	default:
		return err
	}
}

func newNodeRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove NODE", Short: "Take a node out of the cluster for good", Example: "  ha node remove gamma",
		Long: "Take a node out of the cluster for good. It must be off: stop its daemon first, or fence it.",
		Args: cobra.ExactArgs(1), ValidArgsFunction: completeNodes,
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := client().State(cmd.Context())
		if err != nil {
			return err
		}
		m := s.Member(args[0])
		if m == nil {
			return knownNode(cmd.Context(), args[0])
		}
		if _, err := client().Request(cmd.Context(), api.Request{By: whoami(), Commands: []cluster.Command{
			{Remove: &cluster.Remove{Node: m.Name, RaftID: m.RaftID}}}}); err != nil {
			return fmt.Errorf("remove %s: %w", m.Name, err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]string{"removed": m.Name})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is no longer part of the cluster\n", m.Name)
		return nil
	}
	return cmd
}
