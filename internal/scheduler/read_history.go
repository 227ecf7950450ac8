package scheduler

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// readResourceHistory turns one node's history of one resource into the state
// of that resource there (SEMANTICS 8), and returns the resource.
func (rn *run) readResourceHistory(n *node, h *cluster.ResourceHistory) *resource {
	if len(h.Operations) == 0 && !rn.options.shutdownLock {
		return nil
	}
	r := rn.findInHistory(n, h.ID)
	if r == nil {
		if len(h.Operations) == 0 {
			return nil
		}
		r = rn.standIn(h)
	}
	if rn.options.shutdownLock {
		rn.readShutdownLock(r, n, h)
	}
	before := r.role
	r.role = roleUnknown

	hist := &nodeHistory{node: n, name: h.ID, source: h, entries: sortedEntries(h)}
	r.history = append(r.history, hist)
	u := &historyReader{run: rn, resource: r, node: n, history: hist}
	for i := range hist.entries {
		u.read(i)
	}
	hist.start, hist.stop = activeSince(hist.entries)
	rn.readRecurring(r, hist)
	u.conclude()

	if r.target != roleUnknown && (r.nextRole == roleUnknown || r.target < r.nextRole) {
		r.nextRole = r.target
	}
	r.role = max(r.role, before)
	return r
}

// sortedEntries sorts a history, oldest first. Entries that nothing tells apart
// keep the reverse order of the document.
func sortedEntries(h *cluster.ResourceHistory) []*cluster.HistoryEntry {
	entries := make([]*cluster.HistoryEntry, 0, len(h.Operations))
	for i := len(h.Operations) - 1; i >= 0; i-- {
		entries = append(entries, &h.Operations[i])
	}
	slices.SortStableFunc(entries, compareEntries)
	return entries
}

// compareEntries orders entries of one node in time.
func compareEntries(a, b *cluster.HistoryEntry) int { return compareEvents(a, b, true) }

// compareEvents tells which of two entries is newer, as far as that can be
// told; sameNode if both are of one node. Call ids order the entries of a node;
// pending ones have none and are placed by their transition.
func compareEvents(a, b *cluster.HistoryEntry, sameNode bool) int {
	if sameNode && a.ID == b.ID && a.ID != "" {
		return 0
	}
	pendingA, pendingB := a.CallID == -1, b.CallID == -1
	switch {
	case pendingA && pendingB:
		return 0
	case !pendingA && !pendingB:
		if sameNode && a.CallID != b.CallID {
			return sign(int64(a.CallID) - int64(b.CallID))
		}
		return compareTimes(a, b)
	}
	if !sameNode && !pendingA {
		return compareTimes(a, b)
	}
	keyA, okA := parseTransitionKey(a.TransitionKey)
	keyB, okB := parseTransitionKey(b.TransitionKey)
	if !okA || !okB {
		return 0
	}
	if keyA.uuid != keyB.uuid || keyA.transition == keyB.transition {
		if pendingB {
			return -1
		}
		return 1
	}
	switch { // -1 is a shutdown, which comes last
	case keyA.transition >= 0 && keyA.transition < keyB.transition, keyB.transition == -1:
		return -1
	case keyB.transition >= 0 && keyA.transition > keyB.transition, keyA.transition == -1:
		return 1
	}
	return 0
}

// compareTimes compares when results changed; an unknown time tells nothing.
func compareTimes(a, b *cluster.HistoryEntry) int {
	if a.LastRCChange < 0 || b.LastRCChange < 0 {
		return 0
	}
	return sign(a.LastRCChange - b.LastRCChange)
}

func sign(d int64) int {
	switch {
	case d < 0:
		return -1
	case d > 0:
		return 1
	}
	return 0
}

// transitionKey is what an entry says of its cause: ACTION:TRANSITION:RC:UUID.
type transitionKey struct {
	transition, expected int
	uuid                 string
}

// parseTransitionKey reads it. What no transition asked for, such as what a node
// does on its own when it loses quorum, is expected to succeed.
func parseTransitionKey(text string) (transitionKey, bool) {
	_, rest, ok := strings.Cut(text, ":")
	if !ok {
		return transitionKey{expected: rcOK}, false
	}
	transition, rest, ok := strings.Cut(rest, ":")
	if !ok {
		return transitionKey{expected: rcOK}, false
	}
	expected, uuid, ok := strings.Cut(rest, ":")
	if !ok {
		return transitionKey{expected: rcOK}, false
	}
	t, err1 := strconv.Atoi(transition)
	e, err2 := strconv.Atoi(expected)
	if err1 != nil || err2 != nil {
		return transitionKey{expected: rcOK}, false
	}
	return transitionKey{t, e, uuid}, true
}

// activeSince returns the indices of the operation since which a resource is
// active, and of its last successful stop; -1 if there is none.
func activeSince(entries []*cluster.HistoryEntry) (start, stop int) {
	start, stop = -1, -1
	monitored, changed := -1, -1
	for i, e := range entries {
		switch e.Operation {
		case taskStop:
			if e.Status == statusDone {
				stop = i
				continue
			}
		case taskStart, taskMigrateFrom:
			start = i
			continue
		case taskMonitor:
			if monitored <= stop && (e.RC == 0 || e.RC == 8) {
				monitored = i
			}
		case taskPromote, taskDemote:
			changed = i
		}
	}
	if start == -1 {
		switch {
		case changed != -1:
			start = changed
		case monitored != -1:
			start = monitored
		}
	}
	return start, stop
}

