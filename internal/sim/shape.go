package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/sim/truth"
)

// Shape is what a world consists of.
type Shape struct {
	Seed       uint64        `json:"seed"`
	Nodes      int           `json:"nodes"` // hosts, the witness included
	Links      int           `json:"links"`
	Preset     string        `json:"preset"`
	Witness    bool          `json:"witness,omitempty"`    // the last host votes and runs nothing
	Resources  int           `json:"resources"`            // exclusive primitives
	Group      int           `json:"group"`                // members of a group beside them
	Clone      bool          `json:"clone,omitempty"`      // one instance on every node
	Promotable bool          `json:"promotable,omitempty"` // the same, one of them promoted
	Migrate    bool          `json:"migrate,omitempty"`    // the first primitive migrates live
	NoQuorum   string        `json:"no_quorum,omitempty"`  // policy; "": stop
	Fencing    bool          `json:"fencing"`
	Lying      bool          `json:"lying,omitempty"`    // fence devices lie: safety is excused, and nothing else
	Port       bool          `json:"port,omitempty"`     // the fence device cuts the network only, not the power
	Storage    bool          `json:"storage,omitempty"`  // the fence device cuts the storage of declared services only
	Beside     bool          `json:"beside,omitempty"`   // ... and if it fails, another one cuts the power
	Supplies   bool          `json:"supplies,omitempty"` // two power supplies, a fence device for each, both of one level
	Watchdog   bool          `json:"watchdog"`
	Timeout    time.Duration `json:"timeout,omitempty"`  // of the watchdogs; 0: two seconds
	Delay      string        `json:"delay,omitempty"`    // the head start that the device gives, as in "n1:5s"
	FenceTime  time.Duration `json:"fence_time"`         // what a device usually takes
	Versions   string        `json:"versions,omitempty"` // of ha: "" the present one, "next", or "mixed": on every second host the next
	Sync       time.Duration `json:"sync"`               // what a disk usually takes
	Drift      float64       `json:"drift"`              // by how much clocks run fast or slow, at most
}

// shapeOf draws a world: mostly 2 to 5 nodes, 1 or 2 links, normal detection.
func shapeOf(seed uint64) Shape {
	rng := rand.New(rand.NewPCG(seed, 1))
	one := func(n int) bool { return rng.IntN(n) == 0 }
	s := Shape{
		Seed: seed, Nodes: pick(rng, 2, 12, 3, 13, 4, 6, 5, 5, 1, 1, 6+rng.IntN(4), 1),
		Links: 1 + rng.IntN(2), Preset: "normal",
		Resources: 1 + rng.IntN(3), Group: max(0, rng.IntN(4)-1), Clone: one(5), Promotable: one(4), Migrate: one(2),
		Fencing: !one(12), Watchdog: one(2), Drift: 1e-4,
		FenceTime: []time.Duration{50 * time.Millisecond, time.Second, 5 * time.Second}[rng.IntN(3)],
		Sync:      []time.Duration{500 * time.Microsecond, 2 * time.Millisecond, 8 * time.Millisecond}[rng.IntN(3)],
	}
	if one(10) {
		s.Preset = "fast"
	}
	if one(5) {
		s.NoQuorum = []string{"freeze", "demote", "ignore", "fence"}[rng.IntN(4)]
	}
	if one(4) {
		s.Drift = 5e-3 // two clocks differ by at most 1 %
	}
	if s.Nodes > 2 && s.Nodes%2 == 1 && one(5) {
		s.Witness = true
	}
	if s.Watchdog && s.Nodes > 2 {
		s.Fencing = one(2) // else the watchdogs alone see to it
	}
	s.Port = s.Nodes == 2 && s.Fencing && one(10)
	s.Timeout = []time.Duration{2 * time.Second, 5 * time.Second}[rng.IntN(2)]
	s.Lying = s.Fencing && !s.Port && one(40)
	s.drawDevices()
	s.drawVersions()
	return s
}

// drawDevices gives some worlds other fence devices. It draws by itself: what else a
// seed makes stays as it was.
func (s *Shape) drawDevices() {
	rng := rand.New(rand.NewPCG(s.Seed, 3))
	if !s.Fencing || s.Lying || s.Port {
		return
	}
	switch n := rng.IntN(12); {
	case n < 3 && s.Nodes > 2:
		s.Storage, s.Beside = true, rng.IntN(2) == 0
	case n >= 10:
		s.Supplies = true
	}
}

