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

// Ours decides on a document with our scheduler.
func Ours(document []byte, now time.Time, facts Facts) (Outcome, error) {
	cib, err := pacemaker.Parse(string(document), pacemaker.Options{Lenient: true})
	if err != nil {
		return Outcome{}, fmt.Errorf("import: %w", err)
	}
	plan, observer, err := scheduler.Decide(&cib.Config, &cib.Status, now, scheduler.Options{})
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
			resource = Neutral(resource, facts.Unique)
		}
		out.Actions = append(out.Actions, ActionLine(string(a.Kind), resource, a.Node, interval, detail))
	}
	after := rehearsal.Run(&cib.Status, plan, now, nil)
	seen := observer.Observe(after.Status)
	for _, a := range seen.Active {
		if facts.Online[a.Node] {
			out.State = append(out.State, StateLine(Neutral(a.Instance, facts.Unique), a.Node, a.Role))
		}
	}
	sort.Strings(out.Actions)
	sort.Strings(out.State)
	return out, nil
}
