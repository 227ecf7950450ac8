package config

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"linuxha/internal/cluster"
)

// Format prints a configuration as canonical text, which Parse reads back to
// the same configuration.
func Format(cfg *cluster.Config) []byte {
	var b strings.Builder
	for i, o := range Objects(cfg) {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(o.Text)
	}
	return []byte(b.String())
}

// Object is one top-level block of the canonical text.
type Object struct {
	Kind string `json:"kind"` // the block's type
	Name string `json:"name"`
	Text string `json:"text"`
}

// Objects returns the blocks of the canonical text, in order.
func Objects(cfg *cluster.Config) []Object {
	p := &printer{}
	p.clusterBlock(cfg)
	for i := range cfg.Nodes {
		p.node(&cfg.Nodes[i])
	}
	for i := range cfg.Templates {
		p.primitive("template", &cfg.Templates[i])
	}
	for i := range cfg.Resources {
		p.resource(&cfg.Resources[i])
	}
	for i := range cfg.FencingLevels {
		p.fencingLevel(&cfg.FencingLevels[i])
	}
	for _, t := range cfg.Tags {
		p.begin("tag", t.ID)
		p.attr("references", list(t.References))
		p.end()
	}
	p.constraints(cfg)
	if len(cfg.ResourceDefaults)+len(cfg.OperationDefaults) > 0 {
		p.begin("defaults", "")
		p.attrSets("resource", "resource_set", cfg.ResourceDefaults, dashedKeys)
		p.attrSets("operation", "operation_set", cfg.OperationDefaults, dashedKeys)
		p.end()
	}
	p.access(cfg)
	return p.objects
}

// printer writes blocks as HCL's formatter would lay them out. That comes with
// packages (hclwrite, go-cmp) whose initialisation alone was an eighth of what any
// command of ha takes to start.
type printer struct {
	objects []Object
	lines   []line // of the top-level block under way
	depth   int
	kind    string
	name    string
}

// line is one line of a block: text, or with a value the assignment text = value.
type line struct {
	depth       int
	text, value string
}

// unlabelled are the blocks without a name.
var unlabelled = map[string]bool{"set": true, "defaults": true, "deny": true}

// begin opens a block.
func (p *printer) begin(kind, label string) {
	if p.depth == 0 {
		p.kind, p.name = kind, label
		p.lines = p.lines[:0]
	}
	if unlabelled[kind] {
		p.open(kind)
	} else {
		p.open(kind + " " + quote(label))
	}
}

func (p *printer) end() {
	p.close()
	if p.depth == 0 {
		p.objects = append(p.objects, Object{Kind: p.kind, Name: p.name, Text: layOut(p.lines)})
	}
}

func (p *printer) open(text string) {
	p.lines = append(p.lines, line{depth: p.depth, text: text + " {"})
	p.depth++
}

func (p *printer) close() {
	p.depth--
	p.lines = append(p.lines, line{depth: p.depth, text: "}"})
}

