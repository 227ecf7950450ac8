package scheduler

import (
	"sort"
	"strings"
)

// applyHealth turns node health into location scores of every top-level
// resource (SEMANTICS 31).
func (rn *run) applyHealth() {
	strategy := rn.options.healthStrategy
	colours := map[string]score{"green": 0, "yellow": 0, "red": 0}
	var base score
	switch strategy {
	case "migrate-on-red":
		colours["red"] = -infinity
	case "only-green":
		colours["yellow"], colours["red"] = -infinity, -infinity
	case "progressive", "custom":
		colours["green"] = rn.options.healthGreen
		colours["yellow"] = rn.options.healthYellow
		colours["red"] = rn.options.healthRed
		if strategy == "progressive" {
			base = rn.options.healthBase
		}
	default:
		return
	}
	for _, n := range rn.nodes {
		health := base
		for _, name := range healthAttributes(n) {
			value := n.attrs[name]
			s, isColour := colours[strings.ToLower(value)]
			if !isColour {
				s = parseScore(value, 0)
			}
			health = health.add(s)
		}
		if health == 0 {
			continue
		}
		for _, r := range rn.resources {
			if health < 0 && isTrue(r.meta["allow-unhealthy-nodes"]) {
				continue
			}
			rn.addLocation(&location{id: "node health", resource: r, scores: []nodeScore{{n, health}}})
		}
	}
}

func healthAttributes(n *node) []string {
	var names []string
	for name := range n.attrs {
		if strings.HasPrefix(name, "#health") {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return names
}
