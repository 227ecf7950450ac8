package scheduler

// A clone and its instances all get the same preferences of what depends on the
// clone, which may be a long chain. Their sum is worked out once, and added to
// scores at once where the order of additions cannot matter.

// mergeEffect is what merging one side of a colocation, and all that depends on
// that in turn, adds to each node's score.
type mergeEffect struct {
	ok        bool // it is as simple as that
	checked   int  // run.scorings when it was last found to hold
	connected int  // run.connected when it was worked out
	from      []scoring
	nodes     []nodeEffect
}

// nodeEffect is what is added to the score of one node: in all, the least and the
// most on the way there, and every step.
type nodeEffect struct {
	total, lowest, most int64
	never, always       bool // -INFINITY, INFINITY is among the additions
	steps               []score
}

// mergeEnd is the step at which one resource, with all that depends on it, has
// been merged.
const mergeEnd score = -1 << 31

// mostEffects bounds how much is summed up, which grows with the ways through
const mostEffects = 1 << 16

// scoring is a resource whose scores something was worked out from.
type scoring struct {
	resource *resource
	version  int
}

// rescore is to be called before (begins) and after the scores of r, which is no
// instance, change during placement.
func (rn *run) rescore(r *resource, begins bool) {
	rn.scorings++
	r.scored, r.rescoring = rn.scorings, begins
}

// forgetEffects is to be called when something else about r changes.
func (rn *run) forgetEffects(r *resource) {
	for _, list := range [...][]*colocation{r.thisWith, r.withThis} {
		for _, c := range list {
			c.effects = [2]*mergeEffect{}
		}
	}
}

// holds tells whether e is as it would be worked out now.
func (e *mergeEffect) holds(rn *run) bool {
	if e.checked == rn.scorings {
		return true
	}
	if e.connected != rn.connected {
		return false
	}
	for _, s := range e.from {
		if s.resource.scored != s.version {
			return false
		}
	}
	e.checked = rn.scorings
	return true
}

// mergeAtOnce does what mergePreferences does for r with source, one side of a
// constraint on it, if what has been worked out can tell.
func (rn *run) mergeAtOnce(source, r *resource, scores scoreVector, c *colocation, flags mergeFlags) bool {
	if rn.mergeApart || source.inClone() || rn.seesHosts(r) {
		return false
	}
	e := rn.effectOfMerging(source, c)
	if !e.ok {
		return false
	}
	if n := rn.mergeOnly; n != nil {
		sum, stays, ok := e.nodes[n.index].merge(scores[n.index], flags)
		if ok = ok && stays && n.availableWithGuest(); ok {
			scores[n.index] = sum
		}
		return ok
	}
	after := rn.scratch.copyOf(scores)
	defer rn.scratch.release(after)
	some := false // a node stays available all the way
	for i, s := range scores {
		if s == absent {
			continue
		}
		sum, stays, ok := e.nodes[i].merge(s, flags)
		if !ok {
			return false
		}
		after[i] = sum
		some = some || stays && rn.nodes[i].availableWithGuest()
	}
	if some {
		copy(scores, after)
	}
	return some
}

// merge adds x to s; stays tells whether the score is at least 0 all the way. It
// is not ok if the sum cannot be told.
func (x *nodeEffect) merge(s score, flags mergeFlags) (sum score, stays, ok bool) {
	if flags&mergePositive != 0 {
		sum, stays = x.addPositive(s)
		return sum, stays, true
	}
	return x.addTo(s)
}

// addTo is merge without flags. It is not ok if a sum would be clamped on the way.
func (x *nodeEffect) addTo(s score) (sum score, stays, ok bool) {
	low, high := int64(s)+x.lowest, int64(s)+x.most
	switch {
	case s <= -infinity || x.never:
		return -infinity, false, true
	case s >= infinity:
		return infinity, true, true
	case low <= int64(-infinity):
		return s, false, false
	case x.always:
		return infinity, low >= 0, true
	}
	return s + score(x.total), low >= 0, high < int64(infinity)
}

// addPositive is merge where no score may turn negative; see addScaled.
func (x *nodeEffect) addPositive(s score) (sum score, stays bool) {
	stays = s >= 0
	for _, step := range x.steps {
		switch {
		case step == mergeEnd:
			if s == frozen {
				s = 1
			}
		case s == frozen:
		default:
			sum := step.add(s)
			switch {
			case sum >= 0 || s < 0:
				s = sum
			case s > 0:
				s, stays = frozen, false
			}
		}
	}
	return s, stays && s >= 0
}

// effectOfMerging returns the effect of merging one side of c.
func (rn *run) effectOfMerging(source *resource, c *colocation) *mergeEffect {
	side := 0
	if source == c.primary {
		side = 1
	}
	if e := c.effects[side]; e != nil && e.holds(rn) {
		return e
	}
	e := &mergeEffect{ok: true, checked: rn.scorings, connected: rn.connected, nodes: make([]nodeEffect, len(rn.nodes))}
	if side == 1 {
		e.from = append(e.from, scoring{c.dependent, c.dependent.scored})
	}
	rn.addEffect(e, source, c, c.factor())
	c.effects[side] = e
	return e
}

// addEffect takes the way of mergePreferences through what depends on source. What
// comes back to where it began, or is being placed now, is not that simple.
func (rn *run) addEffect(e *mergeEffect, source *resource, c *colocation, factor float32) {
	e.from = append(e.from, scoring{source, source.scored})
	if !e.ok || source.merging || source.rescoring || len(e.from) >= mostEffects || c.attribute != "" || rn.seesHosts(source) {
		e.ok = false
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
	best := rn.bestScores(source, source, c)
	for i := range rn.nodes {
		preference := best.at(i)
		if c.disregards(preference, factor) {
			continue
		}
		x := &e.nodes[i]
		switch s := preference.scale(factor); {
		case s == 0:
			continue
		case s <= -infinity:
			x.never = true
			x.steps = append(x.steps, s)
		case s >= infinity:
			x.always = true
			x.steps = append(x.steps, s)
		default:
			x.add(&nodeEffect{total: int64(s), lowest: int64(s), most: int64(s), steps: []score{s}})
		}
	}
	for _, next := range withThisOf(source) {
		if !next.hasInfluence(nil) {
			continue
		}
		if factor == 1 && !next.dependent.inClone() { // it has the same effect here as for its own primary
			e.addAll(rn.effectOfMerging(next.dependent, next))
		} else {
			rn.addEffect(e, next.dependent, next, float32(factor*float32(next.score))/float32(infinity))
		}
	}
	e.end()
}

// add appends further additions.
func (x *nodeEffect) add(o *nodeEffect) {
	x.lowest, x.most = min(x.lowest, x.total+o.lowest), max(x.most, x.total+o.most)
	x.total += o.total
	x.never, x.always = x.never || o.never, x.always || o.always
	x.steps = append(x.steps, o.steps...)
}

// addAll appends another effect.
func (e *mergeEffect) addAll(o *mergeEffect) {
	e.from = append(e.from, o.from...)
	e.ok = e.ok && o.ok && len(e.from) < mostEffects
	for i := range o.nodes {
		e.nodes[i].add(&o.nodes[i])
	}
}

// end marks that a resource and what depends on it have been merged.
func (e *mergeEffect) end() {
	for i := range e.nodes {
		x := &e.nodes[i]
		if n := len(x.steps); n > 0 && x.steps[n-1] != mergeEnd {
			x.steps = append(x.steps, mergeEnd)
		}
	}
}
