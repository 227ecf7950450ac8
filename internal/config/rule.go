package config

import (
	"fmt"
	"slices"
	"strings"

	"linuxha/internal/cluster"
)

// ruleGrammar is the text form of rules, as the reference prints it.
const ruleGrammar = `rule      = term { "or" term }
term      = condition { "and" condition }
condition = "(" rule ")"
          | operand operator [ type ] value      attr.cpu lt 4, node eq alpha
          | ( "defined" | "not_defined" ) operand
          | "date" ( "gt" | "lt" ) time
          | "date" "in" time "to" time | "date" "in" time "for" fields | "date" "in" "to" time
          | "date" "spec" fields                 hours=9-16 weekdays=1-5
          | "resource" class ":" provider ":" type   each may be empty
          | "op" name [ "interval=" time ]
operand   = "attr." name | "node" | "node_id" | "kind" | "is_dc" | "cluster_name" | "site_name"
operator  = "eq" | "ne" | "lt" | "lte" | "gt" | "gte"
type      = "string" | "integer" | "number" | "version"
value     = word | "param." name | "meta." name
Words with blanks or brackets stand in double quotes.
`

// special operands and the attribute names that they stand for.
var operands = map[string]string{
	"node": "#uname", "node_id": "#id", "kind": "#kind", "is_dc": "#is_dc", "cluster_name": "#cluster-name", "site_name": "#site-name",
}

var dateFields = []string{"years", "months", "monthdays", "hours", "minutes", "seconds", "yeardays", "weekyears", "weeks", "weekdays", "moon"}

// ParseRule reads the text form of a rule.
func ParseRule(text string) (*cluster.Rule, error) {
	words, err := splitRule(text)
	if err != nil {
		return nil, err
	}
	p := &ruleParser{words: words}
	r, err := p.rule()
	if err != nil {
		return nil, err
	}
	if !p.end() {
		return nil, fmt.Errorf("%q is not expected after the rule's end", p.peek().text)
	}
	return r, nil
}

// word is a piece of a rule; quoted ones are never keywords.
type word struct {
	text   string
	quoted bool
}

func splitRule(text string) ([]word, error) {
	var out []word
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '(' || c == ')':
			out = append(out, word{text: string(c)})
			i++
		case c == '"':
			var b strings.Builder
			i++
			for ; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' && i+1 < len(text) {
					i++
				}
				b.WriteByte(text[i])
			}
			if i == len(text) {
				return nil, fmt.Errorf("a double quote is not closed")
			}
			out = append(out, word{b.String(), true})
			i++
		default:
			j := i
			for j < len(text) && !strings.ContainsRune(" \t\n\r()\"", rune(text[j])) {
				j++
			}
			out = append(out, word{text: text[i:j]})
			i = j
		}
	}
	return out, nil
}

type ruleParser struct {
	words []word
	pos   int
	depth int
}

func (p *ruleParser) end() bool { return p.pos >= len(p.words) }

func (p *ruleParser) peek() word {
	if p.end() {
		return word{}
	}
	return p.words[p.pos]
}

// take consumes an unquoted keyword.
func (p *ruleParser) take(keyword string) bool {
	if w := p.peek(); !p.end() && !w.quoted && w.text == keyword {
		p.pos++
		return true
	}
	return false
}

func (p *ruleParser) next(what string) (string, error) {
	if p.end() {
		return "", fmt.Errorf("%s is missing at the end", what)
	}
	w := p.words[p.pos]
	if !w.quoted && (w.text == "(" || w.text == ")") {
		return "", fmt.Errorf("%s is needed before %q", what, w.text)
	}
	p.pos++
	return w.text, nil
}

// rule reads alternatives; one alternative alone is the rule itself.
func (p *ruleParser) rule() (*cluster.Rule, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, fmt.Errorf("nested deeper than %d levels", maxNesting)
	}
	defer func() { p.depth-- }()
	var terms []*cluster.Rule
	for {
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		terms = append(terms, t)
		if !p.take("or") {
			break
		}
	}
	if len(terms) == 1 {
		return terms[0], nil
	}
	r := &cluster.Rule{Or: true}
	for _, t := range terms {
		if len(t.Conditions) == 1 {
			r.Conditions = append(r.Conditions, t.Conditions[0])
		} else {
			r.Conditions = append(r.Conditions, cluster.Condition{Rule: t})
		}
	}
	return r, nil
}

func (p *ruleParser) term() (*cluster.Rule, error) {
	r := &cluster.Rule{}
	for {
		c, err := p.condition()
		if err != nil {
			return nil, err
		}
		r.Conditions = append(r.Conditions, c)
		if !p.take("and") {
			break
		}
	}
	// A term that is one bracketed rule is that rule.
	if len(r.Conditions) == 1 && r.Conditions[0].Rule != nil {
		return r.Conditions[0].Rule, nil
	}
	return r, nil
}

