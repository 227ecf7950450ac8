package core

import (
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
)

// contact is this node's lease of quorum (rule 8): granted by the leader, after a
// majority has confirmed it, counted on the boot-time clock from when this node
// asked.
type contact struct {
	since   time.Duration // Boot: when this node sent the newest request that was answered
	told    time.Duration // the lease that others were told of; 0: none yet
	had     bool          // a leader has ever answered
	nextAsk time.Duration // Mono
	askedTo uint64        // leader that was last asked
	gaveUp  bool          // the lease has run out, and the policy is carried out

	// The leader's side.
	waiting []waitingContact
	served  map[string]uint64 // counters of the incarnations that were answered in this term, by node
	round   bool              // a confirmation is under way
}

type waitingContact struct {
	from   cluster.Incarnation
	sentAt time.Duration
}

// lease is how long contact lasts: the stall time, so that the election after a
// leader's crash does not make anyone stop; but what this incarnation told once,
// since others count on that (rule 8).
func (c *Core) lease() time.Duration {
	if c.contact.told > 0 {
		return c.contact.told
	}
	return c.detector.Times().Stall
}

// tellLease returns the lease for a message to others: from now on it stays.
func (c *Core) tellLease() time.Duration {
	c.contact.told = c.lease()
	return c.contact.told
}

// leased tells whether the lease has not run out. It is counted with the length that
// it has now, not with that of the moment at which it was given.
func (c *Core) leased() bool { return c.now.Boot < c.contact.since+c.lease() }

// contactInterval is how often the lease is renewed: often enough that most of it
// is left when a leader falls silent.
func (c *Core) contactInterval() time.Duration {
	return max(c.detector.Times().Interval, c.lease()/8)
}

// keepContact renews the lease, and acts when it has run out.
func (c *Core) keepContact() {
	k := &c.contact
	now := c.now
	if k.since == 0 {
		k.since = now.Boot // the first lease has to be earned within its own time
	}
	leader := c.raft.Leader()
	switch {
	case c.lead.active:
		c.answerContacts()
	case leader != 0 && leader != c.identity.RaftID && (now.Mono >= k.nextAsk || leader != k.askedTo):
		k.nextAsk, k.askedTo = now.Mono+c.contactInterval(), leader
		ask := event.Contact{SentAt: now.Boot}
		if c.online() {
			ask.Watchdog, ask.Lease = c.tellWatchdog(), c.tellLease()
		}
		c.send(c.nodeOf(leader), event.Message{Contact: &ask})
	}
	c.judgeContact()
}

// followContact has contact asked for at once when the applied state says something
// new of this node: what it asked for before was not answered to who was lost or off.
func (c *Core) followContact(old *cluster.State) {
	was, is := old.Member(c.self.Node), c.state.Member(c.self.Node)
	if is != nil && (was == nil || was.State != is.State || was.Incarnation != is.Incarnation) {
		c.contact.askedTo = 0
	}
}

// answerContacts asks the majority now and then whether this node still leads, and
// answers who asked before.
func (c *Core) answerContacts() {
	k := &c.contact
	if k.round || !c.settled() || c.now.Mono < k.nextAsk {
		return
	}
	k.round, k.nextAsk = true, c.now.Mono+c.contactInterval()
	list, term, asked := k.waiting, c.lead.term, c.now.Boot
	k.waiting = nil
	confirm := c.confirmThen
	if mutant.Is("renew leases without a majority") {
		confirm = func(then func()) { then() }
	}
	confirm(func() {
		k.round = false
		if c.lead.term != term {
			return
		}
		// A lost node is never given contact, also by itself.
		if self := c.state.Member(c.self.Node); self == nil || self.State != cluster.NodeLost || self.Incarnation.Boot != c.self.Boot {
			k.since, k.had = max(k.since, asked), true
		}
		for _, w := range list {
			if m := c.state.Member(w.from.Node); m != nil && m.Incarnation == w.from && (m.State != cluster.NodeLost && !m.Off() || mutant.Is("give lost nodes contact")) {
				k.served[w.from.Node] = w.from.Counter
				c.send(w.from.Node, event.Message{For: w.from, Contact: &event.Contact{SentAt: w.sentAt, Answer: true}})
			}
		}
	})
}

// contacted takes a lease request, or the answer to ours. It tells whether somebody
// has to look at that.
func (c *Core) contacted(m *event.Message) (news bool) {
	k := &c.contact
	if m.Contact.Answer {
		news = !k.had || k.gaveUp || !c.leased()
		if m.For == c.self && m.Term >= c.raft.Term() {
			from := m.Contact.SentAt
			if mutant.Is("count the lease from receipt") {
				from = c.now.Boot
			}
			k.since, k.had = max(k.since, from), true
		}
		return news
	}
	if c.lead.active && m.Term == c.raft.Term() {
		news = c.countOn(m.From, m.Contact.Watchdog, m.Contact.Lease)
	}
	if c.lead.active && len(k.waiting) < 1000 {
		k.waiting = append(k.waiting, waitingContact{m.From, m.Contact.SentAt})
		if k.served[m.From.Node] != m.From.Counter {
			k.nextAsk = min(k.nextAsk, c.now.Mono) // it begins: nothing starts there before
		}
	}
	return news || !k.round && c.now.Mono >= k.nextAsk
}

// inContact tells whether this node may count on a quorate leader.
func (c *Core) inContact() bool { return c.leased() || c.keepsAsPair() }

// keepsAsPair tells whether this node is one of two voters, as far as its whole
// log says: those keep what they were granted. Nothing can be recovered against
// them without rule 6, and time is no vote.
func (c *Core) keepsAsPair() bool {
	return c.other() != nil && (!c.raft.ConfPending() || mutant.Is("keep as a pair with a change of voters under way"))
}

// judgeContact gives up what the policy says when the lease has run out.
func (c *Core) judgeContact() {
	k := &c.contact
	switch {
	case c.inContact() && k.gaveUp:
		k.gaveUp = false
		c.resume()
	case !c.inContact() && !k.gaveUp:
		k.gaveUp = true
		policy := c.noQuorumPolicy()
		c.trace("no contact with a quorate leader for %v: %s", c.lease(), policy)
		if c.leave.alone {
			return // it stops everything anyway
		}
		if policy == "fence" && k.had && !c.nothingRuns() {
			c.exit(event.Exit{Code: 1, Reset: true, Reason: "quorum is lost, and the policy is to fence"})
			return
		}
		c.executor.StopAll(c.now, policy)
	}
}

// nothingRuns tells whether nothing is, or may be, active here or in flight. What a
// migration brings is active before the executor has heard of it.
func (c *Core) nothingRuns() bool {
	m := c.state.Member(c.self.Node)
	return c.executor.Idle() && (m == nil || m.Incarnation.Boot != c.self.Boot || len(m.Arriving) == 0)
}

// noQuorumPolicy returns what a node without quorum does: stop, fence, demote,
// freeze or ignore.
func (c *Core) noQuorumPolicy() string {
	switch policy := c.state.Config.Option("no-quorum-policy", "no-quorum", "no_quorum"); policy {
	case "freeze", "ignore", "demote", "fence":
		return policy
	case "suicide":
		return "fence"
	default:
		return "stop"
	}
}
