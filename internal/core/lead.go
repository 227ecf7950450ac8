package core

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
)

// leadership is what a node keeps while Raft calls it the leader.
type leadership struct {
	term     uint64 // in which it leads; 0: it does not
	start    uint64 // index of its first entry
	active   bool   // a majority is heard and, after a pause, has confirmed it
	paused   bool   // it must be confirmed anew
	round    uint64 // of the confirmation waited for
	nextTick time.Duration
	since    time.Duration
	elected  time.Duration // how long the election took; 0: nothing was lost before

	batch     []cluster.Command // to be proposed at the end of this turn
	keys      []string          // what batch is for
	wishes    map[string]wish   // by key: what was proposed lately
	alarmed   map[string]bool   // alarms given in this term
	told      bool              // the log says who leads
	confAt    time.Duration     // when voters were last proposed to change
	confIndex uint64            // and the configuration that was in force then
	seats     seats
	rounds    map[uint64]func() // what waits for a majority's confirmation

	departures map[string]departure                  // leaving members that have nothing more to stop, or cannot
	lostSince  map[cluster.Incarnation]time.Duration // Boot: since when this leader knows of a committed loss
	offSince   map[cluster.Incarnation]time.Duration // Mono: since when this leader knows one to be confirmed off that is heard all the same
	suspects   map[string]time.Duration              // members that are silent: since when the others are asked
	handover   time.Duration                         // last attempt
	inherited  []uint64                              // fencings that were open when it began to lead
	fences     uint64                                // the first fencing that began since then
	orders     []*deviceCall                         // calls of fence devices that other nodes make
	unable     map[string]bool                       // fence devices whose last call by this node failed
	limited    time.Duration                         // since when no more nodes may be fenced; 0: they may
	studies    []*study                              // of the fence devices
	studied    uint64                                // the revision of the configuration that studies are of
}

// wish is a command that was proposed.
type wish struct {
	entry uint64        // that carries it; 0: it is committed
	until time.Duration // before which it is not proposed again
}

// tickInterval is how often a leader ticks Raft. While every replica that is heard
// has all of the log and knows what is committed, there is nothing to resend, and
// a tick would only cost: each is a message to every node, and an answer.
func (c *Core) tickInterval() time.Duration {
	t := c.detector.Times()
	if c.replicated() {
		return t.Dead
	}
	return min(t.Interval, 50*time.Millisecond)
}

// replicated tells whether no replica that is heard waits for anything of this
// leader: entries, the commit index, a snapshot, a hand-over, a confirmation.
func (c *Core) replicated() bool {
	if c.raft.Transferring() || len(c.lead.rounds) > 0 {
		return false
	}
	last, _ := c.raft.Last()
	commit := c.raft.Commit()
	if commit < last {
		return false
	}
	return c.raft.EachReplica(func(id, match uint64, flows bool) bool {
		p := c.peer(c.nodeOf(id))
		return id == c.identity.RaftID || !p.Reachable || flows && match >= last && p.Packet.Commit >= commit
	})
}

func (c *Core) electionTicks() int {
	d := c.state.Config.Detection.Resolve()
	return int(d.DeadTime/min(d.Interval, 50*time.Millisecond)) + 1
}

// watchLeadership begins, suspends and ends this node's leading.
func (c *Core) watchLeadership() {
	l := &c.lead
	if !c.raft.Leads() {
		if l.term != 0 {
			c.trace("leads no more, term %d", l.term)
			c.lead = leadership{}
			c.schedule = scheduling{}
			c.contact.nextAsk = 0
		}
		return
	}
	if l.term != c.raft.Term() {
		c.assume()
	}
	if c.now.Mono >= l.nextTick {
		c.raft.Tick()
		l.nextTick = c.now.Mono + c.tickInterval()
		c.drain()
	} else {
		l.nextTick = min(l.nextTick, c.now.Mono+c.tickInterval())
	}
	majority := c.mayLead()
	switch {
	case l.active && !majority:
		l.active, l.paused, l.round = false, true, 0
		c.trace("no majority is heard: leading is suspended")
	case !l.active && majority && !c.detector.InDoubt(c.now.Mono):
		if !l.paused {
			l.active = true
		} else if l.round == 0 {
			l.round = c.raft.Confirm()
		}
	}
}

// mayLead tells whether the node that Raft calls the leader still counts as one,
// though a delay of its own may keep it from acting for a moment.
func (c *Core) mayLead() bool {
	return c.hearsMajority() || mutant.Is("renew leases without a majority")
}

