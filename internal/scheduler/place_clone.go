package scheduler

// placeClone places the instances of a clone and, if it is promotable, decides
// their roles (SEMANTICS 13, 14).
func (rn *run) placeClone(c *resource, prefer *node, stopIfFail bool) {
	if c.placed || c.placing {
		return
	}
	c.placing = true
	if c.promotable {
		rn.addPromotionScores(c)
	}
	for _, k := range thisWithOf(c) {
		rn.place(k.primary, prefer, stopIfFail)
	}
	rn.rescore(c, true)
	if !rn.mergeAllAtOnce(c, c, c.allowed, allOnes, mergeActive|mergePositive) {
		for _, k := range withThisOf(c) {
			rn.addPreferences(c, k)
		}
	}
	rn.rescore(c, false)
	rn.sortInstances(c.children)
	rn.placeInstances(c, c.children, c.clone.max, c.clone.nodeMax)
	if c.promotable {
		rn.rescore(c, true)
		rn.chooseRoles(c)
		rn.rescore(c, false)
	}
	c.placing = false
	c.placed = true
}