// readRecurring makes the recurring operations that are running existing,
// optional actions.
func (rn *run) readRecurring(r *resource, h *nodeHistory) {
	if !h.node.online {
		return
	}
	for i, e := range h.entries {
		if h.start < h.stop && i <= h.stop || i < h.start || e.IntervalMS == 0 || e.Status == statusPending {
			continue
		}
		rn.newAction(r, e.Operation, e.IntervalMS, h.node, true)
	}
}

// readShutdownLock reads a lock that keeps a resource for the node that shut
// down with it, or forgets one that has run out (SEMANTICS 31).
func (rn *run) readShutdownLock(r *resource, n *node, h *cluster.ResourceHistory) {
	since := intOr(h.LockTime, 0, 0)
	if since == 0 {
		return
	}
	limit := seconds(rn.options.shutdownLockLimit)
	if limit > 0 && rn.now.Unix() > since+limit {
		rn.newAction(r, taskForget, 0, n, false)
		return
	}
	if limit > 0 {
		rn.recheckAt(time.Unix(since+limit+1, 0))
	}
	r.lockNode, r.lockTime = n, since
}

// findInHistory finds the resource or instance that a node's history calls id,
// creating a surplus instance of an anonymous clone if need be; nil if nothing
// of that name is configured.
func (rn *run) findInHistory(n *node, id string) *resource {
	r := rn.byID[id]
	var parent *resource
	if r == nil {
		first := rn.byID[baseID(id)+":0"]
		if first == nil || first.unique {
			return nil
		}
		r, parent = first, first.topInBundle()
	} else {
		if !r.isPrimitive() {
			return nil
		}
		parent = r.topInBundle()
	}
	if parent.isClone() && !parent.unique {
		if parent.parent != nil { // inside a bundle: the replica with that node
			r = nil
			for _, rep := range parent.parent.bundle.replicas {
				if rep.node == n {
					r = rep.child
				}
			}
		} else {
			r = rn.anonymousInstance(n, parent, baseID(id))
		}
	}
	if r != nil && id != r.id {
		r.historyName, r.renamed = id, true
		rn.inHistory[id] = r
	}
	return r
}

// anonymousInstance chooses the instance of an anonymous clone that a node's
// history of the member base belongs to (SEMANTICS 8).
func (rn *run) anonymousInstance(n *node, clone *resource, base string) *resource {
	var found, inactive *resource
	takeInactive := true
	for _, instance := range clone.children {
		places := instance.places()
		if len(places) == 0 {
			if takeInactive && inactive == nil && !instance.blocked {
				inactive = instance.member(base)
				if inactive != nil && inactive.pendingNode != nil && inactive.pendingNode != n {
					inactive = nil
				}
			}
			continue
		}
		if places[0] != n {
			continue
		}
		found = instance.member(base)
		if found != nil && len(found.active) > 0 {
			// Several instances on one node, of a clone that was unique once:
			// the others are surplus.
			takeInactive, found = false, nil
		}
		if found != nil {
			break
		}
	}
	if found == nil && takeInactive {
		found = inactive
	}
	if found != nil && !found.requires.fencing() && (!n.online || n.unclean) && !n.isGuest() && clone.clone.max != len(rn.nodes) {
		found = nil // do not spend an instance on a dead node
	}
	if found == nil {
		instance := rn.surplusInstance(clone)
		found = instance.member(base)
	}
	return found
}

// surplusInstance adds an instance beyond clone-max, which is to go.
func (rn *run) surplusInstance(clone *resource) *resource {
	instance := rn.newInstance(clone)
	rn.initialiseScores(instance)
	if clone.clone.total > clone.clone.max {
		markRemoved(instance)
	}
	return instance
}

func markRemoved(r *resource) {
	r.removed, r.removedInstance = true, true
	for _, c := range r.children {
		markRemoved(c)
	}
}

func (rn *run) initialiseScores(r *resource) {
	rn.initialScoresOf(r)
	for _, c := range r.children {
		rn.initialiseScores(c)
	}
}

// places are the nodes where r, or something in it, is active or has an
// operation in flight.
func (r *resource) places() []*node {
	if r.isPrimitive() {
		if r.pendingNode == nil || r.activeOn(r.pendingNode) {
			return r.active
		}
		return append(append([]*node(nil), r.active...), r.pendingNode)
	}
	var all []*node
	for _, c := range r.children {
		for _, n := range c.places() {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	return all
}

// member returns the primitive in an instance whose configured id is base.
func (r *resource) member(base string) *resource {
	if r.isPrimitive() {
		if r.config.ID == base {
			return r
		}
		return nil
	}
	for _, c := range r.children {
		if m := c.member(base); m != nil {
			return m
		}
	}
	return nil
}

// standIn creates a resource for history of something that is not configured, or
// not where the history is, such as an instance inside a bundle on a node that
// is none of the bundle's.
func (rn *run) standIn(h *cluster.ResourceHistory) *resource {
	c := &cluster.Resource{ID: h.ID, Kind: cluster.Primitive, Agent: h.Agent}
	r := &resource{id: h.ID, kind: cluster.Primitive, config: c, unique: true, historyName: h.ID, removed: true}
	rn.evaluate(r) // a fence device counts as one, though removed
	named := rn.byID[r.id]
	rn.addResource(r)
	if named != nil { // the name stays with what is configured
		rn.byID[r.id] = named
		rn.namesakes[r.id] = append(rn.namesakes[r.id], r)
	}
	rn.initialScoresOf(r)
	rn.resources = append(rn.resources, r)
	if r.isConnection {
		if n := rn.node(h.ID); n != nil && n.connection == nil {
			n.connection = r
			n.shutdown = true // nothing will connect to it again
			r.remoteName = n.name
		}
	}
	r.removedFiller = h.Container != ""
	if rn.options.stopRemoved {
		rn.ban(r, nil, -infinity, "removed")
	} else {
		r.managed = false
	}
	return r
}
