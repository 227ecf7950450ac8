package scheduler

import (
	"time"

	"linuxha/internal/cluster"
)

// NewEagerPlanner makes a Planner that builds on its last plan even where a whole
// plan would be no dearer.
func NewEagerPlanner() *Planner { return &Planner{eager: true} }

// Reused is how many plans were not made as a whole.
func (p *Planner) Reused() int { return p.reused }

// ScheduleApart is Schedule with every preference merged by itself.
func ScheduleApart(config *cluster.Config, status *cluster.Status, now time.Time, opts Options) *Plan {
	rn := newRun(config, status, now, opts)
	rn.mergeApart = true
	rn.assess()
	rn.placeResources()
	rn.decideActions()
	rn.writeGraph()
	rn.writeOutcome()
	return rn.plan
}
