package pacemaker

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits on what is read at all, checked before anything is built from it.
const (
	MaxSize     = 256 << 20 // bytes of one document
	maxElements = 8 << 20
	maxDepth    = 200
)

// document is a parsed XML text. A CIB is elements and attributes only, often
// megabytes of them, so the tree keeps to two flat slices and its strings
// share the memory of the text: this is about eight times as fast as
// encoding/xml, which the fuzz test compares it with.
type document struct {
	text  string
	elems []element // elems[0] is the root, in document order
	attrs []attrPlace
	// unescaped are the values that are not in the text as they are meant.
	unescaped []string
}

type element struct {
	name        string
	pos         int // offset of its "<"
	from, to    int32
	first, next int32 // first child and next sibling, 0: none (the root is neither)
}

type attr struct {
	name, value string
	pos         int
}

// attrPlace is where an attribute is in the text, a third of the size of an attr:
// a document has more attributes than anything else.
type attrPlace struct {
	pos, nameLen    int32
	value, valueLen int32 // valueLen < 0: value is an index into unescaped
}

// syntaxError is a malformed text, at an offset.
type syntaxError struct {
	pos  int
	text string
}

func (e *syntaxError) Error() string { return e.text }

func (d *document) root() *element { return &d.elems[0] }

func (d *document) attributes(e *element) iter.Seq[attr] {
	return func(yield func(attr) bool) {
		for i := e.from; i < e.to; i++ {
			p := &d.attrs[i]
			if !yield(attr{d.nameAt(p), d.valueAt(p), int(p.pos)}) {
				return
			}
		}
	}
}

func (d *document) nameAt(p *attrPlace) string { return d.text[p.pos : p.pos+p.nameLen] }

func (d *document) valueAt(p *attrPlace) string {
	if p.valueLen < 0 {
		return d.unescaped[p.value]
	}
	return d.text[p.value : p.value+p.valueLen]
}

// attr returns the value of an attribute, "" if it is absent.
func (d *document) attr(e *element, name string) string {
	v, _ := d.lookup(e, name)
	return v
}

func (d *document) lookup(e *element, name string) (string, bool) {
	for i := e.from; i < e.to; i++ {
		if p := &d.attrs[i]; d.nameAt(p) == name {
			return d.valueAt(p), true
		}
	}
	return "", false
}

func (d *document) children(e *element) iter.Seq[*element] {
	return func(yield func(*element) bool) {
		for i := e.first; i != 0; i = d.elems[i].next {
			if !yield(&d.elems[i]) {
				return
			}
		}
	}
}

// count returns the number of children.
func (d *document) count(e *element) (n int) {
	for range d.children(e) {
		n++
	}
	return n
}

// countNamed returns the number of children of a name.
func (d *document) countNamed(e *element, name string) (n int) {
	for c := range d.children(e) {
		if c.name == name {
			n++
		}
	}
	return n
}

// descendants returns about how many elements are inside e: not fewer.
func (d *document) descendants(e *element) int {
	switch {
	case e.first == 0:
		return 0
	case e.next == 0:
		return len(d.elems) - int(e.first)
	}
	return int(e.next - e.first)
}

// parseXML reads a document without DTD in UTF-8. Comments, processing
// instructions and text between elements are skipped.
func parseXML(text string) (*document, error) {
	if len(text) > MaxSize {
		return nil, &syntaxError{0, fmt.Sprintf("document of %d bytes is larger than %d bytes", len(text), MaxSize)}
	}
	p := xmlParser{s: text}
	if !utf8.ValidString(p.s) {
		return nil, &syntaxError{invalidUTF8(p.s), "text is not valid UTF-8"}
	}
	n := strings.Count(p.s, "<")
	if n > maxElements {
		return nil, &syntaxError{0, fmt.Sprintf("more than %d elements", maxElements)}
	}
	p.doc.text = p.s
	p.doc.elems = make([]element, 0, n)
	p.doc.attrs = make([]attrPlace, 0, strings.Count(p.s, "="))
	if err := p.document(); err != nil {
		return nil, err
	}
	return &p.doc, nil
}

