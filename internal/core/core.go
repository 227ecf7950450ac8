// Package core is one node's brain as a deterministic state machine. It is
// driven like a Raft library: Step tells it what happened, Ready returns what it
// wants done. It has no clock, no randomness and no I/O of its own.
package core

import (
	"errors"
	"fmt"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/consensus"
	"linuxha/internal/core/event"
	"linuxha/internal/core/executor"
	"linuxha/internal/core/fencing"
	"linuxha/internal/core/heartbeat"
	"linuxha/internal/core/transition"
)

// Options are what a Core starts from.
type Options struct {
	Node    string // this node's name
	Boot    string // the kernel's boot id
	Machine string // what the stored state must be bound to; "": not checked
	Version string // of the daemon, for display
	Format  int    // newest format of entries and states that it knows; 0: cluster.Format
	Links   []string
	Seed    uint64 // fresh and random at every start
	Now     event.Time
	Stored  event.Stored
	Peers   []cluster.Member // whom a joining node may talk to before it has a State
}

// Core is one node.
type Core struct {
	options Options
	now     event.Time
	started time.Duration // Mono
	random  random

	self     cluster.Incarnation
	identity event.Identity
	disk     disk
	out      event.Ready
	deadline time.Duration // the last one given
	news     bool          // something but routine has happened since the last Ready
	over     bool          // Exit was given: nothing more happens

	state    *cluster.State
	raft     *consensus.Node
	names    map[uint64]string // node by Raft id, as learned from messages
	number   uint64            // of the last message
	carriers map[int]bool      // links without carrier

	detector  *heartbeat.Detector
	election  election
	lead      leadership
	fences    *fencing.Coordinator
	engine    *transition.Engine
	executor  *executor.Executor
	reports   reporting
	schedule  scheduling
	requests  requests
	contact   contact
	guard     guard
	leave     leaving
	sent      sentResults
	failover  failover
	two       pairing
	helping   []*help
	graces    map[string]time.Duration // announced restarts of daemons: until when silence is no loss
	parted    map[string]parting       // by node: histories of this cluster that are heard and have parted from ours
	partedWhy string                   // in words
	toldStale time.Duration            // before which no node is told anew that its state is old

	lastPacket  *event.Heartbeat
	lastLocal   *event.Local
	lastLocalAt time.Duration
	lastGlance  glance
	scratch     struct { // for the next packet, as long as it says what the last one said
		heard []heartbeat.Heard
		peers []string
	}
}

// New returns the Core of one daemon start. State that must not be used (torn,
// of another machine, given up) does not make New fail: the first Ready then
// says that the node has to join afresh. State of a newer version does
// (cluster.ErrFormat), and stays as it is.
func New(o Options) (*Core, error) {
	if o.Node == "" || o.Boot == "" {
		return nil, fmt.Errorf("start core: a node name and a boot id are needed, have %q and %q", o.Node, o.Boot)
	}
	id := o.Stored.Identity
	if id.Node != "" && id.Node != o.Node {
		return nil, fmt.Errorf("start core: the stored state is that of node %s, this is %s", id.Node, o.Node)
	}
	if o.Format == 0 {
		o.Format = cluster.Format
	}
	c := &Core{
		options: o, now: o.Now, started: o.Now.Mono, random: random(o.Seed),
		identity: id, state: &cluster.State{}, names: map[uint64]string{}, carriers: map[int]bool{},
		fences: fencing.New(), two: pairing{vote: fencing.New()}, graces: map[string]time.Duration{}, parted: map[string]parting{},
	}
	c.engine = transition.New(c.knownTo)
	if reason := unusable(&o); reason != "" {
		c.exit(event.Exit{Code: 1, Rejoin: true, Reason: reason})
		return c, nil
	}
	c.identity.Node, c.identity.Boot, c.identity.Machine = o.Node, o.Boot, o.Machine
	c.identity.Counter++
	c.self = cluster.Incarnation{Node: o.Node, Counter: c.identity.Counter, Boot: o.Boot}
	c.disk.identity = true
	if err := c.restore(); errors.Is(err, cluster.ErrFormat) {
		return nil, fmt.Errorf("start core: %w", err)
	} else if err != nil {
		c.exit(event.Exit{Code: 1, Rejoin: true, Reason: err.Error()})
		return c, nil
	}
	c.detector = heartbeat.New(o.Node, c.self.Counter, c.times())
	c.executor = executor.New(c.self)
	return c, nil
}

// unusable tells why the stored state must not be used, or "".
func unusable(o *Options) string {
	id := &o.Stored.Identity
	switch {
	case o.Stored.Torn != "" && !mutant.Is("use what is torn or set back"):
		return "the stored state is damaged: " + o.Stored.Torn
	case o.Stored.Fresh || id.RaftID == 0 || id.Lineage.ID == "":
		return "there is no stored identity"
	case id.Machine != "" && o.Machine != "" && id.Machine != o.Machine:
		return "the stored state was copied from another machine"
	}
	return ""
}

