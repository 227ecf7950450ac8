package pacemaker

import (
	"fmt"
	"strings"

	"linuxha/internal/cluster"
)

// kind is what an id of the configuration stands for; kinds combine where
// several are acceptable.
type kind uint16

const (
	kindResource kind = 1 << iota
	kindTemplate
	kindTag
	kindBlock // attribute blocks
	kindPair
	kindRule
	kindOperations
	kindOperation
	kindSet // resource sets
	kindRole
	kindOther
	kindDevice // a primitive that is a fence device; also kindResource

	anyKind = ^kind(0)
)

func (k kind) String() string {
	switch k {
	case kindResource:
		return "resource"
	case kindTemplate:
		return "template"
	case kindBlock:
		return "attribute block"
	case kindPair:
		return "nvpair"
	case kindRule:
		return "rule"
	case kindOperations:
		return "operations element"
	case kindOperation:
		return "operation"
	case kindSet:
		return "resource set"
	case kindRole:
		return "ACL role"
	case kindDevice:
		return "fence device"
	case kindResource | kindTemplate | kindTag:
		return "resource, template or tag"
	}
	return "object"
}

// idRef is a mention of an id, by an object of a kind and a name (or "").
type idRef struct {
	pos      int
	id       string
	want     kind
	by, name string
}

func (ref *idRef) source() string {
	if ref.name == "" {
		return ref.by
	}
	return ref.by + " " + ref.name
}

// refer notes a mention of an id that has not been read yet, to be checked when
// the whole document has been.
func (r *reader) refer(pos int, id string, want kind, by, name string) {
	if r.ids[id]&want == 0 {
		r.refs = append(r.refs, idRef{pos, id, want, by, name})
	}
}

// id registers the id of an element and returns it.
func (r *reader) id(e *element, k kind) string {
	id := r.doc.attr(e, "id")
	if id == "" {
		r.fault(e.pos, "<%s> without id", e.name)
		return ""
	}
	known := len(r.ids)
	r.ids[id] |= k
	if len(r.ids) == known {
		r.fault(e.pos, "id %q of <%s> is already used", id, e.name)
	}
	return id
}

// checkReferences reports every mention of what does not exist.
func (r *reader) checkReferences() {
	nodes := r.nodeNames()
	for _, ref := range r.refs {
		found := r.ids[ref.id]
		if found&ref.want != 0 {
			continue
		}
		if base, number, ok := strings.Cut(ref.id, ":"); ok && ref.want&kindResource != 0 && allDigits(number) {
			if r.ids[base]&kindResource != 0 { // an instance of a clone
				continue
			}
		}
		if ref.want == anyKind && nodes[ref.id] {
			continue
		}
		if found != 0 {
			r.fault(ref.pos, "%s refers to %q, which is not a %s", ref.source(), ref.id, ref.want)
		} else {
			r.fault(ref.pos, "%s refers to %s %q, which does not exist", ref.source(), ref.want, ref.id)
		}
	}
	for _, ref := range r.nodeRefs {
		if !nodes[ref.id] && !nodes[strings.ToLower(ref.id)] {
			r.fault(ref.pos, "%s refers to node %q, which does not exist", ref.source(), ref.id)
		}
	}
}

// nodeNames returns every name (also in lower case) and id of a node that the
// configuration or status knows or implies.
func (r *reader) nodeNames() map[string]bool {
	names := map[string]bool{}
	add := func(s string) {
		names[s] = true
		names[strings.ToLower(s)] = true
	}
	for _, n := range r.config.Nodes {
		add(n.Name)
		add(n.ID)
	}
	for _, n := range r.status.Nodes {
		add(n.Name)
	}
	var walk func(res []cluster.Resource)
	walk = func(res []cluster.Resource) {
		for i := range res {
			c := &res[i]
			if c.Agent.IsConnection() {
				add(c.ID)
			}
			for _, set := range c.Meta {
				for _, p := range set.Pairs {
					if p.Name == "remote-node" {
						add(p.Value)
					}
				}
			}
			if c.Kind == cluster.Bundle && c.Bundle != nil {
				for n := range max(1, bundleReplicas(c.Bundle)) {
					add(fmt.Sprintf("%s-%d", c.ID, n))
				}
			}
			walk(c.Children)
		}
	}
	walk(r.config.Resources)
	return names
}

// bundleReplicas is the number of replicas, at most 10000.
func bundleReplicas(b *cluster.BundleSpec) int64 {
	for _, s := range []string{b.Replicas, b.PromotedMax} {
		if n, ok := integer(s); ok {
			return min(n, 10000)
		}
	}
	return 1
}

func allDigits(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
