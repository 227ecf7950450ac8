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
	hosts     map[string]*host
	services  map[string]Service
	active    map[string][]Activity // by service, in the order of their begin
	prints    map[string]map[uint64]print
	newest    Agreed
	branches  map[string]branch   // by lineage: where it came from
	child     map[string]string   // lineage: the one that branched from it
	applied   map[string]uint64   // lineage: newest index that anyone has shown
	confirmed map[Holder]bool     // boots that were held for off
	voters    map[string][]string // by node: whom it goes by

	// Excused rules are not counted: fence devices lie in this world.
	Excused  []string
	Breaches []Breach
	Lies     int // breaches of excused rules
}

type host struct {
	power    bool
	boot     string
	witness  bool
	unfenced bool // in this boot
	cut      bool // from the storage
}

// Service is what agents run under one configured name.
type Service struct {
	Name     string
	Anywhere bool // one on every host, not one in all
	Promoted int  // how many may be promoted at once
	// Storage: it harms nothing without the storage that a fence device cuts, and
	// must not be started before its host was unfenced.
	Storage bool
}

// Activity is a service that is active on a host.
type Activity struct {
	Host, Name string // the name that agents use
	Promoted   bool
	Cut        bool // from the storage that it needs: it harms nothing
}

type branch struct {
	parent string
	at     uint64 // last index that both have
}

type print struct {
	sum           uint64
	node, lineage string // who showed it first, and as what
}

// Breach is a rule that did not hold.
type Breach struct {
	At   time.Duration `json:"at"`
	Rule string        `json:"rule"` // owner, grant, confirm, acked, equal, term, twice, fork, sole, watchdog, removed, unfenced, format, shot, radius, votes, parted, live, panic
	Text string        `json:"text"`
	// Stack is where a core or the world panicked.
	Stack string `json:"stack,omitempty"`
}

func (b Breach) String() string {
	return fmt.Sprintf("%10.4f %s: %s", b.At.Seconds(), b.Rule, b.Text)
}

// Agreed is the newest state that the cluster has agreed on, as far as any node
// has shown: which boot of which host may have a service.
type Agreed struct {
	Lineage string
	Index   uint64
	Holders map[string][]Holder // by service
	Master  map[string][]Holder // those that may be promoted
	Twice   []string            // exclusive services with more than one grant
	Lives   map[string]string   // the boot of each host that takes part, or has asked to
}

// Holder is a boot of a host.
type Holder struct{ Host, Boot string }

// New returns the truth of an empty world.
func New() *Truth {
	return &Truth{
		hosts: map[string]*host{}, services: map[string]Service{}, active: map[string][]Activity{}, prints: map[string]map[uint64]print{},
		branches: map[string]branch{}, child: map[string]string{}, applied: map[string]uint64{}, confirmed: map[Holder]bool{}, voters: map[string][]string{},
	}
}

func (t *Truth) breach(at time.Duration, rule, format string, args ...any) {
	if slices.Contains(t.Excused, rule) {
		t.Lies++
		return
	}
	t.Breaches = append(t.Breaches, Breach{At: at, Rule: rule, Text: fmt.Sprintf(format, args...)})
}

// Declare makes a service known.
func (t *Truth) Declare(s Service) { t.services[s.Name] = s }

// Witness says that nothing may ever run on a host.
func (t *Truth) Witness(name string) { t.hosts[name] = &host{witness: true} }

// PowerOn begins a boot of a host.
func (t *Truth) PowerOn(name, boot string) {
	h := t.hosts[name]
	if h == nil {
		h = &host{}
		t.hosts[name] = h
	}
	h.power, h.boot, h.unfenced, h.cut = true, boot, false, false
}

// CutStorage takes the storage away from a host, and from all that needs it there.
func (t *Truth) CutStorage(name string) {
	t.hosts[name].cut = true
	for service, list := range t.active {
		for i := range list {
			if list[i].Host == name && t.services[service].Storage {
				list[i].Cut = true
			}
		}
	}
}

// Unfence gives a host the storage, and what still runs there the power to do harm.
func (t *Truth) Unfence(at time.Duration, name string) {
	h := t.hosts[name]
	h.unfenced, h.cut = true, false
	for _, service := range slices.Sorted(maps.Keys(t.active)) {
		list := t.active[service]
		for i := range list {
			if list[i].Host != name || !list[i].Cut {
				continue
			}
			if list[i].Cut = false; t.harmful(service) > 1 {
				t.breach(at, "owner", "%s is active on %v, and %s has its storage back", service, t.Owners(service), name)
			}
			if !t.Granted(name, service) {
				t.breach(at, "grant", "%s has its storage back, and %s runs there, granted to %v at index %d", name, service, t.newest.Holders[service], t.newest.Index)
			}
		}
	}
}

