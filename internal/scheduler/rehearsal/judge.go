package rehearsal

import (
	"encoding/json"
	"io"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/scheduler"
)

// neutral is a plan and its outcome in terms that any cluster manager's decisions
// can be put in, for comparison.
type neutral struct {
	Nodes     []neutralNode     `json:"nodes"`
	Resources []neutralResource `json:"resources"`
	Actions   []neutralAction   `json:"actions"`
	Order     [][2]int          `json:"order"`
	Scores    []neutralScore    `json:"scores,omitempty"`
}

type neutralNode struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

type neutralResource struct {
	Resource string `json:"resource"`
	Node     string `json:"node"`
	Role     string `json:"role"`
}

type neutralAction struct {
	ID         int               `json:"id"`
	Task       string            `json:"task"`
	Resource   string            `json:"resource,omitempty"`
	Node       string            `json:"node,omitempty"`
	IntervalMS int64             `json:"interval_ms,omitempty"`
	Detail     string            `json:"detail,omitempty"`
	Implied    bool              `json:"implied,omitempty"`
	Internal   bool              `json:"internal,omitempty"`
	Params     map[string]string `json:"params,omitempty"`
	TimeoutMS  int64             `json:"timeout_ms,omitempty"`
	Router     string            `json:"router,omitempty"`
}

type neutralScore struct {
	Kind     string `json:"kind"`
	Resource string `json:"resource"`
	Node     string `json:"node"`
	Score    string `json:"score"`
}

// WriteJudge schedules, rehearses, and writes decisions and final state as the
// neutral JSON that a judge of schedulers compares.
func WriteJudge(out io.Writer, config *cluster.Config, status *cluster.Status, now time.Time) error {
	plan, err := scheduler.Schedule(config, status, now, scheduler.Options{Scores: true})
	if err != nil {
		return err
	}
	after := Run(status, plan, now, nil)
	seen := scheduler.Observe(config, after.Status, now)
	doc := neutral{Order: [][2]int{}}
	for _, n := range seen.Nodes {
		doc.Nodes = append(doc.Nodes, neutralNode{n.Name, n.State})
	}
	for _, a := range seen.Active {
		doc.Resources = append(doc.Resources, neutralResource{a.Instance, a.Node, a.Role})
	}
	for i := range plan.Actions {
		a := &plan.Actions[i]
		doc.Actions = append(doc.Actions, neutralise(a))
		for _, before := range a.After {
			doc.Order = append(doc.Order, [2]int{before, a.ID})
		}
	}
	for _, s := range plan.Scores {
		doc.Scores = append(doc.Scores, neutralScore{s.Kind, s.Resource, s.Node, s.Score})
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	return enc.Encode(doc)
}

func neutralise(a *cluster.Action) neutralAction {
	x := neutralAction{
		ID: a.ID, Task: string(a.Kind), Resource: a.Instance, Node: a.Node, IntervalMS: a.Interval.Milliseconds(),
		Detail: a.Detail, Implied: a.Implied, Internal: a.Internal, TimeoutMS: a.Timeout.Milliseconds(), Router: a.Router,
	}
	if x.Internal {
		x.Task = a.Detail
	}
	for _, p := range a.Meta {
		if p.Name == "globally_unique" && p.Value == "false" {
			x.Resource = a.Resource // instances of anonymous clones go without number
		}
	}
	if len(a.Params) > 0 && !a.Implied {
		x.Params = map[string]string{}
		for _, p := range a.Params {
			// What is compared with keeps parameters as XML attributes, whose
			// names cannot begin with a digit.
			if p.Name == "" || p.Name[0] < '0' || p.Name[0] > '9' {
				x.Params[p.Name] = p.Value
			}
		}
	}
	return x
}
