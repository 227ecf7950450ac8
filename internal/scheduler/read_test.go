package scheduler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
)

var moment = time.Unix(1_800_000_000, 0).UTC()

// situation is a small cluster: nodes alpha and beta, a fence device, and what a
// test adds.
func situation(fencing string) (*cluster.Config, *cluster.Status) {
	config := &cluster.Config{
		Origin:  cluster.OriginCIB,
		Options: []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "fencing-enabled", Value: fencing}}}},
		Nodes:   []cluster.Node{{ID: "1", Name: "alpha"}, {ID: "2", Name: "beta"}},
		Resources: []cluster.Resource{
			{ID: "power", Kind: cluster.Primitive, Agent: cluster.Agent{Class: "stonith", Type: "fence_x"}},
		},
	}
	status := &cluster.Status{Quorate: true, Coordinator: "1"}
	for _, n := range config.Nodes {
		status.Nodes = append(status.Nodes, cluster.NodeStatus{ID: n.ID, Name: n.Name, InCCM: "true", Crmd: "online", Join: "member", Expected: "member"})
	}
	return config, status
}

func TestNodeStates(t *testing.T) {
	tests := []struct {
		name, fencing               string
		inCCM, crmd, join, expected string
		attributes                  string
		want                        string
	}{
		{"up", "true", "true", "online", "member", "member", "", "online"},
		{"times", "true", "1799999000", "1799999001", "member", "member", "", "online"},
		{"lost", "true", "false", "offline", "down", "member", "", "unclean"},
		{"process lost", "true", "true", "offline", "member", "member", "", "unclean online"},
		{"left", "true", "false", "offline", "down", "down", "", ""},
		{"joining", "true", "true", "online", "pending", "member", "", "pending online"},
		{"coming", "true", "true", "offline", "down", "down", "", "pending online"},
		{"banned", "true", "true", "online", "banned", "member", "", "unclean online"},
		{"unheard of", "true", "", "", "", "", "", "unclean"},
		{"odd", "true", "true", "online", "dancing", "member", "", "unclean online"},
		{"shutting down", "true", "true", "online", "member", "member", "shutdown=1799999999", "shutdown online"},
		{"shut down", "true", "false", "offline", "down", "member", "shutdown=1799999999", "shutdown"},
		{"to be fenced", "true", "true", "online", "member", "member", "terminate=true", "unclean online"},
		{"was fenced", "true", "false", "offline", "down", "member", "terminate=true", ""},
		{"standby", "true", "true", "online", "member", "member", "standby=on", "standby online"},
		{"maintenance", "true", "true", "online", "member", "member", "maintenance=yes", "maintenance online"},
		{"no fencing, lost", "false", "false", "offline", "down", "member", "", ""},
		{"no fencing, process lost", "false", "true", "offline", "member", "member", "", "unclean"},
		{"no fencing, joining", "false", "true", "online", "pending", "member", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config, status := situation(tt.fencing)
			n := &status.Nodes[1]
			n.InCCM, n.Crmd, n.Join, n.Expected = tt.inCCM, tt.crmd, tt.join, tt.expected
			if name, value, ok := strings.Cut(tt.attributes, "="); ok {
				n.Attributes = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: name, Value: value}}}}
			}
			rn := newRun(config, status, moment, Options{})
			rn.readInput()
			if got := describeNode(rn.node("BETA")); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func describeNode(n *node) string {
	var words []string
	for _, w := range []struct {
		name string
		is   bool
	}{{"unclean", n.unclean}, {"pending", n.pending}, {"shutdown", n.shutdown}, {"standby", n.standby && !n.pending}, {"maintenance", n.maintenance}, {"online", n.online}} {
		if w.is {
			words = append(words, w.name)
		}
	}
	return strings.Join(words, " ")
}

