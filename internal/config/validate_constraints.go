package config

import (
	"regexp"

	"linuxha/internal/cluster"
)

func (v *validator) constraints() {
	for i := range v.cfg.Locations {
		v.locationConstraint(&v.cfg.Locations[i])
	}
	for i := range v.cfg.Colocations {
		c := &v.cfg.Colocations[i]
		at := "colocation " + c.ID
		v.pair(at, "resource", c.Resource, "with", c.With, c.Sets)
	}
	for i := range v.cfg.Orders {
		o := &v.cfg.Orders[i]
		at := "order " + o.ID
		v.pair(at, "first", o.First, "then", o.Then, o.Sets)
		if o.First != "" && o.First == o.Then && o.FirstAction == o.ThenAction {
			v.add(at, "", "", "%q cannot come before itself", o.First)
		}
	}
	for i := range v.cfg.TicketRules {
		t := &v.cfg.TicketRules[i]
		v.single("ticket "+t.ID, "resource", t.Resource, t.Sets)
	}
}

func (v *validator) locationConstraint(l *cluster.Location) {
	at := "location " + l.ID
	if l.Pattern != "" {
		if _, err := regexp.Compile(l.Pattern); err != nil {
			v.add(at, "pattern", "", "%v", err)
		}
		if l.Resource != "" {
			v.add(at, "pattern", "use one of them", "there is a resource and a pattern")
		}
	} else {
		v.single(at, "resource", l.Resource, l.Sets)
	}
	switch {
	case l.Node == "" && len(l.Rules) == 0:
		v.add(at, "", `write node = "name" or rule = "..."`, "it names neither a node nor a rule")
	case l.Node != "" && len(l.Rules) > 0:
		v.add(at, "rule", `say the node in the rule: "node eq name"`, "it names a node and a rule")
	case l.Node != "" && l.Score == "" && l.Discovery == "":
		v.add(at, "", "write for example score = 100", "score is missing")
	}
}

// single checks a constraint on one resource or on sets.
func (v *validator) single(at, member, id string, sets []cluster.ResourceSet) {
	switch {
	case id == "" && len(sets) == 0:
		v.add(at, member, "", "%s is missing", member)
	case id != "" && len(sets) > 0:
		v.add(at, member, "use one of them", "there is %s and there are sets", member)
	case id != "":
		v.reference(at, member, id)
	}
	v.setReferences(at, sets)
}

// pair checks a constraint between two resources or among sets.
func (v *validator) pair(at, member1, id1, member2, id2 string, sets []cluster.ResourceSet) {
	if len(sets) > 0 {
		if id1 != "" || id2 != "" {
			v.add(at, member1, "use one of them", "there are resources and sets")
		}
		v.setReferences(at, sets)
		return
	}
	for _, x := range [][2]string{{member1, id1}, {member2, id2}} {
		if x[1] == "" {
			v.add(at, x[0], "", "%s is missing", x[0])
		} else {
			v.reference(at, x[0], x[1])
		}
	}
}

func (v *validator) reference(at, member, id string) {
	if v.resources[id] == nil && !v.templates[id] && !v.tags[id] {
		v.add(at, member, nearest(id, v.copyNames()), "%s %q is not defined", member, id)
	}
}

func (v *validator) setReferences(at string, sets []cluster.ResourceSet) {
	for _, s := range sets {
		if s.Ref == "" && len(s.Resources) == 0 {
			v.add(at, "", "", "a set has no resources")
		}
		for _, id := range s.Resources {
			v.reference(at, "set", id)
		}
	}
}
