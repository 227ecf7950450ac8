package executor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// report numbers a result, keeps it in this node's own history and among the
// results to be taken.
func (x *Executor) report(now event.Time, order uint64, op event.Operation, result event.Result) {
	x.lastCall++
	entry := cluster.HistoryEntry{
		Operation: op.Action, IntervalMS: op.Interval.Milliseconds(), CallID: x.lastCall, RC: result.Code, Status: result.Status,
		TransitionKey: op.TransitionKey, ExitReason: result.Reason, OnNode: x.self.Node,
		OpDigest: op.OpDigest, RestartDigest: op.RestartDigest, ForceRestart: op.ForceRestart,
		ExecTime: fmt.Sprint(result.Duration.Milliseconds()),
	}
	began := result.Started
	if began.IsZero() {
		began = now.Wall
	}
	entry.LastRun, entry.LastRCChange = began.Unix(), began.Unix()
	switch {
	case op.Action == "cancel":
		entry.Operation, entry.RC = "monitor", 0
	case op.Action == "migrate_to":
		entry.MigrateSource, entry.MigrateTarget = x.self.Node, meta(op, "migrate_target")
	case op.Action == "migrate_from":
		entry.MigrateSource, entry.MigrateTarget = meta(op, "migrate_source"), x.self.Node
	}
	h := &x.resource(op.Name, true).history
	h.Operations = slices.Clone(h.Operations) // may be shared with a State
	if op.Action == "cancel" {
		h.Operations = slices.DeleteFunc(h.Operations, func(e cluster.HistoryEntry) bool { return e.IntervalMS > 0 && e.IntervalMS == entry.IntervalMS })
	} else {
		h.Record(entry)
	}
	x.results = append(x.results, event.OrderResult{Number: order, Operation: op, Result: result, Entry: entry})
	x.version++
}

func meta(op event.Operation, name string) string {
	for _, p := range op.Meta {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// reportFound records what a restarted daemon found. A resource that its
// predecessor started, and that still runs, looks as if nothing had happened: the
// start is in the history with what it was started with.
func (x *Executor) reportFound(now event.Time, run *running, result event.Result) {
	r := run.resource
	op := run.op
	switch {
	case run.kind == orphaned && op.Interval > 0:
		return // a recurring monitor: the leader orders it again
	case run.kind == orphaned:
	case r.role == started || r.role == promoted:
		if r.history.Active() {
			return
		}
		op = r.derive("monitor", 0)
		switch action := r.last.Action; {
		case r.role == promoted && action == "promote", r.role == started && (action == "start" || action == "migrate_from"):
			op, result.Code = r.last, 0
		}
	}
	result.Started = now.Wall
	x.report(now, 0, op, result)
}

// Results are those not yet known to be taken, oldest first. All of them go into
// each message to the leader, so that none can be overtaken.
func (x *Executor) Results() []event.OrderResult { return x.results }

// ResultsVersion grows when Results has something new.
func (x *Executor) ResultsVersion() uint64 { return x.version }

// Applied drops the results that s shows to be taken.
func (x *Executor) Applied(s *cluster.State) {
	m := s.Member(x.self.Node)
	if m == nil || m.Incarnation != x.self {
		return
	}
	taken := 0
	for taken < len(x.results) && x.results[taken].Entry.CallID <= m.LastCall {
		taken++
	}
	if taken > 0 {
		x.results = slices.Clone(x.results[taken:])
	}
	x.forgetToo(m)
}

// forgetToo takes this node's histories from the State once that has all of them:
// what was forgotten there must not come back with the next report.
func (x *Executor) forgetToo(m *cluster.Member) {
	if len(x.results) > 0 || m.LastCall != x.lastCall || !m.Reported {
		return
	}
	var first *cluster.ResourceHistory
	if len(m.History) > 0 {
		first = &m.History[0]
	}
	if first == x.committed && first != nil {
		return
	}
	x.committed = first
	for _, r := range x.resources {
		r.history.Operations = nil
		if h := m.HistoryOf(r.name); h != nil {
			r.history.Operations = h.Operations
		}
	}
}

// Report answers an Ask of the leader of term: what is active, in flight or waits
// here. Orders numbered up to ask.Before that have not begun never will. It is
// not ready (false) before what an earlier daemon left is known.
func (x *Executor) Report(ask event.Ask, term uint64) (*cluster.Report, bool) {
	if !x.begun || x.opening > 0 || term < x.term {
		return nil, false
	}
	x.term = term
	x.overtake(ask.Before)
	for _, r := range x.resources {
		r.queue = slices.DeleteFunc(r.queue, func(j *job) bool {
			if j.kind == ordered && j.order <= ask.Before {
				x.trace("drops order %d (%s of %s): the leader asks what runs", j.order, j.op.Action, j.op.Name)
				return true
			}
			return false
		})
	}
	report := &cluster.Report{Incarnation: x.self, Running: x.Active(), LastCall: x.lastCall}
	for _, r := range x.resources {
		if len(r.history.Operations) > 0 {
			h := r.history
			h.Operations = slices.Clone(h.Operations)
			report.History = append(report.History, h)
		}
	}
	return report, true
}

// Active lists what is, or may be, active on this node.
func (x *Executor) Active() []cluster.Running {
	var active []cluster.Running
	for _, r := range x.resources {
		if r.role == stopped && len(r.running) == 0 {
			continue
		}
		running := cluster.Running{Resource: r.last.Resource, Instance: r.last.Instance, Role: r.role.String()}
		for _, run := range r.running {
			if run.op.Action != "monitor" && run.op.Action != "notify" {
				running.InFlight = run.op.Action
			}
			if run.op.Action == "promote" {
				running.Role = promoted.String()
			}
		}
		if r.role == stopped && running.InFlight == "" {
			continue
		}
		active = append(active, running)
	}
	return active
}

// InFlight lists the operations that run now, for people.
func (x *Executor) InFlight() []string {
	var texts []string
	for _, r := range x.resources {
		for _, run := range r.running {
			texts = append(texts, fmt.Sprintf("%s_%s_%d", r.name, run.op.Action, run.op.Interval/time.Millisecond))
		}
	}
	slices.SortFunc(texts, strings.Compare)
	return texts
}

// Turnover returns how many operations have been begun, and how many run: one of
// the two changes when InFlight does.
func (x *Executor) Turnover() (begun, running int) { return int(x.nextID), len(x.inflight) }

// Idle tells whether nothing is, or may be, active, waiting or in flight.
func (x *Executor) Idle() bool {
	if !x.begun || x.opening > 0 {
		return false
	}
	for _, r := range x.resources {
		if r.role != stopped || len(r.running) > 0 || len(r.queue) > 0 {
			return false
		}
	}
	return true
}
