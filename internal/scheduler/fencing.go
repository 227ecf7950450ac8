package scheduler

import (
	"strings"

	"linuxha/internal/cluster"
)

// fenceAndShutdown creates the fencing and shutdown actions (SEMANTICS 27).
func (rn *run) fenceAndShutdown() {
	managed := rn.hasManaged()
	var fences, shutdowns []*action
	var last *action // what ends the coordinator
	for _, n := range rn.nodes {
		if n.isGuest() {
			if n.requiresReset && managed && rn.canFence(n) {
				rn.fenceGuest(n)
			}
			continue
		}
		switch {
		case managed && n.unclean && rn.canFence(n):
			fence := rn.fenceAction(n, "", false, n.fenceReason, n.fencePrio)
			if fence.reason == "" {
				fence.reason = "node is unclean"
			}
			rn.orderAroundFencing(fence)
			if n.isDC {
				last = fence
				continue
			}
			if !rn.options.concurrentFencing && len(fences) > 0 {
				rn.relate(fences[len(fences)-1], fence, relSeq)
			}
			fences = append(fences, fence)
		case n.isCluster() && n.online && n.shutdown:
			down := rn.newActionAs(nil, taskShutdown, taskShutdown, 0, n, false)
			rn.stopsBeforeShutdown(n, down)
			if n.isDC {
				last = down
				continue
			}
			shutdowns = append(shutdowns, down)
		}
	}
	if last == nil {
		return
	}
	if last.task == taskShutdown {
		for _, a := range shutdowns {
			rn.relate(a, last, relSeq)
		}
	}
	if !rn.options.concurrentFencing && len(fences) > 0 {
		fences = fences[len(fences)-1:]
	}
	for _, a := range fences {
		rn.relate(a, last, relSeq)
	}
}

// hasManaged tells whether the cluster manages any resource at all.
func (rn *run) hasManaged() bool {
	for _, r := range rn.all {
		if r.managed {
			return true
		}
	}
	return false
}

// fenceAction returns the fencing action of that kind for n ("": the cluster's
// fencing-action), creating it optional if need be. It becomes required unless
// optional is asked for, if n can be fenced. With priority, the node was lost
// from membership, and fencing the more important side waits (27).
func (rn *run) fenceAction(n *node, kind string, optional bool, reason string, priority bool) *action {
	if kind == "" {
		kind = rn.options.fenceAction
	}
	a := rn.newActionAs(nil, taskFence+"-"+kind, taskFence, 0, n, true)
	if kind == "on" && a.detail == "" && rn.unfencing {
		if device := rn.changedUnfencer(n); device != nil {
			optional, reason = false, "the definition of "+device.id+" changed"
		}
	}
	a.detail = kind
	if priority && rn.options.priorityDelay > 0 && rn.needsDelay(n) {
		a.delay = max(a.delay, rn.options.priorityDelay)
	}
	if !optional && rn.canFence(n) {
		a.optional = false
	}
	if a.reason == "" {
		a.reason = reason
	}
	return a
}

// needsDelay tells whether fencing n must wait priority-fencing-delay, so that
// in a split of equals the more important side survives.
func (rn *run) needsDelay(n *node) bool {
	if n.behindConnection() || n.online {
		return false
	}
	members, online := 0, 0
	highest, lowest := 0, 0
	for _, each := range rn.nodes {
		if !each.isCluster() {
			continue
		}
		if members == 0 || each.priority > highest {
			highest = each.priority
		}
		if members == 0 || each.priority < lowest {
			lowest = each.priority
		}
		members++
		if each.online {
			online++
		}
	}
	return online <= members/2 && lowest != highest && n.priority >= highest
}

// fenceGuest adds the point at which a guest that must be reset is down: its
// container is recovered, which fences what ran in it (SEMANTICS 28).
func (rn *run) fenceGuest(n *node) {
	kind := "off"
	var stop *action
	if c := n.container(); c != nil {
		stop = c.latest(taskStop, nil)
		if c.latest(taskStart, nil) != nil {
			kind = "reboot"
		}
	}
	fence := rn.fenceAction(n, kind, false, "guest is unclean", false)
	fence.pseudo, fence.runnable = true, true
	switch {
	case stop != nil && stop.pseudo:
		rn.relate(rn.fenceAction(stop.node, "", false, "", false), fence, relBlock|relImply)
	case stop != nil:
		rn.relate(stop, fence, relBlock|relImply)
	default:
		if stop = n.connection.latest(taskStop, nil); stop != nil {
			rn.relate(stop, fence, relSeq)
		}
	}
	rn.orderAroundFencing(fence)
}

