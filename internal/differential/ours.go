package differential

import (
	"fmt"
	"strconv"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/pacemaker"
	"linuxha/internal/scheduler"
)

func isUnique(top *cluster.Resource) bool {
	switch cluster.Value(top.Meta, "globally-unique") {
	case "true":
		return true
	case "false":
		return false
	}
	if top.Kind == cluster.Bundle {
		return top.Bundle.ReplicasPerHost != "" && top.Bundle.ReplicasPerHost != "1"
	}
	n, err := strconv.Atoi(cluster.Value(top.Meta, "clone-node-max"))
	return err == nil && n > 1
}

// Ours schedules a problem with our scheduler, from the same document.
func Ours(p *Problem) (o *Outcome, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("our scheduler panicked: %v", r)
		}
	}()
	cib, err := pacemaker.Parse(p.CIB(), pacemaker.Options{Lenient: true})
	if err != nil {
		return nil, fmt.Errorf("read the problem: %w", err)
	}
	plan, err := scheduler.Schedule(&cib.Config, &cib.Status, time.Unix(Now, 0).UTC(), scheduler.Options{})
	if err != nil {
		return nil, err
	}
	o = &Outcome{Actions: map[string]int{}, Probes: map[string]int{}}
	for i := range plan.Actions {
		o.planAction(&plan.Actions[i], p)
	}
	return o, nil
}

func (o *Outcome) planAction(a *cluster.Action, p *Problem) {
	if a.Implied || a.Internal || a.Kind == cluster.ActionPoint {
		return
	}
	resource := ""
	if a.Kind != cluster.ActionFence && a.Kind != cluster.ActionShutdown {
		resource = plainID(p, a.Instance)
		if a.Instance == "" {
			resource = plainID(p, a.Resource)
		}
	}
	interval := strconv.FormatInt(a.Interval.Milliseconds(), 10)
	detail := a.Detail
	switch a.Kind {
	case cluster.ActionProbe:
		o.Probes[actionLine("probe", resource, a.Node, "0", "")]++
		return
	case cluster.ActionCancel:
		interval, detail = "0", a.Detail+"/"+interval
	case cluster.ActionFence, cluster.ActionNotify:
	default:
		detail = ""
	}
	o.Actions[actionLine(string(a.Kind), resource, a.Node, interval, detail)]++
}
