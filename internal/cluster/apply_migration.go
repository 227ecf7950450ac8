package cluster

import (
	"slices"
	"strconv"
	"strings"
)

// Arrival is a resource that a migration may have brought to a node, or may still
// bring: it is active there before the node itself knows of it. It stands in the
// member of a migration's target from the grant of both ends until that node's
// own migrate_from, or any other result that it was asked for once the source was
// known to be done.
type Arrival struct {
	Resource string `json:"resource"` // the name that histories use
	// After is the transition that was the newest when the source was done: results
	// of later ones tell what has arrived.
	After uint64 `json:"after"`
}

// underWay is the After of a migration whose source may not be done.
const underWay = ^uint64(0)

// arrives notes that instance may be brought to a node from now on.
func (a *applier) arrives(instance, node string) {
	m := a.member(node)
	if m == nil {
		return
	}
	name := a.s.Config.historyName(instance)
	m.Arriving = slices.DeleteFunc(slices.Clone(m.Arriving), func(x Arrival) bool { return x.Resource == name })
	m.Arriving = append(m.Arriving, Arrival{Resource: name, After: underWay})
}

// sourceDone notes that nothing brings a resource to a node any more; results of
// transitions after the one given tell what has come.
func (a *applier) sourceDone(name string, after uint64) {
	for i := range a.s.Members {
		for k := range a.s.Members[i].Arriving {
			if x := a.s.Members[i].Arriving[k]; x.Resource == name && x.After == underWay {
				m := a.member(a.s.Members[i].Name)
				m.Arriving = slices.Clone(m.Arriving)
				m.Arriving[k].After = after
			}
		}
	}
}

// sourceGone is sourceDone where the transition under way, whose begin may not be
// in the log yet, knew nothing of it.
func (a *applier) sourceGone(name string) { a.sourceDone(name, a.s.Transition+1) }

// arrived takes a result of the target, which may end the doubt.
func (a *applier) arrived(m *Member, c *HistoryChange) {
	e := &c.Entry
	if e.Status == 1 || e.Operation == "notify" {
		return
	}
	m.Arriving = slices.DeleteFunc(slices.Clone(m.Arriving), func(x Arrival) bool {
		return x.Resource == c.Resource && (e.Operation == "migrate_from" || x.After != underWay && e.transition() > x.After)
	})
}

// transition is the number of the transition that asked for e, 0 if none did.
func (e *HistoryEntry) transition() uint64 {
	parts := strings.SplitN(e.TransitionKey, ":", 4)
	if len(parts) < 4 {
		return 0
	}
	n, _ := strconv.ParseUint(parts[1], 10, 64)
	return n
}

// arriving tells whether a migration may have brought an instance to m.
func (m *Member) arriving(instance string) bool {
	return slices.ContainsFunc(m.Arriving, func(x Arrival) bool { return x.Resource == instance || x.Resource == ConfiguredID(instance) })
}

// Awaits tells whether the source of a migration of instance to m may not be done.
func (m *Member) Awaits(instance string) bool {
	return slices.ContainsFunc(m.Arriving, func(x Arrival) bool {
		return x.After == underWay && (x.Resource == instance || x.Resource == ConfiguredID(instance))
	})
}

// knownHistory is m's history without what it says of resources that may have
// arrived since: they have to be looked for anew.
func (m *Member) knownHistory() []ResourceHistory {
	doubt := func(h ResourceHistory) bool {
		return !h.Active() && slices.ContainsFunc(m.Arriving, func(x Arrival) bool { return x.After != underWay && x.Resource == h.ID })
	}
	if !slices.ContainsFunc(m.History, doubt) {
		return m.History
	}
	return slices.DeleteFunc(slices.Clone(m.History), doubt)
}
