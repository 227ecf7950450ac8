package api

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/config"
	"linuxha/internal/core/event"
)

// stateDirectory is where a node keeps its state.
const stateDirectory = "/var/lib/ha"

// Derive makes the view from the replicated state and the answering node's own.
func Derive(s *cluster.State, l *event.Local, extra []Warning, now time.Time) *Status {
	v := &Status{
		Cluster: s.Config.Name, Node: l.Node, Time: now, Index: s.Index, Revision: s.Revision,
		Quorate: l.Quorate, Leader: l.Leader, Lineage: s.Lineage.ID, Tickets: s.Tickets, Moves: s.Moves,
	}
	if !l.Quorate {
		v.AsOf = asOf(s, l, now)
	}
	s = sinceBoot(s, l)
	for i := range s.Members {
		v.Nodes = append(v.Nodes, deriveNode(s, &s.Members[i], l))
	}
	for i := range s.Config.Resources {
		v.Resources = append(v.Resources, deriveResource(s, &s.Config.Resources[i], true))
	}
	for _, f := range s.Fencings {
		if f.Open() {
			v.Fencings = append(v.Fencings, f)
		}
	}
	v.Failures = failures(s)
	v.Devices = devices(s)
	v.Warnings = append(warnings(s, v), extra...)
	if l.Forked != "" {
		v.Warnings = append([]Warning{{
			Code: "two-histories", Severity: "error", Text: l.Forked,
			Hint: "decide which side counts; on every node of the other one: systemctl stop ha (its services stop with it), empty " + stateDirectory +
				" and /etc/ha, then ha join with a token of the side that stays (ha token there)",
		}}, v.Warnings...)
	}
	return v
}

// sinceBoot leaves out what the state says of the answering node's former boot: it
// ended with that, though the cluster may not have said so yet.
func sinceBoot(s *cluster.State, l *event.Local) *cluster.State {
	i := slices.IndexFunc(s.Members, func(m cluster.Member) bool { return m.Name == l.Node })
	if i < 0 || l.Incarnation.Boot == "" || s.Members[i].Incarnation.Boot == "" || s.Members[i].Incarnation.Boot == l.Incarnation.Boot {
		return s
	}
	now := *s
	now.Members = slices.Clone(s.Members)
	now.Members[i].History, now.Members[i].State = nil, cluster.NodeJoining
	now.Members[i].Reason = "it has booted, and the cluster has not taken it back yet"
	return &now
}

// asOf returns when a node without quorum was last in contact with the cluster, or
// when the newest thing that its disk knows of happened.
func asOf(s *cluster.State, l *event.Local, now time.Time) time.Time {
	if l.Contact >= 0 {
		return now.Add(-l.Contact)
	}
	if len(s.Events) > 0 {
		return s.Events[len(s.Events)-1].Time
	}
	return time.Time{}
}

// nodeWord is a node's state in the words of Pacemaker's users.
func nodeWord(st cluster.NodeState) string {
	switch st {
	case cluster.NodeOnline, cluster.NodeLeaving:
		return "online"
	case cluster.NodeJoining:
		return "pending"
	case cluster.NodeLost:
		return "unclean"
	default:
		return "offline"
	}
}

func deriveNode(s *cluster.State, m *cluster.Member, l *event.Local) Node {
	n := Node{
		Name: m.Name, State: nodeWord(m.State), Since: m.Since, Reason: m.Reason, Leader: m.Name == l.Leader,
		Voter: m.Voter, Witness: m.Witness, Version: m.Version, Addresses: m.Links, Reachable: m.Name == l.Node,
	}
	n.Standby = NodeAttribute(&s.Config, m.Name, "standby") == "true"
	n.Maintenance = NodeAttribute(&s.Config, m.Name, "maintenance") == "true"
	for _, h := range m.History {
		if h.Active() {
			n.Running = append(n.Running, h.ID)
		}
	}
	for _, p := range l.Peers {
		if p.Node != m.Name {
			continue
		}
		n.Reachable = p.Reachable
		for _, k := range p.Links {
			n.Links = append(n.Links, Link(k))
		}
	}
	if !l.Quorate && !n.Reachable && (n.State == "online" || n.State == "pending") {
		n.State, n.Reason = "unclean", fmt.Sprintf("%s has no quorum and does not hear it", l.Node)
	}
	return n
}

