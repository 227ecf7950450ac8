package cluster

import "time"

// Status is what is known of nodes and resources at one moment: the input of
// scheduling beside the Config. It is what Pacemaker keeps in a CIB's status
// section; in a running cluster State.Status derives it.
type Status struct {
	Quorate       bool   `json:"quorate"`
	QuorumPanic   bool   `json:"quorum_panic,omitempty"`   // no-quorum-panic on the cib element
	Coordinator   string `json:"coordinator,omitempty"`    // dc-uuid: node id of the deciding node
	HaveWatchdog  bool   `json:"have_watchdog,omitempty"`  //
	FencingUsable bool   `json:"fencing_usable,omitempty"` // native clusters: some device can fence

	Nodes   []NodeStatus   `json:"nodes,omitempty"`
	Tickets []TicketStatus `json:"tickets,omitempty"`

	// ExecutionDate is the moment stored with a recorded status; zero if none.
	ExecutionDate time.Time `json:"execution_date,omitzero"`
}

// NodeStatus is one node's part of the status (a node_state element). The five
// texts keep Pacemaker's values, where a time and a boolean may stand for each
// other; "" means that the attribute is absent, which is not the same as false.
type NodeStatus struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name"`
	Remote   bool   `json:"remote,omitempty"`   // remote_node="true"
	InCCM    string `json:"in_ccm,omitempty"`   // member of the cluster: true/false or a time (0 = no)
	Crmd     string `json:"crmd,omitempty"`     // daemon: online/offline or a time (0 = offline)
	Join     string `json:"join,omitempty"`     // member pending down banned
	Expected string `json:"expected,omitempty"` // member down
	// RemoteMaintenance and NodeFenced are node_in_maintenance and node_fenced.
	RemoteMaintenance string `json:"remote_maintenance,omitempty"`
	NodeFenced        string `json:"node_fenced,omitempty"`

	Attributes []AttrSet         `json:"attributes,omitempty"` // transient ones
	History    []ResourceHistory `json:"history,omitempty"`
}

// ResourceHistory is what one node knows of one resource (lrm_resource).
type ResourceHistory struct {
	ID         string         `json:"id"` // the name that agents and operations use
	Agent      Agent          `json:"agent"`
	Container  string         `json:"container,omitempty"`
	LockTime   string         `json:"shutdown_lock,omitempty"` // epoch seconds, "" if none
	Operations []HistoryEntry `json:"operations,omitempty"`
}

// HistoryEntry is the latest result of one operation (lrm_rsc_op).
type HistoryEntry struct {
	ID            string `json:"id,omitempty"`
	Key           string `json:"key,omitempty"` // operation_key: RESOURCE_OPERATION_INTERVAL
	Operation     string `json:"operation"`
	IntervalMS    int64  `json:"interval_ms,omitempty"`
	CallID        int    `json:"call_id"`                  // -1: pending
	RC            int    `json:"rc"`                       // OCF result code; -1 unset
	Status        int    `json:"status"`                   // execution status: -1 pending, 0 done, ... (SEMANTICS 8)
	TransitionKey string `json:"transition_key,omitempty"` // ACTION:TRANSITION:EXPECTED_RC:UUID
	TransitionMag string `json:"transition_magic,omitempty"`
	LastRun       int64  `json:"last_run,omitempty"`       // epoch seconds
	LastRCChange  int64  `json:"last_rc_change,omitempty"` // epoch seconds; -1: unknown
	ExecTime      string `json:"exec_time,omitempty"`
	QueueTime     string `json:"queue_time,omitempty"`
	ExitReason    string `json:"exit_reason,omitempty"`
	OnNode        string `json:"on_node,omitempty"`

	// Parameter digests; the lists are the names that the digests cover.
	OpDigest      string `json:"op_digest,omitempty"`
	RestartDigest string `json:"restart_digest,omitempty"`
	SecureDigest  string `json:"secure_digest,omitempty"`
	ForceRestart  string `json:"force_restart,omitempty"` // op-force-restart: space-separated names
	SecureParams  string `json:"secure_params,omitempty"` // op-secure-params

	MigrateSource string   `json:"migrate_source,omitempty"`
	MigrateTarget string   `json:"migrate_target,omitempty"`
	FeatureSet    string   `json:"feature_set,omitempty"` // crm_feature_set
	Extra         []NVPair `json:"extra,omitempty"`
}

// TicketStatus is the state of one ticket.
type TicketStatus struct {
	ID          string   `json:"id"`
	Granted     string   `json:"granted,omitempty"` // boolean text; "" absent
	Standby     string   `json:"standby,omitempty"`
	LastGranted string   `json:"last_granted,omitempty"`
	Extra       []NVPair `json:"extra,omitempty"`
}
