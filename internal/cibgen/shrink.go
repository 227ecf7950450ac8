package cibgen

import "slices"

// Shrink returns a smaller document on which fails is still true: elements are
// taken away, larger pieces first, then attributes, until nothing more can go.
// fails must be true of the document given and is called at most limit times.
func Shrink(document *Element, limit int, fails func(*Element) bool) *Element {
	s := &shrinker{root: document.clone(), left: limit, fails: fails}
	for changed := true; changed && s.left > 0; {
		changed = s.elements(s.root)
		for _, c := range s.root.Children {
			if c.Name == "configuration" { // attributes elsewhere say how to read the rest
				changed = s.attributes(c) || changed
			}
		}
	}
	return s.root
}

type shrinker struct {
	root  *Element
	left  int
	fails func(*Element) bool
}

func (e *Element) clone() *Element {
	c := &Element{Name: e.Name, Attrs: append([]Attr(nil), e.Attrs...)}
	for _, child := range e.Children {
		c.Children = append(c.Children, child.clone())
	}
	return c
}

func (s *shrinker) stillFails() bool {
	if s.left <= 0 {
		return false
	}
	s.left--
	return s.fails(s.root)
}

// elements tries to remove runs of children, halving the runs' length, and then
// looks inside those that stay.
func (s *shrinker) elements(e *Element) bool {
	if e.Name == "lrm_resource" {
		return false // part of a history is no history that could have happened
	}
	changed := false
	for size := len(e.Children); size > 0; size /= 2 {
		for at := 0; at < len(e.Children); {
			end := min(at+size, len(e.Children))
			kept := e.Children
			e.Children = append(append([]*Element(nil), kept[:at]...), kept[end:]...)
			if s.stillFails() {
				changed = true
				continue
			}
			e.Children = kept
			at = end
		}
	}
	for _, c := range slices.Backward(e.Children) { // constraints before what they name
		changed = s.elements(c) || changed
	}
	return changed
}

// attributes tries to remove every attribute that is not needed to name things.
func (s *shrinker) attributes(e *Element) bool {
	changed := false
	for i := 0; i < len(e.Attrs); {
		switch e.Attrs[i].Name {
		case "id", "uname", "class", "provider", "type", "name", "value":
			i++
			continue
		}
		kept := e.Attrs
		e.Attrs = append(append([]Attr(nil), kept[:i]...), kept[i+1:]...)
		if s.stillFails() {
			changed = true
			continue
		}
		e.Attrs = kept
		i++
	}
	for _, c := range e.Children {
		changed = s.attributes(c) || changed
	}
	return changed
}
