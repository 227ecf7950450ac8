package cluster

import (
	"strings"
	"testing"
)

func (w *world) device(change func(*DeviceState)) Command {
	d := &DeviceState{ID: "disk"}
	if r := w.s.Config.FindResource("disk"); r != nil {
		d.Digest = FenceDigest(w.s.Config.FenceParams(r))
	}
	change(d)
	return Command{Device: d}
}

// withDisk adds a fence device, and says that web requires unfencing.
func (w *world) withDisk() {
	c := w.s.Config
	c.Resources = append([]Resource{{ID: "disk", Kind: Primitive, Agent: Agent{Class: "stonith", Type: "fence_scsi"}}}, c.Resources...)
	c.Resources[1].Meta = []AttrSet{{Pairs: []NVPair{{Name: "requires", Value: "unfencing"}}}}
	w.ok(Command{Config: &ConfigChange{Config: c}})
}

func TestWhatDevicesSay(t *testing.T) {
	w := newWorld(t, "a")
	w.rejected("not-found: there is no fence device disk", w.device(func(*DeviceState) {}))
	w.withDisk()
	w.rejected("was changed meanwhile", w.device(func(d *DeviceState) { d.Digest = "old" }))
	w.ok(w.device(func(d *DeviceState) { d.Known, d.Unfences = true, true }))
	if c := w.s.SchedulerConfig(); Value(c.FindResource("disk").Meta, "provides") != "unfencing" {
		t.Error("the scheduler does not learn that nodes are unfenced by the device")
	}
	if Value(w.s.Config.FindResource("disk").Meta, "provides") != "" {
		t.Error("the stored configuration was changed")
	}
	trouble := func() (n int) {
		for _, e := range w.s.Events {
			if strings.Contains(e.Text, "does not answer") && e.Severity == "error" {
				n++
			}
		}
		return n
	}
	for range 3 {
		w.ok(w.device(func(d *DeviceState) { d.Error, d.By = "login refused", "a" }))
	}
	if trouble() != 1 {
		t.Errorf("%d events for one trouble", trouble())
	}
	w.ok(w.device(func(*DeviceState) {}), w.device(func(d *DeviceState) { d.Error = "again" }))
	if trouble() != 2 {
		t.Errorf("%d events for two troubles", trouble())
	}
	many := make([]PlugName, maxPlugs+1)
	w.ok(w.device(func(d *DeviceState) { d.Plugs = many }))
	if len(w.s.Devices) != 1 || len(w.s.Devices[0].Plugs) != maxPlugs {
		t.Errorf("%d devices, %d plugs", len(w.s.Devices), len(w.s.Devices[0].Plugs))
	}
	w.ok(Command{Config: &ConfigChange{Config: Config{}}})
	w.rejected("not-found", w.device(func(*DeviceState) {}))
}

func TestUnfencingIsCommitted(t *testing.T) {
	w := newWorld(t, "a", "b")
	b := inc("b", 1, "b1")
	on := func(device string) Command {
		return Command{Fence: &FenceBegin{Target: b, Action: "on", Reason: "joined", Device: device}}
	}
	w.rejected("only a node that was fenced gets its power back", on("power"))
	w.ok(on(""))
	w.rejected("switched on already", on(""))
	if w.s.Member("b").State != NodeOnline || w.s.OpenFencing("b") != nil || w.s.OpenOn("b") == nil {
		t.Fatalf("unfencing is no fencing: %+v", w.s.Member("b"))
	}
	w.ok(fenced(1, b, "failed"))
	if w.s.Member("b").Attribute(UnfencedAttribute) != "" {
		t.Error("a failed unfencing counts")
	}
	w.ok(on(""), fenced(2, b, "ok"))
	if w.s.Member("b").Attribute(UnfencedAttribute) == "" {
		t.Error("b is not unfenced")
	}
	// One that ends after the node was lost does not count for what comes back.
	w.ok(Command{Attribute: &AttributeChange{Node: "b", Name: UnfencedAttribute, Delete: true}}, on(""), change(b, NodeLost), fenced(3, b, "ok"))
	if w.s.Member("b").Attribute(UnfencedAttribute) != "" {
		t.Error("a lost node was unfenced")
	}
	w.rejected("only a node that is online is unfenced", on(""))
	w.ok(fence(b), fenced(4, b, "ok"), on("power"))
	if m := w.s.Member("b"); m.State != NodeFenced || m.Attribute(UnfencedAttribute) != "" {
		t.Errorf("%+v", m)
	}
	w.ok(fenced(5, b, "ok"))
	if m := w.s.Member("b"); m.State != NodeFenced || m.Attribute(UnfencedAttribute) != "" {
		t.Errorf("power back is no unfencing: %+v", m)
	}
}