// NodeAttribute returns a permanent attribute of a node, "" if unset.
func NodeAttribute(cfg *cluster.Config, node, name string) string {
	for i := range cfg.Nodes {
		if strings.EqualFold(cfg.Nodes[i].Name, node) {
			return cluster.Value(cfg.Nodes[i].Attributes, name)
		}
	}
	return ""
}

func deriveResource(s *cluster.State, r *cluster.Resource, managed bool) Resource {
	if v := cluster.Value(r.Meta, "is-managed"); v != "" {
		managed = v != "false"
	}
	out := Resource{ID: r.ID, Kind: string(r.Kind), Agent: r.Agent.String(), Managed: managed, Target: cluster.Value(r.Meta, "target-role")}
	for i := range r.Children {
		out.Members = append(out.Members, deriveResource(s, &r.Children[i], managed))
	}
	if r.Kind != cluster.Primitive {
		out.State = together(out.Members)
		return out
	}
	out.State = "stopped"
	for i := range s.Members {
		m := &s.Members[i]
		for j := range m.History {
			h := &m.History[j]
			if cluster.ConfiguredID(h.ID) != r.ID || !h.Active() {
				continue
			}
			role := historyRole(h)
			out.On = append(out.On, Instance{Node: m.Name, Role: role, Unknown: m.State == cluster.NodeLost})
			if out.State == "stopped" || role == "promoted" {
				out.State = role
			}
		}
	}
	if out.State == "stopped" {
		if s.GrantHolders(r.ID) != nil {
			out.State = "starting"
		} else if failedLast(s, r.ID) {
			out.State = "failed"
		}
	}
	return out
}

// historyRole reads the role of an active resource from its history: that of
// the last operation that changed it.
func historyRole(h *cluster.ResourceHistory) string {
	role, last := "started", -1
	for _, e := range h.Operations {
		if e.CallID < last || e.RC != 0 && e.RC != 8 {
			continue
		}
		switch e.Operation {
		case "start", "migrate_from":
			role, last = "started", e.CallID
		case "promote":
			role, last = "promoted", e.CallID
		case "demote":
			role, last = "unpromoted", e.CallID
		case "monitor":
			if e.RC == 8 {
				role, last = "promoted", e.CallID
			}
		}
	}
	return role
}

// together is the state of a collective: its members' if they agree.
func together(members []Resource) string {
	state := ""
	for _, m := range members {
		switch {
		case state == "":
			state = m.State
		case state != m.State:
			return "partial"
		}
	}
	if state == "" {
		return "stopped"
	}
	return state
}

func failedLast(s *cluster.State, id string) bool {
	for i := range s.Members {
		for j := range s.Members[i].History {
			h := &s.Members[i].History[j]
			if cluster.ConfiguredID(h.ID) != id {
				continue
			}
			for k := range h.Operations {
				if h.Operations[k].Failed() {
					return true
				}
			}
		}
	}
	return false
}

// failures lists failed operations, newest first.
func failures(s *cluster.State) []Failure {
	var out []Failure
	for i := range s.Members {
		m := &s.Members[i]
		seen := map[string]bool{} // the newest entry and the last failure may be the same operation
		for j := range m.History {
			h := &m.History[j]
			for k := range h.Operations {
				e := &h.Operations[k]
				key := fmt.Sprintf("%s %s %d %d", h.ID, e.Operation, e.IntervalMS, e.CallID)
				if !e.Failed() || seen[key] {
					continue
				}
				seen[key] = true
				op := e.Operation
				if e.IntervalMS > 0 {
					op = fmt.Sprintf("%s every %s", op, time.Duration(e.IntervalMS)*time.Millisecond)
				}
				out = append(out, Failure{
					Resource: h.ID, Node: m.Name, Operation: op, RC: e.RC, Reason: e.ExitReason, Time: time.Unix(e.LastRCChange, 0).UTC(),
					Count: m.Attribute(fmt.Sprintf("fail-count-%s#%s_%d", h.ID, e.Operation, e.IntervalMS)),
				})
			}
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Time.After(out[j].Time) })
	return out
}

