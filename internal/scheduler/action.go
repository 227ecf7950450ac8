package scheduler

import "linuxha/internal/cluster"

// Tasks of actions. Points use further names (running, stopped, ...).
const (
	taskStart       = "start"
	taskStop        = "stop"
	taskPromote     = "promote"
	taskDemote      = "demote"
	taskMonitor     = "monitor" // a probe if the interval is 0
	taskMigrateTo   = "migrate_to"
	taskMigrateFrom = "migrate_from"
	taskReload      = "reload-agent"
	taskCancel      = "cancel"
	taskNotify      = "notify"
	taskDelete      = "delete" // clean-up
	taskClearFail   = "clear_failcount"
	taskForget      = "lrm_delete" // erase history after a shutdown lock
	taskFence       = "stonith"
	taskShutdown    = "do_shutdown"

	taskRunning  = "running"
	taskStopped  = "stopped"
	taskPromoted = "promoted"
	taskDemoted  = "demoted"
	taskNotified = "notified"
)

// actionKey identifies an action: creating it again finds the existing one.
// Keys hold indices (-1: none), so that lookups cost no string building.
type actionKey struct {
	resource int
	task     string
	interval int64 // ms
	node     int
}

// action is something to be done, or a point in time that others relate to.
type action struct {
	id       int
	task     string
	resource *resource // nil for fencing, shutdown and global points
	node     *node     // nil for points, and for what has no node
	interval int64     // ms

	optional    bool
	runnable    bool
	pseudo      bool // nothing is done: implied, or a synchronisation point
	migratable  bool // part of a live migration
	always      bool // in the graph even if optional
	rescheduled bool
	inGraph     bool

	requires requirement
	onFail   onFail
	failRole role
	timeout  int64 // ms
	expectRC int
	detail   string // fence kind, notify type-task, cancelled task
	reason   string
	minimum  int // of a point with relations of kind min: how many must be runnable
	op       *operation
	entry    *cluster.HistoryEntry // the history entry a monitor or cancel is about
	meta     map[string]string

	before []*relation // relations in which this is the then
	after  []*relation // relations in which this is the first
}

// relKind is a set of the kinds of relations of SEMANTICS 22.
type relKind uint32

const (
	relSeq relKind = 1 << iota
	relImply
	relImplyBack
	relPromotedBack
	relBlock
	relRestart
	relMigrBlock
	relElseReal
	relMin
	relAsym
	relCancel
	relShowThen
	relShowFirst
	relSameNodeImply
	relIfSameNode
	relIfRequiredSameNode
	relIfNodeOrTarget
	relIfUnmigratable
	relSerial
	relGuestOK
	relNestedProbe

	relNone relKind = 0
)

// relation makes then wait for first, with the further effects of its kind.
type relation struct {
	first, then *action
	kind        relKind
	dropped     bool // not to be an input in the graph
}

// ordering is a relation not yet bound to actions: each side is a resource and
// a task, or one action.
type ordering struct {
	id          string // of the constraint, "" for built-in ones
	kind        relKind
	first, then orderSide
	node        *node // restricts both sides; nil: any
}

// orderSide is one side of an ordering.
type orderSide struct {
	resource *resource
	task     string
	interval int64
	action   *action // if set, this very action
}

// onFail is what to do when an operation fails, ascending by severity
// (SEMANTICS 6).
type onFail uint8

const (
	failIgnore onFail = iota
	failDemote
	failRestart
	failResetRemote
	failRestartContainer
	failMigrate // ban
	failBlock
	failStop
	failStandby
	failFence
)

// operation is one configured operation of one resource, evaluated.
type operation struct {
	id       string
	name     string
	interval int64 // ms
	role     role  // roleUnknown: unset
	enabled  bool
	// duplicate: another operation has the same name and interval, so that
	// neither is scheduled.
	duplicate bool
	timeout   int64              // ms; -1: unset
	config    *cluster.Operation // as written
	attrs     map[string]string  // properties, strongest first merged: element, meta blocks, op_defaults
}

// notifications are the points and actions around one task of a clone
// (SEMANTICS 26).
type notifications struct {
	pre, preDone, post, postDone *action
}
