package scheduler

import "linuxha/internal/cluster"

// compareHistory compares recorded parameter digests and operations with the
// configuration (SEMANTICS 20). An entry concerns the instance that it was taken
// for, if that still goes by the name, the instance of that very id, and the
// removed resources called so. What was found as configured, and has not changed
// since, is left out.
func (rn *run) compareHistory() {
	for _, r := range rn.all {
		if len(r.history) == 0 || rn.unchanged[r.top().id] {
			continue
		}
		for _, h := range r.history {
			if !h.node.maintenance && !h.node.available() {
				continue
			}
			if r.historyName == h.name || r.id == h.name {
				rn.compareOn(r, h)
			}
			if named := rn.byID[h.name]; named != nil && named != r && named.isPrimitive() {
				rn.compareOn(named, h)
			}
			for _, removed := range rn.namesakes[h.name] {
				if removed != r {
					rn.compareOn(removed, h)
				}
			}
			if r.anonymousInstance() && h.source.Agent != r.agent {
				rn.cleanupInstances(r, h)
			}
		}
	}
}

// cleanupInstances forgets what another agent recorded for all instances that go
// by the entry's name, each by itself, be they active elsewhere (crm_simulate; no
// recorded case).
func (rn *run) cleanupInstances(r *resource, h *nodeHistory) {
	for _, each := range rn.all {
		if each != r && each.renamed && each.historyName == h.name && !each.removed && !each.activeOn(h.node) {
			rn.cleanup(each, h.node, false)
		}
	}
}

func (rn *run) compareOn(r *resource, h *nodeHistory) {
	n := h.node
	if r.removed {
		r.outdated = true
		if !r.anonymousInstance() {
			rn.cleanup(r, n, false)
		}
		return
	}
	active := r.activeOn(n)
	if h.source.Agent != r.agent {
		r.outdated = true
		rn.agentChanged(r, n, active)
	}
	if !active || h.start < h.stop {
		return
	}
	for i, e := range h.entries {
		if i < h.start {
			continue
		}
		switch {
		case e.IntervalMS > 0 && (r.maintenance || n.maintenance):
			r.outdated = true
			rn.cancelFromHistory(r, n, e, "maintenance mode")
		case e.IntervalMS > 0, e.Operation == taskMonitor, e.Operation == taskStart,
			e.Operation == taskPromote, e.Operation == taskMigrateFrom:
			if r.isConnection && rn.params(r, n)["addr"] == "#uname" {
				rn.deferred = append(rn.deferred, deferredCheck{r, h, e})
				continue
			}
			rn.compareEntry(r, h, e)
		}
	}
}

// deferredCheck is a comparison that must wait for the container to be placed,
// since the name of its host is a parameter.
type deferredCheck struct {
	resource *resource
	history  *nodeHistory
	entry    *cluster.HistoryEntry
}

// compareDeferred does the comparisons that had to wait for placement.
func (rn *run) compareDeferred() {
	for _, d := range rn.deferredFailures {
		if rn.changedSince(d.resource, d.history, d.entry) {
			rn.clearFailures(d.resource, d.history.node, "resource parameters have changed")
		}
	}
	for _, d := range rn.deferred {
		rn.compareEntry(d.resource, d.history, d.entry)
	}
}

// compareEntry acts on what changed since an operation, and gives the resource a
// fresh start if it has failed with the old definition.
func (rn *run) compareEntry(r *resource, h *nodeHistory, e *cluster.HistoryEntry) {
	if !rn.applyChange(r, h, e) {
		return
	}
	r.outdated = true
	if count, _ := rn.ownFailCount(r, h.node, true); count > 0 {
		rn.clearFailures(r, h.node, "action definition changed")
	}
}

func (rn *run) applyChange(r *resource, h *nodeHistory, e *cluster.HistoryEntry) bool {
	n := h.node
	if e.IntervalMS > 0 && r.configuredOperation(e.Operation, e.IntervalMS, false) == nil {
		if rn.options.cancelRemoved {
			rn.cancelFromHistory(r, n, e, "orphan")
		}
		return true
	}
	change := rn.compareDigests(r, h, e)
	switch {
	case change == digestSame:
		return false
	case change == digestRestart && e.IntervalMS > 0:
		// Only the operation itself, wherever it runs: what the start depends on is
		// compared with the start's own entry.
		rn.newAction(r, e.Operation, e.IntervalMS, nil, false)
	case change == digestRestart:
		rn.forceAgain(r, n, e)
	case e.IntervalMS > 0:
		rn.triggerUnfencing(r, n, "device parameters changed", nil)
		rn.newAction(r, e.Operation, e.IntervalMS, n, true).reschedule = true
	case e.RestartDigest != "":
		rn.triggerUnfencing(r, n, "device parameters changed", nil)
		rn.reload(r, n)
	default:
		rn.forceAgain(r, n, e)
	}
	return true
}

// forceAgain requires an operation again that was done with other parameters: a
// recurring one itself, for any other the start, which takes the stop with it.
func (rn *run) forceAgain(r *resource, n *node, e *cluster.HistoryEntry) {
	task := e.Operation
	if e.IntervalMS == 0 {
		task = taskStart
	}
	rn.newAction(r, task, e.IntervalMS, nil, false).reason = "resource definition change"
	rn.triggerUnfencing(r, n, "device parameters changed", nil)
}

// reload makes r's agent take over new parameters without a restart.
func (rn *run) reload(r *resource, n *node) {
	if !r.managed || r.failed {
		return
	}
	if r.startPending {
		rn.stopAction(r, n, false)
		return
	}
	r.reload = true
	a := rn.newAction(r, taskReload, 0, n, false)
	a.reason = "resource definition change"
	rn.order(exactly(a), of(r, taskStop), relSeq|relCancel)
	rn.order(exactly(a), of(r, taskDemote), relSeq|relCancel)
}

// cancelFromHistory ends a recurring operation, after the stop if there is one.
func (rn *run) cancelFromHistory(r *resource, n *node, e *cluster.HistoryEntry, reason string) {
	a := rn.cancelAction(r, e.Operation, e.IntervalMS, n)
	a.reason = reason
	a.entry = e
	rn.order(of(r, taskStop), exactly(a), relSeq)
}

// agentChanged handles a resource whose history was made by another agent.
func (rn *run) agentChanged(r *resource, n *node, active bool) {
	if active {
		rn.stopAction(r, n, false)
		r.startPending = true
		rn.triggerUnfencing(r, n, "device definition changed", nil)
	}
	rn.cleanup(r, n, false)
}
