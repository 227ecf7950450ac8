package core

import (
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
)

// ancestors returns the lineages that ours came from, newest first, each with the
// last index that it shares with ours.
func (c *Core) ancestors() []heartbeat.Ancestor {
	var list []heartbeat.Ancestor
	branch := c.state.Lineage.Branch
	for i := range c.state.Former {
		if i == heartbeat.MaxAncestors {
			break
		}
		f := &c.state.Former[i]
		list = append(list, heartbeat.Ancestor{Lineage: f.ID, Branch: branch})
		branch = min(branch, f.Branch)
	}
	return list
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
	// One that has just forked does not tell its ancestors before it leads.
	if p.Leader != 0 && c.state.Lineage.ID == own {
		c.part(p, "neither came from the other")
	}
}

// part stops this node from acting: two histories of one cluster have parted, and
// only an administrator can say which one counts.
func (c *Core) part(p *heartbeat.Packet, why string) {
	if c.forked != "" {
		return
	}
	c.forked = p.Node
	c.trace("ALARM: %s has another history (lineage %.8s, ours %.8s): %s; nothing is granted until an administrator has decided which one to keep",
		p.Node, p.Lineage, c.identity.Lineage.ID, why)
}

// reunite ends that, once the other history is heard no more.
func (c *Core) reunite() {
	if c.forked == "" {
		return
	}
	if v, _ := c.detector.Peer(c.now.Mono, c.forked); !v.Heard || v.Packet.Lineage == c.identity.Lineage.ID {
		c.trace("the other history is heard no more")
		c.forked = ""
	}
}
