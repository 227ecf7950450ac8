package cli

import (
	"fmt"
	"slices"
	"strings"
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
  ha fence devices             who can be fenced by what, and whether it works
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
	cmd.AddCommand(newFenceConfirm(), newFenceDevices(), newFenceHistory())
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

func newFenceDevices() *cobra.Command {
	cmd := &cobra.Command{
		Use: "devices", Short: "Show the fence devices: whom they can fence, and whether they work", Args: cobra.NoArgs,
		Long: "Show the fence devices: whom they can fence, who watches them, and whether they work. A device says itself what its agent can and,\n" +
			"where its hosts are not configured, whom it can fence; a node with ? has not been told yet, and is tried last.",
		Example: "  ha fence devices",
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := client().Status(cmd.Context())
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if *asJSON {
			return printJSON(out, append([]api.Device{}, s.Devices...))
		}
		if len(s.Devices) == 0 {
			fmt.Fprintln(out, "there is no fence device; add a fence_device block to the configuration and apply it")
			return nil
		}
		st := styleOf(out)
		t := &table{}
		t.add(st.bold("DEVICE"), st.bold("AGENT"), st.bold("STATE"), st.bold("WATCHED ON"), st.bold("FENCES"), st.bold("KNOWN BY"), st.bold("NOTES"))
		for i := range s.Devices {
			d := &s.Devices[i]
			state := st.warn(d.State)
			switch d.State {
			case "works":
				state = st.good(d.State)
			case "fails":
				state = st.bad(d.State)
			}
			fences := slices.Clone(d.Fences)
			for _, n := range d.Maybe {
				fences = append(fences, n+"?")
			}
			var notes []string
			if d.Unfences {
				notes = append(notes, "nodes are unfenced when they join")
			}
			if len(d.Levels) > 0 {
				notes = append(notes, "levels "+strings.Join(d.Levels, " "))
			}
			if d.Error != "" {
				notes = append(notes, d.Error)
			}
			t.add(d.ID, d.Agent, state, strings.Join(d.Watched, " "), strings.Join(fences, " "), d.Check, strings.Join(notes, "; "))
		}
		t.print(out)
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
			action, by := f.Action, f.Device
			if f.Cut {
				action += " (storage or network only)"
			}
			if f.Caller != "" && f.Device != "" {
				by += " from " + f.Caller
			}
			t.add(f.Begun.Local().Format("2006-01-02 15:04:05"), f.Target.Node, action, result, took, by, reason)
		}
		t.print(out)
		return nil
	}
	return cmd
}
