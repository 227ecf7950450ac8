package executor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

var self = cluster.Incarnation{Node: "a", Counter: 3, Boot: "b1"}

// host runs an executor and answers its operations.
type host struct {
	t   *testing.T
	x   *Executor
	now event.Time
	log []string          // operations begun, "web.start"
	ids map[string]string // newest operation id by the same name
}

func newHost(t *testing.T, rec event.Recorded) *host {
	h := &host{t: t, x: New(self), ids: map[string]string{}}
	h.now = event.Time{Mono: time.Second, Wall: time.Unix(1000, 0)}
	h.x.Begin(h.now, rec)
	h.take()
	return h
}

func (h *host) take() {
	out := h.x.Take()
	for _, op := range out.Operations {
		name := op.Name + "." + op.Action
		if op.Interval > 0 {
			name += fmt.Sprint(op.Interval)
		}
		h.log = append(h.log, name)
		h.ids[name] = op.ID
	}
	for _, id := range out.Cancels {
		h.log = append(h.log, "cancel "+id)
	}
}

func op(name, action string, interval time.Duration) event.Operation {
	return event.Operation{
		Name: name, Resource: name, Instance: name, Action: action, Interval: interval, Timeout: 20 * time.Second,
		Agent: cluster.Agent{Class: "ha", Type: "web"}, OpDigest: "d-" + name,
	}
}

func (h *host) order(term, number uint64, o event.Operation) {
	h.x.Dispatch(h.now, term, &event.Dispatch{Orders: []event.Order{{Number: number, Operation: o}}})
	h.take()
}

func (h *host) done(name string, code int) {
	h.t.Helper()
	id, ok := h.ids[name]
	if !ok {
		h.t.Fatalf("%s was never begun: %v", name, h.log)
	}
	delete(h.ids, name)
	h.x.Done(h.now, event.Result{ID: id, Code: code})
	h.take()
}

func (h *host) after(d time.Duration) {
	h.now.Mono += d
	h.x.Tick(h.now)
	h.take()
}

func (h *host) want(log string) {
	h.t.Helper()
	if got := strings.Join(h.log, " "); got != log {
		h.t.Fatalf("operations:\n got %s\nwant %s", got, log)
	}
}

func (h *host) results(want string) {
	h.t.Helper()
	var got []string
	for _, r := range h.x.Results() {
		got = append(got, fmt.Sprintf("%d:%s.%s=%d/%d", r.Number, r.Operation.Name, r.Operation.Action, r.Result.Code, r.Result.Status))
	}
	if s := strings.Join(got, " "); s != want {
		h.t.Fatalf("results:\n got %s\nwant %s", s, want)
	}
}

func (h *host) active(want string) {
	h.t.Helper()
	var got []string
	for _, r := range h.x.Active() {
		got = append(got, strings.TrimSuffix(r.Instance+"="+r.Role+"/"+r.InFlight, "/"))
	}
	if s := strings.Join(got, " "); s != want {
		h.t.Fatalf("active: got %q, want %q", s, want)
	}
}

func TestOneOperationAtATimeAndEachOnce(t *testing.T) {
	h := newHost(t, event.Recorded{})
	h.order(5, 1, op("web", "start", 0))
	h.order(5, 2, op("web", "promote", 0))
	h.order(5, 1, op("web", "start", 0)) // a repeat
	h.order(5, 3, op("db", "start", 0))
	h.want("web.start db.start")
	h.active("db=Started/start web=Started/start")
	h.done("web.start", 0)
	h.want("web.start db.start web.promote")
	h.active("db=Started/start web=Promoted/promote")
	h.done("web.promote", 0)
	h.order(5, 2, op("web", "promote", 0)) // a late repeat
	h.order(4, 9, op("web", "stop", 0))    // an older leader
	h.want("web.start db.start web.promote")
	h.results("1:web.start=0/0 2:web.promote=0/0")
	h.x.Refuse(6)
	h.order(5, 10, op("web", "stop", 0))
	h.want("web.start db.start web.promote")
}