// Stored tells whether a host may use the storage.
func (t *Truth) Stored(name string) bool { return t.hosts[name].unfenced && !t.hosts[name].cut }

// harmful counts the instances of a service that may harm one another.
func (t *Truth) harmful(service string) (n int) {
	for _, a := range t.active[service] {
		if !a.Cut {
			n++
		}
	}
	return n
}

// PowerOff ends everything on a host.
func (t *Truth) PowerOff(name string) {
	t.hosts[name].power = false
	for service, list := range t.active {
		t.active[service] = slices.DeleteFunc(list, func(a Activity) bool { return a.Host == name })
	}
}

// Activate: an agent has made a service active on a host.
func (t *Truth) Activate(at time.Duration, host, service, name string) {
	for _, a := range t.active[service] {
		if a.Host == host && a.Name == name {
			return
		}
	}
	needs := t.services[service].Storage
	t.active[service] = append(t.active[service], Activity{Host: host, Name: name, Cut: needs && t.hosts[host].cut})
	same := 0
	for _, a := range t.active[service] {
		if a.Host == host {
			same++
		}
	}
	switch {
	case t.hosts[host].witness:
		t.breach(at, "owner", "%s is active on the witness %s", service, host)
	case needs && !t.hosts[host].unfenced:
		t.breach(at, "unfenced", "%s became active on %s, which has not been unfenced since it booted", service, host)
	case !t.services[service].Anywhere && t.harmful(service) > 1:
		t.breach(at, "owner", "%s is active on %v", service, t.Owners(service))
	case same > 1:
		t.breach(at, "owner", "%s is active more than once on %s", service, host)
	}
	if !t.Granted(host, service) && !(needs && t.hosts[host].cut) {
		t.breach(at, "grant", "%s became active on %s, granted to %v at index %d", service, host, t.newest.Holders[service], t.newest.Index)
	}
}

// Promote: an agent has promoted a service on a host.
func (t *Truth) Promote(at time.Duration, host, service string) {
	promoted := 0
	for i := range t.active[service] {
		a := &t.active[service][i]
		if a.Host == host {
			a.Promoted = true
		}
		if a.Promoted {
			promoted++
		}
	}
	if promoted > t.services[service].Promoted {
		t.breach(at, "owner", "%d instances of %s are promoted: %v", promoted, service, t.active[service])
	}
	t.MayPromote(at, host, service)
}

// MayPromote: a host begins to promote a service.
func (t *Truth) MayPromote(at time.Duration, name, service string) {
	if !slices.Contains(t.newest.Master[service], Holder{name, t.hosts[name].boot}) {
		t.breach(at, "grant", "%s promotes %s, which is granted to %v at index %d", name, service, t.newest.Master[service], t.newest.Index)
	}
}

// Demote: an agent has demoted a service.
func (t *Truth) Demote(host, service string) {
	for i := range t.active[service] {
		if t.active[service][i].Host == host {
			t.active[service][i].Promoted = false
		}
	}
}

// Deactivate: an agent has stopped a service, or it died.
func (t *Truth) Deactivate(host, service, name string) {
	t.active[service] = slices.DeleteFunc(t.active[service], func(a Activity) bool { return a.Host == host && a.Name == name })
}

// Active returns where a service is active.
func (t *Truth) Active(service string) []Activity { return t.active[service] }

// Owners returns the hosts on which a service is active.
func (t *Truth) Owners(service string) []string {
	var hosts []string
	for _, a := range t.active[service] {
		hosts = append(hosts, a.Host)
	}
	return hosts
}

// Parted takes a node's word that it hears a history that has parted from its own:
// where nobody has lied or erred there is none.
func (t *Truth) Parted(at time.Duration, node, why string) {
	if !slices.Contains(t.Excused, "fork") {
		t.breach(at, "parted", "%s says: %s", node, why)
	}
}

