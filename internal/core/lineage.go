package core

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
)

// knowsLineage tells whether the applied state says where this node's lineage comes
// from. That of a node which is still catching up does not.
func (c *Core) knowsLineage() bool {
	own := &c.identity.Lineage
	return c.state.Lineage.ID != "" && (c.state.Lineage.ID == own.ID || c.state.Lineage.ID == own.Parent)
}

// ancestors returns the lineages that ours came from, newest first, each with the
// last index that it shares with ours; none while that is not known.
func (c *Core) ancestors() []heartbeat.Ancestor {
	if !c.knowsLineage() {
		return nil
	}
	var list []heartbeat.Ancestor
	branch := c.state.Lineage.Branch
	if own := &c.identity.Lineage; c.state.Lineage.ID != own.ID {
		// The fork is on the disk, and not in the applied state yet.
		list = append(list, heartbeat.Ancestor{Lineage: c.state.Lineage.ID, Branch: own.Branch})
		branch = min(branch, own.Branch)
	}
	for i := range c.state.Former {
		f := &c.state.Former[i]
		list = append(list, heartbeat.Ancestor{Lineage: f.ID, Branch: branch})
		branch = min(branch, f.Branch)
	}
	return list
}

// related tells whether a lineage is ours, or ours came from it: whoever has it has
// not gone on without us.
func (c *Core) related(lineage string) bool {
	return lineage == c.identity.Lineage.ID || slices.ContainsFunc(c.ancestors(), func(a heartbeat.Ancestor) bool { return a.Lineage == lineage })
}

// parting is what is known, by the heartbeats of one node, of a history of this
// cluster that has parted from ours.
type parting struct {
	lineage string // of the node, if that is the other one
	why     string // it has parted
	told    bool   // the node is one of ours, and hears the other history
}

// meet looks at the lineage of a node that is heard (rule 7). If a quorate leader
// leads a history that came from ours, and nothing that we know to be committed
// is missing in it, ours is over: this node joins afresh. If the histories have
// parted both are kept, and neither side grants anything as long as they hear each other.
func (c *Core) meet(p *heartbeat.Packet) {
	own := c.identity.Lineage.ID
	known, parted := c.parted[p.Node]
	switch {
	case p.Lineage == own:
		if p.Parted {
			c.part(p.Node, parting{told: true})
		} else if parted {
			c.together(p.Node)
		}
		return
	case p.Lineage == "" || own == "", parted && known.lineage == p.Lineage:
		return // histories that have parted once do not come together again
	}
	why, over := c.compare(p)
	switch {
	case over:
		c.exit(event.Exit{Code: 1, Rejoin: true, Reason: "the cluster went on without this node, led by " + p.Node})
	case why != "":
		c.part(p.Node, parting{lineage: p.Lineage, why: why})
	}
}

// compare tells why the history of a node with another lineage and ours have
// parted, "" if they have not; or that ours is over, since that node leads one
// which has all of it. Of a node that has nothing yet, or of which this one cannot
// know where it comes from, nothing is said.
func (c *Core) compare(p *heartbeat.Packet) (why string, over bool) {
	own := c.identity.Lineage.ID
	for _, a := range p.Ancestors {
		if a.Lineage == own {
			if a.Branch < c.raft.Commit() {
				return "it branched from ours and lacks what was committed here after that", false
			}
			return "", p.Leader != 0 && p.Leader == p.RaftID
		}
	}
	for _, a := range c.ancestors() {
		if a.Lineage == p.Lineage {
			if a.Branch < p.Commit {
				return "ours branched from it and lacks what was committed there after that", false
			}
			return "", false
		}
	}
	if c.knowsLineage() && p.Commit > 0 && (p.Leader != 0 || c.lead.active || c.leaderHeard()) {
		return "neither came from the other", false
	}
	return "", false
}

// part notes that a node is heard by whose history, or by whose word of another one,
// two histories of this cluster have parted. From now on nothing is granted, and
// nobody fenced: only people can say which history counts.
func (c *Core) part(node string, x parting) {
	if c.parted[node] == x {
		return
	}
	c.parted[node] = x
	c.sayParted()
	c.trace("ALARM: %s", c.partedWhy)
	if c.frozen() && c.lead.term != 0 {
		c.engine.Abort(c.now, "another history of this cluster is heard")
	}
}

// together notes that a node is not heard any more with what parted us.
func (c *Core) together(node string) {
	delete(c.parted, node)
	c.sayParted()
	c.trace("no other history is heard by %s any more; left: %d", node, len(c.parted))
}

// frozen tells whether nothing may be granted and nobody fenced, since a history of
// this cluster is heard, here or by one of ours, that has parted from ours.
func (c *Core) frozen() bool {
	return len(c.parted) > 0 && !mutant.Is("grant beside another history")
}

// hearsParted tells whether this very node hears such a history.
func (c *Core) hearsParted() bool {
	for _, x := range c.parted {
		if !x.told {
			return true
		}
	}
	return false
}

// sayParted puts into words what an administrator has to know.
func (c *Core) sayParted() {
	c.partedWhy = ""
	if len(c.parted) == 0 {
		return
	}
	nodes := slices.SortedFunc(maps.Keys(c.parted), func(a, b string) int {
		return cmp.Or(compareBool(c.parted[a].told, c.parted[b].told), cmp.Compare(a, b))
	})
	first := c.parted[nodes[0]]
	what := fmt.Sprintf("%s has another history of this cluster (lineage %.8s, ours %.8s; %s)", nodes[0], first.lineage, c.identity.Lineage.ID, first.why)
	if first.told {
		what = fmt.Sprintf("%s hears a node that has another history of this cluster", nodes[0])
	}
	c.partedWhy = what + ": each side has gone on without the other; what runs goes on, but neither side starts, moves or fences anything as long as they hear each other"
}

// reunite ends that, once the other history is heard no more.
func (c *Core) reunite() {
	for _, node := range slices.Sorted(maps.Keys(c.parted)) {
		x := c.parted[node]
		if v, _ := c.detector.Peer(c.now.Mono, node); !v.Heard || !x.told && v.Packet.Lineage == c.identity.Lineage.ID {
			c.together(node)
		}
	}
}
