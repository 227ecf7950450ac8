package scheduler

import (
	"strings"

	"linuxha/internal/cluster"
)

// resource is one configured resource, or one instance of it. Collectives have
// children: a group its members, a clone its instances (each a primitive or
// group), a bundle its inner clone if any (containers, addresses and
// connections hang in bundleData).
type resource struct {
	index  int    // in order of creation, over all resources
	id     string // "web", or "web:0" for an instance
	kind   cluster.ResourceKind
	config *cluster.Resource // with its template's content merged in; nil for some implied ones
	parent *resource
	// historyName is what agents, history and node attributes call it: the id,
	// or for anonymous instances the id without number or the name found in
	// history.
	historyName string
	renamed     bool // history calls it by another name than the id
	agent       cluster.Agent
	children    []*resource

	clone  *cloneData  // clones only
	group  *groupData  // groups only
	bundle *bundleData // bundles only

	// Configuration, evaluated.
	meta        map[string]string // meta-attributes by name, defaults and inherited ones included
	ops         []*operation
	utilization amounts
	priority    score // changed by promotion
	stickiness  score
	threshold   int   // migration-threshold; infinity: none; 0: never
	failTimeout int64 // failure-timeout in seconds; 0: failures never expire

	// failsForGood: a failure that blocks r was found, and with it nothing expires.
	failsForGood bool
	onMultiple   multipleActive
	requires     requirement
	target       role   // target-role; roleUnknown if none
	remoteName   string // the guest node that it creates (remote-node), or the remote node that it connects to
	// reconnect is a remote connection's reconnect_interval in ms.
	reconnect int64
	lockNode  *node // shutdown lock
	lockTime  int64 // epoch seconds

	// container is the resource that this one runs inside; contents the other way.
	container *resource
	contents  []*resource

	// Flags.
	managed         bool
	blocked         bool
	maintenance     bool
	critical        bool
	notify          bool
	unique          bool // instance of a globally unique clone, or not an instance at all
	removed         bool // not configured any more, or an instance too many
	removedInstance bool // removed, as an instance beyond clone-max
	removedFiller   bool // stand-in for history of something not configured
	promotable      bool // the clone, and its instances
	isFence         bool // a fence device
	isConnection    bool // connection of a remote, guest or bundle node
	isReplica       bool // a bundle's container
	allowMigrate    bool // allow-migrate, and not revoked by history
	failed          bool
	failureIgnored  bool
	mustStop        bool // with failed: stop and start
	startPending    bool
	stopUnexpected  bool // multiple-active=stop_unexpected is being applied
	reload          bool // a reload is wanted
	restarting      bool
	timed           bool // what the history says of it depends on the time
	outdated        bool // something in the history is not as it is configured now
	nowhere         bool // found no place, whatever was made of that later

	// Now.
	role          role // highest over the nodes where it is active
	active        []*node
	activeAgain   int     // how often what is in it was found where it is active, unmanaged: instances go on from there later (a quirk)
	known         nodeSet // nodes where its state is known
	dangling      []*node // sources of migrations that lack only their stop
	partialSource *node   // half-done live migration
	partialTarget *node
	pendingTask   string // operation in flight, "" if none
	pendingNode   *node
	history       []*nodeHistory // per node where it has any, in the order read

	// Constraints.
	thisWith     []*colocation  // this one is the dependent
	withThis     []*colocation  // this one is the primary
	thisWithMemo *[]*colocation // the lists as they count for r, once asked for
	withThisMemo *[]*colocation
	locations    []*location
	tickets      []*ticketRule

	// Placement.
	allowed       scoreVector
	discovery     []discovery // nil: always, everywhere
	exclusive     bool        // some location constraint has exclusive discovery
	placed        bool        // decided, be it to run nowhere
	placing       bool        // being decided (loop guard)
	merging       bool        // its scores are being merged (loop guard)
	assigned      *node
	assignedScore score   // on assigned, when it was chosen
	counts        []int32 // clones and bundles: instances placed per node; then promoted ones
	nextRole      role    // roleUnknown: not decided
	promotion     score   // by which an instance competes for promotion
	preference    score   // how much colocated resources want it where it is ...
	sortedIn      int     // ... as of the sort with this number
	hosts         bool    // it may see a guest's host instead of the guest ...
	hostsLooked   bool    // ... once that has been looked at
	scored        int     // version of allowed, except of instances; see rescore
	rescoring     bool    // allowed is being changed
	companionMark int     // of the last companions that it is one of

	// Actions, in order of creation.
	actions []*action
	byKey   []keyedActions // the one-off ones

	paramCache map[*node]*parameters // by node; nil: without rules, for all
	paramRules ruleUse
	executions map[execKey]*execution
	paramTwin  *resource // the instance that evaluates parameters for this one
}

// cloneData is what only clones have.
type cloneData struct {
	max             int // instances in total
	nodeMax         int // instances per node
	min             int
	promotedMax     int
	promotedNodeMax int
	ordered         bool
	interleave      bool
	template        *cluster.Resource // the child that instances are made of
	total           int               // instances created so far
	promoted        int               // instances that will be promoted
	scoresAdded     bool              // promotion scores are in the instances' node scores
	promotionReady  bool              // promotion wishes are merged, instances sorted
	notifyStart     *notifications
	notifyStop      *notifications
	notifyPromote   *notifications
	notifyDemote    *notifications
	effects         *[3]*mergeEffect  // of all that depends on it, see effectOfAll
	notifyLists     map[string]string // what notified agents are told, once computed
}

