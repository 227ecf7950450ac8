package cibgen

// fenceDevices makes one or two fence devices, perhaps with levels, perhaps such
// that nodes must be unfenced before they may run anything.
func (g *generator) fenceDevices() {
	devices := []*primSpec{g.fenceDevice("fence_xvm", nil)}
	if g.maybe(12, "fence-devices-two") {
		devices = append(devices, g.fenceDevice("fence_ipmilan", [][2]string{{"ip", "10.0.0.9"}}))
	}
	if g.maybe(6, "unfencing") {
		d := pick(g, devices)
		d.element.add(g.pairs("meta_attributes", [][2]string{{"provides", "unfencing"}}))
		for _, n := range g.nodes {
			g.unfenced(n, d)
		}
	}
	if g.maybe(6, "fencing-topology") {
		g.levels = el("fencing-topology")
		for i, d := range devices {
			level := el("fencing-level", "id", g.id("level"), "index", []string{"1", "2"}[i], "devices", d.id)
			switch g.IntN(3) {
			case 0:
				level.Attrs = append(level.Attrs, Attr{"target", pick(g, g.nodes).name})
			case 1:
				level.Attrs = append(level.Attrs, Attr{"target-pattern", "n.*"})
			case 2:
				level.Attrs = append(level.Attrs, Attr{"target-attribute", "site"}, Attr{"target-value", "a"})
			}
			g.levels.add(level)
		}
	}
}

func (g *generator) fenceDevice(kind string, params [][2]string) *primSpec {
	f := g.primitive("fence", "stonith", "", kind, params)
	g.tops = append(g.tops, &topSpec{id: f.id, kind: "fence", members: []*primSpec{f}})
	g.resources.add(f.element)
	return f
}

// unfenced notes on n whether and with which parameters a device unfenced it.
func (g *generator) unfenced(n *nodeSpec, device *primSpec) {
	if n.attrs == nil || g.chance(20) {
		return
	}
	g.transient(n, "#node-unfenced", pick(g, []string{"1782000000", "1782000000", "1782000000", "0"}))
	digest := paramDigest(device.params)
	if g.maybe(10, "unfenced-with-other-parameters") {
		digest = paramDigest([][2]string{{"delay", "5"}})
	}
	g.transient(n, "#digests-all", device.id+":"+device.kind+":"+digest+",")
}