// assume begins to lead in a new term. The election was a majority's word.
func (c *Core) assume() {
	last, _ := c.raft.Last()
	e := &c.election
	c.lead = leadership{
		term: c.raft.Term(), start: last, since: c.now.Mono,
		wishes: map[string]wish{}, alarmed: map[string]bool{}, rounds: map[uint64]func(){}, suspects: map[string]time.Duration{}, departures: map[string]departure{}, lostSince: map[cluster.Incarnation]time.Duration{}, offSince: map[cluster.Incarnation]time.Duration{},
		unable: map[string]bool{},
	}
	if e.lost.node != "" {
		c.lead.elected = max(c.now.Mono-e.lost.at, 1)
		e.lost = lossOfLeader{}
	}
	c.contact.round, c.contact.waiting, c.contact.served, c.contact.nextAsk = false, nil, map[string]uint64{}, 0
	c.requests.asked = nil
	c.trace("leads, term %d, from %d", c.lead.term, last)
	c.engine.Lead(c.lead.term)
	c.engine.Applied(c.now, c.state)
	c.fences.Lead()
	c.reports = reporting{}
	c.schedule = scheduling{dirty: true}
	c.lead.fences = c.state.NextFence
	for i := range c.state.Fencings {
		if f := &c.state.Fencings[i]; f.Open() {
			c.lead.inherited = append(c.lead.inherited, f.ID)
		}
	}
}

// ranLate notes that this node stood still for a while.
func (c *Core) ranLate(now event.Time, late time.Duration) {
	if c.detector.InDoubt(now.Mono) && c.lead.active && late > c.detector.Times().Interval {
		c.lead.active, c.lead.paused, c.lead.round = false, true, 0
		c.trace("ran %v late: leading is suspended until a majority confirms it", late)
	}
}

// confirmed takes a majority's word that this node led when it asked.
func (c *Core) confirmed(round uint64) {
	l := &c.lead
	if l.term == 0 || l.term != c.raft.Term() {
		return
	}
	if l.paused && l.round != 0 && round >= l.round {
		l.active, l.paused, l.round = true, false, 0
		c.trace("leads again")
	}
	for _, r := range slices.Sorted(maps.Keys(l.rounds)) {
		if r <= round {
			then := l.rounds[r]
			delete(l.rounds, r)
			then()
		}
	}
}

// confirmThen does something once a majority has said, from now on, that this
// node leads. It is never done if leadership ends before.
func (c *Core) confirmThen(then func()) {
	c.lead.rounds[c.raft.Confirm()] = then
}

// settled tells whether everything committed before this term is applied, and
// something of this term too.
func (c *Core) settled() bool { return c.lead.active && c.raft.Applied() >= c.lead.start }

// doLead is one turn of the leader's duties.
func (c *Core) doLead() {
	if c.raft.Applied()+1 < c.lead.start {
		return // former leaders' entries first
	}
	if commands := c.forkCommands(); commands != nil {
		c.want("fork", commands...)
		c.flush()
		return
	}
	c.reviewMembers()
	if c.shouldHandOver() {
		c.transferToAny()
	}
	if c.settled() {
		if !c.lead.told {
			c.lead.told = true
			c.lead.batch = append(c.lead.batch, cluster.Command{Event: &cluster.Event{
				Kind: "quorum", Node: c.self.Node, Text: fmt.Sprintf("%s leads (term %d)", c.self.Node, c.lead.term),
			}})
		}
		c.reviewVoters()
		c.reviewFormat()
		if c.frozen() {
			c.alarm("histories/"+c.partedWhy, "", c.partedWhy)
		}
		c.leadFencing()
		c.leadTransition()
		c.leadRequests()
	}
	c.flush()
}

// reviewFormat takes a newer format into use when every member knows it.
func (c *Core) reviewFormat() {
	known := c.state.FormatKnown()
	if mutant.Is("use a format that not all know") {
		known = c.options.Format
	}
	if known = min(known, c.options.Format); known > c.state.FormatInUse() {
		c.want("format", cluster.Command{Format: &cluster.FormatChange{Format: known}})
	}
}

