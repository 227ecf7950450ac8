package api

import (
	"testing"

	"linuxha/internal/cluster"
)

func TestHappens(t *testing.T) {
	two := []string{"n1", "n2"}
	for _, tt := range []struct {
		name string
		from []string
		to   string
		acts []cluster.ActionKind
		want string
	}{
		{"on two nodes, blocked", two, "n1", []cluster.ActionKind{cluster.ActionCancel}, "keep"},
		{"on two nodes, one is spared", two, "n1", []cluster.ActionKind{cluster.ActionStop}, "move"},
		{"elsewhere", two[:1], "n2", []cluster.ActionKind{cluster.ActionStop, cluster.ActionStart}, "move"},
		{"again", two[:1], "n1", []cluster.ActionKind{cluster.ActionStop, cluster.ActionStart}, "restart"},
		{"live", two[:1], "n2", []cluster.ActionKind{cluster.ActionMigrateTo}, "move"},
	} {
		kinds := map[cluster.ActionKind]bool{}
		for _, k := range tt.acts {
			kinds[k] = true
		}
		if got := happens(&cluster.Placement{Current: tt.from, Node: tt.to}, kinds); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
