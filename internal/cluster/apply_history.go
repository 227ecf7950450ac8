package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Infinity is the text form of the largest score and fail count.
const Infinity = "INFINITY"

// ownHistory returns m's history of a resource for changing, or nil.
func (a *applier) historyOf(m *Member, resource string, create bool) *ResourceHistory {
	if !a.ownHistory[m.Name] {
		m.History = slices.Clone(m.History)
		if a.ownHistory == nil {
			a.ownHistory = map[string]bool{}
		}
		a.ownHistory[m.Name] = true
	}
	i, found := slices.BinarySearchFunc(m.History, resource, func(h ResourceHistory, id string) int { return compareText(h.ID, id) })
	if !found {
		if !create {
			return nil
		}
		m.History = slices.Insert(m.History, i, ResourceHistory{ID: resource})
	}
	m.History[i].Operations = slices.Clone(m.History[i].Operations)
	return &m.History[i]
}

// HistoryOf returns what m knows of a resource by the name that agents use, or nil.
func (m *Member) HistoryOf(resource string) *ResourceHistory {
	i, found := slices.BinarySearchFunc(m.History, resource, func(h ResourceHistory, id string) int { return compareText(h.ID, id) })
	if !found {
		return nil
	}
	return &m.History[i]
}

// report takes what a joining incarnation found: history, and with it grants.
func (a *applier) report(c *Report) *Rejection {
	m := a.member(c.Incarnation.Node)
	if m == nil || m.Incarnation != c.Incarnation {
		return reject("conflict", "report of %s: incarnation %d is not its newest", c.Incarnation.Node, c.Incarnation.Counter)
	}
	if m.State != NodeJoining {
		return reject("conflict", "report of %s: it is %s, not joining", m.Name, m.State)
	}
	// What may run by the former history, and of which this daemon knows nothing (a
	// probe had found it): it has to look first.
	var unsure []string
	for i := range a.s.Grants {
		g := &a.s.Grants[i]
		name := a.s.Config.historyName(g.Instance)
		known := slices.ContainsFunc(c.History, func(h ResourceHistory) bool { return h.ID == name || h.ID == g.Instance })
		mine := slices.ContainsFunc(g.Holders, func(h Incarnation) bool { return h.Node == m.Name && h.Boot == m.Incarnation.Boot })
		if mine && !known && m.MayRun(g.Instance) && !slices.Contains(unsure, name) {
			unsure = append(unsure, name)
		}
	}
	m.History = slices.Clone(c.History)
	slices.SortStableFunc(m.History, func(x, y ResourceHistory) int { return compareText(x.ID, y.ID) })
	m.Reported, m.Unsure = true, unsure
	m.LastCall = max(m.LastCall, c.LastCall)
	for _, r := range c.Running {
		// Active or in flight, though the history does not say so (it was erased).
		if name := a.s.Config.historyName(r.Instance); !m.MayRun(r.Instance) && !slices.Contains(m.Unsure, name) {
			m.Unsure = append(m.Unsure, name)
		}
	}

	for i := range a.s.Grants {
		g := &a.s.Grants[i]
		if len(g.Holders) > 1 && g.Holders[0].Node == m.Name && !slices.ContainsFunc(c.Running, func(r Running) bool { return r.Instance == g.Instance && r.InFlight == "migrate_to" }) {
			a.sourceGone(a.s.Config.historyName(g.Instance))
		}
	}
	// Grants of this boot pass on to what is active; the others end.
	active := func(g *Grant) bool {
		return m.arriving(g.Instance) || slices.Contains(unsure, a.s.Config.historyName(g.Instance)) || slices.ContainsFunc(c.Running, func(r Running) bool {
			return r.Instance == g.Instance || !a.s.Config.Exclusive(g.Instance) && ConfiguredID(r.Instance) == g.Resource
		})
	}
	a.dropHolders(func(g *Grant, h Incarnation) bool {
		return h.Node == m.Name && h.Boot == m.Incarnation.Boot && !active(g)
	})
	grants := a.grants()
	for i := range grants {
		for k, h := range grants[i].Holders {
			if h.Node == m.Name && h != m.Incarnation {
				grants[i].Holders = slices.Clone(grants[i].Holders)
				grants[i].Holders[k] = m.Incarnation
			}
		}
	}
	for _, r := range c.Running {
		a.adopt(m, r.Instance, r.Role)
	}
	return nil
}

