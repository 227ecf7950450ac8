package scheduler

// note remembers one contribution to r's score on n (nil: every node), for the
// reasons of the plan.
func (rn *run) note(r *resource, n *node, cause string, s score) {
	if !rn.opts.Reasons || s == 0 {
		return
	}
	rn.factors[r] = append(rn.factors[r], factor{n, cause, s})
}

// factor is one contribution to a resource's score on a node (nil: every node).
type factor struct {
	node  *node
	cause string
	score score
}

// noteColocation remembers that a colocation decided where r may be.
func (rn *run) noteColocation(r, primary *resource, c *colocation) {
	if rn.opts.Reasons {
		rn.factors[r] = append(rn.factors[r], factor{primary.assigned, c.id, c.score})
	}
}
