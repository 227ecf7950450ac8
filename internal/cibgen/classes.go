package cibgen

import (
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Comparison is what two schedulers made of one document.
type Comparison struct {
	Document *Element
	Facts    Facts

	Reference Outcome  // the reference's
	Lines     []string // the differences, "- ..." only in the reference's outcome; none if they agree
}

// Classes are the ways in which crm_simulate 2.1.5 is known to differ, and how
// to tell from a comparison that one is at work; docs/DIFFERENCES.md argues them.
var Classes = []struct {
	Name string
	Is   func(Comparison) bool
}{
	{"clone-instances-shuffled", shuffledInstances},
	{"too-many-instances", tooManyInstances},
	{"unrunnable-probe-stops-clone", unrunnableProbe},
	{"active-on-maintenance-node", func(c Comparison) bool { return maintenanceByNode(c) || afterMultiple(c) }},
	{"migration-not-begun", func(c Comparison) bool { return c.Facts.HalfMigrated }},
	{"resource-on-bundle-node", onBundleNode},
	{"nodes-without-name", namelessNodes},
	{"dependents-of-blocked-group", dependentsOfGroup},
	{"group-started-before-stopped", startedBeforeStopped},
	{"promoted-with-stopped", promotedWithStopped},
	{"requirements-after-preferences", requiredAfter},
	{"bundle-optional-colocation", colocatedBundle},
	{"instances-renumbered", renumbered},
	{"cloned-group-held", clonedGroupHeld},
	{"cloned-group-promoted", clonedGroupPromoted},
	{"interleaved-with-container", withContainer},
	{"remote-fenced-without-quorum", remoteFenced},
	{"cancel-behind-connection", cancelBehindConnection},
	{"started-behind-blocked-connection", startedBehindBlocked},
	{"one-chance", oneChance},
	{"equal-capacities", equalCapacities},
	{"full-clone-by-preference", fullClone},
	{"host-in-colocations", hostInColocations},
	{"expired-stop", expiredStop},
	{"changed-device", changedDevice},
	{"rehearsed-migration", rehearsedMigration},
	{"unique-by-part", uniqueByPart},
	{"unprobed-instances-started", unprobedStarted},
	{"instance-without-node", withoutNode},
	{"unexpected-elsewhere", unexpectedElsewhere},
}

// ClassOf names the class of a difference, "" if there is none or it is not known.
func ClassOf(c Comparison) string {
	if len(c.Lines) == 0 {
		return ""
	}
	for _, class := range Classes {
		if class.Is(c) {
			return class.Name
		}
	}
	return ""
}

// shuffledInstances: the reference exchanges instances of an anonymous clone, or
// moves an instance of a clone, or a bundle's container or only its address, that we
// leave or start elsewhere; or stops a container to start it elsewhere, which cannot
// be, so that only other parameters of its connection show that.
func shuffledInstances(c Comparison) bool {
	address := slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		return words[0] == "-" && words[1] == "stop" && strings.Contains(words[2], "-ip-") &&
			slices.ContainsFunc(c.Lines, func(other string) bool { return strings.HasPrefix(other, "- start "+words[2]+" ") })
	})
	return address || onlyConnectionsCleared(c) || c.Facts.Shuffled || slices.ContainsFunc(c.Facts.Moved, func(action string) bool { return slices.Contains(c.Lines, "- "+action) })
}

// onlyConnectionsCleared: all that differs is that the reference forgets failures of
// connections of bundles, whose parameters changed with the host, and nothing else
// did.
func onlyConnectionsCleared(c Comparison) bool {
	connections := map[string]bool{}
	for where := range c.Facts.Active {
		if id, _, _ := strings.Cut(where, " "); containerName.MatchString(id) {
			connections[strings.NewReplacer("-docker-", "-", "-podman-", "-").Replace(id)] = true
		}
	}
	return !slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		return words[0] != "-" || words[1] != "clear_failcount" || !connections[words[2]] || !slices.Contains(c.Reference.Actions, "stop "+words[2]+" "+words[3])
	})
}

// tooManyInstances: the reference has more instances of a clone active on a node
// than may be there, or starts more of them, or one beside another.
func tooManyInstances(c Comparison) bool {
	limit := map[string]int{} // by primitive
	c.Document.each("clone", func(e *Element) {
		most := 1
		for _, block := range e.Children {
			for _, p := range block.Children {
				if p.Attr("name") == "clone-node-max" {
					most, _ = strconv.Atoi(p.Attr("value"))
				}
			}
		}
		e.each("primitive", func(p *Element) { limit[p.Attr("id")] = most })
	})
	c.Document.each("bundle", func(b *Element) { limit[b.Attr("id")] = 1 })
	count := map[string]int{}
	full := func(id, node string) bool {
		if at := containerName.FindStringIndex(id); at != nil {
			id = id[:at[0]]
		}
		id = stripInstance(id)
		count[id+" "+node]++
		return limit[id] > 0 && count[id+" "+node] > limit[id]
	}
	for _, line := range c.Reference.State {
		if words := strings.Fields(line); full(words[0], words[1]) {
			return true
		}
	}
	clear(count)
	for _, line := range c.Reference.Actions {
		words := strings.Fields(line)
		if words[0] != "start" && words[0] != "migrate_from" {
			continue
		}
		where := words[1] + " " + words[2]
		crowded := limit[words[1]] == 1 && c.Facts.Active[where] && !slices.Contains(c.Reference.Actions, "stop "+where)
		if crowded || full(words[1], words[2]) {
			return true
		}
	}
	return false
}

