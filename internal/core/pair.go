package core

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/consensus"
	"linuxha/internal/core/event"
	"linuxha/internal/core/fencing"
	"linuxha/internal/core/heartbeat"
)

// pairing is what a node of two voters needs to go on alone: fencing is the vote
// (rule 6). It also serves a sole voter that boots and has to be sure of all
// former voters first (rule 7).
type pairing struct {
	// seen is the newest change of voters that the other one has reported applied
	// and synced since this daemon began, or that this node made as sole voter.
	seen uint64
	conf uint64 // index of the configuration last looked at
	// held is how long the other one's log was when it first reported conf, while one
	// of the two led: so much may have been committed by the voters of before, without
	// this node. Zero: no such report yet.
	held position
	sole bool // it had this node as the only voter

	vote   *fencing.Coordinator
	open   []cluster.Fencing // votes under way, by target
	nextID uint64
	began  time.Duration // of the newest vote
	why    string        // what keeps this node from voting, as last traced

	judged bool     // unsure is known: what the disk says is committed has been applied
	unsure []string // former voters that a sole voter has not reached since it booted

	force *forcing
}

// position is the end of a log.
type position struct{ term, index uint64 }

// localFence marks the ids of calls that belong to a vote.
const localFence = uint64(1) << 62

// forcing is a decision to go on as sole voter, until it is on the disk.
type forcing struct {
	reason event.Forced
	out    bool // the transaction is with the disk
}

// other returns the other one of two voters, nil if there are not two.
func (c *Core) other() *cluster.Member {
	if !c.raft.Pair() {
		return nil
	}
	for _, id := range c.raft.Conf().GetVoters() {
		if id == c.identity.RaftID {
			continue
		}
		return c.state.Member(c.nodeOf(id))
	}
	return nil
}

// followVoters notes who is known to have the applied configuration.
func (c *Core) followVoters() {
	p := &c.two
	if at := c.raft.ConfIndex(); at != p.conf {
		if p.sole && c.raft.Leads() {
			p.seen = at
		}
		p.conf, p.sole, p.held = at, c.soleVoter(), position{}
	}
	careless := mutant.Is("vote without what the voters of before had committed")
	if m := c.other(); m != nil && p.held == (position{}) {
		v := c.peer(m.Name)
		same := v.Packet.Lineage == c.identity.Lineage.ID && v.Packet.RaftID == m.RaftID
		led := v.Packet.Leader != 0 && (v.Packet.Leader == m.RaftID || v.Packet.Leader == c.identity.RaftID)
		if v.Heard && same && (led || careless) && v.Packet.Voters >= p.conf && c.namesUs(&v.Packet) {
			p.held = position{v.Packet.LastTerm, v.Packet.LastIndex}
		}
	}
	// A log that is as new by Raft's order has all that was committed in the other
	// (Raft paper, 5.4); what is committed after the report needs this node.
	index, term := c.raft.Last()
	newer := term > p.held.term || term == p.held.term && index >= p.held.index
	if p.held != (position{}) && (newer || careless) {
		p.seen = p.conf
	}
}

// namesUs tells whether a packet says that its sender hears this very incarnation:
// one that was under way since before, or is replayed, does not.
func (c *Core) namesUs(p *heartbeat.Packet) bool {
	return slices.ContainsFunc(p.Heard, func(h heartbeat.Heard) bool { return h.Node == c.self.Node && h.Counter == c.self.Counter })
}

