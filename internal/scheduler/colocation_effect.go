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
	steps     []effectStep
	size      int // steps, with those of parts
	positive  []positiveSum
}

// nodeEffect is what is added to the score of one node: in all, and the least and
// the most on the way there.
type nodeEffect struct {
	total, lowest, most int64
	never, always       bool // -INFINITY, INFINITY is among the additions
}

// positiveSum is the last result of addPositive for one node.
type positiveSum struct {
	from, sum    score
	known, stays bool
}

// effectStep is a step of merging: the scores of one resource, or all of another
// effect; if it is neither, one resource with all that depends on it has been merged.
type effectStep struct {
	scores []score // by node
	part   *mergeEffect
}

// mostEffects bounds how much is summed up, which grows with the ways through
// the constraints.
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
	if r.isClone() {
		*r.clone.effects = [3]*mergeEffect{}
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
	for _, s := range e.steps {
		if s.part != nil && !s.part.holds(rn) {
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
	return rn.addEffectTo(scores, e, flags)
}

// addEffectTo adds e to scores, if that leaves a node available all the way.
func (rn *run) addEffectTo(scores scoreVector, e *mergeEffect, flags mergeFlags) bool {
	if n := rn.mergeOnly; n != nil {
		sum, stays, ok := e.merge(n.index, scores[n.index], flags)
		if ok = ok && stays && n.availableWithGuest(); ok {
			scores[n.index] = sum
		}
		return ok
	}
	after := rn.scratch.copyOf(scores)
	defer rn.scratch.release(after)
	some := false
	for i, s := range scores {
		if s == absent {
			continue
		}
		sum, stays, ok := e.merge(i, s, flags)
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

// Which constraints with a clone an effect is of.
const (
	finiteOnes = iota
	infiniteOnes
	allOnes
)

// addAllPreferences adds to the scores of r, an instance, what all dependents of
// its clone would like by infinite or by other constraints, if that can be told.
func (rn *run) addAllPreferences(r *resource, infinite bool) bool {
	which := finiteOnes
	if infinite {
		which = infiniteOnes
	}
	return !rn.opts.Reasons && r.isInstance() && rn.mergeAllAtOnce(r, r.parent, r.allowed, which, mergeActive)
}

// mergeAllAtOnce does what mergeInto does for r, a clone or an instance of it, with
// the dependents of all such constraints, one after the other, if that can be told.
func (rn *run) mergeAllAtOnce(r, clone *resource, scores scoreVector, which int, flags mergeFlags) bool {
	if rn.mergeApart || r != clone && (!r.isPrimitive() || len(r.withThis) > 0) || rn.seesHosts(r) {
		return false
	}
	e := rn.effectOfAll(clone, which)
	return e.ok && (len(e.steps) == 0 || rn.addEffectTo(scores, e, flags))
}

// effectOfAll returns the effect of merging all such constraints with a clone.
func (rn *run) effectOfAll(clone *resource, which int) *mergeEffect {
	known := clone.clone.effects
	if e := known[which]; e != nil && e.holds(rn) {
		return e
	}
	e := rn.newEffect()
	for _, c := range withThisOf(clone) {
		switch {
		case which == allOnes: // also counts for instances, where that is as sure as here
			e.ok = e.ok && c.influence && !c.dependent.isConnection
		case c.infinite() != (which == infiniteOnes), !c.hasInfluence(nil):
			continue
		}
		e.addPart(rn.effectOfMerging(c.dependent, c))
		e.ok = e.ok && !c.dependent.inClone()
	}
	known[which] = e
	return e
}

// merge adds e to s, the i-th node's score; stays tells whether the score is at
// least 0 all the way. It is not ok if the sum cannot be told.
func (e *mergeEffect) merge(i int, s score, flags mergeFlags) (sum score, stays, ok bool) {
	x := &e.nodes[i]
	if flags&mergePositive == 0 {
		return x.addTo(s)
	}
	if low, high := int64(s)+x.lowest, int64(s)+x.most; low >= 0 && high < int64(infinity) && !x.never && !x.always {
		return s + score(x.total), true, true
	}
	sum, stays = e.addPositive(i, s)
	return sum, stays && sum >= 0, true
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
func (e *mergeEffect) addPositive(i int, s score) (sum score, stays bool) {
	if e.positive == nil {
		e.positive = make([]positiveSum, len(e.nodes))
	}
	last := &e.positive[i]
	if !last.known || last.from != s {
		sum, stays = e.walkPositive(i, s)
		*last = positiveSum{s, sum, true, stays}
	}
	return last.sum, last.stays
}

// walkPositive is addPositive step by step.
func (e *mergeEffect) walkPositive(i int, s score) (sum score, stays bool) {
	stays = s >= 0
	for _, step := range e.steps {
		switch {
		case step.part != nil:
			sum, stayed := step.part.addPositive(i, s)
			s, stays = sum, stays && stayed
		case step.scores == nil:
			if s == frozen {
				s = 1
			}
		case s == frozen:
		default:
			sum := step.scores[i].add(s)
			switch {
			case sum >= 0 || s < 0:
				s = sum
			case s > 0:
				s, stays = frozen, false
			}
		}
	}
	return s, stays
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
	e := rn.newEffect()
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
	if !e.ok || source.merging || source.rescoring || e.size >= mostEffects || c.attribute != "" || rn.seesHosts(source) {
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
	scores := make([]score, len(rn.nodes))
	for i := range rn.nodes {
		if preference := best.at(i); !c.disregards(preference, factor) {
			scores[i] = preference.scale(factor)
			e.nodes[i].addScore(scores[i])
		}
	}
	e.step(effectStep{scores: scores}, 1)
	for _, next := range withThisOf(source) {
		if !next.hasInfluence(nil) {
			continue
		}
		if factor == 1 && !next.dependent.inClone() { // it has the same effect here as for its own primary
			e.addPart(rn.effectOfMerging(next.dependent, next))
		} else {
			rn.addEffect(e, next.dependent, next, float32(factor*float32(next.score))/float32(infinity))
		}
	}
	e.step(effectStep{}, 1)
}

// newEffect returns an effect that adds nothing yet.
func (rn *run) newEffect() *mergeEffect {
	return &mergeEffect{ok: true, checked: rn.scorings, connected: rn.connected, nodes: make([]nodeEffect, len(rn.nodes))}
}

// addPart appends another effect.
func (e *mergeEffect) addPart(part *mergeEffect) {
	e.ok = e.ok && part.ok
	for i := range part.nodes {
		e.nodes[i].add(&part.nodes[i])
	}
	e.step(effectStep{part: part}, part.size)
}

// step appends a step that stands for so many.
func (e *mergeEffect) step(s effectStep, size int) {
	e.steps = append(e.steps, s)
	e.size += size
	e.ok = e.ok && e.size < mostEffects
}

// addScore appends the addition of one score.
func (x *nodeEffect) addScore(s score) {
	switch {
	case s <= -infinity:
		x.never = true
	case s >= infinity:
		x.always = true
	default:
		x.add(&nodeEffect{total: int64(s), lowest: int64(s), most: int64(s)})
	}
}

// add appends further additions.
func (x *nodeEffect) add(o *nodeEffect) {
	x.lowest, x.most = min(x.lowest, x.total+o.lowest), max(x.most, x.total+o.most)
	x.total += o.total
	x.never, x.always = x.never || o.never, x.always || o.always
}