// shouldHandOver tells whether another node had better lead.
func (c *Core) shouldHandOver() bool {
	if len(c.raft.Conf().GetVoters()) < 2 || !c.settled() {
		return false
	}
	m := c.state.Member(c.self.Node)
	switch {
	case c.leave.asked:
		return true
	case m == nil:
		return false
	case c.lossIsFinal(m): // somebody else has to fence this node
		return true
	case c.state.IsWitness(m): // a witness leads only until a node can
		return c.nodeCanLead(nil)
	case c.state.Config.Standby(c.self.Node): // a drained leader makes way
		return c.nodeCanLead(c.state.Config.Standby)
	}
	return false
}

// nodeCanLead tells whether some node that is no witness, and that not does not
// exclude, could take over.
func (c *Core) nodeCanLead(not func(name string) bool) bool {
	for _, id := range c.raft.Conf().GetVoters() {
		m := c.state.Member(c.nodeOf(id))
		if m != nil && !c.state.IsWitness(m) && (not == nil || !not(m.Name)) && m.State == cluster.NodeOnline && c.canLead(id) {
			return true
		}
	}
	return false
}

// want proposes commands, unless what key names was proposed a moment ago.
func (c *Core) want(key string, commands ...cluster.Command) bool {
	if w, ok := c.lead.wishes[key]; ok && (w.entry != 0 || c.now.Mono < w.until) {
		return false
	}
	c.lead.wishes[key] = wish{entry: ^uint64(0)}
	c.lead.keys = append(c.lead.keys, key)
	c.lead.batch = append(c.lead.batch, commands...)
	return true
}

// alarm records something that an administrator must know, once in a term.
func (c *Core) alarm(key, node, text string) {
	if c.lead.alarmed[key] {
		return
	}
	c.lead.alarmed[key] = true
	c.trace("ALARM: %s", text)
	c.lead.batch = append(c.lead.batch, cluster.Command{Event: &cluster.Event{Kind: "alarm", Severity: "error", Node: node, Text: text}})
}

// flush proposes what has come together as one entry.
func (c *Core) flush() {
	l := &c.lead
	if len(l.batch) == 0 || c.raft.Transferring() {
		return // Raft takes nothing while it hands over; if that fails, it goes on from here
	}
	id, err := c.propose(l.batch, false)
	for _, key := range l.keys {
		if err != nil {
			l.wishes[key] = wish{until: c.now.Mono + c.detector.Times().Interval}
		} else {
			l.wishes[key] = wish{entry: id}
		}
	}
	if err != nil {
		c.trace("propose: %v", err)
	}
	l.batch, l.keys = nil, nil
}

// propose appends one entry to the log.
func (c *Core) propose(commands []cluster.Command, atomic bool) (id uint64, err error) {
	c.number++
	entry := &cluster.Entry{Version: c.state.FormatInUse(), Time: c.now.Wall, ID: c.number, Proposer: c.self, Atomic: atomic, Commands: commands}
	data, err := cluster.EncodeEntry(entry)
	if err != nil {
		return 0, err
	}
	if err := c.raft.Propose(data); err != nil {
		return 0, fmt.Errorf("%d commands: %w", len(commands), err)
	}
	return c.number, nil
}

// wishesOf notes that an entry of ours was applied.
func (c *Core) wishesOf(entry *cluster.Entry) {
	if entry == nil || entry.Proposer != c.self || c.lead.term == 0 {
		return
	}
	for key, w := range c.lead.wishes {
		if w.entry == entry.ID {
			c.lead.wishes[key] = wish{until: c.now.Mono + c.detector.Times().Interval}
		}
	}
}

// more tells whether a part of the core has something to say at once.
func (c *Core) more() bool {
	return c.raft.HasOutput()
}

// changed follows the applied state from old to the present one; entry is nil
// when a snapshot replaced it.
func (c *Core) changed(old *cluster.State, entry *cluster.Entry, rejections []*cluster.Rejection) {
	c.out.State = c.state
	if old.Config.Detection != c.state.Config.Detection {
		c.detector.SetTimes(c.times())
	}
	c.executor.Applied(c.state)
	c.wishesOf(entry)
	c.replies(entry, rejections)
	c.followLife()
	c.followContact(old)
	if c.identity.Forced != nil && c.state.Lineage.ID == c.identity.Lineage.ID {
		c.identity.Forced = nil
		c.disk.identity = true
	}
	if c.lead.term != 0 {
		c.noteStages(old)
		if c.material(old) {
			c.stateChanged(old)
		}
		c.engine.Applied(c.now, c.state)
	}
}
