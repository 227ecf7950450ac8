package cluster

import "time"

// Plan is the outcome of one scheduling run.
type Plan struct {
	Nodes      []NodeOutcome `json:"nodes"`
	Placements []Placement   `json:"placements"` // where each primitive instance is to be, by id
	Actions    []Action      `json:"actions"`    // in id order; Actions[i].ID == i+1
	Reasons    []Reason      `json:"reasons,omitempty"`
	Scores     []ScoreEntry  `json:"scores,omitempty"` // only on request
	Warnings   []string      `json:"warnings,omitempty"`
	Recheck    time.Time     `json:"recheck,omitzero"` // when time alone may change the decision; zero: never
}

// NodeOutcome is a node as the scheduler sees it before the plan runs.
type NodeOutcome struct {
	Name  string `json:"name"`
	State string `json:"state"` // online offline unclean standby maintenance pending
	Fence bool   `json:"fence,omitempty"`
}

// Placement is where an instance is and will be. Instance equals the primitive's
// configured id except in clones and bundles, where it ends in ":N".
type Placement struct {
	Resource string   `json:"resource"`
	Instance string   `json:"instance"`
	Current  []string `json:"current,omitempty"` // nodes where it is active now
	Node     string   `json:"node,omitempty"`    // "": nowhere
	Role     string   `json:"role"`              // Stopped Started Unpromoted Promoted
	Blocked  bool     `json:"blocked,omitempty"` // left alone: unmanaged or blocked
}

// ActionKind is what an Action does.
type ActionKind string

const (
	ActionStart          ActionKind = "start"
	ActionStop           ActionKind = "stop"
	ActionPromote        ActionKind = "promote"
	ActionDemote         ActionKind = "demote"
	ActionMigrateTo      ActionKind = "migrate_to"
	ActionMigrateFrom    ActionKind = "migrate_from"
	ActionReload         ActionKind = "reload"
	ActionMonitor        ActionKind = "monitor" // recurring
	ActionProbe          ActionKind = "probe"   // one-off monitor to learn the state
	ActionCancel         ActionKind = "cancel"  // end a recurring monitor
	ActionNotify         ActionKind = "notify"
	ActionCleanup        ActionKind = "cleanup"         // forget a resource on a node
	ActionClearFailcount ActionKind = "clear_failcount" //
	ActionForget         ActionKind = "forget"          // erase history after a shutdown lock ran out
	ActionFence          ActionKind = "fence"
	ActionShutdown       ActionKind = "shutdown"
	ActionPoint          ActionKind = "point" // synchronisation point: nothing is done
)

// Action is a node of the action graph. It may begin when all of After are done.
type Action struct {
	ID    int        `json:"id"` // 1..n
	Kind  ActionKind `json:"kind"`
	After []int      `json:"after,omitempty"` // ids, ascending

	Resource string `json:"resource,omitempty"` // the configured id of the primitive (or collective, for points)
	Instance string `json:"instance,omitempty"` // internal instance name, "web:0"
	Name     string `json:"name,omitempty"`     // what agents and history call it
	Agent    Agent  `json:"agent,omitzero"`
	Node     string `json:"node,omitempty"`   // where; the target of fence and shutdown
	Router   string `json:"router,omitempty"` // cluster node whose connection carries it, if not Node

	// Detail: fence: reboot, off, on; notify: pre-start, ...; cancel: the
	// operation cancelled; point: its name.
	Detail   string        `json:"detail,omitempty"`
	Interval time.Duration `json:"interval,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"`
	ExpectRC int           `json:"expect_rc,omitempty"`

	Implied  bool `json:"implied,omitempty"`  // brought about by something else; not carried out
	Internal bool `json:"internal,omitempty"` // a mere synchronisation point
	CanFail  bool `json:"can_fail,omitempty"` // failure does not abort the transition

	Params []NVPair `json:"params,omitempty"` // agent parameters, by name
	Meta   []NVPair `json:"meta,omitempty"`   // operation and resource properties for the agent's environment (without CRM_meta_), by name

	// Digests to record with the result (SEMANTICS 20).
	OpDigest      string `json:"op_digest,omitempty"`
	RestartDigest string `json:"restart_digest,omitempty"`
	ForceRestart  string `json:"force_restart,omitempty"`

	Reason string `json:"reason,omitempty"` // why, in one clause
}

// Reason explains one placement: the constraints and scores that decided it.
type Reason struct {
	Instance string   `json:"instance"`
	Node     string   `json:"node,omitempty"`
	Summary  string   `json:"summary"`
	Because  []Factor `json:"because,omitempty"`
}

// Factor is one contribution to a decision.
type Factor struct {
	Node       string `json:"node,omitempty"`
	Constraint string `json:"constraint"` // its id, or "stickiness", "failures", "standby", ...
	Score      string `json:"score"`
	Text       string `json:"text"`
}

// ScoreEntry is a placement or promotion score, for inspection.
type ScoreEntry struct {
	Kind     string `json:"kind"` // placement, promotion
	Resource string `json:"resource"`
	Node     string `json:"node"`
	Score    string `json:"score"`
}
