package scheduler

import "linuxha/internal/cluster"

// What recorded migrations say of the two nodes (SEMANTICS 21, "From history").

// entriesOn returns the history that a node has of u's resource. Migrations are
// for resources of which there is one: the instances of an anonymous clone share
// their names in history, so what one node knows says nothing about which of them
// another one knows of (crm_simulate; no recorded case).
func (u *historyReader) entriesOn(name string) []cluster.HistoryEntry {
	n := u.run.node(name)
	if n == nil || n.status == nil {
		return nil
	}
	for i := range n.status.History {
		if h := &n.status.History[i]; h.ID == u.resource.id {
			return h.Operations
		}
	}
	return nil
}

// findEntry returns the first entry of a task on a node, nil if there is none.
// source or target, where not empty, restrict migrations to those from or to
// that node; rc, where not -1, wants a completed entry with that result.
func (u *historyReader) findEntry(node, task, source, target string, rc int) *cluster.HistoryEntry {
	entries := u.entriesOn(node)
	for i := range entries {
		e := &entries[i]
		if e.Operation != task || source != "" && e.MigrateSource != source || target != "" && e.MigrateTarget != target {
			continue
		}
		if rc >= 0 && (e.RC != rc || e.Status != statusDone) {
			continue
		}
		return e
	}
	return nil
}

// changedAfter tells whether a node has a start, stop or migration newer than e.
func (u *historyReader) changedAfter(node string, e *cluster.HistoryEntry, sameNode bool) bool {
	entries := u.entriesOn(node)
	for i := range entries {
		switch entries[i].Operation {
		case taskStart, taskStop, taskMigrateTo, taskMigrateFrom:
			if compareEvents(&entries[i], e, sameNode) > 0 {
				return true
			}
		}
	}
	return false
}

// newerState tells whether a node knows something newer of the resource than
// the migration; either entry may be nil. That on the same node is the better
// measure.
func (u *historyReader) newerState(node string, to, from *cluster.HistoryEntry) bool {
	e, sameNode := to, false
	if from != nil {
		e = from
	}
	if e == nil {
		return false
	}
	if node == e.MigrateSource {
		if to != nil {
			e, sameNode = to, true
		}
	} else if from != nil {
		sameNode = true
	}
	if u.changedAfter(node, e, sameNode) {
		return true
	}
	entries := u.entriesOn(node)
	for i := range entries {
		m := &entries[i]
		if m.Operation == taskMonitor && m.RC == rcNotRunning && m.Status == statusDone {
			return compareEvents(m, e, sameNode) > 0
		}
	}
	return false
}

// unknownOn tells whether a node has no history of the resource at all.
func (u *historyReader) unknownOn(node string) bool {
	for _, e := range u.entriesOn(node) {
		if e.RC != 193 {
			return false
		}
	}
	return true
}

// unmigratable marks a resource that a migration left in an unknown state.
func (u *historyReader) unmigratable() {
	u.resource.failed, u.resource.mustStop = true, true
	u.resource.allowMigrate = false
}

func (u *historyReader) migrateToSucceeded(e *event) {
	rn, r := u.run, u.resource
	source, target := e.MigrateSource, e.MigrateTarget
	if source == "" || target == "" {
		return
	}
	newerOnSource := u.changedAfter(source, e.HistoryEntry, true)
	from := u.findEntry(target, taskMigrateFrom, source, "", -1)
	fromRC, fromStatus := rcOK, statusPending
	if from != nil {
		if newerOnSource {
			return
		}
		fromRC, fromStatus = from.RC, from.Status
	}
	newerOnTarget := u.newerState(target, e.HistoryEntry, from)
	if newerOnSource && newerOnTarget {
		return
	}
	if fromRC == rcOK && fromStatus == statusDone {
		r.dangling = append([]*node{u.node}, r.dangling...)
		r.role = roleStopped
		return
	}
	r.role = roleStarted
	targetNode := rn.node(target)
	activeOnTarget := !newerOnTarget && targetNode != nil && targetNode.online
	if fromStatus != statusPending {
		if activeOnTarget {
			rn.addActive(r, targetNode, true)
		} else {
			u.unmigratable()
		}
		return
	}
	if targetNode != nil && targetNode.online && u.unknownOn(target) {
		return // a probe will tell
	}
	switch {
	case activeOnTarget:
		rn.addActive(r, targetNode, false)
		if s := rn.node(source); s != nil && s.online {
			r.partialSource, r.partialTarget = s, targetNode
		}
	case !newerOnSource:
		u.unmigratable()
	}
}

func (u *historyReader) migrateToFailed(e *event) {
	rn, r := u.run, u.resource
	source, target := e.MigrateSource, e.MigrateTarget
	if source == "" || target == "" {
		return
	}
	r.role = roleStarted
	from := u.findEntry(target, taskMigrateFrom, source, "", rcOK)
	if !u.unknownOn(target) && !u.newerState(target, e.HistoryEntry, from) {
		if n := rn.node(target); n != nil && n.online {
			rn.addActive(r, n, false)
		}
	} else if !u.changedAfter(source, e.HistoryEntry, true) {
		r.dangling = append([]*node{u.node}, r.dangling...)
	}
}

func (u *historyReader) migrateFromFailed(e *event) {
	rn, r := u.run, u.resource
	source, target := e.MigrateSource, e.MigrateTarget
	if source == "" || target == "" {
		return
	}
	r.role = roleStarted
	to := u.findEntry(source, taskMigrateTo, "", target, rcOK)
	if !u.unknownOn(source) && !u.newerState(source, to, e.HistoryEntry) {
		if n := rn.node(source); n != nil && n.online {
			rn.addActive(r, n, true)
		}
	}
}
