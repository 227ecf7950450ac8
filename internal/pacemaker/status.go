package pacemaker

import (
	"cmp"
	"slices"

	"linuxha/internal/cluster"
)

// The status section has no fixed schema: daemons of all releases wrote into
// it, so what is unknown there is passed over.

func (r *reader) statusSection(e *element) {
	for c := range r.doc.children(e) {
		switch c.name {
		case "node_state":
			r.nodeState(c)
		case "tickets":
			r.tickets(c)
		}
	}
}

func (r *reader) nodeState(e *element) {
	n := cluster.NodeStatus{}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
			n.ID = a.value
		case "uname":
			n.Name = a.value
		case "remote_node":
			n.Remote = cluster.IsTrue(a.value)
		case "in_ccm":
			n.InCCM = a.value
		case "crmd":
			n.Crmd = a.value
		case "join":
			n.Join = a.value
		case "expected":
			n.Expected = a.value
		case "node_in_maintenance":
			n.RemoteMaintenance = a.value
		case "node_fenced":
			n.NodeFenced = a.value
		}
	}
	if n.ID == "" && n.Name == "" {
		r.fault(e.pos, "<node_state> without id and uname")
		return
	}
	for c := range r.doc.children(e) {
		switch c.name {
		case "transient_attributes":
			for b := range r.doc.children(c) {
				if b.name == "instance_attributes" {
					n.Attributes = append(n.Attributes, r.transient(b))
				}
			}
		case "lrm":
			for list := range r.doc.children(c) {
				if list.name == "lrm_resources" {
					r.histories(list, &n)
				}
			}
		}
	}
	r.status.Nodes = append(r.status.Nodes, n)
}

// transient reads a block of transient attributes; their ids share no
// namespace with the configuration's.
func (r *reader) transient(e *element) cluster.AttrSet {
	set := cluster.AttrSet{ID: r.doc.attr(e, "id")}
	for c := range r.doc.children(e) {
		if c.name != "nvpair" {
			continue
		}
		p := cluster.NVPair{ID: r.doc.attr(c, "id"), Name: r.doc.attr(c, "name")}
		value, ok := r.doc.lookup(c, "value")
		if p.Value = value; ok && p.Name != "" {
			set.Pairs = append(set.Pairs, p)
		}
	}
	return set
}

func (r *reader) histories(e *element, n *cluster.NodeStatus) {
	n.History = slices.Grow(n.History, r.doc.count(e))
	for c := range r.doc.children(e) {
		if c.name != "lrm_resource" {
			continue
		}
		h := cluster.ResourceHistory{}
		for a := range r.doc.attributes(c) {
			switch a.name {
			case "id":
				h.ID = a.value
			case "class":
				h.Agent.Class = a.value
			case "provider":
				h.Agent.Provider = a.value
			case "type":
				h.Agent.Type = a.value
			case "container":
				h.Container = a.value
			case "shutdown-lock":
				h.LockTime = a.value
			}
		}
		if h.ID == "" {
			r.fault(c.pos, "<lrm_resource> without id")
			continue
		}
		h.Operations = make([]cluster.HistoryEntry, 0, r.doc.count(c))
		for op := range r.doc.children(c) {
			if op.name == "lrm_rsc_op" {
				h.Operations = append(h.Operations, r.historyEntry(op))
			}
		}
		n.History = append(n.History, h)
	}
}

func (r *reader) historyEntry(e *element) cluster.HistoryEntry {
	h := cluster.HistoryEntry{CallID: -1, RC: -1, Status: -1, LastRCChange: -1}
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "id":
			h.ID = a.value
		case "operation_key":
			h.Key = a.value
		case "operation":
			h.Operation = a.value
		case "interval":
			h.IntervalMS, _ = integer(a.value)
		case "call-id":
			h.CallID = int(r.statusNumber(a, -1))
		case "rc-code":
			h.RC = int(r.statusNumber(a, -1))
		case "op-status":
			h.Status = int(r.statusNumber(a, -1))
		case "transition-key":
			h.TransitionKey = a.value
		case "transition-magic":
			h.TransitionMag = a.value
		case "last-run":
			h.LastRun = r.statusNumber(a, 0)
		case "last-rc-change":
			h.LastRCChange = r.statusNumber(a, -1)
		case "exec-time":
			h.ExecTime = a.value
		case "queue-time":
			h.QueueTime = a.value
		case "exit-reason":
			h.ExitReason = a.value
		case "on_node":
			h.OnNode = a.value
		case "op-digest":
			h.OpDigest = a.value
		case "op-restart-digest":
			h.RestartDigest = a.value
		case "op-secure-digest":
			h.SecureDigest = a.value
		case "op-force-restart":
			h.ForceRestart = cmp.Or(a.value, " ") // a list without names is not the same as no list
		case "op-secure-params":
			h.SecureParams = a.value
		case "migrate_source":
			h.MigrateSource = a.value
		case "migrate_target":
			h.MigrateTarget = a.value
		case "crm_feature_set":
			h.FeatureSet = a.value
		case "crm-debug-origin":
		default:
			h.Extra = append(h.Extra, cluster.NVPair{Name: a.name, Value: a.value})
		}
	}
	return h
}

func (r *reader) statusNumber(a attr, unset int64) int64 {
	n, ok := integer(a.value)
	if !ok {
		r.fault(a.pos, "%s is %q; it must be a whole number", a.name, a.value)
		return unset
	}
	return n
}

func (r *reader) tickets(e *element) {
	for c := range r.doc.children(e) {
		if c.name != "ticket_state" {
			continue
		}
		t := cluster.TicketStatus{}
		for a := range r.doc.attributes(c) {
			switch a.name {
			case "id":
				t.ID = a.value
			case "granted":
				t.Granted = a.value
			case "standby":
				t.Standby = a.value
			case "last-granted":
				t.LastGranted = a.value
			default:
				t.Extra = append(t.Extra, cluster.NVPair{Name: a.name, Value: a.value})
			}
		}
		r.status.Tickets = append(r.status.Tickets, t)
	}
}