// keepPair goes for the vote when the other one of two voters is lost, and for
// certainty when a sole voter has booted.
func (c *Core) keepPair() {
	p := &c.two
	c.followVoters()
	if m := c.other(); m != nil && mutant.Is("time is the vote of a pair") && p.force == nil && !c.lead.active && c.now.Mono-c.started > 10*time.Second {
		if v := c.peer(m.Name); !v.Reachable && c.now.Mono-v.HeardAt > 8*time.Second {
			p.force = &forcing{reason: event.Forced{Off: []string{m.Name}, Result: "ok"}}
		}
	}
	if m := c.other(); m != nil && mutant.Is("a departure is a vote") && p.force == nil && !c.lead.active {
		if v := c.peer(m.Name); !v.Reachable && v.Packet.Leaving {
			p.force = &forcing{reason: event.Forced{Off: []string{m.Name}, Result: "ok"}}
		}
	}
	if p.force != nil {
		c.tryForce()
		return
	}
	c.reachFormer()
	targets := c.voteTargets()
	p.open = slices.DeleteFunc(p.open, func(f cluster.Fencing) bool {
		busy, _ := p.vote.Busy(f.ID)
		return !busy && !mutant.Is("vote though conditions have changed") && !slices.ContainsFunc(targets, func(t cluster.Incarnation) bool { return t == f.Target })
	})
	for _, end := range c.fences.Ended() {
		// One that was committed while there still was a majority is as good a vote.
		f := c.fencingByID(end.ID)
		if end.Result == "ok" && (!end.Cut || mutant.Is("a device that leaves the boot alive is a vote")) && f != nil && f.Action != "on" && slices.Contains(targets, end.Target) {
			c.voted(end, targets)
			return
		}
	}
	for _, t := range targets {
		if f := c.state.OpenFencing(t.Node); f != nil {
			if busy, _ := c.fences.Busy(f.ID); busy {
				continue // its answer may be the vote
			}
		}
		if f := c.state.OpenOn(t.Node); f != nil {
			if busy, _ := c.fences.Busy(f.ID); busy {
				continue // it could switch on again what the vote switches off
			}
		}
		if slices.ContainsFunc(p.open, func(f cluster.Fencing) bool { return f.Target.Node == t.Node }) || !p.vote.MayBegin(c.now.Mono, t.Node, c.fenceAction()) {
			continue
		}
		p.nextID++
		p.began = c.now.Mono
		p.open = append(p.open, cluster.Fencing{ID: localFence | p.nextID, Target: t, Action: c.fenceAction(), Begun: c.now.Wall})
		c.identity.Fencing = t
		c.disk.identity = true // the intent is synced before the call
		c.trace("goes for the vote: fences %s", t.Node)
	}
	for _, t := range p.vote.Review(c.now.Mono, &cluster.State{Fencings: p.open}, c.voteRoutes, c.pairHeadStart) {
		c.trace("%s", t)
	}
	if c.disk.identity || c.disk.out {
		return
	}
	for _, id := range p.vote.Due(c.now.Mono, onlySelf) {
		if call := p.vote.Call(id); call != nil {
			c.trace("calls %s to %s %s, attempt %d", call.Device, call.Action, call.Target.Node, call.Attempt)
			c.out.Fences = append(c.out.Fences, *call)
		}
	}
	for _, end := range p.vote.Ended() {
		c.voted(end, targets)
	}
}

// voted takes the end of a vote.
func (c *Core) voted(end cluster.FenceEnd, targets []cluster.Incarnation) {
	p := &c.two
	name := end.Target.Node
	p.open = slices.DeleteFunc(p.open, func(f cluster.Fencing) bool { return f.ID == end.ID })
	c.trace("vote: fencing of %s: %s %s", name, end.Result, end.Error)
	if end.Result != "ok" && !mutant.Is("a failed fencing is a vote") {
		p.vote.Failed(c.now.Mono, name, c.fenceAction())
		return
	}
	p.vote.Succeeded(name, c.fenceAction())
	if slices.Contains(p.unsure, name) {
		p.unsure = slices.DeleteFunc(p.unsure, func(x string) bool { return x == name })
		return
	}
	if !slices.Contains(targets, end.Target) && !mutant.Is("vote though conditions have changed") {
		c.trace("%s is off, but the conditions have changed meanwhile: not going on alone", name)
		return
	}
	c.two.force = &forcing{reason: event.Forced{Off: []string{name}, Result: "ok", Device: end.Device, Took: c.now.Mono - p.began}}
	c.tryForce()
}

