package cluster

import (
	"fmt"
	"slices"

	"linuxha/internal/cluster/mutant"
)

// Same tells whether i names the same daemon start as other; a member that was
// never started is named by its node alone.
func (i Incarnation) Same(other Incarnation) bool {
	if i.Counter == 0 && other.Counter == 0 && i.Boot == "" && other.Boot == "" {
		return true
	}
	return i == other
}

// Off tells whether nothing of m's newest incarnation can be running.
func (m *Member) Off() bool { return m.State == NodeOffline || m.State == NodeFenced }

func (a *applier) init(c *Init) *Rejection {
	if a.s.Lineage.ID != "" {
		return reject("conflict", "the cluster exists already")
	}
	if c.Lineage.ID == "" || c.First.Name == "" || c.First.RaftID == 0 {
		return reject("invalid", "init needs a lineage, and a name and Raft id of the first node")
	}
	first := c.First
	first.Voter, first.Voted = true, true
	if first.State == "" {
		first.State = NodeOffline
	}
	if first.Since.IsZero() {
		first.Since = a.time
	}
	a.s.Lineage = c.Lineage
	a.s.Config = c.Config
	a.s.Revision = a.s.Index
	a.s.Members = []Member{first}
	a.ownMembers = true
	a.event(Event{Kind: "config", Node: first.Name, Text: fmt.Sprintf("cluster begun on %s", first.Name)})
	return nil
}

func (a *applier) fork(l *Lineage) *Rejection {
	if l.ID == a.s.Lineage.ID {
		return nil // the snapshot that it began from said so already
	}
	if l.ID == "" || l.Parent != a.s.Lineage.ID || l.Branch >= a.s.Index {
		return reject("invalid", "lineage %s does not branch from this one (%s) below index %d", l.ID, a.s.Lineage.ID, a.s.Index)
	}
	a.s.Former = append([]Lineage{a.s.Lineage}, a.s.Former...)
	a.s.Lineage = *l
	a.event(Event{Kind: "quorum", Severity: "warning", Text: "the surviving node goes on alone"})
	return nil
}

func (a *applier) admit(c *Admit) *Rejection {
	m := c.Member
	if m.Name == "" || m.RaftID == 0 {
		return reject("invalid", "a node needs a name and a Raft id to join")
	}
	if r := a.tooOld(m.Name, m.Format); r != nil {
		return r
	}
	token := -1
	if c.TokenHash != "" {
		token = slices.IndexFunc(a.s.Tokens, func(t Token) bool { return t.Hash == c.TokenHash && t.Expires.After(a.time) })
		if token < 0 {
			return reject("not-found", "the join token is unknown, used or too old: make a new one")
		}
	}
	if slices.ContainsFunc(a.s.Removed, func(r Removed) bool { return r.RaftID == m.RaftID }) {
		return reject("conflict", "Raft id %x has left the cluster: join with a fresh one", m.RaftID)
	}
	if slices.ContainsFunc(a.s.Members, func(o Member) bool { return o.RaftID == m.RaftID }) {
		return reject("conflict", "Raft id %x is in use: join with a fresh one", m.RaftID)
	}
	old := a.member(m.Name)
	if old == nil && token < 0 {
		return reject("unsafe", "%s is no member: it needs a join token", m.Name)
	}
	if old != nil && !old.Off() && old.State != NodeLost {
		return reject("conflict", "a node called %s is a member and %s: stop it first, or use another name", m.Name, old.State)
	}
	if token >= 0 {
		a.s.Tokens = slices.Delete(slices.Clone(a.s.Tokens), token, token+1)
	}
	if old == nil {
		i, _ := slices.BinarySearchFunc(a.s.Members, m.Name, func(o Member, name string) int { return compareText(o.Name, name) })
		m.State, m.Since, m.Reason = NodeOffline, a.time, "joined the cluster"
		m.Incarnation, m.Voter, m.Reported = Incarnation{}, false, false
		a.s.Members = slices.Insert(slices.Clone(a.s.Members), i, m)
		a.ownMembers = true
		a.event(Event{Kind: "node", Node: m.Name, Text: fmt.Sprintf("%s joined the cluster", m.Name)})
		return nil
	}
	a.forgetRaftID(old.RaftID, old.Name)
	old.RaftID, old.Voter, old.Witness = m.RaftID, false, m.Witness
	if m.CertHash != "" {
		old.CertHash = m.CertHash
	}
	if len(m.Links) > 0 {
		old.Links = m.Links
	}
	if m.Version != "" {
		old.Version, old.Format = m.Version, m.Format
	}
	a.event(Event{Kind: "node", Node: m.Name, Text: fmt.Sprintf("%s joined the cluster again", m.Name)})
	return nil
}

// forgetRaftID makes sure that an id is never heard again.
func (a *applier) forgetRaftID(id uint64, node string) {
	a.s.Removed = append(slices.Clone(a.s.Removed), Removed{RaftID: id, Node: node})
}

