package scheduler

import (
	"slices"
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// failed takes in an operation that failed (SEMANTICS 9).
func (u *historyReader) failed(e *event) {
	rn, r := u.run, u.resource
	policy, after := rn.onFail(r, e.Operation, e.IntervalMS, u.node)
	switch {
	case e.status == statusNotInstalled:
		if policy == failIgnore {
			policy = failMigrate
		}
		rn.ban(u.wholeClone(), u.node, -infinity, "agent not installed")
		u.recordFailure(e, policy, after)
		return
	case e.status == statusNotConnected && u.node.behindConnection():
		if c := u.node.connection; c != nil && c.managed {
			c.failed, c.mustStop = true, true
		}
	}
	if policy == failIgnore || policy == failRestartContainer && e.Operation == taskStop {
		u.succeeded(e, e.expected)
		r.failureIgnored = true
		if policy == failRestartContainer && u.policy <= failRestart {
			u.policy = policy
		}
		return
	}
	u.recordFailure(e, policy, after)
	switch e.status {
	case statusHardError:
		rn.ban(u.wholeClone(), u.node, -infinity, "hard error")
	case statusFatalError:
		rn.ban(u.wholeClone(), nil, -infinity, "fatal error")
	}
}

// recordFailure does what a failed operation means at once.
func (u *historyReader) recordFailure(e *event, policy onFail, after role) {
	rn, r := u.run, u.resource
	u.lastFailure = e.HistoryEntry
	u.policy = max(u.policy, policy)
	switch e.Operation {
	case taskStop:
		rn.ban(r, u.node, -infinity, "stop failed")
	case taskMigrateTo:
		u.migrateToFailed(e)
	case taskMigrateFrom:
		u.migrateFromFailed(e)
	case taskPromote:
		r.role = rolePromoted
	case taskDemote:
		switch {
		case policy == failBlock:
			r.role = rolePromoted
			r.nextRole = roleStopped
		case e.rc == rcNotRunning:
			r.role = roleStopped
		default: // it will be stopped for recovery; Promoted would loop
			r.role = roleUnpromoted
		}
	}
	if e.probe && e.rc == rcNotInstalled {
		r.role = roleStopped
	} else if r.role < roleStarted {
		r.setActive()
	}
	if after != roleStarted && r.nextRole < after {
		r.nextRole = after
	}
	if after == roleStopped {
		rn.ban(u.wholeClone(), nil, -infinity, "failed")
	}
}

// conclude turns the role and the failure policy that the history left into the
// resource's state on the node.
func (u *historyReader) conclude() {
	rn, r, n := u.run, u.resource, u.node
	active := r.role > roleStopped
	if r.role != roleUnknown {
		for a := r; a != nil; a = a.parent {
			a.known.put(n)
			if a.unique {
				break
			}
		}
	}
	if active && !n.online && !n.maintenance && r.managed {
		u.activeOnDeadNode()
	}
	policy := u.policy
	if n.unclean { // fencing takes care of it
		policy = failIgnore
	}
	u.applyPolicy(policy, active)

	if r.failed && r.isConnection {
		if remote := rn.node(r.id); remote != nil && remote.unclean {
			remote.unseen = false // the connection is no way to learn more
		}
	}
	switch {
	case r.role > roleStopped:
		rn.addActive(r, n, u.policy != failIgnore)
		switch policy {
		case failIgnore:
		case failDemote, failBlock:
			r.failed = true
		default:
			r.failed, r.mustStop = true, true
		}
	case strings.Contains(r.historyName, ":") && r.historyName != r.id:
		r.historyName, r.renamed = r.config.ID, false // else stopped instances keep their old number
		if r.unique {
			r.historyName = r.id
		}
	default:
		for _, a := range r.actions {
			if a.task == taskStop && a.node == n {
				a.optional = true
			}
		}
	}
	if r.role == roleStopped && r.partialSource == n && r.partialTarget != nil && len(r.active) > 0 {
		r.role = roleStarted
	}
}

// activeOnDeadNode: what may run on a node that is down can be taken over only
// when the node is fenced.
func (u *historyReader) activeOnDeadNode() {
	rn, r, n := u.run, u.resource, u.node
	switch {
	case n.isGuest():
		r.failed, r.mustStop = true, true
		rn.fenceNode(n, r.id+" is thought to be active there", false)
	case rn.options.fencing:
		if n.isRemote() && n.connection != nil && !n.connection.failed {
			// Fence it only if the connection cannot be had elsewhere.
			n.unseen = true
		}
		rn.fenceNode(n, r.id+" is thought to be active there", false)
	}
}

func (u *historyReader) applyPolicy(policy onFail, active bool) {
	rn, r, n := u.run, u.resource, u.node
	switch policy {
	case failDemote:
		r.failed = true
		rn.newAction(r, taskDemote, 0, n, false)
	case failFence:
		rn.fenceNode(n, r.id+" failed there", false)
	case failStandby:
		n.standby, n.standbyFail = true, true
	case failBlock:
		r.managed, r.blocked = false, true
	case failMigrate:
		rn.ban(r, n, -infinity, "failed here")
	case failStop:
		r.nextRole = roleStopped
	case failRestart:
		if active {
			r.failed, r.mustStop = true, true
			rn.newAction(r, taskStop, 0, n, false)
		}
	case failRestartContainer:
		r.failed, r.mustStop = true, true
		switch {
		case r.container != nil && r.bundled():
			// Where the container is may not have been read yet.
			rn.stopLater = append(rn.stopLater, r.container)
		case r.container != nil:
			rn.newAction(r.container, taskStop, 0, n, false)
		case active:
			rn.newAction(r, taskStop, 0, n, false)
		}
	case failResetRemote:
		r.failed, r.mustStop = true, true
		if rn.options.fencing && r.isConnection {
			if remote := rn.node(r.id); remote != nil && remote.isRemote() && !remote.wasFenced {
				rn.fenceNode(remote, "remote connection is unrecoverable", false)
			}
		}
		if active {
			rn.newAction(r, taskStop, 0, n, false)
		}
		if r.reconnect > 0 {
			r.nextRole = roleStopped
		}
	}
}

// addActive records that r is active on n, and what that means for its
// ancestors and for what is active on several nodes.
func (rn *run) addActive(r *resource, n *node, failed bool) {
	if r.activeOn(n) {
		return
	}
	r.active = append(r.active, n)
	if r.isPrimitive() {
		n.active = append(n.active, r)
		addPriority(r, n, failed)
		if n.maintenance {
			r.managed, r.maintenance = false, true
		}
	}
	if !r.managed {
		rn.ban(r, n, infinity, "unmanaged")
		for p := r.parent; p != nil && n.online; p = p.parent {
			if p.activeOn(n) {
				p.activeAgain++
			} else {
				p.active = append(p.active, n)
			}
		}
		return
	}
	if r.multiplyActive() {
		rn.handleMultiple(r)
	}
	if r.parent != nil {
		rn.addActive(r.parent, n, false)
	}
}

// addPriority adds to a node's fencing priority, and to that of a guest's hosts.
func addPriority(r *resource, n *node, failed bool) {
	if r.priority == 0 || failed {
		return
	}
	p := int(r.priority)
	if r.role == rolePromoted {
		p++
	}
	n.priority += p
	if c := n.container(); c != nil {
		for _, host := range c.active {
			host.priority += p
		}
	}
}

// multiplyActive tells whether r is active on several nodes; where it requires
// no fencing, only clean ones count.
func (r *resource) multiplyActive() bool {
	if !r.isPrimitive() {
		return false
	}
	if r.requires.fencing() {
		return len(r.active) > 1
	}
	clean := 0
	for _, n := range r.active {
		if n.online && !n.unclean {
			clean++
		}
	}
	return clean > 1
}

func (rn *run) handleMultiple(r *resource) {
	switch r.onMultiple {
	case stopOnly:
		for i := range r.allowed {
			r.allowed[i] = absent
		}
		rn.ban(r, nil, -infinity, "active on several nodes")
	case blockMultiple:
		r.managed, r.blocked = false, true
		if p := r.parent; p != nil && (p.isGroup() || p.isBundle()) && p.onMultiple == blockMultiple {
			p.primitives(func(member *resource) { member.managed, member.blocked = false, true })
		}
	}
}

// failCount is the number of failures of r on n, those of resources inside it
// included for a container, and the moment of the last one (epoch seconds, 0 if
// unknown). With effective, expired failures do not count (SEMANTICS 9).
func (rn *run) failCount(r *resource, n *node, effective bool) (count score, last int64) {
	count, last = rn.ownFailCount(r, n, effective)
	if r.isReplica {
		return count, last
	}
	for _, c := range r.contents {
		more, when := rn.ownFailCount(c, n, effective)
		count = count.add(more)
		if more > 0 {
			last = max(last, when)
		}
	}
	return count, last
}

// recordedFailures are the fail count and the last failure that n has for r.
func recordedFailures(r *resource, n *node) (count score, last int64) {
	if len(n.failures) == 0 {
		return 0, 0
	}
	name := r.historyName
	base := baseID(name)
	for _, f := range n.failures[base] {
		if r.unique && f.name != name {
			continue
		}
		count = count.add(f.count)
		last = max(last, f.last)
	}
	return count, last
}

// ownFailCount is failCount without what is inside r.
func (rn *run) ownFailCount(r *resource, n *node, effective bool) (count score, last int64) {
	count, last = recordedFailures(r, n)
	if effective && count > 0 && last > 0 && r.failTimeout > 0 && !r.failsForGood && !rn.neverExpires(r, n) {
		r.timed = true
		if rn.now.Unix() > last+r.failTimeout {
			count = 0
		} else {
			rn.recheckAt(time.Unix(last+r.failTimeout+1, 0))
		}
	}
	return count, last
}

// neverExpires tells whether the history of r on n has a failure of an operation
// that is written with on-fail=block.
func (rn *run) neverExpires(r *resource, n *node) bool {
	for _, h := range r.history {
		if h.node == n && slices.ContainsFunc(h.entries, r.blockedBy) {
			return true
		}
	}
	return false
}

// blockedBy tells whether e is a failure of an operation written with on-fail=block.
// It is found by the configured id: histories of numbered instances (old or unique
// clones) expire all the same (crm_simulate; no recorded case).
func (r *resource) blockedBy(e *cluster.HistoryEntry) bool {
	if r.config == nil || !strings.HasPrefix(e.ID, r.config.ID+"_") {
		return false
	}
	for _, op := range r.ops {
		if op.config != nil && op.config.Attr("on-fail") == "block" && op.failedIn(e) {
			return true
		}
	}
	return false
}

// failedIn tells whether e is a failure of op.
func (op *operation) failedIn(e *cluster.HistoryEntry) bool {
	if op.name != e.Operation || op.interval != e.IntervalMS {
		return false
	}
	key, _ := parseTransitionKey(e.TransitionKey)
	return strings.HasSuffix(e.ID, "_last_failure_0") || e.RC != key.expected
}

// expired tells whether an entry is too old to matter as a failure, and
// schedules that expired fail counts are cleared (SEMANTICS 9, "Expiry").
func (u *historyReader) expired(e *event) bool {
	rn, r, n := u.run, u.resource, u.node
	if e.status == statusNotInstalled {
		return false
	}
	expired := false
	var counting score
	count, last := recordedFailures(r, n)
	// What was recorded before the failure for good still expires.
	r.failsForGood = r.failsForGood || count > 0 && r.failTimeout > 0 && r.blockedBy(e.HistoryEntry)
	if r.failTimeout > 0 && e.LastRCChange >= 0 && !r.failsForGood {
		r.timed = true
		expired = rn.now.Unix() >= e.LastRCChange+r.failTimeout && !u.waitsForFencing(e)
		if last == 0 || rn.now.Unix() <= last+r.failTimeout {
			counting = count
		}
	}
	lastFailure := strings.HasSuffix(e.ID, "_last_failure_0")
	clear := ""
	if expired {
		if count > 0 {
			if counting == 0 {
				clear = "it expired"
			} else {
				expired = false
			}
		} else if lastFailure && r.reconnect > 0 {
			clear = "reconnect interval is set"
		}
	}
	if !expired && lastFailure && (e.Operation == taskStart || e.Operation == taskMonitor) && u.parametersChanged(e) {
		clear = "resource parameters have changed"
	}
	if clear != "" {
		a := rn.clearFailures(r, n, clear)
		if rn.options.fencing && r.reconnect > 0 {
			rn.clearAfterFencing(r, a)
		}
	}
	if expired && e.probe {
		switch e.rc {
		case rcOK, rcNotRunning, rcPromoted, rcDegraded, rcDegradedPromoted:
			expired = false
		}
	}
	return expired
}

// waitsForFencing: the failed monitor of a connection with a reconnect interval
// counts until its node was fenced.
func (u *historyReader) waitsForFencing(e *event) bool {
	r := u.resource
	if r.reconnect == 0 || !u.run.options.fencing || e.IntervalMS == 0 || e.Operation != taskMonitor {
		return false
	}
	remote := u.run.node(r.id)
	return remote != nil && !remote.wasFenced
}

// parametersChanged tells whether the definition of r changed since a failure.
func (u *historyReader) parametersChanged(e *event) bool {
	r := u.resource
	if r.isConnection && u.run.params(r, u.node)["addr"] == "#uname" {
		u.run.deferredFailures = append(u.run.deferredFailures, deferredCheck{r, u.history, e.HistoryEntry})
		return false
	}
	return u.run.changedSince(r, u.history, e.HistoryEntry)
}

// clearAfterFencing makes a connection's failures be forgotten only when its
// node was fenced.
func (rn *run) clearAfterFencing(connection *resource, clear *action) {
	if n := rn.node(connection.id); n != nil {
		rn.relate(rn.fenceAction(n, "", true, "", false), clear, relImply)
	}
}
