package cibgen

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// transition is the id in the keys of recorded operations.
const transition = "0abcdef0-1234-5678-9abc-def012345678"

// activeOn records the operations of a resource that is active, perhaps failed.
func (g *generator) activeOn(p *primSpec, n *nodeSpec, id, role string) {
	e := g.resourceOn(p, n, id)
	if g.chance(30) {
		g.put(e, g.op(p, n, id, "monitor", 0, 7, 7))
	}
	if !g.healthy && g.maybe(3, "failed-start") {
		g.put(e, g.failure(p, n, id, "start", 0, 0))
		g.failed(p, n, id, "start", 0)
		return
	}
	if g.maybe(2, "pending-start") {
		g.put(e, g.pending(p, n, id, "start", 0, 0))
		return
	}
	if g.maybe(5, "found-by-probe") {
		g.put(e, g.op(p, n, id, "monitor", 0, 7, map[string]int{"Started": 0, "Unpromoted": 0, "Promoted": 8}[role]))
	} else {
		g.put(e, g.op(p, n, id, "start", 0, 0, 0))
		if role == "Promoted" {
			switch {
			case g.chance(10):
				g.put(e, g.failure(p, n, id, "promote", 0, 0))
			case g.maybe(3, "pending-promote"):
				g.put(e, g.pending(p, n, id, "promote", 0, 0))
				return
			default:
				g.put(e, g.op(p, n, id, "promote", 0, 0, 0))
			}
		}
	}
	g.monitored(p, n, id, role)
	if g.healthy {
		return
	}
	switch {
	case g.maybe(2, "failed-stop"):
		g.put(e, g.failure(p, n, id, "stop", 0, 0))
		g.failed(p, n, id, "stop", 0)
	case g.maybe(2, "stopped"):
		g.put(e, g.op(p, n, id, "stop", 0, 0, 0))
	case g.maybe(1, "pending-stop"):
		g.put(e, g.pending(p, n, id, "stop", 0, 0))
	case role == "Promoted" && g.maybe(6, "failed-demote"):
		g.put(e, g.failure(p, n, id, "demote", 0, 0))
	case role == "Promoted" && g.maybe(4, "pending-demote"):
		g.put(e, g.pending(p, n, id, "demote", 0, 0))
	}
}

// monitored records the results of the monitors of what is active in a role.
func (g *generator) monitored(p *primSpec, n *nodeSpec, id, role string) {
	e := g.resourceOn(p, n, id)
	for _, m := range p.monitors {
		expected := 0
		switch {
		case m.role == "Stopped", (m.role == "Promoted") != (role == "Promoted"):
			continue
		case m.role == "Promoted":
			expected = 8
		}
		interval := m.interval * 1000
		switch {
		case g.chance(6): // not known to run
		case !g.healthy && g.maybe(4, "failed-monitor"):
			g.put(e, g.failure(p, n, id, "monitor", interval, expected))
			g.failed(p, n, id, "monitor", interval)
		case g.maybe(1, "pending-monitor"):
			g.put(e, g.pending(p, n, id, "monitor", interval, expected))
		case g.maybe(1, "degraded"):
			g.put(e, g.op(p, n, id, "monitor", interval, expected, map[int]int{0: 190, 8: 191}[expected]))
		case g.maybe(1, "cancelled-monitor"):
			g.put(e, g.withStatus(g.op(p, n, id, "monitor", interval, expected, expected), "1"))
		default:
			g.put(e, g.op(p, n, id, "monitor", interval, expected, expected))
		}
	}
}

// failure makes an operation that failed in one of the ways there are.
func (g *generator) failure(p *primSpec, n *nodeSpec, id, task string, interval, expected int) *Element {
	rc := pick(g, []int{1, 1, 1, 1, 5, 2, 4, 6})
	if task == "monitor" && interval > 0 {
		rc = pick(g, []int{1, 7, 7, 7, 5, 1, 2})
		if p.promotable && !g.expires { // crm_simulate 2.1.5 believes what has expired
			rc = pick(g, []int{1, 7, 7, 9, 5, 0, 8})
		}
	}
	if rc == expected || task == "stop" && g.expires && g.serial%5 != 0 { // it does not let failed stops expire
		rc = 1
	}
	status := "0"
	if rc != 7 {
		switch roll := g.IntN(100); {
		case roll < 15:
			status = "4"
		case roll < 25 && rc == 1:
			g.feature("timed-out")
			status = "2"
		case roll < 40 && rc == 5:
			g.feature("not-installed")
			status = "7"
		}
	}
	g.feature("result=" + strconv.Itoa(rc))
	return g.withStatus(g.op(p, n, id, task, interval, expected, rc), status)
}

