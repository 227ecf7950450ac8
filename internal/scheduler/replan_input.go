package scheduler

import (
	"reflect"
	"slices"
	"strings"

	"linuxha/internal/cluster"
)

// difference is how new input differs from that of the last plan.
type difference struct {
	units    []bool  // top-level resources that it concerns
	any      bool    // any of them
	config   bool    // the configuration differs
	promote  bool    // promotion scores differ
	history  [][]int // as memory.history
	failures []failure
	begun    []bool // top-level resources of which something was started, stopped or the like
	touched  []bool // by node of the status: something there may differ
	tooLarge bool
}

// failure is a new result of an operation that was not expected.
type failure struct {
	unit int // top-level resource
	node string
}

// compare finds out what differs. What is shared with the last input is seen to
// be equal at once; the model never changes what it has handed out.
func (m *memory) compare(config *cluster.Config, status *cluster.Status) *difference {
	d := &difference{units: make([]bool, len(m.config.Resources)), begun: make([]bool, len(m.config.Resources)), history: slices.Clone(m.history), touched: make([]bool, len(status.Nodes))}
	d.tooLarge = !m.compareConfig(d, m.config, config) || !m.compareStatus(d, m.status, status)
	return d
}

// concern notes that a top-level resource is affected; -1 is none.
func (d *difference) concern(unit int) {
	if unit >= 0 {
		d.units[unit], d.any = true, true
	}
}

// shared tells whether two slices are one.
func shared[T any](a, b []T) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

func equal[T any](a, b []T) bool { return shared(a, b) || reflect.DeepEqual(a, b) }

// compareConfig allows for edited resources and for locations that come and go.
func (m *memory) compareConfig(d *difference, old, c *cluster.Config) bool {
	if old == c {
		return true
	}
	if old.Name != c.Name || old.Origin != c.Origin || len(old.Resources) != len(c.Resources) ||
		!equal(old.Options, c.Options) || !equal(old.Nodes, c.Nodes) || !equal(old.Templates, c.Templates) || !equal(old.Tags, c.Tags) ||
		!equal(old.Colocations, c.Colocations) || !equal(old.Orders, c.Orders) || !equal(old.TicketRules, c.TicketRules) ||
		!equal(old.ResourceDefaults, c.ResourceDefaults) || !equal(old.OperationDefaults, c.OperationDefaults) {
		return false
	}
	if !shared(old.Resources, c.Resources) {
		for i := range c.Resources {
			a, b := &old.Resources[i], &c.Resources[i]
			if sameResource(a, b) {
				continue
			}
			if a.ID != b.ID || a.Kind != b.Kind || a.Agent.IsFence() || b.Agent.IsFence() || m.run.refs != nil {
				return false
			}
			d.config = true
			d.concern(i)
		}
	}
	return shared(old.Locations, c.Locations) || m.compareLocations(d, old.Locations, c.Locations)
}

// compareLocations allows for simple location constraints that were added,
// removed or edited in one place.
func (m *memory) compareLocations(d *difference, old, now []cluster.Location) bool {
	for len(old) > 0 && len(now) > 0 && sameLocation(&old[0], &now[0]) {
		old, now = old[1:], now[1:]
	}
	for len(old) > 0 && len(now) > 0 && sameLocation(&old[len(old)-1], &now[len(now)-1]) {
		old, now = old[:len(old)-1], now[:len(now)-1]
	}
	for _, list := range [][]cluster.Location{old, now} {
		for i := range list {
			l := &list[i]
			units := m.unitsNamed([]string{l.Resource})
			if l.Pattern != "" || len(l.Sets) > 0 || len(units) == 0 {
				return false
			}
			d.config = true
			for _, unit := range units {
				d.concern(unit)
			}
		}
	}
	return true
}

// compareStatus allows for other histories of resources, and for node attributes
// that say something of one resource or are looked at by nothing.
func (m *memory) compareStatus(d *difference, old, s *cluster.Status) bool {
	if old.Quorate != s.Quorate || old.QuorumPanic != s.QuorumPanic || old.Coordinator != s.Coordinator || old.HaveWatchdog != s.HaveWatchdog ||
		old.FencingUsable != s.FencingUsable || len(old.Nodes) != len(s.Nodes) || !equal(old.Tickets, s.Tickets) {
		return false
	}
	for i := range s.Nodes {
		a, b := &old.Nodes[i], &s.Nodes[i]
		if a.ID != b.ID || a.Name != b.Name || a.Remote != b.Remote || a.InCCM != b.InCCM || a.Crmd != b.Crmd || a.Join != b.Join ||
			a.Expected != b.Expected || a.RemoteMaintenance != b.RemoteMaintenance || a.NodeFenced != b.NodeFenced {
			return false
		}
		d.touched[i] = !sameAttributeBlocks(a.Attributes, b.Attributes) || !shared(a.History, b.History)
		if !m.compareAttributes(d, a.Attributes, b.Attributes) || !m.compareHistories(d, i, a.History, b.History) {
			return false
		}
	}
	return true
}

