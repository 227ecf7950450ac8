package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
)

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show nodes, resources and troubles",
		Example: `  ha status             what is now
  ha status --watch     and whenever it changes
  ha status --json      for programs`,
		Args: cobra.NoArgs,
	}
	asJSON := addJSON(cmd)
	watch := cmd.Flags().BoolP("watch", "w", false, "go on, and show every change")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		out := cmd.OutOrStdout()
		st := styleOf(out)
		if !*watch {
			s, err := client().Status(cmd.Context())
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(out, s)
			}
			printStatus(out, st, s)
			return nil
		}
		return client().WatchStatus(cmd.Context(), func(s *api.Status) error {
			if *asJSON {
				return json.NewEncoder(out).Encode(s)
			}
			var page bytes.Buffer
			if st.colour {
				page.WriteString("\x1b[H\x1b[2J")
			}
			printStatus(&page, st, s)
			if !st.colour {
				page.WriteString("\n")
			}
			_, err := out.Write(page.Bytes())
			return err
		})
	}
	return cmd
}

func printStatus(out io.Writer, st style, s *api.Status) {
	online := 0
	for _, n := range s.Nodes {
		if n.State == "online" {
			online++
		}
	}
	quorum := st.good("quorum")
	if !s.Quorate {
		quorum = st.bad("no quorum")
	}
	if !s.AsOf.IsZero() {
		quorum += st.bad(" (last contact " + ago(s.Time, s.AsOf) + ")")
	}
	leader := s.Leader
	if leader == "" {
		leader = st.warn("none")
	}
	fmt.Fprintf(out, "cluster %s: %d of %d nodes online, %s, leader %s\n", st.bold(s.Cluster), online, len(s.Nodes), quorum, leader)
	for _, w := range s.Warnings {
		fmt.Fprintf(out, "%s %s\n", st.severity(w.Severity)("!"), st.severity(w.Severity)(w.Text))
		if w.Hint != "" {
			fmt.Fprintf(out, "  %s\n", st.faint(w.Hint))
		}
	}

	t := &table{}
	t.add(st.bold("NODE"), st.bold("STATE"), st.bold("SINCE"), st.bold("LINKS"), st.bold("ROLE"), st.bold("RUNNING"))
	for i := range s.Nodes {
		n := &s.Nodes[i]
		t.add(n.Name, nodeState(st, n), span(s.Time.Sub(n.Since)), links(st, n, s.Node), nodeRole(n), strings.Join(n.Running, " "))
	}
	fmt.Fprintln(out)
	t.print(out)

	if len(s.Resources) > 0 {
		t = &table{}
		t.add(st.bold("RESOURCE"), st.bold("STATE"), st.bold("NODE"), st.bold("AGENT"))
		for i := range s.Resources {
			resourceRows(t, st, &s.Resources[i], 0)
		}
		fmt.Fprintln(out)
		t.print(out)
	}
	if len(s.Fencings) > 0 {
		fmt.Fprintln(out)
		for _, f := range s.Fencings {
			fmt.Fprintf(out, "%s %s since %s: %s\n", st.warn("~"), f.What(), span(s.Time.Sub(f.Begun)), f.Reason)
		}
	}
	if len(s.Failures) > 0 {
		t = &table{}
		t.add(st.bold("FAILED"), st.bold("NODE"), st.bold("OPERATION"), st.bold("COUNT"), st.bold("WHEN"), st.bold("REASON"))
		for _, f := range s.Failures {
			t.add(st.bad(f.Resource), f.Node, f.Operation, f.Count, ago(s.Time, f.Time), fmt.Sprintf("%s (code %d)", f.Reason, f.RC))
		}
		fmt.Fprintln(out)
		t.print(out)
	}
}

func nodeState(st style, n *api.Node) string {
	word := n.State
	paint := st.good
	switch n.State {
	case "unclean":
		paint = st.bad
	case "offline", "pending":
		paint = st.warn
	}
	var extra []string
	if n.Standby {
		extra = append(extra, "standby")
	}
	if n.Maintenance {
		extra = append(extra, "maintenance")
	}
	if len(extra) > 0 {
		return paint(word) + st.warn(" ("+strings.Join(extra, ", ")+")")
	}
	return paint(word)
}

// links shows each link of a peer: up, or how long it has been silent.
func links(st style, n *api.Node, self string) string {
	if n.Name == self {
		return st.faint("this node")
	}
	var parts []string
	for _, l := range n.Links {
		if l.Up {
			parts = append(parts, st.good("up"))
		} else {
			parts = append(parts, st.bad("down"))
		}
	}
	return strings.Join(parts, " ")
}

func nodeRole(n *api.Node) string {
	switch {
	case n.Leader:
		return "leader"
	case n.Witness:
		return "witness"
	case n.Voter:
		return "voter"
	default:
		return "satellite"
	}
}

func resourceRows(t *table, st style, r *api.Resource, depth int) {
	state := r.State
	switch r.State {
	case "started", "promoted", "unpromoted":
		state = st.good(state)
	case "failed", "partial":
		state = st.bad(state)
	case "stopped", "starting":
		state = st.warn(state)
	}
	if !r.Managed {
		state += st.warn(" (unmanaged)")
	}
	if r.Target != "" && r.Target != "Started" {
		state += st.faint(" (target " + strings.ToLower(r.Target) + ")")
	}
	var on []string
	for _, i := range r.On {
		name := i.Node
		if i.Role == "promoted" && len(r.On) > 1 {
			name += " (promoted)"
		}
		if i.Unknown {
			name += "?"
		}
		on = append(on, name)
	}
	agent := strings.TrimPrefix(r.Agent, "stonith:") // as it is written in a configuration
	if agent == "" {
		agent, on = r.Kind, runsOn(r)
	}
	t.add(strings.Repeat("  ", depth)+r.ID, state, strings.Join(on, " "), st.faint(agent))
	for i := range r.Members {
		resourceRows(t, st, &r.Members[i], depth+1)
	}
}