// TestCut: storage is not power (rule 3).
func TestCut(t *testing.T) {
	cut := func(id uint64, i Incarnation) Command {
		return Command{FenceDone: &FenceEnd{ID: id, Target: i, Result: "ok", Device: "disk", Cut: true}}
	}
	b := inc("b", 1, "b1")
	prepare := func(t *testing.T) *world {
		w := newWorld(t, "a", "b")
		w.withDisk()
		w.ok(grant("web", "Started", b), grant("disk", "Started", b), grant("uni:0", "Started", b))
		w.ok(change(b, NodeLost), fence(b), cut(1, b))
		return w
	}
	w := prepare(t)
	if m := w.s.Member("b"); m.State != NodeFenced || !m.Cut {
		t.Errorf("%+v", m)
	}
	if w.s.GrantFor("web", "b") != nil || w.s.GrantFor("disk", "b") != nil {
		t.Errorf("what requires unfencing, and a fence device, are still held: %+v", w.s.Grants)
	}
	if w.s.GrantFor("uni:0", "b") == nil {
		t.Error("what needs no storage counts as ended")
	}
	if c := w.s.SchedulerConfig(); Value(c.FindResource("uni").Meta, "is-managed") != "false" || Value(c.FindResource("web").Meta, "is-managed") != "" {
		t.Error("the scheduler does not leave alone what may still run there")
	}
	w.rejected("conflict", grant("uni:0", "Started", inc("a", 1, "b1")))
	w.rejected("only its storage or network was cut", Command{Remove: &Remove{Node: "b", RaftID: 2}})
	w.rejected("must boot before it joins again", change(inc("b", 2, "b1"), NodeJoining))

	t.Run("power", func(t *testing.T) {
		w := prepare(t)
		w.ok(fence(b), fenced(2, b, "ok"))
		if m := w.s.Member("b"); m.Cut || w.s.GrantFor("uni:0", "b") != nil {
			t.Errorf("%+v, %+v", m, w.s.Grants)
		}
	})
	t.Run("confirmed", func(t *testing.T) {
		w := prepare(t)
		w.ok(fence(b), fenced(2, b, "confirmed"))
		if m := w.s.Member("b"); m.Cut || w.s.GrantFor("uni:0", "b") != nil {
			t.Errorf("%+v, %+v", m, w.s.Grants)
		}
	})
	t.Run("booted", func(t *testing.T) {
		w := prepare(t)
		w.ok(change(inc("b", 2, "b2"), NodeJoining))
		if m := w.s.Member("b"); m.Cut || w.s.GrantFor("uni:0", "b") != nil {
			t.Errorf("%+v, %+v", m, w.s.Grants)
		}
	})
	t.Run("cut after power", func(t *testing.T) {
		w := prepare(t)
		w.ok(fence(b), fenced(2, b, "ok"), fence(b), cut(3, b))
		if m := w.s.Member("b"); m.Cut {
			t.Error("a node that is off was made less so")
		}
	})
}

func TestCutBy(t *testing.T) {
	c := Config{
		Templates: []Resource{{ID: "t", Kind: Primitive, Meta: []AttrSet{{Pairs: []NVPair{{Name: "requires", Value: "unfencing"}}}}}},
		Resources: []Resource{
			{ID: "own", Kind: Primitive, Meta: []AttrSet{{Pairs: []NVPair{{Name: "requires", Value: "unfencing"}}}}},
			{ID: "plain", Kind: Primitive},
			{ID: "fencing", Kind: Primitive, Meta: []AttrSet{{Pairs: []NVPair{{Name: "requires", Value: "fencing"}}}}},
			{ID: "made", Kind: Primitive, Template: "t"},
			{ID: "g", Kind: Group, Meta: []AttrSet{{Pairs: []NVPair{{Name: "requires", Value: "unfencing"}}}}, Children: []Resource{
				{ID: "member", Kind: Primitive}, {ID: "but", Kind: Primitive, Meta: []AttrSet{{Pairs: []NVPair{{Name: "requires", Value: "quorum"}}}}}}},
			{ID: "device", Kind: Primitive, Agent: Agent{Class: "stonith", Type: "fence_x"}},
		},
	}
	want := map[string]bool{"own": true, "plain": false, "fencing": false, "made": true, "member": true, "but": false, "device": true, "gone": false}
	for id, cut := range want {
		if c.CutBy(id) != cut {
			t.Errorf("%s: %t", id, !cut)
		}
	}
	c.ResourceDefaults = []AttrSet{{Pairs: []NVPair{{Name: "requires", Value: "unfencing"}}}}
	if !c.CutBy("plain") || c.CutBy("fencing") {
		t.Error("the default is not heeded, or overrules what a resource says")
	}
}

// The vote of a pair, and an administrator's word, name no number: they mean the
// fencing, also while the node is being unfenced.
func TestEndWithoutNumber(t *testing.T) {
	w := newWorld(t, "a", "b")
	w.withDisk()
	b := w.s.Member("b").Incarnation
	w.ok(Command{Fence: &FenceBegin{Target: b, Action: "on", Reason: "r"}})
	w.ok(Command{Node: &NodeChange{Incarnation: b, State: NodeLost, Reason: "silent"}})
	w.ok(Command{Fence: &FenceBegin{Target: b, Action: "reboot", Reason: "silent"}}, Command{FenceDone: &FenceEnd{Target: b, Result: "ok"}})
	if m := w.s.Member("b"); m.State != NodeFenced || w.s.OpenFencing("b") != nil {
		t.Errorf("b is %s, open: %+v", m.State, w.s.OpenFencing("b"))
	}
	if w.s.OpenOn("b") == nil {
		t.Error("the unfencing has ended with it")
	}
}