func invalidUTF8(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return len(s)
}

type xmlParser struct {
	s    string
	i    int
	doc  document
	open []openElement
}

// openElement is an element whose end tag has not come yet.
type openElement struct{ index, lastChild int32 }

func (p *xmlParser) fail(pos int, format string, args ...any) error {
	return &syntaxError{pos, fmt.Sprintf(format, args...)}
}

func (p *xmlParser) document() error {
	p.s = strings.TrimPrefix(p.s, "\ufeff")
	if d := len(p.doc.text) - len(p.s); d > 0 { // keep offsets those of the text
		p.s, p.i = p.doc.text, d
	}
	start := p.i
	for p.i < len(p.s) {
		lt := strings.IndexByte(p.s[p.i:], '<')
		if lt < 0 {
			break
		}
		if err := p.between(p.i, p.i+lt); err != nil {
			return err
		}
		p.i += lt
		var err error
		switch rest := p.s[p.i:]; {
		case strings.HasPrefix(rest, "<!--"):
			err = p.comment()
		case strings.HasPrefix(rest, "<?"):
			err = p.instruction(start)
		case strings.HasPrefix(rest, "<!"):
			err = p.fail(p.i, "markup declarations (DOCTYPE, CDATA) are not accepted")
		case strings.HasPrefix(rest, "</"):
			err = p.endTag()
		default:
			err = p.startTag()
		}
		if err != nil {
			return err
		}
	}
	if err := p.between(p.i, len(p.s)); err != nil {
		return err
	}
	if len(p.open) > 0 {
		e := &p.doc.elems[p.open[len(p.open)-1].index]
		return p.fail(e.pos, "element <%s> is never closed", e.name)
	}
	if len(p.doc.elems) == 0 {
		return p.fail(0, "no XML element found")
	}
	return nil
}

// between checks the text between two tags, which carries nothing.
func (p *xmlParser) between(from, to int) error {
	for i := from; i < to; i++ {
		if c := p.s[i]; !isSpace(c) {
			return p.fail(i, "unexpected text between elements")
		}
	}
	return nil
}

func (p *xmlParser) comment() error {
	end := strings.Index(p.s[p.i+4:], "--")
	if end < 0 {
		return p.fail(p.i, "comment is never closed")
	}
	at := p.i + 4 + end
	if !strings.HasPrefix(p.s[at:], "-->") {
		return p.fail(at, "\"--\" inside a comment")
	}
	if err := p.characters(p.i+4, at); err != nil {
		return err
	}
	p.i = at + 3
	return nil
}

// instruction skips a processing instruction; the XML declaration may only
// say that the text is what it is read as.
func (p *xmlParser) instruction(start int) error {
	end := 2 + strings.Index(p.s[p.i+2:], "?>")
	if end < 2 {
		return p.fail(p.i, "processing instruction is never closed")
	}
	body := p.s[p.i+2 : p.i+end]
	if err := p.characters(p.i+2, p.i+end); err != nil {
		return err
	}
	name, rest, _ := strings.Cut(body, " ")
	if strings.EqualFold(name, "xml") {
		if p.i != start {
			return p.fail(p.i, "XML declaration is not at the beginning")
		}
		if v := declared(rest, "version"); v != "" && v != "1.0" {
			return p.fail(p.i, "XML version %q is not supported", v)
		}
		switch enc := declared(rest, "encoding"); strings.ToLower(enc) {
		case "", "utf-8", "us-ascii", "ascii":
		default:
			return p.fail(p.i, "encoding %q is not supported; convert the file to UTF-8", enc)
		}
	} else if body == "" || !isNameStart(body[0]) {
		return p.fail(p.i, "processing instruction without a name")
	}
	p.i += end + 2
	return nil
}

// declared returns the quoted value of a name in an XML declaration, or "".
func declared(declaration, name string) string {
	_, v, _ := strings.Cut(declaration, name)
	v = strings.TrimLeft(v, " \t\r\n=")
	if v == "" || (v[0] != '"' && v[0] != '\'') {
		return ""
	}
	v, _, _ = strings.Cut(v[1:], v[:1])
	return v
}

