package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
)

func newQuorum() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "quorum",
		Short: "Go on without the majority of the voters, at your own risk",
		Example: `  ha quorum force
  ha quorum force --help       what it means`,
	}
	cmd.AddCommand(newQuorumForce())
	return cmd
}

// forceTime bounds the wait for quorum after it was forced: a commit on one disk,
// and the first answers of the nodes that are heard.
const forceTime = 15 * time.Second

func newQuorumForce() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "force",
		Short: "Make this node the only voter, since the others are gone for good",
		Long: `Make this node the only voter and go on, when the majority of the voters is gone.

You say by it that every voter that this node does not hear is off. The cluster
believes you:
- If one of them still runs, or others of them together still have a majority,
  services run twice and data may be destroyed.
- What the absent voters had agreed on among themselves, and this node has not
  heard of, is lost: changes of the configuration, and who runs what.
Make sure first that they are off: look at the machines, or pull their plugs. Give
the order on one node only, the one with the newest state. It is refused while
there is quorum, and while a node that is heard still hears an absent voter. It
stays in the cluster's events, with your name.

When the absent ones return they find the new history, drop their own and join
afresh.`,
		Example: "  ha quorum force",
		Args:    cobra.NoArgs,
	}
	asJSON := addJSON(cmd)
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		before, err := client().Status(cmd.Context())
		if err != nil {
			return err
		}
		off := unheardVoters(before)
		names := strings.Join(off, ", ")
		if !*yes && len(off) > 0 {
			are := "are"
			if len(off) == 1 {
				are = "is"
			}
			if err := confirm(cmd, fmt.Sprintf("%s %s not heard. If any of them still runs, services will run twice and data may be destroyed.\n"+
				"What they agreed on without %s is lost.\nHave you made sure yourself that %s %s off?", names, are, before.Node, names, are)); err != nil {
				return err
			}
		}
		if _, err := client().Request(cmd.Context(), api.Request{By: whoami(), ForceQuorum: true}); err != nil {
			return fmt.Errorf("force quorum: %w", err)
		}
		after, err := awaitQuorum(cmd.Context(), before.Lineage)
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"node": after.Node, "off": append([]string{}, off...), "lineage": after.Lineage})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s goes on alone; off by your word: %s\n", after.Node, names)
		return nil
	}
	return cmd
}

// unheardVoters lists the voters that the answering node does not hear.
func unheardVoters(s *api.Status) []string {
	var names []string
	for _, n := range s.Nodes {
		if n.Voter && !n.Reachable {
			names = append(names, n.Name)
		}
	}
	return names
}

// awaitQuorum waits until this node has quorum in another lineage than the one
// before.
func awaitQuorum(ctx context.Context, lineage string) (*api.Status, error) {
	for deadline := time.Now().Add(forceTime); ; {
		s, err := client().Status(ctx)
		if err == nil && s.Quorate && s.Lineage != lineage {
			return s, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("force quorum: it was begun, but there is still none after %v: see ha status and ha events", forceTime)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
