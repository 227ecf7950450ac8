package scheduler

import "linuxha/internal/cluster"

// Constraints may name templates (all resources made from them) and tags (what
// they refer to). This file rewrites them into constraints that name resources
// only (SEMANTICS 3, "Templates and tags in constraints").

// expandReference returns the resources that id stands for: itself if it is
// one, else what the template or tag of that name means. plain tells which.
// Nothing known by that id gives none.
func (rn *run) expandReference(id string) (ids []string, plain bool) {
	if id == "" {
		return nil, false
	}
	if rn.constraintResource(id) != nil {
		return []string{id}, true
	}
	if users := rn.templateUsers[id]; len(users) > 0 {
		return users, false
	}
	return rn.tags[id], false
}

// elsewhere tells whether id, of which this slice has nothing, means something in
// the whole run.
func (rn *run) elsewhere(id string) bool {
	if rn.whole == nil {
		return false
	}
	here, _ := rn.expandReference(id)
	all, _ := rn.whole.expandReference(id)
	return len(here) == 0 && len(all) > 0
}

// expandSets returns the sets with every template and tag in them replaced, in
// place, by what it means, and references to other sets resolved.
func (rn *run) expandSets(sets []cluster.ResourceSet) []cluster.ResourceSet {
	out := make([]cluster.ResourceSet, 0, len(sets))
	for _, s := range sets {
		if s.Ref != "" {
			if target := rn.references().ResourceSets[s.Ref]; target != nil {
				s = *target
			}
		}
		var ids []string
		for _, id := range s.Resources {
			expanded, _ := rn.expandReference(id)
			if len(expanded) == 0 {
				expanded = []string{id} // unknown: what that means is up to the kind of constraint
			}
			ids = append(ids, expanded...)
		}
		s.Resources = ids
		out = append(out, s)
	}
	return out
}

// setOf turns one side of a constraint into a set. A template or tag becomes an
// unordered set of what it means.
func (rn *run) setOf(id string) (set cluster.ResourceSet, plain, ok bool) {
	ids, plain := rn.expandReference(id)
	if len(ids) == 0 {
		return set, false, false
	}
	set = cluster.ResourceSet{ID: id, Resources: ids}
	if !plain {
		set.Sequential = "false"
	}
	return set, plain, true
}

// expandPair turns a constraint between two references into two sets when one
// of them is a template or tag; needed is false if both are resources, and ok
// false if one is unknown.
func (rn *run) expandPair(a, b string) (first, second cluster.ResourceSet, needed, bothGrouped, ok bool) {
	first, plainA, okA := rn.setOf(a)
	second, plainB, okB := rn.setOf(b)
	return first, second, !plainA || !plainB, !plainA && !plainB, okA && okB
}