func TestResultsAreKeptUntilTaken(t *testing.T) {
	h := newHost(t, event.Recorded{})
	h.order(1, 1, op("web", "start", 0))
	h.done("web.start", 0)
	h.order(1, 2, op("web", "stop", 0))
	h.done("web.stop", 0)
	state := func(i cluster.Incarnation, last int) *cluster.State {
		return &cluster.State{Members: []cluster.Member{{Name: "a", Incarnation: i, LastCall: last}}}
	}
	h.x.Applied(state(cluster.Incarnation{Node: "a", Counter: 2, Boot: "b1"}, 7))
	h.results("1:web.start=0/0 2:web.stop=0/0")
	h.x.Applied(state(self, 1))
	h.results("2:web.stop=0/0")
	h.x.Applied(state(self, 2))
	h.results("")
}

func TestRecurringMonitors(t *testing.T) {
	h := newHost(t, event.Recorded{})
	h.order(1, 1, op("web", "start", 0))
	h.done("web.start", 0)
	h.order(1, 2, op("web", "monitor", 10*time.Second))
	h.done("web.monitor10s", 0)
	h.results("1:web.start=0/0 2:web.monitor=0/0")
	if d := h.x.Deadline(); d != h.now.Mono+10*time.Second {
		t.Fatalf("deadline %v", d)
	}
	h.after(9 * time.Second)
	h.want("web.start web.monitor10s")
	h.after(time.Second)
	h.done("web.monitor10s", 0)
	h.results("1:web.start=0/0 2:web.monitor=0/0") // nothing new
	h.x.Notice(h.now, "web", "process ended")
	h.take()
	h.want("web.start web.monitor10s web.monitor10s web.monitor10s")
	h.x.Notice(h.now, "web", "once more, while it looks")
	h.done("web.monitor10s", 7)
	h.results("1:web.start=0/0 2:web.monitor=0/0 0:web.monitor=7/0")
	h.after(0)
	h.done("web.monitor10s", 7)
	h.active("")

	// Stopping ends it; a monitor that was never answered is then.
	h.order(1, 3, op("web", "start", 0))
	h.order(1, 4, op("web", "monitor", 20*time.Second))
	h.order(1, 5, op("web", "stop", 0))
	h.done("web.start", 0)
	h.done("web.stop", 0)
	h.after(time.Hour)
	h.results("1:web.start=0/0 2:web.monitor=0/0 0:web.monitor=7/0 3:web.start=0/0 4:web.monitor=0/1 5:web.stop=0/0")
	if len(h.ids) != 0 || h.x.Deadline() != 0 {
		t.Fatalf("still runs %v, deadline %v", h.ids, h.x.Deadline())
	}
}

func TestCancel(t *testing.T) {
	h := newHost(t, event.Recorded{})
	h.order(1, 1, op("web", "start", 0))
	h.done("web.start", 0)
	h.order(1, 2, op("web", "monitor", 10*time.Second))
	h.done("web.monitor10s", 0)
	h.order(1, 3, op("web", "cancel", 10*time.Second))
	h.after(time.Hour)
	h.want("web.start web.monitor10s")
	h.results("1:web.start=0/0 2:web.monitor=0/0 3:web.cancel=0/1")
}

func TestReportOvertakesWhatWasOrderedBefore(t *testing.T) {
	h := newHost(t, event.Recorded{})
	h.order(5, 10, op("web", "start", 0))
	h.order(5, 11, op("web", "promote", 0))
	report, ok := h.x.Report(event.Ask{Before: 12}, 6)
	if !ok || len(report.Running) != 1 || report.Running[0].InFlight != "start" {
		t.Fatalf("got %+v", report)
	}
	h.done("web.start", 0)
	h.order(5, 13, op("web", "stop", 0)) // older term
	h.order(6, 12, op("web", "stop", 0)) // sent before the question
	h.want("web.start")
	h.order(6, 14, op("web", "stop", 0))
	h.want("web.start web.stop")
	if _, ok := h.x.Report(event.Ask{Before: 20}, 5); ok {
		t.Fatal("answered a leader of an older term")
	}
}