// unrunnableProbe: the reference stops a clone because some instance cannot be
// probed, or all that differs, where a node is pending, is what clones start.
func unrunnableProbe(c Comparison) bool {
	pending, inClone := false, map[string]bool{}
	c.Document.each("node_state", func(n *Element) { pending = pending || n.Attr("join") == "pending" })
	c.Document.each("clone", func(e *Element) {
		e.each("primitive", func(p *Element) { inClone[p.Attr("id")] = true })
	})
	return c.Facts.ProbeStops || pending && !slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		return !inClone[stripInstance(words[2])] || words[0] != "state" && !slices.Contains([]string{"start", "monitor", "promote", "notify"}, words[1])
	})
}

// maintenanceByNode: all that differs are monitors, and cancellations of monitors,
// of resources that have been on a node that is in maintenance, or behind a
// connection that is left alone since it failed.
func maintenanceByNode(c Comparison) bool {
	resting := map[string]bool{} // nodes
	c.Document.each("node", func(n *Element) { resting[n.Attr("uname")] = n.has("maintenance", "true") })
	c.Document.each("primitive", func(p *Element) {
		if p.untouched() {
			resting[p.Attr("id")] = true // if it is a connection
			for name := range p.guests() {
				resting[name] = true
			}
		}
	})
	c.Document.each("lrm_resource", func(r *Element) {
		if r.Attr("type") == "remote" && slices.ContainsFunc(r.Children, (*Element).failedOperation) {
			resting[r.Attr("id")] = true
		}
	})
	there := map[string]bool{} // what is or was on those
	c.Document.each("node_state", func(n *Element) {
		if resting[n.Attr("uname")] {
			n.each("lrm_resource", func(r *Element) { there[stripInstance(r.Attr("id"))] = true })
		}
	})
	return len(there) > 0 && !slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		return words[0] != "state" && (words[1] != "monitor" && words[1] != "cancel" || !there[stripInstance(words[2])])
	})
}

// failedOperation tells whether e is a recorded operation that did not have the
// result expected.
func (e *Element) failedOperation() bool {
	key := strings.Split(e.Attr("transition-key"), ":")
	return len(key) > 2 && key[2] != e.Attr("rc-code")
}

// untouched tells whether e is a resource that the cluster leaves alone.
func (e *Element) untouched() bool {
	return e.has("maintenance", "true") || e.has("is-managed", "false")
}

// guests yields the names of the guest nodes that e creates: one at most.
func (e *Element) guests() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, block := range e.Children {
			for _, v := range block.Children {
				if v.Attr("name") == "remote-node" && !yield(v.Attr("value")) {
					return
				}
			}
		}
	}
}

// has tells whether one of e's blocks sets an attribute to a value.
func (e *Element) has(name, value string) bool {
	return slices.ContainsFunc(e.Children, func(block *Element) bool {
		return slices.ContainsFunc(block.Children, func(p *Element) bool { return p.Attr("name") == name && p.Attr("value") == value })
	})
}

// namelessNodes: several nodes behind connections that are not up have, to the
// reference, no name to tell them apart by in colocations: those without status
// and, without fencing, all.
func namelessNodes(c Comparison) bool {
	var nodes, down []string
	c.Document.each("primitive", func(e *Element) {
		if e.Attr("type") == "remote" {
			nodes = append(nodes, e.Attr("id"))
		}
	})
	fencing := true
	c.Document.each("nvpair", func(e *Element) {
		switch e.Attr("name") {
		case "remote-node":
			nodes = append(nodes, e.Attr("value"))
		case "stonith-enabled":
			fencing = e.Attr("value") != "false"
		}
	})
	seen, up := map[string]bool{}, map[string]bool{}
	c.Document.each("node_state", func(e *Element) { seen[e.Attr("uname")] = true })
	c.Document.each("lrm_resource", func(e *Element) {
		up[e.Attr("id")] = up[e.Attr("id")] || slices.ContainsFunc(e.Children, func(op *Element) bool { return op.Attr("operation") == "start" })
	})
	for _, n := range nodes {
		if !seen[n] || !fencing && !up[n] {
			down = append(down, n)
		}
	}
	named, asked := false, false // a rule asks for names, or for one of those
	c.Document.each("expression", func(e *Element) {
		named = named || e.Attr("attribute") == "#uname"
		asked = asked || e.Attr("attribute") == "#uname" && slices.Contains(down, e.Attr("value"))
	})
	return asked || (len(down) > 1 || named) && slices.ContainsFunc(c.Lines, func(line string) bool {
		return slices.ContainsFunc(down, func(name string) bool { return slices.Contains(strings.Fields(line), name) })
	})
}