// Agree takes what a node shows as agreed; only what is newer than all before counts.
func (t *Truth) Agree(at time.Duration, a Agreed) {
	if !t.Newer(a.Lineage, a.Index) {
		return
	}
	t.newest = a
	for _, service := range a.Twice {
		t.breach(at, "grant", "%s is granted twice at index %d: %v", service, a.Index, a.Holders[service])
	}
	for _, service := range slices.Sorted(maps.Keys(a.Holders)) {
		for _, h := range a.Holders[service] {
			if t.confirmed[h] {
				t.breach(at, "removed", "%s is granted to %v at index %d, which was held for off", service, h, a.Index)
			}
		}
	}
	for _, service := range slices.Sorted(maps.Keys(t.active)) {
		for _, x := range t.active[service] {
			if !x.Cut && !t.Granted(x.Host, service) {
				t.breach(at, "grant", "%s is active on %s, granted to %v at index %d", service, x.Host, a.Holders[service], a.Index)
			}
		}
	}
}

// Granted tells whether the present boot of a host may have a service.
func (t *Truth) Granted(name, service string) bool {
	return slices.Contains(t.newest.Holders[service], Holder{name, t.hosts[name].boot})
}

// Called: a fence device is called to end a boot of a host. No call may begin
// when the host's next boot has been admitted: it would hit that one.
func (t *Truth) Called(at time.Duration, by, name, boot string) {
	if h := t.hosts[name]; h.power && h.boot != boot && t.newest.Lives[name] == h.boot {
		t.breach(at, "shot", "%s has %s of %s shot, but %s has been admitted", by, boot, name, h.boot)
	}
}

// Fencing: a node shows that one more host is to be fenced, beside others that are
// or were and still count: no more than limit together.
func (t *Truth) Fencing(at time.Duration, node string, hosts []string, limit int) {
	if len(hosts) > limit {
		t.breach(at, "radius", "%s fences %v at once, at most %d are allowed", node, hosts, limit)
	}
}

// Votes: a node goes by new voters, of whom some leave. A witness never votes
// beside one other, and there are never two: a pair could do nothing without it. One
// that was left alone needs another one that it can make way for.
func (t *Truth) Votes(at time.Duration, node string, stay, leave []string) {
	former := t.voters[node]
	t.voters[node] = slices.Concat(stay, leave)
	if len(former) == 1 && t.hosts[former[0]].witness && len(stay)+len(leave) == 2 {
		return
	}
	isWitness := func(name string) bool { return t.hosts[name].witness }
	others := len(stay) - 1
	switch i := slices.IndexFunc(stay, isWitness); {
	case i < 0:
	case slices.ContainsFunc(stay[i+1:], isWitness), others == 1 && len(leave)%2 == 0:
		t.breach(at, "votes", "%s goes by the voters %v, and %v, who leave: %s is a witness", node, stay, leave, stay[i])
	}
}