// voteTargets returns whom this node may fence by itself now.
func (c *Core) voteTargets() []cluster.Incarnation {
	now := c.now.Mono
	if c.lead.active || c.detector.InDoubt(now) || c.leave.asked || c.frozen() {
		return nil
	}
	var targets []cluster.Incarnation
	if m := c.other(); m != nil {
		why := c.mayNotVote(m)
		if why != c.two.why {
			c.two.why = why
			if why != "" && !c.peer(m.Name).Reachable {
				c.trace("cannot go for the vote: %s", why)
			}
		}
		if why == "" {
			targets = append(targets, c.newestOf(m))
		}
	}
	if now-c.started >= max(startGrace, 10*c.detector.Times().Dead) {
		for _, name := range c.two.unsure {
			if v, _ := c.detector.Peer(now, name); v.Heard && c.related(v.Packet.Lineage) {
				continue // it is up, and will hear us, or say why our state must not be used
			}
			if m := c.state.Member(name); m != nil && len(c.endingRoutes(name, c.fenceAction())) > 0 {
				targets = append(targets, m.Incarnation)
			}
		}
	}
	return targets
}

// newestOf returns the newest incarnation of m that is known.
func (c *Core) newestOf(m *cluster.Member) cluster.Incarnation {
	if v, ok := c.detector.Peer(c.now.Mono, m.Name); ok && v.Packet.Counter > m.Incarnation.Counter {
		return cluster.Incarnation{Node: m.Name, Counter: v.Packet.Counter, Boot: v.Packet.Boot}
	}
	return m.Incarnation
}

// mayNotVote returns what forbids to fence the other voter and go on alone, ""
// if nothing does (rule 6).
func (c *Core) mayNotVote(m *cluster.Member) string {
	v := c.peer(m.Name)
	self := c.state.Member(c.self.Node)
	_, synced := c.raft.Synced()
	switch {
	case v.Reachable, v.New:
		return fmt.Sprintf("%s is heard", m.Name)
	case v.Heard && v.Packet.Lineage != c.identity.Lineage.ID:
		return fmt.Sprintf("%s is heard, with another history", m.Name)
	case c.now.Mono < c.graces[m.Name]:
		return fmt.Sprintf("the daemon of %s restarts", m.Name)
	case c.raft.ConfPending() && !mutant.Is("vote with a change of voters under way"):
		return "a change of voters is under way"
	case synced != c.raft.ConfIndex():
		return "this node has not synced the voters"
	case c.two.seen != c.raft.ConfIndex() && !mutant.Is("vote though the other may not know the voters"):
		return fmt.Sprintf("%s has not confirmed, since this daemon began, who votes", m.Name)
	case self == nil || c.lossIsFinal(self):
		return "this node is to be fenced itself"
	case mutant.Is("without a device silence is the vote") && len(c.endingRoutes(m.Name, c.fenceAction())) == 0:
		c.two.force = &forcing{reason: event.Forced{Off: []string{m.Name}, Result: "ok"}}
	case !c.state.Config.FencingEnabled():
		return "fencing is switched off"
	case len(c.endingRoutes(m.Name, c.fenceAction())) == 0:
		return fmt.Sprintf("no fence device can cut the power of %s", m.Name)
	}
	return ""
}

// endingRoutes returns the ways of fencing that end a node's boot.
func (c *Core) endingRoutes(name, action string) []fencing.Route {
	if mutant.Is("a device that leaves the boot alive is a vote") {
		return fencing.Routes(c.state, name, action)
	}
	return fencing.EndingBoot(fencing.Routes(c.state, name, action))
}

func (c *Core) voteRoutes(f *cluster.Fencing) []fencing.Route {
	return c.endingRoutes(f.Target.Node, f.Action)
}

// onlySelf: nobody else can be asked to call a device for a vote.
func onlySelf(string, fencing.Step) []string { return []string{""} }

// pairHeadStart is the delay before the first call: what the device has, and what
// priority_fencing_delay gives a target that runs what matters more; where both
// matter alike it would only cost time.
func (c *Core) pairHeadStart(f *cluster.Fencing) time.Duration {
	base, extra := fencing.Delay(c.state, c.voteRoutes(f), f.Target.Node)
	delay := base + c.random.upTo(extra)
	if extra, err := cluster.ParseSeconds(c.state.Config.Option("priority-fencing-delay")); err == nil && c.priorityOf(c.self.Node) < c.priorityOf(f.Target.Node) {
		delay += extra
	}
	return delay
}

