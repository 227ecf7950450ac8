package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Format is the newest format of log entries and of State that this code reads and
// writes. It grows with every kind of command, and every member of a command or of
// State, that is added. All members of a cluster use State.Format, which no daemon
// exceeds before every other one knows it. (Messages need no such care: what their
// reader does not know, it passes over.)
const Format = 1

// ErrFormat is what was written by a newer version in a format that this one does
// not know.
var ErrFormat = errors.New("written by a newer version of ha: install that here as well")

// MaxEntry bounds an encoded entry, in bytes.
const MaxEntry = 16 << 20

// Entry is the content of one log entry. Its commands are applied in order, each
// for itself: one that may not take effect has none and does not hurt the others,
// unless the entry is Atomic.
type Entry struct {
	Version  int         `json:"v"`            // its format; 0: the first
	Time     time.Time   `json:"time"`         // the proposer's clock; State takes its times from here
	ID       uint64      `json:"id,omitempty"` // of the request, for the answer; unique per incarnation of Proposer
	Proposer Incarnation `json:"proposer,omitzero"`
	Atomic   bool        `json:"atomic,omitempty"` // all of Commands, or none
	Commands []Command   `json:"commands"`
}

// Command is one change of State: exactly one member is set. New kinds are added
// at the end; a node that meets a command it does not know stops, loudly.
type Command struct {
	Init       *Init             `json:"init,omitempty"`       // first entry of a lineage that begins from nothing
	Fork       *Lineage          `json:"fork,omitempty"`       // first entry of a forced lineage
	Admit      *Admit            `json:"admit,omitempty"`      // a node joins the cluster
	Remove     *Remove           `json:"remove,omitempty"`     // a node confirmed off leaves it for good
	Node       *NodeChange       `json:"node,omitempty"`       // a node's state changes
	Report     *Report           `json:"report,omitempty"`     // what a new incarnation runs
	Voters     *Voters           `json:"voters,omitempty"`     // the configuration that Raft has applied
	Config     *ConfigChange     `json:"config,omitempty"`     //
	Grant      *GrantChange      `json:"grant,omitempty"`      // one a transition
	Release    *Release          `json:"release,omitempty"`    //
	History    *HistoryChange    `json:"history,omitempty"`    // an operation's result
	Forget     *HistoryForget    `json:"forget,omitempty"`     // erase history (cleanup)
	Attribute  *AttributeChange  `json:"attribute,omitempty"`  // a transient node attribute
	Fence      *FenceBegin       `json:"fence,omitempty"`      //
	FenceDone  *FenceEnd         `json:"fence_done,omitempty"` //
	Ticket     *Ticket           `json:"ticket,omitempty"`     //
	Token      *Token            `json:"token,omitempty"`      //
	Move       *Move             `json:"move,omitempty"`       //
	MoveDone   *Move             `json:"move_done,omitempty"`  //
	Transition *TransitionChange `json:"transition,omitempty"` //
	Event      *Event            `json:"event,omitempty"`      //
	Device     *DeviceState      `json:"device,omitempty"`     // what was learnt of a fence device
	Format     *FormatChange     `json:"format,omitempty"`     // every member knows a newer one
}

// Init begins a cluster.
type Init struct {
	Lineage Lineage `json:"lineage"`
	Config  Config  `json:"config"`
	First   Member  `json:"first"`
}

// Admit makes a node a member, in state offline until its daemon is heard. A
// node that joins again replaces its old entry (with a fresh Raft id).
type Admit struct {
	Member    Member `json:"member"`
	TokenHash string `json:"token_hash,omitempty"` // used up by this
}

// Remove ends a membership. It is refused unless the node is confirmed off.
type Remove struct {
	Node   string `json:"node"`
	RaftID uint64 `json:"raft_id"`
}

// NodeChange moves an incarnation to a state. With a newer incarnation than
// the member's it replaces that; one of an older incarnation has no effect.
type NodeChange struct {
	Incarnation     Incarnation   `json:"incarnation"`
	State           NodeState     `json:"state"`
	Reason          string        `json:"reason,omitempty"`
	Version         string        `json:"version,omitempty"`
	Format          int           `json:"format,omitempty"` // newest that the daemon of Version knows
	Links           []string      `json:"links,omitempty"`
	WatchdogTimeout time.Duration `json:"watchdog_timeout,omitempty"`
	Lease           time.Duration `json:"lease,omitempty"`
}

// Report is what a new incarnation found running, in flight or waiting. It
// replaces the node's history, and releases or inherits its grants.
type Report struct {
	Incarnation Incarnation       `json:"incarnation"`
	Running     []Running         `json:"running,omitempty"`
	History     []ResourceHistory `json:"history,omitempty"`
	LastCall    int               `json:"last_call,omitempty"` // newest result that History contains
}

// Running is one resource instance that a node has, or may have, active.
type Running struct {
	Resource string `json:"resource"`
	Instance string `json:"instance"`
	Role     string `json:"role"`
	InFlight string `json:"in_flight,omitempty"` // the operation that has not ended
}

// Voters records who votes, by Raft id, once Raft has applied it.
type Voters struct {
	IDs []uint64 `json:"ids"`
}

