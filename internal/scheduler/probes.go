package scheduler

import "linuxha/internal/cluster"

// createProbes asks every node for the state of every resource that is unknown
// there (SEMANTICS 18).
func (rn *run) createProbes() {
	var unknown []*resource // somewhere
	if rn.options.startupProbes {
		for _, r := range rn.resources {
			if r.unknownSomewhere(len(rn.nodes)) {
				unknown = append(unknown, r)
			}
		}
	}
	for _, n := range rn.nodes {
		switch {
		case !n.online:
			if n.isRemote() && n.connection != nil && rn.connectionState(n) == connectionFailed {
				rn.fenceNode(n, "the connection is unrecoverable", false)
			}
		case n.unclean || n.noProbes:
		default:
			for _, r := range unknown {
				rn.probe(r, n)
			}
		}
	}
}

// unknownSomewhere tells whether r, or something in it, is not known on all of
// that many nodes. Of an anonymous clone, any instance tells for all.
func (r *resource) unknownSomewhere(nodes int) bool {
	if r.isPrimitive() {
		return r.known.len() < nodes
	}
	if r.isClone() && !r.unique && r.parent == nil && r.clone.template.Kind == cluster.Primitive {
		var known nodeSet
		for _, each := range r.children {
			known.putAll(each.known)
		}
		return known.len() < nodes
	}
	for _, part := range r.parts() {
		if part.unknownSomewhere(nodes) {
			return true
		}
	}
	return false
}

// probe creates the probes of r on n that are needed and reports whether there
// is any.
func (rn *run) probe(r *resource, n *node) bool {
	switch {
	case r.isPrimitive():
		return rn.probePrimitive(r, n)
	case r.isBundle():
		return rn.probeBundle(r, n)
	case r.isClone():
		return rn.probeClone(r, n)
	}
	return rn.probeAll(r.children, n)
}

func (rn *run) probeAll(list []*resource, n *node) bool {
	any := false
	for _, r := range list {
		any = rn.probe(r, n) || any
	}
	return any
}

// probeClone probes all instances of a unique clone. Of an anonymous one,
// one instance tells for all: the one known there, else the one that is to be
// there, else the first.
func (rn *run) probeClone(c *resource, n *node) bool {
	if c.exclusive && (c.allowed.at(n) == absent || c.discoveryOn(n) != discoverExclusive) {
		return false
	}
	c.children = byNumber(c.children) // from here on: which of several on a node stands for the clone depends on it
	instances := c.children
	if len(instances) == 0 {
		return false
	}
	if c.unique {
		return rn.probeAll(instances, n)
	}
	chosen := instances[0]
	for _, each := range instances {
		if each.knownOn(n) {
			return rn.probe(each, n)
		}
	}
	for _, each := range instances {
		if each.onlyNode(false) == n {
			chosen = each
			break
		}
	}
	return rn.probe(chosen, n)
}

// knownOn tells whether the state of r, or of some part of it, is known on n.
func (r *resource) knownOn(n *node) bool {
	for _, c := range r.children {
		if c.knownOn(n) {
			return true
		}
	}
	return r.known.has(n)
}

func (rn *run) probeBundle(b *resource, n *node) bool {
	any := false
	for _, p := range b.bundle.replicas {
		if p.address != nil {
			any = rn.probe(p.address, n) || any
		}
		if p.child != nil && p.node == n {
			any = rn.probe(p.child, n) || any
		}
		if rn.probe(p.container, n) {
			any = true
			rn.keepReplicasApart(b, p)
		}
		if p.connection != nil && rn.probe(p.connection, n) {
			any = true
			// Not before it is known where the container is.
			if probe := rn.findAction(p.connection, taskMonitor, 0, n); probe != nil {
				rn.order(of(p.container, taskStart), exactly(probe), relNestedProbe)
			}
		}
	}
	return any
}