func TestUnseenNode(t *testing.T) {
	for fencing, want := range map[string]bool{"true": true, "false": false} {
		config, status := situation(fencing)
		status.Nodes = status.Nodes[:1]
		rn := newRun(config, status, moment, Options{})
		rn.readInput()
		if n := rn.node("beta"); n.unclean != want || !n.unseen || n.online {
			t.Errorf("fencing %s: unclean %v, unseen %v, online %v", fencing, n.unclean, n.unseen, n.online)
		}
	}
}

// history builds entries from "operation[/interval ms] rc [expected]"; "?" for
// the rc is an operation in flight, "alone" that no transition asked for it. They are an hour old and a second apart.
func history(id string, lines ...string) []cluster.HistoryEntry {
	var entries []cluster.HistoryEntry
	for i, line := range lines {
		words := strings.Fields(line)
		op, intervalText, _ := strings.Cut(words[0], "/")
		interval := intOr(intervalText, 0, 0)
		e := cluster.HistoryEntry{
			ID: fmt.Sprintf("%s_%s_%d", id, op, i), Key: fmt.Sprintf("%s_%s_%d", id, op, interval), Operation: op, IntervalMS: interval,
			CallID: i + 1, LastRCChange: moment.Unix() - 3600 + int64(i),
		}
		expected := 0
		if op == "monitor" && interval == 0 {
			expected = 7
		}
		alone := len(words) > 2 && words[2] == "alone"
		if len(words) > 2 && !alone {
			expected = int(intOr(words[2], 0, 0))
		}
		if words[1] == "?" {
			e.CallID, e.RC, e.Status = -1, 193, statusPending
		} else {
			e.RC = int(intOr(words[1], 0, 0))
		}
		if !alone {
			e.TransitionKey = fmt.Sprintf("%d:%d:%d:u", i, i, expected)
		}
		entries = append(entries, e)
	}
	return entries
}

