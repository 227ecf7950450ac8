package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"linuxha/internal/cluster"
)

// print shows a simulation to a person: the nodes, what would happen and why,
// and what would not run in the end.
func (o *simulateOptions) print(out io.Writer, st style, s *simulation) {
	quorum := st.good("quorate")
	if !s.status.Quorate {
		quorum = st.bad("without quorum")
	}
	fmt.Fprintf(out, "as of %s, %s\n", s.At.Format("2006-01-02 15:04:05 MST"), quorum)
	printSimulatedNodes(out, st, s)
	printMoves(out, st, s)
	if o.steps {
		printSteps(out, st, s)
	}
	printIdle(out, st, s)
	if o.scores {
		printScores(out, st, s.Plan)
	}
	if !s.Plan.Recheck.IsZero() {
		fmt.Fprintf(out, "\ntime alone may change this at %s\n", s.Plan.Recheck.UTC().Format("2006-01-02 15:04:05 MST"))
	}
}

// printSimulatedNodes names the nodes by state, and how that changes.
func printSimulatedNodes(out io.Writer, st style, s *simulation) {
	after := map[string]string{}
	for _, n := range s.After.Nodes {
		after[n.Name] = n.State
	}
	t := &table{}
	var online []string
	for _, n := range s.Plan.Nodes {
		if n.State == "online" && !n.Fence && after[n.Name] == "online" {
			online = append(online, n.Name)
			continue
		}
		state, then := n.State, ""
		switch {
		case n.Fence:
			then = st.bad("will be fenced")
		case n.State == "unclean":
			then = st.bad("cannot be fenced")
		case after[n.Name] != n.State:
			then = "will be " + after[n.Name]
		}
		paint := st.warn
		switch n.State {
		case "unclean":
			paint = st.bad
		case "online":
			paint = st.good
		}
		t.add("  "+n.Name, paint(state), then)
	}
	fmt.Fprintln(out, "\nnodes")
	if len(online) > 0 {
		fmt.Fprintf(out, "  %s: %s\n", st.good("online"), strings.Join(online, " "))
	}
	t.print(out)
}

func printMoves(out io.Writer, st style, s *simulation) {
	t := &table{}
	for i := range s.Plan.Actions {
		a := &s.Plan.Actions[i]
		switch {
		case a.Kind == cluster.ActionFence && !a.Implied:
			t.add("  "+st.bad("fence"), a.Node, a.Detail, st.faint(a.Reason))
		case a.Kind == cluster.ActionShutdown:
			t.add("  "+st.bold("shut down"), a.Node, "", st.faint(a.Reason))
		}
	}
	for _, m := range s.Moves {
		where := "on " + m.To
		switch {
		case m.What == "move":
			where = strings.Join(m.From, ",") + " -> " + m.To
		case m.To == "":
			where = "on " + strings.Join(m.From, ",")
		}
		if m.Role == "Promoted" {
			where += " (promoted)"
		}
		t.add("  "+st.bold(m.What), m.Instance, where, st.faint(strings.TrimPrefix(m.Reason, "on "+m.To+": ")))
	}
	if len(t.rows) == 0 {
		fmt.Fprintln(out, "\nno service is touched")
		return
	}
	fmt.Fprintln(out, "\nthe cluster would")
	t.print(out)
}

// printSteps lists what is done in rounds: everything in one round can be done
// at the same time.
func printSteps(out io.Writer, st style, s *simulation) {
	round := make([]int, len(s.Plan.Actions)+1)
	last := 0
	// Actions may wait for later ones in id order: settle by repetition.
	for changed, n := true, 0; changed && n <= len(s.Plan.Actions); n++ {
		changed = false
		for i := range s.Plan.Actions {
			a := &s.Plan.Actions[i]
			mine := 1
			for _, before := range a.After {
				step := round[before]
				if !s.Plan.Actions[before-1].Internal && !s.Plan.Actions[before-1].Implied {
					step++
				}
				mine = max(mine, step)
			}
			if mine > round[a.ID] {
				round[a.ID], changed = mine, true
				last = max(last, mine)
			}
		}
	}
	fmt.Fprintln(out, "\nsteps")
	t := &table{}
	for r := 1; r <= last; r++ {
		for i := range s.Plan.Actions {
			a := &s.Plan.Actions[i]
			if a.Internal || a.Implied || round[a.ID] != r {
				continue
			}
			result := ""
			switch {
			case slices.Contains(s.Failed, a.ID):
				result = st.bad("fails")
			case slices.Contains(s.Left, a.ID):
				result = st.warn("not done")
			}
			t.add(fmt.Sprintf("  %d.", r), describeStep(a), result)
		}
	}
	t.print(out)
}

func describeStep(a *cluster.Action) string {
	text := string(a.Kind)
	if a.Detail != "" {
		text += " " + a.Detail
	}
	if a.Name != "" {
		text += " " + a.Name
	}
	if a.Interval > 0 {
		text += " every " + a.Interval.String()
	}
	text += " on " + a.Node
	if a.Router != "" {
		text += " by " + a.Router
	}
	return text
}

// printIdle lists what should run and cannot, and what is left alone.
func printIdle(out io.Writer, st style, s *simulation) {
	active, there := map[string]bool{}, map[string]bool{}
	for _, a := range s.After.Active {
		active[a.Instance] = true
		there[a.Resource+" on "+a.Node] = !a.Unique
	}
	why := map[string]string{}
	for _, r := range s.Plan.Reasons {
		why[r.Instance] = r.Summary
	}
	t := &table{}
	for _, p := range s.Plan.Placements {
		switch {
		case p.Blocked && len(p.Current) > 0:
			t.add("  "+p.Instance, st.warn("left alone"), st.faint(why[p.Instance]))
		case there[p.Resource+" on "+p.Node]: // maybe under another number, that of what has been found there since
		case p.Node != "" && !active[p.Instance]:
			t.add("  "+p.Instance, st.warn("not running"), st.faint("would be on "+p.Node+", but has to wait for something that cannot happen"))
		case !active[p.Instance]:
			t.add("  "+p.Instance, st.warn("not running"), st.faint(why[p.Instance]))
		}
	}
	if len(t.rows) > 0 {
		fmt.Fprintln(out, "\nin the end")
		t.print(out)
	}
}

func printScores(out io.Writer, st style, p *cluster.Plan) {
	fmt.Fprintln(out, "\nscores")
	t := &table{}
	for _, s := range p.Scores {
		t.add("  "+s.Kind, s.Resource, s.Node, st.bold(s.Score))
	}
	t.print(out)
}
