package cli

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"linuxha/internal/api"
	"linuxha/internal/cluster"
)

func newExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "explain RESOURCE",
		Short:   "Say why a resource is where it is",
		Long:    "Say where a resource belongs as things are now, and which constraints and scores decide it.",
		Example: "  ha explain site",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: completeResources,
	}
	asJSON := addJSON(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := resourceNamed(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		v, err := client().Config(cmd.Context())
		if err != nil {
			return err
		}
		p, err := client().Plan(cmd.Context(), &v.Config)
		if err != nil {
			return fmt.Errorf("explain %s: %w", r.ID, err)
		}
		reasons := reasonsOf(r, p.Plan)
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), reasons)
		}
		printReasons(cmd.OutOrStdout(), styleOf(cmd.OutOrStdout()), r, reasons)
		return nil
	}
	return cmd
}

// reasonsOf picks the reasons of a resource and of all that it is made of.
func reasonsOf(r *api.Resource, p *cluster.Plan) []cluster.Reason {
	wanted := map[string]bool{}
	var walk func(r *api.Resource)
	walk = func(r *api.Resource) {
		wanted[r.ID] = true
		for i := range r.Members {
			walk(&r.Members[i])
		}
	}
	walk(r)
	out := []cluster.Reason{}
	for _, reason := range p.Reasons {
		base, _, _ := strings.Cut(reason.Instance, ":")
		if wanted[reason.Instance] || wanted[base] {
			out = append(out, reason)
		}
	}
	return out
}

func printReasons(out io.Writer, st style, r *api.Resource, reasons []cluster.Reason) {
	fmt.Fprintf(out, "%s is %s%s\n", st.bold(r.ID), r.State, on(strings.Join(runsOn(r), ", ")))
	for _, reason := range reasons {
		if reason.Node == "" {
			fmt.Fprintf(out, "\n%s belongs nowhere: %s\n", st.bold(reason.Instance), strings.TrimPrefix(reason.Summary, "stopped: "))
		} else {
			fmt.Fprintf(out, "\n%s belongs on %s: %s\n", st.bold(reason.Instance), reason.Node, strings.TrimPrefix(reason.Summary, "on "+reason.Node+": "))
		}
		t := &table{} // what the columns say is all that a reason's own text says
		for _, f := range reason.Because {
			t.add("  "+cmp.Or(f.Node, "everywhere"), f.Score, f.Constraint)
		}
		t.print(out)
	}
}

// on says where something is, if it is anywhere.
func on(nodes string) string {
	if nodes == "" {
		return ""
	}
	return " on " + nodes
}
