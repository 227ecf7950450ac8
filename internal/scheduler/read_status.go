package scheduler

import (
	"strconv"
	"strings"
	"time"
)

// readStatus turns node states, transient attributes and operation history into
// what is active where, and what has failed (SEMANTICS 7 to 9).
func (rn *run) readStatus() {
	for i := range rn.status.Tickets {
		t := &rn.status.Tickets[i]
		rn.tickets[t.ID] = t
	}
	rn.presumeUnseen()
	states := rn.readNodeStates()
	for rn.readReadyHistories(states) {
		// reading one node's history may have made others ready
	}
	if rn.options.fencing {
		for _, n := range states {
			if !n.historyRead {
				rn.readNodeHistory(n)
			}
		}
	}
	for _, r := range rn.stopLater {
		if n := r.current(); n != nil {
			rn.newAction(r, taskStop, 0, n, false)
		}
	}
	for _, n := range rn.nodes {
		if !n.behindConnection() {
			continue
		}
		if n.shutdown && n.connection != nil {
			n.connection.nextRole = roleStopped
		}
		if !n.historyRead {
			rn.readConnectedNode(n)
		}
	}
}

// presumeUnseen makes nodes of which nothing is known unclean, if the options
// say so; remote nodes only if something connects to them.
func (rn *run) presumeUnseen() {
	for _, n := range rn.nodes {
		if n.isCluster() || n.isRemote() && n.connection != nil {
			n.unseen = true
			n.unclean = rn.options.startupFencing && rn.options.fencing
		}
	}
}

// readNodeStates reads what the status says of the nodes themselves, and
// returns the known ones in the order of the status.
func (rn *run) readNodeStates() []*node {
	var states []*node
	for i := range rn.status.Nodes {
		s := &rn.status.Nodes[i]
		n := rn.nodeByID[s.ID]
		if n == nil {
			n = rn.node(s.Name)
		}
		if n == nil || n.status != nil {
			continue
		}
		n.status = s
		states = append(states, n)
		if n.behindConnection() {
			n.wasFenced = intOr(s.NodeFenced, 0, 0) > 0 || isTrue(s.NodeFenced)
			continue
		}
		rn.readNodeAttributes(n)
		n.unclean, n.unseen = false, false
		rn.readNodeState(n)
		if !n.online || n.shutdown {
			n.score = -infinity // so instances of clones go on from here last
		}
		if !rn.quorate && n.online && rn.options.noQuorum == noQuorumFence {
			rn.fenceNode(n, "cluster does not have quorum", false)
		}
	}
	return states
}

// readNodeAttributes overlays the transient attributes, and takes from them
// what scheduling itself knows.
func (rn *run) readNodeAttributes(n *node) {
	transient := map[string]string{}
	rn.overlay(n.status.Attributes, transient)
	for name, value := range transient {
		n.attrs[name] = value
	}
	n.shutdown = n.shutdownRequested()
	n.standby = n.standby || isTrue(n.attrs["standby"])
	n.maintenance = n.maintenance || isTrue(n.attrs["maintenance"])
	n.readFailures(transient)
}

// readNodeState decides whether a cluster node is up, and whether it must be
// fenced (SEMANTICS 7).
func (rn *run) readNodeState(n *node) {
	s := n.status
	member, process := memberSince(s.InCCM), processSince(s.Crmd)
	n.expectedUp = !n.shutdown && s.Expected == "member"
	if !rn.options.fencing {
		switch {
		case member <= 0:
		case process > 0:
			n.online = s.Join == "member"
		case n.expectedUp:
			rn.fenceNode(n, "peer is unexpectedly down", false)
		}
		return
	}
	if n.shutdown {
		n.online = process > 0
		return
	}
	n.online = member > 0
	switch {
	case member < 0:
		rn.fenceNode(n, "peer has not been seen by the cluster", false)
	case s.Join == "banned":
		rn.fenceNode(n, "peer failed membership criteria", false)
	case n.terminate():
		if member > 0 || process > 0 || s.Join != "down" {
			rn.fenceNode(n, "fencing was requested", false)
		}
	case s.Expected == "down" || s.Expected == "":
		switch {
		case rn.pendingTooLong(member, process):
			rn.fenceNode(n, "peer pending timed out on joining the process group", true)
		case member > 0 || process > 0:
			n.standby, n.pending = true, true
		}
	case member <= 0:
		rn.fenceNode(n, "peer is no longer part of the cluster", true)
	case process <= 0:
		rn.fenceNode(n, "peer process is no longer available", false)
	case s.Join == "member":
	case s.Join == "pending" || s.Join == "down":
		n.standby, n.pending = true, true
	default:
		rn.fenceNode(n, "peer was in an unknown state", false)
	}
}

