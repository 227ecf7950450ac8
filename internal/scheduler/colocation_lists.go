package scheduler

// Which colocations count for a resource (SEMANTICS 11, "Which constraints
// count for what"). A member or instance also heeds those of what it is in.

// colocationList collects colocations for one resource.
type colocationList struct {
	list  []*colocation
	other func(*colocation) *resource
}

// addAll merges a further list: the first one is taken as it is; of a later one
// the first element is inserted once per element. That is odd, and the expected
// results depend on it (SEMANTICS 35).
func (l *colocationList) addAll(more []*colocation) {
	if len(l.list) == 0 {
		l.list = append(l.list, more...)
		return
	}
	for range more {
		l.add(more[0])
	}
}

func (l *colocationList) add(c *colocation) { l.list = insertColocation(l.list, c, l.other) }

// thisWithOf lists the colocations in which r is the dependent. The lists are
// remembered: they are asked for only when all constraints have been read.
func thisWithOf(r *resource) []*colocation {
	if r.isPrimitive() && r.parent == nil {
		return r.thisWith
	}
	if r.thisWithMemo != nil {
		return *r.thisWithMemo
	}
	l := colocationList{other: primaryOf}
	addThisWith(r, r, &l)
	if !r.inBundle() {
		r.thisWithMemo = &l.list
	}
	return l.list
}

// withThisOf lists the colocations in which r is the primary.
func withThisOf(r *resource) []*colocation {
	if r.isPrimitive() && r.parent == nil {
		return r.withThis
	}
	if r.withThisMemo != nil {
		return *r.withThisMemo
	}
	l := colocationList{other: dependentOf}
	addWithThis(r, r, &l)
	if !r.inBundle() {
		r.withThisMemo = &l.list
	}
	return l.list
}

// forgetLists is to be called when a member of a group is found to be unmanaged,
// on which the lists of the members after it depend.
func forgetLists(r *resource) {
	if r.parent == nil {
		return
	}
	for _, m := range r.parent.children {
		m.thisWithMemo, m.withThisMemo = nil, nil
	}
}

// addThisWith adds what r contributes to the list of orig, which is r or
// something in it.
func addThisWith(r, orig *resource, l *colocationList) {
	switch {
	case r.isPrimitive():
		if r != orig {
			l.addConfigured(r.thisWith)
			return
		}
		l.addAll(r.thisWith)
		if r.parent != nil {
			addThisWith(r.parent, orig, l)
		}
	case r.isGroup():
		addThisWithGroup(r, orig, l)
	case r.isClone():
		l.addAll(r.thisWith)
		if r.parent != nil {
			addThisWith(r.parent, orig, l)
		}
	case r.isBundle():
		if bundleColocationsCount(r, orig) {
			l.addAll(r.thisWith)
		}
	}
}

func (l *colocationList) addConfigured(list []*colocation) {
	for _, c := range list {
		if c.configured {
			l.add(c)
		}
	}
}

// addThisWithGroup: a group's colocations count for it and for its first
// member; the others follow that one. Where an earlier member is unmanaged that
// chain is broken, and the mandatory ones count directly.
func addThisWithGroup(g, orig *resource, l *colocationList) {
	if len(g.children) == 0 {
		return
	}
	if g == orig || orig == g.children[0] {
		l.addAll(g.thisWith)
		if g.parent != nil {
			addThisWith(g.parent, orig, l)
		}
		if !g.group.colocated {
			return
		}
		for _, m := range g.children {
			if m != orig {
				addThisWith(m, orig, l)
			}
		}
		return
	}
	for _, m := range g.children {
		if m == orig {
			return
		}
		if !m.managed {
			for _, c := range g.thisWith {
				if c.mandatory() {
					l.add(c)
				}
			}
			return
		}
	}
}

func addWithThis(r, orig *resource, l *colocationList) {
	switch {
	case r.isPrimitive():
		if r != orig {
			l.addConfigured(r.withThis)
			return
		}
		l.addAll(r.withThis)
		if r.parent != nil {
			addWithThis(r.parent, orig, l)
		}
	case r.isGroup():
		addWithThisGroup(r, orig, l)
	case r.isClone():
		l.addAll(r.withThis)
		if r.parent != nil {
			addWithThis(r.parent, orig, l)
		}
	case r.isBundle():
		if bundleColocationsCount(r, orig) {
			l.addAll(r.withThis)
		}
	}
}

// addWithThisGroup: what depends on a group counts for it and for its last
// member, from which it reaches the others.
func addWithThisGroup(g, orig *resource, l *colocationList) {
	if len(g.children) == 0 || (g != orig && orig != g.children[len(g.children)-1]) {
		return
	}
	l.addAll(g.withThis)
	if g.parent != nil {
		addWithThis(g.parent, orig, l)
	}
	if !g.group.colocated {
		return
	}
	for _, m := range g.children {
		if m != orig {
			addWithThis(m, orig, l)
		}
	}
}

// bundleColocationsCount tells whether a bundle's colocations count for orig:
// for the bundle and its containers always; for the promotable clone inside and
// its instances only once roles are being chosen.
func bundleColocationsCount(b, orig *resource) bool {
	if orig == b || orig.isReplica {
		return true
	}
	inner := b.bundle.inner
	if inner == nil || !inner.promotable || orig.topInBundle() != inner {
		return false
	}
	if orig == inner {
		return inner.clone.promotionReady
	}
	return orig.placed
}