// onBundleNode: the reference runs something on a bundle node that is not the
// bundle's own.
func onBundleNode(c Comparison) bool {
	inside := map[string]string{} // resource by bundle
	c.Document.each("bundle", func(b *Element) {
		b.each("primitive", func(p *Element) { inside[b.Attr("id")] = p.Attr("id") })
	})
	return slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		if len(words) < 4 || words[0] != "-" || words[1] != "start" {
			return false
		}
		i := strings.LastIndexByte(words[3], '-')
		own, isBundle := inside[words[3][:max(i, 0)]]
		return isBundle && own != stripInstance(words[2])
	})
}

// dependentsOfGroup: all that differs is that what must run with a group, directly
// or through others, runs only according to the reference.
func dependentsOfGroup(c Comparison) bool {
	top := map[string]string{} // by primitive
	groups := map[string]bool{}
	c.Document.each("resources", func(all *Element) {
		for _, t := range all.Children {
			groups[t.Attr("id")] = t.Name == "group"
			t.each("primitive", func(p *Element) { top[p.Attr("id")] = t.Attr("id") })
		}
	})
	follows := map[string]bool{} // top-level resources
	related := func(dependent, primary string) bool {
		for _, id := range []*string{&dependent, &primary} {
			if t, ok := top[*id]; ok {
				*id = t
			}
		}
		if (groups[primary] || follows[primary]) && !follows[dependent] {
			follows[dependent] = true
			return true
		}
		return false
	}
	for again := true; again; {
		again = false
		c.Document.each("rsc_colocation", func(k *Element) {
			if k.Attr("score") != "INFINITY" {
				return
			}
			again = k.Attr("rsc") != "" && related(k.Attr("rsc"), k.Attr("with-rsc")) || again
			var refs []string
			k.each("resource_ref", func(r *Element) { refs = append(refs, r.Attr("id")) })
			for i := range refs {
				for j := range refs {
					again = i != j && related(refs[i], refs[j]) || again
				}
			}
		})
	}
	return len(follows) > 0 && !slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		if len(words) > 3 && follows[words[3]] {
			return false // on a node whose connection must run with a group
		}
		if !follows[top[stripInstance(words[2])]] {
			return true
		}
		return words[0] == "+" && words[1] != "stop" && words[1] != "cancel" && words[1] != "notify"
	})
}

// startedBeforeStopped: the reference starts members of groups of which a later
// member could not be stopped, or must not be, or is where nothing can be done.
func startedBeforeStopped(c Comparison) bool {
	failed := map[string]bool{}
	for where := range c.Facts.Active {
		id, node, _ := strings.Cut(where, " ")
		failed[id] = failed[id] || !c.Facts.Online[node]
	}
	blocks := false // failures, some of them
	c.Document.each("op", func(op *Element) { blocks = blocks || op.Attr("on-fail") == "block" })
	c.Document.each("nvpair", func(v *Element) {
		blocks = blocks || v.Attr("name") == "on-fail" && v.Attr("value") == "block"
	})
	c.Document.each("lrm_resource", func(r *Element) {
		for _, op := range r.Children {
			if op.failedOperation() && (blocks || op.Attr("operation") == "stop") {
				failed[stripInstance(r.Attr("id"))] = true
			}
		}
	})
	waits := map[string]bool{}
	c.Document.each("group", func(g *Element) {
		members := slices.DeleteFunc(slices.Clone(g.Children), func(e *Element) bool { return e.Name != "primitive" })
		for i := len(members) - 1; i > 0; i-- {
			if id := members[i].Attr("id"); waits[id] || failed[id] || members[i].untouched() {
				waits[members[i-1].Attr("id")] = true
			}
		}
	})
	return onlyReference(c.Lines, waits, "start", "monitor", "promote")
}

// onlyReference tells whether all that differs is that the reference does those
// tasks, and has the outcome, with resources of a set.
func onlyReference(lines []string, resources map[string]bool, tasks ...string) bool {
	return !slices.ContainsFunc(lines, func(line string) bool {
		words := strings.Fields(line)
		if !resources[stripInstance(words[2])] {
			return true
		}
		return words[0] != "state" && (words[0] != "-" || !slices.Contains(tasks, words[1]))
	})
}

