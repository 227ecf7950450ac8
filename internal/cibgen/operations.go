package cibgen

import "strconv"

// operations configures the operations of p.
func (g *generator) operations(p *primSpec, ops *Element) {
	switch {
	case p.promotable && g.chance(80):
		g.monitor(p, ops, 10, "Promoted")
		g.monitor(p, ops, 11, "Unpromoted")
	case p.promotable && g.maybe(20, "monitor-one-role"):
		g.monitor(p, ops, 10, pick(g, []string{"Promoted", "Unpromoted", "Started"}))
	case !p.promotable && g.chance(75):
		g.monitor(p, ops, 10, "")
		switch {
		case g.maybe(4, "monitors-two"):
			g.monitor(p, ops, 20, "Started")
		case g.maybe(1, "monitors-alike"): // of which neither counts
			g.monitor(p, ops, 10, "Started")
		}
	}
	if kind := p.kind; kind != "remote" && kind != "VirtualDomain" && g.maybe(3, "monitor-stopped") {
		g.monitor(p, ops, 30, "Stopped")
	}
	if g.maybe(3, "probe-configured") {
		ops.add(el("op", "id", g.id("op"), "name", "monitor", "interval", "0s", "timeout", "25s", "on-fail", g.onFail("ignore", "restart", "stop", "block", "fence", "standby")))
	}
	for _, task := range []string{"start", "stop", "promote", "demote", "migrate_to", "migrate_from"} {
		percent := 15
		switch {
		case task == "promote" || task == "demote":
			if percent = 8; !p.promotable {
				percent = 0
			}
		case task == "migrate_to" || task == "migrate_from":
			if percent = 8; !p.migrates {
				percent = 0
			}
		}
		if !g.chance(percent) {
			continue
		}
		policy := ""
		switch task {
		case "stop", "demote":
			policy = g.onFail("ignore", "block", "fence")
		case "promote":
			policy = g.onFail("ignore", "restart", "stop", "block", "fence", "standby", "demote")
		default:
			policy = g.onFail("ignore", "restart", "stop", "block", "fence", "standby", "restart-container")
		}
		g.feature("operation-" + task)
		ops.add(el("op", "id", g.id("op"), "name", task, "interval", "0s", "timeout", "40s", "on-fail", policy))
	}
}

// onFail is a policy now and then, "" mostly.
func (g *generator) onFail(choices ...string) string {
	if !g.chance(20) {
		return ""
	}
	policy := pick(g, choices)
	g.feature("on-fail=" + policy)
	return policy
}

// monitor configures a recurring monitor every so many seconds.
func (g *generator) monitor(p *primSpec, ops *Element, interval int, role string) {
	policy := g.onFail("ignore", "restart", "stop", "block", "fence", "standby", "restart-container")
	if role == "Promoted" && g.maybe(15, "on-fail=demote") {
		policy = "demote"
	}
	text := strconv.Itoa(interval)
	if g.maybe(6, "interval-notation") {
		text = pick(g, []string{text, text + "000ms", "PT" + text + "S", text + "sec"})
	} else {
		text += "s"
	}
	m := monitorSpec{interval: interval, role: role}
	e := el("op", "id", g.id("op"), "name", "monitor", "interval", text, "role", role, "timeout", "20s", "on-fail", policy)
	if g.maybe(2, "operation-disabled") {
		e.Attrs = append(e.Attrs, Attr{"enabled", "false"})
	}
	if g.maybe(2, "start-delay") {
		e.Attrs = append(e.Attrs, pick(g, []Attr{{"start-delay", "5s"}, {"interval-origin", "2026-01-01"}}))
	}
	if g.maybe(4, "operation-parameters") {
		m.params = [][2]string{{"OCF_CHECK_LEVEL", "10"}}
		e.add(g.pairs("instance_attributes", m.params))
	}
	if g.maybe(3, "operation-meta") {
		e.add(g.pairs("meta_attributes", [][2]string{pick(g, [][2]string{{"on-fail", "block"}, {"on-fail", "ignore"}, {"timeout", "33s"}, {"enabled", "false"}})}))
	}
	ops.add(e)
	p.monitors = append(p.monitors, m)
}
