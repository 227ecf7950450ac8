// Package cibgen makes random CIBs (Pacemaker's cluster documents) that use every
// feature that a scheduler must know, and reduces a CIB on which two schedulers
// differ to a small one. The same seed gives the same document.
package cibgen

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// Element is one element of a document; text between elements is not kept.
type Element struct {
	Name     string
	Attrs    []Attr
	Children []*Element
}

// Attr is an attribute of an element.
type Attr struct{ Name, Value string }

// el makes an element from its name and pairs of attribute name and value;
// attributes with empty values are left out.
func el(name string, pairs ...string) *Element {
	e := &Element{Name: name}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			e.Attrs = append(e.Attrs, Attr{pairs[i], pairs[i+1]})
		}
	}
	return e
}

func (e *Element) add(children ...*Element) *Element {
	e.Children = append(e.Children, children...)
	return e
}

// Attr returns the value of an attribute, "" if it has none of that name.
func (e *Element) Attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name == name {
			return a.Value
		}
	}
	return ""
}

// Bytes writes the document, indented.
func (e *Element) Bytes() []byte {
	var b bytes.Buffer
	e.write(&b, 0)
	return b.Bytes()
}

func (e *Element) write(b *bytes.Buffer, depth int) {
	indent := strings.Repeat(" ", depth)
	b.WriteString(indent + "<" + e.Name)
	for _, a := range e.Attrs {
		b.WriteString(" " + a.Name + `="`)
		xml.EscapeText(b, []byte(a.Value)) // writing to a buffer cannot fail
		b.WriteByte('"')
	}
	if len(e.Children) == 0 {
		b.WriteString("/>\n")
		return
	}
	b.WriteString(">\n")
	for _, c := range e.Children {
		c.write(b, depth+1)
	}
	b.WriteString(indent + "</" + e.Name + ">\n")
}

// Parse reads a document into a tree.
func Parse(data []byte) (*Element, error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	var root *Element
	var open []*Element
	for {
		token, err := d.Token()
		if err != nil {
			if root != nil && len(open) == 0 {
				return root, nil
			}
			return nil, fmt.Errorf("read the document: %w", err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			e := &Element{Name: t.Name.Local}
			for _, a := range t.Attr {
				e.Attrs = append(e.Attrs, Attr{a.Name.Local, a.Value})
			}
			if len(open) > 0 {
				open[len(open)-1].add(e)
			} else {
				root = e
			}
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
}
