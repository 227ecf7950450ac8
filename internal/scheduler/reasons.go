package scheduler

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

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

// writeReasons says of every primitive why it is where it will be: the causes
// without which it would be elsewhere, and the other contributions after them.
func (rn *run) writeReasons() {
	if !rn.opts.Reasons {
		return
	}
	for _, r := range rn.all {
		if r.isPrimitive() {
			rn.plan.Reasons = append(rn.plan.Reasons, rn.reasonFor(r))
		}
	}
	sort.SliceStable(rn.plan.Reasons, func(i, j int) bool {
		return rn.plan.Reasons[i].Instance < rn.plan.Reasons[j].Instance
	})
}

func (rn *run) reasonFor(r *resource) Reason {
	out := Reason{Instance: r.id}
	if r.assigned != nil {
		out.Node = r.assigned.name
	}
	if !r.managed || r.blocked {
		out.Summary = "left as it is: " + unmanagedWhy(rn, r)
		return out
	}
	if rn.options.stopAll {
		out.Summary = "stopped: stop-all-resources is set"
		return out
	}
	rn.factors[r] = sumUp(rn.factors[r])
	causes := rn.decisive(r)
	for _, c := range causes {
		out.Because = append(out.Because, rn.describe(r, c)...)
	}
	decided := len(out.Because)
	out.Because = append(out.Because, rn.otherFactors(r, causes)...)
	switch {
	case r.assigned == nil && r.removed && !r.removedInstance:
		out.Summary = "stopped: it is not configured any more"
	case r.assigned == nil && r.target == roleStopped:
		out.Summary = "stopped: its target role is Stopped"
	case r.assigned == nil:
		out.Summary = "cannot run anywhere" + rn.obstacles(r)
	case decided > 0:
		out.Summary = "on " + r.assigned.name + " because of " + strings.Join(causes, ", ")
	default:
		out.Summary = "on " + r.assigned.name + ": " + rn.tieBreak(r)
	}
	return out
}

// sumUp makes one contribution of those of one cause on one node: a person wants to
// know once that a ticket is missing which two constraints ask for.
func sumUp(factors []factor) []factor {
	type key struct {
		node  *node
		cause string
	}
	var out []factor
	at := make(map[key]int, len(factors))
	for _, f := range factors {
		if i, found := at[key{f.node, f.cause}]; found {
			out[i].score = out[i].score.add(f.score)
			continue
		}
		at[key{f.node, f.cause}] = len(out)
		out = append(out, f)
	}
	return out
}

func unmanagedWhy(rn *run, r *resource) string {
	switch {
	case r.blocked:
		return "blocked after a failure that cannot be recovered from safely"
	case rn.options.maintenance:
		return "the cluster is in maintenance mode"
	case r.maintenance:
		return "it, or its node, is in maintenance"
	case rn.options.fencing && !rn.fencingReady:
		return "fencing is enabled but no fence device is configured"
	}
	return "it is not managed"
}

// instancesPerNode is the cause that keeps a clone from putting more instances on a node.
const instancesPerNode = "instances per node"

// mostObstacles is how many obstacles a summary names; the reasons have all of them.
const mostObstacles = 3

