// Package pacemaker reads Pacemaker's configuration and status, a CIB in XML of
// any schema version from 1.0 to 3.10, into the model of package cluster. What
// older schemas spell differently is read as its modern form.
package pacemaker

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// CIB is what one document says.
type CIB struct {
	Config   cluster.Config
	Status   cluster.Status
	Warnings []Problem // in document order; only from a lenient Parse
}

// Options say how Parse treats what is well-formed XML but not a valid CIB.
type Options struct {
	// Lenient turns unknown elements and attributes, duplicate ids, dangling
	// references and values out of range into warnings; what cannot be
	// understood is left out, as Pacemaker itself does.
	Lenient bool
}

// Problem is something wrong at one place of the document.
type Problem struct {
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1, in characters
	Text   string `json:"text"`
}

func (p Problem) String() string { return fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Text) }

// Error holds all that is wrong with a document, in document order, at least
// one Problem.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	const shown = 10
	var b strings.Builder
	for i, p := range e.Problems {
		if i == shown {
			fmt.Fprintf(&b, "\n... and %d more", len(e.Problems)-shown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// maxProblems bounds what one hopeless document can make us say.
const maxProblems = 1000

// Parse reads a CIB. Malformed XML, a document that is not a CIB, and a
// resource without id always are an *Error; other faults are, unless
// opts.Lenient. The CIB's strings share the memory of text.
func Parse(text string, opts Options) (*CIB, error) {
	doc, err := parseXML(text)
	if err != nil {
		s := err.(*syntaxError)
		line, col := position(text, s.pos)
		return nil, &Error{[]Problem{{line, col, s.text}}}
	}
	r := reader{doc: doc}
	r.cib(doc.root())
	r.resolveOperations(r.config.Resources)
	r.resolveOperations(r.config.Templates)
	r.checkReferences()
	r.nameNodeStates()

	faults := r.fatal
	if !opts.Lenient {
		faults = append(faults, r.faults...)
	}
	if len(faults) > 0 {
		return nil, &Error{r.problems(faults)}
	}
	return &CIB{Config: r.config, Status: r.status, Warnings: r.problems(r.faults)}, nil
}

// reader walks one document and fills the model.
type reader struct {
	doc    *document
	config cluster.Config
	status cluster.Status

	ids      map[string]kind // of the configuration
	refs     []idRef
	nodeRefs []idRef
	opsOwner map[string]string // id of an operations element -> resource
	fatal    []fault
	faults   []fault
}

type fault struct {
	pos  int
	text string
}

func (r *reader) fault(pos int, format string, args ...any) {
	if len(r.faults) < maxProblems {
		r.faults = append(r.faults, fault{pos, fmt.Sprintf(format, args...)})
	}
}

func (r *reader) problems(faults []fault) []Problem {
	if len(faults) == 0 {
		return nil
	}
	slices.SortStableFunc(faults, func(a, b fault) int { return cmp.Compare(a.pos, b.pos) })
	out := make([]Problem, len(faults))
	for i, f := range faults {
		line, col := position(r.doc.text, f.pos)
		out[i] = Problem{line, col, f.text}
	}
	return out
}

func (r *reader) unknownElement(parent, e *element) {
	r.fault(e.pos, "unknown element <%s> in <%s>", e.name, parent.name)
}

func (r *reader) unknownAttr(e *element, a attr) {
	r.fault(a.pos, "unknown attribute %s of <%s>", a.name, e.name)
}

// oneOf checks a value against the words that the schema allows.
func (r *reader) oneOf(a attr, words ...string) string {
	if !slices.Contains(words, a.value) {
		r.fault(a.pos, "%s is %q; it can be %s", a.name, a.value, strings.Join(words, ", "))
	}
	return a.value
}

func (r *reader) boolean(a attr) string {
	switch strings.ToLower(a.value) {
	case "true", "on", "yes", "y", "1", "false", "off", "no", "n", "0":
	default:
		r.fault(a.pos, "%s is %q; it can be true or false", a.name, a.value)
	}
	return a.value
}

func (r *reader) cib(e *element) {
	if e.name != "cib" {
		r.fatal = append(r.fatal, fault{e.pos, fmt.Sprintf("the document is <%s>, not <cib>", e.name)})
		return
	}
	r.config.Origin = cluster.OriginCIB
	for a := range r.doc.attributes(e) {
		switch a.name {
		case "have-quorum":
			r.status.Quorate = cluster.IsTrue(r.boolean(a))
		case "no-quorum-panic":
			r.status.QuorumPanic = cluster.IsTrue(r.boolean(a))
		case "dc-uuid":
			r.status.Coordinator = a.value
		case "execution-date":
			r.status.ExecutionDate = epoch(a.value)
		}
	}
	for c := range r.doc.children(e) {
		switch c.name {
		case "configuration":
			r.configuration(c)
		case "status":
			r.statusSection(c)
		default:
			r.unknownElement(e, c)
		}
	}
}

func (r *reader) configuration(e *element) {
	if r.ids == nil { // nearly every element in it has one
		r.ids = make(map[string]kind, r.doc.descendants(e))
	}
	for c := range r.doc.children(e) {
		switch c.name {
		case "crm_config":
			r.options(c)
		case "nodes":
			r.nodes(c)
		case "resources":
			r.resources(c)
		case "constraints":
			r.constraints(c)
		case "rsc_defaults":
			r.config.ResourceDefaults = r.attrSets(c, "meta_attributes", metaSpelling)
		case "op_defaults":
			r.config.OperationDefaults = r.attrSets(c, "meta_attributes", operationSpelling)
		case "fencing-topology":
			r.fencingLevels(c)
		case "tags":
			r.tags(c)
		case "alerts":
			r.alerts(c)
		case "acls":
			r.acls(c)
		default:
			r.unknownElement(e, c)
		}
	}
}

func (r *reader) options(e *element) {
	r.config.Options = r.attrSets(e, "cluster_property_set", optionSpelling)
	for _, set := range r.config.Options {
		for _, p := range set.Pairs {
			if p.Name == "cluster-name" && set.Rule == nil && r.config.Name == "" {
				r.config.Name = p.Value
			}
		}
	}
}

// nameNodeStates gives node states without a name that of the node with their
// id.
func (r *reader) nameNodeStates() {
	for i := range r.status.Nodes {
		s := &r.status.Nodes[i]
		if s.Name != "" {
			continue
		}
		for _, n := range r.config.Nodes {
			if n.ID == s.ID {
				s.Name = n.Name
			}
		}
	}
}

func (r *reader) nodes(e *element) {
	for c := range r.doc.children(e) {
		if c.name != "node" {
			r.unknownElement(e, c)
			continue
		}
		n := cluster.Node{}
		for a := range r.doc.attributes(c) {
			switch a.name {
			case "id":
				n.ID = a.value
			case "uname":
				n.Name = a.value
			case "type":
				if r.oneOf(a, "member", "normal", "ping", "remote") == "remote" {
					n.Kind = cluster.NodeRemote
				}
			case "score":
				n.Score = a.value
			case "description":
			default:
				r.unknownAttr(c, a)
			}
		}
		if n.ID == "" || n.Name == "" {
			r.fault(c.pos, "node without id or uname")
		}
		for b := range r.doc.children(c) {
			switch b.name {
			case "instance_attributes":
				n.Attributes = append(n.Attributes, r.attrSet(b, nil))
			case "utilization":
				n.Utilization = append(n.Utilization, r.attrSet(b, nil))
			default:
				r.unknownElement(c, b)
			}
		}
		if n.Name != "" {
			r.config.Nodes = append(r.config.Nodes, n)
		}
	}
}

func (r *reader) tags(e *element) {
	for c := range r.doc.children(e) {
		if c.name != "tag" {
			r.unknownElement(e, c)
			continue
		}
		t := cluster.Tag{ID: r.id(c, kindTag)}
		for o := range r.doc.children(c) {
			if o.name != "obj_ref" {
				r.unknownElement(c, o)
				continue
			}
			id := r.doc.attr(o, "id")
			r.refer(o.pos, id, anyKind, "tag", t.ID)
			t.References = append(t.References, id)
		}
		r.config.Tags = append(r.config.Tags, t)
	}
}

// epoch reads a time as seconds since 1970 or in ISO 8601; zero if it is neither.
func epoch(s string) time.Time {
	if n, ok := integer(s); ok {
		return time.Unix(n, 0).UTC()
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