func TestHistoryOfOneResource(t *testing.T) {
	tests := []struct {
		name    string
		entries []string
		meta    string // of the resource
		op      string // on-fail of its monitor
		want    string
	}{
		{"nothing there", []string{"monitor 7"}, "", "", "Stopped"},
		{"found running", []string{"monitor 0"}, "", "", "Started on beta"},
		{"started", []string{"monitor 7", "start 0", "monitor/10000 0"}, "", "", "Started on beta"},
		{"stopped", []string{"start 0", "stop 0"}, "", "", "Stopped"},
		{"stopped on its own", []string{"start 0", "stop 0 alone"}, "", "", "Stopped"},
		{"failed to stop on its own", []string{"start 0", "stop 1 alone"}, "", "", "Started on beta failed must-stop banned beta fence"},
		{"found running on its own", []string{"monitor 0 alone"}, "", "", "Started on beta"},
		{"found stopped on its own", []string{"monitor 7 alone"}, "", "", "Stopped"},
		{"in flight", []string{"monitor 7", "start ?"}, "", "", "Started on beta pending"},
		{"start failed", []string{"monitor 7", "start 1"}, "", "", "Started on beta failed must-stop"},
		{"monitor failed", []string{"start 0", "monitor/10000 1"}, "", "", "Started on beta failed must-stop"},
		{"monitor says stopped", []string{"start 0", "monitor/10000 7"}, "", "", "Started on beta failed must-stop"},
		{"recovered", []string{"start 0", "monitor/10000 1", "stop 0", "start 0"}, "", "", "Started on beta"},
		{"recovered by itself", []string{"start 0", "monitor/10000 1", "monitor/10000 0"}, "", "", "Started on beta"},
		{"ignored", []string{"start 0", "monitor/10000 1"}, "", "ignore", "Started on beta ignored"},
		{"blocked", []string{"start 0", "monitor/10000 1"}, "", "block", "Started on beta failed blocked unmanaged"},
		{"to be stopped", []string{"start 0", "monitor/10000 1"}, "", "stop", "Started on beta failed must-stop next Stopped banned alpha beta"},
		{"elsewhere", []string{"start 0", "monitor/10000 1"}, "", "migrate", "Started on beta failed must-stop banned beta"},
		{"stop failed", []string{"start 0", "stop 1"}, "", "", "Started on beta failed must-stop banned beta fence"},
		{"not installed", []string{"monitor 5"}, "", "", "Stopped banned beta"},
		{"start says not installed", []string{"monitor 7", "start 5"}, "", "", "Started on beta failed must-stop banned beta"},
		{"not configured", []string{"monitor 7", "start 6"}, "", "", "Started on beta failed must-stop banned alpha beta"},
		{"degraded", []string{"start 0", "monitor/10000 190"}, "", "", "Started on beta"},
		{"unmanaged", []string{"start 0", "monitor/10000 7"}, "is-managed=false", "", "Stopped unmanaged"},
		{"expired", []string{"start 0", "monitor/10000 1"}, "failure-timeout=60s", "", "Started on beta"},
		{"target", []string{"start 0"}, "target-role=Stopped", "", "Started on beta next Stopped"},
		{"maintenance", []string{"start 0"}, "maintenance=true", "", "Started on beta unmanaged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config, status := situation("true")
			web := cluster.Resource{ID: "web", Kind: cluster.Primitive, Agent: cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"}}
			if name, value, ok := strings.Cut(tt.meta, "="); ok {
				web.Meta = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: name, Value: value}}}}
			}
			monitor := cluster.Operation{ID: "m", Name: "monitor", Interval: "10s"}
			if tt.op != "" {
				monitor.Attrs = []cluster.NVPair{{Name: "on-fail", Value: tt.op}}
			}
			web.Operations = []cluster.Operation{monitor}
			config.Resources = append(config.Resources, web)
			status.Nodes[1].History = []cluster.ResourceHistory{{ID: "web", Agent: web.Agent, Operations: history("web", tt.entries...)}}
			rn := newRun(config, status, moment, Options{})
			rn.readInput()
			if got := describeResource(rn, rn.byID["web"]); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func describeResource(rn *run, r *resource) string {
	words := []string{r.role.String()}
	for _, n := range r.active {
		words = append(words, "on "+n.name)
	}
	for _, w := range []struct {
		name string
		is   bool
	}{{"pending", r.startPending}, {"failed", r.failed}, {"must-stop", r.mustStop}, {"ignored", r.failureIgnored}, {"blocked", r.blocked}, {"unmanaged", !r.managed}} {
		if w.is {
			words = append(words, w.name)
		}
	}
	if r.nextRole != roleUnknown {
		words = append(words, "next "+r.nextRole.String())
	}
	banned := "banned"
	for _, n := range rn.nodes {
		if r.allowed.at(n) == -infinity {
			words = append(words, strings.TrimSpace(banned+" "+n.name))
			banned = ""
		}
	}
	for _, n := range rn.nodes {
		if n.unclean {
			words = append(words, "fence")
		}
	}
	return strings.Join(words, " ")
}

