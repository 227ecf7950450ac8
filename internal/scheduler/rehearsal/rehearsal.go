// Package rehearsal pretends that a plan is carried out: it writes into a copy
// of the status what would be recorded (SEMANTICS 33).
package rehearsal

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// uuid stands in the transition keys of pretended results.
const uuid = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"

// Result is what one operation is to answer instead of success.
type Result struct {
	Resource  string // as history calls it, with or without instance number
	Operation string // start, stop, monitor, ...
	Interval  time.Duration
	Node      string
	RC        int // OCF result code
}

// Outcome is the end of a rehearsal.
type Outcome struct {
	Status *cluster.Status
	Done   []int // ids of the actions that were carried out, in that order
	Failed []int // ids of those that failed
	Left   []int // ids of those that others' failures kept from being carried out
}

// Run carries out a plan at the moment now. Every action succeeds but those that
// results name. The given status stays as it is.
func Run(status *cluster.Status, plan *cluster.Plan, now time.Time, results []Result) *Outcome {
	w := newWriter(status, now)
	o := &Outcome{Status: w.status}
	state := make([]progress, len(plan.Actions))
	for left := len(plan.Actions); left > 0; {
		moved := false
		for i := range plan.Actions {
			a := &plan.Actions[i]
			if state[i] != waiting || !ready(a, state) {
				continue
			}
			moved = true
			left--
			state[i] = done
			rc, fails := resultOf(a, results)
			if fails {
				state[i] = failed
				o.Failed = append(o.Failed, a.ID)
			} else {
				o.Done = append(o.Done, a.ID)
			}
			w.record(a, rc)
		}
		if !moved {
			break
		}
	}
	for i := range plan.Actions {
		if state[i] == waiting {
			o.Left = append(o.Left, plan.Actions[i].ID)
		}
	}
	return o
}

type progress uint8

const (
	waiting progress = iota
	done
	failed
)

func ready(a *cluster.Action, state []progress) bool {
	for _, id := range a.After {
		if state[id-1] != done {
			return false
		}
	}
	return true
}

// resultOf is the result code that an action answers, and whether that is a
// failure.
func resultOf(a *cluster.Action, results []Result) (rc int, fails bool) {
	for _, r := range results {
		if a.Implied || a.Internal || !strings.EqualFold(r.Node, a.Node) || r.Operation != recordedTask(a) || r.Interval != a.Interval {
			continue
		}
		if r.Resource == a.Name || r.Resource == a.Instance || r.Resource == a.Resource {
			return r.RC, r.RC != a.ExpectRC
		}
	}
	return a.ExpectRC, false
}

// clone copies a status so far as a rehearsal changes it.
func clone(s *cluster.Status) *cluster.Status {
	c := *s
	c.Nodes = append([]cluster.NodeStatus(nil), s.Nodes...)
	return &c
}

// writer records results in a status.
type writer struct {
	status *cluster.Status
	now    time.Time
	index  map[string]int // of nodes in status, by lower-case name
	own    map[int]bool   // nodes of which the history is no longer that of the former status
}

// newWriter writes to a copy of status.
func newWriter(status *cluster.Status, now time.Time) *writer {
	w := &writer{status: clone(status), now: now, index: map[string]int{}, own: map[int]bool{}}
	for i := range w.status.Nodes {
		w.index[strings.ToLower(w.status.Nodes[i].Name)] = i
	}
	return w
}

func (w *writer) node(name string) *cluster.NodeStatus {
	key := strings.ToLower(name)
	i, ok := w.index[key]
	if !ok {
		i = len(w.status.Nodes)
		w.index[key] = i
		w.status.Nodes = append(w.status.Nodes, cluster.NodeStatus{ID: name, Name: name, Remote: true})
	}
	n := &w.status.Nodes[i]
	if !w.own[i] {
		w.own[i] = true
		n.History = append([]cluster.ResourceHistory(nil), n.History...)
	}
	return n
}

// recordedTask is the operation that history remembers an action as, "" for one
// that leaves no trace.
func recordedTask(a *cluster.Action) string {
	switch a.Kind {
	case cluster.ActionStart, cluster.ActionReload:
		return "start"
	case cluster.ActionMonitor, cluster.ActionProbe:
		return "monitor"
	case cluster.ActionStop, cluster.ActionPromote, cluster.ActionDemote, cluster.ActionMigrateTo, cluster.ActionMigrateFrom:
		return string(a.Kind)
	}
	return ""
}

func (w *writer) record(a *cluster.Action, rc int) {
	if a.Implied || a.Internal {
		return
	}
	if a.Kind == cluster.ActionFence {
		if a.Detail != "on" {
			w.fence(a.Node)
		}
		return
	}
	if task := recordedTask(a); task != "" {
		w.addEntry(a, task, rc)
	}
}

// fence takes a node down, as its fencing would.
func (w *writer) fence(name string) {
	n := w.node(name)
	n.InCCM, n.Crmd, n.Join, n.Expected = "false", "offline", "down", "down"
	n.History, n.Attributes = nil, nil
}

// addEntry records the result of an operation. What the same entry held before
// is replaced; migrations and recurring operations have entries of their own.
func (w *writer) addEntry(a *cluster.Action, task string, rc int) {
	n := w.node(a.Node)
	h := historyOf(n, a)
	e := cluster.HistoryEntry{
		Key:       a.Name + "_" + task + "_" + strconv.FormatInt(a.Interval.Milliseconds(), 10),
		Operation: task, IntervalMS: a.Interval.Milliseconds(), RC: rc,
		LastRun: w.now.Unix(), LastRCChange: w.now.Unix(), OnNode: n.Name,
		OpDigest: a.OpDigest, RestartDigest: a.RestartDigest, ForceRestart: a.ForceRestart,
	}
	switch {
	case rc != a.ExpectRC:
		e.ID = a.Name + "_last_failure_0"
	case e.IntervalMS > 0, task == "migrate_to", task == "migrate_from":
		e.ID = e.Key
	default:
		e.ID = a.Name + "_last_0"
	}
	for _, p := range a.Meta {
		switch p.Name {
		case "migrate_source":
			e.MigrateSource = p.Value
		case "migrate_target":
			e.MigrateTarget = p.Value
		}
	}
	slot := -1
	for i := range h.Operations {
		e.CallID = max(e.CallID, h.Operations[i].CallID)
		if h.Operations[i].ID == e.ID {
			slot = i
		}
	}
	e.CallID++
	// Transition -1: newer than whatever is still pending.
	e.TransitionKey = fmt.Sprintf("%d:-1:%d:%s", e.CallID, a.ExpectRC, uuid)
	e.TransitionMag = fmt.Sprintf("0:%d;%s", rc, e.TransitionKey)
	ops := append([]cluster.HistoryEntry(nil), h.Operations...)
	if slot >= 0 {
		ops[slot] = e
	} else {
		ops = append(ops, e)
	}
	h.Operations = ops
}

// historyOf finds a node's history of the resource of an action, or adds it. Where
// a node has several of the same name, none of them can be meant.
func historyOf(n *cluster.NodeStatus, a *cluster.Action) *cluster.ResourceHistory {
	for _, id := range []string{a.Name, a.Instance} {
		var found *cluster.ResourceHistory
		matches := 0
		for i := range n.History {
			if n.History[i].ID == id {
				found = &n.History[i]
				matches++
			}
		}
		if matches == 1 {
			return found
		}
	}
	n.History = append(n.History, cluster.ResourceHistory{ID: a.Name, Agent: a.Agent})
	return &n.History[len(n.History)-1]
}
