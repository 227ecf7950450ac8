// Package event is the boundary of the core: what happens to a node (Event) and
// what the node's brain wants done (Ready). Drivers, agents and the simulator
// know the core by these types only.
package event

import (
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/heartbeat"
)

// Time is one moment on the three clocks that the core knows.
type Time struct {
	Mono time.Duration // CLOCK_MONOTONIC: stands still in suspend
	Boot time.Duration // CLOCK_BOOTTIME: leases are counted on it
	Wall time.Time     // for people and rules with dates only
}

// Event is something that happened. Each comes to Core.Step with its Time.
type Event interface{ isEvent() }

// Tick: the deadline of the last Ready has come, or nothing else woke the loop.
type Tick struct{}

// Recorded is the first event after a start: what the driver found in /run/ha,
// left by an earlier daemon of this boot. It is empty after a boot.
type Recorded struct {
	InFlight []Operation // begun and not ended: their end still comes as OperationDone
	Active   []Operation // the start, promote or migrate_from last begun of each resource not stopped since, or the probe that found it active
}

// HeartbeatReceived is an authentic, fresh heartbeat of a peer.
type HeartbeatReceived struct {
	Link   int // 0-based
	Packet heartbeat.Packet
}

// MessageReceived came over an authenticated stream; Peer is the node whose
// certificate opened the stream, and must match Message.From.Node.
type MessageReceived struct {
	Peer    string
	Message Message
}

// LinkChanged: the carrier of this node's link came or went.
type LinkChanged struct {
	Link    int
	Carrier bool
}

// Persisted: the batch with this number, and all before it, are durable. With
// Err the disk failed: the node must not go on as if it had written.
type Persisted struct {
	Seq uint64
	Err error
}

// OperationDone is an agent's answer.
type OperationDone struct{ Result Result }

// ResourceNotice: something watched by an agent changed by itself (a process
// ended, an address vanished): the executor looks at once.
type ResourceNotice struct {
	Name   string // of the resource, as agents call it
	Reason string
}

// FenceCalled is a fence device's answer.
type FenceCalled struct {
	Call   FenceCall
	OK     bool
	Error  string
	Took   time.Duration
	Output string // bounded; list and status output
	// Actions are what the agent says that it can, if it was asked for metadata.
	Actions []cluster.AdvisedAction
}

// Scheduled answers Ready.Schedule.
type Scheduled struct {
	ID   uint64
	Plan *cluster.Plan
	Err  error
}

// Requested is a wish of an administrator or of an agent's helper command; it
// is answered by a Reply with the same ID.
type Requested struct {
	ID      uint64
	Request Request
}

// WatchdogState is what the watchdog driver really did.
type WatchdogState struct {
	Armed   bool
	Timeout time.Duration // what the driver really set
	Err     error
}

// Stopping: the daemon was asked to stop. Restart means that it will be back
// shortly and services go on.
type Stopping struct{ Restart bool }

func (Tick) isEvent()              {}
func (Recorded) isEvent()          {}
func (HeartbeatReceived) isEvent() {}
func (MessageReceived) isEvent()   {}
func (LinkChanged) isEvent()       {}
func (Persisted) isEvent()         {}
func (OperationDone) isEvent()     {}
func (ResourceNotice) isEvent()    {}
func (FenceCalled) isEvent()       {}
func (Scheduled) isEvent()         {}
func (Requested) isEvent()         {}
func (WatchdogState) isEvent()     {}
func (Stopping) isEvent()          {}

// Request is one of its members.
type Request struct {
	// Commands are proposed as one entry, after the checks of their kinds; By
	// says who asked, for the event log.
	Commands []cluster.Command
	By       string

	// Fence asks for a node to be fenced (Action off or reboot).
	Fence *FenceRequest
	// Confirm asserts that a node is off: an administrator's word (rule 3).
	Confirm string
	// Drain sets a node's standby and waits until nothing runs there.
	// Barrier waits until the state is as new as a majority's.
	Barrier bool
	// ForceQuorum makes this node the only voter (ha quorum force).
	ForceQuorum bool
	// Refresh probes a resource again ("" all) on a node ("" all).
	Refresh *cluster.HistoryForget
	// Transfer hands leadership to a node ("": any caught-up voter).
	Transfer *string
}

// FenceRequest asks for a fencing.
type FenceRequest struct {
	Node   string
	Action string
	Reason string
}

// Reply answers a Requested.
type Reply struct {
	ID    uint64
	Index uint64 // of the entry that carried it out
	Err   *Refusal
	// Admitted is the member as committed, if the request admitted one.
	Admitted *cluster.Member
}

// Refusal is why a request was not carried out.
type Refusal struct {
	Kind string // no-leader, no-quorum, conflict, unsafe, not-found, invalid, timeout
	Text string // what was wrong, and what to do
}

func (r *Refusal) Error() string { return r.Text }
