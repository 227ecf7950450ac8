package scheduler

import "linuxha/internal/cluster"

// Execution status of a history entry (SEMANTICS 8).
const (
	statusPending       = -1
	statusDone          = 0
	statusCancelled     = 1
	statusTimeout       = 2
	statusNotSupported  = 3
	statusError         = 4
	statusHardError     = 5
	statusFatalError    = 6
	statusNotInstalled  = 7
	statusNotConnected  = 8
	statusInvalid       = 9
	statusNoFenceDevice = 10
	statusNoSecrets     = 11
)

// Results of agents.
const (
	rcOK               = 0
	rcInvalidParam     = 2
	rcNotImplemented   = 3
	rcNoPrivilege      = 4
	rcNotInstalled     = 5
	rcNotConfigured    = 6
	rcNotRunning       = 7
	rcPromoted         = 8
	rcFailedPromoted   = 9
	rcDegraded         = 190
	rcDegradedPromoted = 191
)

// historyReader walks one node's history of one resource.
type historyReader struct {
	run      *run
	resource *resource
	node     *node
	history  *nodeHistory

	policy      onFail                // the most severe of the failures so far
	lastFailure *cluster.HistoryEntry // nil if none
}

// event is one entry with what it means.
type event struct {
	*cluster.HistoryEntry
	rc, expected int
	status       int
	probe        bool
}

func (e *event) key() string { return entryKey(e.HistoryEntry) }

// entryKey names an operation of a resource; entries of old releases have it as
// their id.
func entryKey(e *cluster.HistoryEntry) string {
	if e.Key != "" {
		return e.Key
	}
	return e.ID
}

// read takes in the next entry.
func (u *historyReader) read(index int) {
	entry := u.history.entries[index]
	switch entry.Operation {
	case taskMonitor, taskStart, taskStop, taskPromote, taskDemote, taskMigrateTo, taskMigrateFrom:
	default:
		return
	}
	key, _ := parseTransitionKey(entry.TransitionKey)
	e := &event{HistoryEntry: entry, rc: entry.RC, expected: key.expected, status: entry.Status}
	e.probe = e.Operation == taskMonitor && e.IntervalMS == 0
	if e.status == statusNoFenceDevice || e.status == statusNoSecrets {
		e.status = statusHardError
	}
	masked := u.masked(e)
	if e.status == statusCancelled && !masked { // what a probe has seen in its way it has seen
		return
	}
	expired := u.expired(e)
	if expired && masked {
		return // it says nothing any more, not even that the resource cannot be there
	}
	u.classify(e, expired)

	if expired && e.rc != e.expected {
		if e.IntervalMS > 0 && u.node.online && !u.node.unclean {
			// Have it scheduled again: its definition counts as changed.
			again := *entry
			again.RestartDigest = "expired"
			u.history.entries[index] = &again
			return
		}
		if e.IntervalMS == 0 {
			return
		}
	}
	switch {
	case e.status == statusPending:
		u.pending(e)
	case masked:
		u.succeeded(e, e.expected)
		u.run.ban(u.wholeClone(), u.node, -infinity, "probe failed")
	case e.status == statusDone:
		u.succeeded(e, e.rc)
	default:
		u.failed(e)
	}
}

// masked tells whether a probe failed because the resource cannot be there at
// all.
func (u *historyReader) masked(e *event) bool {
	return e.probe && !u.resource.bundled() &&
		(e.RC == rcInvalidParam || e.RC == rcNotInstalled || e.Status == statusNotInstalled)
}