// warnings are the troubles that the state itself shows.
func warnings(s *cluster.State, v *Status) []Warning {
	var out []Warning
	add := func(code, severity, text, hint string) {
		out = append(out, Warning{Code: code, Severity: severity, Text: text, Hint: hint})
	}
	if !v.Quorate {
		text := v.Node + " has no quorum: nothing new is started here"
		if !v.AsOf.IsZero() && len(s.Members) > 1 {
			text += ", and what other nodes do is shown as of " + v.AsOf.Format(time.DateTime)
		}
		add("no-quorum", "error", text, "bring back the missing voters, or see 'ha quorum force --help'")
	}
	if s.Config.FencingEnabled() && len(s.Config.FenceDevices()) == 0 && len(s.Members) > 1 && s.Config.Watchdog == nil {
		add("no-fence-device", "error", "there is no fence device: nothing will be recovered from a lost node", "add a fence_device block and apply it")
	}
	if s.Config.Watchdog != nil && len(s.Config.FenceDevices()) == 0 {
		watchdogWarnings(s, add)
	}
	if !s.Config.FencingEnabled() && len(s.Members) > 1 {
		add("fencing-disabled", "error", "fencing is disabled: a lost node's resources are recovered only after 'ha fence confirm'", "set fencing = true and add a fence_device")
	}
	for i := range s.Members {
		m := &s.Members[i]
		switch {
		case m.State != cluster.NodeLost:
		case s.OpenFencing(m.Name) != nil:
			add("node-lost", "error", fmt.Sprintf("%s is lost and being fenced", m.Name), "")
		default:
			add("node-lost", "error", fmt.Sprintf("%s is lost: what it runs is unknown", m.Name),
				fmt.Sprintf("once you made sure that it is off: ha fence confirm %s", m.Name))
		}
	}
	out = append(out, fenceWarnings(s, v)...)
	if failed := lastFencing(s); failed != nil {
		add("fencing-failed", "error", fmt.Sprintf("fencing %s failed: %s", failed.Target.Node, failed.Error),
			fmt.Sprintf("check the device, or make sure that it is off and say so: ha fence confirm %s", failed.Target.Node))
	}
	for _, m := range []struct{ option, code, text string }{
		{"maintenance-mode", "maintenance", "maintenance mode: no resource is managed"},
		{"stop-all-resources", "stop-all", "all resources are to be stopped (stop_all_resources)"},
	} {
		if s.Config.Option(m.option) == "true" {
			add(m.code, "warning", m.text, "")
		}
	}
	return append(out, unactedWarnings(&s.Config)...)
}

// unactedWarnings are what people could rely on and the cluster does not act on, by
// kind: nobody must believe that an alert will be sent.
func unactedWarnings(cfg *cluster.Config) (out []Warning) {
	said := config.Unacted(cfg)
	by := map[string][]string{} // who says so, by what is to be known of it
	for _, p := range said {
		by[p.Text] = append(by[p.Text], p.At)
	}
	for _, p := range said {
		if objects := by[p.Text]; objects != nil {
			out = append(out, Warning{Code: "not-acted-on", Severity: "warning", Text: strings.Join(objects, ", ") + ": " + p.Text, Hint: p.Hint})
			delete(by, p.Text)
		}
	}
	return out
}

// watchdogWarnings are those of a cluster that relies on watchdogs alone.
func watchdogWarnings(s *cluster.State, add func(code, severity, text, hint string)) {
	voters := 0
	for i := range s.Members {
		m := &s.Members[i]
		if m.Voter {
			voters++
		}
		if m.State == cluster.NodeOnline && m.WatchdogTimeout == 0 {
			add("no-watchdog", "error", fmt.Sprintf("the watchdog of %s is not armed: nothing will be recovered from it if it is lost", m.Name),
				fmt.Sprintf("see the daemon's log on %s: is there %s, and does nothing else hold it? Policies other than stop and fence do not use it", m.Name, s.Config.Watchdog.Device))
		}
	}
	if voters == 2 {
		add("watchdog-pair", "error", "watchdogs do not help two voters: neither knows whether the other gives up first",
			"add a fence_device, a third node or a witness")
	}
}

// lastFencing returns the newest fencing of a still lost node if it failed.
func lastFencing(s *cluster.State) *cluster.Fencing {
	for i := len(s.Fencings) - 1; i >= 0; i-- {
		f := &s.Fencings[i]
		m := s.Member(f.Target.Node)
		if f.Result == "failed" && m != nil && m.State == cluster.NodeLost && m.Incarnation == f.Target {
			return f
		}
	}
	return nil
}
