package cluster

import "time"

// State is what the cluster has agreed on: the result of applying every
// committed entry of the log in order. It is equal on every node at an equal
// index, and everything that a person can see is derived from it.
type State struct {
	Lineage  Lineage   `json:"lineage"`
	Former   []Lineage `json:"former,omitempty"` // that Lineage came from, newest first
	Index    uint64    `json:"index"`            // of the last entry applied
	Format   int       `json:"format,omitempty"` // that all members use; 0: the first
	Config   Config    `json:"config"`
	Revision uint64    `json:"revision"` // Index of the entry that last changed Config
	Members  []Member  `json:"members"`  // by name

	Grants   []Grant       `json:"grants,omitempty"`   // by resource instance, role, node
	Fencings []Fencing     `json:"fencings,omitempty"` // open ones, and the newest HistoryLimit ended ones, oldest first
	Devices  []DeviceState `json:"devices,omitempty"`  // what was learnt of fence devices, by id
	Tickets  []Ticket      `json:"tickets,omitempty"`  // by id
	Tokens   []Token       `json:"tokens,omitempty"`   // join tokens not yet used
	Removed  []Removed     `json:"removed,omitempty"`  // Raft ids that must never be heard again
	Moves    []Move        `json:"moves,omitempty"`    // one-time wishes not yet fulfilled

	Transition uint64  `json:"transition"`       // number of the last transition begun
	Events     []Event `json:"events,omitempty"` // newest EventLimit, oldest first
	NextEvent  uint64  `json:"next_event"`       // number of the next event
	NextGrant  uint64  `json:"next_grant"`
	NextFence  uint64  `json:"next_fence"`

	eventTail *eventTail // who may append to Events in place
}

const (
	// EventLimit is how many events State keeps.
	EventLimit = 2000
	// HistoryLimit is how many ended fencings State keeps.
	HistoryLimit = 100
)

// Lineage is one unbroken Raft history. Init and each forced configuration
// begin a new one.
type Lineage struct {
	ID     string `json:"id"` // 32 hex digits
	Parent string `json:"parent,omitempty"`
	Branch uint64 `json:"branch,omitempty"` // last index of Parent that belongs to this lineage
}

// Incarnation is one daemon start in one boot.
type Incarnation struct {
	Node    string `json:"node"`
	Counter uint64 `json:"counter"` // synced before use, grows with every start
	Boot    string `json:"boot"`    // the kernel's boot id
}

// IsZero tells whether i names no daemon start.
func (i Incarnation) IsZero() bool { return i == Incarnation{} }

// NodeState is the committed state of a node's newest incarnation.
type NodeState string

const (
	NodeJoining NodeState = "joining" // admitted; its report is awaited
	NodeOnline  NodeState = "online"
	NodeLeaving NodeState = "leaving" // orderly: stops its resources, then goes offline
	NodeLost    NodeState = "lost"    // silent; what it runs is unknown
	NodeFenced  NodeState = "fenced"  // confirmed off
	NodeOffline NodeState = "offline" // left with everything stopped, or never started
)

// Member is a node that belongs to the cluster, with what it last reported.
type Member struct {
	Name        string      `json:"name"`
	RaftID      uint64      `json:"raft_id"` // fresh and random at each join
	Incarnation Incarnation `json:"incarnation"`
	State       NodeState   `json:"state"`
	Since       time.Time   `json:"since"`            // of State, by the leader's clock
	Reason      string      `json:"reason,omitempty"` // why State was entered
	Witness     bool        `json:"witness,omitempty"`
	Voter       bool        `json:"voter,omitempty"`
	Voted       bool        `json:"voted,omitempty"`    // has ever been a voter: a sole voter that boots asks for it first (rule 7)
	Reported    bool        `json:"reported,omitempty"` // this incarnation has reported what runs
	Version     string      `json:"version,omitempty"`  // of the daemon
	Format      int         `json:"format,omitempty"`   // newest that it knows; 0: the first
	Links       []string    `json:"links,omitempty"`    // address on each link, by link number
	CertHash    string      `json:"cert_hash,omitempty"`
	// Cut: fenced by a device that cuts storage or network only: what does not
	// require unfencing may still run there.
	Cut bool `json:"cut,omitempty"`

	// What this incarnation reported of its watchdog: rule 8's arithmetic uses it.
	WatchdogTimeout time.Duration `json:"watchdog_timeout,omitempty"` // 0: none armed
	Lease           time.Duration `json:"lease,omitempty"`

	Attributes []NVPair          `json:"attributes,omitempty"` // transient, by name; gone with the incarnation's boot
	History    []ResourceHistory `json:"history,omitempty"`    // by resource name
	LastCall   int               `json:"last_call,omitempty"`  // newest result of this incarnation in History

	// Unsure names resources that may be active though History was erased: until
	// the next result their grants cannot be released.
	Unsure []string `json:"unsure,omitempty"`
	// Arriving are resources that migrations bring here.
	Arriving []Arrival `json:"arriving,omitempty"`
}