// historyName is the name that histories keep an instance under: those of an
// anonymous clone stand for each other.
func (c *Config) historyName(instance string) string {
	if c.Exclusive(instance) {
		return instance
	}
	return ConfiguredID(instance)
}

// history records one result.
func (a *applier) history(c *HistoryChange) *Rejection {
	m := a.member(c.Incarnation.Node)
	switch {
	case m == nil || m.Incarnation != c.Incarnation:
		return reject("conflict", "result from %s: incarnation %d is not its newest", c.Incarnation.Node, c.Incarnation.Counter)
	case !m.Reported || m.State != NodeOnline && m.State != NodeLeaving && m.State != NodeJoining:
		return reject("conflict", "result from %s: it is %s", m.Name, m.State)
	case c.Resource == "" || c.Entry.Operation == "":
		return reject("invalid", "result from %s: names no resource or operation", m.Name)
	case c.Entry.CallID <= m.LastCall:
		return reject("conflict", "result %d from %s was recorded already", c.Entry.CallID, m.Name)
	}
	m.LastCall = c.Entry.CallID
	if c.Cancelled {
		if h := a.historyOf(m, c.Resource, false); h != nil {
			active := h.Active()
			h.Operations = slices.DeleteFunc(h.Operations, func(e HistoryEntry) bool {
				return e.Operation == c.Entry.Operation && e.IntervalMS == c.Entry.IntervalMS && e.IntervalMS > 0
			})
			if active && !h.Active() && !slices.Contains(m.Unsure, h.ID) {
				// All else was erased: what it monitored runs on, though nothing says so.
				m.Unsure = append(slices.Clone(m.Unsure), h.ID)
			}
		}
		return nil
	}
	if slices.Contains(m.Unsure, c.Resource) && c.Entry.Status != 1 && c.Entry.Operation != "notify" {
		m.Unsure = slices.DeleteFunc(slices.Clone(m.Unsure), func(name string) bool { return name == c.Resource })
	}
	if c.Entry.Operation == "migrate_to" {
		a.sourceDone(c.Resource, a.s.Transition)
	}
	a.arrived(m, c)
	h := a.historyOf(m, c.Resource, true)
	h.Agent = c.Agent
	h.Record(c.Entry)
	if c.FailCount {
		a.countFailure(m, c)
	}
	a.historyGrants(m, c)
	a.historyEvent(m, c)
	return nil
}

// Failed tells whether e is a result that was not expected. A probe may find
// whatever it finds.
func (e *HistoryEntry) Failed() bool {
	if e.Status != 0 {
		return e.Status > 1
	}
	expected := e.Expected()
	if e.Operation == "monitor" && e.IntervalMS == 0 {
		switch e.RC {
		case 0, 7, 8, 190, 191:
			return false
		}
	}
	if e.RC == 190 && expected == 0 || e.RC == 191 && expected == 8 {
		return false
	}
	return e.RC != expected
}

// Expected is the result that the transition expected: the third part of the
// transition key, 0 if there is none.
func (e *HistoryEntry) Expected() int {
	parts := strings.SplitN(e.TransitionKey, ":", 4)
	if len(parts) < 3 {
		return 0
	}
	n, err := strconv.Atoi(parts[2])
	if err != nil {
		return 0
	}
	return n
}

// Record keeps e where Pacemaker keeps it: the last single operation, the last
// failure, each recurring operation and each half of a migration by itself. What
// was cancelled, and notifications, leave no trace.
func (h *ResourceHistory) Record(e HistoryEntry) {
	if e.Status == 1 || e.Operation == "notify" {
		return
	}
	if e.Operation == "reload" || e.Operation == "reload-agent" {
		e.Operation = "start"
	}
	e.Key = fmt.Sprintf("%s_%s_%d", h.ID, e.Operation, e.IntervalMS)
	if e.Operation == "stop" && !e.Failed() {
		h.Operations = slices.DeleteFunc(h.Operations, func(o HistoryEntry) bool { return o.IntervalMS > 0 && o.CallID < e.CallID && !o.Failed() })
	}
	if e.Failed() {
		failure := e
		failure.ID = h.ID + "_last_failure_0"
		h.put(failure)
		if e.IntervalMS > 0 {
			return
		}
	}
	switch {
	case e.IntervalMS > 0, e.Operation == "migrate_to", e.Operation == "migrate_from":
		e.ID = e.Key
	default:
		e.ID = h.ID + "_last_0"
	}
	h.put(e)
}

