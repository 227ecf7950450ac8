package core

import (
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
)

// guard is this node's watchdog. What others count on is committed: it is armed
// before that, and not released or changed before others have agreed not to count
// on it any more.
type guard struct {
	state    event.WatchdogState
	asked    cluster.Watchdog // what the driver was last asked to arm
	arming   bool             // and has not answered yet
	retry    time.Duration    // Mono: when to try again to arm what could not be
	nextFeed time.Duration    // Mono
	// declared is the time-out that this node tells others, 0 for none; told, that it
	// may have reached somebody. Then it stays until it is committed, so that no
	// earlier word can be committed after a later one.
	declared time.Duration
	told     bool
}

// watchdogRetry is how long a watchdog that cannot be armed is left alone.
const watchdogRetry = 10 * time.Second

// wantedWatchdog returns the configured watchdog if the policy has a use for it:
// others than stop and fence keep what runs, and a reset would end it.
func (c *Core) wantedWatchdog() *cluster.Watchdog {
	if policy := c.noQuorumPolicy(); policy == "stop" || policy == "fence" {
		return c.state.Config.Watchdog
	}
	return nil
}

// keepWatchdog arms the watchdog that is wanted, and feeds it, only in contact or
// with everything stopped: arming begins the countdown anew, and the one that a former
// daemon of this boot began goes on. It stays armed until the daemon has stopped everything
// and ends, or the configuration wants another or none.
func (c *Core) keepWatchdog() {
	if c.over {
		return // the end has said what becomes of it
	}
	g := &c.guard
	now := c.now.Mono
	wanted := c.wantedWatchdog()
	stale := g.state.Armed && (wanted == nil || *wanted != g.asked)
	c.declareWatchdog(stale)
	if c.lead.active && c.settled() {
		c.countOn(c.self, c.tellWatchdog(), c.tellLease())
	}
	earned := c.contact.had && c.leased() || c.keepsAsPair() || mutant.Is("feed the watchdog without contact") || mutant.Is("without quorum keep everything")
	switch {
	case stale && g.declared == 0 && c.declaredAgreed():
		g.state = event.WatchdogState{}
		c.out.Watchdog = event.WatchdogRelease
		return
	case wanted != nil && !g.state.Armed && !g.arming && (g.state.Err == nil || now >= g.retry) && (earned || c.nothingRuns()):
		g.arming, g.asked = true, *wanted
		c.out.Watchdog = event.WatchdogArm
		return
	}
	if g.state.Armed && now >= g.nextFeed && (earned || c.nothingRuns()) {
		g.nextFeed = now + max(g.state.Timeout/5, 10*time.Millisecond)
		c.out.Watchdog = event.WatchdogFeed
	}
}

// declareWatchdog chooses what others are told: what is armed, unless it is to be
// released.
func (c *Core) declareWatchdog(stale bool) {
	g := &c.guard
	should := time.Duration(0)
	if g.state.Armed && !stale {
		should = g.state.Timeout
	}
	if g.declared != should && (!g.told || c.declaredAgreed()) {
		g.declared, g.told = should, false
	}
}

// declaredAgreed tells whether what was declared is what others count on.
func (c *Core) declaredAgreed() bool {
	return c.online() && c.state.Member(c.self.Node).WatchdogTimeout == c.guard.declared
}

// online tells whether this node is online, as far as it knows. Until then it says
// nothing of its watchdog but in its report: what it asks for while it catches up may
// reach the leader after that report is committed, and would take it back.
func (c *Core) online() bool { return c.isHeldFor(cluster.NodeOnline) }

// tellWatchdog returns what others are told; 0 until this node is online.
func (c *Core) tellWatchdog() time.Duration {
	if !c.online() {
		return 0
	}
	c.guard.told = true
	return c.guard.declared
}

// countOn commits what a node says of its watchdog. The caller makes sure that it
// was said to the leader of this term: within one, words come in order. It tells
// whether there is something to commit.
func (c *Core) countOn(from cluster.Incarnation, timeout, lease time.Duration) bool {
	m := c.state.Member(from.Node)
	if m == nil || m.Incarnation != from || m.State != cluster.NodeOnline || m.WatchdogTimeout == timeout || lease <= 0 {
		return false
	}
	return c.want("watchdog/"+causeOf(from), cluster.Command{Node: &cluster.NodeChange{
		Incarnation: from, State: cluster.NodeOnline, WatchdogTimeout: timeout, Lease: lease,
	}})
}

// watchdogKnown tells whether a report can say what the watchdog is: others count
// on it.
func (c *Core) watchdogKnown() bool {
	return c.wantedWatchdog() == nil || c.guard.state.Armed || c.guard.state.Err != nil
}

// watchdogChanged takes what the driver did.
func (c *Core) watchdogChanged(w event.WatchdogState) {
	c.guard.state, c.guard.arming = w, false
	if w.Err != nil {
		c.guard.retry = c.now.Mono + watchdogRetry
		c.trace("watchdog: %v", w.Err)
	}
}

// timeCounts tells whether a lost node, heard or not, has to stop for time alone: of a
// pair none has to, and another history may have given it contact. When neither is so any
// more, time counts anew. That the voters applied here tell whether a lost node is one of
// two: it is from when it knows that change to be committed, which this leader has applied
// before; until it has the next one in its log (keepsAsPair), which is committed with its
// answer only, or after its boot has ended.
func (c *Core) timeCounts() bool { return len(c.raft.Conf().GetVoters()) > 2 && !c.frozen() }

// countdown waits for what a lost node's watchdog must have done by then (rule 8):
// counted from when this leader knows the loss to be committed, on its own clock.
func (c *Core) countdown(m *cluster.Member) {
	if !c.timeCounts() || m.WatchdogTimeout <= 0 || m.Lease <= 0 {
		return
	}
	since, known := c.lead.lostSince[m.Incarnation]
	if !known {
		c.lead.lostSince[m.Incarnation] = c.now.Boot
		return
	}
	span := m.Lease + m.WatchdogTimeout
	if mutant.Is("count the watchdog without the lease") {
		span = m.WatchdogTimeout / 2
	}
	margin := span/50 + time.Second // drift of both clocks, and the device's granularity
	if c.now.Boot-since < span+margin {
		return
	}
	state := cluster.NodeOffline // it may come back in the same boot: everything is stopped there
	if c.lossIsFinal(m) {
		state = cluster.NodeFenced
	}
	commands := []cluster.Command{{Node: &cluster.NodeChange{
		Incarnation: m.Incarnation, State: state,
		Reason: "it has stopped everything, or its watchdog has reset it: " + (span + margin).String() + " without contact",
	}}}
	if f := c.state.OpenFencing(m.Name); f != nil {
		if busy, _ := c.fences.Busy(f.ID); busy {
			return
		}
		c.lead.wishes[fencedKey(f.ID)] = wish{until: c.now.Mono + c.detector.Times().Dead} // nothing is called for it any more
		commands = append([]cluster.Command{{FenceDone: &cluster.FenceEnd{ID: f.ID, Target: f.Target, Result: "failed", Error: "the watchdog was faster"}}}, commands...)
	}
	c.want(lifeKey(m.Incarnation, state), commands...)
}
