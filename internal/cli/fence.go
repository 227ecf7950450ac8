package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
)

func newFence() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fence NODE",
		Short: "Cut a node off, or say that it is off",
		Long:  "Cut a node off by its fence device. What ran there is recovered elsewhere once the device has answered.",
		Example: `  ha fence beta                power it off and on again
  ha fence beta --off          leave it off
  ha fence confirm beta        you made sure yourself that it is off
  ha fence history`,
		Args: cobra.ExactArgs(1), ValidArgsFunction: completeNodes,
	}
	asJSON := addJSON(cmd)
	off := cmd.Flags().Bool("off", false, "leave it off")
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := knownNode(cmd.Context(), args[0]); err != nil {
			return err
		}
		if !*yes {
			if err := confirm(cmd, fmt.Sprintf("%s loses power at once. Go on?", args[0])); err != nil {
				return err
			}
		}
		action := "reboot"
		if *off {
			action = "off"
		}
		begin := time.Now()
		if _, err := client().Request(cmd.Context(), api.Request{By: whoami(), Fence: &api.FenceRequest{Node: args[0], Action: action, Reason: "asked for by " + whoami()}}); err != nil {
			return fmt.Errorf("fence %s: %w", args[0], err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]any{"node": args[0], "action": action, "took_ms": time.Since(begin).Milliseconds()})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is fenced (%s)\n", args[0], action)
		return nil
	}
	cmd.AddCommand(newFenceConfirm(), newFenceHistory())
	return cmd
}

func newFenceConfirm() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "confirm NODE",
		Short: "Say that a lost node is off, so that its resources are recovered",
		Long: "Say that a lost node is off. The cluster believes you: if the node still runs, its resources will run twice and data may be lost.\n" +
			"Make sure first: look at the machine, or pull its plug. It is refused while any node hears the lost one.",
		Example: "  ha fence confirm beta",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: completeNodes,
	}
	asJSON := addJSON(cmd)
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := knownNode(cmd.Context(), args[0]); err != nil {
			return err
		}
		if !*yes {
			if err := confirm(cmd, fmt.Sprintf("have you made sure that %s is off? Data may be lost if it is not.", args[0])); err != nil {
				return err
			}
		}
		if _, err := client().Request(cmd.Context(), api.Request{By: whoami(), Confirm: args[0]}); err != nil {
			return fmt.Errorf("confirm %s: %w", args[0], err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), map[string]string{"confirmed": args[0]})
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s counts as off; its resources are being recovered\n", args[0])
		return nil
	}
	return cmd
}

func newFenceHistory() *cobra.Command {
	cmd := &cobra.Command{Use: "history", Short: "Show past and present fencings", Example: "  ha fence history", Args: cobra.NoArgs}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := client().State(cmd.Context())
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if *asJSON {
			return printJSON(out, append([]cluster.Fencing{}, s.Fencings...))
		}
		if len(s.Fencings) == 0 {
			fmt.Fprintln(out, "no node has been fenced")
			return nil
		}
		st := styleOf(out)
		t := &table{}
		t.add(st.bold("WHEN"), st.bold("NODE"), st.bold("ACTION"), st.bold("RESULT"), st.bold("TOOK"), st.bold("BY"), st.bold("REASON"))
		for i := range s.Fencings {
			f := &s.Fencings[i]
			result, took := st.warn("running"), ""
			if !f.Open() {
				took = span(f.Ended.Sub(f.Begun))
				if result = st.good(f.Result); f.Result == "failed" || f.Result == "abandoned" {
					result = st.bad(f.Result)
				}
			}
			reason := f.Reason
			if f.Error != "" {
				reason += ": " + f.Error
			}
			t.add(f.Begun.Local().Format("2006-01-02 15:04:05"), f.Target.Node, f.Action, result, took, f.Device, reason)
		}
		t.print(out)
		return nil
	}
	return cmd
}
