package config

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"

	"linuxha/internal/cluster"
)

// reader turns HCL bodies into a Config, collecting what is wrong.
type reader struct {
	cfg   *cluster.Config
	diags hcl.Diagnostics
	// where remembers the source of each object and member, by Problem.At.
	where map[string]hcl.Range
	// found holds each resource by id, without its children; order their ids as
	// written; parts the ids that a group, clone or bundle is made of; owner
	// the collective that took an id.
	found map[string]*cluster.Resource
	order []string
	parts map[string][]string
	owner map[string]string
	// opened, if not nil, is told what each block may say, for the reference.
	opened func(attrs []string)
}

// fileReference stands for file("path"): a value that is read where it is used.
type fileReference struct{ path string }

var fileType = cty.Capsule("file", reflect.TypeFor[fileReference]())

var evalContext = &hcl.EvalContext{
	Variables: map[string]cty.Value{"infinity": cty.PositiveInfinity},
	Functions: map[string]function.Function{
		"file": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "path", Type: cty.String}},
			Type:   function.StaticReturnType(fileType),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				return cty.CapsuleVal(fileType, &fileReference{args[0].AsString()}), nil
			},
		}),
	},
}

func (r *reader) errorf(at hcl.Range, hint, format string, args ...any) {
	r.diags = append(r.diags, &hcl.Diagnostic{
		Severity: hcl.DiagError, Summary: fmt.Sprintf(format, args...), Detail: hint, Subject: &at,
	})
}

// problem reports what Validate found, at the place that it is about.
func (r *reader) problem(p Problem) {
	r.errorf(r.rangeOf(p), p.Hint, "%s: %s", p.At, p.Text)
}

// rangeOf is the place that a problem is about.
func (r *reader) rangeOf(p Problem) hcl.Range {
	if rng, ok := r.where[p.At+"."+p.Member]; ok {
		return rng
	}
	return r.where[p.At]
}

func (r *reader) errors() error {
	var all []error
	for _, d := range r.diags {
		if d.Severity != hcl.DiagError {
			continue
		}
		e := &Error{Summary: d.Summary, Hint: d.Detail}
		if d.Subject != nil {
			e.File, e.Line, e.Column = d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column
		}
		all = append(all, e)
	}
	return errors.Join(all...)
}

// body is one block's content with the reader's helpers.
type body struct {
	*reader
	at      string // "resource vip"
	rng     hcl.Range
	content *hcl.BodyContent
}

// open reads a block's body by the names that it may have.
func (r *reader) open(at string, rng hcl.Range, b hcl.Body, attrs []string, blocks ...hcl.BlockHeaderSchema) *body {
	schema := &hcl.BodySchema{Blocks: blocks}
	for _, a := range attrs {
		schema.Attributes = append(schema.Attributes, hcl.AttributeSchema{Name: a})
	}
	if r.opened != nil {
		r.opened(attrs)
	}
	content, diags := b.Content(schema)
	r.diags = append(r.diags, diags...)
	if at != "" {
		if old, ok := r.where[at]; ok {
			r.errorf(rng, "", "%s is already defined at %s:%d", at, old.Filename, old.Start.Line)
		}
		r.where[at] = rng
		for name, a := range content.Attributes {
			r.where[at+"."+name] = a.Range
		}
	}
	return &body{reader: r, at: at, rng: rng, content: content}
}

// has tells whether the attribute is set.
func (b *body) has(name string) bool { return b.content.Attributes[name] != nil }

// text returns an attribute as text, "" if it is not set.
func (b *body) text(name string) string {
	a := b.content.Attributes[name]
	if a == nil {
		return ""
	}
	v, ok := b.value(a.Expr)
	if !ok {
		return ""
	}
	s, file := b.valueText(v, a.Expr.Range())
	if file != "" {
		b.errorf(a.Expr.Range(), "file(...) can stand for an agent's parameter only", "%s must be text", name)
	}
	return s
}

