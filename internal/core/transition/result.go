package transition

import (
	"fmt"
	"slices"
	"strings"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Result takes a node's result: it becomes history, may release a grant, and the
// walk goes on. Results that come again are ignored.
func (e *Engine) Result(now event.Time, from cluster.Incarnation, r event.OrderResult) {
	e.now = now
	m := e.state.Member(from.Node)
	if m == nil || m.Incarnation != from || !m.Reported || m.State == cluster.NodeLost || m.Off() || r.Entry.CallID <= m.LastCall {
		return
	}
	if p := e.proposed[from]; r.Entry.CallID <= p.call && now.Mono < p.at+proposeWait {
		return
	}
	e.proposed[from] = proposal{call: max(e.proposed[from].call, r.Entry.CallID), at: now.Mono}
	op := &r.Operation
	_, followed := e.orders[r.Number] // that it was refused, say, is no end of what an earlier leader ordered
	if at := e.at(from.Node, op.Instance); e.busy[at] == op.Action && !followed {
		delete(e.busy, at) // the result of something before it says nothing of its end
	}

	c := &cluster.HistoryChange{
		Incarnation: from, Resource: op.Name, Instance: op.Instance, Agent: op.Agent, Entry: r.Entry, Cancelled: op.Action == "cancel",
	}
	probe := op.Action == "monitor" && op.Interval == 0
	if r.Entry.Failed() && !probe && op.Action != "notify" {
		c.FailCount = true
		c.Fatal = op.Action == "stop" || op.Action == "start" && !strings.EqualFold(e.state.Config.Option("start-failure-is-fatal"), "false")
	}
	e.begin()
	e.propose(cluster.Command{History: c})

	o := e.orders[r.Number]
	if o != nil && o.to != from {
		o = nil
	}
	if o != nil {
		delete(e.orders, r.Number)
	}
	e.releaseStopped(m, op, &r.Entry, probe)
	if o != nil && o.action > 0 && e.walk != nil {
		e.answered(&e.walk.steps[o.action-1], &r)
	}
	e.advance(now)
}

// releaseStopped gives back the grant of what was reported stopped, unless the
// walk is about to start it again in the same place.
func (e *Engine) releaseStopped(m *cluster.Member, op *event.Operation, entry *cluster.HistoryEntry, probe bool) {
	isStopped := op.Action == "stop" && entry.Status == 0 && entry.RC == 0 || probe && entry.Status == 0 && entry.RC == 7
	g := e.state.GrantFor(op.Instance, m.Name)
	if call, told := e.told[m.Incarnation]; !told || call > entry.CallID {
		return // an earlier leader may have ordered more there, whose result is still to come
	}
	if !isStopped || g == nil || e.wanted(g, m.Incarnation) || e.outstandingGrant(m.Name, g) {
		return
	}
	e.release(g, m.Incarnation)
}

// answered moves a step on by its result.
func (e *Engine) answered(s *step, r *event.OrderResult) {
	w := e.walk
	code := r.Result.Code
	switch code {
	case 190:
		code = 0
	case 191:
		code = 8
	}
	switch {
	case s.Kind == cluster.ActionCancel, s.Kind == cluster.ActionNotify:
		w.complete(s) // failures of notifications are only logged
	case r.Result.Status == 0 && code == s.ExpectRC:
		w.complete(s)
	case r.Result.Status == 1:
		s.state = failed
		w.refused = w.refused || s.Interval == 0 // a monitor may have been cancelled
		e.abort(fmt.Sprintf("%s of %s on %s was cancelled", s.Kind, s.Name, s.Node))
	case s.Kind == cluster.ActionProbe && r.Result.Status == 0 && (code == 0 || code == 7 || code == 8):
		w.complete(s)
		e.abort(fmt.Sprintf("%s was found otherwise on %s than expected (%d)", s.Name, s.Node, r.Result.Code))
	default:
		// Also if it may fail: what the plan assumed is no longer so.
		s.state = failed
		if s.CanFail {
			w.complete(s)
		}
		w.failure = w.failure || !s.CanFail
		e.abort(fmt.Sprintf("%s of %s on %s failed (%d)", s.Kind, s.Name, s.Node, r.Result.Code))
	}
}

// Material tells whether what changed from old to new asks for a new schedule: all
// but what the transition under way did itself, as expected.
func (e *Engine) Material(old, new *cluster.State) bool {
	if old == new {
		return false
	}
	if old.Revision != new.Revision || old.Lineage != new.Lineage || len(old.Members) != len(new.Members) || len(old.Tickets) != len(new.Tickets) {
		return true
	}
	if !slices.Equal(unfencingDevices(old), unfencingDevices(new)) {
		return true
	}
	for i := range new.Tickets {
		if old.Tickets[i] != new.Tickets[i] {
			return true
		}
	}
	for _, m := range new.Moves {
		found := false
		for _, o := range old.Moves {
			found = found || o == m
		}
		if !found {
			return true
		}
	}
	if len(new.Members) == 0 || &old.Members[0] == &new.Members[0] {
		return false
	}
	for i := range new.Members {
		if e.materialMember(&old.Members[i], &new.Members[i]) {
			return true
		}
	}
	return false
}

func (e *Engine) materialMember(o, n *cluster.Member) bool {
	if o.Name != n.Name || o.Witness != n.Witness || o.Cut && !n.Cut {
		return true
	}
	if o.State != n.State {
		switch {
		case n.State == cluster.NodeFenced && e.fencing(n.Name):
			return false // its stops are implied by this
		case n.State == cluster.NodeJoining && o.Off():
			return false // nothing may run there yet
		default:
			return true
		}
	}
	if o.Incarnation != n.Incarnation || o.Reported != n.Reported {
		return true
	}
	for _, x := range n.Arriving {
		if o.Awaits(x.Resource) && !n.Awaits(x.Resource) && !e.migrating(x.Resource) {
			return true // what has arrived has to be looked for
		}
	}
	before, after := o.Attributes, n.Attributes
	if e.unfencing(n.Name) { // it waits for this
		before, after = withoutUnfenced(before), withoutUnfenced(after)
	}
	if len(before) != len(after) {
		return !e.forgetting(n.Name)
	}
	for i := range after {
		if before[i] != after[i] {
			return true
		}
	}
	if len(o.History) == len(n.History) && (len(n.History) == 0 || &o.History[0] == &n.History[0]) {
		return false
	}
	if len(n.History) < len(o.History) && !e.forgetting(n.Name) {
		return true
	}
	for i := range n.History {
		for k := range n.History[i].Operations {
			entry := &n.History[i].Operations[k]
			if entry.CallID > o.LastCall && !e.expected(entry) {
				return true
			}
		}
	}
	return false
}

// migrating tells whether the plan under way migrates a resource.
func (e *Engine) migrating(name string) bool {
	return e.walk != nil && e.walk.aborted == "" && slices.ContainsFunc(e.walk.steps, func(s step) bool {
		return s.Kind == cluster.ActionMigrateTo && s.Name == name
	})
}

// fencing tells whether the plan under way knows that node is being fenced.
func (e *Engine) fencing(node string) bool {
	return e.walks(node, func(action string) bool { return action != "on" })
}

// unfencing tells whether the plan under way unfences node.
func (e *Engine) unfencing(node string) bool {
	return e.walks(node, func(action string) bool { return action == "on" })
}

// walks tells whether the plan under way has a matching fencing action on node.
func (e *Engine) walks(node string, match func(action string) bool) bool {
	return e.walk != nil && e.walk.aborted == "" && slices.ContainsFunc(e.walk.steps, func(s step) bool {
		return s.Kind == cluster.ActionFence && s.Node == node && match(s.Detail)
	})
}

// unfencingDevices returns the fence devices that nodes are unfenced by.
func unfencingDevices(s *cluster.State) (ids []string) {
	for i := range s.Devices {
		if s.Devices[i].Unfences {
			ids = append(ids, s.Devices[i].ID)
		}
	}
	return ids
}

// withoutUnfenced returns attributes without the one that says since when a node is unfenced.
func withoutUnfenced(attributes []cluster.NVPair) []cluster.NVPair {
	return slices.DeleteFunc(slices.Clone(attributes), func(p cluster.NVPair) bool { return p.Name == cluster.UnfencedAttribute })
}

// forgetting tells whether the plan under way erases something on node.
func (e *Engine) forgetting(node string) bool {
	if e.walk == nil {
		return false
	}
	for i := range e.walk.steps {
		switch s := &e.walk.steps[i]; s.Kind {
		case cluster.ActionCleanup, cluster.ActionClearFailcount, cluster.ActionForget:
			if s.Node == node {
				return true
			}
		}
	}
	return false
}

// expected tells whether a history entry is what the plan under way wanted.
func (e *Engine) expected(entry *cluster.HistoryEntry) bool {
	if e.walk == nil || entry.Failed() {
		return false
	}
	if !e.walk.keys[entry.TransitionKey] {
		return false
	}
	if entry.Operation == "monitor" && entry.IntervalMS == 0 {
		return entry.RC == entry.Expected()
	}
	return true
}
