package rehearsal

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// ParseResult reads RESOURCE_OPERATION_INTERVAL@NODE=RC, for example
// "db_monitor_10s@alpha=7". An interval without unit is in ms, as in operation
// keys.
func ParseResult(text string) (Result, error) {
	form := regexp.MustCompile(`^(.+)_(start|stop|monitor|promote|demote|migrate_to|migrate_from)_([0-9]+)(ms|s|m|h)?@([^@=]+)=([0-9]+)$`)
	m := form.FindStringSubmatch(text)
	if m == nil {
		return Result{}, fmt.Errorf("%q is not RESOURCE_OPERATION_INTERVAL@NODE=RC, for example db_monitor_10s@alpha=7", text)
	}
	n, err := strconv.ParseInt(m[3], 10, 32)
	rc, err2 := strconv.Atoi(m[6])
	if err != nil || err2 != nil || rc > 255 {
		return Result{}, fmt.Errorf("%q: number out of range", text)
	}
	unit := map[string]time.Duration{"": time.Millisecond, "ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour}[m[4]]
	return Result{Resource: m[1], Operation: m[2], Interval: time.Duration(n) * unit, Node: m[5], RC: rc}, nil
}

// FailNode returns the status with a cluster node gone without a word.
func FailNode(status *cluster.Status, name string) (*cluster.Status, error) {
	w, n, err := edit(status, name)
	if err != nil {
		return nil, err
	}
	if n.Remote {
		return nil, fmt.Errorf("%s is no cluster node; let an operation of its connection fail instead", name)
	}
	n.InCCM, n.Crmd, n.Join, n.Expected = "false", "offline", "down", "member"
	return w.status, nil
}

// AddResult returns the status with one more operation result, and with a failure
// that counts if the result is not what was expected.
func AddResult(config *cluster.Config, status *cluster.Status, r Result, now time.Time) (*cluster.Status, error) {
	w, n, err := edit(status, r.Node)
	if err != nil {
		return nil, err
	}
	w.now = now
	agent, known := findAgent(config.Resources, config.Templates, r.Resource)
	if !known {
		return nil, fmt.Errorf("no resource %s is configured", r.Resource)
	}
	a := &cluster.Action{Resource: r.Resource, Instance: r.Resource, Name: r.Resource, Agent: agent, Node: n.Name, Interval: r.Interval}
	key := r.Resource + "_" + r.Operation + "_" + strconv.FormatInt(r.Interval.Milliseconds(), 10)
	for _, h := range n.History {
		if h.ID != r.Resource {
			continue
		}
		for _, e := range h.Operations {
			if e.Key == key && e.RC == 8 {
				a.ExpectRC = 8 // a monitor of the promoted role
			}
		}
	}
	w.addEntry(a, r.Operation, r.RC)
	if r.RC != a.ExpectRC && (r.Operation != "monitor" || r.Interval > 0) {
		countFailure(n, r, now)
	}
	return w.status, nil
}

// countFailure raises the fail count of an operation.
func countFailure(n *cluster.NodeStatus, r Result, now time.Time) {
	op := r.Resource + "#" + r.Operation + "_" + strconv.FormatInt(r.Interval.Milliseconds(), 10)
	set := cluster.AttrSet{ID: "injected"}
	if len(n.Attributes) > 0 {
		set = n.Attributes[0]
		set.Pairs = append([]cluster.NVPair(nil), set.Pairs...)
	}
	count := 0
	kept := set.Pairs[:0]
	for _, p := range set.Pairs {
		switch p.Name {
		case "fail-count-" + op:
			count, _ = strconv.Atoi(p.Value)
		case "last-failure-" + op:
		default:
			kept = append(kept, p)
		}
	}
	set.Pairs = append(kept,
		cluster.NVPair{Name: "fail-count-" + op, Value: strconv.Itoa(count + 1)},
		cluster.NVPair{Name: "last-failure-" + op, Value: strconv.FormatInt(now.Unix(), 10)})
	if len(n.Attributes) > 0 {
		n.Attributes = append([]cluster.AttrSet{set}, n.Attributes[1:]...)
	} else {
		n.Attributes = []cluster.AttrSet{set}
	}
}

// edit copies a status and finds a node in the copy.
func edit(status *cluster.Status, name string) (*writer, *cluster.NodeStatus, error) {
	w := newWriter(status, time.Time{})
	if _, known := w.index[strings.ToLower(name)]; !known {
		return nil, nil, fmt.Errorf("the status knows no node %s", name)
	}
	return w, w.node(name), nil
}

// findAgent finds a primitive by its id, or by that of an instance.
func findAgent(resources, templates []cluster.Resource, id string) (cluster.Agent, bool) {
	for i := range resources {
		r := &resources[i]
		base, _, _ := strings.Cut(id, ":")
		if r.Kind == cluster.Primitive && (r.ID == id || r.ID == base) {
			for _, t := range templates {
				if r.Template == t.ID && r.Template != "" {
					return t.Agent, true
				}
			}
			return r.Agent, true
		}
		if a, ok := findAgent(r.Children, templates, id); ok {
			return a, true
		}
	}
	return cluster.Agent{}, false
}