// memberSince is when a node became a member of the cluster: -1 if nothing is
// known, 0 if it is none, 1 if the moment is not known.
func memberSince(text string) int64 {
	switch {
	case text == "":
		return -1
	case isTrue(text):
		return 1
	}
	return intOr(text, 0, 0)
}

// processSince is when a node's daemon came up: 0 if it is down.
func processSince(text string) int64 {
	if text == "online" {
		return 1
	}
	return intOr(text, 0, 0)
}

// terminate tells whether somebody asked for the node to be fenced.
func (n *node) terminate() bool {
	v := n.attrs["terminate"]
	return isTrue(v) || intOr(v, 0, 0) > 0
}

// pendingTooLong tells whether a member's daemon should have come up by now.
func (rn *run) pendingTooLong(member, process int64) bool {
	if rn.options.nodePendingTimeout <= 0 || member <= 1 || process > 0 {
		return false
	}
	deadline := member + seconds(rn.options.nodePendingTimeout)
	if rn.now.Unix() >= deadline {
		return true
	}
	rn.recheckAt(time.Unix(deadline, 0))
	return false
}

// readReadyHistories reads the history of every node that is ready for it, and
// tells whether there was one (SEMANTICS 8, "Reading order").
func (rn *run) readReadyHistories(states []*node) bool {
	any := false
	for _, n := range states {
		if !n.historyRead && rn.readyForHistory(n) {
			rn.readNodeHistory(n)
			any = true
		}
	}
	return any
}

func (rn *run) readyForHistory(n *node) bool {
	switch {
	case n.isGuest():
		c := n.connection
		return c != nil && c.role == roleStarted && c.container != nil && c.container.role == roleStarted
	case n.isRemote():
		c := n.connection
		return c != nil && (rn.options.shutdownLock || c.role == roleStarted)
	}
	return rn.options.fencing || rn.options.shutdownLock || n.online
}

func (rn *run) readNodeHistory(n *node) {
	n.historyRead = true
	if n.behindConnection() {
		rn.readConnectedNode(n)
		rn.readConnectedAttributes(n)
	}
	fillers := false
	for i := range n.status.History {
		h := &n.status.History[i]
		if r := rn.readResourceHistory(n, h); r != nil && r.removedFiller {
			fillers = true
		}
	}
	if fillers {
		rn.linkRemovedContents(n)
	}
}

// readConnectedNode decides by the state of its connection whether a remote or
// guest node is up.
func (rn *run) readConnectedNode(n *node) {
	c := n.connection
	if c == nil { // an entry of a former remote node
		n.online = false
		return
	}
	var host *node
	if c.container != nil && len(c.active) == 1 {
		host = c.active[0]
	}
	n.online = n.online || c.role == roleStarted
	if c.role == roleStarted && c.nextRole == roleStopped {
		n.shutdown = true
	}
	switch {
	case c.container != nil && c.container.failed:
		n.online, n.requiresReset = false, true
	case c.failed:
		n.online = false
	case c.role < roleStarted || c.container != nil && c.container.role < roleStarted:
		n.online, n.requiresReset = false, false
	case host != nil && !host.online && host.unclean:
		n.online, n.requiresReset = false, true
	}
}

func (rn *run) readConnectedAttributes(n *node) {
	if n.connection == nil {
		return
	}
	if !n.requiresReset {
		n.unclean, n.unseen = false, false
	}
	leaving := n.shutdown
	rn.readNodeAttributes(n)
	n.shutdown = n.shutdown || leaving
	if !n.connection.managed {
		n.maintenance = true
	}
	if v, set := n.attrs["resource-discovery-enabled"]; set && !isTrue(v) && (n.isGuest() || rn.options.fencing) {
		n.noProbes = true
	}
}