// promotedWithStopped: the reference promotes, or leaves promoted, what must be
// promoted only with something that has no node.
func promotedWithStopped(c Comparison) bool {
	roles := false
	c.Document.each("rsc_colocation", func(k *Element) {
		roles = roles || k.Attr("rsc-role") == "Promoted"
		k.each("resource_set", func(s *Element) { roles = roles || s.Attr("role") == "Promoted" })
	})
	if !roles {
		return false
	}
	demoted := false
	for _, line := range c.Lines {
		words := strings.Fields(line)
		switch words[0] + words[1] {
		case "+demote", "-promote":
			demoted = true
		case "+promote", "-demote":
			return false
		}
	}
	return demoted
}

// requiredAfter: something has both required colocations and preferences, and the
// outcomes differ in it, or in what it is to run with.
func requiredAfter(c Comparison) bool {
	top := c.Document.tops()
	required, prefers := map[string]bool{}, map[string]bool{} // top-level resources
	c.Document.colocations(func(dependent, _, score, _ string) {
		switch {
		case score == "INFINITY":
			required[top[dependent]] = true
		case score != "-INFINITY":
			prefers[top[dependent]] = true
		}
	})
	concerned := map[string]bool{}
	c.Document.colocations(func(dependent, primary, _, _ string) {
		if d := top[dependent]; required[d] && prefers[d] {
			concerned[d], concerned[top[primary]] = true, true
		}
	})
	return slices.ContainsFunc(c.Lines, func(line string) bool { return concerned[top[stripInstance(strings.Fields(line)[2])]] })
}

// colocatedBundle: all that differs is about a bundle that a colocation names, and
// what is in it.
func colocatedBundle(c Comparison) bool {
	colocated := map[string]bool{}
	c.Document.each("rsc_colocation", func(k *Element) {
		colocated[k.Attr("rsc")], colocated[k.Attr("with-rsc")] = true, true
		k.each("resource_ref", func(r *Element) { colocated[r.Attr("id")] = true })
	})
	var bundles []string
	parts := map[string]bool{}
	c.Document.each("bundle", func(b *Element) {
		if colocated[b.Attr("id")] {
			bundles = append(bundles, b.Attr("id")+"-")
			b.each("primitive", func(p *Element) { parts[p.Attr("id")] = true })
		}
	})
	return !slices.ContainsFunc(c.Lines, func(line string) bool {
		id := strings.Fields(line)[2]
		return !parts[stripInstance(id)] && !slices.ContainsFunc(bundles, func(b string) bool { return strings.HasPrefix(id, b) })
	})
}

// renumbered: the same is done, by other instances of a unique clone or bundle.
func renumbered(c Comparison) bool {
	balance := map[string]int{}
	for _, line := range c.Lines {
		text := instanceNumber.ReplaceAllString(line, "${1}N")
		if strings.Contains(text, "+ ") {
			balance[strings.Replace(text, "+ ", "", 1)]++
		} else {
			balance[strings.Replace(text, "- ", "", 1)]--
		}
	}
	for _, n := range balance {
		if n != 0 {
			return false
		}
	}
	return true
}

// instanceNumber matches what tells instances and replicas apart in their names.
var instanceNumber = regexp.MustCompile(`(:|bundle[0-9]+-(?:docker-|podman-|ip-[0-9.]+\.)?)[0-9]+`)

// each calls do for every element of that name in e.
func (e *Element) each(name string, do func(*Element)) {
	if e.Name == name {
		do(e)
	}
	for _, c := range e.Children {
		c.each(name, do)
	}
}

// unexpectedElsewhere: what is active on several nodes, none of which is the one that
// it goes to, only we start there; the reference takes the start for done.
func unexpectedElsewhere(c Comparison) bool {
	active := map[string]map[string]bool{} // nodes by resource
	c.Document.each("node_state", func(n *Element) {
		n.each("lrm_resource", func(r *Element) {
			id := stripInstance(r.Attr("id"))
			if active[id] == nil {
				active[id] = map[string]bool{}
			}
			r.each("lrm_rsc_op", func(op *Element) {
				if rc := op.Attr("rc-code"); rc != "7" && (op.Attr("operation") != "stop" || rc != "0") {
					active[id][n.Attr("uname")] = true
				}
				if target := op.Attr("migrate_target"); target != "" {
					active[id][target] = true
				}
			})
		})
	})
	spared := false
	c.Document.each("nvpair", func(v *Element) {
		spared = spared || v.Attr("name") == "multiple-active" && v.Attr("value") == "stop_unexpected"
	})
	return spared && slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		if words[0] != "+" || words[1] != "start" || len(words) < 4 {
			return false
		}
		on := active[stripInstance(words[2])]
		return len(on) > 1 && !on[words[3]]
	})
}