// orderAroundFencing relates a fencing to the starts that must wait for it and
// to the stops and demotes that it brings about.
func (rn *run) orderAroundFencing(fence *action) {
	for _, r := range rn.all {
		if r.isPrimitive() && r.managed {
			rn.startsAfterFencing(r, fence)
			rn.stopsByFencing(r, fence)
		}
	}
}

func (rn *run) startsAfterFencing(r *resource, fence *action) {
	for _, a := range r.actions {
		switch {
		case a.requires.fencing():
			rn.relate(fence, a, relSeq)
		case a.requires == requireQuorum && a.task == taskStart &&
			r.allowed.at(fence.node) != absent && !r.knownThere(fence.node):
			// It may be running there, for all we know.
			rn.relate(fence, a, relSeq|relBlock)
		}
	}
}

// knownThere tells whether the state of r is known on n. Instances of an
// anonymous clone stand for each other there.
func (r *resource) knownThere(n *node) bool {
	p := r.parent
	return r.known.has(n) || p != nil && p.isClone() && !p.unique && p.known.has(n)
}

func (rn *run) stopsByFencing(r *resource, fence *action) {
	target := fence.node
	top := r.topInBundle()
	after := r.requires.fencing() || target.isGuest()
	var topStop *action
	if after {
		topStop = top.latest(taskStop, nil)
	}
	for _, stop := range r.actionsOf(taskStop) {
		if stop.node != target {
			continue
		}
		stop.pseudo, stop.runnable = true, true
		if after {
			if !r.bundled() {
				rn.relate(fence, stop, relGuestOK)
			}
			rn.relate(fence, topStop, relGuestOK)
		}
		if top.isClone() && top.notify {
			rn.notifyOfFencing(r, fence)
		}
	}
	for _, demote := range r.actionsOf(taskDemote) {
		if demote.node != target || target.online && !target.unclean && !r.failed {
			continue
		}
		demote.pseudo, demote.runnable = true, true
		if !r.bundled() && after {
			rn.relate(fence, demote, relGuestOK)
		}
	}
}

// bundled tells whether r belongs to a bundle.
func (r *resource) bundled() bool { return r.top().isBundle() }

// stopsBeforeShutdown makes the shutdown of n wait for all stops there.
func (rn *run) stopsBeforeShutdown(n *node, down *action) {
	for _, a := range rn.actions {
		if a.node != n || a.task != taskStop || a.resource == nil {
			continue
		}
		if a.resource.maintenance || n.maintenance || (!a.resource.managed && !a.resource.blocked) {
			continue
		}
		a.optional = false
		rn.order(exactly(a), exactly(down), relSeq|relBlock)
	}
}

// unfenced tells whether n has been unfenced (or needs none).
func (n *node) unfenced() bool {
	v := n.attrs["#node-unfenced"]
	return v != "" && v != "0"
}

// changedUnfencer finds a device that n was unfenced by when its parameters were
// others than now, as the summary of that unfencing in n's attributes tells
// (SEMANTICS 27); nil if there is none, or no summary.
func (rn *run) changedUnfencer(n *node) *resource {
	all, secure := n.attrs["#digests-all"], n.attrs["#digests-secure"]
	if all == "" {
		return nil
	}
	for _, r := range rn.all {
		if !r.isFence || r.requires != requireUnfencing && !strings.EqualFold(r.meta["provides"], "unfencing") {
			continue
		}
		params, _ := rn.operationParams(r, n, "on", 0)
		known := func(summary string, params []cluster.NVPair) bool {
			return strings.Contains(summary, r.id+":"+r.agent.Type+":"+digest(params, nil)+",")
		}
		if !known(all, params) && !known(secure, openParams(r, params, []string{"passwd", "password", "user"})) {
			return r
		}
	}
	return nil
}

// orderUnfencing puts the unfencing of n before an action of a resource that
// requires it, or of a fence device.
func (rn *run) orderUnfencing(r *resource, n *node, a *action, kind relKind) {
	if !rn.unfencing || !r.isFence && r.requires != requireUnfencing {
		return
	}
	rn.relate(rn.fenceAction(n, "on", true, "", false), a, kind)
	if !n.unfenced() {
		rn.triggerUnfencing(nil, n, "required by "+r.id, nil)
	}
}

// triggerUnfencing requires unfencing of n, or, for a fence device whose
// definition changed, of all nodes that it may run on.
func (rn *run) triggerUnfencing(device *resource, n *node, reason string, dependent *action) {
	if !rn.unfencing || device != nil && !device.isFence {
		return
	}
	if n == nil {
		for _, each := range rn.allowedNodes(device) {
			rn.triggerUnfencing(device, each, reason, dependent)
		}
		return
	}
	if n.online && !n.unclean && !n.shutdown {
		unfence := rn.fenceAction(n, "on", false, reason, false)
		if dependent != nil {
			rn.relate(unfence, dependent, relSeq)
		}
	}
}