func (p *xmlParser) endTag() error {
	at := p.i
	p.i += 2
	name, err := p.name("element")
	if err != nil {
		return err
	}
	p.space()
	if p.i >= len(p.s) || p.s[p.i] != '>' {
		return p.fail(p.i, "end tag </%s is not closed by \">\"", name)
	}
	p.i++
	if len(p.open) == 0 {
		return p.fail(at, "end tag </%s> without a start tag", name)
	}
	e := &p.doc.elems[p.open[len(p.open)-1].index]
	if e.name != name {
		line, col := position(p.s, e.pos)
		return p.fail(at, "end tag </%s> where <%s> of line %d, column %d is open", name, e.name, line, col)
	}
	p.open = p.open[:len(p.open)-1]
	return nil
}

func (p *xmlParser) startTag() error {
	at := p.i
	p.i++
	name, err := p.name("element")
	if err != nil {
		return err
	}
	if len(p.open) == 0 && len(p.doc.elems) > 0 {
		return p.fail(at, "element <%s> after the end of the document", name)
	}
	if len(p.open) >= maxDepth {
		return p.fail(at, "elements nested deeper than %d", maxDepth)
	}
	index, from := int32(len(p.doc.elems)), int32(len(p.doc.attrs))
	empty, err := p.attributes(name, from)
	if err != nil {
		return err
	}
	p.doc.elems = append(p.doc.elems, element{name: name, pos: at, from: from, to: int32(len(p.doc.attrs))})
	if n := len(p.open); n > 0 {
		parent := &p.open[n-1]
		if parent.lastChild == 0 {
			p.doc.elems[parent.index].first = index
		} else {
			p.doc.elems[parent.lastChild].next = index
		}
		parent.lastChild = index
	}
	if !empty {
		p.open = append(p.open, openElement{index: index})
	}
	return nil
}

// attributes reads up to and including ">" or "/>".
func (p *xmlParser) attributes(tag string, from int32) (empty bool, err error) {
	var seen uint64 // of the names so far, a bit each
	for {
		spaced := p.space()
		rest := p.s[p.i:]
		switch {
		case rest == "":
			return false, p.fail(p.i, "start tag <%s is never closed", tag)
		case rest[0] == '>':
			p.i++
			return false, nil
		case strings.HasPrefix(rest, "/>"):
			p.i += 2
			return true, nil
		case !spaced:
			return false, p.fail(p.i, "expected a blank, \">\" or \"/>\" in start tag <%s", tag)
		}
		at := p.i
		name, err := p.name("attribute")
		if err != nil {
			return false, err
		}
		p.space()
		if p.i >= len(p.s) || p.s[p.i] != '=' {
			return false, p.fail(p.i, "attribute %s has no value", name)
		}
		p.i++
		p.space()
		place := attrPlace{pos: int32(at), nameLen: int32(len(name))}
		if err := p.value(name, &place); err != nil {
			return false, err
		}
		bit := uint64(1) << ((31*len(name) + int(name[0]) + int(name[len(name)-1])) % 64)
		if seen&bit != 0 && p.repeated(name, p.doc.attrs[from:]) {
			return false, p.fail(at, "attribute %s is given twice", name)
		}
		seen |= bit
		p.doc.attrs = append(p.doc.attrs, place)
	}
}

func (p *xmlParser) repeated(name string, among []attrPlace) bool {
	for i := range among {
		if p.doc.nameAt(&among[i]) == name {
			return true
		}
	}
	return false
}

// value reads a quoted value and notes where it is.
func (p *xmlParser) value(name string, place *attrPlace) error {
	if p.i >= len(p.s) || (p.s[p.i] != '"' && p.s[p.i] != '\'') {
		return p.fail(p.i, "value of attribute %s is not quoted", name)
	}
	start := p.i + 1
	end := start
	for end < len(p.s) && plainByte[p.s[end]] {
		end++
	}
	if end < len(p.s) && p.s[end] == p.s[p.i] {
		place.value, place.valueLen = int32(start), int32(end-start)
		p.i = end + 1
		return nil
	}
	return p.oddValue(name, place)
}

