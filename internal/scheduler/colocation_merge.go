package scheduler

import "strings"

// How the preferences of dependents pull their primary (SEMANTICS 11, "Effect
// of D's preferences on P").

// mergeFlags say how preferences are merged.
type mergeFlags uint8

const (
	mergeActive   mergeFlags = 1 << iota // undo what leaves no node available
	mergePositive                        // for clones: never let a node's score turn negative
	mergeThisWith                        // follow what resources depend on, not what depends on them
)

// frozen marks, while preferences are merged with mergePositive, a node whose
// score would have turned negative. It ends as 1.
const frozen score = -100 * infinity

// hasInfluence tells whether the dependent's preferences count for primary
// (nil: the constraint's). An active primary is not moved for the sake of a
// dependent without influence, nor a clean active container for its connection.
func (c *colocation) hasInfluence(primary *resource) bool {
	if primary == nil {
		primary = c.primary
	}
	d := c.dependent
	if d.isConnection && d.parent != nil && d.parent.isBundle() && !primary.failed && len(primary.active) == 1 {
		return false
	}
	return c.influence || len(primary.active) == 0
}

// addPreferences adds to r's scores what the dependent of c would like.
func (rn *run) addPreferences(r *resource, c *colocation) {
	if !c.hasInfluence(nil) {
		return
	}
	flags := mergeActive
	if r.isClone() {
		flags |= mergePositive
	}
	rn.mergeInto(c.dependent, r, &r.allowed, c, flags)
}

// mergeInto adds the preferences of one side of c to r's scores.
func (rn *run) mergeInto(source, r *resource, scores *scoreVector, c *colocation, flags mergeFlags) {
	if !rn.mergeAtOnce(source, r, *scores, c, flags) {
		rn.mergePreferences(source, r, scores, c, c.factor(), flags)
	}
}

// mergePreferences adds source's scores, scaled by factor, to scores, and then
// those of what depends on source. scores are those of target; if *scores is
// nil, source's own are taken to begin with.
func (rn *run) mergePreferences(source, target *resource, scores *scoreVector, c *colocation, factor float32, flags mergeFlags) {
	if source.merging {
		return
	}
	source.merging = true
	rn.mergeOnce(source, target, scores, c, factor, flags)
	source.merging = false
}

func (rn *run) mergeOnce(source, target *resource, scores *scoreVector, c *colocation, factor float32, flags mergeFlags) {
	if source.isGroup() {
		if len(source.children) == 0 {
			return
		}
		// Members chain: the last one reaches what all of them depend on, the
		// first one what depends on any.
		member := source.children[0]
		if *scores == nil {
			member = source.children[len(source.children)-1]
		}
		rn.mergePreferences(member, target, scores, c, factor, flags)
		return
	}

	var work scoreVector
	if *scores == nil {
		work = rn.scratch.copyOf(source.allowed)
		target = source
	} else {
		work = rn.scratch.copyOf(*scores)
		rn.addScaled(work, source, target, c, factor, flags&mergePositive != 0)
	}
	if rn.anyToMerge(work) {
		list := withThisOf(source)
		if flags&mergeThisWith != 0 {
			list = thisWithOf(source)
		}
		for _, next := range list {
			other := next.primary
			if flags&mergeThisWith == 0 {
				if !next.hasInfluence(nil) {
					continue
				}
				other = next.dependent
			}
			f := float32(factor*float32(next.score)) / float32(infinity)
			inner := work
			rn.mergePreferences(other, target, &inner, next, f, flags|mergeActive)
			if &inner[0] != &work[0] {
				rn.scratch.release(work)
				work = inner
			}
		}
	} else if flags&mergeActive != 0 {
		rn.scratch.release(work)
		return
	}
	if flags&mergePositive != 0 {
		for i, end := rn.mergeRange(); i < end; i++ {
			if work[i] == frozen {
				work[i] = 1
			}
		}
	}
	*scores = work
}

// scratchVectors are score vectors for use in passing.
type scratchVectors struct{ free []scoreVector }

func (s *scratchVectors) copyOf(v scoreVector) scoreVector {
	n := len(s.free)
	if n == 0 || len(s.free[n-1]) != len(v) {
		return v.clone()
	}
	c := s.free[n-1]
	s.free = s.free[:n-1]
	copy(c, v)
	return c
}

// release gives back a vector that nothing refers to any more.
func (s *scratchVectors) release(v scoreVector) { s.free = append(s.free, v) }