// remove enforces that a node that is not confirmed off stays a member.
func (a *applier) remove(c *Remove) *Rejection {
	m := a.member(c.Node)
	switch {
	case m == nil || m.RaftID != c.RaftID:
		return reject("not-found", "there is no node %s", c.Node)
	case !m.Off() && mutant.Is("remove a node that is not confirmed off"):
		a.releaseBoot(m.Name, m.Incarnation.Boot)
	case !m.Off():
		return reject("unsafe", "%s is %s: only a node that is confirmed off can be removed; stop it, or fence it first", c.Node, m.State)
	case m.Cut:
		return reject("unsafe", "%s may still run, only its storage or network was cut: power it off and say so: ha fence confirm %s", c.Node, c.Node)
	case a.s.OpenFencing(c.Node) != nil:
		return reject("unsafe", "%s is being fenced: wait for the end of that", c.Node)
	case slices.ContainsFunc(a.s.Grants, func(g Grant) bool { return g.heldBy(c.Node) }):
		return reject("unsafe", "%s still holds resources", c.Node)
	case m.Voter:
		return reject("conflict", "%s still votes: it must leave the voters first", c.Node)
	}
	a.forgetRaftID(m.RaftID, m.Name)
	a.s.Members = slices.DeleteFunc(a.s.Members, func(o Member) bool { return o.Name == c.Node })
	a.event(Event{Kind: "node", Node: c.Node, Text: fmt.Sprintf("%s left the cluster for good", c.Node)})
	return nil
}

func (a *applier) voters(c *Voters) *Rejection {
	if len(c.IDs) == 0 {
		return reject("invalid", "a cluster needs a voter")
	}
	for i := range a.s.Members {
		votes := slices.Contains(c.IDs, a.s.Members[i].RaftID)
		if a.s.Members[i].Voter != votes {
			m := a.member(a.s.Members[i].Name)
			m.Voter, m.Voted = votes, m.Voted || votes
		}
	}
	return nil
}

func (a *applier) attribute(c *AttributeChange) *Rejection {
	m := a.member(c.Node)
	if m == nil {
		return reject("not-found", "there is no node %s", c.Node)
	}
	if c.Name == "" {
		return reject("invalid", "a node attribute needs a name")
	}
	if c.Delete {
		m.deleteAttributes(func(name string) bool { return name == c.Name })
	} else {
		m.setAttribute(c.Name, c.Value)
	}
	return nil
}

// Attribute returns a transient attribute of m, "" if it is not set.
func (m *Member) Attribute(name string) string {
	i, found := slices.BinarySearchFunc(m.Attributes, name, func(p NVPair, name string) int { return compareText(p.Name, name) })
	if !found {
		return ""
	}
	return m.Attributes[i].Value
}

func (m *Member) setAttribute(name, value string) {
	i, found := slices.BinarySearchFunc(m.Attributes, name, func(p NVPair, name string) int { return compareText(p.Name, name) })
	if found && m.Attributes[i].Value == value {
		return
	}
	m.Attributes = slices.Clone(m.Attributes)
	if !found {
		m.Attributes = slices.Insert(m.Attributes, i, NVPair{Name: name})
	}
	m.Attributes[i].Value = value
}

func (m *Member) deleteAttributes(match func(name string) bool) {
	if slices.ContainsFunc(m.Attributes, func(p NVPair) bool { return match(p.Name) }) {
		m.Attributes = slices.DeleteFunc(slices.Clone(m.Attributes), func(p NVPair) bool { return match(p.Name) })
	}
}

// FormatInUse is the format of entries and states that all members use.
func (s *State) FormatInUse() int { return max(s.Format, 1) }

// FormatKnown is the newest format that every member knows, as it has said; 0 if
// what the daemon of some member knows is not sure now.
func (s *State) FormatKnown() int {
	lowest := 0
	for i := range s.Members {
		m := &s.Members[i]
		if m.State != NodeOnline && !m.Off() {
			return 0
		}
		if knows := max(m.Format, 1); lowest == 0 || knows < lowest {
			lowest = knows
		}
	}
	return lowest
}

// tooOld refuses a daemon that does not know the format in use.
func (a *applier) tooOld(node string, knows int) *Rejection {
	if max(knows, 1) < a.s.FormatInUse() {
		return reject("conflict", "%s knows format %d, this cluster uses %d: install a newer version of ha there", node, max(knows, 1), a.s.FormatInUse())
	}
	return nil
}

// format takes a newer format into use, once every member knows it.
func (a *applier) format(c *FormatChange) *Rejection {
	switch {
	case c.Format <= a.s.FormatInUse():
		return reject("conflict", "format %d is in use", a.s.FormatInUse())
	case c.Format > a.s.FormatKnown() && !mutant.Is("use a format that not all know"):
		return reject("conflict", "not every member is known to read format %d", c.Format)
	}
	a.s.Format = c.Format
	a.event(Event{Kind: "config", Text: fmt.Sprintf("every node knows format %d: it is used from now on, older versions of ha cannot take part any more", c.Format)})
	return nil
}