// Begun: a host begins an operation that may make a service active. An order from
// before its storage was cut may reach it afterwards, within its lease: what is
// declared to need the storage then harms nothing, and is looked at again when the
// storage comes back.
func (t *Truth) Begun(at time.Duration, name, service string) {
	needs := t.services[service].Storage
	if needs && !t.hosts[name].unfenced {
		t.breach(at, "unfenced", "%s begins to start %s, and has not been unfenced since it booted", name, service)
	}
	if !t.Granted(name, service) && !(needs && t.hosts[name].cut) {
		t.breach(at, "grant", "%s begins to start %s, granted to %v at index %d", name, service, t.newest.Holders[service], t.newest.Index)
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

// Branch: a node shows a state of a lineage that branched from another, behind the
// index that both have. No lineage may have two branches, nor go on behind one.
func (t *Truth) Branch(at time.Duration, node, lineage, parent string, index uint64) {
	if _, known := t.branches[lineage]; parent == "" || known {
		return
	}
	t.branches[lineage] = branch{parent, index}
	if other := t.child[parent]; other != "" && other != lineage {
		t.breach(at, "fork", "%s shows lineage %s, but %s branched from %s already", node, lineage, other, parent)
		return
	}
	t.child[parent] = lineage
	if beyond := t.applied[parent]; beyond > index {
		t.breach(at, "fork", "%s shows lineage %s, which branched from %s at %d, but that was at %d already", node, lineage, parent, index, beyond)
	}
}

// Branched returns how often a new lineage was begun.
func (t *Truth) Branched() int { return len(t.branches) }

// Reached returns the newest index that any node has shown of a lineage.
func (t *Truth) Reached(lineage string) uint64 { return t.applied[lineage] }

// HasBranch tells whether another lineage branched from this one.
func (t *Truth) HasBranch(lineage string) bool { return t.child[lineage] != "" }

// Descends tells whether a lineage is another one or branched from it.
func (t *Truth) Descends(lineage, from string) bool {
	for lineage != from && lineage != "" {
		lineage = t.branches[lineage].parent
	}
	return lineage == from
}

// Applied: a node shows the fingerprint of its state at an index. All must agree,
// also those that have it from before their lineage branched, and a lineage that
// another one branched from must not go on.
func (t *Truth) Applied(at time.Duration, node, lineage string, index, sum uint64) {
	if index > t.applied[lineage] {
		t.applied[lineage] = index
		if child := t.child[lineage]; child != "" && index > t.branches[child].at {
			t.breach(at, "fork", "%s goes on at %d in lineage %s, from which %s branched at %d", node, index, lineage, child, t.branches[child].at)
		}
	}
	origin := lineage
	for b := t.branches[origin]; b.parent != "" && index <= b.at; b = t.branches[origin] {
		origin = b.parent
	}
	prints := t.prints[origin]
	if prints == nil {
		prints = map[uint64]print{}
		t.prints[origin] = prints
	}
	p, ok := prints[index]
	switch {
	case !ok:
		prints[index] = print{sum, node, lineage}
	case p.sum == sum:
	case p.lineage != lineage:
		t.breach(at, "fork", "states at index %d, before their histories branched, differ: %s in lineage %s and %s in %s", index, p.node, p.lineage, node, lineage)
	default:
		t.breach(at, "equal", "states at index %d differ: %s and %s", index, p.node, node)
	}
}

// Confirmed: a node shows a boot of a host as confirmed off.
func (t *Truth) Confirmed(at time.Duration, by, name, boot string) {
	t.confirmed[Holder{name, boot}] = true
	if h := t.hosts[name]; h != nil && h.power && h.boot == boot {
		t.breach(at, "confirm", "%s holds %s for off, but that boot has power", by, name)
	}
}

// Left: a node shows a boot of a host as having left, or given up, everything.
func (t *Truth) Left(at time.Duration, by, name, boot string) {
	if service := t.runs(name, boot); service != "" {
		t.breach(at, "confirm", "%s holds %s for empty, but %s is active there", by, name, service)
	}
}

// Deadline: by now a boot of a host, lost all the time, must have stopped
// everything, or its watchdog must have reset it.
func (t *Truth) Deadline(at time.Duration, name, boot string) {
	if service := t.runs(name, boot); service != "" {
		t.breach(at, "watchdog", "%s is lost and its watchdog's time has passed, but %s is active there", name, service)
	}
}

// Stopped: the daemon of a boot of a host has ended in an orderly way; armed tells
// whether its watchdog still counts. With nothing left to protect it must not.
func (t *Truth) Stopped(at time.Duration, name, boot string, armed bool) {
	if armed && t.runs(name, boot) == "" {
		t.breach(at, "released", "%s has stopped everything and its daemon has ended, but its watchdog counts", name)
	}
}

// runs returns a service that is active in a boot of a host, or "".
func (t *Truth) runs(name, boot string) string {
	h := t.hosts[name]
	if h == nil || !h.power || h.boot != boot {
		return ""
	}
	for _, service := range slices.Sorted(maps.Keys(t.active)) {
		for _, a := range t.active[service] {
			if a.Host == name {
				return service
			}
		}
	}
	return ""
}

// Changed: a boot of a host has changed what the cluster agreed on. One that was
// held for off must not.
func (t *Truth) Changed(at time.Duration, name, boot string) {
	if t.confirmed[Holder{name, boot}] {
		t.breach(at, "removed", "%s has changed something in boot %s, which was held for off", name, boot)
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

// Led: a host leads as the only voter, after a boot in which it has neither heard
// another host that has been a voter and has power, nor was that one fenced: it may
// have been made the only voter as well.
func (t *Truth) Led(at time.Duration, name, other string) {
	if t.hosts[other].power {
		t.breach(at, "sole", "%s leads alone, and since it booted it has neither heard nor fenced %s", name, other)
	}
}

// Shut: a daemon that takes part does not know the format that all are to use.
func (t *Truth) Shut(at time.Duration, by, name string, format int) {
	t.breach(at, "format", "%s shows that format %d is in use, which %s does not know", by, format, name)
}

// Stuck: the cluster did not recover in time.
func (t *Truth) Stuck(at time.Duration, format string, args ...any) {
	t.breach(at, "live", format, args...)
}
