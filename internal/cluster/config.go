// Package cluster is the plain data that everything else meets at: what an
// administrator asked for (Config), what is known of nodes and resources
// (Status), what the cluster has agreed on (State), and the replicated commands
// that change the State. It imports nothing of ours and does no I/O.
package cluster

import "time"

// Config is everything that an administrator can say. It covers all that a
// Pacemaker CIB's configuration section can say; the names of options,
// meta-attributes and operation attributes are Pacemaker's modern ones with
// "-", whatever the spelling in the source text. Order within slices is the
// order of the document: ties in scheduling are decided by it.
type Config struct {
	Name      string     `json:"name,omitempty"`      // the cluster's name
	Detection Detection  `json:"detection"`           // failure detection times
	Watchdog  *Watchdog  `json:"watchdog,omitempty"`  // nil: none
	Origin    Origin     `json:"origin,omitempty"`    // which defaults hold where nothing is said
	Options   []AttrSet  `json:"options,omitempty"`   // cluster options (no-quorum-policy, ...)
	Nodes     []Node     `json:"nodes,omitempty"`     // cluster, and configured remote, nodes
	Resources []Resource `json:"resources,omitempty"` // top level: primitives, groups, clones, bundles
	Templates []Resource `json:"templates,omitempty"` // primitives to copy from
	Tags      []Tag      `json:"tags,omitempty"`

	Locations   []Location   `json:"locations,omitempty"`
	Colocations []Colocation `json:"colocations,omitempty"`
	Orders      []Order      `json:"orders,omitempty"`
	TicketRules []TicketRule `json:"ticket_rules,omitempty"`

	ResourceDefaults  []AttrSet      `json:"resource_defaults,omitempty"`  // meta-attributes (rsc_defaults)
	OperationDefaults []AttrSet      `json:"operation_defaults,omitempty"` // op_defaults
	FencingLevels     []FencingLevel `json:"fencing_levels,omitempty"`
	Alerts            []Alert        `json:"alerts,omitempty"`
	ACLRoles          []ACLRole      `json:"acl_roles,omitempty"`
	ACLTargets        []ACLTarget    `json:"acl_targets,omitempty"`
}

// Origin says whose defaults hold where a Config is silent.
type Origin string

const (
	// OriginNative: resource-stickiness defaults to 1, and without a fence
	// device starts and moves still work (ignoring the loss of recovery).
	OriginNative Origin = ""
	// OriginCIB: Pacemaker's defaults; fencing enabled without a device means
	// that every resource is unmanaged.
	OriginCIB Origin = "cib"
)

// Detection holds the heartbeat times; see ARCHITECTURE section 4.
type Detection struct {
	Preset   string        `json:"preset,omitempty"`    // extreme, fast, normal, patient, or "" if the times are given
	Interval time.Duration `json:"interval,omitempty"`  // between heartbeats on one link
	DeadTime time.Duration `json:"dead_time,omitempty"` // silence after which a peer is lost
}

// Presets are the named detection times.
var Presets = map[string]Detection{
	"extreme": {Preset: "extreme", Interval: 10 * time.Millisecond, DeadTime: 40 * time.Millisecond},
	"fast":    {Preset: "fast", Interval: 50 * time.Millisecond, DeadTime: 200 * time.Millisecond},
	"normal":  {Preset: "normal", Interval: 100 * time.Millisecond, DeadTime: time.Second},
	"patient": {Preset: "patient", Interval: time.Second, DeadTime: 10 * time.Second},
}

// Resolve returns the times that d means: those of its preset, or its own; an
// empty d is "normal".
func (d Detection) Resolve() Detection {
	if p, ok := Presets[d.Preset]; ok {
		return p
	}
	if d.Interval <= 0 || d.DeadTime <= 0 {
		return Presets["normal"]
	}
	return d
}

// StallTime is how long a peer's core, disk or stream may stand still before
// it counts as lost: the larger of 4 dead times and 1 s.
func (d Detection) StallTime() time.Duration {
	return max(4*d.Resolve().DeadTime, time.Second)
}

// Watchdog is a device that resets the host when it is not fed in time.
type Watchdog struct {
	Device  string        `json:"device"`
	Timeout time.Duration `json:"timeout"`
}

