package rehearsal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/scheduler"
)

// A plan and its outcome are written in neutral terms, which any cluster manager's
// decisions can be put in for comparison: lists of the following.

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
	w := newListWriter(out)
	writeList(w, "nodes", seen.Nodes, func(n *scheduler.NodeOutcome) neutralNode { return neutralNode{n.Name, n.State} })
	writeList(w, "resources", seen.Active, func(a *scheduler.Activity) neutralResource { return neutralResource{a.Instance, a.Node, a.Role} })
	writeList(w, "actions", plan.Actions, neutralise)
	w.writeOrder(plan.Actions)
	if len(plan.Scores) > 0 {
		writeList(w, "scores", plan.Scores, func(s *scheduler.Score) neutralScore { return neutralScore(*s) })
	}
	return w.end()
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

// listWriter writes one JSON object whose members are lists, without ever holding
// the whole text.
type listWriter struct {
	out   *bufio.Writer
	begin string       // of the next member: "{", later ","
	batch bytes.Buffer // what encode writes to
	json  *json.Encoder
	err   error
}

func newListWriter(out io.Writer) *listWriter {
	w := &listWriter{out: bufio.NewWriter(out), begin: "{"}
	w.json = json.NewEncoder(&w.batch)
	w.json.SetEscapeHTML(false)
	return w
}

func (w *listWriter) name(name string) {
	w.out.WriteString(w.begin + `"` + name + `":`)
	w.begin = ","
}

// writeList writes items as convert makes them; none are null.
func writeList[From, To any](w *listWriter, name string, items []From, convert func(*From) To) {
	w.name(name)
	if len(items) == 0 {
		w.out.WriteString("null")
		return
	}
	batch := make([]To, 0, min(len(items), 64))
	separator := "["
	for i := range items {
		batch = append(batch, convert(&items[i]))
		if len(batch) < cap(batch) && i+1 < len(items) {
			continue
		}
		w.batch.Reset()
		if err := w.json.Encode(batch); err != nil {
			w.err = err
			return
		}
		text := bytes.TrimSuffix(w.batch.Bytes(), []byte("]\n"))
		w.out.WriteString(separator)
		w.out.Write(text[len("["):])
		batch, separator = batch[:0], ","
	}
	w.out.WriteString("]")
}

// writeOrder writes which actions wait for which: pairs of ids, the earlier one first.
func (w *listWriter) writeOrder(actions []cluster.Action) {
	w.name("order")
	w.out.WriteString("[")
	separator := "["
	for i := range actions {
		for _, before := range actions[i].After {
			text := append(w.out.AvailableBuffer(), separator...)
			text = strconv.AppendInt(text, int64(before), 10)
			text = append(text, ',')
			text = strconv.AppendInt(text, int64(actions[i].ID), 10)
			w.out.Write(append(text, ']'))
			separator = ",["
		}
	}
	w.out.WriteString("]")
}

func (w *listWriter) end() error {
	w.out.WriteString("}\n")
	if w.err != nil {
		return w.err
	}
	return w.out.Flush()
}
