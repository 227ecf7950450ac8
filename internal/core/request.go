package core

import (
	"fmt"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
	"linuxha/internal/core/fencing"
)

// requestTime is how long a request may wait for its answer.
const requestTime = 10 * time.Second

// requests are the wishes of this node's administrators that have no answer yet.
type requests struct {
	list []*request
	// asked are peers' requests that this leader is to carry out.
	asked []proposal
	// carried are the newest that anybody's entries carried out, as applied here: who
	// asks each new leader must not have it done twice.
	carried []carriedOut
}

// maxCarried is how many of them are remembered at least: far more than there are in
// the time that a request waits.
const maxCarried = 1024

type carriedOut struct {
	from  cluster.Incarnation
	reply event.Reply
}

// remember notes what came of a request.
func (r *requests) remember(from cluster.Incarnation, reply event.Reply) {
	if len(r.carried) >= 2*maxCarried {
		r.carried = slices.Delete(r.carried, 0, maxCarried)
	}
	r.carried = append(r.carried, carriedOut{from, reply})
}

// outcome returns what came of a request, nil if it was not carried out as far as is known.
func (r *requests) outcome(from cluster.Incarnation, number uint64) *event.Reply {
	for i := range r.carried {
		if x := &r.carried[i]; x.from == from && x.reply.ID == number {
			return &x.reply
		}
	}
	return nil
}

type request struct {
	id       uint64 // the daemon's
	number   uint64 // ours: names it in the log and to the leader
	wish     event.Request
	deadline time.Duration
	leader   uint64 // that was last asked, and its term: a new one is asked anew
	term     uint64
	done     *event.Reply // the leader's answer, until this node's state is as new
}

type proposal struct {
	from   cluster.Incarnation
	number uint64
	wish   event.Request
	since  time.Duration // Mono: when it was first looked at
}

// requested takes a wish of an administrator.
func (c *Core) requested(e event.Requested) {
	if e.Request.ForceQuorum {
		c.out.Replies = append(c.out.Replies, event.Reply{ID: e.ID, Err: c.forceQuorum(e.Request.By)})
		return
	}
	c.number++
	c.requests.list = append(c.requests.list, &request{id: e.ID, number: c.number, wish: e.Request, deadline: c.now.Mono + requestTime})
}

// keepRequests hands requests to the leader.
func (c *Core) keepRequests() {
	r := &c.requests
	leader, term := c.raft.Leader(), c.raft.Term()
	for _, q := range r.list {
		if leader == 0 || q.leader == leader && q.term == term || !c.leaderHeard() {
			continue
		}
		if leader == c.identity.RaftID {
			if !c.settled() {
				continue
			}
			r.asked = append(r.asked, proposal{from: c.self, number: q.number, wish: q.wish})
		} else {
			c.send(c.nodeOf(leader), event.Message{Propose: &event.Proposal{
				ID: q.number, Until: c.now.Boot + q.deadline - c.now.Mono, Request: q.wish,
			}})
		}
		q.leader, q.term = leader, term
	}
	c.refuseHeard()
}

// refuseHeard refuses the word that a node is off as soon as anyone hears it, also
// while there is no leader to tell: when there is one, who heard it may be lost, too.
func (c *Core) refuseHeard() {
	r := &c.requests
	r.list = slices.DeleteFunc(r.list, func(q *request) bool {
		if q.wish.Confirm == "" || q.leader != 0 && c.leaderHeard() {
			return false
		}
		who := c.hearer(q.wish.Confirm)
		if who == "" || mutant.Is("confirm what is heard") {
			return false
		}
		refusal := stillHeard(who, q.wish.Confirm)
		if q.leader != 0 {
			refusal = unanswered()
		}
		c.out.Replies = append(c.out.Replies, event.Reply{ID: q.id, Err: refusal})
		return true
	})
}

// unanswered is what is known of a request that a leader has taken and not answered.
func unanswered() *event.Refusal {
	return &event.Refusal{Kind: "timeout", Text: "the leader did not answer in time: the outcome is unknown, look at the state and repeat if needed"}
}

// expireRequests gives up those that took too long.
func (c *Core) expireRequests() {
	r := &c.requests
	r.list = slices.DeleteFunc(r.list, func(q *request) bool {
		if c.now.Mono < q.deadline {
			return false
		}
		refusal := unanswered()
		if q.leader == 0 {
			refusal = &event.Refusal{Kind: "no-leader", Text: "there is no leader: is a majority of the voters up and connected? See: ha status"}
		}
		c.out.Replies = append(c.out.Replies, event.Reply{ID: q.id, Err: refusal})
		return true
	})
}