// mergeRange gives the nodes, by index, that matter in the present merge.
func (rn *run) mergeRange() (from, end int) {
	if rn.mergeOnly != nil {
		return rn.mergeOnly.index, rn.mergeOnly.index + 1
	}
	return 0, len(rn.nodes)
}

// anyToMerge is anyAvailable for a vector in the present merge.
func (rn *run) anyToMerge(v scoreVector) bool {
	if n := rn.mergeOnly; n != nil {
		s := v.at(n)
		return s >= 0 && n.availableWithGuest()
	}
	return rn.anyAvailable(v)
}

// addScaled adds to work, for every node, source's best score where the
// colocation's attribute has the same value, scaled.
func (rn *run) addScaled(work scoreVector, source, target *resource, c *colocation, factor float32, onlyPositive bool) {
	best := rn.bestScores(source, target, c)
	for i, end := rn.mergeRange(); i < end; i++ {
		s := work[i]
		if s == absent {
			continue
		}
		preference := best.at(i)
		if c.disregards(preference, factor) {
			continue
		}
		if s == frozen {
			continue
		}
		sum := preference.scale(factor).add(s)
		if onlyPositive && sum < 0 && s > 0 {
			work[i] = frozen
			continue
		}
		if onlyPositive && sum < 0 && s == 0 {
			continue
		}
		work[i] = sum
	}
}

// disregards tells whether the dependent's preference for a node does not count.
// Generally the primary does not come to where an anti-colocated dependent cannot
// be; only if that is the dependent's one chance.
func (c *colocation) disregards(preference score, factor float32) bool {
	return factor < 0 && preference < 0 &&
		(c.primary.stickiness >= -preference || !c.hasInfluence(nil) || !allowedOnOne(c.dependent))
}

// bestScores gives, for a node as target sees it, the best score of source on
// available nodes with the same value of the colocation's attribute.
type bestScores struct {
	run     *run
	scores  scoreVector      // by node, if that is what nodes are told apart by
	byValue map[string]score // else by lower-case value ...
	unset   score            // ... and where there is none
	c       *colocation
	target  *resource
}

func (rn *run) bestScores(source, target *resource, c *colocation) bestScores {
	scores := rn.ownPreferences(source, c)
	if c.attribute == "" && !rn.seesHosts(source) && !rn.seesHosts(target) {
		return bestScores{run: rn, scores: scores}
	}
	b := bestScores{run: rn, byValue: map[string]score{}, unset: -infinity, c: c, target: target}
	for i, s := range scores {
		if s == absent || !rn.nodes[i].available() {
			continue
		}
		value, ok := rn.colocationValue(rn.nodes[i], c, source)
		if !ok {
			b.unset = max(b.unset, s)
			continue
		}
		value = strings.ToLower(value)
		if old, seen := b.byValue[value]; !seen || s > old {
			b.byValue[value] = s
		}
	}
	return b
}

// at gives the best score for the i-th node.
func (b *bestScores) at(i int) score {
	n := b.run.nodes[i]
	if b.byValue == nil {
		if s := b.scores.at(n); s != absent && n.available() {
			return s
		}
		return -infinity
	}
	value, ok := b.run.colocationValue(n, b.c, b.target)
	if !ok {
		return b.unset
	}
	if s, seen := b.byValue[strings.ToLower(value)]; seen {
		return s
	}
	return -infinity
}

// seesHosts tells whether r may see a guest's host instead of the guest.
func (rn *run) seesHosts(r *resource) bool {
	if !r.hostsLooked {
		r.hostsLooked = true
		r.hosts = r.inBundle() || r.meta["container-attribute-target"] != ""
	}
	return r.hosts
}

// ownPreferences are source's scores. A configured dependent that is not the
// first member of its group did not get the group's location scores, which are
// added for this purpose.
func (rn *run) ownPreferences(source *resource, c *colocation) scoreVector {
	p := source.parent
	if !c.configured || source != c.dependent || p == nil || !p.isGroup() || source == p.children[0] {
		return source.allowed
	}
	kept, discovered, exclusive := source.allowed, source.discovery, source.exclusive
	source.allowed = kept.clone()
	source.discovery = append([]discovery(nil), discovered...)
	for _, l := range p.locations {
		rn.applyLocationTo(source, l, false)
	}
	scores := source.allowed
	source.allowed, source.discovery, source.exclusive = kept, discovered, exclusive
	return scores
}

// allowedOnOne tells whether r has a score of at least 0 on exactly one node.
func allowedOnOne(r *resource) bool {
	n := 0
	for _, s := range r.allowed {
		if s != absent && s >= 0 {
			if n++; n > 1 {
				return false
			}
		}
	}
	return n == 1
}