func (h *ResourceHistory) put(e HistoryEntry) {
	i := slices.IndexFunc(h.Operations, func(o HistoryEntry) bool { return o.ID == e.ID })
	if i < 0 {
		h.Operations = append(h.Operations, e)
		return
	}
	h.Operations[i] = e
}

// countFailure sets the attributes that count failures.
func (a *applier) countFailure(m *Member, c *HistoryChange) {
	key := fmt.Sprintf("%s#%s_%d", c.Resource, c.Entry.Operation, c.Entry.IntervalMS)
	count := Infinity
	if old := m.Attribute("fail-count-" + key); !c.Fatal && old != Infinity {
		n, _ := strconv.Atoi(old)
		count = strconv.Itoa(n + 1)
	}
	m.setAttribute("fail-count-"+key, count)
	m.setAttribute("last-failure-"+key, strconv.FormatInt(a.time.Unix(), 10))
}

// historyGrants keeps grants in step with what was seen: a demotion gives the
// promoted role back, and what a probe finds active is granted to who has it.
func (a *applier) historyGrants(m *Member, c *HistoryChange) {
	e := &c.Entry
	if c.Instance == "" || e.Status != 0 {
		return
	}
	switch {
	case e.Operation == "demote" && e.RC == 0:
		if g := a.s.GrantFor(c.Instance, m.Name); g != nil && g.Role == "Promoted" {
			grants := a.grants()
			grants[slices.IndexFunc(grants, func(o Grant) bool { return o.ID == g.ID })].Role = "Started"
		}
	case e.Operation == "monitor" && e.IntervalMS == 0 && (e.RC == 0 || e.RC == 190):
		a.adopt(m, c.Instance, "Started")
	case e.Operation == "monitor" && e.IntervalMS == 0 && (e.RC == 8 || e.RC == 191):
		a.adopt(m, c.Instance, "Promoted")
	}
}

// historyEvent tells people of what changed a resource, and of failures.
func (a *applier) historyEvent(m *Member, c *HistoryChange) {
	e := &c.Entry
	name := c.Instance
	if name == "" {
		name = c.Resource
	}
	if e.Failed() {
		text := fmt.Sprintf("%s of %s failed on %s (result %d", e.Operation, name, m.Name, e.RC)
		if e.Status == 2 {
			text = fmt.Sprintf("%s of %s timed out on %s (result %d", e.Operation, name, m.Name, e.RC)
		}
		if e.ExitReason != "" {
			text += ", " + e.ExitReason
		}
		failed := Event{Kind: "resource", Severity: "warning", Node: m.Name, Resource: name, Text: text + ")"}
		if c.Agent.IsFence() { // told long before the device is needed
			failed.Kind, failed.Severity, failed.Text = "fencing", "error", fmt.Sprintf("fence device %s does not work: %s", name, failed.Text)
		}
		a.event(failed)
		return
	}
	done, ok := map[string]string{
		"start": "started on", "stop": "stopped on", "promote": "promoted on", "demote": "demoted on",
		"migrate_from": "migrated to", "reload": "reloaded on", "reload-agent": "reloaded on",
	}[e.Operation]
	if ok && e.Status == 0 {
		a.event(Event{Kind: "resource", Node: m.Name, Resource: name, Text: fmt.Sprintf("%s %s %s", name, done, m.Name)})
	}
}

// MayRun tells whether by its history an instance is, or may be, active on m.
func (m *Member) MayRun(instance string) bool {
	if m.arriving(instance) {
		return true
	}
	if slices.Contains(m.Unsure, instance) || slices.Contains(m.Unsure, ConfiguredID(instance)) {
		return true
	}
	for i := range m.History {
		id := m.History[i].ID
		if (id == instance || id == ConfiguredID(instance)) && m.History[i].Active() {
			return true
		}
	}
	return false
}