// dropRequests answers all that are left when the core ends.
func (c *Core) dropRequests(reason string) {
	for _, q := range c.requests.list {
		c.out.Replies = append(c.out.Replies, event.Reply{ID: q.id, Err: refuse("timeout", "this node's daemon ends (%s): the outcome is unknown, ask again on another node", reason)})
	}
	c.requests.list = nil
}

// proposed takes the request of a peer that was sent to this leader in its own term.
// One that comes late from an earlier term has been sent again, to the leader that
// was next, and may have been carried out and answered long ago. What the peer has
// given up by now is not wanted: the administrator looks at the state and asks again.
func (c *Core) proposed(m *event.Message) {
	v, _ := c.detector.Peer(c.now.Mono, m.From.Node)
	late := m.Term != c.lead.term || v.Packet.Counter == m.From.Counter && v.Packet.SentAt > m.Propose.Until
	if c.lead.term != 0 && (!late || mutant.Is("carry out a request twice")) && len(c.requests.asked) < 1000 {
		c.requests.asked = append(c.requests.asked, proposal{from: m.From, number: m.Propose.ID, wish: m.Propose.Request})
	}
}

// leadRequests carries out what was asked of the leader.
func (c *Core) leadRequests() {
	asked := c.requests.asked
	c.requests.asked = nil
	for _, p := range asked {
		if done := c.requests.outcome(p.from, p.number); done != nil && !mutant.Is("carry out a request twice") {
			c.answer(p, *done)
			continue
		}
		if p.since == 0 {
			p.since = c.now.Mono
		}
		if p.wish.Confirm != "" && c.hearer(p.wish.Confirm) == "" && !c.toldSince(p.since) {
			if c.now.Mono-p.since < requestTime {
				c.requests.asked = append(c.requests.asked, p)
			}
			continue
		}
		if refusal := c.carryOut(p); refusal != nil {
			c.answer(p, event.Reply{Err: refusal})
		}
	}
}

// toldSince tells whether everyone who is heard has said whom he hears in words
// sent after since.
func (c *Core) toldSince(since time.Duration) bool {
	sent := since + 2*c.detector.Times().Interval
	if c.now.Mono < sent {
		return false
	}
	for _, v := range c.detector.Peers(c.now.Mono) {
		if v.Heard && v.HeardAt < sent {
			return false
		}
	}
	return true
}

// answer replies to a proposal: by message, or at once if it is our own.
func (c *Core) answer(p proposal, r event.Reply) {
	r.ID = p.number
	if p.from == c.self {
		c.answered(&r)
		return
	}
	c.send(p.from.Node, event.Message{For: p.from, Answer: &r})
}

// answered takes the answer to a request of ours. One that was carried out is
// passed on when this node's state shows it.
func (c *Core) answered(r *event.Reply) {
	c.requests.list = slices.DeleteFunc(c.requests.list, func(q *request) bool {
		if q.number != r.ID {
			return false
		}
		if r.Index > c.state.Index {
			q.done = r
			return false
		}
		reply := *r
		reply.ID = q.id
		c.out.Replies = append(c.out.Replies, reply)
		return true
	})
}

// replies answers a request when its entry has been applied here: then it is
// committed, on a majority's disks. The leader tells who asked as well: a node
// that takes over the state from a snapshot does not see the entry.
func (c *Core) replies(entry *cluster.Entry, rejections []*cluster.Rejection) {
	if c.repliesDone(entry == nil); entry == nil || entry.ID == 0 {
		return
	}
	reply := event.Reply{ID: entry.ID, Index: c.state.Index}
	for _, r := range rejections {
		if r != nil && reply.Err == nil {
			reply.Err = &event.Refusal{Kind: r.Kind, Text: r.Text}
		}
	}
	for i := range entry.Commands {
		if a := entry.Commands[i].Admit; a != nil && reply.Err == nil {
			if m := c.state.Member(a.Member.Name); m != nil {
				admitted := *m
				reply.Admitted = &admitted
			}
		}
	}
	c.requests.remember(entry.Proposer, reply)
	if entry.Proposer == c.self || c.lead.term != 0 {
		c.answer(proposal{from: entry.Proposer, number: entry.ID}, reply)
	}
}