// linkRemovedContents connects removed resources with the containers that their
// history names.
func (rn *run) linkRemovedContents(n *node) {
	for i := range n.status.History {
		h := &n.status.History[i]
		r, container := rn.byID[h.ID], rn.byID[h.Container]
		if r == nil || container == nil || !r.removedFiller {
			continue
		}
		r.removedFiller = false
		if r.container == nil {
			r.container = container
			container.contents = append(container.contents, r)
		}
	}
}

// canFence tells whether n can be fenced (SEMANTICS 27).
func (rn *run) canFence(n *node) bool { return rn.canFenceThrough(n, len(rn.nodes)) }

// canFenceThrough is canFence for a guest inside so many other guests at most: a
// history may claim that a guest's container runs in that guest itself.
func (rn *run) canFenceThrough(n *node, guests int) bool {
	if n.isGuest() {
		c := n.container()
		if c == nil || guests == 0 {
			return false
		}
		for _, host := range c.active {
			if !host.online && !rn.canFenceThrough(host, guests-1) {
				return false
			}
		}
		return true
	}
	switch {
	case !rn.fencingReady:
		return false
	case rn.quorate, rn.options.noQuorum == noQuorumIgnore:
		return true
	case !n.online:
		return false
	case n.isRemote() && !rn.options.fenceRemoteNoQuorum && n.connection != nil:
		for _, each := range rn.nodes {
			if s := n.connection.allowed.at(each); s != absent && s > -infinity && each.isCluster() && !each.online {
				return false
			}
		}
	}
	return true
}

// fenceNode marks n as one that must be fenced. With priority, it was lost from
// membership, so that priority-fencing-delay applies.
func (rn *run) fenceNode(n *node, reason string, priority bool) {
	switch {
	case n.isGuest() && n.container() != nil:
		c := n.container()
		if c.failed || !c.managed {
			return
		}
		// The node is not unclean: its container's recovery makes it usable.
		n.requiresReset = true
		c.failed, c.mustStop = true, true
		n.fenceReason = reason
	case n.isGuest():
		if n.connection != nil {
			n.connection.failed, n.connection.mustStop = true, true
		}
	case n.isRemote():
		if c := n.connection; c == nil || c.managed {
			n.requiresReset = true
		}
		n.unclean = true
		if n.fenceReason == "" {
			n.fenceReason = reason
		}
		rn.fenceAction(n, "", true, reason, false)
	case !n.unclean:
		n.unclean = true
		n.fenceReason = reason
		n.fencePrio = priority
		rn.fenceAction(n, "", true, reason, priority)
	}
}

// failureKey is one failing operation's share in the fail count of a resource.
type failureCount struct {
	name  string // as written, maybe with an instance number
	count score
	last  int64 // epoch seconds, 0 if unknown
}

// readFailures indexes fail-count-NAME#OP_INTERVAL and last-failure-... by NAME
// without instance number.
func (n *node) readFailures(attrs map[string]string) {
	for key, value := range attrs {
		name, isCount := strings.CutPrefix(key, "fail-count-")
		if !isCount {
			var isLast bool
			if name, isLast = strings.CutPrefix(key, "last-failure-"); !isLast {
				continue
			}
		}
		hash := strings.LastIndexByte(name, '#')
		if hash < 0 || !endsInInterval(name[hash+1:]) {
			continue
		}
		name = name[:hash]
		if n.failures == nil {
			n.failures = map[string][]failureCount{}
		}
		f := failureCount{name: name}
		if isCount {
			f.count = parseScore(value, 0)
		} else {
			f.last = intOr(value, 0, 0)
		}
		base := baseID(name)
		n.failures[base] = append(n.failures[base], f)
	}
}

// endsInInterval tells whether text is an operation's name, "_", and a number.
func endsInInterval(text string) bool {
	i := strings.LastIndexByte(text, '_')
	if i < 1 {
		return false
	}
	_, err := strconv.ParseUint(text[i+1:], 10, 64)
	return err == nil
}