// restore brings back state and log from the disk's content.
func (c *Core) restore() error {
	s := &c.options.Stored
	if s.Snapshot != nil && len(s.Snapshot.GetData()) > 0 {
		state, err := cluster.DecodeState(s.Snapshot.GetData(), c.options.Format)
		if err != nil {
			return fmt.Errorf("restore the state: %w", err)
		}
		c.state, c.out.State = state, state // shown though nothing may follow it, as where a sole voter waits
		c.disk.snapAt = s.Snapshot.GetMetadata().GetIndex()
	}
	raft, err := consensus.New(consensus.Start{
		ID: c.identity.RaftID, HardState: s.HardState, Snapshot: s.Snapshot, Entries: s.Entries,
		ElectionTicks: c.electionTicks(), State: c.encodeState,
	})
	if err != nil {
		return err
	}
	c.raft = raft
	return nil
}

func (c *Core) encodeState() ([]byte, error) { return cluster.EncodeState(c.state) }

// times returns the detection times in force.
func (c *Core) times() heartbeat.Times {
	d := c.state.Config.Detection.Resolve()
	return heartbeat.Times{Interval: d.Interval, Dead: d.DeadTime, Stall: d.StallTime()}
}

// Step takes one event. Time never goes back between calls.
func (c *Core) Step(now event.Time, ev event.Event) {
	if c.over {
		return
	}
	late := c.detector.Turn(now.Mono, c.deadline)
	if late > 0 {
		c.ranLate(now, late)
	}
	c.now = now
	gaveUp := c.contact.gaveUp
	if !c.disk.first() {
		c.judgeContact() // before anything that came late can be obeyed
	}
	routine := false
	switch e := ev.(type) {
	case event.Tick: // settle does it
	case event.Recorded:
		c.executor.Begin(now, e)
	case event.HeartbeatReceived:
		routine = !c.heard(e)
	case event.MessageReceived:
		routine = !c.received(e)
	case event.LinkChanged:
		c.detector.Carrier(now.Mono, e.Link, e.Carrier)
	case event.Persisted:
		c.persisted(e)
	case event.OperationDone:
		c.executor.Done(now, e.Result)
	case event.ResourceNotice:
		c.executor.Notice(now, e.Name, e.Reason)
	case event.FenceCalled:
		c.fenceCalled(e)
	case event.Scheduled:
		c.scheduled(e)
	case event.Requested:
		c.requested(e)
	case event.WatchdogState:
		c.watchdogChanged(e)
	case event.Stopping:
		c.stopping(e)
	}
	if routine && late == 0 && gaveUp == c.contact.gaveUp && now.Mono < c.deadline {
		return // nothing that anyone has to look at before the deadline
	}
	c.news, c.deadline = true, 0
	c.settle()
}

// settle lets every part look at what has changed, until nothing does.
func (c *Core) settle() {
	if c.over {
		return
	}
	c.expireRequests()
	if c.disk.first() {
		return
	}
	c.detector.Tick(c.now.Mono)
	c.reunite()
	for range 50 { // a bound against a fault of ours, far above what happens
		c.drain()
		c.keepPair()
		if c.two.force != nil && c.two.force.out {
			break // the history so far has ended
		}
		c.elect()
		c.watchLeadership()
		if c.lead.active {
			c.doLead()
		}
		c.keepContact()
		c.executor.Tick(c.now)
		c.takeExecutor()
		c.keepWatchdog()
		c.keepRequests()
		if !c.more() {
			break
		}
	}
	c.keepLeaving()
	if c.over {
		return
	}
	c.compact()
	c.maybePersist()
	c.beat()
}

// Ready returns what is to be done since the last call.
func (c *Core) Ready() event.Ready {
	if !c.over {
		c.maybePersist()
		if c.news || c.deadline == 0 {
			c.viewLocal()
			c.deadline = c.nextDeadline()
		}
		c.out.Deadline = c.deadline
	}
	out := c.out
	c.out, c.news = event.Ready{}, false
	return out
}

func (c *Core) trace(format string, args ...any) {
	c.out.Trace = append(c.out.Trace, fmt.Sprintf(format, args...))
}

func (c *Core) exit(e event.Exit) {
	if (c.guard.state.Armed || c.guard.arming) && !e.Reset && (c.hasLeft() || c.executor != nil && c.nothingRuns()) {
		c.out.Watchdog = event.WatchdogRelease
	}
	c.out.Exit = &e
	c.over = true
	c.dropRequests(e.Reason)
	c.trace("exit: %s", e.Reason)
}

// nextDeadline returns when the core wants to be called at the latest.
func (c *Core) nextDeadline() time.Duration {
	now := c.now.Mono
	next := now + c.detector.Times().Interval
	if c.raft.Leads() {
		next = min(next, now+c.tickInterval())
	}
	sooner := func(t time.Duration) {
		if t > 0 && t < next {
			next = max(t, now+time.Millisecond)
		}
	}
	sooner(c.detector.Deadline(now))
	sooner(c.election.due)
	sooner(c.lead.nextTick)
	sooner(c.disk.lazyDue)
	sooner(c.executor.Deadline())
	sooner(c.two.vote.Deadline())
	if c.guard.state.Armed {
		sooner(c.guard.nextFeed)
	}
	if c.lead.active {
		sooner(c.engine.Deadline())
		sooner(c.fences.Deadline())
	}
	return next
}

// random is a small generator for jitter and identities (splitmix64).
type random uint64

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// upTo returns a duration in [0, limit).
func (r *random) upTo(limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(r.next() % uint64(limit))
}
