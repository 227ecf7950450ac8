package scheduler

// factor is one contribution to a resource's score on a node (nil: every node).
type factor struct {
	node  *node
	cause string // the id of a constraint, or a word
	score score
}

// note remembers one contribution to r's score on n (nil: every node), for the
// reasons of the plan.
func (rn *run) note(r *resource, n *node, cause string, s score) {
	if !rn.opts.Reasons || s == 0 {
		return
	}
	rn.factors[r] = append(rn.factors[r], factor{n, cause, s})
}

// snapshot is r's scores before a change that noteChange will be told of; nil if
// no reasons are wanted.
func (rn *run) snapshot(r *resource) scoreVector {
	if !rn.opts.Reasons {
		return nil
	}
	return r.allowed.clone()
}

// noteChange remembers by how much cause changed r's scores since the snapshot.
func (rn *run) noteChange(r *resource, before scoreVector, cause string) {
	for i, old := range before {
		now := r.allowed[i]
		if now == old || now == absent {
			continue
		}
		change := clampScore(int64(now) - int64(old))
		if now <= -infinity || now >= infinity {
			change = now
		}
		rn.factors[r] = append(rn.factors[r], factor{rn.nodes[i], cause, change})
	}
}
