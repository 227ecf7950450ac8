package cluster

import (
	"slices"
	"testing"
)

// TestUnreachedIsLeftOut: what is kept and not acted on does not reach the scheduler,
// what is beside and around it does, and nothing is copied where there is no such thing.
func TestUnreachedIsLeftOut(t *testing.T) {
	primitive := func(id, agent string) Resource {
		return Resource{ID: id, Kind: Primitive, Agent: Agent{Class: "ocf", Provider: "pacemaker", Type: agent}}
	}
	guest := primitive("vm", "Dummy")
	guest.Meta = []AttrSet{{Pairs: []NVPair{{Name: "remote-node", Value: "inner"}, {Name: "priority", Value: "3"}}}}
	derived := Resource{ID: "link2", Kind: Primitive, Template: "link"}
	w := newWorld(t, "a")
	c := w.s.Config
	c.Nodes = []Node{{Name: "a"}, {Name: "far", Kind: NodeRemote}}
	c.Templates = []Resource{{ID: "link", Kind: Primitive, Agent: primitive("", "remote").Agent}, {ID: "plain", Kind: Primitive}}
	c.Resources = []Resource{
		primitive("web", "Dummy"), primitive("link1", "remote"), derived, guest,
		{ID: "box", Kind: Bundle, Children: []Resource{primitive("inside", "Dummy")}},
		{ID: "group", Kind: Group, Children: []Resource{primitive("link3", "remote"), primitive("db", "Dummy")}},
		{ID: "links", Kind: Clone, Children: []Resource{primitive("link4", "remote")}},
	}
	w.s.Config = c
	got := w.s.SchedulerConfig()
	var ids []string
	var walk func(rs []Resource)
	walk = func(rs []Resource) {
		for _, r := range rs {
			ids = append(ids, r.ID)
			walk(r.Children)
		}
	}
	walk(got.Resources)
	if want := []string{"web", "vm", "group", "db"}; !slices.Equal(ids, want) {
		t.Errorf("the scheduler gets %v, want %v", ids, want)
	}
	vm := got.FindResource("vm")
	if Value(vm.Meta, "remote-node") != "" || Value(vm.Meta, "priority") != "3" || Value(w.s.Config.FindResource("vm").Meta, "remote-node") == "" {
		t.Errorf("the guest: %+v, stored %+v", vm.Meta, w.s.Config.FindResource("vm").Meta)
	}
	if len(got.Nodes) != 1 || len(got.Templates) != 1 || len(w.s.Config.Nodes) != 2 || len(w.s.Config.Resources) != 7 {
		t.Errorf("nodes %+v, templates %+v", got.Nodes, got.Templates)
	}

	w.s.Config.Resources = c.Resources[:1]
	if got := w.s.SchedulerConfig(); &got.Resources[0] != &w.s.Config.Resources[0] {
		t.Error("resources were copied for nothing")
	}
}
