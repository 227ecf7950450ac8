package scheduler

import (
	"strconv"
	"strings"
	"time"
)

// applyNodeCriteria applies to every resource what decides by itself where it
// may run: shutdown locks, locations, stickiness, failures, exclusive discovery
// (SEMANTICS 2, step 3).
func (rn *run) applyNodeCriteria() {
	if rn.options.shutdownLock {
		for _, r := range rn.resources {
			rn.applyShutdownLock(r)
		}
	}
	for _, l := range rn.locations {
		rn.applyLocation(l.resource, l)
	}
	for _, r := range rn.resources {
		rn.applyStickiness(r)
	}
	for _, n := range rn.nodes {
		for name := range n.attrs {
			n.hasFailures = n.hasFailures || strings.HasPrefix(name, "fail-count-")
		}
	}
	for _, r := range rn.resources {
		rn.applyThresholds(r)
		rn.applyExclusiveDiscovery(r)
	}
}

// applyShutdownLock keeps a resource on the node that it was on when that node
// was shut down cleanly (SEMANTICS 31).
func (rn *run) applyShutdownLock(r *resource) {
	if r.isGroup() {
		for _, m := range r.children {
			rn.applyShutdownLock(m)
		}
		return
	}
	if !r.isPrimitive() || r.isFence || r.isConnection {
		return
	}
	switch {
	case r.lockNode != nil && len(r.active) > 0:
		// Started elsewhere in spite of the lock: the lock is void.
		rn.newAction(r, taskForget, 0, r.lockNode, false)
		r.lockNode, r.lockTime = nil, 0
	case r.lockNode == nil && len(r.active) == 1:
		if n := r.active[0]; n.shutdown && !n.unclean {
			r.lockNode, r.lockTime = n, rn.shutdownTime(n)
		}
	}
	if r.lockNode == nil {
		return
	}
	if limit := rn.options.shutdownLockLimit; limit > 0 {
		rn.recheckAt(time.Unix(r.lockTime, 0).Add(time.Duration(limit)*time.Millisecond + time.Second))
	}
	for _, n := range rn.nodes {
		if n != r.lockNode {
			rn.ban(r, n, -infinity, "shutdown-lock")
		}
	}
}

// shutdownTime is when the shutdown of n was requested, in epoch seconds.
func (rn *run) shutdownTime(n *node) int64 {
	if t, err := strconv.ParseInt(n.attrs["shutdown"], 10, 64); err == nil && t > 0 {
		return t
	}
	return rn.now.Unix()
}

// applyStickiness adds stickiness where a managed primitive is active on exactly
// one node. In an opt-in cluster the node must be allowed already.
func (rn *run) applyStickiness(r *resource) {
	if parts := r.parts(); len(parts) > 0 {
		for _, c := range parts {
			rn.applyStickiness(c)
		}
		return
	}
	if !r.managed || r.stickiness < 1 || len(r.active) != 1 {
		return
	}
	n := r.active[0]
	if !rn.options.symmetric && r.allowed.at(n) == absent {
		return
	}
	rn.ban(r, n, r.stickiness, "stickiness")
}

// applyThresholds bans resources from nodes where they failed too often. Only
// nodes with fail counts can matter.
func (rn *run) applyThresholds(r *resource) {
	if parts := r.parts(); len(parts) > 0 {
		for _, c := range parts {
			rn.applyThresholds(c)
		}
		return
	}
	for _, n := range rn.nodes {
		if !n.hasFailures || rn.findAction(r, taskClearFail, 0, n) != nil {
			continue
		}
		if banned := rn.thresholdReached(r, n); banned != nil {
			rn.ban(banned, n, -infinity, "failures")
		}
	}
}

// thresholdReached tells whether r failed on n as often as migration-threshold
// allows, and returns what is to be banned: r, or its whole anonymous clone; nil
// if it is not reached (SEMANTICS 9).
func (rn *run) thresholdReached(r *resource, n *node) *resource {
	if r.threshold == 0 || r.failureIgnored {
		return nil
	}
	count, _ := rn.failCount(r, n, true)
	if count <= 0 || int64(count) < int64(r.threshold) {
		return nil
	}
	if !r.unique {
		return r.topInBundle()
	}
	return r
}

// applyExclusiveDiscovery bans r from nodes that no exclusive constraint names,
// if r or the outermost collective that it is in (bundles apart) has one.
func (rn *run) applyExclusiveDiscovery(r *resource) {
	if !r.exclusive && !r.topInBundle().exclusive {
		return
	}
	for _, c := range r.parts() {
		rn.applyExclusiveDiscovery(c)
	}
	for _, n := range rn.nodes {
		if r.allowed.at(n) != absent && r.discoveryOn(n) != discoverExclusive {
			r.allowed[n.index] = -infinity
			rn.note(r, n, "resource-discovery", -infinity)
		}
	}
}
