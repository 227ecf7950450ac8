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
	Unique   bool // the instance's number tells it from the others: not in anonymous clones (SEMANTICS 34.14)
	Node     string
	Role     string // Started Unpromoted Promoted
}

// Observer reads statuses of a configuration that was evaluated for one moment
// already. It is not for use by several at once.
type Observer struct{ before *run }

// Observe is the function Observe, for the same configuration and moment.
func (o *Observer) Observe(status *cluster.Status) *Observation {
	rn := newRun(o.before.config, status, o.before.now, Options{})
	rn.before = o.before
	return rn.observe()
}

// Observe reads a status as Schedule does before it decides.
func Observe(config *cluster.Config, status *cluster.Status, now time.Time) *Observation {
	return newRun(config, status, now, Options{}).observe()
}

func (rn *run) observe() *Observation {
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
			o.Active = append(o.Active, Activity{r.configuredID(), r.id, r.unique, n.name, r.role.String()})
		}
	}
	return o
}