// groupData is what only groups have.
type groupData struct {
	ordered   bool
	colocated bool
}

// bundleData is what only bundles have.
type bundleData struct {
	spec        *cluster.BundleSpec
	replicas    []*replica
	perHost     int
	promotedMax int
	inner       *resource // the clone of the primitive inside, or nil
}

// replica is one container of a bundle with what belongs to it.
type replica struct {
	number     int
	container  *resource
	address    *resource // or nil
	connection *resource // or nil
	child      *resource // instance of the inner primitive, or nil
	node       *node     // the bundle node, or nil
	addr       string
}

// multipleActive is what to do with a resource found active on several nodes.
type multipleActive uint8

const (
	stopStart multipleActive = iota
	stopOnly
	blockMultiple
	stopUnexpected
)

// requirement is what must hold before a resource is started or promoted.
type requirement uint8

const (
	requireNothing requirement = iota
	requireQuorum
	requireFencing
	requireUnfencing
)

// fencing tells whether unclean nodes must be fenced first.
func (q requirement) fencing() bool { return q >= requireFencing }

// discovery says where the state of a resource is looked for.
type discovery uint8

const (
	discoverAlways discovery = iota
	discoverNever
	discoverExclusive
)

// nodeHistory is what one node's history says of one resource.
type nodeHistory struct {
	node *node
	// name is the history's own name of the resource (lrm_resource id).
	name    string
	source  *cluster.ResourceHistory
	entries []*cluster.HistoryEntry // sorted, oldest first
	// start is the index in entries of the operation since which it is active
	// (last start or migrate_from, or what stands for it), and stop that of the
	// last successful stop; -1 if none.
	start, stop int
	// compared are the entries that were the first of their operation to have their
	// digests compared, where there are several.
	compared []*cluster.HistoryEntry
}

func (r *resource) isPrimitive() bool { return r.kind == cluster.Primitive }
func (r *resource) isGroup() bool     { return r.kind == cluster.Group }
func (r *resource) isClone() bool     { return r.kind == cluster.Clone }
func (r *resource) isBundle() bool    { return r.kind == cluster.Bundle }

// top returns the outermost ancestor, r itself if it has none. For what is in
// a bundle, that is the bundle.
func (r *resource) top() *resource {
	for r.parent != nil {
		r = r.parent
	}
	return r
}

// topInBundle returns the outermost ancestor that is not a bundle: for an
// instance inside a bundle, its inner clone.
func (r *resource) topInBundle() *resource {
	for r.parent != nil && !r.parent.isBundle() {
		r = r.parent
	}
	return r
}

// inClone tells whether r is, at some level, an instance of a clone or inside one.
func (r *resource) inClone() bool {
	for p := r.parent; p != nil; p = p.parent {
		if p.isClone() {
			return true
		}
	}
	return false
}

// isInstance tells whether r is directly an instance of a clone.
func (r *resource) isInstance() bool { return r.parent != nil && r.parent.isClone() }

// anonymousInstance tells whether r belongs to an anonymous clone.
func (r *resource) anonymousInstance() bool { return r.inClone() && !r.unique }

// activeOn tells whether r, or for collectives some descendant, is active on n.
func (r *resource) activeOn(n *node) bool {
	for _, a := range r.active {
		if a == n {
			return true
		}
	}
	return false
}

// current returns the node where r is now (SEMANTICS 8, "the current node"), or
// nil: the source of a half-done migration if it is active there still, else the
// first active node, where clean ones come first if r does not require fencing.
func (r *resource) current() *node {
	if len(r.active) == 0 {
		return nil
	}
	if r.partialSource != nil {
		if r.activeOn(r.partialSource) {
			return r.partialSource
		}
		return r.active[0]
	}
	if !r.requires.fencing() {
		for _, n := range r.active {
			if n.online && !n.unclean {
				return n
			}
		}
	}
	return r.active[0]
}

// parts are the resources directly in r: its children, and for a bundle also
// the addresses, containers and connections of its replicas.
func (r *resource) parts() []*resource {
	if r.bundle == nil {
		return r.children
	}
	all := append([]*resource(nil), r.children...)
	for _, p := range r.bundle.replicas {
		for _, m := range [...]*resource{p.address, p.container, p.connection} {
			if m != nil {
				all = append(all, m)
			}
		}
	}
	return all
}

// primitives calls f for r if it is a primitive, else for all primitives in it,
// a bundle's containers, addresses and connections included.
func (r *resource) primitives(f func(*resource)) {
	if r.isPrimitive() {
		f(r)
		return
	}
	if r.bundle != nil {
		for _, p := range r.bundle.replicas {
			for _, m := range []*resource{p.address, p.child, p.container, p.connection} {
				if m != nil {
					f(m)
				}
			}
		}
		return
	}
	for _, c := range r.children {
		c.primitives(f)
	}
}

// baseID strips an instance number: "web:0" gives "web".
func baseID(id string) string {
	i := strings.LastIndexByte(id, ':')
	if i <= 0 || i == len(id)-1 {
		return id
	}
	for _, c := range []byte(id[i+1:]) {
		if !isDigit(c) {
			return id
		}
	}
	return id[:i]
}