func (m *memory) compareAttributes(d *difference, old, now []cluster.AttrSet) bool {
	if sameAttributeBlocks(old, now) {
		return true
	}
	a, plainA := attributeValues(old)
	b, plainB := attributeValues(now)
	if !plainA || !plainB {
		return reflect.DeepEqual(old, now)
	}
	for name, value := range a {
		if other, set := b[name]; (!set || other != value) && !m.attributeChanged(d, name) {
			return false
		}
	}
	for name := range b {
		if _, set := a[name]; !set && !m.attributeChanged(d, name) {
			return false
		}
	}
	return true
}

// sameAttributeBlocks tells whether two blocks of attributes are seen to be one.
func sameAttributeBlocks(a, b []cluster.AttrSet) bool {
	return shared(a, b) || len(a) == 1 && len(b) == 1 && a[0].Rule == nil && b[0].Rule == nil && shared(a[0].Pairs, b[0].Pairs)
}

// attributeValues are the values in a plain block of attributes.
func attributeValues(sets []cluster.AttrSet) (values map[string]string, plain bool) {
	if len(sets) > 1 {
		return nil, false
	}
	values = map[string]string{}
	for i := range sets {
		if sets[i].Rule != nil || sets[i].Ref != "" {
			return nil, false
		}
		for _, p := range sets[i].Pairs {
			if _, set := values[p.Name]; set || p.Ref != "" || p.Value == "#default" {
				return nil, false
			}
			values[p.Name] = p.Value
		}
	}
	return values, true
}

// attributeChanged notes what another value of a transient attribute concerns. It
// is false if that is more than one resource.
func (m *memory) attributeChanged(d *difference, name string) bool {
	if failing, counts := cutFailure(name); counts {
		if hash := strings.LastIndexByte(failing, '#'); hash >= 0 {
			d.concern(m.unitCalled(failing[:hash]))
		}
		return !m.run.looked[name]
	}
	if promoting, is := strings.CutPrefix(name, "master-"); is {
		unit := m.unitCalled(promoting)
		d.concern(unit)
		d.promote = true
		return unit >= 0 || !m.run.looked[name]
	}
	switch name {
	case "standby", "maintenance", "shutdown", "terminate", "resource-discovery-enabled", "site-name":
		return false
	}
	return !strings.HasPrefix(name, "#") && !m.run.looked[name]
}

func cutFailure(name string) (rest string, is bool) {
	if rest, is = strings.CutPrefix(name, "fail-count-"); is {
		return rest, true
	}
	return strings.CutPrefix(name, "last-failure-")
}

// unitCalled is the top-level resource that history and attributes mean by a
// name, -1 if there is none.
func (m *memory) unitCalled(name string) int {
	for _, id := range [...]string{name, baseID(name), baseID(name) + ":0"} {
		if r := m.run.byID[id]; r != nil {
			return m.unitOf[r.index]
		}
	}
	return -1
}

// compareHistories notes the resources of which the i-th node of the status
// knows something else now. It is false if that cannot be told, or if there is
// history of something that is not configured.
func (m *memory) compareHistories(d *difference, i int, old, now []cluster.ResourceHistory) bool {
	if shared(old, now) {
		return true
	}
	units := m.history[i]
	from, to, end := 0, len(old), len(now) // what is not alike: old[from:to], now[from:end]
	for ; from < min(to, end) && sameHistory(&old[from], &now[from]); from++ {
		if units[from] < 0 && len(now[from].Operations) > 0 {
			return false
		}
	}
	for ; min(to, end) > from && sameHistory(&old[to-1], &now[end-1]); to, end = to-1, end-1 {
		if units[to-1] < 0 && len(now[end-1].Operations) > 0 {
			return false
		}
	}
	between := m.historyUnits(old[from:to], units[from:to], now[from:end])
	d.history[i] = slices.Concat(units[:from], between, units[to:])
	return d.compareEntries(m.status.Nodes[i].ID, old[from:to], now[from:end], units[from:to], between)
}

