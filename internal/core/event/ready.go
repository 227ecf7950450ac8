package event

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"linuxha/internal/cluster"
	"linuxha/internal/core/heartbeat"
)

// Ready is what the core wants done. The driver may do everything in it at once
// and in any order: whatever must wait for the disk is held back by the core
// until Persisted. A Persist is handed out only after the one before is durable.
type Ready struct {
	Persist    *Persist
	Messages   []Message
	Operations []Operation
	Cancels    []string // ids of operations to end: the answer still comes, as OperationDone
	Fences     []FenceCall
	Schedule   *ScheduleRequest
	Replies    []Reply
	Heartbeat  *Heartbeat // new content for the heartbeat thread; nil: unchanged
	Watchdog   WatchdogAction
	State      *cluster.State // applied state, if it changed; read-only from here on
	Local      *Local         // this node's own view, if it changed
	Trace      []string       // one line a decision, for logs and the simulator
	Exit       *Exit          // the daemon must end
	Deadline   time.Duration  // on Time.Mono: when to Step(Tick) at the latest; 0: no need
}

// Persist is a batch that must be durable (fsync) before Persisted is stepped.
// Members are applied in this order: Reset, Identity, Snapshot, Entries (which
// overwrite what the log has from their first index on), HardState, CompactTo.
type Persist struct {
	Seq       uint64
	Reset     bool // drop log, snapshot and hard state (a new lineage, or joining afresh)
	Identity  *Identity
	Snapshot  *raftpb.Snapshot // Data is an encoded cluster.State
	Entries   []*raftpb.Entry
	HardState *raftpb.HardState
	CompactTo uint64 // entries up to this index may go
}

// Identity is who this node is; it survives restarts.
type Identity struct {
	Node    string          `json:"node"`
	RaftID  uint64          `json:"raft_id"`
	Lineage cluster.Lineage `json:"lineage"`
	Counter uint64          `json:"counter"`           // of the newest incarnation
	Boot    string          `json:"boot"`              // in which Counter was drawn
	Machine string          `json:"machine,omitempty"` // what the state is bound to: a copied disk is not used
	// Sure is the boot in which this node has reached, or confirmed off, whoever
	// could lead without it (rule 7).
	Sure string `json:"sure,omitempty"`
	// Fencing is whom this node, one of two voters, set out to fence by itself.
	Fencing cluster.Incarnation `json:"fencing,omitzero"`
	// Forced is why Lineage began with this node as sole voter, until its log says so.
	Forced *Forced `json:"forced,omitempty"`
	// Peers is the newest incarnation and log position seen of each peer, as of not
	// long ago: what peers remember, so that rolled-back state is noticed (rule 9).
	Peers []PeerMemory `json:"peers,omitempty"`
}

// Forced is the reason of a forced configuration.
type Forced struct {
	Off    []string      `json:"off"`              // nodes that are off
	Result string        `json:"result"`           // ok: fenced; confirmed: on an administrator's word
	Device string        `json:"device,omitempty"` // that fenced
	By     string        `json:"by,omitempty"`     // the administrator
	Took   time.Duration `json:"took,omitempty"`   // from the decision to fence to its success
}

// PeerMemory is what a node remembers of a peer.
type PeerMemory struct {
	Node    string `json:"node"`
	RaftID  uint64 `json:"raft_id"`
	Counter uint64 `json:"counter"`
	Boot    string `json:"boot"`
	Commit  uint64 `json:"commit"` // what it had committed and synced
}

// Stored is what the store holds at start.
type Stored struct {
	Identity  Identity
	HardState *raftpb.HardState
	Snapshot  *raftpb.Snapshot
	Entries   []*raftpb.Entry // after Snapshot, contiguous
	Fresh     bool            // nothing was ever written
	Torn      string          // not "": state was found damaged, and why; it must not be used
}

// Heartbeat is what the heartbeat thread sends until the next one.
type Heartbeat struct {
	Packet heartbeat.Packet
	Peers  []string // whom to send to
	// The thread sends only while the loop turned and syncs ended within Limit.
	Limit time.Duration
}

