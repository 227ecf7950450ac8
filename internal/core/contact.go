package core

import (
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// contact is this node's lease of quorum (rule 8): granted by the leader, after a
// majority has confirmed it, counted on the boot-time clock from when this node
// asked.
type contact struct {
	until    time.Duration // Boot: end of the lease
	had      bool          // a leader has ever answered
	nextAsk  time.Duration // Mono
	askedTo  uint64        // leader that was last asked
	gaveUp   bool          // the lease has run out, and the policy is carried out
	watchdog event.WatchdogState

	// The leader's side.
	waiting []waitingContact
	round   bool // a confirmation is under way
	own     time.Duration
}

type waitingContact struct {
	from   cluster.Incarnation
	sentAt time.Duration
}

// lease is how long contact lasts: the stall time, so that the election after a
// leader's crash does not make anyone stop.
func (c *Core) lease() time.Duration { return c.detector.Times().Stall }

func (k *contact) watchdogTimeout() time.Duration {
	if !k.watchdog.Armed {
		return 0
	}
	return k.watchdog.Timeout
}

// keepContact renews the lease, and acts when it has run out.
func (c *Core) keepContact() {
	k := &c.contact
	now := c.now
	if k.until == 0 {
		k.until = now.Boot + c.lease() // the first lease has to be earned within its own time
	}
	leader := c.raft.Leader()
	switch {
	case c.lead.active:
		c.answerContacts()
	case leader != 0 && leader != c.identity.RaftID && (now.Mono >= k.nextAsk || leader != k.askedTo):
		k.nextAsk, k.askedTo = now.Mono+max(c.detector.Times().Interval, c.lease()/16), leader
		c.send(c.nodeOf(leader), event.Message{Contact: &event.Contact{SentAt: now.Boot}})
	}
	c.judgeContact()
}

// answerContacts asks the majority whether this node still leads, and answers who
// asked before.
func (c *Core) answerContacts() {
	k := &c.contact
	if k.round || !c.settled() || len(k.waiting) == 0 && c.now.Mono < k.nextAsk {
		return
	}
	k.round, k.nextAsk = true, c.now.Mono+max(c.detector.Times().Interval, c.lease()/16)
	list, term, asked := k.waiting, c.lead.term, c.now.Boot
	k.waiting = nil
	c.confirmThen(func() {
		k.round = false
		if c.lead.term != term {
			return
		}
		k.until, k.had = max(k.until, asked+c.lease()), true
		for _, w := range list {
			// A lost node is never given contact.
			if m := c.state.Member(w.from.Node); m != nil && m.Incarnation == w.from && m.State != cluster.NodeLost && !m.Off() {
				c.send(w.from.Node, event.Message{For: w.from, Contact: &event.Contact{SentAt: w.sentAt, Answer: true}})
			}
		}
	})
}

// contacted takes a lease request, or the answer to ours.
func (c *Core) contacted(m *event.Message) {
	k := &c.contact
	if m.Contact.Answer {
		if m.For == c.self && m.Term >= c.raft.Term() {
			k.until, k.had = max(k.until, m.Contact.SentAt+c.lease()), true
		}
		return
	}
	if c.lead.active && len(k.waiting) < 1000 {
		k.waiting = append(k.waiting, waitingContact{m.From, m.Contact.SentAt})
	}
}

// inContact tells whether this node may count on a quorate leader. Two voters
// keep what they were granted: nothing can be recovered against them without
// rule 6, and time is no vote.
func (c *Core) inContact() bool { return c.now.Boot < c.contact.until || c.pair() }

// pair tells whether there are two voters and no other.
func (c *Core) pair() bool {
	conf := c.raft.Conf()
	return len(conf.GetVoters()) == 2 && len(conf.GetVotersOutgoing()) == 0
}

// judgeContact gives up what the policy says when the lease has run out.
func (c *Core) judgeContact() {
	k := &c.contact
	switch {
	case c.inContact() && k.gaveUp:
		k.gaveUp = false
		c.executor.Resume()
	case !c.inContact() && !k.gaveUp:
		k.gaveUp = true
		c.trace("no contact with a quorate leader for %v", c.lease())
		c.executor.StopAll(c.now, c.noQuorumPolicy())
	}
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
