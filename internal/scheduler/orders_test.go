package scheduler

import (
	"testing"
	"time"

	"linuxha/internal/cluster"
)

// TestSetsWithoutName: two sets of which any one member is enough stay apart
// though nobody named them.
func TestSetsWithoutName(t *testing.T) {
	cfg := &cluster.Config{Nodes: []cluster.Node{{Name: "n"}}, Options: []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "fencing-enabled", Value: "false"}}}}}
	for _, id := range []string{"a", "b", "c", "d", "e", "f"} {
		r := cluster.Resource{ID: id, Kind: cluster.Primitive, Agent: cluster.Agent{Class: "lsb", Type: id}}
		if id == "d" || id == "e" {
			r.Meta = []cluster.AttrSet{{Pairs: []cluster.NVPair{{Name: "target-role", Value: "Stopped"}}}}
		}
		cfg.Resources = append(cfg.Resources, r)
	}
	for _, ids := range [][]string{{"a", "b", "c"}, {"d", "e", "f"}} {
		cfg.Orders = append(cfg.Orders, cluster.Order{ID: "after-" + ids[0], Sets: []cluster.ResourceSet{
			{Resources: ids[:2], Sequential: "false", RequireAll: "false"}, {Resources: ids[2:]},
		}})
	}
	status := &cluster.Status{Quorate: true, Nodes: []cluster.NodeStatus{{ID: "n", Name: "n", InCCM: "true", Crmd: "online", Join: "member", Expected: "member"}}}
	plan, err := Schedule(cfg, status, time.Unix(1_700_000_000, 0), Options{})
	if err != nil {
		t.Fatal(err)
	}
	started := map[string]bool{}
	for _, a := range plan.Actions {
		if a.Kind == cluster.ActionStart {
			started[a.Resource] = true
		}
	}
	if !started["c"] || started["f"] {
		t.Errorf("started %v: c needs a or b, which can start, and f needs d or e, which cannot", started)
	}
}