// priorityOf sums up the priorities of what a node was granted; a promoted
// instance counts one more.
func (c *Core) priorityOf(node string) int {
	sum := 0
	for _, g := range c.state.Grants {
		if !slices.ContainsFunc(g.Holders, func(h cluster.Incarnation) bool { return h.Node == node }) {
			continue
		}
		sum += c.state.Config.Priority(g.Resource)
		if g.Role == "Promoted" {
			sum++
		}
	}
	return sum
}

// reachFormer strikes out the former voters that a booted sole voter has reached:
// those that hear this very incarnation, and so have compared it with what they
// remember, and that know of nothing committed beyond the log of this node.
func (c *Core) reachFormer() {
	p := &c.two
	if !p.judged {
		p.judged, p.unsure = true, c.unsureOf()
	}
	if !c.soleVoter() {
		p.unsure = nil // others decide as well
	}
	if len(p.unsure) == 0 && c.identity.Sure != c.self.Boot {
		c.identity.Sure, c.disk.identity = c.self.Boot, true
	}
	last, _ := c.raft.Last()
	p.unsure = slices.DeleteFunc(p.unsure, func(name string) bool {
		v, _ := c.detector.Peer(c.now.Mono, name)
		ahead := v.Packet.Lineage == c.identity.Lineage.ID && v.Packet.Commit > last && !mutant.Is("use what is torn or set back")
		return v.Reachable && c.related(v.Packet.Lineage) && !ahead || c.state.Member(name) == nil
	})
}

// soleVoter tells whether this node alone decides.
func (c *Core) soleVoter() bool {
	conf := c.raft.Conf()
	return len(conf.GetVoters()) == 1 && conf.GetVoters()[0] == c.identity.RaftID && len(conf.GetVotersOutgoing()) == 0
}

// unsureOf returns whom a sole voter that has booted must reach, or confirm off
// anew, before it leads: every node that has been a voter (rule 7). A daemon that
// was started again in the same boot knows what it knew.
func (c *Core) unsureOf() (names []string) {
	if mutant.Is("a sole voter boots and leads") || c.identity.Sure == c.self.Boot || !c.soleVoter() {
		return nil
	}
	for i := range c.state.Members {
		if m := &c.state.Members[i]; m.Name != c.self.Node && m.Voted {
			names = append(names, m.Name)
		}
	}
	return names
}

// tryForce makes this node the sole voter of a new lineage, in one transaction,
// as soon as the disk is idle.
func (c *Core) tryForce() {
	f := c.two.force
	if f.out || c.disk.out || c.disk.identity || !c.raft.Idle() {
		return
	}
	start, branch, err := c.raft.Alone()
	if err != nil {
		c.trace("%v", err)
		return
	}
	f.out = true
	c.identity.Lineage = cluster.Lineage{
		ID: fmt.Sprintf("%016x%016x", c.random.next(), c.random.next()), Parent: c.identity.Lineage.ID, Branch: branch,
	}
	c.identity.Peers = nil // positions in the former history
	c.identity.Forced, c.identity.Fencing, c.identity.Sure = &f.reason, cluster.Incarnation{}, c.self.Boot
	start.ElectionTicks = c.electionTicks()
	c.disk.forced = &start
	c.trace("goes on alone: lineage %s from %d", c.identity.Lineage.ID[:8], branch)
}

// goOn begins the new lineage, once it is on the disk.
func (c *Core) goOn() {
	raft, err := consensus.New(*c.disk.forced)
	c.disk.forced = nil
	if err != nil {
		c.exit(event.Exit{Code: 1, Reason: fmt.Sprintf("go on alone: %v", err)})
		return
	}
	c.raft = raft
	c.lead, c.schedule, c.reports, c.election = leadership{}, scheduling{}, reporting{}, election{}
	c.contact.since, c.contact.had = c.now.Boot, true // the vote counts as contact
	c.two.force, c.two.open, c.two.unsure, c.contact.round, c.contact.waiting = nil, nil, nil, false, nil
	clear(c.parted) // who is heard is compared with the new lineage
	c.sayParted()
}