// Operation is one run of an agent on this node. The driver records it in
// /run/ha before the agent starts; a restarted daemon finds it there.
type Operation struct {
	ID       string           `json:"id"`       // unique on this node, also over restarts
	Name     string           `json:"name"`     // the resource, as agents call it
	Resource string           `json:"resource"` // its configured id
	Instance string           `json:"instance"`
	Agent    cluster.Agent    `json:"agent"`
	Action   string           `json:"action"` // start stop monitor promote demote migrate_to migrate_from notify reload reload-agent
	Params   []cluster.NVPair `json:"params,omitempty"`
	Meta     []cluster.NVPair `json:"meta,omitempty"` // CRM_meta_* without the prefix
	Interval time.Duration    `json:"interval,omitempty"`
	Timeout  time.Duration    `json:"timeout"`
	Role     string           `json:"role,omitempty"`
	// SkipDuplicateCheck: the former owner is confirmed off.
	SkipDuplicateCheck bool `json:"skip_duplicate_check,omitempty"`

	Order uint64 `json:"order,omitempty"` // number of the order that it carries out; 0: the executor's own wish

	// What the history keeps with the result.
	TransitionKey string `json:"transition_key,omitempty"`
	OpDigest      string `json:"op_digest,omitempty"`
	RestartDigest string `json:"restart_digest,omitempty"`
	ForceRestart  string `json:"force_restart,omitempty"`
}

// Result is what came of an Operation.
type Result struct {
	ID       string
	Code     int    // OCF result code (0 ok, 7 not running, 8 promoted, ...)
	Status   int    // execution status: 0 done, 1 cancelled, 2 timeout, 4 error (SEMANTICS 8)
	Reason   string // for people: the agent's exit reason
	Output   string // bounded to 4 KiB
	Started  time.Time
	Duration time.Duration
	// Announced is how long after Started the neighbours were first told of an
	// address that was started; 0: there was none.
	Announced time.Duration
}

// FenceCall is one call of a fence device by this node.
type FenceCall struct {
	ID      uint64              `json:"id"`               // of the cluster.Fencing; otherwise what the core makes of it
	Order   uint64              `json:"order,omitempty"`  // tells the calls of one caller apart
	Caller  string              `json:"caller,omitempty"` // node that calls the device for the leader; "": the leader itself
	Target  cluster.Incarnation `json:"target,omitzero"`
	Device  string              `json:"device"` // resource id
	Agent   cluster.Agent       `json:"agent"`
	Action  string              `json:"action"`           // off, reboot, on; status, list, metadata change nothing
	Params  []cluster.NVPair    `json:"params,omitempty"` // of the device as configured, pcmk_* included: the agent layer derives plug and nodename
	Timeout time.Duration       `json:"timeout"`
	Delay   time.Duration       `json:"delay,omitempty"` // wait before calling (head start)
	Attempt int                 `json:"attempt,omitempty"`
}

// Asks tells whether the call changes nothing: it only asks the device.
func (c *FenceCall) Asks() bool {
	return c.Action == "metadata" || c.Action == "list" || c.Action == "status" || c.Action == "monitor"
}

// ScheduleRequest asks for a Plan; only the newest ID matters.
type ScheduleRequest struct {
	ID     uint64
	Config *cluster.Config
	Status *cluster.Status
	Now    time.Time
}

// WatchdogAction is what to do with the watchdog; the zero value is nothing.
type WatchdogAction string

const (
	WatchdogNone    WatchdogAction = ""
	WatchdogArm     WatchdogAction = "arm"
	WatchdogFeed    WatchdogAction = "feed"
	WatchdogRelease WatchdogAction = "release"
)

// Local is what only this node knows, for its status display.
type Local struct {
	Node        string
	Incarnation cluster.Incarnation
	Role        string // leader, follower, candidate, none
	Leader      string // node name, "" none
	Term        uint64
	Quorate     bool
	Contact     time.Duration // age of the last contact lease, on the boot clock; negative: this daemon never had one
	Committed   uint64
	Peers       []PeerView
	InFlight    []string // operations running now
	Forked      string   // why nothing is granted: a node is heard whose history and ours have parted; "" if not
}

// PeerView is how this node hears a peer.
type PeerView struct {
	Node      string
	Counter   uint64 // of the incarnation last heard, 0: none
	Reachable bool
	Links     []LinkView
}

// LinkView is one link to a peer. A link counts only when both ends hear each other.
type LinkView struct {
	Link int
	Up   bool
	Age  time.Duration // since last heard
	Loss float64       // 0..1, over the recent past
}

// Exit ends the daemon.
type Exit struct {
	Code   int
	Reason string
	Rejoin bool // state is to be dropped, and the node joins afresh
	Reset  bool // the host is to be reset at once, without a clean stop (no_quorum = fence, or held for off)
}
