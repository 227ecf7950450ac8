package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
)

func newTicket() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ticket", Short: "Show, grant and revoke the tickets that say which site may run what",
		Long: "A ticket says which of several clusters (sites) may run the resources that a ticket constraint names: they run only where it is granted.\n" +
			"Nothing here makes sure that only one site has it: revoke it on one, see that its resources have stopped, then grant it on the other.",
	}
	cmd.AddCommand(newTicketList(),
		ticketSwitch("grant", "Let the resources that depend on a ticket run on this site", "is granted",
			"is TICKET revoked on every other site, and has what depends on it stopped there? Data may be lost if not.",
			func(t *cluster.Ticket) { t.Granted, t.Standby = true, false }),
		ticketSwitch("revoke", "Take a ticket away: what depends on it follows its loss_policy", "is revoked", "",
			func(t *cluster.Ticket) { t.Granted, t.Standby = false, false }),
		ticketSwitch("standby", "Stop what depends on a ticket in good order, and keep the ticket", "is in standby", "",
			func(t *cluster.Ticket) { t.Standby = true }),
		ticketSwitch("activate", "End a ticket's standby", "is not in standby any more", "",
			func(t *cluster.Ticket) { t.Standby = false }))
	return cmd
}

// ticket is one ticket with what depends on it.
type ticket struct {
	cluster.Ticket
	Constraints []string `json:"constraints"`
}

// tickets are those that constraints name or that have been granted before.
func tickets(ctx context.Context) ([]ticket, error) {
	v, err := client().Config(ctx)
	if err != nil {
		return nil, err
	}
	s, err := client().Status(ctx)
	if err != nil {
		return nil, err
	}
	out := []ticket{}
	find := func(id string) *ticket {
		i := slices.IndexFunc(out, func(t ticket) bool { return t.ID == id })
		if i < 0 {
			i = len(out)
			out = append(out, ticket{Ticket: cluster.Ticket{ID: id}, Constraints: []string{}})
		}
		return &out[i]
	}
	for _, t := range s.Tickets {
		find(t.ID).Ticket = t
	}
	for _, r := range v.Config.TicketRules {
		t := find(r.Ticket)
		t.Constraints = append(t.Constraints, r.ID)
	}
	slices.SortFunc(out, func(a, b ticket) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}

func newTicketList() *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "Show the tickets, and the constraints that name them", Example: "  ha ticket list", Args: cobra.NoArgs}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		all, err := tickets(cmd.Context())
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if *asJSON {
			return printJSON(out, all)
		}
		if len(all) == 0 {
			fmt.Fprintln(out, "there is no ticket; a ticket block in the configuration makes resources depend on one")
			return nil
		}
		st := styleOf(out)
		t := &table{}
		t.add(st.bold("TICKET"), st.bold("STATE"), st.bold("LAST GRANTED"), st.bold("CONSTRAINTS"))
		for _, k := range all {
			state := st.warn("not granted")
			switch {
			case k.Granted && k.Standby:
				state = st.warn("granted, standby")
			case k.Granted:
				state = st.good("granted")
			}
			last := "never"
			if !k.LastGranted.IsZero() {
				last = k.LastGranted.Local().Format(time.DateTime)
			}
			t.add(k.ID, state, last, strings.Join(k.Constraints, " "))
		}
		t.print(out)
		return nil
	}
	return cmd
}

// ticketSwitch makes a command that changes a ticket's state; with a question a
// person has to confirm it.
func ticketSwitch(use, short, done, question string, change func(*cluster.Ticket)) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " TICKET", Short: short, Example: "  ha ticket " + use + " site-a", Args: cobra.ExactArgs(1),
		ValidArgsFunction: completeTickets,
	}
	asJSON := addJSON(cmd)
	yes := cmd.Flags().BoolP("yes", "y", false, "do not ask")
	if question == "" {
		cmd.Flags().Lookup("yes").Hidden = true
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		all, err := tickets(cmd.Context())
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(t ticket) bool { return t.ID == args[0] })
		switch {
		case len(all) == 0:
			return usage("there is no ticket %q, nor any other: a ticket block in the configuration makes resources depend on one", args[0])
		case at < 0:
			return usage("there is no ticket %q; there are %s", args[0], strings.Join(ticketNames(all), ", "))
		}
		found := &all[at].Ticket
		if question != "" && !*yes {
			if err := confirm(cmd, strings.ReplaceAll(question, "TICKET", args[0])); err != nil {
				return err
			}
		}
		change(found)
		if _, err := client().Request(cmd.Context(), api.Request{By: whoami(), Commands: []cluster.Command{{Ticket: found}}}); err != nil {
			return fmt.Errorf("%s ticket %s: %w", use, args[0], err)
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), found)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "ticket %s %s\n", args[0], done)
		return nil
	}
	return cmd
}

func completeTickets(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, err := tickets(cmd.Context())
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return ticketNames(all), cobra.ShellCompDirectiveNoFileComp
}

func ticketNames(all []ticket) []string {
	var names []string
	for _, t := range all {
		names = append(names, t.ID)
	}
	return names
}