// classify decides what the result of an operation means (SEMANTICS 8).
func (u *historyReader) classify(e *event, expired bool) {
	r := u.resource
	if e.Operation == taskMonitor { // nothing else can find a service degraded
		switch e.rc {
		case rcDegraded:
			e.rc = rcOK
		case rcDegradedPromoted:
			e.rc = rcPromoted
		}
	}
	if u.masked(e) && (e.status != statusDone || e.rc != rcNotRunning) {
		e.status, e.rc = statusDone, rcNotRunning
	}
	if e.status != statusDone && e.status != statusError {
		return
	}
	if e.rc == e.expected {
		e.status = statusDone
	} else {
		e.status = statusError
	}
	switch e.rc {
	case rcOK:
		if e.probe && e.expected == rcNotRunning {
			e.status = statusDone
		}
	case rcNotRunning:
		if e.probe || e.expected == rcNotRunning || !r.managed {
			e.status = statusDone
			r.role = roleStopped
			u.policy = failIgnore
			r.nextRole = roleUnknown
		}
	case rcPromoted:
		if e.probe {
			e.status = statusDone
		}
		if !expired || e.rc == e.expected {
			r.role = rolePromoted
		}
	case rcFailedPromoted, rcDegradedPromoted: // the latter of no monitor
		if !expired {
			r.role = rolePromoted
		}
		e.status = statusError
	case rcNotConfigured:
		e.status = statusFatalError
	case rcNotImplemented:
		if e.IntervalMS > 0 {
			e.status = statusNotSupported
			break
		}
		u.hardError(e, expired)
	case rcInvalidParam, rcNoPrivilege, rcNotInstalled:
		u.hardError(e, expired)
	default:
		if e.status == statusDone && e.rc != e.expected {
			e.status = statusError
		}
	}
}

// hardError marks an error that will not go away on this node. A stop that
// failed so on a node that cannot be fenced leaves nothing to be done.
func (u *historyReader) hardError(e *event, expired bool) {
	if !expired && e.Operation == taskStop && !u.run.canFence(u.node) {
		u.resource.managed, u.resource.blocked = false, true
	}
	e.status = statusHardError
}

// pending takes in an operation in flight.
func (u *historyReader) pending(e *event) {
	r := u.resource
	if f := u.lastFailure; f != nil && entryKey(f) == e.key() && f.LastRCChange > e.LastRCChange {
		return
	}
	switch {
	case e.Operation == taskStart:
		r.startPending = true
		r.setActive()
	case e.Operation == taskPromote:
		r.role = rolePromoted
	case e.Operation == taskMigrateTo && u.node.unclean:
		if target := u.run.node(e.MigrateTarget); target != nil {
			u.run.newAction(r, taskStop, 0, target, false)
		}
	}
	if r.pendingTask == "" && !e.probe {
		r.pendingTask, r.pendingNode = e.Operation, u.node
	}
}

// setActive gives r the role of something that runs, and no more is known.
func (r *resource) setActive() {
	if top := r.topInBundle(); top.isClone() && top.promotable {
		r.role = roleUnpromoted
	} else {
		r.role = roleStarted
	}
}

// succeeded takes in an operation that had the result rc, or is taken as if.
func (u *historyReader) succeeded(e *event, rc int) {
	r := u.resource
	clears := false
	switch {
	case rc == rcNotInstalled, u.masked(e):
		r.role = roleStopped
	case rc == rcNotRunning:
		clears = true
	case e.Operation == taskMonitor:
		clears = u.lastFailure != nil && entryKey(u.lastFailure) == e.key()
		if r.role < roleStarted {
			r.setActive()
		}
	case e.Operation == taskStart, e.Operation == taskMigrateFrom:
		r.role, clears = roleStarted, true
	case e.Operation == taskStop:
		r.role, clears = roleStopped, true
	case e.Operation == taskPromote:
		r.role, clears = rolePromoted, true
	case e.Operation == taskDemote:
		r.role, clears = roleUnpromoted, u.policy == failDemote
	case e.Operation == taskMigrateTo:
		u.migrateToSucceeded(e)
	}
	if !clears {
		return
	}
	switch u.policy {
	case failStop, failMigrate, failStandby, failFence:
	case failResetRemote:
		if r.reconnect == 0 {
			u.policy = failIgnore
			r.nextRole = roleUnknown
		}
	default:
		u.policy = failIgnore
		r.nextRole = roleUnknown
	}
}

// wholeClone is what a ban for r is for: r, or all of its anonymous clone.
func (u *historyReader) wholeClone() *resource {
	if u.resource.unique {
		return u.resource
	}
	return u.resource.topInBundle()
}
