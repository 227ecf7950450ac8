// Package truth is what really happens in a simulated world, and what must never
// happen in it. It is written by simulated agents, power and clients only, and
// knows nothing of the core: what the core believes cannot hide a breach.
package truth

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Truth is the real condition of a world.
type Truth struct {
	hosts  map[string]*host
	owners map[string][]string // exclusive instance: hosts with power on which it is active
	prints map[string]map[uint64]print
	newest Agreed
	parent map[string]string // lineage: the one that it branched from
	child  map[string]string // lineage: the one that branched from it

	Breaches []Breach
}

type host struct {
	power bool
	boot  string
}

type print struct {
	sum  uint64
	node string
}

// Breach is a rule that did not hold.
type Breach struct {
	At   time.Duration `json:"at"`
	Rule string        `json:"rule"` // owner, grant, confirm, acked, equal, term, twice, fork, live
	Text string        `json:"text"`
}

func (b Breach) String() string {
	return fmt.Sprintf("%10.4f %s: %s", b.At.Seconds(), b.Rule, b.Text)
}

// Agreed is the newest state that the cluster has agreed on, as far as any node
// has shown: which boot of which host may have an instance.
type Agreed struct {
	Lineage string
	Index   uint64
	Holders map[string][]Holder // by instance
	Twice   []string            // exclusive instances with more than one grant
}

// Holder is a boot of a host.
type Holder struct{ Host, Boot string }

// New returns the truth of an empty world.
func New() *Truth {
	return &Truth{hosts: map[string]*host{}, owners: map[string][]string{}, prints: map[string]map[uint64]print{},
		parent: map[string]string{}, child: map[string]string{}}
}

func (t *Truth) breach(at time.Duration, rule, format string, args ...any) {
	t.Breaches = append(t.Breaches, Breach{At: at, Rule: rule, Text: fmt.Sprintf(format, args...)})
}

// PowerOn begins a boot of a host.
func (t *Truth) PowerOn(name, boot string) { t.hosts[name] = &host{power: true, boot: boot} }

// PowerOff ends everything on a host.
func (t *Truth) PowerOff(name string) {
	t.hosts[name].power = false
	for instance := range t.owners {
		t.drop(instance, name)
	}
}

// Activate: an agent has made an exclusive instance active on a host.
func (t *Truth) Activate(at time.Duration, name, instance string) {
	if slices.Contains(t.owners[instance], name) {
		return
	}
	t.owners[instance] = append(t.owners[instance], name)
	if len(t.owners[instance]) > 1 {
		t.breach(at, "owner", "%s is active on %v", instance, t.owners[instance])
	}
	if !t.granted(name, instance) {
		t.breach(at, "grant", "%s became active on %s, granted to %v at index %d", instance, name, t.newest.Holders[instance], t.newest.Index)
	}
}

// Deactivate: an agent has stopped an instance, or it died.
func (t *Truth) Deactivate(name, instance string) { t.drop(instance, name) }

func (t *Truth) drop(instance, name string) {
	t.owners[instance] = slices.DeleteFunc(t.owners[instance], func(o string) bool { return o == name })
}

// Owners returns where an instance is active.
func (t *Truth) Owners(instance string) []string { return t.owners[instance] }

// Agree takes what a node shows as agreed; only what is newer than all before counts.
func (t *Truth) Agree(at time.Duration, a Agreed) {
	if !t.Newer(a.Lineage, a.Index) {
		return
	}
	t.newest = a
	for _, instance := range a.Twice {
		t.breach(at, "grant", "%s is granted twice at index %d: %v", instance, a.Index, a.Holders[instance])
	}
	for _, instance := range slices.Sorted(maps.Keys(t.owners)) {
		for _, name := range t.owners[instance] {
			if !t.granted(name, instance) {
				t.breach(at, "grant", "%s is active on %s, granted to %v at index %d", instance, name, a.Holders[instance], a.Index)
			}
		}
	}
}

