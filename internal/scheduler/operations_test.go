package scheduler

import (
	"testing"

	"linuxha/internal/cluster"
)

// TestOperationsByNode: rules about an operation's properties, in its blocks and
// in the defaults, see the attributes of the node where it is done.
func TestOperationsByNode(t *testing.T) {
	on := func(node, name, value string) cluster.AttrSet {
		rule := &cluster.Rule{Conditions: []cluster.Condition{{Attribute: &cluster.AttrExpr{Attribute: "#uname", Operation: "eq", Value: node}}}}
		return cluster.AttrSet{Rule: rule, Pairs: []cluster.NVPair{{Name: name, Value: value}}}
	}
	config, status := situation("true")
	agent := cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"}
	config.OperationDefaults = []cluster.AttrSet{on("beta", "timeout", "99s")}
	config.Resources = append(config.Resources, cluster.Resource{ID: "web", Kind: cluster.Primitive, Agent: agent, Operations: []cluster.Operation{
		{ID: "start", Name: "start", Meta: []cluster.AttrSet{on("alpha", "timeout", "41s"), on("beta", "timeout", "42s")}},
		{ID: "monitor", Name: "monitor", Interval: "10s", Meta: []cluster.AttrSet{on("beta", "on-fail", "block")}},
	}})
	rn := newRun(config, status, moment, Options{})
	rn.readInput()
	web := rn.byID["web"]
	for _, tt := range []struct {
		task     string
		interval int64
		node     string
		timeout  int64
		policy   onFail
	}{
		{"start", 0, "alpha", 41_000, failRestart},
		{"start", 0, "beta", 42_000, failRestart},
		{"monitor", 10_000, "alpha", 20_000, failRestart},
		{"monitor", 10_000, "beta", 99_000, failBlock},
		{"stop", 0, "alpha", 20_000, failFence},
		{"stop", 0, "beta", 99_000, failFence},
	} {
		n := rn.node(tt.node)
		policy, _ := rn.onFail(web, tt.task, tt.interval, n)
		if got := rn.timeout(web, tt.task, tt.interval, n); got != tt.timeout || policy != tt.policy {
			t.Errorf("%s on %s: timeout %d, policy %v; want %d, %v", tt.task, tt.node, got, policy, tt.timeout, tt.policy)
		}
	}
}
