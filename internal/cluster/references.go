package cluster

// References finds what elements of a configuration stand for that refer to
// others by id, as those of a Pacemaker configuration may.
type References struct {
	Sets       map[string]*AttrSet
	Pairs      map[string]*NVPair
	Rules      map[string]*Rule
	Operations map[string]*Operation
	Resources  map[string]*Resource // at any depth, and templates
	// ResourceSets are those of all constraints.
	ResourceSets map[string]*ResourceSet
}

// maxReferences bounds a chain of references to references: a longer one, or a
// circle, means nothing.
const maxReferences = 8

// NewReferences indexes a configuration, which must not change meanwhile.
func NewReferences(c *Config) *References {
	x := &References{
		Sets: map[string]*AttrSet{}, Pairs: map[string]*NVPair{}, Rules: map[string]*Rule{},
		Operations: map[string]*Operation{}, Resources: map[string]*Resource{}, ResourceSets: map[string]*ResourceSet{},
	}
	for _, sets := range [][]AttrSet{c.Options, c.ResourceDefaults, c.OperationDefaults} {
		x.addSets(sets)
	}
	for i := range c.Nodes {
		x.addSets(c.Nodes[i].Attributes)
		x.addSets(c.Nodes[i].Utilization)
	}
	x.addResources(c.Resources)
	x.addResources(c.Templates)
	for i := range c.Locations {
		for j := range c.Locations[i].Rules {
			x.addRule(&c.Locations[i].Rules[j])
		}
		x.addResourceSets(c.Locations[i].Sets)
	}
	for i := range c.Colocations {
		x.addResourceSets(c.Colocations[i].Sets)
	}
	for i := range c.Orders {
		x.addResourceSets(c.Orders[i].Sets)
	}
	for i := range c.TicketRules {
		x.addResourceSets(c.TicketRules[i].Sets)
	}
	return x
}

// Set returns what a block stands for, itself if it refers to no other; nil if
// that does not exist.
func (x *References) Set(set *AttrSet) *AttrSet {
	return follow(set, x.Sets, func(s *AttrSet) string { return s.Ref })
}

// Operation is Set for an operation.
func (x *References) Operation(op *Operation) *Operation {
	return follow(op, x.Operations, func(op *Operation) string { return op.Ref })
}

// Rule is Set for a rule.
func (x *References) Rule(rule *Rule) *Rule {
	return follow(rule, x.Rules, func(r *Rule) string { return r.Ref })
}

// follow goes from one element to the next by what ref says, to the one that refers
// to no other.
func follow[T any](element *T, byID map[string]*T, ref func(*T) string) *T {
	for range maxReferences {
		if element == nil || ref(element) == "" {
			return element
		}
		element = byID[ref(element)]
	}
	return nil
}

func (x *References) addResources(resources []Resource) {
	for i := range resources {
		r := &resources[i]
		x.Resources[r.ID] = r
		x.addSets(r.Meta)
		x.addSets(r.Params)
		x.addSets(r.Utilization)
		for j := range r.Operations {
			op := &r.Operations[j]
			if op.ID != "" {
				x.Operations[op.ID] = op
			}
			x.addSets(op.Meta)
			x.addSets(op.Params)
		}
		x.addResources(r.Children)
	}
}

func (x *References) addSets(sets []AttrSet) {
	for i := range sets {
		set := &sets[i]
		if set.ID != "" {
			x.Sets[set.ID] = set
		}
		for j := range set.Pairs {
			if p := &set.Pairs[j]; p.ID != "" {
				x.Pairs[p.ID] = p
			}
		}
		if set.Rule != nil {
			x.addRule(set.Rule)
		}
	}
}

func (x *References) addRule(rule *Rule) {
	if rule.ID != "" {
		x.Rules[rule.ID] = rule
	}
	for i := range rule.Conditions {
		if nested := rule.Conditions[i].Rule; nested != nil {
			x.addRule(nested)
		}
	}
}

func (x *References) addResourceSets(sets []ResourceSet) {
	for i := range sets {
		if s := &sets[i]; s.ID != "" && s.Ref == "" && x.ResourceSets[s.ID] == nil {
			x.ResourceSets[s.ID] = s
		}
	}
}