// withStatus sets the status of an operation's execution.
func (g *generator) withStatus(op *Element, status string) *Element {
	for i := range op.Attrs {
		switch a := &op.Attrs[i]; a.Name {
		case "op-status":
			a.Value = status
		case "transition-magic":
			_, rest, _ := strings.Cut(a.Value, ":")
			a.Value = status + ":" + rest
		}
	}
	return op
}

// failed sets a fail count, mostly.
func (g *generator) failed(p *primSpec, n *nodeSpec, id, task string, interval int) {
	if !g.chance(80) {
		return
	}
	key := fmt.Sprintf("%s#%s_%d", strings.SplitN(id, ":", 2)[0], task, interval)
	g.transient(n, "fail-count-"+key, pick(g, []string{"1", "2", "INFINITY"}))
	g.transient(n, "last-failure-"+key, pick(g, []string{"1700000000", "1782863990"}))
}

// put adds an operation to a resource's history as Pacemaker would: an entry of
// the same name is replaced, and a failure is the last operation as well.
func (g *generator) put(history, op *Element) {
	place := func(op *Element) {
		for i, e := range history.Children {
			if e.Attr("id") == op.Attr("id") {
				history.Children = append(history.Children[:i], history.Children[i+1:]...)
				break
			}
		}
		history.add(op)
	}
	place(op)
	if id, failed := strings.CutSuffix(op.Attr("id"), "_last_failure_0"); failed && op.Attr("interval") == "0" {
		last := op.clone()
		last.Attrs[0].Value = id + "_last_0"
		place(last)
	}
}

// op makes one recorded operation.
func (g *generator) op(p *primSpec, n *nodeSpec, id, task string, interval, expected, rc int) *Element {
	n.calls++
	key := fmt.Sprintf("%d:%d:%d:%s", n.calls, n.calls, expected, transition)
	status := "0"
	name := id + "_last_0"
	switch {
	case task == "migrate_to" || task == "migrate_from":
		name = fmt.Sprintf("%s_%s_0", id, task)
	case rc != expected && rc < 190:
		name = id + "_last_failure_0"
	case interval > 0:
		name = fmt.Sprintf("%s_%s_%d", id, task, interval)
	}
	e := el("lrm_rsc_op", "id", name, "operation_key", fmt.Sprintf("%s_%s_%d", id, task, interval), "operation", task,
		"crm_feature_set", "3.16.1", "transition-key", key, "transition-magic", fmt.Sprintf("%s:%d;%s", status, rc, key),
		"on_node", n.name, "call-id", strconv.Itoa(n.calls), "rc-code", strconv.Itoa(rc), "op-status", status,
		"interval", strconv.Itoa(interval), "last-rc-change", pick(g, []string{"1700000000", "1782863000"}))
	if task == "start" || task == "monitor" || task == "promote" || task == "migrate_from" {
		g.digests(e, p, interval)
	}
	return e
}

// pending makes an operation without a result.
func (g *generator) pending(p *primSpec, n *nodeSpec, id, task string, interval, expected int) *Element {
	e := g.withStatus(g.op(p, n, id, task, interval, expected, 193), "-1")
	for i := range e.Attrs {
		switch a := &e.Attrs[i]; a.Name {
		case "call-id":
			a.Value = "-1"
		case "last-rc-change":
			a.Value = "1782863990"
		}
	}
	return e
}

// digests records what the parameters were, mostly the present ones.
func (g *generator) digests(e *Element, p *primSpec, interval int) {
	params := append([][2]string(nil), p.params...)
	if interval > 0 {
		timeout := "20000"
		for _, m := range p.monitors {
			if m.interval*1000 == interval && m.timeout != 0 {
				timeout = strconv.Itoa(m.timeout * 1000)
			}
			if m.interval*1000 == interval {
				params = append(params, m.params...)
			}
		}
		params = append(params, [2]string{"CRM_meta_timeout", timeout})
	}
	digest := paramDigest(params)
	if g.maybe(3, "changed-parameters") {
		digest = paramDigest([][2]string{{"fake", "changed"}})
	}
	e.Attrs = append(e.Attrs, Attr{"op-digest", digest})
	if interval == 0 && g.maybe(15, "restart-digest") {
		e.Attrs = append(e.Attrs, Attr{"op-force-restart", " state "}, Attr{"op-restart-digest", paramDigest(nil)})
	}
}

// paramDigest is the MD5 of parameters written as Pacemaker writes them.
func paramDigest(params [][2]string) string {
	sort.Slice(params, func(i, j int) bool { return params[i][0] < params[j][0] })
	var b strings.Builder
	b.WriteString(" <parameters")
	for _, p := range params {
		b.WriteString(" " + p[0] + `="`)
		xml.EscapeText(&b, []byte(p[1])) // writing to a builder cannot fail
		b.WriteByte('"')
	}
	b.WriteString("/>\n")
	sum := md5.Sum([]byte(b.String()))
	return hex.EncodeToString(sum[:])
}
