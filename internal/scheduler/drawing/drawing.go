// Package drawing draws the action graph of a plan: as a DOT file for graphviz,
// or as an SVG picture of its own.
package drawing

import (
	"fmt"
	"html"
	"sort"
	"strings"
	"unicode/utf8"

	"linuxha/internal/cluster"
)

// label names an action in one line.
func label(a *cluster.Action) string {
	what := string(a.Kind)
	name := a.Instance
	if name == "" {
		name = a.Resource
	}
	switch {
	case a.Kind == cluster.ActionPoint:
		return strings.TrimSpace(name + " " + a.Detail)
	case a.Detail != "":
		what += " (" + a.Detail + ")"
	}
	if a.Interval > 0 {
		what += " every " + a.Interval.String()
	}
	if name != "" {
		what += " " + name
	}
	if a.Node != "" {
		what += " on " + a.Node
	}
	return what
}

// colours of an action's box: what is done, what comes by itself, and mere
// points.
func colours(a *cluster.Action) (fill, line string) {
	switch {
	case a.Internal:
		return "#f4f4f4", "#bbbbbb"
	case a.Implied:
		return "#fff6dd", "#c9a227"
	case a.Kind == cluster.ActionFence:
		return "#fde0e0", "#c03030"
	case a.Kind == cluster.ActionStop || a.Kind == cluster.ActionDemote || a.Kind == cluster.ActionShutdown:
		return "#fdeedd", "#c07030"
	case a.Kind == cluster.ActionMonitor || a.Kind == cluster.ActionProbe || a.Kind == cluster.ActionCancel:
		return "#e8f0fb", "#5080c0"
	}
	return "#e3f5e6", "#30904a"
}

// DOT writes the graph in graphviz's language.
func DOT(plan *cluster.Plan) string {
	var b strings.Builder
	b.WriteString("digraph plan {\n  rankdir=TB;\n  node [shape=box, style=\"filled,rounded\", fontname=\"sans-serif\", fontsize=10];\n")
	for i := range plan.Actions {
		a := &plan.Actions[i]
		fill, line := colours(a)
		fmt.Fprintf(&b, "  a%d [label=%q, fillcolor=%q, color=%q];\n", a.ID, label(a), fill, line)
	}
	for i := range plan.Actions {
		for _, before := range plan.Actions[i].After {
			fmt.Fprintf(&b, "  a%d -> a%d;\n", before, plan.Actions[i].ID)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// Sizes of the picture in pixels.
const (
	boxHeight  = 26
	rowGap     = 44
	columnGap  = 18
	charWidth  = 6.4
	margin     = 20
	fontSize   = 11
	maxPerRow  = 12 // wider rows are broken
	minBoxSize = 40
)

// SVG draws the graph in rows: every action below all that it waits for.
func SVG(plan *cluster.Plan) string {
	rows := layers(plan)
	type box struct{ x, y, w float64 }
	boxes := make([]box, len(plan.Actions))
	width, y := 0.0, float64(margin)
	for _, row := range rows {
		x := float64(margin)
		for _, i := range row {
			w := max(minBoxSize, charWidth*float64(utf8.RuneCountInString(label(&plan.Actions[i])))+16)
			boxes[i] = box{x, y, w}
			x += w + columnGap
		}
		width = max(width, x-columnGap+margin)
		y += boxHeight + rowGap
	}
	height := max(y-rowGap+margin, 2*margin)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif" font-size="%d">`+"\n", width, height, fontSize)
	b.WriteString(`<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="#888888"/></marker></defs>` + "\n")
	for i := range plan.Actions {
		to := boxes[i]
		for _, before := range plan.Actions[i].After {
			from := boxes[before-1]
			x1, y1, x2, y2 := from.x+from.w/2, from.y+boxHeight, to.x+to.w/2, to.y
			fmt.Fprintf(&b, `<path d="M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f" fill="none" stroke="#888888" marker-end="url(#tip)"/>`+"\n",
				x1, y1, x1, y1+rowGap/2, x2, y2-rowGap/2, x2, y2)
		}
	}
	for i := range plan.Actions {
		a, at := &plan.Actions[i], boxes[i]
		fill, line := colours(a)
		fmt.Fprintf(&b, `<g><title>%s</title><rect x="%.1f" y="%.1f" width="%.1f" height="%d" rx="5" fill="%s" stroke="%s"/><text x="%.1f" y="%.1f" text-anchor="middle">%s</text></g>`+"\n",
			html.EscapeString(a.Reason), at.x, at.y, at.w, boxHeight, fill, line, at.x+at.w/2, at.y+boxHeight/2+fontSize/3, html.EscapeString(label(a)))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// layers puts each action one row below the lowest of those that it waits for,
// and orders rows so that lines cross little: by the mean position of what an
// action waits for.
func layers(plan *cluster.Plan) [][]int {
	depth := make([]int, len(plan.Actions))
	for changed, rounds := true, 0; changed && rounds <= len(plan.Actions); rounds++ {
		changed = false
		for i := range plan.Actions {
			for _, before := range plan.Actions[i].After {
				if d := depth[before-1] + 1; d > depth[i] {
					depth[i], changed = d, true
				}
			}
		}
	}
	var byDepth [][]int
	for i, d := range depth {
		for len(byDepth) <= d {
			byDepth = append(byDepth, nil)
		}
		byDepth[d] = append(byDepth[d], i)
	}
	position := make([]float64, len(plan.Actions))
	var rows [][]int
	for _, row := range byDepth {
		for _, i := range row {
			if after := plan.Actions[i].After; len(after) > 0 {
				sum := 0.0
				for _, before := range after {
					sum += position[before-1]
				}
				position[i] = sum / float64(len(after))
			}
		}
		sort.SliceStable(row, func(a, b int) bool { return position[row[a]] < position[row[b]] })
		for k, i := range row {
			position[i] = float64(k)
		}
		for len(row) > maxPerRow {
			rows = append(rows, row[:maxPerRow])
			row = row[maxPerRow:]
		}
		rows = append(rows, row)
	}
	return rows
}
