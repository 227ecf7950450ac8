package scheduler

// readTickets applies the ticket constraints (SEMANTICS 30).
func (rn *run) readTickets() {}
