package api

import (
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// TestNothingOfAFormerBoot: a node that has booted, and is alone, does not show as
// running what it ran before.
func TestNothingOfAFormerBoot(t *testing.T) {
	ran := []cluster.ResourceHistory{{ID: "web", Operations: []cluster.HistoryEntry{{Operation: "start", CallID: 3}}}}
	before := cluster.Incarnation{Node: "a", Counter: 1, Boot: "one"}
	s := &cluster.State{
		Config:  cluster.Config{Name: "c", Resources: []cluster.Resource{{ID: "web", Kind: cluster.Primitive}}},
		Members: []cluster.Member{{Name: "a", State: cluster.NodeOnline, Incarnation: before, History: ran}, {Name: "b", State: cluster.NodeOnline}},
	}
	for _, now := range []cluster.Incarnation{before, {Node: "a", Counter: 2, Boot: "one"}, {Node: "a", Counter: 2, Boot: "two"}} {
		v := Derive(s, &event.Local{Node: "a", Incarnation: now, Contact: -1}, nil, time.Now())
		same := now.Boot == before.Boot
		if got := v.Resources[0].State == "started" && len(v.Nodes[0].Running) == 1; got != same {
			t.Errorf("incarnation %d of boot %s: runs %v, resource %s", now.Counter, now.Boot, v.Nodes[0].Running, v.Resources[0].State)
		}
		if (v.Nodes[0].State == "online") != same {
			t.Errorf("incarnation %d of boot %s: the node is %s", now.Counter, now.Boot, v.Nodes[0].State)
		}
	}
	if len(s.Members[0].History) != 1 {
		t.Error("the state itself was changed")
	}
}
