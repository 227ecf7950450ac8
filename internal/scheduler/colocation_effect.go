package scheduler

// The instances of a clone all get the same preferences of what depends on the
// clone, which may be a long chain. Their sum is worked out once, and added to an
// instance's scores if the order of additions cannot matter there.

// mergeEffect is what merging one colocation's dependent, and all that depends
// on that in turn, adds to each node's score: in all, and at the least and most on
// the way there.
type mergeEffect struct {
	sums   int // generation in which it was worked out; see run.sums
	ok     bool
	total  []int64
	lowest []int64
	most   []int64
	never  []bool // -INFINITY is among the additions
	always []bool // INFINITY is
}

// mergeAtOnce does what mergePreferences does for r, an instance of a clone, with
// source, one side of a constraint on that clone, if one addition can do it.
func (rn *run) mergeAtOnce(source, r *resource, scores scoreVector, c *colocation, flags mergeFlags) bool {
	if rn.mergeApart || !r.inClone() || source.inClone() || rn.seesHosts(r) {
		return false
	}
	e := rn.effectOfMerging(source, c)
	if !e.ok {
		return false
	}
	positive := flags&mergePositive != 0
	some := false // a node stays available all the way
	from, end := rn.mergeRange()
	for i := from; i < end; i++ {
		s := int64(scores[i])
		if s <= int64(-infinity) || s == int64(absent) || s >= int64(infinity) {
			if s >= int64(infinity) && !e.never[i] && rn.nodes[i].availableWithGuest() {
				some = true
			} else if s >= int64(infinity) && e.never[i] && positive {
				return false
			}
			continue
		}
		if e.never[i] || e.always[i] {
			if positive || !e.never[i] && s+e.lowest[i] <= int64(-infinity) {
				return false
			}
			continue
		}
		low, high := s+e.lowest[i], s+e.most[i]
		if low <= int64(-infinity) || high >= int64(infinity) || positive && (s >= 0) != (low >= 0 && high >= 0) {
			return false
		}
		if low >= 0 && rn.nodes[i].availableWithGuest() {
			some = true
		}
	}
	if !some {
		return false
	}
	for i := from; i < end; i++ {
		switch s := scores[i]; {
		case s == absent || s <= -infinity:
		case e.never[i]:
			scores[i] = -infinity
		case s >= infinity:
		case e.always[i]:
			scores[i] = infinity
		default:
			scores[i] = s + score(e.total[i])
		}
	}
	return true
}

// effectOfMerging returns the effect of merging one side of c.
func (rn *run) effectOfMerging(source *resource, c *colocation) *mergeEffect {
	side := 0
	if source == c.primary {
		side = 1
	}
	e := c.effects[side]
	if e != nil && e.sums == rn.sums {
		return e
	}
	n := len(rn.nodes)
	if e == nil {
		e = &mergeEffect{total: make([]int64, n), lowest: make([]int64, n), most: make([]int64, n), never: make([]bool, n), always: make([]bool, n)}
		c.effects[side] = e
	}
	e.sums, e.ok = rn.sums, true
	for i := range n {
		e.total[i], e.lowest[i], e.most[i], e.never[i], e.always[i] = 0, 0, 0, false, false
	}
	rn.addEffect(e, source, c, c.factor())
	return e
}

// addEffect takes the way of mergePreferences through what depends on source.
func (rn *run) addEffect(e *mergeEffect, source *resource, c *colocation, factor float32) {
	if source.merging || !e.ok {
		return
	}
	source.merging = true
	defer func() { source.merging = false }()
	if source.isGroup() {
		if len(source.children) > 0 {
			rn.addEffect(e, source.children[0], c, factor)
		}
		return
	}
	if c.attribute != "" || rn.seesHosts(source) {
		e.ok = false
		return
	}
	best := rn.bestScores(source, source, c)
	for i := range rn.nodes {
		preference := best.at(i)
		if c.disregards(preference, factor) {
			continue
		}
		switch s := preference.scale(factor); {
		case s <= -infinity:
			e.never[i] = true
		case s >= infinity:
			e.always[i] = true
		default:
			e.total[i] += int64(s)
			e.lowest[i] = min(e.lowest[i], e.total[i])
			e.most[i] = max(e.most[i], e.total[i])
		}
	}
	for _, next := range withThisOf(source) {
		if next.hasInfluence(nil) {
			rn.addEffect(e, next.dependent, next, float32(factor*float32(next.score))/float32(infinity))
		}
	}
}