// drawVersions lets some worlds begin with the next version of ha, or with both.
func (s *Shape) drawVersions() {
	switch rand.New(rand.NewPCG(s.Seed, 4)).IntN(10) {
	case 0:
		s.Versions = "next"
	case 1, 2:
		s.Versions = "mixed"
	}
}

// pick draws one of several numbers, each followed by its weight.
func pick(rng *rand.Rand, pairs ...int) int {
	total := 0
	for i := 1; i < len(pairs); i += 2 {
		total += pairs[i]
	}
	n := rng.IntN(total)
	for i := 0; ; i += 2 {
		if n -= pairs[i+1]; n < 0 {
			return pairs[i]
		}
	}
}

// String says it in few words.
func (s *Shape) String() string {
	return strings.Join(append([]string{fmt.Sprintf("%d nodes, %d links, %s", s.Nodes, s.Links, s.Preset)}, s.kinds()...), ", ")
}

// kinds are what makes a world other than the plainest.
func (s *Shape) kinds() (list []string) {
	for _, x := range []struct {
		is   bool
		text string
	}{
		{s.Witness, "with a witness"}, {!s.Fencing && !s.Watchdog, "without fence device"}, {s.Lying, "with lying fence devices"}, {s.Drift > 1e-3, "with clocks that drift"}, {s.Port, "with a device that cuts the network"},
		{s.Storage && !s.Beside, "with a device that cuts the storage"}, {s.Beside, "with devices that cut the storage, or else the power"}, {s.Supplies, "with two power supplies"},
		{s.Versions == "mixed", "with two versions"}, {s.Versions == "next", "with the next version"}, {s.Watchdog && !s.Fencing, "with watchdogs alone"}, {s.Watchdog && s.Fencing, "with watchdogs"},
		{s.NoQuorum != "", "with no_quorum " + s.NoQuorum}, {s.Clone, "with a clone"}, {s.Promotable, "with a promotable"}, {s.Migrate, "with migration"},
	} {
		if x.is {
			list = append(list, x.text)
		}
	}
	return list
}

func hostName(i int) string { return fmt.Sprintf("n%d", i+1) }

// services are what runs in this world.
func (s *Shape) services() []truth.Service {
	var list []truth.Service
	for i := range s.Resources {
		name := fmt.Sprintf("r%d", i+1)
		list = append(list, truth.Service{Name: name, Storage: s.declared(name)})
	}
	for i := range s.Group {
		name := fmt.Sprintf("g%d", i+1)
		list = append(list, truth.Service{Name: name, Storage: s.declared(name)})
	}
	if s.Clone {
		list = append(list, truth.Service{Name: "everywhere", Anywhere: true})
	}
	if s.Promotable {
		list = append(list, truth.Service{Name: "database", Anywhere: true, Promoted: 1})
	}
	return list
}

func attributes(id string, pairs ...string) []cluster.AttrSet {
	var list []cluster.NVPair
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, cluster.NVPair{Name: pairs[i], Value: pairs[i+1]})
	}
	return []cluster.AttrSet{{ID: id, Pairs: list}}
}

func primitive(id string) cluster.Resource {
	op := func(name, interval, timeout string, more ...cluster.NVPair) cluster.Operation {
		return cluster.Operation{ID: id + "-" + name + interval, Name: name, Interval: interval, Attrs: append([]cluster.NVPair{{Name: "timeout", Value: timeout}}, more...)}
	}
	return cluster.Resource{
		ID: id, Kind: cluster.Primitive, Agent: cluster.Agent{Class: "ha", Type: "process"},
		Operations: []cluster.Operation{op("monitor", "10s", "8s"), op("start", "", "10s"), op("stop", "", "10s"),
			op("migrate_to", "", "10s"), op("migrate_from", "", "10s"), op("promote", "", "10s"), op("demote", "", "10s")},
	}
}

// fencingTimeout is how long one action of a fence device may take.
const fencingTimeout = 20 * time.Second

// fenceSlack is what a leader that waits for another node's call adds.
const fenceSlack = 4 * time.Second