// ConfigChange replaces the configuration if its Revision is still Base (0: whatever it is).
type ConfigChange struct {
	Base   uint64 `json:"base,omitempty"`
	Config Config `json:"config"`
	By     string `json:"by,omitempty"`
	Note   string `json:"note,omitempty"`
}

// GrantChange adds grants, all or none: an exclusive resource that has a grant
// already gets none. IDs are assigned when it is applied, in order.
type GrantChange struct {
	Transition uint64  `json:"transition"`
	Grants     []Grant `json:"grants"`
}

// Release ends grants: their owner reported nothing of them running or in flight.
type Release struct {
	IDs []uint64 `json:"ids"`
	// Holder limits the release to this incarnation's part (the end of a migration).
	Holder Incarnation `json:"holder,omitzero"`
	// Promoted gives back only the promoted role: what runs is not promoted.
	Promoted bool `json:"promoted,omitempty"`
	// SourceDone gives nothing back: of a migration that the grants name both ends
	// of, the source does nothing any more.
	SourceDone bool `json:"source_done,omitempty"`
}

// HistoryChange records the result of one operation in a node's history. An
// executor numbers its results 1, 2, 3... as they end (Entry.CallID); one that
// was recorded already has no effect.
type HistoryChange struct {
	Incarnation Incarnation  `json:"incarnation"`
	Resource    string       `json:"resource"` // the name that agents use
	Instance    string       `json:"instance,omitempty"`
	Agent       Agent        `json:"agent"`
	Entry       HistoryEntry `json:"entry"`
	// FailCount adds one to the fail count of the operation (sets INFINITY with Fatal).
	FailCount bool `json:"fail_count,omitempty"`
	Fatal     bool `json:"fatal,omitempty"`
	Cancelled bool `json:"cancelled,omitempty"` // a recurring operation ended: its entry goes
}

// HistoryForget erases history and fail counts of a resource on a node ("" for
// every resource, every node).
type HistoryForget struct {
	Node      string `json:"node,omitempty"`
	Resource  string `json:"resource,omitempty"`
	Failcount bool   `json:"failcount,omitempty"` // only fail counts, and failed entries
}

// AttributeChange sets (or with Delete removes) a transient attribute.
type AttributeChange struct {
	Node   string `json:"node"`
	Name   string `json:"name"`
	Value  string `json:"value,omitempty"`
	Delete bool   `json:"delete,omitempty"`
}

// FenceBegin commits a fencing before its device is called.
type FenceBegin struct {
	Target    Incarnation `json:"target"`
	Action    string      `json:"action"`
	Reason    string      `json:"reason"`
	Requested string      `json:"requested,omitempty"`
	Caller    string      `json:"caller,omitempty"`
	Device    string      `json:"device,omitempty"`
}

// FenceEnd ends a fencing (ID 0: the open one that ends the life of Target). Only "ok" and
// "confirmed" make the target off, and only if Target is still the member's
// incarnation; "abandoned" says that its device was surely never called.
type FenceEnd struct {
	ID       uint64      `json:"id"`
	Target   Incarnation `json:"target"`
	Result   string      `json:"result"`
	Device   string      `json:"device,omitempty"`
	Attempts int         `json:"attempts,omitempty"`
	Error    string      `json:"error,omitempty"`
	Caller   string      `json:"caller,omitempty"` // node whose call succeeded, if it is another than the leader
	Cut      bool        `json:"cut,omitempty"`    // only storage or network was cut
}

// TransitionChange records the begin and end of a transition.
type TransitionChange struct {
	Number  uint64 `json:"number"`
	Ended   bool   `json:"ended,omitempty"`
	Outcome string `json:"outcome,omitempty"` // complete, aborted, failed
}

// FormatChange makes all members use a newer format.
type FormatChange struct {
	Format int `json:"format"`
}

// EncodeEntry returns the stored form of e.
func EncodeEntry(e *Entry) ([]byte, error) {
	e.Version = max(e.Version, 1)
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode log entry: %w", err)
	}
	if len(data) > MaxEntry {
		return nil, fmt.Errorf("encode log entry: %d bytes, at most %d are allowed", len(data), MaxEntry)
	}
	return data, nil
}

// DecodeEntry reads what EncodeEntry wrote. It refuses formats newer than knows
// (ErrFormat), and commands that this code does not know.
func DecodeEntry(data []byte, knows int) (*Entry, error) {
	if len(data) > MaxEntry {
		return nil, fmt.Errorf("decode log entry: %d bytes, at most %d are allowed", len(data), MaxEntry)
	}
	var e Entry
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(&e)
	if err != nil {
		var newer struct {
			Version int `json:"v"`
		}
		if json.Unmarshal(data, &newer) == nil {
			e.Version = newer.Version // unknown members are no surprise then
		}
	}
	switch {
	case e.Version > knows:
		return nil, fmt.Errorf("decode log entry: format %d, this daemon knows %d: %w", e.Version, knows, ErrFormat)
	case err != nil:
		return nil, fmt.Errorf("decode log entry: %w", err)
	case e.Version < 1:
		return nil, fmt.Errorf("decode log entry: format %d: there is none", e.Version)
	}
	return &e, nil
}
