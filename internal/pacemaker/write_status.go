package pacemaker

import (
	"strconv"

	"linuxha/internal/cluster"
)

func (w *writer) status(s *cluster.Status) {
	w.open("status")
	for i := range s.Nodes {
		w.nodeState(&s.Nodes[i])
	}
	if len(s.Tickets) > 0 {
		w.open("tickets")
		for _, t := range s.Tickets {
			attrs := append([]string{"id", t.ID}, optional("granted", t.Granted, "standby", t.Standby, "last-granted", t.LastGranted)...)
			for _, x := range t.Extra {
				attrs = append(attrs, x.Name, x.Value)
			}
			w.empty("ticket_state", attrs...)
		}
		w.close("tickets")
	}
	w.close("status")
}

func (w *writer) nodeState(n *cluster.NodeStatus) {
	attrs := optional("id", n.ID, "uname", n.Name, "in_ccm", n.InCCM, "crmd", n.Crmd, "join", n.Join, "expected", n.Expected,
		"node_in_maintenance", n.RemoteMaintenance, "node_fenced", n.NodeFenced)
	if n.Remote {
		attrs = append(attrs, "remote_node", "true")
	}
	id := n.ID
	if id == "" {
		id = n.Name
	}
	w.open("node_state", attrs...)
	if len(n.Attributes) > 0 {
		w.open("transient_attributes", "id", id)
		w.attrSets("instance_attributes", n.Attributes)
		w.close("transient_attributes")
	}
	w.open("lrm", "id", id)
	w.open("lrm_resources")
	for i := range n.History {
		w.history(&n.History[i])
	}
	w.close("lrm_resources")
	w.close("lrm")
	w.close("node_state")
}

func (w *writer) history(h *cluster.ResourceHistory) {
	w.open("lrm_resource", append([]string{"id", h.ID}, optional("class", h.Agent.Class, "provider", h.Agent.Provider, "type", h.Agent.Type,
		"container", h.Container, "shutdown-lock", h.LockTime)...)...)
	for i := range h.Operations {
		w.historyEntry(&h.Operations[i], h)
	}
	w.close("lrm_resource")
}

func (w *writer) historyEntry(e *cluster.HistoryEntry, h *cluster.ResourceHistory) {
	interval := strconv.FormatInt(e.IntervalMS, 10)
	key := e.Key
	if key == "" {
		key = h.ID + "_" + e.Operation + "_" + interval
	}
	id := e.ID
	if id == "" {
		id = key
	}
	attrs := []string{"id", id, "operation_key", key, "operation", e.Operation, "crm-debug-origin", "ha", "interval", interval,
		"call-id", strconv.Itoa(e.CallID), "rc-code", strconv.Itoa(e.RC), "op-status", strconv.Itoa(e.Status)}
	attrs = append(attrs, optional("transition-key", e.TransitionKey, "transition-magic", e.TransitionMag, "on_node", e.OnNode,
		"exit-reason", e.ExitReason, "exec-time", e.ExecTime, "queue-time", e.QueueTime, "op-digest", e.OpDigest,
		"op-force-restart", e.ForceRestart, "op-restart-digest", e.RestartDigest, "op-secure-params", e.SecureParams, "op-secure-digest", e.SecureDigest,
		"migrate_source", e.MigrateSource, "migrate_target", e.MigrateTarget, "crm_feature_set", e.FeatureSet)...)
	if e.LastRun >= 0 {
		attrs = append(attrs, "last-run", strconv.FormatInt(e.LastRun, 10))
	}
	if e.LastRCChange >= 0 {
		attrs = append(attrs, "last-rc-change", strconv.FormatInt(e.LastRCChange, 10))
	}
	for _, x := range e.Extra {
		attrs = append(attrs, x.Name, x.Value)
	}
	w.empty("lrm_rsc_op", attrs...)
}
