// Package config is the configuration language: HCL text to cluster.Config and
// back. Reading is strict: what it does not know, or what cannot be meant, is an
// error that names file, line and the nearest known name.
//
// Pacemaker's names are written with "_" for "-"; the few other spellings are
// listed in names.go. See CONFIGURATION in docs/reference.
package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"

	"linuxha/internal/cluster"
)

// MaxSource bounds the text of one configuration file, in bytes.
const MaxSource = 16 << 20

// Source is one file of a configuration.
type Source struct {
	Name string // shown in errors; ".json" at its end selects HCL's JSON form
	Text []byte
}

// Parse reads a configuration from one or more sources, in order. All errors
// found are returned, joined, each an *Error.
func Parse(sources ...Source) (*cluster.Config, error) {
	cfg, _, err := Check(sources...)
	return cfg, err
}

// Check is Parse, and also returns what a person should be warned of: what is
// accepted, and does not do here what it says.
func Check(sources ...Source) (cfg *cluster.Config, warnings []*Error, err error) {
	parser := hclparse.NewParser()
	r := newReader()
	var bodies []hcl.Body
	for _, s := range sources {
		if len(s.Text) > MaxSource {
			return nil, nil, fmt.Errorf("%s: %d bytes, at most %d are read", s.Name, len(s.Text), MaxSource)
		}
		if err := checkNesting(s); err != nil {
			return nil, nil, err
		}
		var f *hcl.File
		var diags hcl.Diagnostics
		if strings.HasSuffix(s.Name, ".json") {
			f, diags = parser.ParseJSON(s.Text, s.Name)
		} else {
			f, diags = parser.ParseHCL(s.Text, s.Name)
		}
		r.diags = append(r.diags, diags...)
		if f != nil {
			bodies = append(bodies, f.Body)
		}
	}
	if !r.diags.HasErrors() {
		r.root(bodies)
	}
	if !r.diags.HasErrors() {
		for _, p := range append(Validate(r.cfg), CheckAgents(r.cfg)...) {
			r.problem(p)
		}
	}
	if r.diags.HasErrors() {
		return nil, nil, r.errors()
	}
	return r.cfg, r.warnings(), nil
}

// Error is one thing wrong with a configuration, or to be warned of.
type Error struct {
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"` // 1-based; 0 unknown
	Column  int    `json:"column,omitempty"`
	Summary string `json:"summary"`
	Hint    string `json:"hint,omitempty"` // what to do
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	}
	b.WriteString(e.Summary)
	if e.Hint != "" {
		b.WriteString("; " + e.Hint)
	}
	return b.String()
}

// Errors returns the single errors that err joins.
func Errors(err error) []*Error {
	var out []*Error
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			out = append(out, Errors(e)...)
		}
		return out
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return []*Error{e}
	}
	return nil
}
