package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"linuxha/internal/cluster"
	"linuxha/internal/daemon"
)

// nodeFlags are those that both init and join have.
type nodeFlags struct {
	node       string
	links      []string
	port       uint16
	background bool
}

func (f *nodeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.node, "node", daemon.DefaultNode(), "name of this node")
	cmd.Flags().Lookup("node").DefValue = "the host's" // shown alike everywhere
	cmd.Flags().StringArrayVar(&f.links, "link", nil, "this host's address on a link; give it once for each network, the most important first")
	cmd.Flags().Uint16Var(&f.port, "port", daemon.DefaultPort, "UDP and TCP port of this node")
	cmd.Flags().BoolVar(&f.background, "daemon", false, "run the daemon in the background, without systemd")
}

// bringUpError makes wrong input a usage error.
func bringUpError(err error) error {
	if _, ok := errors.AsType[*daemon.InputError](err); ok {
		return usage("%w", err)
	}
	return err
}

// start has the daemon run, and tells whether it does; where nothing starts it
// by itself, it says what to type.
func (f *nodeFlags) start(cmd *cobra.Command) (bool, error) {
	root := daemon.Root(rootDir)
	if f.background {
		return true, daemon.StartBackground(cmd.Context(), root)
	}
	started, err := daemon.StartService(cmd.Context(), root)
	if err != nil || started {
		return started, err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "the daemon is not started, since systemd does not run this node; start it with: %s\n", haCommand("daemon"))
	return false, nil
}

// haCommand is a command as it has to be typed for this node.
func haCommand(args ...string) string {
	words := []string{"ha"}
	if rootDir != "" {
		words = append(words, "--root", rootDir)
	}
	return strings.Join(append(words, args...), " ")
}

func newInit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init --name CLUSTER --link ADDRESS...",
		Short: "Make a new cluster with this host as its first node",
		Long: `Make a new cluster with this host as its first node: its certificate authority,
its keys, its first configuration. Where systemd runs the host, the daemon is
started, now and at every boot. The command for the next node is printed.`,
		Example: "  ha init --name web --link 10.0.0.1 --link 10.1.0.1",
		Args:    cobra.NoArgs,
	}
	var flags nodeFlags
	flags.add(cmd)
	name := cmd.Flags().String("name", "", "name of the cluster")
	detection := cmd.Flags().String("detection", "normal", "how fast failures are noticed: extreme, fast, normal, patient")
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		preset, ok := cluster.Presets[*detection]
		if !ok {
			return usage("--detection %q: it is one of extreme, fast, normal, patient", *detection)
		}
		invitation, err := daemon.Init(daemon.Root(rootDir), daemon.InitOptions{
			Cluster: *name, Node: flags.node, Links: flags.links, Port: flags.port, Version: Version, Detection: cluster.Detection{Preset: preset.Preset},
		})
		if err != nil {
			return bringUpError(err)
		}
		started, err := flags.start(cmd)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"cluster": *name, "node": flags.node, "token": invitation.Token, "join": invitation.Join, "started": started})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "cluster %s was made, %s is its first node\n\n", *name, flags.node)
		fmt.Fprintf(cmd.OutOrStdout(), "to add a node, within %s, type there:\n  %s\n\n'%s' makes a token for each further node\n", daemon.TokenValid, invitation.Join, haCommand("token"))
		return nil
	}
	return cmd
}