// An instance of an anonymous clone is whatever is on the node; a clone that
// was unique once has one too many there, which goes.
func TestInstancesFromHistory(t *testing.T) {
	config, status := situation("true")
	config.Resources = append(config.Resources, cluster.Resource{ID: "webs", Kind: cluster.Clone, Children: []cluster.Resource{
		{ID: "web", Kind: cluster.Primitive, Agent: cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"}}}})
	agent := config.Resources[1].Children[0].Agent
	status.Nodes[0].History = []cluster.ResourceHistory{
		{ID: "web", Agent: agent, Operations: history("web", "start 0")},
		{ID: "web:7", Agent: agent, Operations: history("web:7", "start 0")},
	}
	status.Nodes[1].History = []cluster.ResourceHistory{{ID: "web:3", Agent: agent, Operations: history("web:3", "start 0")}}
	o := Observe(config, status, moment)
	var got []string
	for _, a := range o.Active {
		got = append(got, a.Resource+" "+a.Instance+" "+a.Node)
	}
	want := "web web:0 alpha, web web:1 beta, web web:2 alpha"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("got %s\nwant %s", text, want)
	}
}

func TestMigrationsFromHistory(t *testing.T) {
	entry := func(op string, call, rc int) cluster.HistoryEntry {
		return cluster.HistoryEntry{ID: "vm_" + op + "_0", Key: "vm_" + op + "_0", Operation: op, CallID: call, RC: rc,
			TransitionKey: "1:1:0:u", LastRCChange: moment.Unix() - 3600 + int64(call), MigrateSource: "alpha", MigrateTarget: "beta"}
	}
	tests := []struct {
		name        string
		alpha, beta []cluster.HistoryEntry
		want        string
	}{
		{"half done", []cluster.HistoryEntry{entry("migrate_to", 3, 0)}, []cluster.HistoryEntry{entry("stop", 2, 0)}, "beta alpha from alpha to beta"},
		{"only the stop is lacking", []cluster.HistoryEntry{entry("migrate_to", 3, 0)}, []cluster.HistoryEntry{entry("migrate_from", 4, 0)}, "beta dangling alpha"},
		{"complete", []cluster.HistoryEntry{entry("migrate_to", 3, 0), entry("stop", 5, 0)}, []cluster.HistoryEntry{entry("migrate_from", 4, 0)}, "beta"},
		{"failed there", []cluster.HistoryEntry{entry("migrate_to", 3, 0)}, []cluster.HistoryEntry{entry("migrate_from", 4, 1)}, "beta alpha failed"},
		{"failed here", []cluster.HistoryEntry{entry("migrate_to", 3, 1)}, []cluster.HistoryEntry{entry("stop", 2, 0)}, "beta alpha failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config, status := situation("true")
			agent := cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"}
			config.Resources = append(config.Resources, cluster.Resource{ID: "vm", Kind: cluster.Primitive, Agent: agent})
			status.Nodes[0].History = []cluster.ResourceHistory{{ID: "vm", Agent: agent, Operations: tt.alpha}}
			status.Nodes[1].History = []cluster.ResourceHistory{{ID: "vm", Agent: agent, Operations: tt.beta}}
			rn := newRun(config, status, moment, Options{})
			rn.readInput()
			r := rn.byID["vm"]
			var words []string
			for _, n := range r.active {
				words = append(words, n.name)
			}
			if r.partialSource != nil {
				words = append(words, "from "+r.partialSource.name+" to "+r.partialTarget.name)
			}
			for _, n := range r.dangling {
				words = append(words, "dangling "+n.name)
			}
			if r.failed {
				words = append(words, "failed")
			}
			if got := strings.Join(words, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestFailCounts(t *testing.T) {
	config, status := situation("true")
	web := cluster.Resource{ID: "web", Kind: cluster.Primitive, Agent: cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"},
		Meta: []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "failure-timeout", Value: "10min"}}}}}
	config.Resources = append(config.Resources, web)
	at := func(ago int64) string { return fmt.Sprint(moment.Unix() - ago) }
	status.Nodes[0].Attributes = []cluster.AttrSet{{Pairs: []cluster.NVPair{
		{Name: "fail-count-web#monitor_10000", Value: "2"}, {Name: "last-failure-web#monitor_10000", Value: at(900)},
		{Name: "fail-count-web#start_0", Value: "INFINITY"}, {Name: "last-failure-web#start_0", Value: at(599)},
		{Name: "fail-count-web2#start_0", Value: "7"},
	}}}
	status.Nodes[1].Attributes = []cluster.AttrSet{{Pairs: []cluster.NVPair{
		{Name: "fail-count-web#monitor_10000", Value: "3"}, {Name: "last-failure-web#monitor_10000", Value: at(601)}}}}
	rn := newRun(config, status, moment, Options{})
	rn.readInput()
	r := rn.byID["web"]
	for _, tt := range []struct {
		node      string
		effective bool
		want      score
	}{{"alpha", false, infinity}, {"alpha", true, infinity}, {"beta", false, 3}, {"beta", true, 0}} {
		if got, _ := rn.failCount(r, rn.node(tt.node), tt.effective); got != tt.want {
			t.Errorf("%s, effective %v: %v, want %v", tt.node, tt.effective, got, tt.want)
		}
	}
}
