package differential

import (
	"crypto/md5"
	"fmt"
	"strconv"

	"linuxha/internal/cluster"
)

func (g *generator) status() {
	s := &g.p.Status
	s.Quorate = !g.with(12, "no quorum")
	for i := range g.p.Config.Nodes {
		n := &g.p.Config.Nodes[i]
		if g.with(2, "node never seen") {
			continue
		}
		s.Nodes = append(s.Nodes, g.nodeState(n))
	}
	for _, r := range g.primitives {
		g.place(r)
	}
	if g.with(6, "removed resource") {
		r := &cluster.Resource{ID: "gone", Agent: cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"}}
		g.running(r, "gone", pick(g, s.Nodes...).Name, false)
	}
	for _, t := range g.p.Config.TicketRules {
		if g.chance(80) {
			s.Tickets = append(s.Tickets, cluster.TicketStatus{ID: t.Ticket, Granted: pick(g, "true", "false"), Standby: pick(g, "", "", "true")})
		}
	}
	if len(s.Nodes) > 0 {
		s.Coordinator = s.Nodes[0].ID
	}
	s.Nodes = append([]cluster.NodeStatus(nil), s.Nodes...)
}

func (g *generator) nodeState(n *cluster.Node) cluster.NodeStatus {
	st := cluster.NodeStatus{ID: n.ID, Name: n.Name, InCCM: "true", Crmd: "online", Join: "member", Expected: "member"}
	switch k := g.rand.IntN(100); {
	case k < 80:
	case k < 86:
		g.saw("node offline")
		st.InCCM, st.Crmd, st.Join, st.Expected = "false", "offline", "down", "down"
	case k < 93:
		g.saw("node lost")
		st.InCCM, st.Crmd = "false", "offline"
	case k < 95:
		g.saw("node pending")
		st.Join, st.Expected = "pending", pick(g, "member", "down")
	case k < 97:
		g.saw("daemon lost")
		st.Crmd = "offline"
	default:
		g.saw("node shutting down")
		st.Attributes = g.set(n.Name, "shutdown", nv("shutdown", strconv.Itoa(Now-10)))
	}
	return st
}

// node returns a node's status, nil if it was never seen.
func (g *generator) nodeStatus(name string) *cluster.NodeStatus {
	for i := range g.p.Status.Nodes {
		if g.p.Status.Nodes[i].Name == name {
			return &g.p.Status.Nodes[i]
		}
	}
	return nil
}

// place gives a primitive a history on each node.
func (g *generator) place(r *cluster.Resource) {
	cloned, promotable, unique := g.cloneOf(r.ID)
	if g.inBundle(r.ID) {
		return // its node exists only by being started
	}
	nodes := g.p.Status.Nodes
	if len(nodes) == 0 {
		return
	}
	home := g.rand.IntN(len(nodes))
	if g.with(20, "never started") {
		home = -1
	}
	instance := 0
	for i := range nodes {
		name := r.ID
		if unique {
			name = fmt.Sprintf("%s:%d", r.ID, instance)
		}
		here := i == home || cloned && g.chance(70)
		if !cloned && i != home && g.with(2, "active twice") {
			here = true
		}
		if g.with(10, "never probed") {
			continue
		}
		if here {
			g.running(r, name, nodes[i].Name, promotable)
			instance++
		} else {
			g.record(name, r, nodes[i].Name, "monitor", 0, 7, 7, 0)
		}
	}
}

// cloneOf tells whether a primitive is inside a clone, and of which kind.
func (g *generator) cloneOf(id string) (cloned, promotable, unique bool) {
	for i := range g.p.Config.Resources {
		top := &g.p.Config.Resources[i]
		if top.Kind != cluster.Clone {
			continue
		}
		inside := top.Children[0].ID == id
		for j := range top.Children[0].Children {
			inside = inside || top.Children[0].Children[j].ID == id
		}
		if inside {
			return true, cluster.Value(top.Meta, "promotable") == "true", cluster.Value(top.Meta, "globally-unique") == "true"
		}
	}
	return false, false, false
}

func (g *generator) inBundle(id string) bool {
	for i := range g.p.Config.Resources {
		top := &g.p.Config.Resources[i]
		if top.Kind == cluster.Bundle && len(top.Children) > 0 && top.Children[0].ID == id {
			return true
		}
	}
	return false
}

// running writes a history that ends with the resource active, or failed.
func (g *generator) running(r *cluster.Resource, name, node string, promotable bool) {
	role := 0
	switch k := g.rand.IntN(100); {
	case k < 10:
		g.saw("found by probe")
		g.record(name, r, node, "monitor", 0, 0, 7, 0)
	default:
		g.saw("started")
		g.record(name, r, node, "start", 0, 0, 0, 0)
	}
	if promotable {
		if g.with(50, "promotion score") {
			g.attribute(node, "master-"+r.ID, pick(g, "1", "5", "10", "100", "-INFINITY"))
		}
		if g.with(30, "promoted") {
			g.record(name, r, node, "promote", 0, 0, 0, 0)
			role = 8
		}
	}
	if role == 0 {
		for _, op := range r.Operations {
			if op.Name == "monitor" && op.Attr("role") == "" && op.Attr("enabled") != "false" && g.chance(80) {
				g.record(name, r, node, "monitor", 10000, 0, 0, 0)
			}
		}
	}
	switch k := g.rand.IntN(100); {
	case k < 80:
	case k < 86:
		g.saw("failed monitor")
		g.record(name, r, node, "monitor", 10000, pick(g, 1, 7, 9, 5), role, 0)
		g.failed(r.ID, node, "monitor", 10000)
	case k < 90:
		g.saw("failed start")
		g.record(name, r, node, "start", 0, pick(g, 1, 2, 5, 6), 0, 0)
		g.failed(r.ID, node, "start", 0)
	case k < 93:
		g.saw("failed stop")
		g.record(name, r, node, "stop", 0, 1, 0, 0)
		g.failed(r.ID, node, "stop", 0)
	case k < 95:
		g.saw("pending operation")
		g.record(name, r, node, pick(g, "start", "stop", "monitor"), 0, 193, 0, -1)
	case k < 97:
		g.saw("operation timed out")
		g.record(name, r, node, "monitor", 10000, 1, role, 2)
		g.failed(r.ID, node, "monitor", 10000)
	default:
		g.saw("stopped")
		g.record(name, r, node, "stop", 0, 0, 0, 0)
	}
}

// record appends one history entry.
func (g *generator) record(name string, r *cluster.Resource, node, op string, interval int64, rc, expected, status int) {
	n := g.nodeStatus(node)
	if n == nil {
		return
	}
	var h *cluster.ResourceHistory
	for i := range n.History {
		if n.History[i].ID == name {
			h = &n.History[i]
		}
	}
	if h == nil {
		agent := r.Agent
		if r.Template != "" {
			agent = g.p.Config.Templates[0].Agent
		}
		n.History = append(n.History, cluster.ResourceHistory{ID: name, Agent: agent})
		h = &n.History[len(n.History)-1]
	}
	g.call[node]++
	call := g.call[node]
	key := fmt.Sprintf("%s_%s_%d", name, op, interval)
	e := cluster.HistoryEntry{ID: key, Key: key, Operation: op, IntervalMS: interval, CallID: call, RC: rc, Status: status,
		TransitionKey: fmt.Sprintf("%d:%d:%d:11111111-2222-3333-4444-555555555555", call, call, expected),
		LastRCChange:  int64(Now - 7200 + 10*call), LastRun: int64(Now - 7200 + 10*call), ExecTime: "5", QueueTime: "0", FeatureSet: "3.16.1",
		OnNode: node}
	if status == -1 {
		e.CallID = -1
	}
	if !g.with(4, "no digest") {
		if e.OpDigest = digest(r, interval, "20000"); g.with(3, "parameters changed") {
			e.OpDigest = "0123456789abcdef0123456789abcdef"
		}
	}
	e.TransitionMag = fmt.Sprintf("%d:%d;%s", status, rc, e.TransitionKey)
	for i := range h.Operations {
		if h.Operations[i].Key == key {
			h.Operations = append(h.Operations[:i], h.Operations[i+1:]...)
			break
		}
	}
	h.Operations = append(h.Operations, e)
}

// attribute sets a transient attribute.
func (g *generator) attribute(node, name, value string) {
	n := g.nodeStatus(node)
	if n == nil {
		return
	}
	if len(n.Attributes) == 0 {
		n.Attributes = []cluster.AttrSet{{ID: node + "-transient"}}
	}
	set := &n.Attributes[0]
	for i := range set.Pairs {
		if set.Pairs[i].Name == name {
			set.Pairs[i].Value = value
			return
		}
	}
	set.Pairs = append(set.Pairs, cluster.NVPair{ID: fmt.Sprintf("%s-transient-%d", node, len(set.Pairs)), Name: name, Value: value})
}

// failed counts a failure, as a running cluster does; now and then it has not
// been counted yet.
func (g *generator) failed(id, node, op string, interval int64) {
	if !g.with(80, "fail count") {
		return
	}
	suffix := fmt.Sprintf("%s#%s_%d", id, op, interval)
	g.attribute(node, "fail-count-"+suffix, pick(g, "1", "2", "INFINITY"))
	g.attribute(node, "last-failure-"+suffix, strconv.Itoa(Now-pick(g, 10, 100, 5000)))
}

// digest is the MD5 that a daemon of the given parameters would have recorded
// (SEMANTICS 20).
func digest(r *cluster.Resource, interval int64, timeout string) string {
	text := " <parameters"
	if interval > 0 {
		text += ` CRM_meta_timeout="` + timeout + `"`
	}
	if len(r.Params) > 0 {
		text += ` state="` + r.Params[0].Pairs[0].Value + `"`
	}
	return fmt.Sprintf("%x", md5.Sum([]byte(text+"/>\n")))
}