// config is what an administrator of this world configures.
func (s *Shape) config() cluster.Config {
	c := cluster.Config{
		Name: "sim", Detection: cluster.Detection{Preset: s.Preset},
		Options:          attributes("options", "fencing-timeout", fencingTimeout.String()),
		ResourceDefaults: attributes("defaults", "resource-stickiness", "1", "failure-timeout", "30s"),
	}
	if s.NoQuorum != "" {
		c.Options = append(c.Options, attributes("quorum", "no-quorum-policy", s.NoQuorum)...)
	}
	if s.Watchdog {
		c.Watchdog = &cluster.Watchdog{Device: "/dev/watchdog", Timeout: s.watchdogTimeout()}
	}
	if s.Witness {
		c.Nodes = append(c.Nodes, cluster.Node{Name: hostName(s.Nodes - 1), Witness: true})
	}
	s.configDevices(&c)
	for i := range s.Resources {
		r := primitive(fmt.Sprintf("r%d", i+1))
		if s.Migrate && i == 0 {
			r.Meta = attributes("r1-meta", "allow-migrate", "true")
		}
		if s.declared(r.ID) {
			r.Meta = append(r.Meta, attributes(r.ID+"-requires", "requires", "unfencing")...)
		}
		c.Resources = append(c.Resources, r)
	}
	if s.Group > 0 {
		g := cluster.Resource{ID: "g", Kind: cluster.Group}
		for i := range s.Group {
			r := primitive(fmt.Sprintf("g%d", i+1))
			if s.declared(r.ID) {
				r.Meta = attributes(r.ID+"-requires", "requires", "unfencing")
			}
			g.Children = append(g.Children, r)
		}
		c.Resources = append(c.Resources, g)
	}
	if s.Clone {
		c.Resources = append(c.Resources, cluster.Resource{ID: "c", Kind: cluster.Clone, Children: []cluster.Resource{primitive("everywhere")}})
	}
	if s.Promotable {
		p := primitive("database")
		for i := range p.Operations {
			if p.Operations[i].Name == "monitor" {
				p.Operations[i].Attrs = append(p.Operations[i].Attrs, cluster.NVPair{Name: "role", Value: "Unpromoted"})
			}
		}
		p.Operations = append(p.Operations, cluster.Operation{ID: "database-monitor-promoted", Name: "monitor", Interval: "9s",
			Attrs: []cluster.NVPair{{Name: "timeout", Value: "8s"}, {Name: "role", Value: "Promoted"}}})
		c.Resources = append(c.Resources, cluster.Resource{ID: "p", Kind: cluster.Clone, Children: []cluster.Resource{p},
			Meta: attributes("p-meta", "promotable", "true", "promoted-max", "1", "notify", "true")})
		c.Locations = append(c.Locations, cluster.Location{ID: "p-promoted", Resource: "p", Rules: []cluster.Rule{{
			ID: "p-promoted-rule", Role: "Promoted", Score: "100",
			Conditions: []cluster.Condition{{Attribute: &cluster.AttrExpr{ID: "p-promoted-anywhere", Attribute: "#uname", Operation: "defined"}}},
		}}})
	}
	return c
}

// configDevices configures what fences nodes.
func (s *Shape) configDevices(c *cluster.Config) {
	ids := s.devices()
	for _, id := range ids {
		device := cluster.Resource{ID: id, Kind: cluster.Primitive, Agent: cluster.Agent{Class: "stonith", Type: "fence_sim"}}
		switch {
		case id == devicePort:
			device.Agent.Type = "fence_ifmib"
		case id == deviceStorage:
			device.Agent.Type = "fence_scsi"
			device.Meta = attributes("storage-meta", "provides", "unfencing")
		case s.Delay != "":
			device.Params = attributes(id+"-params", "pcmk_delay_base", s.Delay)
		}
		c.Resources = append(c.Resources, device)
	}
	switch {
	case s.Supplies:
		c.FencingLevels = []cluster.FencingLevel{{ID: "both", Pattern: ".*", Index: 1, Devices: ids}}
	case s.Beside:
		for i, id := range ids {
			c.FencingLevels = append(c.FencingLevels, cluster.FencingLevel{ID: "level-" + id, Pattern: ".*", Index: i + 1, Devices: []string{id}})
		}
	}
}

// declared tells whether a service is declared to need the storage that the fence
// device cuts: all of the group, and all primitives but the last of several; no clone.
func (s *Shape) declared(name string) bool {
	own := strings.HasPrefix(name, "r") || strings.HasPrefix(name, "g")
	return s.Storage && own && (s.Resources == 1 || name != fmt.Sprintf("r%d", s.Resources))
}
