package cibgen

import (
	"slices"
	"strings"
)

// Comparison is what two schedulers made of one document.
type Comparison struct {
	Document *Element
	Facts    Facts
	Lines    []string // the differences, "- ..." only in the reference's outcome; none if they agree
}

// Classes are the ways in which crm_simulate 2.1.5 is known to differ, and how
// to tell from a comparison that one is at work; docs/DIFFERENCES.md argues them.
var Classes = []struct {
	Name string
	Is   func(Comparison) bool
}{
	{"clone-instances-shuffled", func(c Comparison) bool { return c.Facts.Shuffled }},
	{"unrunnable-probe-stops-clone", func(c Comparison) bool { return c.Facts.ProbeStops }},
	{"stopped-monitor-in-maintenance", stoppedMonitors},
	{"nodes-without-name", namelessNodes},
}

// ClassOf names the class of a difference, "" if it is none that is known.
func ClassOf(c Comparison) string {
	for _, class := range Classes {
		if class.Is(c) {
			return class.Name
		}
	}
	return ""
}

// stoppedMonitors: all that differs are monitors for role Stopped that only the
// reference has.
func stoppedMonitors(c Comparison) bool {
	inactive := map[string]bool{} // intervals
	c.Document.each("op", func(op *Element) {
		if op.Attr("role") == "Stopped" {
			inactive[strings.TrimSuffix(op.Attr("interval"), "s")+"000"] = true
		}
	})
	return !slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		return len(words) != 5 || words[0] != "-" || words[1] != "monitor" || !inactive[words[4]]
	})
}

// namelessNodes: several nodes behind connections have no status, and so, to the
// reference, no name to tell them apart by in colocations.
func namelessNodes(c Comparison) bool {
	var unseen []string
	seen := map[string]bool{}
	c.Document.each("node_state", func(e *Element) { seen[e.Attr("uname")] = true })
	c.Document.each("primitive", func(e *Element) {
		if e.Attr("type") == "remote" && !seen[e.Attr("id")] {
			unseen = append(unseen, e.Attr("id"))
		}
	})
	c.Document.each("nvpair", func(e *Element) {
		if e.Attr("name") == "remote-node" && !seen[e.Attr("value")] {
			unseen = append(unseen, e.Attr("value"))
		}
	})
	return len(unseen) > 1 && slices.ContainsFunc(c.Lines, func(line string) bool {
		return slices.ContainsFunc(unseen, func(name string) bool { return slices.Contains(strings.Fields(line), name) })
	})
}

// each calls do for every element of that name in e.
func (e *Element) each(name string, do func(*Element)) {
	if e.Name == name {
		do(e)
	}
	for _, c := range e.Children {
		c.each(name, do)
	}
}
