package scheduler

import (
	"time"

	"linuxha/internal/cluster"
)

// Observation is what a status says of nodes and resources at one moment,
// without any decision.
type Observation struct {
	Nodes  []NodeOutcome
	Active []Activity // in the order of resources, then as found
}

// Activity is one primitive instance where it is active.
type Activity struct {
	Resource string // configured id
	Instance string
	Node     string
	Role     string // Started Unpromoted Promoted
}

// Observe reads a status as Schedule does before it decides.
func Observe(config *cluster.Config, status *cluster.Status, now time.Time) *Observation {
	rn := newRun(config, status, now, Options{})
	rn.readInput()
	o := &Observation{}
	for _, n := range rn.nodes {
		o.Nodes = append(o.Nodes, NodeOutcome{Name: n.name, State: n.state()})
	}
	for _, r := range rn.all {
		if !r.isPrimitive() {
			continue
		}
		for _, n := range r.active {
			o.Active = append(o.Active, Activity{r.configuredID(), r.id, n.name, r.role.String()})
		}
	}
	return o
}
