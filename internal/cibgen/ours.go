package cibgen

import (
	"fmt"
	"sort"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler"
	"linuxha/internal/scheduler/rehearsal"
)

// Ours decides on a document with our scheduler. unique names the primitives
// whose instances differ from each other.
func Ours(document []byte, now time.Time, unique map[string]bool) (Outcome, error) {
	cib, err := pacemaker.Parse(document, pacemaker.Options{Lenient: true})
	if err != nil {
		return Outcome{}, fmt.Errorf("import: %w", err)
	}
	plan, err := scheduler.Schedule(&cib.Config, &cib.Status, now, scheduler.Options{})
	if err != nil {
		return Outcome{}, fmt.Errorf("schedule: %w", err)
	}
	var out Outcome
	for i := range plan.Actions {
		a := &plan.Actions[i]
		if a.Implied || a.Internal {
			continue
		}
		interval := int64(0)
		detail := ""
		switch a.Kind {
		case cluster.ActionMonitor, cluster.ActionCancel:
			interval = a.Interval.Milliseconds()
		case cluster.ActionFence, cluster.ActionNotify:
			detail = a.Detail
		}
		resource := a.Instance
		if resource != "" {
			resource = Neutral(resource, unique)
		}
		out.Actions = append(out.Actions, ActionLine(string(a.Kind), resource, a.Node, interval, detail))
	}
	after := rehearsal.Run(&cib.Status, plan, now, nil)
	seen := scheduler.Observe(&cib.Config, after.Status, now)
	up := map[string]bool{}
	for _, n := range seen.Nodes {
		up[n.Name] = n.State != "offline"
	}
	for _, a := range seen.Active {
		if up[a.Node] {
			out.State = append(out.State, StateLine(Neutral(a.Instance, unique), a.Node, a.Role))
		}
	}
	sort.Strings(out.Actions)
	sort.Strings(out.State)
	return out, nil
}