// obstacles says, node by node, what keeps r, which has no place, from there: ": ...", or
// "" if nothing was noted. What forbids it on every node is said once.
func (rn *run) obstacles(r *resource) string {
	var out []string
	add := func(text string) {
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for i, n := range rn.nodes {
		why := n.unavailable()
		f, forbidden := rn.forbiddenBy(r, n)
		switch {
		case why != "" && r.allowed[i] != absent:
			add(n.name + " " + why)
		case forbidden && f.cause == instancesPerNode:
			add(n.name + " has an instance already")
		case forbidden && f.node == nil:
			add(f.cause + " forbids it")
		case forbidden:
			add(f.cause + " forbids it on " + n.name)
		}
	}
	if len(out) == 0 {
		return ""
	}
	if more := len(out) - mostObstacles; more > 0 {
		out = append(out[:mostObstacles], fmt.Sprintf("and %d more", more))
	}
	return ": " + strings.Join(out, ", ")
}

// forbiddenBy finds the first contribution that forbids r on n.
func (rn *run) forbiddenBy(r *resource, n *node) (factor, bool) {
	for _, f := range rn.factors[r] {
		if f.score <= -infinity && (f.node == nil || f.node == n) {
			return f, true
		}
	}
	return factor{}, false
}

// unavailable says why n cannot run anything, "" if it can.
func (n *node) unavailable() string {
	switch {
	case n.available():
		return ""
	case n.unclean:
		return "must be fenced"
	case !n.online:
		return "offline"
	case n.shutdown:
		return "shutting down"
	case n.pending:
		return "still joining"
	case n.standby:
		return "in standby"
	}
	return "in maintenance"
}

// decisive returns the causes without which r would have been placed elsewhere:
// each is left out in turn, and the best node looked for again among the
// contributions that were noted.
func (rn *run) decisive(r *resource) []string {
	var out []string
	for _, cause := range rn.causesOf(r) {
		if best := rn.bestWithout(r, cause); best != r.assigned {
			out = append(out, cause)
		}
	}
	return out
}

// causesOf lists what contributed to r's scores, and the nodes that cannot run
// anything, in the order in which they came up.
func (rn *run) causesOf(r *resource) []string {
	seen := map[string]bool{}
	var out []string
	for _, f := range rn.factors[r] {
		if !seen[f.cause] {
			seen[f.cause] = true
			out = append(out, f.cause)
		}
	}
	for i, n := range rn.nodes {
		if why := n.unavailable(); why != "" && r.allowed[i] != absent {
			out = append(out, nodeCause(n))
		}
	}
	return out
}

// nodeCause names the state of a node as a cause.
func nodeCause(n *node) string { return "node " + n.name + " " + n.unavailable() }

// bestWithout is the node that r would go to if one cause did not exist, as far
// as the noted contributions tell; nil if none.
func (rn *run) bestWithout(r *resource, cause string) *node {
	scores := make(scoreVector, len(rn.nodes))
	for i, n := range rn.nodes {
		switch {
		case r.allowed[i] == absent:
			scores[i] = absent
		case n.available():
			scores[i] = n.score
		default:
			scores[i] = 0 // its score stands for what makes it unavailable
		}
	}
	for _, f := range rn.factors[r] {
		if f.cause == cause {
			continue
		}
		for i, n := range rn.nodes {
			if scores[i] != absent && (f.node == nil || f.node == n) {
				scores[i] = scores[i].add(f.score)
			}
		}
	}
	var best *node
	var bestScore score
	for i, n := range rn.nodes {
		s := scores[i]
		if s == absent || s < 0 || (!n.available() && cause != nodeCause(n)) {
			continue
		}
		if best == nil || s > bestScore || (s == bestScore && n == r.assigned) {
			best, bestScore = n, s
		}
	}
	return best
}

// describe gives the contributions of one cause to r.
func (rn *run) describe(r *resource, cause string) []Factor {
	var out []Factor
	for _, f := range rn.factors[r] {
		if f.cause == cause {
			out = append(out, factorOf(f))
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, n := range rn.nodes {
		if n.unavailable() != "" && nodeCause(n) == cause {
			return []Factor{{Node: n.name, Constraint: n.state(), Score: (-infinity).String(),
				Text: n.name + " is " + n.unavailable()}}
		}
	}
	return nil
}

func factorOf(f factor) Factor {
	out := Factor{Constraint: f.cause, Score: f.score.String(), Text: f.cause + " gives " + f.score.String()}
	if f.score <= -infinity {
		out.Text = f.cause + " forbids it"
	}
	if f.node != nil {
		out.Node = f.node.name
		out.Text += " on " + f.node.name
	} else {
		out.Text += " on every node"
	}
	return out
}

// otherFactors gives the contributions that did not decide.
func (rn *run) otherFactors(r *resource, decisive []string) []Factor {
	decided := map[string]bool{}
	for _, c := range decisive {
		decided[c] = true
	}
	var out []Factor
	for _, f := range rn.factors[r] {
		if !decided[f.cause] {
			out = append(out, factorOf(f))
		}
	}
	return out
}

// tieBreak says what decided among nodes of equal score.
func (rn *run) tieBreak(r *resource) string {
	equal, possible := 0, 0
	for i, n := range rn.nodes {
		if !n.available() || r.allowed[i] == absent || r.allowed[i] < 0 {
			continue
		}
		possible++
		if r.allowed[i] == r.assignedScore {
			equal++
		}
	}
	switch {
	case possible <= 1:
		return "no other node may run it"
	case equal <= 1:
		return "no other node has as high a score"
	case r.activeOn(r.assigned):
		return "as good as any other node, and it is there already"
	}
	return "of the equally good nodes the one with the fewest resources, then the first by name"
}