// keepReplicasApart: with one replica per host, no other container starts on a
// node before it is known that this one is not there.
func (rn *run) keepReplicasApart(b *resource, p *replica) {
	if b.bundle.perHost != 1 {
		return
	}
	for _, other := range b.bundle.replicas {
		if other != p {
			rn.order(of(p.container, taskMonitor), of(other.container, taskStart), relSeq|relIfSameNode)
		}
	}
}

func (rn *run) probePrimitive(r *resource, n *node) bool {
	top := r.topInBundle()
	switch {
	case n.behindConnection() && (r.isFence || r.isConnection),
		n.isGuest() && rn.createsGuest(r),
		r.container != nil && !r.isConnection,
		n.isBundle() && !r.insideOf(n),
		r.removed,
		r.known.has(n),
		(r.exclusive || top.exclusive) && (r.allowed.at(n) == absent || r.discoveryOn(n) != discoverExclusive),
		r.discoveryOn(n) == discoverNever:
		return false
	}
	if guest := n.container(); guest != nil {
		if guest.role == roleStopped || guest.role == roleUnknown {
			if at := guest.assigned; at != nil && !guest.known.has(at) {
				rn.order(of(guest, taskMonitor), of(top, taskStart), relSeq)
			}
			return false
		}
		if guestWillStop(n, guest) {
			rn.order(of(guest, taskStop), of(top, taskStart), relSeq)
			return false
		}
	}

	probe := rn.newAction(r, taskMonitor, 0, n, false)
	probe.optional = false // even if the resource is not managed
	rn.orderUnfencing(r, n, probe, relSeq)
	switch {
	case !r.activeOn(n):
		probe.expectRC = 7
	case r.role == rolePromoted:
		probe.expectRC = 8
	}
	if !top.isClone() || r.isFence && rn.unfencing {
		top = r // a device that some node needs is not to wait until all instances are looked for
	}
	kind := relSeq
	if !probe.runnable && len(top.active) == 0 {
		// What cannot be looked for must not be started either.
		kind |= relBlock
	}
	rn.order(exactly(probe), of(top, taskStart), kind)
	rn.order(exactly(probe), of(top, taskReload), relSeq)
	return true
}

// insideOf tells whether r is what the bundle node n exists for.
func (r *resource) insideOf(n *node) bool {
	b := r.top()
	if !b.isBundle() {
		return false
	}
	for _, p := range b.bundle.replicas {
		if p.node == n && p.child == r {
			return true
		}
	}
	return false
}

// createsGuest tells whether a guest or bundle node runs inside r.
func (rn *run) createsGuest(r *resource) bool {
	for _, c := range r.contents {
		if c.isConnection {
			return true
		}
	}
	return false
}

// guestWillStop tells whether a running guest will stop, be it to be restarted.
func guestWillStop(n *node, guest *resource) bool {
	return n.requiresReset || n.unclean || guest.failed || guest.nextRole == roleStopped ||
		guest.role > roleStopped && guest.assigned != nil && !guest.activeOn(guest.assigned)
}

// orderProbes adds the relations that keep probes before what depends on their
// outcome.
func (rn *run) orderProbes() {
	walk := probeWalk{run: rn}
	for _, r := range rn.resources {
		walk.resource(r)
	}
	rn.probesBeforeStopFollowers()
}

// probesBeforeStopFollowers: what is ordered after a stop is also ordered after
// the probes that would find that there is something to stop.
func (rn *run) probesBeforeStopFollowers() {
	for _, o := range rn.orderings {
		r, other := o.first.resource, o.then.resource
		if o.kind == relNone || r == nil || r == other || !r.isPrimitive() || !o.first.isTask(taskStop) {
			continue
		}
		if other != nil && r.container == other && o.then.isTask(taskStop) {
			continue // a probe may come after the container has started again
		}
		kind := relSeq | o.kind&(relIfUnmigratable|relIfSameNode)
		if o.kind == relIfRequiredSameNode || o.kind == relIfNodeOrTarget {
			kind = o.kind
		}
		probes := r.actionsOf(taskMonitor)
		if len(probes) == 0 {
			continue
		}
		thens := []*action{o.then.action}
		if o.then.action == nil {
			thens = other.actionsOf(o.then.task)
		}
		for _, probe := range probes {
			for _, then := range thens {
				if !skipProbeOrder(probe, then) {
					rn.relate(probe, then, kind)
				}
			}
		}
	}
}