// repliesDone answers what the leader has carried out, now that the state shows
// it. What it has not answered may be in a snapshot or not: Admit tells by its
// Raft id.
func (c *Core) repliesDone(snapshot bool) {
	for _, q := range slices.Clone(c.requests.list) {
		if q.done != nil && q.done.Index <= c.state.Index {
			c.answered(q.done)
			continue
		}
		for i := range q.wish.Commands {
			a := q.wish.Commands[i].Admit
			if a == nil || !snapshot {
				continue
			}
			if m := c.state.Member(a.Member.Name); m != nil && m.RaftID == a.Member.RaftID {
				admitted := *m
				c.answered(&event.Reply{ID: q.number, Index: c.state.Index, Admitted: &admitted})
			}
		}
	}
}

func refuse(kind, format string, args ...any) *event.Refusal {
	return &event.Refusal{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// carryOut does what a request asks; nil if it is under way: the entry that
// carries it answers it.
func (c *Core) carryOut(p proposal) *event.Refusal {
	q := &p.wish
	switch {
	case len(q.Commands) > 0:
		return c.carryOutCommands(p)
	case q.Fence != nil:
		return c.carryOutFence(p)
	case q.Confirm != "":
		return c.carryOutConfirm(p)
	case q.Refresh != nil:
		return c.proposeFor(p, cluster.Command{Forget: q.Refresh})
	case q.Transfer != nil:
		return c.carryOutTransfer(p)
	case q.Barrier:
		index := c.raft.Commit()
		c.confirmThen(func() { c.answer(p, event.Reply{Index: index}) })
		return nil
	}
	return refuse("invalid", "the request asks for nothing")
}

// proposeFor proposes commands in the name of who asked.
func (c *Core) proposeFor(p proposal, commands ...cluster.Command) *event.Refusal {
	entry := &cluster.Entry{Version: c.state.FormatInUse(), Time: c.now.Wall, ID: p.number, Proposer: p.from, Atomic: true, Commands: commands}
	data, err := cluster.EncodeEntry(entry)
	if err == nil {
		err = c.raft.Propose(data)
	}
	if err == nil && mutant.Is("acknowledge before the commit") {
		c.answer(p, event.Reply{Index: c.state.Index + 1})
	}
	if err != nil {
		return refuse("no-leader", "the change was not taken: %v; repeat it", err)
	}
	return nil
}

// carryOutCommands proposes an administrator's commands, of the kinds that are
// his to give.
func (c *Core) carryOutCommands(p proposal) *event.Refusal {
	for i := range p.wish.Commands {
		x := &p.wish.Commands[i]
		switch {
		case x.Config != nil, x.Admit != nil, x.Remove != nil, x.Forget != nil, x.Attribute != nil,
			x.Ticket != nil, x.Token != nil, x.Move != nil, x.MoveDone != nil, x.Event != nil:
		default:
			return refuse("unsafe", "command %d is the cluster's own, not for a request", i+1)
		}
		if x.Remove != nil && x.Remove.Node == c.self.Node {
			return refuse("conflict", "%s leads the cluster: stop it first", c.self.Node)
		}
		if x.Admit != nil && x.Admit.Member.RaftID >= 1<<63 {
			return refuse("invalid", "Raft id %x is out of range", x.Admit.Member.RaftID)
		}
	}
	return c.proposeFor(p, p.wish.Commands...)
}

func (c *Core) carryOutFence(p proposal) *event.Refusal {
	f := p.wish.Fence
	m := c.state.Member(f.Node)
	action := f.Action
	if action == "" {
		action = "reboot"
	}
	switch {
	case m == nil:
		return refuse("not-found", "there is no node %s", f.Node)
	case !c.state.Config.FencingEnabled():
		return refuse("unsafe", "fencing is switched off in the configuration")
	case len(fencing.Routes(c.state, f.Node, action)) == 0:
		return refuse("not-found", "no fence device can %s %s: configure one, or cut its power by hand and say: ha fence confirm %s", action, f.Node, f.Node)
	case f.Node == c.self.Node:
		// The next leader is asked anew.
		if !c.transferToAny() {
			return refuse("conflict", "%s leads and nobody can take over: it cannot fence itself", f.Node)
		}
		return nil
	}
	reason := f.Reason
	if reason == "" {
		reason = "asked for by " + p.wish.By
	}
	return c.proposeFor(p, cluster.Command{Fence: &cluster.FenceBegin{
		Target: m.Incarnation, Action: action, Reason: reason, Requested: requester(p), Caller: c.self.Node,
	}})
}

func requester(p proposal) string {
	if p.wish.By != "" {
		return p.wish.By
	}
	return p.from.Node
}

// carryOutConfirm takes an administrator's word that a node is off, unless anyone
// hears it (rule 3).
func (c *Core) carryOutConfirm(p proposal) *event.Refusal {
	name := p.wish.Confirm
	m := c.state.Member(name)
	switch {
	case m == nil:
		return refuse("not-found", "there is no node %s", name)
	case m.Off() && !m.Cut:
		return refuse("conflict", "%s is %s already", name, m.State)
	case name == c.self.Node:
		return refuse("unsafe", "%s is up: it answers this", name)
	}
	if who := c.hearer(name); who != "" && !mutant.Is("confirm what is heard") {
		return stillHeard(who, name)
	}
	if m.State != cluster.NodeLost && !m.Cut {
		return refuse("conflict", "%s is %s, not lost: there is nothing to confirm", name, m.State)
	}
	var commands []cluster.Command
	if f := c.state.OpenFencing(name); f != nil {
		c.lead.wishes[fencedKey(f.ID)] = wish{until: c.now.Mono + c.detector.Times().Dead} // nothing is called for it any more
	} else {
		commands = append(commands, cluster.Command{Fence: &cluster.FenceBegin{
			Target: m.Incarnation, Action: "off", Reason: "confirmed by " + requester(p), Requested: requester(p),
		}})
	}
	commands = append(commands, cluster.Command{FenceDone: &cluster.FenceEnd{Target: m.Incarnation, Result: "confirmed"}})
	return c.proposeFor(p, commands...)
}

func stillHeard(who, name string) *event.Refusal {
	return refuse("unsafe", "%s still hears %s: it is not off; cut its power and repeat", who, name)
}

// hearer returns who hears a node, "" if nobody does as far as is known here.
func (c *Core) hearer(name string) string {
	if v, _ := c.detector.Peer(c.now.Mono, name); v.Heard {
		return c.self.Node
	}
	for _, v := range c.detector.Peers(c.now.Mono) {
		if !v.Heard {
			continue
		}
		for _, h := range v.Packet.Heard {
			if h.Node == name {
				return v.Node
			}
		}
	}
	return ""
}

func (c *Core) carryOutTransfer(p proposal) *event.Refusal {
	name := *p.wish.Transfer
	if name == "" {
		if !c.transferToAny() {
			return refuse("conflict", "no other voter is ready to lead")
		}
	} else {
		m := c.state.Member(name)
		if m == nil {
			return refuse("not-found", "there is no node %s", name)
		}
		if name == c.self.Node {
			c.answer(p, event.Reply{Index: c.state.Index})
			return nil
		}
		if !c.canLead(m.RaftID) {
			return refuse("conflict", "%s cannot lead: it must vote, be heard and have the whole log", name)
		}
		c.raft.Transfer(m.RaftID)
	}
	c.answer(p, event.Reply{Index: c.state.Index})
	return nil
}

// canLead tells whether a voter could take over now.
func (c *Core) canLead(id uint64) bool {
	if id == c.identity.RaftID || !c.raft.IsVoter(id) || !c.peer(c.nodeOf(id)).Reachable {
		return false
	}
	match, flows := c.raft.Match(id)
	return flows && match+nearlyAll > c.raft.Commit()
}

// transferToAny hands leadership to the best other voter.
func (c *Core) transferToAny() bool {
	if c.lead.handover > 0 && c.now.Mono-c.lead.handover < 2*c.detector.Times().Dead {
		return true // under way
	}
	best, bestMatch, bestWitness := uint64(0), uint64(0), true
	for _, id := range c.raft.Conf().GetVoters() {
		m := c.state.Member(c.nodeOf(id))
		if m == nil || !c.canLead(id) || m.State != cluster.NodeOnline && m.State != cluster.NodeJoining {
			continue
		}
		match, _ := c.raft.Match(id)
		witness := c.state.IsWitness(m)
		if best == 0 || bestWitness && !witness || bestWitness == witness && match > bestMatch {
			best, bestMatch, bestWitness = id, match, witness
		}
	}
	if best == 0 {
		return false
	}
	c.lead.handover = c.now.Mono
	c.trace("hands over to %s", c.nodeOf(best))
	c.raft.Transfer(best)
	return true
}
