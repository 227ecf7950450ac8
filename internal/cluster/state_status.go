package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"linuxha/internal/cluster/mutant"
)

// Status derives what the scheduler looks at. The caller, who alone can know,
// sets Quorate and Coordinator. Witnesses, which run nothing, are left out.
func (s *State) Status(now time.Time) *Status {
	st := &Status{
		HaveWatchdog:  s.Config.Watchdog != nil,
		FencingUsable: s.Config.FencingEnabled() && (len(s.Config.FenceDevices()) > 0 || s.Config.Watchdog != nil),
	}
	for i := range s.Members {
		if m := &s.Members[i]; !s.IsWitness(m) {
			st.Nodes = append(st.Nodes, s.nodeStatus(m))
		}
	}
	// A configured node that has not joined runs nothing of ours.
	for i := range s.Config.Nodes {
		n := &s.Config.Nodes[i]
		if n.Kind == NodeCluster && !n.Witness && s.Member(n.Name) == nil {
			down := Member{Name: n.Name, State: NodeOffline}
			st.Nodes = append(st.Nodes, s.nodeStatus(&down))
		}
	}
	for _, t := range s.Tickets {
		ts := TicketStatus{ID: t.ID, Granted: strconv.FormatBool(t.Granted), Standby: strconv.FormatBool(t.Standby)}
		if !t.LastGranted.IsZero() {
			ts.LastGranted = strconv.FormatInt(t.LastGranted.Unix(), 10)
		}
		st.Tickets = append(st.Tickets, ts)
	}
	return st
}

// IsWitness tells whether m votes but runs no resources.
func (s *State) IsWitness(m *Member) bool {
	if m.Witness {
		return true
	}
	n := s.Config.node(m.Name)
	return n != nil && n.Witness
}

// node returns the configuration's entry for a node, or nil.
func (c *Config) node(name string) *Node {
	for i := range c.Nodes {
		if c.Nodes[i].Name == name {
			return &c.Nodes[i]
		}
	}
	return nil
}

// nodeStatus expresses a member's life in Pacemaker's terms (SEMANTICS 7).
func (s *State) nodeStatus(m *Member) NodeStatus {
	st := NodeStatus{ID: m.Name, Name: m.Name, History: m.knownHistory()}
	if n := s.Config.node(m.Name); n != nil && n.ID != "" {
		st.ID = n.ID
	}
	attributes := m.Attributes
	switch m.State {
	case NodeOnline:
		st.InCCM, st.Crmd, st.Join, st.Expected = "true", "online", "member", "member"
	case NodeLeaving:
		st.InCCM, st.Crmd, st.Join, st.Expected = "true", "online", "member", "member"
		attributes = append(slices.Clone(attributes), NVPair{Name: "shutdown", Value: strconv.FormatInt(m.Since.Unix(), 10)})
	case NodeJoining:
		st.InCCM, st.Crmd, st.Join, st.Expected = "true", "online", "pending", "member"
	case NodeLost:
		// Not a member, though expected: unclean. Without fencing the scheduler would
		// take it for merely offline and start elsewhere what it may still run.
		st.InCCM, st.Crmd, st.Join, st.Expected = "false", "offline", "down", "member"
		if !s.Config.FencingEnabled() {
			st.InCCM = "true"
		}
		if mutant.Is("lost means off") {
			st.InCCM, st.Expected, st.History = "false", "down", nil
		}
	default:
		st.InCCM, st.Crmd, st.Join, st.Expected = "false", "offline", "down", "down"
	}
	if len(attributes) > 0 {
		st.Attributes = []AttrSet{{ID: "status-" + m.Name, Pairs: attributes}}
	}
	return st
}

// moveScore is what a move adds to where it leads: more than people write, but a
// wish and no ban, so that the resource runs elsewhere if it must.
const moveScore = "500000"

// SchedulerConfig returns the configuration that the scheduler gets: the stored
// one, with an entry for every member that may run resources, and a location for
// every move that is not yet fulfilled, which are never stored, and without what the
// cluster does not act on.
func (s *State) SchedulerConfig() *Config {
	c := *s.Config.ActedOn()
	c.Nodes = slices.DeleteFunc(slices.Clone(c.Nodes), func(n Node) bool {
		m := s.Member(n.Name)
		return n.Witness || m != nil && m.Witness
	})
	for i := range s.Members {
		if m := &s.Members[i]; !s.IsWitness(m) && c.node(m.Name) == nil {
			c.Nodes = append(c.Nodes, Node{ID: m.Name, Name: m.Name})
		}
	}
	c.Resources = s.adaptResources(c.Resources)
	c.Locations = slices.Clone(c.Locations)
	for _, m := range s.Moves {
		for i := range s.Members {
			node := &s.Members[i]
			if !s.IsWitness(node) && (m.Node == node.Name || m.Node == "" && m.Away != node.Name) {
				c.Locations = append(c.Locations, Location{ID: "move-" + m.Resource + "-" + node.Name, Resource: m.Resource, Node: node.Name, Score: moveScore})
			}
		}
	}
	return &c
}

// adaptResources returns the resources as the scheduler gets them: devices that
// nodes are unfenced by say so, and what a node still holds of which only storage
// or network was cut is left alone.
func (s *State) adaptResources(resources []Resource) []Resource {
	set := map[string]NVPair{}
	for i := range s.Devices {
		if d := &s.Devices[i]; d.Unfences {
			set[d.ID] = NVPair{Name: "provides", Value: "unfencing"}
		}
	}
	for i := range s.Grants {
		for _, h := range s.Grants[i].Holders {
			if m := s.Member(h.Node); m != nil && m.Cut && m.Incarnation.Boot == h.Boot {
				set[s.Grants[i].Resource] = NVPair{Name: "is-managed", Value: "false"}
			}
		}
	}
	if len(set) == 0 {
		return resources
	}
	var adapt func(resources []Resource) []Resource
	adapt = func(resources []Resource) []Resource {
		resources = slices.Clone(resources)
		for i := range resources {
			r := &resources[i]
			if pair, ok := set[r.ID]; ok {
				r.Meta = append([]AttrSet{{Score: maxScore, Pairs: []NVPair{pair}}}, r.Meta...)
			}
			r.Children = adapt(r.Children)
		}
		return resources
	}
	return adapt(resources)
}

// maxScore makes a block of attributes count before all others.
const maxScore = 1_000_000

// TransitionKey is the text that results carry to say which action of which
// transition they answer, and what that expected.
func TransitionKey(action int, transition uint64, expectRC int, lineage string) string {
	return fmt.Sprintf("%d:%d:%d:%s", action, transition, expectRC, formatUUID(lineage))
}

// formatUUID gives 32 hex digits the dashes that Pacemaker's tools expect.
func formatUUID(id string) string {
	if len(id) != 32 {
		return id
	}
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}
