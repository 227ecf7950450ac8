package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"linuxha/internal/cluster"
)

// MessageVersion is the version of the wire form that this code writes.
const MessageVersion = 1

// MaxMessage bounds an encoded message, in bytes (a snapshot is the largest).
const MaxMessage = 64 << 20

// Message is the envelope of everything that nodes say to each other over
// streams. Commands are addressed (rule 4): a receiver refuses foreign lineages,
// older terms and other incarnations than its own.
type Message struct {
	Version int                 `json:"v"`
	To      string              `json:"to"`
	From    cluster.Incarnation `json:"from"`
	RaftID  uint64              `json:"raft_id,omitempty"` // the sender's
	Lineage string              `json:"lineage"`
	Term    uint64              `json:"term"`
	Number  uint64              `json:"number"` // grows by one a message of this sender's incarnation
	// For is the incarnation of To that is meant; zero where any will do.
	For cluster.Incarnation `json:"for,omitzero"`

	// Exactly one of the following.
	Raft     []byte       `json:"raft,omitempty"` // a raftpb.Message
	Dispatch *Dispatch    `json:"dispatch,omitempty"`
	Results  *Results     `json:"results,omitempty"`
	Ask      *Ask         `json:"ask,omitempty"`    // leader to a node: report, please
	Report   *NodeReport  `json:"report,omitempty"` // the answer, or unasked at start
	Contact  *Contact     `json:"contact,omitempty"`
	Propose  *Proposal    `json:"propose,omitempty"`
	Answer   *Reply       `json:"answer,omitempty"` // of a Proposal
	Fence    *FenceOrder  `json:"fence,omitempty"`  // leader to a node: call this device
	Fenced   *FenceResult `json:"fenced,omitempty"` // its answer
	Leave    *Leave       `json:"leave,omitempty"`
	Stale    *Stale       `json:"stale,omitempty"`
	Known    *Known       `json:"known,omitempty"`
}

// Known says, while no leader is heard, that the log is committed up to an entry:
// whoever has an entry of that index and term has the same log up to there.
type Known struct {
	Index uint64 `json:"index"`
	Term  uint64 `json:"term"`
}

// Dispatch orders operations. Each runs at most once: Numbers are remembered.
type Dispatch struct {
	Transition uint64  `json:"transition"`
	Orders     []Order `json:"orders"`
}

// Order is one operation under a grant. The operation "cancel" ends the recurring
// monitor of its Interval.
type Order struct {
	Number    uint64    `json:"number"` // unique in the lineage
	Action    int       `json:"action"` // id in the transition's graph
	Grant     uint64    `json:"grant,omitempty"`
	Operation Operation `json:"operation"`
}

// Results reports ended operations; it is repeated until a commit shows it was taken.
type Results struct {
	Done []OrderResult `json:"done"`
}

// OrderResult is the end of one order, or of a recurring monitor whose result
// changed or of an act of the executor's own (Number 0). Entry is what goes into
// the history; its CallID numbers the results of an incarnation.
type OrderResult struct {
	Number    uint64               `json:"number,omitempty"`
	Operation Operation            `json:"operation"`
	Result    Result               `json:"result"`
	Entry     cluster.HistoryEntry `json:"entry"`
}

// Ask requests a report of what runs, is in flight or waits. Once it has
// answered, the node obeys no order numbered up to Before: what was sent earlier
// and is still under way cannot start anything behind the report.
type Ask struct {
	Before uint64 `json:"before"`
}

// NodeReport is such a report.
type NodeReport struct {
	Report          cluster.Report `json:"report"`
	Before          uint64         `json:"before"` // of the Ask that this answers; any other is stale
	Version         string         `json:"version"`
	Format          int            `json:"format,omitempty"` // newest that the daemon knows
	Links           []string       `json:"links,omitempty"`
	WatchdogTimeout time.Duration  `json:"watchdog_timeout,omitempty"`
	Lease           time.Duration  `json:"lease,omitempty"`
	Obeyed          []uint64       `json:"obeyed,omitempty"` // orders taken and not yet reported
}

// Contact is a lease request (Answer false) or the leader's answer. The lease
// counts from SentAt, the requester's boot-time clock, which the answer repeats.
// A request says what others may count on: the time-out of the requester's
// watchdog, 0 for none, and its lease.
type Contact struct {
	SentAt   time.Duration `json:"sent_at"`
	Answer   bool          `json:"answer,omitempty"`
	Watchdog time.Duration `json:"watchdog,omitempty"`
	Lease    time.Duration `json:"lease,omitempty"`
}

// Proposal asks the leader to commit something for the sender.
type Proposal struct {
	ID      uint64        `json:"id"`
	Until   time.Duration `json:"until"` // the sender's boot-time clock: when it gives the request up
	Request Request       `json:"request"`
}

// FenceOrder asks a node to call a fence device. A call that changes something
// takes two: the first asks whether the node is ready, the second, given once a
// majority has confirmed the leader since, is obeyed for a short time only. So no
// call begins that the leader has given up waiting for.
type FenceOrder struct {
	Call FenceCall `json:"call"`
	Go   bool      `json:"go,omitempty"`
}

// FenceResult answers a FenceOrder: Ready to the first, the device's answer to
// the second.
type FenceResult struct {
	Call    FenceCall               `json:"call"` // without Params
	Ready   bool                    `json:"ready,omitempty"`
	OK      bool                    `json:"ok"`
	Error   string                  `json:"error,omitempty"`
	Took    time.Duration           `json:"took"`
	Output  string                  `json:"output,omitempty"`
	Actions []cluster.AdvisedAction `json:"actions,omitempty"`
}

// Leave announces an orderly stop; Restart: the daemon comes back shortly and
// services go on.
type Leave struct {
	Restart bool `json:"restart,omitempty"`
}

// Stale tells a node that its state is older than what this one remembers of it
// (rule 9): it must not be used.
type Stale struct {
	Counter uint64 `json:"counter"` // newest incarnation seen
	Commit  uint64 `json:"commit"`  // what that one had committed and synced
}

// EncodeMessage returns the wire form of m.
func EncodeMessage(m *Message) ([]byte, error) {
	m.Version = MessageVersion
	data, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode message to %s: %w", m.To, err)
	}
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("encode message to %s: %d bytes, at most %d are allowed", m.To, len(data), MaxMessage)
	}
	return data, nil
}

// DecodeMessage reads what EncodeMessage wrote; unknown members of newer
// versions are ignored.
func DecodeMessage(data []byte) (*Message, error) {
	if len(data) > MaxMessage {
		return nil, fmt.Errorf("decode message: %d bytes, at most %d are allowed", len(data), MaxMessage)
	}
	var m Message
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(&m); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	if m.Version < 1 || m.Version > MessageVersion {
		return nil, fmt.Errorf("decode message: version %d, this daemon knows 1 to %d", m.Version, MessageVersion)
	}
	return &m, nil
}