func (p *ruleParser) condition() (cluster.Condition, error) {
	var c cluster.Condition
	switch {
	case p.take("("):
		r, err := p.rule()
		if err != nil {
			return c, err
		}
		if !p.take(")") {
			return c, fmt.Errorf("a bracket is not closed")
		}
		c.Rule = r
		return c, nil
	case p.take("date"):
		d, err := p.date()
		c.Date = d
		return c, err
	case p.take("resource"):
		w, err := p.next("class:provider:type")
		parts := strings.Split(w, ":")
		if err == nil && len(parts) != 3 {
			err = fmt.Errorf("%q is not class:provider:type", w)
		}
		if err != nil {
			return c, err
		}
		c.Resource = &cluster.ResourceExpr{Class: parts[0], Provider: parts[1], Type: parts[2]}
		return c, nil
	case p.take("op"):
		w, err := p.next("an operation's name")
		c.Operation = &cluster.OpExpr{Name: w}
		if rest, ok := strings.CutPrefix(p.peek().text, "interval="); ok {
			p.pos++
			c.Operation.Interval, err = canonicalDuration(rest)
		}
		return c, err
	}
	for _, op := range []string{"defined", "not_defined"} {
		if p.take(op) {
			name, err := p.operand()
			c.Attribute = &cluster.AttrExpr{Attribute: name, Operation: op}
			return c, err
		}
	}
	a, err := p.comparison()
	c.Attribute = a
	return c, err
}

func (p *ruleParser) operand() (string, error) {
	w, err := p.next("an attribute such as attr.cpu or node")
	if err != nil {
		return "", err
	}
	if name, ok := strings.CutPrefix(w, "attr."); ok && name != "" {
		return name, nil
	}
	if name, ok := operands[w]; ok {
		return name, nil
	}
	return "", fmt.Errorf("%q is not attr.NAME, node, node_id, kind, is_dc, cluster_name or site_name", w)
}

// valueFollows tells whether the next word is followed by another that can be a
// value: then the next may be a type.
func (p *ruleParser) valueFollows() bool {
	if p.pos+1 >= len(p.words) {
		return false
	}
	w := p.words[p.pos+1]
	return w.quoted || w.text != "and" && w.text != "or" && w.text != ")"
}

// moment reads a time.
func (p *ruleParser) moment() (string, error) {
	t, err := p.next("a time")
	if err == nil && t == "" {
		err = fmt.Errorf("a time is empty")
	}
	return t, err
}

func (p *ruleParser) comparison() (*cluster.AttrExpr, error) {
	name, err := p.operand()
	if err != nil {
		return nil, err
	}
	op, err := p.next("eq, ne, lt, lte, gt or gte")
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"eq", "ne", "lt", "lte", "gt", "gte"}, op) {
		return nil, fmt.Errorf("%q is not eq, ne, lt, lte, gt or gte", op)
	}
	e := &cluster.AttrExpr{Attribute: name, Operation: op}
	if p.valueFollows() {
		for _, t := range []string{"string", "integer", "number", "version"} {
			if p.take(t) {
				e.Type = t
				break
			}
		}
	}
	quoted := p.peek().quoted
	if e.Value, err = p.next("a value"); err != nil {
		return nil, err
	}
	for _, source := range []string{"param", "meta"} {
		if v, ok := strings.CutPrefix(e.Value, source+"."); ok && !quoted {
			e.Value, e.ValueSource = v, source
		}
	}
	return e, nil
}

func (p *ruleParser) date() (*cluster.DateExpr, error) {
	op, err := p.next("in, gt, lt or spec")
	if err != nil {
		return nil, err
	}
	switch op {
	case "gt", "lt":
		t, err := p.moment()
		if op == "gt" {
			return &cluster.DateExpr{Operation: op, Start: t}, err
		}
		return &cluster.DateExpr{Operation: op, End: t}, err
	case "spec":
		f, err := p.fields()
		return &cluster.DateExpr{Operation: "date_spec", Spec: f}, err
	case "in":
		d := &cluster.DateExpr{Operation: "in_range"}
		if !p.take("to") {
			if d.Start, err = p.moment(); err != nil {
				return nil, err
			}
			if p.take("for") {
				d.Duration, err = p.fields()
				return d, err
			}
			if !p.take("to") {
				return d, nil
			}
		}
		d.End, err = p.moment()
		return d, err
	}
	return nil, fmt.Errorf("date %q is not in, gt, lt or spec", op)
}

func (p *ruleParser) fields() (map[string]string, error) {
	out := map[string]string{}
	for !p.end() {
		name, value, ok := strings.Cut(p.peek().text, "=")
		if !ok || p.peek().quoted {
			break
		}
		if !slices.Contains(dateFields, name) && name != "days" {
			return nil, fmt.Errorf("there is no date field %q; use %s", name, strings.Join(dateFields, ", "))
		}
		out[name] = value
		p.pos++
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("fields such as hours=9-16 are missing")
	}
	return out, nil
}
