// Package api is how people and programs talk to a daemon: HTTP and JSON over a
// unix socket. The server needs a Node; the client is what the command line uses.
package api

import (
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/config"
	"linuxha/internal/core/event"
)

// What requests are made of; see package event.
type (
	Request      = event.Request
	FenceRequest = event.FenceRequest
	Refusal      = event.Refusal
)

// Status is the cluster as one node sees it.
type Status struct {
	Cluster  string    `json:"cluster"`
	Node     string    `json:"node"` // who answers
	Time     time.Time `json:"time"`
	Index    uint64    `json:"index"`    // of the last entry applied there
	Revision uint64    `json:"revision"` // of the configuration
	Quorate  bool      `json:"quorate"`
	AsOf     time.Time `json:"as_of,omitzero"` // without quorum: when what is shown of other nodes was last known to be true
	Leader   string    `json:"leader,omitempty"`
	Lineage  string    `json:"lineage"`

	Nodes     []Node            `json:"nodes"`
	Resources []Resource        `json:"resources"`
	Failures  []Failure         `json:"failures,omitempty"`
	Fencings  []cluster.Fencing `json:"fencings,omitempty"` // open ones, newest last
	Tickets   []cluster.Ticket  `json:"tickets,omitempty"`
	Moves     []cluster.Move    `json:"moves,omitempty"` // asked for and not yet done
	Devices   []Device          `json:"devices,omitempty"`
	Warnings  []Warning         `json:"warnings,omitempty"`
}

// Node is one node. State is what Pacemaker's users know: online, offline,
// unclean, pending; without quorum a node that is not heard is unclean. Standby and Maintenance come on top.
type Node struct {
	Name        string    `json:"name"`
	State       string    `json:"state"`
	Since       time.Time `json:"since"`
	Reason      string    `json:"reason,omitempty"`
	Standby     bool      `json:"standby,omitempty"`
	Maintenance bool      `json:"maintenance,omitempty"`
	Leader      bool      `json:"leader,omitempty"`
	Voter       bool      `json:"voter,omitempty"`
	Witness     bool      `json:"witness,omitempty"`
	Version     string    `json:"version,omitempty"`
	Addresses   []string  `json:"addresses,omitempty"` // by link
	Running     []string  `json:"running,omitempty"`   // primitive instances
	Reachable   bool      `json:"reachable"`           // by the node that answers
	Links       []Link    `json:"links,omitempty"`     // as the node that answers sees them
}

// Link is one link from the answering node to another.
type Link struct {
	Link int           `json:"link"`
	Up   bool          `json:"up"`
	Age  time.Duration `json:"age"` // since last heard
	Loss float64       `json:"loss"`
}

// Resource is one configured resource; collectives have Members.
type Resource struct {
	ID      string     `json:"id"`
	Kind    string     `json:"kind"`
	Agent   string     `json:"agent,omitempty"`
	State   string     `json:"state"` // stopped started unpromoted promoted starting stopping failed unknown
	On      []Instance `json:"on,omitempty"`
	Managed bool       `json:"managed"`
	Target  string     `json:"target,omitempty"` // target role, if set
	Members []Resource `json:"members,omitempty"`
}

// Instance is where a primitive is active.
type Instance struct {
	Node    string `json:"node"`
	Role    string `json:"role"`
	Unknown bool   `json:"unknown,omitempty"` // the node is lost: it may run there
}

// Failure is an operation whose last result was not the expected one.
type Failure struct {
	Resource  string    `json:"resource"`
	Node      string    `json:"node"`
	Operation string    `json:"operation"`
	RC        int       `json:"rc"`
	Reason    string    `json:"reason,omitempty"`
	Time      time.Time `json:"time"`
	Count     string    `json:"count,omitempty"` // fail count
}

// Device is one fence device: whom it can fence, and whether it works.
type Device struct {
	ID       string    `json:"id"`
	Agent    string    `json:"agent"`
	State    string    `json:"state"`                 // works, fails, unknown (not asked yet)
	Error    string    `json:"error,omitempty"`       // why it fails
	Watched  []string  `json:"watched_on,omitempty"`  // nodes that run its recurring monitor
	Fences   []string  `json:"fences,omitempty"`      // nodes that it can fence
	Maybe    []string  `json:"may_fence,omitempty"`   // nodes that it is tried for last: it has not said
	Check    string    `json:"host_check,omitempty"`  // how that is known: static-list, dynamic-list, status, none
	Unfences bool      `json:"unfences,omitempty"`    // a joining node needs its "on"
	Levels   []string  `json:"levels,omitempty"`      // where levels decide: NODE:LEVEL
	Asked    time.Time `json:"answer_of,omitzero"`    // when it said last what it had not said before
	By       string    `json:"asked_by,omitempty"`    // node that asked it
	Limit    int       `json:"action_limit,omitzero"` // calls at once; -1: no limit
}

// Warning is a trouble that a person should know, with what to do about it.
type Warning struct {
	Code     string `json:"code"`     // stable
	Severity string `json:"severity"` // warning, error
	Text     string `json:"text"`
	Hint     string `json:"hint,omitempty"`
}

// Plan is what a configuration would change.
type Plan struct {
	Base    uint64        `json:"base"` // revision that it was compared with
	Config  []Change      `json:"config"`
	Actions []PlanAction  `json:"actions"`
	Moves   []PlanMove    `json:"moves"`
	Plan    *cluster.Plan `json:"plan,omitempty"`
}

// Change is one block of the configuration that differs.
type Change = config.Change

// PlanMove is what happens to one primitive instance.
type PlanMove struct {
	Instance string   `json:"instance"`
	From     []string `json:"from,omitempty"`
	To       string   `json:"to,omitempty"`
	Role     string   `json:"role"`
	What     string   `json:"what"` // start, stop, move, restart, promote, demote, reload, keep
	Reason   string   `json:"reason,omitempty"`
}

// PlanAction is one step, in an order in which they can happen.
type PlanAction struct {
	Kind     string `json:"kind"`
	Resource string `json:"resource,omitempty"`
	Node     string `json:"node,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// ConfigView is the running configuration.
type ConfigView struct {
	Revision uint64         `json:"revision"`
	Config   cluster.Config `json:"config"`
}

// Answer is what a request led to.
type Answer struct {
	Index uint64         `json:"index,omitempty"`
	Error *event.Refusal `json:"error,omitempty"`
}
