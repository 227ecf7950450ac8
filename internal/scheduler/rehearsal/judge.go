package rehearsal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/scheduler"
)

// WriteJudge schedules, rehearses, and writes decisions and final state as the
// neutral JSON that a judge of schedulers compares: lists in terms that any cluster
// manager's decisions can be put in.
func WriteJudge(out io.Writer, config *cluster.Config, status *cluster.Status, now time.Time) error {
	plan, observer, err := scheduler.Decide(config, status, now, scheduler.Options{Scores: true})
	if err != nil {
		return err
	}
	after := Run(status, plan, now, nil)
	seen := observer.Observe(after.Status)
	w := &judgeWriter{out: bufio.NewWriter(out), begin: "{"}
	writeList(w, "nodes", seen.Nodes, func(n *scheduler.NodeOutcome) {
		w.text("name", n.Name)
		w.text("state", n.State)
	})
	writeList(w, "resources", seen.Active, func(a *scheduler.Activity) {
		if a.Unique {
			w.text("resource", a.Instance)
		} else {
			w.text("resource", a.Resource)
		}
		w.text("node", a.Node)
		w.text("role", a.Role)
	})
	writeList(w, "actions", plan.Actions, w.action)
	w.order(plan.Actions)
	if len(plan.Scores) > 0 {
		writeList(w, "scores", plan.Scores, func(s *scheduler.Score) {
			w.text("kind", s.Kind)
			w.text("resource", s.Resource)
			w.text("node", s.Node)
			w.text("score", s.Score)
		})
	}
	w.out.WriteString("}\n")
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write decisions: %w", err)
	}
	return nil
}

// judgeWriter writes one JSON object whose members are lists. It does so without
// reflection and without ever holding the whole text: this is a tenth of the time
// of a small case.
type judgeWriter struct {
	out   *bufio.Writer // which keeps the first error
	begin string        // of the next member of an object: "{", later ","
}

func (w *judgeWriter) name(name string) {
	w.out.WriteString(w.begin)
	w.begin = ","
	w.out.WriteByte('"')
	w.out.WriteString(name)
	w.out.WriteString(`":`)
}

func (w *judgeWriter) text(name, value string) {
	w.name(name)
	w.quote(value)
}

// quote writes a string. Of what must be escaped the library knows best.
func (w *judgeWriter) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			w.out.Write(escaped(s))
			return
		}
	}
	w.out.WriteByte('"')
	w.out.WriteString(s)
	w.out.WriteByte('"')
}

func escaped(s string) []byte {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // a string can always be written
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// textIf, numberIf and flagIf leave out what is empty.
func (w *judgeWriter) textIf(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *judgeWriter) number(name string, value int64) {
	w.name(name)
	w.out.Write(strconv.AppendInt(w.out.AvailableBuffer(), value, 10))
}

func (w *judgeWriter) numberIf(name string, value int64) {
	if value != 0 {
		w.number(name, value)
	}
}

func (w *judgeWriter) flagIf(name string, value bool) {
	if value {
		w.name(name)
		w.out.WriteString("true")
	}
}

// writeList writes items, each an object of what write writes; null if there are none.
func writeList[T any](w *judgeWriter, name string, items []T, write func(*T)) {
	w.name(name)
	if len(items) == 0 {
		w.out.WriteString("null")
		return
	}
	separator := byte('[')
	for i := range items {
		w.out.WriteByte(separator)
		separator = ','
		w.begin = "{"
		write(&items[i])
		w.out.WriteByte('}')
	}
	w.out.WriteByte(']')
	w.begin = ","
}

func (w *judgeWriter) action(a *cluster.Action) {
	task, resource := string(a.Kind), a.Instance
	if a.Internal {
		task = a.Detail
	}
	for _, p := range a.Meta {
		if p.Name == "globally_unique" && p.Value == "false" {
			resource = a.Resource // instances of anonymous clones go without number
		}
	}
	w.number("id", int64(a.ID))
	w.text("task", task)
	w.textIf("resource", resource)
	w.textIf("node", a.Node)
	w.numberIf("interval_ms", a.Interval.Milliseconds())
	w.textIf("detail", a.Detail)
	w.flagIf("implied", a.Implied)
	w.flagIf("internal", a.Internal)
	if !a.Implied {
		w.params(a.Params)
	}
	w.numberIf("timeout_ms", a.Timeout.Milliseconds())
	w.textIf("router", a.Router)
}

// params writes parameters. What is compared with keeps them as XML
// attributes, whose names cannot begin with a digit.
func (w *judgeWriter) params(params []cluster.NVPair) {
	outer, any := w.begin, false
	for _, p := range params {
		if p.Name != "" && p.Name[0] >= '0' && p.Name[0] <= '9' {
			continue
		}
		if !any {
			w.name("params")
			outer, w.begin, any = w.begin, "{", true
		}
		w.text(p.Name, p.Value)
	}
	if any {
		w.out.WriteByte('}')
		w.begin = outer
	}
}

// order writes which actions wait for which: pairs of ids, the earlier one first.
func (w *judgeWriter) order(actions []cluster.Action) {
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