// granted tells whether the present boot of a host may have an instance.
func (t *Truth) granted(name, instance string) bool {
	return slices.Contains(t.newest.Holders[instance], Holder{name, t.hosts[name].boot})
}

// Begun: a host begins an operation that may make an instance active.
func (t *Truth) Begun(at time.Duration, name, instance string) {
	if !t.granted(name, instance) {
		t.breach(at, "grant", "%s begins to start %s, granted to %v at index %d", name, instance, t.newest.Holders[instance], t.newest.Index)
	}
}

// Again: a host runs a second time what it was ordered once.
func (t *Truth) Again(at time.Duration, name, what string) {
	t.breach(at, "twice", "%s runs %s a second time", name, what)
}

// Newer tells whether an index is newer than what Agree has seen: further on in the
// same lineage, or in one that branched from it.
func (t *Truth) Newer(lineage string, index uint64) bool {
	if lineage == t.newest.Lineage {
		return index > t.newest.Index
	}
	return t.newest.Lineage == "" || t.Descends(lineage, t.newest.Lineage)
}

// Branch: a node shows a state of a lineage that branched from another. No lineage
// may have two branches.
func (t *Truth) Branch(at time.Duration, node, lineage, parent string) {
	if parent == "" || t.parent[lineage] == parent {
		return
	}
	t.parent[lineage] = parent
	if other := t.child[parent]; other != "" && other != lineage {
		t.breach(at, "fork", "%s shows lineage %s, but %s branched from %s already", node, lineage, other, parent)
		return
	}
	t.child[parent] = lineage
}

// Descends tells whether a lineage is another one or branched from it.
func (t *Truth) Descends(lineage, from string) bool {
	for lineage != from && lineage != "" {
		lineage = t.parent[lineage]
	}
	return lineage == from
}

// Applied: a node shows the fingerprint of its state at an index. All must agree.
func (t *Truth) Applied(at time.Duration, node, lineage string, index, sum uint64) {
	prints := t.prints[lineage]
	if prints == nil {
		prints = map[uint64]print{}
		t.prints[lineage] = prints
	}
	p, ok := prints[index]
	if !ok {
		prints[index] = print{sum, node}
		return
	}
	if p.sum != sum {
		t.breach(at, "equal", "states at index %d differ: %s and %s", index, p.node, node)
	}
}

// Confirmed: a node shows a boot of a host as confirmed off.
func (t *Truth) Confirmed(at time.Duration, by, name, boot string) {
	if h := t.hosts[name]; h != nil && h.power && h.boot == boot {
		t.breach(at, "confirm", "%s holds %s for off, but that boot has power", by, name)
	}
}

// Left: a node shows a boot of a host as having left, or given up, everything.
func (t *Truth) Left(at time.Duration, by, name, boot string) {
	h := t.hosts[name]
	if h == nil || !h.power || h.boot != boot {
		return
	}
	for _, instance := range slices.Sorted(maps.Keys(t.owners)) {
		if slices.Contains(t.owners[instance], name) {
			t.breach(at, "confirm", "%s holds %s for empty, but %s is active there", by, name, instance)
		}
	}
}

// Read: a node shows a register's value in a state that must contain what was
// acknowledged.
func (t *Truth) Read(at time.Duration, node, register string, value, wanted uint64) {
	if value < wanted {
		t.breach(at, "acked", "%s has %s = %d, %d was acknowledged", node, register, value, wanted)
	}
}

// Obeyed: a node began an operation that was ordered in a term older than one it
// had seen, or before a report that it has given since.
func (t *Truth) Obeyed(at time.Duration, node, why string) {
	t.breach(at, "term", "%s obeyed an order %s", node, why)
}

// Stuck: the cluster did not recover in time.
func (t *Truth) Stuck(at time.Duration, format string, args ...any) {
	t.breach(at, "live", format, args...)
}
