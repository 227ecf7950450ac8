package scheduler

import (
	"math/bits"
	"sort"
	"strings"

	"linuxha/internal/cluster"
)

// node is one machine, remote node, guest or bundle container, with its state
// as known now (SEMANTICS 7).
type node struct {
	index  int // position in run.nodes, and in every scoreVector
	id     string
	name   string
	kind   cluster.NodeKind
	status *cluster.NodeStatus // nil: never seen

	score       score             // base score of every resource here
	attrs       map[string]string // permanent attributes overlaid by transient ones
	utilization amounts           // capacity; what is placed is subtracted during placement

	online      bool
	unclean     bool // must be fenced before what may run there is taken over
	unseen      bool // no status at all, or history not to be trusted
	standby     bool
	standbyFail bool // standby because of a failure with on-fail=standby
	maintenance bool
	pending     bool // joining: nothing may run there yet, nor is it fenced
	shutdown    bool // leaving in an orderly way
	expectedUp  bool
	isDC        bool
	noProbes    bool // resource-discovery-enabled=false, where that is allowed

	hasFailures bool // some fail-count attribute is set
	historyRead bool // its resource history has been read

	// Remote, guest and bundle nodes.
	connection    *resource                 // the primitive whose start makes the node online
	readBefore    int                       // of a bundle node that the configuration lists: how many resources were read before it was known for one
	requiresReset bool                      // remote_requires_reset: recover by its container or by fencing
	wasFenced     bool                      // node_fenced: fenced since the connection was last seen
	failures      map[string][]failureCount // by resource name without instance number
	priority      int                       // fencing priority: sum over its active resources
	fenceReason   string                    // why it is unclean, for action reasons
	fencePrio     bool                      // lost from membership: priority-fencing-delay applies

	active []*resource // primitives active there now, in the order found
	count  int         // number of resources assigned, for balance
}

func (n *node) isCluster() bool { return n.kind == cluster.NodeCluster }
func (n *node) isRemote() bool  { return n.kind == cluster.NodeRemote }

// isGuest tells whether the node runs inside a resource of this cluster (bundle
// nodes included).
func (n *node) isGuest() bool {
	return n.kind == cluster.NodeGuest || n.kind == cluster.NodeBundle
}

func (n *node) isBundle() bool { return n.kind == cluster.NodeBundle }

// behindConnection tells whether the node is reached through a connection.
func (n *node) behindConnection() bool { return n.kind != cluster.NodeCluster }

// container is the resource that a guest or bundle node runs inside, or nil.
func (n *node) container() *resource {
	if !n.isGuest() || n.connection == nil {
		return nil
	}
	return n.connection.container
}

// available tells whether the node may run resources at all (SEMANTICS 7).
// Guests that are not online yet count separately: see mayRun.
func (n *node) available() bool {
	return n.online && !n.shutdown && !n.unclean && !n.standby && !n.maintenance && !n.pending
}

// sortNodes sorts by name naturally: without case, digit runs as numbers.
func sortNodes(nodes []*node) {
	sort.SliceStable(nodes, func(i, j int) bool { return naturalLess(nodes[i].name, nodes[j].name) })
}

// naturalLess compares without case, and runs of digits by their value.
func naturalLess(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		if isDigit(a[i]) && isDigit(b[j]) {
			si, sj := i, j
			for i < len(a) && isDigit(a[i]) {
				i++
			}
			for j < len(b) && isDigit(b[j]) {
				j++
			}
			da, db := strings.TrimLeft(a[si:i], "0"), strings.TrimLeft(b[sj:j], "0")
			if len(da) != len(db) {
				return len(da) < len(db)
			}
			if da != db {
				return da < db
			}
			continue
		}
		if a[i] != b[j] {
			return a[i] < b[j]
		}
		i++
		j++
	}
	return len(a)-i < len(b)-j
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// nodeSet is a set of nodes, by index.
type nodeSet []uint64

func (s nodeSet) has(n *node) bool {
	return n != nil && n.index/64 < len(s) && s[n.index/64]&(1<<(n.index%64)) != 0
}

func (s *nodeSet) put(n *node) {
	for n.index/64 >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[n.index/64] |= 1 << (n.index % 64)
}

func (s *nodeSet) putAll(o nodeSet) {
	for len(*s) < len(o) {
		*s = append(*s, 0)
	}
	for i, w := range o {
		(*s)[i] |= w
	}
}

func (s nodeSet) len() int {
	total := 0
	for _, w := range s {
		total += bits.OnesCount64(w)
	}
	return total
}
