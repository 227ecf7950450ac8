// Package scheduler decides what should run where, and the actions that lead
// there. It is pure: the same configuration, status and time give the same Plan,
// to the byte.
package scheduler

import "linuxha/internal/cluster"

// The result types live in package cluster, because the core walks them too.
type (
	Plan        = cluster.Plan
	NodeOutcome = cluster.NodeOutcome
	Placement   = cluster.Placement
	Action      = cluster.Action
	Kind        = cluster.ActionKind
	Reason      = cluster.Reason
	Factor      = cluster.Factor
	Score       = cluster.ScoreEntry
)

// The kinds of action.
const (
	Start          = cluster.ActionStart
	Stop           = cluster.ActionStop
	Promote        = cluster.ActionPromote
	Demote         = cluster.ActionDemote
	MigrateTo      = cluster.ActionMigrateTo
	MigrateFrom    = cluster.ActionMigrateFrom
	Reload         = cluster.ActionReload
	Monitor        = cluster.ActionMonitor
	Probe          = cluster.ActionProbe
	Cancel         = cluster.ActionCancel
	Notify         = cluster.ActionNotify
	Cleanup        = cluster.ActionCleanup
	ClearFailcount = cluster.ActionClearFailcount
	Forget         = cluster.ActionForget
	Fence          = cluster.ActionFence
	Shutdown       = cluster.ActionShutdown
	Point          = cluster.ActionPoint
)

// Options tune what a run reports; they never change a decision.
type Options struct {
	Scores  bool // fill Plan.Scores
	Reasons bool // fill Plan.Reasons
}
