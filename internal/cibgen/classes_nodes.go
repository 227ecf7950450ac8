package cibgen

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// connections are the ids of remote nodes' connections, and the names of guests.
func (e *Element) connections() (remotes, guests map[string]bool) {
	remotes, guests = map[string]bool{}, map[string]bool{}
	e.each("primitive", func(p *Element) {
		if p.Attr("type") == "remote" {
			remotes[p.Attr("id")] = true
		}
		for name := range p.guests() {
			guests[name] = true
		}
	})
	return remotes, guests
}

// option is the value of a cluster option, "" if it is not set.
func (e *Element) option(name string) (value string) {
	e.each("cluster_property_set", func(s *Element) {
		for _, v := range s.Children {
			if v.Attr("name") == name {
				value = v.Attr("value")
			}
		}
	})
	return value
}

// remoteFenced: without quorum, the reference fences a remote node.
func remoteFenced(c Comparison) bool {
	remotes, _ := c.Document.connections()
	return c.Document.Attr("have-quorum") == "0" && slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		return words[0] == "-" && words[1] == "fence" && remotes[words[2]]
	})
}

// cancelBehindConnection: all that differs is that we cancel monitors on nodes
// behind connections.
func cancelBehindConnection(c Comparison) bool {
	remotes, guests := c.Document.connections()
	return !slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		return words[0] != "state" && (words[0] != "+" || words[1] != "cancel" || !remotes[words[3]] && !guests[words[3]])
	})
}

// startedBehindBlocked: all that differs is that the reference starts things on
// remote nodes whose connection is neither up nor started.
func startedBehindBlocked(c Comparison) bool {
	remotes, guests := c.Document.connections()
	return !slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		switch {
		case words[0] == "state":
			return false
		case len(words) < 4: // about a node
			return true
		}
		where := words[3]
		down := (remotes[where] || guests[where]) && !slices.ContainsFunc(c.Reference.Actions, func(a string) bool { return strings.HasPrefix(a, "start "+where+" ") })
		for active := range c.Facts.Active {
			down = down && !strings.HasPrefix(active, where+" ")
		}
		return words[0] != "-" || !down || !slices.Contains([]string{"start", "monitor", "promote"}, words[1])
	})
}

// oneChance: what differs has to do with a resource that must not or had rather
// not run with another one, and that other wishes may leave one node only.
func oneChance(c Comparison) bool {
	nodes := 0 // that are cluster nodes
	c.Document.each("node", func(n *Element) {
		if c.Facts.Online[n.Attr("uname")] {
			nodes++
		}
	})
	top := c.Document.tops()
	choice := map[string]int{} // nodes less, by resource
	c.Document.each("lrm_resource", func(r *Element) {
		if r.Attr("shutdown-lock") != "" { // to where it was
			choice[stripInstance(r.Attr("id"))] = nodes
		}
	})
	c.Document.each("rsc_location", func(l *Element) {
		if l.Attr("node") == "" || strings.HasPrefix(l.Attr("score"), "-") {
			choice[l.Attr("rsc")]++
		}
		l.each("rule", func(r *Element) { // which may leave one node
			text, but := strings.CutPrefix(l.Attr("rsc-pattern"), "!")
			pattern, err := regexp.Compile(text)
			for id := range top {
				if r.Attr("score") == "-INFINITY" && (id == l.Attr("rsc") || text != "" && err == nil && pattern.MatchString(id) != but) {
					choice[id] = nodes
				}
			}
		})
	})
	c.Document.each("nvpair", func(v *Element) { // by the failures there
		if name, ok := strings.CutPrefix(v.Attr("name"), "fail-count-"); ok {
			id, _, _ := strings.Cut(name, "#")
			choice[stripInstance(id)]++
		}
	})
	optIn := c.Document.option("symmetric-cluster") == "false"
	wishes := map[string]int{}
	c.Document.colocations(func(dependent, _, _, _ string) { wishes[dependent]++ })
	concerned := map[string]bool{}
	c.Document.colocations(func(dependent, primary, score, _ string) {
		if strings.HasPrefix(score, "-") && (optIn || nodes-choice[dependent] <= 1 || wishes[dependent] > 1) {
			concerned[top[primary]] = true
		}
	})
	return slices.ContainsFunc(c.Lines, func(line string) bool { return concerned[top[stripInstance(strings.Fields(line)[2])]] })
}

// equalCapacities: placement heeds free capacities, but something needs more than
// any node has, or there is no order among the nodes.
func equalCapacities(c Comparison) bool {
	strategy := c.Document.option("placement-strategy")
	if strategy == "" || strategy == "default" {
		return false
	}
	type capacity map[string]int
	read := func(e *Element) capacity {
		all := capacity{}
		for _, block := range e.Children {
			if block.Name == "utilization" {
				for _, v := range block.Children {
					all[v.Attr("name")], _ = strconv.Atoi(v.Attr("value"))
				}
			}
		}
		return all
	}
	var nodes []capacity
	most := capacity{}
	resting := map[string]bool{} // transiently
	c.Document.each("node_state", func(n *Element) {
		n.each("instance_attributes", func(b *Element) {
			for _, v := range b.Children {
				resting[n.Attr("uname")] = resting[n.Attr("uname")] || v.Attr("name") == "standby" || v.Attr("name") == "shutdown"
			}
		})
	})
	c.Document.each("node", func(n *Element) {
		if !c.Facts.Online[n.Attr("uname")] || resting[n.Attr("uname")] || n.has("standby", "on") {
			return
		}
		all := read(n)
		nodes = append(nodes, all)
		for name, v := range all {
			most[name] = max(most[name], v)
		}
	})
	tooBig := false
	c.Document.each("primitive", func(p *Element) {
		for name, v := range read(p) {
			tooBig = tooBig || v > most[name]
		}
	})
	compare := func(a, b capacity) (n int) {
		for _, name := range []string{"cpu", "memory"} {
			switch {
			case a[name] > b[name]:
				n++
			case a[name] < b[name]:
				n--
			}
		}
		return n
	}
	noOrder := false
	for _, x := range nodes {
		for _, y := range nodes {
			for _, z := range nodes {
				noOrder = noOrder || compare(x, y) == 0 && compare(y, z) == 0 && compare(x, z) != 0
			}
		}
	}
	return tooBig || strategy == "balanced" && noOrder
}

