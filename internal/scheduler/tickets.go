package scheduler

import "linuxha/internal/cluster"

// ticketRule makes one resource depend on a ticket (SEMANTICS 30).
type ticketRule struct {
	id     string
	ticket string
	role   role
	policy string // stop demote fence freeze
}

// readTickets reads the ticket constraints and applies what missing tickets
// demand.
func (rn *run) readTickets() {
	for i := range rn.config.TicketRules {
		c := &rn.config.TicketRules[i]
		if c.Ticket == "" {
			continue
		}
		ids, _ := rn.expandReference(c.Resource)
		for _, id := range ids {
			rn.addTicketRule(c, id, c.Role)
		}
		for _, s := range rn.expandSets(c.Sets) {
			if !rn.addTicketRules(c, &s) {
				break
			}
		}
	}
}

func (rn *run) addTicketRules(c *cluster.TicketRule, s *cluster.ResourceSet) bool {
	for _, id := range s.Resources {
		if !rn.addTicketRule(c, id, s.Role) {
			return false
		}
	}
	return true
}

// addTicketRule returns false if there is no such resource, so that the rest of
// the constraint does not count.
func (rn *run) addTicketRule(c *cluster.TicketRule, id, roleText string) bool {
	r := rn.constraintResource(id)
	if r == nil {
		rn.warn("ticket constraint " + c.ID + " counts only up to " + id + ", which does not exist")
		return false
	}
	t := &ticketRule{id: c.ID, ticket: c.Ticket, role: parseRole(roleText), policy: c.LossPolicy}
	if t.role == roleStarted {
		t.role = roleUnknown // whatever runs is at least started
	}
	switch t.policy {
	case "fence":
		if !rn.options.fencing {
			t.policy = "stop"
		}
	case "stop", "demote", "freeze":
	default:
		t.policy = "stop"
		if t.role == rolePromoted {
			t.policy = "demote"
		}
	}
	r.tickets = append(r.tickets, t)
	rn.applyTicket(r, t)
	return true
}

// ticketState tells whether a ticket is granted and in standby; one without any
// state is not granted.
func (rn *run) ticketState(id string) (granted, standby bool) {
	t := rn.tickets[id]
	if t == nil {
		return false, false
	}
	return isTrue(t.Granted), isTrue(t.Standby)
}

func (rn *run) applyTicket(r *resource, t *ticketRule) {
	granted, standby := rn.ticketState(t.ticket)
	if granted && !standby {
		return
	}
	if parts := r.parts(); len(parts) > 0 {
		for _, c := range parts {
			rn.applyTicket(c, t)
		}
		return
	}
	why := "ticket " + t.ticket
	if granted || len(r.active) == 0 {
		if t.role != rolePromoted || t.policy == "stop" {
			rn.ban(r, nil, -infinity, why)
		}
		return
	}
	roleMatches := t.role == roleUnknown || t.role == r.role
	switch t.policy {
	case "stop":
		rn.ban(r, nil, -infinity, why)
	case "demote":
		if t.role != rolePromoted { // else promotion is barred when roles are chosen
			rn.ban(r, nil, -infinity, why)
		}
	case "fence":
		if roleMatches {
			rn.ban(r, nil, -infinity, why)
			for _, n := range r.active {
				rn.fenceNode(n, why+" was lost", false)
			}
		}
	case "freeze":
		if roleMatches {
			r.managed = false
			r.blocked = true
		}
	}
}

// requirePromotionTickets bars r from every node for promotion if a ticket that
// the promoted role needs is missing.
func (rn *run) requirePromotionTickets(r *resource) {
	for _, t := range r.tickets {
		if granted, standby := rn.ticketState(t.ticket); t.role == rolePromoted && (!granted || standby) {
			rn.ban(r, nil, -infinity, "ticket "+t.ticket)
			return
		}
	}
}
