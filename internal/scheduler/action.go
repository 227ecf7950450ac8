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
	key      string
	interval int64 // ms
	node     int
}

// action is something to be done, or a point in time that others relate to.
type action struct {
	id       int
	task     string
	key      string    // the task, or for notifications and global points a longer name
	resource *resource // nil for fencing, shutdown and global points
	node     *node     // nil for points, and for what has no node
	interval int64     // ms

	actionFlags
	always     bool // in the graph even if optional
	reschedule bool // a running recurring monitor that is to be started afresh
	dangling   bool // the stop that a migration still lacks
	needsAny   bool // a point that needs only minimum of its relations of kind min
	onDC       bool // done by the coordinator: needs no node that is up
	visit      int  // generation in which a walk came by
	graphID    int  // its id in the plan, 0 if it is not in there

	requires requirement
	delay    int64 // ms, before fencing
	expectRC int
	detail   string // fence kind, notify type-task, cancelled task
	reason   string
	minimum  int // of a point with needsAny: how many of its firsts must be runnable
	ready    int // of a point with needsAny: how many are
	op       *operation
	entry    *cluster.HistoryEntry // the history entry a monitor or cancel is about
	meta     map[string]string

	before []*relation // relations in which this is the then
	after  []*relation // relations in which this is the first
}

// actionFlags are the properties of an action that relations change.
type actionFlags struct {
	optional   bool
	runnable   bool
	pseudo     bool // nothing is done: implied, or a synchronisation point
	migratable bool // part of a live migration
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
	merged    map[string]string  // properties of element, meta blocks, op_defaults; nil: those of the element are all
	varies    bool               // properties depend on rules, so that they may differ by node
	onNode    map[*node]*operation
}

// notifications are the points and actions around one task of a clone
// (SEMANTICS 26).
type notifications struct {
	pre, preDone, post, postDone *action
}