// Grant is the right of one incarnation to have a resource in a role. An
// exclusive resource has one; a migration's names both ends.
type Grant struct {
	ID       uint64        `json:"id"`
	Resource string        `json:"resource"` // the configured primitive's id
	Instance string        `json:"instance"` // the scheduler's instance name
	Role     string        `json:"role"`     // Started, Promoted
	Holders  []Incarnation `json:"holders"`  // one, or source and target of a migration
}

// Fencing is one request to cut a node off, from its commit to its end.
type Fencing struct {
	ID        uint64      `json:"id"`
	Target    Incarnation `json:"target"`
	Action    string      `json:"action"` // off, reboot, on
	Reason    string      `json:"reason"`
	Requested string      `json:"requested,omitempty"` // who asked, if an administrator did
	Caller    string      `json:"caller,omitempty"`    // node that calls the device
	Device    string      `json:"device,omitempty"`
	Attempts  int         `json:"attempts,omitempty"`
	Begun     time.Time   `json:"begun"`
	Ended     time.Time   `json:"ended,omitzero"`
	Result    string      `json:"result,omitempty"` // "", ok, failed, confirmed (by an administrator), abandoned
	Error     string      `json:"error,omitempty"`
	// Cut: only storage or network was cut, the node may go on running: what does
	// not require unfencing is still held by it (rule 3).
	Cut bool `json:"cut,omitempty"`
}

// Open tells whether f has not ended.
func (f *Fencing) Open() bool { return f.Result == "" }

// Ticket is the replicated state of one ticket.
type Ticket struct {
	ID          string    `json:"id"`
	Granted     bool      `json:"granted"`
	Standby     bool      `json:"standby,omitempty"`
	LastGranted time.Time `json:"last_granted,omitzero"`
}

// Token admits one node, once. Only its hash is kept.
type Token struct {
	Hash    string    `json:"hash"`
	Expires time.Time `json:"expires"`
}

// Removed is a Raft id that left the cluster; messages from it never reach Raft.
type Removed struct {
	RaftID uint64 `json:"raft_id"`
	Node   string `json:"node"`
}

// Move is a one-time wish for a resource to be on Node ("" : anywhere but
// Away). It ends when fulfilled or impossible, and leaves nothing behind.
type Move struct {
	Resource string    `json:"resource"`
	Node     string    `json:"node,omitempty"`
	Away     string    `json:"away,omitempty"`
	Begun    time.Time `json:"begun"`
}

// Event is something that happened, for people. Failovers record their stages
// (detect, elect, lost, fence, decide, start, announce) under one Cause.
type Event struct {
	Number   uint64            `json:"number"`
	Time     time.Time         `json:"time"`
	Kind     string            `json:"kind"`     // node, fencing, resource, quorum, config, transition, alarm
	Severity string            `json:"severity"` // info, warning, error
	Node     string            `json:"node,omitempty"`
	Resource string            `json:"resource,omitempty"`
	Text     string            `json:"text"`
	Cause    string            `json:"cause,omitempty"` // what ties the events of one failover together
	Stage    string            `json:"stage,omitempty"`
	Took     time.Duration     `json:"took,omitempty"` // of the stage
	Details  map[string]string `json:"details,omitempty"`
}

// Member returns the member called name, or nil.
func (s *State) Member(name string) *Member {
	for i := range s.Members {
		if s.Members[i].Name == name {
			return &s.Members[i]
		}
	}
	return nil
}