// forkCommands are the first of a forced lineage: what the disk knows and the
// log does not yet. Nil if there is nothing to say.
func (c *Core) forkCommands() []cluster.Command {
	if c.state.Lineage.ID == c.identity.Lineage.ID {
		return nil
	}
	lineage := c.identity.Lineage
	commands := []cluster.Command{
		{Fork: &lineage},
		{Voters: &cluster.Voters{IDs: []uint64{c.identity.RaftID}}},
	}
	f := c.identity.Forced
	if f == nil {
		return commands
	}
	reason := "lost by the other of two voters"
	if f.Result == "confirmed" {
		reason = "quorum was forced"
		commands = append(commands, cluster.Command{Event: &cluster.Event{Kind: "quorum", Severity: "error", Node: c.self.Node,
			Text: fmt.Sprintf("%s forced quorum on %s: nobody checked that %s is off", f.By, c.self.Node, strings.Join(f.Off, ", "))}})
	}
	for _, name := range f.Off {
		m := c.state.Member(name)
		if m == nil || m.Off() {
			continue
		}
		if v, ok := c.detector.Peer(c.now.Mono, name); ok {
			commands = append(commands, c.stagesOfLoss(m, v.Reason, v.Lasted-f.Took)...)
		}
		if c.state.OpenFencing(name) == nil {
			begin := cluster.FenceBegin{Target: m.Incarnation, Action: c.fenceAction(), Reason: reason, Requested: f.By}
			if f.Result != "confirmed" { // else no device was called
				begin.Caller = c.self.Node
			}
			commands = append(commands, cluster.Command{Fence: &begin})
		}
		commands = append(commands, cluster.Command{FenceDone: &cluster.FenceEnd{Target: m.Incarnation, Result: f.Result, Device: f.Device}})
		if back := c.powerBack(&cluster.Fencing{Target: m.Incarnation, Action: c.fenceAction()}, &cluster.FenceEnd{Result: f.Result, Device: f.Device}); back != nil {
			commands = append(commands, cluster.Command{Fence: back})
		}
		if f.Result != "confirmed" {
			commands = append(commands, cluster.Command{Event: &cluster.Event{Kind: "fencing", Node: name, Cause: causeOf(m.Incarnation), Stage: "fence", Took: f.Took,
				Text: fmt.Sprintf("%s was fenced: that was the vote, %s goes on alone", name, c.self.Node)}})
		}
	}
	return commands
}

// forceQuorum carries out an administrator's order to go on with this node as the
// only voter (rule 7): those who are absent must be off, on his word.
func (c *Core) forceQuorum(by string) *event.Refusal {
	conf := c.raft.Conf()
	switch {
	case c.lead.active || c.leaderHeard():
		return refuse("conflict", "there is quorum: nothing has to be forced")
	case !c.raft.IsVoter(c.identity.RaftID):
		return refuse("conflict", "%s is not a voter: force quorum on a node that is", c.self.Node)
	case c.two.force != nil:
		return refuse("conflict", "it is under way")
	case c.frozen():
		return refuse("unsafe", "%s; decide which one to keep, and stop the other first", c.partedWhy)
	}
	var off []string
	for _, id := range slices.Concat(conf.GetVoters(), conf.GetVotersOutgoing()) {
		name := c.nodeOf(id)
		if id == c.identity.RaftID || slices.Contains(off, name) || c.peer(name).Reachable {
			continue
		}
		if who := c.hearer(name); who != "" {
			return refuse("unsafe", "%s still hears %s: it is not off; cut its power and repeat", who, name)
		}
		off = append(off, name)
	}
	off = append(off, c.two.unsure...)
	if len(off) == 0 {
		return refuse("conflict", "every voter is heard: they will elect a leader by themselves")
	}
	c.trace("quorum is forced by %s; said to be off: %v", by, off)
	if c.soleVoter() && c.state.Lineage.ID != c.identity.Lineage.ID {
		// Its forced lineage is on this disk only, and its first entry waits for this very
		// word: another one could not say where it comes from.
		reason := event.Forced{Off: off, Result: "confirmed", By: by}
		if before := c.identity.Forced; before != nil {
			for _, name := range before.Off {
				if !slices.Contains(off, name) {
					reason.Off = append(reason.Off, name)
				}
			}
		}
		c.identity.Forced, c.identity.Sure, c.disk.identity, c.two.unsure = &reason, c.self.Boot, true, nil
		return nil
	}
	c.two.force = &forcing{reason: event.Forced{Off: off, Result: "confirmed", By: by}}
	return nil
}
