package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
	"linuxha/internal/daemon"
)

func newJoin() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "join ADDRESS --token TOKEN [--link ADDRESS...]",
		Short: "Make this host a node of the cluster that a member belongs to",
		Long: `Make this host a node of the cluster to which the node at ADDRESS belongs. The
token comes from 'ha init' or 'ha token' on a member; it admits one node and says
by itself which cluster it is for, so there is nothing to confirm.`,
		Example: "  ha join 10.0.0.1 --token ha1-... --link 10.0.0.2 --link 10.1.0.2",
		Args:    cobra.ExactArgs(1),
	}
	var flags nodeFlags
	flags.add(cmd)
	text := cmd.Flags().String("token", "", "join token")
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *text == "" {
			return usage("a join token is needed: 'ha token' on a member prints the whole command")
		}
		settings, err := daemon.Join(cmd.Context(), daemon.Root(rootDir), daemon.JoinOptions{
			Member: args[0], Token: *text, Node: flags.node, Links: flags.links, Port: flags.port, Version: Version,
		})
		if err != nil {
			return bringUpError(err)
		}
		started, err := flags.start(cmd)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"cluster": settings.Cluster, "node": settings.Node, "links": settings.Links, "started": started})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is a node of cluster %s now (%s)\n", settings.Node, settings.Cluster, strings.Join(settings.Links, ", "))
		return nil
	}
	return cmd
}

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Make a token that admits one more node, and print the command to type there",
		Example: "  ha token --valid 10m",
		Args:    cobra.NoArgs,
	}
	valid := cmd.Flags().Duration("valid", daemon.TokenValid, "how long the token is good for")
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *valid <= 0 || *valid > 7*24*time.Hour {
			return usage("--valid %s: a token is good for up to 7 days (168h)", *valid)
		}
		invitation, err := daemon.Invite(daemon.Root(rootDir), *valid)
		if err != nil {
			return err
		}
		if _, err := client().Request(cmd.Context(), api.Request{By: whoami(), Commands: []cluster.Command{invitation.Command}}); err != nil {
			return fmt.Errorf("make a join token: %w", err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"token": invitation.Token, "join": invitation.Join, "expires": invitation.Expires})
		}
		fmt.Fprintln(cmd.OutOrStdout(), invitation.Join)
		return nil
	}
	return cmd
}