// compareEntries is compareHistories for a part of them, which belong to these
// top-level resources.
func (d *difference) compareEntries(node string, old, now []cluster.ResourceHistory, oldUnits, units []int) bool {
	before := 0
	for k := range now {
		h, unit := &now[k], units[k]
		if unit < 0 && len(h.Operations) > 0 {
			return false
		}
		// What is gone from the old list up to this one.
		at := before
		for at < len(old) && old[at].ID != h.ID {
			at++
		}
		if at == len(old) { // new
			d.concern(unit)
			continue
		}
		for ; before < at; before++ {
			d.concern(oldUnits[before])
		}
		if !sameHistory(&old[at], h) {
			d.concern(unit)
			if unit >= 0 && anyNew(old[at].Operations, h.Operations, unexpected) {
				d.failures = append(d.failures, failure{unit, node})
			}
			if unit >= 0 && anyNew(old[at].Operations, h.Operations, changesState) {
				d.begun[unit] = true
			}
		}
		before = at + 1
	}
	for ; before < len(old); before++ {
		d.concern(oldUnits[before])
	}
	return true
}

// unexpected tells whether something failed that is no probe.
func unexpected(e *cluster.HistoryEntry) bool {
	key, _ := parseTransitionKey(e.TransitionKey)
	return e.RC != key.expected && e.RC >= 0 && (e.Operation != taskMonitor || e.IntervalMS > 0)
}

// changesState tells whether something was done but look.
func changesState(e *cluster.HistoryEntry) bool { return e.Operation != taskMonitor }

// anyNew tells whether there is a wanted entry that is new.
func anyNew(old, now []cluster.HistoryEntry, wanted func(*cluster.HistoryEntry) bool) bool {
	return slices.ContainsFunc(now, func(e cluster.HistoryEntry) bool {
		return wanted(&e) && !slices.ContainsFunc(old, func(o cluster.HistoryEntry) bool {
			return o.ID == e.ID && o.CallID == e.CallID && o.RC == e.RC && o.LastRCChange == e.LastRCChange
		})
	})
}

// historyUnits gives the top-level resource of each entry of a history, by those
// of the one before where they are alike.
func (m *memory) historyUnits(old []cluster.ResourceHistory, units []int, now []cluster.ResourceHistory) []int {
	out := make([]int, len(now))
	for k := range now {
		if k < len(old) && old[k].ID == now[k].ID {
			out[k] = units[k]
		} else {
			out[k] = m.unitCalled(now[k].ID)
		}
	}
	return out
}

func sameHistory(a, b *cluster.ResourceHistory) bool {
	return a.ID == b.ID && a.Agent == b.Agent && a.Container == b.Container && a.LockTime == b.LockTime && equal(a.Operations, b.Operations)
}

func sameLocation(a, b *cluster.Location) bool {
	return a.ID == b.ID && a.Resource == b.Resource && a.Pattern == b.Pattern && a.Node == b.Node && a.Score == b.Score &&
		a.Role == b.Role && a.Discovery == b.Discovery && equal(a.Sets, b.Sets) && equal(a.Rules, b.Rules)
}

func sameResource(a, b *cluster.Resource) bool {
	return a.ID == b.ID && a.Kind == b.Kind && a.Agent == b.Agent && a.Template == b.Template && a.OpsRef == b.OpsRef &&
		a.LegacyPromotable == b.LegacyPromotable && sameSets(a.Meta, b.Meta) && sameSets(a.Params, b.Params) && sameSets(a.Utilization, b.Utilization) &&
		(shared(a.Operations, b.Operations) || slices.EqualFunc(a.Operations, b.Operations, sameOperation)) && sameChildren(a.Children, b.Children) &&
		(a.Bundle == b.Bundle || reflect.DeepEqual(a.Bundle, b.Bundle))
}

func sameChildren(a, b []cluster.Resource) bool {
	return shared(a, b) || slices.EqualFunc(a, b, func(x, y cluster.Resource) bool { return sameResource(&x, &y) })
}

func sameOperation(a, b cluster.Operation) bool {
	return a.ID == b.ID && a.Ref == b.Ref && a.Name == b.Name && a.Interval == b.Interval &&
		slices.Equal(a.Attrs, b.Attrs) && sameSets(a.Meta, b.Meta) && sameSets(a.Params, b.Params)
}

func sameSets(a, b []cluster.AttrSet) bool {
	return shared(a, b) || slices.EqualFunc(a, b, func(x, y cluster.AttrSet) bool {
		return x.ID == y.ID && x.Ref == y.Ref && x.Score == y.Score && (x.Rule == y.Rule || reflect.DeepEqual(x.Rule, y.Rule)) && slices.Equal(x.Pairs, y.Pairs)
	})
}