// MayBePromoted tells whether by its history an instance is, or may be, promoted on m.
func (m *Member) MayBePromoted(instance string) bool {
	if slices.Contains(m.Unsure, instance) || slices.Contains(m.Unsure, ConfiguredID(instance)) {
		return true
	}
	for i := range m.History {
		id := m.History[i].ID
		if (id == instance || id == ConfiguredID(instance)) && m.History[i].promoted() {
			return true
		}
	}
	return false
}

// promoted tells whether the resource is, or may be, promoted by its newest operation.
// What did not stop, or was not demoted, is what it was before: anything, where a
// daemon that was started again knows no more.
func (h *ResourceHistory) promoted() bool {
	operations := slices.Clone(h.Operations)
	slices.SortStableFunc(operations, func(x, y HistoryEntry) int { return x.CallID - y.CallID })
	promoted, known := false, false
	for i := range operations {
		e := &operations[i]
		switch {
		case e.Status == 1 || e.Operation == "notify":
			continue // cancelled, or only told: says nothing
		case e.Operation == "promote":
			promoted = true
		case e.Operation == "start", e.Operation == "migrate_from":
			promoted = false
		case e.Operation == "stop", e.Operation == "demote":
			promoted = (promoted || !known) && e.Failed()
		case e.Operation == "monitor" && e.Status == 0 && (e.RC == 8 || e.RC == 9 || e.RC == 191):
			promoted = true
		case e.Operation == "monitor" && e.Status == 0 && (e.RC == 0 || e.RC == 7 || e.RC == 190):
			promoted = false
		default:
			continue
		}
		known = true
	}
	return promoted
}

// Active tells whether the resource is, or may be, active by its newest operation.
func (h *ResourceHistory) Active() bool {
	newest := -1
	active := false
	for i := range h.Operations {
		e := &h.Operations[i]
		if e.CallID < newest && e.CallID >= 0 || e.Operation == "notify" {
			continue
		}
		newest = e.CallID
		switch {
		case e.Operation == "stop":
			active = e.Failed()
		case e.Operation == "monitor" && e.Status == 0 && e.RC == 7:
			active = false
		case e.Operation == "monitor" && e.IntervalMS == 0 && (e.RC == 5 || e.RC == 2 || e.Status == 7):
			active = false
		case e.Status == 1:
			// cancelled: says nothing
		default:
			active = true
		}
	}
	return active
}

// forget erases history, or with Failcount only failures.
func (a *applier) forget(c *HistoryForget) *Rejection {
	if c.Node != "" && a.s.Member(c.Node) == nil {
		return reject("not-found", "there is no node %s", c.Node)
	}
	for i := range a.s.Members {
		if c.Node != "" && a.s.Members[i].Name != c.Node {
			continue
		}
		m := a.member(a.s.Members[i].Name)
		if !c.Failcount {
			for k := range m.History {
				if h := &m.History[k]; matchesResource(h.ID, c.Resource) && h.Active() && !slices.Contains(m.Unsure, h.ID) {
					m.Unsure = append(slices.Clone(m.Unsure), h.ID)
				}
			}
			m.History = slices.DeleteFunc(slices.Clone(m.History), func(h ResourceHistory) bool { return matchesResource(h.ID, c.Resource) })
		} else {
			for _, h := range m.History {
				if matchesResource(h.ID, c.Resource) && slices.ContainsFunc(h.Operations, func(e HistoryEntry) bool { return e.Failed() }) {
					own := a.historyOf(m, h.ID, true)
					own.Operations = slices.DeleteFunc(own.Operations, func(e HistoryEntry) bool { return e.Failed() })
					if h.Active() && !own.Active() && !slices.Contains(m.Unsure, h.ID) {
						m.Unsure = append(slices.Clone(m.Unsure), h.ID) // a failed stop, or start
					}
				}
			}
		}
		m.deleteAttributes(func(name string) bool {
			rest, isCount := strings.CutPrefix(name, "fail-count-")
			if !isCount {
				if rest, isCount = strings.CutPrefix(name, "last-failure-"); !isCount {
					return false
				}
			}
			resource, _, _ := strings.Cut(rest, "#")
			return matchesResource(resource, c.Resource)
		})
	}
	return nil
}

// matchesResource tells whether a history name belongs to the resource that was
// asked for: "" is all, "web" is also "web:0".
func matchesResource(name, wanted string) bool {
	return wanted == "" || name == wanted || ConfiguredID(name) == wanted
}
