package cluster

import (
	"fmt"
	"slices"
	"time"
)

// Rejection says why a command had no effect.
type Rejection struct {
	Kind string // conflict, unsafe, not-found, invalid
	Text string // what was wrong, and what to do
}

func (r *Rejection) Error() string { return r.Text }

func reject(kind, format string, args ...any) *Rejection {
	return &Rejection{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// Apply returns the state after entry e, which stands at index in the log, and
// for each of its commands nil or why it had no effect. It is a pure and total
// function: s stays as it is and may be read on, and every node that applies the
// same entries gets the same states. The safety rules that can be seen in the
// State alone are enforced here, whatever a leader proposes.
func (s *State) Apply(index uint64, e *Entry) (*State, []*Rejection) {
	a := newApplier(s, index, e.Time)
	rejections := make([]*Rejection, len(e.Commands))
	failed := -1
	for i := range e.Commands {
		if rejections[i] = a.command(&e.Commands[i]); rejections[i] != nil && failed < 0 {
			failed = i
		}
	}
	if e.Atomic && failed >= 0 {
		a = newApplier(s, index, e.Time)
		for i := range rejections {
			if rejections[i] == nil {
				rejections[i] = reject(rejections[failed].Kind, "%s", rejections[failed].Text)
			}
		}
	}
	return a.s, rejections
}

// applier is the work on one entry. The state that it builds shares everything
// with the one before, except what it has copied.
type applier struct {
	s    *State
	time time.Time

	ownMembers  bool
	ownHistory  map[string]bool // members whose History was copied
	ownGrants   bool
	ownFencings bool
}

func newApplier(s *State, index uint64, now time.Time) *applier {
	next := *s
	next.Index = max(index, s.Index)
	return &applier{s: &next, time: now}
}

// command applies one command.
func (a *applier) command(c *Command) *Rejection {
	if n := c.members(); n != 1 {
		return reject("invalid", "a command has %d kinds, must have one", n)
	}
	if a.s.Lineage.ID == "" && c.Init == nil {
		return reject("invalid", "the cluster does not exist yet: its first command must be init")
	}
	switch {
	case c.Init != nil:
		return a.init(c.Init)
	case c.Fork != nil:
		return a.fork(c.Fork)
	case c.Admit != nil:
		return a.admit(c.Admit)
	case c.Remove != nil:
		return a.remove(c.Remove)
	case c.Node != nil:
		return a.node(c.Node)
	case c.Report != nil:
		return a.report(c.Report)
	case c.Voters != nil:
		return a.voters(c.Voters)
	case c.Config != nil:
		return a.config(c.Config)
	case c.Grant != nil:
		return a.grant(c.Grant)
	case c.Release != nil:
		return a.release(c.Release)
	case c.History != nil:
		return a.history(c.History)
	case c.Forget != nil:
		return a.forget(c.Forget)
	case c.Attribute != nil:
		return a.attribute(c.Attribute)
	case c.Fence != nil:
		return a.fenceBegin(c.Fence)
	case c.FenceDone != nil:
		return a.fenceEnd(c.FenceDone)
	case c.Ticket != nil:
		return a.ticket(c.Ticket)
	case c.Token != nil:
		return a.token(c.Token)
	case c.Move != nil:
		return a.move(c.Move)
	case c.MoveDone != nil:
		return a.moveDone(c.MoveDone)
	case c.Transition != nil:
		return a.transition(c.Transition)
	case c.Device != nil:
		return a.device(c.Device)
	case c.Format != nil:
		return a.format(c.Format)
	default:
		a.event(*c.Event)
		return nil
	}
}

// members counts the members of c that are set.
func (c *Command) members() int {
	n := 0
	for _, set := range []bool{
		c.Init != nil, c.Fork != nil, c.Admit != nil, c.Remove != nil, c.Node != nil, c.Report != nil, c.Voters != nil,
		c.Config != nil, c.Grant != nil, c.Release != nil, c.History != nil, c.Forget != nil, c.Attribute != nil,
		c.Fence != nil, c.FenceDone != nil, c.Ticket != nil, c.Token != nil, c.Move != nil, c.MoveDone != nil,
		c.Transition != nil, c.Event != nil, c.Device != nil, c.Format != nil,
	} {
		if set {
			n++
		}
	}
	return n
}

// member returns the member called name for changing, or nil.
func (a *applier) member(name string) *Member {
	i := a.s.memberIndex(name)
	if i < 0 {
		return nil
	}
	if !a.ownMembers {
		a.s.Members = slices.Clone(a.s.Members)
		a.ownMembers = true
	}
	return &a.s.Members[i]
}

// memberIndex returns where the member called name stands, or -1.
func (s *State) memberIndex(name string) int {
	i, found := slices.BinarySearchFunc(s.Members, name, func(m Member, name string) int {
		return compareText(m.Name, name)
	})
	if !found {
		return -1
	}
	return i
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// grants returns the grants for changing.
func (a *applier) grants() []Grant {
	if !a.ownGrants {
		a.s.Grants = slices.Clone(a.s.Grants)
		a.ownGrants = true
	}
	return a.s.Grants
}

// fencings returns the fencings for changing.
func (a *applier) fencings() []Fencing {
	if !a.ownFencings {
		a.s.Fencings = slices.Clone(a.s.Fencings)
		a.ownFencings = true
	}
	return a.s.Fencings
}

// eventTail lets one state after the other append to the same array of events:
// only the newest, whose next event is the array's next, may do so without a
// copy. Events are never changed once written.
type eventTail struct{ next uint64 }

// event appends to the event log.
func (a *applier) event(e Event) {
	s := a.s
	s.NextEvent = max(s.NextEvent, 1)
	e.Number = s.NextEvent
	s.NextEvent++
	if e.Time.IsZero() {
		e.Time = a.time
	}
	if e.Severity == "" {
		e.Severity = "info"
	}
	if s.eventTail == nil || s.eventTail.next != e.Number {
		s.Events = slices.Clone(s.Events)
		s.eventTail = &eventTail{}
	}
	s.Events = append(s.Events, e)
	s.eventTail.next = s.NextEvent
	if extra := len(s.Events) - EventLimit; extra > 0 {
		s.Events = s.Events[extra:]
	}
}

func (a *applier) config(c *ConfigChange) *Rejection {
	if c.Base != 0 && c.Base != a.s.Revision {
		return reject("conflict", "the configuration was changed meanwhile (revision %d, yours was made from %d): look at it again and repeat", a.s.Revision, c.Base)
	}
	a.s.Config = c.Config
	a.s.Revision = a.s.Index
	text := "configuration changed"
	if c.By != "" {
		text += " by " + c.By
	}
	if c.Note != "" {
		text += ": " + c.Note
	}
	a.event(Event{Kind: "config", Text: text})
	return nil
}

func (a *applier) ticket(t *Ticket) *Rejection {
	if t.ID == "" {
		return reject("invalid", "a ticket needs a name")
	}
	tickets := slices.Clone(a.s.Tickets)
	i, found := slices.BinarySearchFunc(tickets, t.ID, func(t Ticket, id string) int { return compareText(t.ID, id) })
	ticket := *t
	if found {
		if ticket.LastGranted.IsZero() {
			ticket.LastGranted = tickets[i].LastGranted
		}
	} else {
		tickets = slices.Insert(tickets, i, Ticket{})
	}
	if ticket.Granted && !tickets[i].Granted {
		ticket.LastGranted = a.time
	}
	tickets[i] = ticket
	a.s.Tickets = tickets
	a.event(Event{Kind: "config", Text: fmt.Sprintf("ticket %s: granted %t, standby %t", t.ID, t.Granted, t.Standby)})
	return nil
}

// token keeps a join token; those that have run out go.
func (a *applier) token(t *Token) *Rejection {
	if t.Hash == "" {
		return reject("invalid", "a join token needs a hash")
	}
	tokens := slices.DeleteFunc(slices.Clone(a.s.Tokens), func(old Token) bool {
		return old.Hash == t.Hash || !old.Expires.After(a.time)
	})
	a.s.Tokens = append(tokens, *t)
	return nil
}

func (a *applier) move(m *Move) *Rejection {
	if a.s.Config.FindResource(m.Resource) == nil {
		return reject("not-found", "there is no resource %s", m.Resource)
	}
	for _, node := range []string{m.Node, m.Away} {
		if node != "" && a.s.Member(node) == nil {
			return reject("not-found", "there is no node %s", node)
		}
	}
	if m.Node == "" && m.Away == "" {
		return reject("invalid", "a move of %s needs a node to go to or to leave", m.Resource)
	}
	move := *m
	if move.Begun.IsZero() {
		move.Begun = a.time
	}
	moves := slices.DeleteFunc(slices.Clone(a.s.Moves), func(old Move) bool { return old.Resource == m.Resource })
	a.s.Moves = append(moves, move)
	return nil
}

func (a *applier) moveDone(m *Move) *Rejection {
	i := slices.IndexFunc(a.s.Moves, func(old Move) bool {
		return old.Resource == m.Resource && old.Node == m.Node && old.Away == m.Away
	})
	if i < 0 {
		return reject("not-found", "there is no such move of %s", m.Resource)
	}
	a.s.Moves = slices.Delete(slices.Clone(a.s.Moves), i, i+1)
	return nil
}

func (a *applier) transition(t *TransitionChange) *Rejection {
	if !t.Ended {
		if t.Number <= a.s.Transition {
			return reject("conflict", "transition %d has begun already, the newest is %d", t.Number, a.s.Transition)
		}
		a.s.Transition = t.Number
		return nil
	}
	if t.Outcome != "complete" {
		a.event(Event{Kind: "transition", Text: fmt.Sprintf("transition %d: %s", t.Number, t.Outcome)})
	}
	return nil
}