// layOut indents lines, and aligns the assignments of successive ones.
func layOut(lines []line) string {
	if len(lines) == 2 {
		return lines[0].text + "}\n" // an empty block
	}
	var b strings.Builder
	width := 0
	for i, l := range lines {
		if l.value != "" && (i == 0 || lines[i-1].value == "") {
			width = 0
			for j := i; lines[j].value != ""; j++ { // some "}" follows
				width = max(width, utf8.RuneCountInString(lines[j].text))
			}
		}
		b.WriteString(strings.Repeat("  ", l.depth) + l.text)
		if l.value != "" {
			b.WriteString(strings.Repeat(" ", width-utf8.RuneCountInString(l.text)) + " = " + l.value)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// attr writes "name = expression"; an empty expression is left out.
func (p *printer) attr(name, expression string) {
	if expression != "" {
		p.lines = append(p.lines, line{p.depth, name, expression})
	}
}

// str writes a text attribute if it is not empty.
func (p *printer) str(name, value string) {
	if value != "" {
		p.attr(name, scalar(value))
	}
}

// quote writes s as a string of the language, in which "${" and "%{" would begin
// templates.
func quote(s string) string {
	s = cty.NormalizeString(s) // as reading it does
	var b strings.Builder
	b.WriteByte('"')
	for i, c := range s {
		switch {
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '"', c == '\\':
			b.WriteString(`\` + string(c))
		case (c == '$' || c == '%') && strings.HasPrefix(s[i+1:], "{"):
			b.WriteString(string(c) + string(c))
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c < 1<<16:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			fmt.Fprintf(&b, `\U%08x`, c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// scalar prints a value as number, boolean or infinity where that reads back as
// the same text, else quoted.
func scalar(s string) string {
	if n, err := strconv.Atoi(s); err == nil && strconv.Itoa(n) == s {
		return s
	}
	switch s {
	case "true", "false":
		return s
	case "INFINITY":
		return "infinity"
	case "-INFINITY":
		return "-infinity"
	}
	return quote(s)
}

func list(items []string) string {
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// How names of pairs are written.
func dashedKeys(name string) string { return scored(name) }
func freeKeys(name string) string {
	if hclsyntax.ValidIdentifier(name) && name != "true" && name != "false" && name != "null" {
		return name
	}
	return quote(name)
}

func pairValue(p cluster.NVPair) string {
	if p.File != "" {
		return "file(" + quote(p.File) + ")"
	}
	switch p.Name {
	case "target-role", "role":
		return quote(strings.ToLower(p.Value))
	}
	return scalar(p.Value)
}

// object writes "name = { ... }", one pair a line when there are several.
func (p *printer) object(name string, pairs []cluster.NVPair, key func(string) string) {
	if len(pairs) == 1 {
		p.attr(name, "{ "+key(pairs[0].Name)+" = "+pairValue(pairs[0])+" }")
		return
	}
	p.open(name + " =")
	for _, each := range pairs {
		p.attr(key(each.Name), pairValue(each))
	}
	p.close()
}

// attrSets prints the plain first block as a map, the others as blocks.
func (p *printer) attrSets(attr, block string, sets []cluster.AttrSet, key func(string) string) {
	if len(sets) > 0 && simple(sets[0]) {
		if len(sets[0].Pairs) > 0 {
			p.object(attr, sets[0].Pairs, key)
		}
		sets = sets[1:]
	}
	for _, s := range sets {
		p.set(block, s, key)
	}
}

func (p *printer) set(block string, s cluster.AttrSet, key func(string) string) {
	p.open(block + " " + quote(s.ID))
	p.str("same_as", s.Ref)
	if s.Score != 0 {
		p.attr("score", scoreText(s.Score))
	}
	if s.Rule != nil {
		p.attr("rule", quote(FormatRule(s.Rule)))
	}
	var plainPairs, others []cluster.NVPair
	for _, x := range s.Pairs {
		if x.Ref != "" {
			others = append(others, x)
		} else {
			plainPairs = append(plainPairs, x)
		}
	}
	if len(plainPairs) > 0 {
		p.object("values", plainPairs, key)
	}
	for i, x := range others {
		p.begin("value", strconv.Itoa(i))
		p.str("name", x.Name)
		p.str("same_as", x.Ref)
		p.end()
	}
	p.end()
}

// simple tells whether a block can be printed as a map: its name is of no use
// unless something refers to it, which only imported configurations do.
func simple(s cluster.AttrSet) bool {
	if s.Ref != "" || s.Score != 0 || s.Rule != nil {
		return false
	}
	seen := map[string]bool{}
	for _, p := range s.Pairs {
		if p.Ref != "" || seen[p.Name] {
			return false
		}
		seen[p.Name] = true
	}
	return s.ID == ""
}

func scoreText(n int) string {
	switch {
	case n >= 1000000:
		return "infinity"
	case n <= -1000000:
		return "-infinity"
	}
	return strconv.Itoa(n)
}

func sortPairs(pairs []cluster.NVPair) {
	sort.SliceStable(pairs, func(i, j int) bool { return pairs[i].Name < pairs[j].Name })
}