// skipProbeOrder keeps a probe from delaying the unfencing that it waits for,
// and the shutdown of another node.
func skipProbeOrder(probe, then *action) bool {
	return then.task == taskFence && then.detail == "on" && probe.node == then.node ||
		then.task == taskShutdown && probe.node != then.node
}

// probeWalk follows from probes what they may lead to.
type probeWalk struct {
	*run
	stops []*action
}

func (w *probeWalk) resource(r *resource) {
	if !r.isPrimitive() {
		// The probe of a bundle's container may force restarts of the others
		// (keepReplicasApart), whose stops wait for it, too.
		for _, c := range r.parts() {
			w.resource(c)
		}
		return
	}
	probes := r.actionsOf(taskMonitor)
	var thens []*action // what the probe before led to ...
	for i, probe := range probes {
		same := i > 0 && len(probe.after) == len(thens)
		for j := range thens {
			same = same && probe.after[j].then == thens[j]
		}
		if !same {
			thens = thens[:0]
			for _, o := range probe.after {
				thens = append(thens, o.then)
			}
			w.stops = w.stops[:0] // ... and the stops to come after it
			w.visits++
		}
		for j := len(thens) - 1; j >= 0; j-- {
			w.blockStarts(probe, thens[j])
			if !same {
				w.beforeRestarts(probe, thens[j])
			}
		}
		for _, stop := range w.stops {
			w.relate(probe, stop, relSeq)
		}
	}
}

// blockStarts: where a probe comes before the start of its own clone, an unrunnable
// one must keep the instances from starting, though not those that run.
func (w *probeWalk) blockStarts(probe, then *action) {
	r := then.resource
	if r == nil || r.isPrimitive() || r.isGroup() || probe.runnable || then.task != taskStart || probe.resource.topInBundle() != r {
		return
	}
	for i := len(then.after) - 1; i >= 0; i-- {
		each := then.after[i].then
		if each.resource == nil || len(each.resource.active) > 0 || each.resource.topInBundle() != r || each.task != taskStart {
			continue
		}
		w.relate(probe, each, relSeq|relBlock)
	}
}

// undoes names what must come before a task is done once more.
var undoes = map[string]string{taskStart: taskStop, taskPromote: taskDemote}

// beforeRestarts: a required start (promotion) that follows the probe may force
// restarts of other resources. Their stops (demotions) wait for the probe as well,
// so that nothing is stopped before it is known whether that is necessary
// (SEMANTICS 18). Other actions, such as monitors, force none.
func (w *probeWalk) beforeRestarts(probe, after *action) {
	r := after.resource
	if r == nil || after.visit == w.visits {
		return
	}
	after.visit = w.visits
	if r.isPrimitive() && r != probe.resource {
		for _, undo := range r.actionsOf(undoes[after.task]) {
			if !undo.pseudo {
				w.stops = append(w.stops, undo)
			}
		}
	}
	interleave := (r.isClone() || r.isBundle()) && r.interleaves()
	var partner *resource
	if interleave {
		partner = w.partnerOf(probe.resource, r, false)
	}
	for i := len(after.after) - 1; i >= 0; i-- {
		o := after.after[i]
		if !o.kind.has(relImply) {
			child := o.then.resource
			if r.isPrimitive() || probe.resource.parent == r || child == nil || child.isClone() || child.isBundle() || child.parent != r {
				continue
			}
			if interleave && partner != child {
				continue
			}
		}
		w.beforeRestarts(probe, o.then)
	}
}