// require is text, with an error if the attribute is missing.
func (b *body) require(name string) string {
	s := b.text(name)
	if s == "" {
		b.errorf(b.rng, "", "%s: %s is missing", b.at, name)
	}
	return s
}

// list returns an attribute that is a list of texts, or one text.
func (b *body) list(name string) []string {
	a := b.content.Attributes[name]
	if a == nil {
		return nil
	}
	v, ok := b.value(a.Expr)
	if !ok {
		return nil
	}
	if !v.Type().IsTupleType() && !v.Type().IsListType() && !v.Type().IsSetType() {
		s, _ := b.valueText(v, a.Expr.Range())
		return []string{s}
	}
	var out []string
	for it := v.ElementIterator(); it.Next(); {
		_, e := it.Element()
		s, _ := b.valueText(e, a.Expr.Range())
		out = append(out, s)
	}
	return out
}

func (r *reader) value(e hcl.Expression) (cty.Value, bool) {
	v, diags := e.Value(evalContext)
	r.diags = append(r.diags, diags...)
	if diags.HasErrors() {
		return v, false
	}
	if !v.IsWhollyKnown() || v.IsNull() {
		r.errorf(e.Range(), "leave the name out instead", "a value is missing")
		return v, false
	}
	return v, true
}

// valueText turns a scalar into the text that the model keeps; file is set for
// file("...").
func (r *reader) valueText(v cty.Value, at hcl.Range) (s, file string) {
	switch {
	case v.IsNull():
		r.errorf(at, "", "a value is missing")
	case v.Type() == fileType:
		return "", v.EncapsulatedValue().(*fileReference).path
	case v.Type() == cty.Number:
		f := v.AsBigFloat()
		if f.IsInf() {
			if f.Signbit() {
				return "-INFINITY", ""
			}
			return "INFINITY", ""
		}
		return numberText(f), ""
	case v.Type() == cty.String || v.Type() == cty.Bool:
		c, err := convert.Convert(v, cty.String)
		if err == nil {
			return c.AsString(), ""
		}
		r.errorf(at, "", "%v", err)
	default:
		r.errorf(at, "", "text, a number or true/false is needed here, not a %s", v.Type().FriendlyName())
	}
	return "", ""
}

// numberText prints whole numbers without exponent or fraction. Numbers beyond
// what any option means are printed with an exponent, so that text stays short.
func numberText(f *big.Float) string {
	if f.MantExp(nil) > 128 {
		return f.Text('g', 20)
	}
	return f.Text('f', -1)
}

// entry is one "name = value" of a map, in the order of the document.
type entry struct {
	name, value, file string
	rng               hcl.Range
}

// entries returns an attribute that is a map.
func (b *body) entries(name string) []entry {
	a := b.content.Attributes[name]
	if a == nil {
		return nil
	}
	return b.mapEntries(a.Expr)
}

func (r *reader) mapEntries(e hcl.Expression) []entry {
	kvs, diags := hcl.ExprMap(e)
	if diags.HasErrors() {
		r.errorf(e.Range(), `write { name = "value" }`, "a map is needed here")
		return nil
	}
	var out []entry
	seen := map[string]bool{}
	for _, kv := range kvs {
		key := hcl.ExprAsKeyword(kv.Key)
		if key == "" {
			v, ok := r.value(kv.Key)
			if !ok {
				continue
			}
			key, _ = r.valueText(v, kv.Key.Range())
		}
		if seen[key] {
			r.errorf(kv.Key.Range(), "", "%s is set twice", key)
			continue
		}
		seen[key] = true
		v, ok := r.value(kv.Value)
		if !ok {
			continue
		}
		s, file := r.valueText(v, kv.Value.Range())
		out = append(out, entry{key, s, file, kv.Key.Range()})
	}
	return out
}

func newReader() *reader {
	return &reader{
		cfg:   &cluster.Config{},
		where: map[string]hcl.Range{},
		found: map[string]*cluster.Resource{},
		parts: map[string][]string{},
		owner: map[string]string{},
	}
}