// afterMultiple: all that differs is about something that is active on several
// nodes, one of which is in maintenance, and about what is ordered after it or in its
// group.
func afterMultiple(c Comparison) bool {
	resting := map[string]bool{} // nodes
	c.Document.each("node", func(n *Element) { resting[n.Attr("uname")] = n.has("maintenance", "true") })
	c.Document.each("primitive", func(p *Element) {
		for name := range p.guests() {
			resting[name] = p.untouched()
		}
	})
	count, held := map[string]int{}, map[string]bool{} // by primitive
	for where := range c.Facts.Active {
		id, node, _ := strings.Cut(where, " ")
		count[id]++
		held[id] = held[id] || resting[node]
	}
	top := c.Document.tops()
	after := map[string]bool{}
	c.Document.each("rsc_order", func(o *Element) {
		refs := []string{o.Attr("first"), o.Attr("then")}
		o.each("resource_ref", func(r *Element) { refs = append(refs, r.Attr("id")) })
		found := false
		for _, ref := range refs {
			if found {
				after[top[ref]] = true
			}
			if held[ref] && count[ref] > 1 {
				found, after[top[ref]] = true, true
			}
		}
	})
	c.Document.each("group", func(g *Element) {
		g.each("primitive", func(p *Element) {
			if id := p.Attr("id"); held[id] && count[id] > 1 {
				after[top[id]] = true
			}
		})
	})
	return c.about(after)
}

// hostInColocations: what differs has to do with colocations, those inside groups
// included, of resources that go by attributes of the hosts of guest nodes.
func hostInColocations(c Comparison) bool {
	top := c.Document.tops()
	byHost, concerned := map[string]bool{}, map[string]bool{} // top-level resources
	c.Document.each("primitive", func(p *Element) {
		byHost[top[p.Attr("id")]] = byHost[top[p.Attr("id")]] || p.has("container-attribute-target", "host")
	})
	c.Document.each("group", func(g *Element) {
		members, id := 0, ""
		g.each("primitive", func(p *Element) { members, id = members+1, top[p.Attr("id")] })
		if members > 1 && byHost[id] {
			concerned[id] = true
		}
	})
	c.Document.colocations(func(dependent, primary, _, _ string) {
		if dependent, primary = top[dependent], top[primary]; byHost[dependent] || byHost[primary] {
			concerned[dependent], concerned[primary] = true, true
		}
	})
	_, guests := c.Document.connections()
	return len(guests) > 0 && slices.ContainsFunc(c.Lines, func(line string) bool { return concerned[top[stripInstance(strings.Fields(line)[2])]] })
}

// expiredStop: the reference leaves alone what failed to stop for good, on nodes
// that cannot be fenced, though that has expired.
func expiredStop(c Comparison) bool {
	failed := map[string]bool{}
	c.Document.each("lrm_resource", func(r *Element) {
		for _, op := range r.Children {
			if rc := op.Attr("rc-code"); op.Attr("operation") == "stop" && rc >= "2" && rc <= "5" && len(rc) == 1 {
				failed[stripInstance(r.Attr("id"))] = true
			}
		}
	})
	return len(failed) > 0 && !slices.ContainsFunc(c.Lines, func(line string) bool { return !failed[stripInstance(strings.Fields(line)[2])] })
}

// changedDevice: all that differs is that the reference fences nodes that were
// unfenced by a device that is defined in another way now.
func changedDevice(c Comparison) bool {
	unfenced := map[string]bool{}
	c.Document.each("node_state", func(n *Element) {
		n.each("nvpair", func(v *Element) {
			unfenced[n.Attr("uname")] = unfenced[n.Attr("uname")] || v.Attr("name") == "#digests-all"
		})
	})
	return !slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		return words[0] != "-" || words[1] != "fence" || !unfenced[words[2]]
	})
}

// rehearsedMigration: the decisions are the same, but for what the rehearsal makes
// of a live migration that is half done.
func rehearsedMigration(c Comparison) bool {
	migrating := map[string]bool{}
	c.Document.each("lrm_rsc_op", func(op *Element) {
		if op.Attr("operation") == "migrate_to" {
			id, _, _ := strings.Cut(op.Attr("operation_key"), "_migrate_to_")
			migrating[stripInstance(id)] = true
		}
	})
	return !slices.ContainsFunc(c.Lines, func(line string) bool {
		words := strings.Fields(line)
		return words[0] != "state" || !migrating[stripInstance(words[2])]
	})
}
