package config

import (
	"sort"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"linuxha/internal/cluster"
)

// setBlock is the header of an attribute block with a condition or score:
//
//	meta_set "id" {
//	  score  = 10
//	  rule   = "date gt \"2026-01-01\""
//	  values = { resource_stickiness = 0 }
//	}
func setBlock(name string) hcl.BlockHeaderSchema {
	return hcl.BlockHeaderSchema{Type: name, LabelNames: []string{"id"}}
}

// attrSets reads the plain map attr and the blocks called set, in that order.
func (b *body) attrSets(attr, set string, check func(*body, entry) (cluster.NVPair, bool)) []cluster.AttrSet {
	var pairs []cluster.NVPair
	for _, e := range b.entries(attr) {
		if p, ok := check(b, e); ok {
			pairs = append(pairs, p)
		}
	}
	return append(plainSet(pairs), b.sets(set, check)...)
}

// sets reads the blocks called name; each value goes through check.
func (b *body) sets(name string, check func(*body, entry) (cluster.NVPair, bool)) []cluster.AttrSet {
	var out []cluster.AttrSet
	for _, block := range b.content.Blocks {
		if block.Type != name {
			continue
		}
		c := b.open("", block.DefRange, block.Body, []string{"score", "rule", "values", "same_as"},
			hcl.BlockHeaderSchema{Type: "value", LabelNames: []string{"id"}})
		c.at = b.at + " " + name + " " + block.Labels[0]
		s := cluster.AttrSet{ID: block.Labels[0], Ref: c.text("same_as")}
		if c.has("score") {
			text, err := canonicalScore(c.text("score"))
			if err != nil {
				b.errorf(block.DefRange, "", "%s: %v", c.at, err)
			}
			s.Score = scoreNumber(text)
		}
		s.Rule = c.rule("rule")
		for _, e := range c.entries("values") {
			if p, ok := check(c, e); ok {
				s.Pairs = append(s.Pairs, p)
			}
		}
		s.Pairs = append(s.Pairs, c.pairRefs()...)
		out = append(out, s)
	}
	return out
}

// pairRefs reads value blocks: single values with an id, or that stand for the
// value of another id.
func (b *body) pairRefs() []cluster.NVPair {
	var out []cluster.NVPair
	for _, block := range b.content.Blocks {
		if block.Type != "value" {
			continue
		}
		c := b.open("", block.DefRange, block.Body, []string{"name", "value", "same_as"})
		p := cluster.NVPair{Name: c.text("name"), Value: c.text("value"), Ref: c.text("same_as")}
		if p.Ref == "" {
			p.ID = block.Labels[0]
		}
		out = append(out, p)
	}
	return out
}

func scoreNumber(text string) int {
	switch text {
	case "INFINITY":
		return 1000000
	case "-INFINITY":
		return -1000000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return min(max(n, -1000000), 1000000)
}

// free takes any name and value as written.
func (b *body) free(e entry) (cluster.NVPair, bool) {
	if e.file != "" {
		b.errorf(e.rng, "file(...) can stand for an agent's parameter only", "%s: %s must be a plain value", b.at, e.name)
	}
	return cluster.NVPair{Name: e.name, Value: e.value}, true
}

// param takes any name, and file("...") as a value.
func (b *body) param(e entry) (cluster.NVPair, bool) {
	return cluster.NVPair{Name: e.name, Value: e.value, File: e.file}, true
}

// metaPair checks a resource meta-attribute.
func (b *body) metaPair(e entry) (cluster.NVPair, bool) {
	name := dashed(e.name)
	if a, ok := metaAliases[name]; ok {
		name = a
	}
	return b.known(e, name, meta)
}

// operationPair checks a property of operations.
func (b *body) operationPair(e entry) (cluster.NVPair, bool) {
	if name := dashed(e.name); name == "interval" {
		return b.known(e, name, map[string]spec{"interval": {kind: duration}})
	}
	return b.known(e, dashed(e.name), operationAttrs)
}

// plain reads a map of any names and values.
func (b *body) plain(name string) []cluster.NVPair {
	var out []cluster.NVPair
	for _, e := range b.entries(name) {
		p, _ := b.free(e)
		out = append(out, p)
	}
	return out
}

// flag reads a true/false attribute.
func (b *body) flag(name string) bool {
	if !b.has(name) {
		return false
	}
	v, err := spec{kind: boolean}.canonical(b.text(name))
	if err != nil {
		b.errorf(b.content.Attributes[name].Range, "", "%s: %v", name, err)
	}
	return v == "true"
}

// boolText reads a true/false attribute whose absence has a meaning of its own.
func (b *body) boolText(name string) string {
	if !b.has(name) {
		return ""
	}
	return strconv.FormatBool(b.flag(name))
}

// rule reads an attribute that holds a rule's text.
func (b *body) rule(name string) *cluster.Rule {
	if !b.has(name) {
		return nil
	}
	r, err := ParseRule(b.text(name))
	if err != nil {
		b.errorf(b.content.Attributes[name].Expr.Range(), "", "%s: %v", name, err)
		return nil
	}
	return r
}

// written returns the attributes that are set, in the order of the document.
func (b *body) written() []string {
	var names []string
	for name := range b.content.Attributes {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		x, y := b.content.Attributes[names[i]].Range, b.content.Attributes[names[j]].Range
		if x.Start.Byte != y.Start.Byte {
			return x.Start.Byte < y.Start.Byte
		}
		return names[i] < names[j]
	})
	return names
}