// Node is what the configuration says of one node. A node may exist without
// such an entry (it appears by joining).
type Node struct {
	ID          string    `json:"id,omitempty"` // Pacemaker's node id; defaults to Name
	Name        string    `json:"name"`
	Kind        NodeKind  `json:"kind,omitempty"`
	Witness     bool      `json:"witness,omitempty"` // votes, runs no resources
	Score       string    `json:"score,omitempty"`   // preference of every resource for this node; "": 0
	Attributes  []AttrSet `json:"attributes,omitempty"`
	Utilization []AttrSet `json:"utilization,omitempty"`
}

// NodeKind distinguishes full cluster nodes from those reached by a connection.
type NodeKind string

const (
	NodeCluster NodeKind = ""
	NodeRemote  NodeKind = "remote"
	NodeGuest   NodeKind = "guest"  // runs inside a resource
	NodeBundle  NodeKind = "bundle" // inside a bundle's container
)

// AttrSet is one block of name-value pairs that counts when its rule passes.
// Blocks of one parent are tried by descending Score, later ones of the same
// score first; the first value found for a name wins (SEMANTICS 3).
type AttrSet struct {
	ID    string   `json:"id,omitempty"`
	Ref   string   `json:"ref,omitempty"` // stands for the block with this id
	Score int      `json:"score,omitempty"`
	Rule  *Rule    `json:"rule,omitempty"`
	Pairs []NVPair `json:"pairs,omitempty"`
}

// NVPair is a name with a value; with Ref, the pair of that id (under Name, if
// Name is given).
type NVPair struct {
	ID    string `json:"id,omitempty"`
	Ref   string `json:"ref,omitempty"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value"`
	// File is the path of a file whose content is the value, read on the node
	// that runs the agent at the time of use; Value is then empty.
	File string `json:"file,omitempty"`
}

// Rule is a condition. The zero Rule passes.
type Rule struct {
	ID    string `json:"id,omitempty"`
	Ref   string `json:"ref,omitempty"`
	Or    bool   `json:"or,omitempty"` // boolean-op; default and
	Role  string `json:"role,omitempty"`
	Score string `json:"score,omitempty"` // in location rules: score text, empty if unset
	// ScoreAttribute names the node attribute that holds the score.
	ScoreAttribute string      `json:"score_attribute,omitempty"`
	Conditions     []Condition `json:"conditions,omitempty"`
}

// Condition is exactly one of its members, in the order of the document.
type Condition struct {
	Attribute *AttrExpr     `json:"attribute,omitempty"`
	Date      *DateExpr     `json:"date,omitempty"`
	Resource  *ResourceExpr `json:"resource,omitempty"`
	Operation *OpExpr       `json:"operation,omitempty"`
	Rule      *Rule         `json:"rule,omitempty"`
}

// AttrExpr compares a node attribute (or #uname, #kind, ...) with a value.
type AttrExpr struct {
	ID          string `json:"id,omitempty"`
	Attribute   string `json:"attribute"`
	Operation   string `json:"operation"`              // defined not_defined eq ne lt lte gt gte
	Type        string `json:"type,omitempty"`         // string integer number version; "" by operation
	Value       string `json:"value,omitempty"`        //
	ValueSource string `json:"value_source,omitempty"` // literal param meta
}

// DateExpr compares now with fixed times, a duration or a calendar pattern.
// Start and End are kept as the text given (ISO 8601).
type DateExpr struct {
	ID        string            `json:"id,omitempty"`
	Operation string            `json:"operation,omitempty"` // in_range gt lt date_spec
	Start     string            `json:"start,omitempty"`
	End       string            `json:"end,omitempty"`
	Duration  map[string]string `json:"duration,omitempty"` // years, months, weeks, ... hours, minutes, seconds
	Spec      map[string]string `json:"spec,omitempty"`     // hours = "9-16", weekdays = "1-5", ...
}

// ResourceExpr matches a resource's agent; empty members match all.
type ResourceExpr struct {
	ID       string `json:"id,omitempty"`
	Class    string `json:"class,omitempty"`
	Provider string `json:"provider,omitempty"`
	Type     string `json:"type,omitempty"`
}

// OpExpr matches an operation by name and, if given, interval.
type OpExpr struct {
	ID       string `json:"id,omitempty"`
	Name     string `json:"name"`
	Interval string `json:"interval,omitempty"`
}

// Tag names several configuration objects at once.
type Tag struct {
	ID         string   `json:"id"`
	References []string `json:"references"`
}