func TestRestartedDaemonAwaitsAndProbesBeforeItReports(t *testing.T) {
	orphan := op("web", "start", 0)
	orphan.ID = "2.9"
	h := newHost(t, event.Recorded{InFlight: []event.Operation{orphan}, Active: []event.Operation{op("db", "start", 0), op("fs", "start", 0)}})
	h.want("db.monitor fs.monitor")
	h.active("db=Started fs=Started web=Started/start")
	h.order(1, 1, op("vip", "start", 0)) // orders are obeyed, but nothing is reported yet
	h.done("db.monitor", 0)
	h.done("fs.monitor", 7)
	if _, ok := h.x.Report(event.Ask{}, 1); ok {
		t.Fatal("reported with an orphan in flight")
	}
	h.x.Done(h.now, event.Result{ID: "2.9", Code: 0})
	h.take()
	if _, ok := h.x.Report(event.Ask{}, 1); ok {
		t.Fatal("reported before the probe")
	}
	h.done("web.monitor", 0)
	report, ok := h.x.Report(event.Ask{}, 1)
	if !ok {
		t.Fatal("no report")
	}
	h.active("db=Started vip=Started/start web=Started")
	got := map[string]string{}
	for _, r := range report.History {
		for _, e := range r.Operations {
			got[r.ID] += fmt.Sprintf("%s=%d %s;", e.Operation, e.RC, e.OpDigest)
		}
	}
	want := "map[db:start=0 d-db; fs:monitor=7 d-fs; web:start=0 d-web;]"
	if fmt.Sprint(got) != want {
		t.Fatalf("history: got %v, want %s", got, want)
	}
	if report.LastCall != 3 {
		t.Fatalf("last call %d", report.LastCall)
	}
}

func TestStopAll(t *testing.T) {
	setup := func(t *testing.T) *host {
		h := newHost(t, event.Recorded{})
		for i, name := range []string{"fs", "db", "web"} {
			h.order(1, uint64(10*i+1), op(name, "start", 0))
			h.done(name+".start", 0)
		}
		h.order(1, 50, op("db", "promote", 0))
		h.done("db.promote", 0)
		h.log = nil
		return h
	}
	t.Run("stop", func(t *testing.T) {
		h := setup(t)
		h.order(1, 60, op("vip", "start", 0))
		h.order(1, 61, op("vip", "monitor", time.Second))
		h.x.StopAll(h.now, "stop")
		h.take()
		h.want("vip.start") // its start must end first
		h.done("vip.start", 0)
		h.order(1, 62, op("web", "start", 0))
		h.done("vip.stop", 0)
		h.done("web.stop", 1) // fails: the others go on
		h.done("db.stop", 0)
		if h.x.Idle() {
			t.Fatal("idle before everything stopped")
		}
		h.done("fs.stop", 0)
		h.want("vip.start vip.stop web.stop db.stop fs.stop")
		h.active("web=Started")
		h.x.Resume()
		h.order(1, 70, op("web", "stop", 0))
		h.done("web.stop", 0)
		if !h.x.Idle() {
			t.Fatal("not idle with everything stopped")
		}
	})
	t.Run("demote", func(t *testing.T) {
		h := setup(t)
		h.x.StopAll(h.now, "demote")
		h.take()
		h.done("db.demote", 0)
		h.want("db.demote")
		h.active("db=Started fs=Started web=Started")
	})
	t.Run("freeze", func(t *testing.T) {
		h := setup(t)
		h.x.StopAll(h.now, "freeze")
		h.take()
		h.order(1, 60, op("vip", "start", 0))
		h.want("")
	})
}

func TestMemoryOfOrdersIsBounded(t *testing.T) {
	h := newHost(t, event.Recorded{})
	for n := uint64(1); n <= 3*obeyedLimit; n++ {
		h.x.Dispatch(h.now, 1, &event.Dispatch{Orders: []event.Order{{Number: n, Operation: op("web", "notify", 0)}}})
	}
	if len(h.x.obeyed) > obeyedLimit {
		t.Fatalf("%d orders remembered", len(h.x.obeyed))
	}
	before := len(h.x.resources[0].queue)
	h.order(1, 1, op("web", "notify", 0))
	h.order(1, obeyedLimit/2, op("web", "notify", 0))
	if len(h.x.resources[0].queue) != before {
		t.Fatal("an order whose memory is gone was obeyed again")
	}
}
