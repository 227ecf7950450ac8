package core

import (
	"fmt"
	"slices"

	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
)

// ancestors returns the lineages that ours came from, newest first, each with the
// last index that it shares with ours.
func (c *Core) ancestors() []heartbeat.Ancestor {
	var list []heartbeat.Ancestor
	branch := c.state.Lineage.Branch
	if own := &c.identity.Lineage; c.state.Lineage.ID != "" && c.state.Lineage.ID != own.ID {
		// The fork is on the disk, and not in the applied state yet.
		list = append(list, heartbeat.Ancestor{Lineage: c.state.Lineage.ID, Branch: own.Branch})
		branch = min(branch, own.Branch)
	}
	for i := range c.state.Former {
		if len(list) == heartbeat.MaxAncestors {
			break
		}
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

// meet looks at the lineage of a node that is heard (rule 7). If a quorate leader
// leads a history that came from ours, and nothing that we know to be committed
// is missing in it, ours is over: this node joins afresh. If neither history came
// from the other both are kept, and nobody acts.
func (c *Core) meet(p *heartbeat.Packet) {
	own := c.identity.Lineage.ID
	if p.Lineage == own || p.Lineage == "" || own == "" {
		return
	}
	for _, a := range p.Ancestors {
		if a.Lineage != own {
			continue
		}
		if a.Branch < c.raft.Commit() {
			c.part(p, "it lacks what is committed here")
		} else if p.Leader != 0 && p.Leader == p.RaftID {
			c.exit(event.Exit{Code: 1, Rejoin: true, Reason: "the cluster went on without this node, led by " + p.Node})
		}
		return
	}
	for _, a := range c.ancestors() {
		if a.Lineage == p.Lineage {
			if a.Branch < p.Commit {
				c.part(p, "we lack what is committed there")
			}
			return
		}
	}
	const why = "neither came from the other"
	switch {
	case p.Leader != 0:
		c.part(p, why)
	case c.lead.active: // it acts on nothing; this history goes on, and people are told
		c.alarm("history/"+p.Node+"/"+p.Lineage, p.Node, c.otherHistory(p, why)+"; it takes no part and keeps its data; if this history is the right one, remove /var/lib/ha there and join it anew")
	}
}

func (c *Core) otherHistory(p *heartbeat.Packet, why string) string {
	return fmt.Sprintf("%s has another history (lineage %.8s, ours %.8s): %s", p.Node, p.Lineage, c.identity.Lineage.ID, why)
}

// part stops this node from acting: two histories of one cluster have parted, and
// only an administrator can say which one counts.
func (c *Core) part(p *heartbeat.Packet, why string) {
	if c.forked != "" {
		return
	}
	c.forked = p.Node
	c.forkedWhy = c.otherHistory(p, why)
	c.trace("ALARM: %s; nothing is granted until an administrator has decided which one to keep", c.forkedWhy)
}

// reunite ends that, once the other history is heard no more.
func (c *Core) reunite() {
	if c.forked == "" {
		return
	}
	if v, _ := c.detector.Peer(c.now.Mono, c.forked); !v.Heard || v.Packet.Lineage == c.identity.Lineage.ID {
		c.trace("the other history is heard no more")
		c.forked, c.forkedWhy = "", ""
	}
}