// oddValue is value for one in which something may not be meant as written, or wrong.
func (p *xmlParser) oddValue(name string, place *attrPlace) error {
	start := p.i + 1
	length := strings.IndexByte(p.s[start:], p.s[p.i])
	if length < 0 {
		return p.fail(p.i, "value of attribute %s is never closed", name)
	}
	raw := p.s[start : start+length]
	p.i = start + length + 1
	if lt := strings.IndexByte(raw, '<'); lt >= 0 {
		return p.fail(start+lt, "\"<\" in the value of attribute %s must be written &lt;", name)
	}
	if err := p.characters(start, start+length); err != nil {
		return err
	}
	if !strings.ContainsAny(raw, "&\r\n\t") {
		place.value, place.valueLen = int32(start), int32(length)
		return nil
	}
	value, err := p.unescape(raw, start)
	place.value, place.valueLen = int32(len(p.doc.unescaped)), -1
	p.doc.unescaped = append(p.doc.unescaped, value)
	return err
}

// unescape replaces references, and line ends and tabs by blanks as XML asks.
func (p *xmlParser) unescape(raw string, start int) (string, error) {
	var b strings.Builder
	b.Grow(len(raw))
	for j := 0; j < len(raw); j++ {
		switch c := raw[j]; c {
		case '\r':
			if j+1 < len(raw) && raw[j+1] == '\n' {
				continue
			}
			b.WriteByte(' ')
		case '\n', '\t':
			b.WriteByte(' ')
		case '&':
			ref, _, ok := strings.Cut(raw[j+1:], ";")
			r, known := reference(ref)
			if !ok || !known {
				return "", p.fail(start+j, "unknown reference after \"&\" (write &amp; for the character itself)")
			}
			b.WriteRune(r)
			j += len(ref) + 1
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), nil
}

func reference(ref string) (rune, bool) {
	switch ref {
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "amp":
		return '&', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	digits, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return 0, false
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || !isChar(rune(n)) {
		return 0, false
	}
	return rune(n), true
}

// characters checks that a stretch of text has only characters that XML allows.
func (p *xmlParser) characters(from, to int) error {
	for i, r := range p.s[from:to] {
		if !isChar(r) {
			return p.fail(from+i, "character %U is not allowed in XML", r)
		}
	}
	return nil
}

func (p *xmlParser) name(what string) (string, error) {
	start := p.i
	if start >= len(p.s) || !isNameStart(p.s[start]) {
		return "", p.fail(start, "expected the name of an %s", what)
	}
	i := start
	for i < len(p.s) && nameByte[p.s[i]] {
		i++
	}
	p.i = i
	return p.s[start:i], nil
}

func (p *xmlParser) space() bool {
	start := p.i
	for p.i < len(p.s) && isSpace(p.s[p.i]) {
		p.i++
	}
	return p.i > start
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

// Names in a CIB are ASCII; others end in "unknown element" anyway.
func isNameStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}

// nameByte tells what may follow in a name; a table, since most of a document is names.
var nameByte = func() (is [256]bool) {
	for c := range is {
		is[c] = isNameStart(byte(c)) || c >= '0' && c <= '9' || c == '-' || c == '.' || c == ':'
	}
	return is
}()

// plainByte tells what in a value is meant as written, whatever is around it, and ends
// no value. 0xef begins the characters that XML does not allow.
var plainByte = func() (is [256]bool) {
	for c := range is {
		is[c] = c >= ' ' && c != '<' && c != '&' && c != '"' && c != '\'' && c != 0xef
	}
	return is
}()

func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' ||
		r >= 0x20 && r <= 0xd7ff || r >= 0xe000 && r <= 0xfffd || r >= 0x10000 && r <= 0x10ffff
}

// position turns an offset into line and column, both from 1; columns count
// characters.
func position(text string, offset int) (line, column int) {
	before := text[:offset]
	line = 1 + strings.Count(before, "\n")
	return line, 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
