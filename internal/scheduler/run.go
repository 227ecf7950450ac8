package scheduler

import (
	"strings"
	"time"

	"linuxha/internal/cluster"
)

// run is the state of one scheduling run.
type run struct {
	config  *cluster.Config
	status  *cluster.Status
	now     time.Time
	opts    Options
	options clusterOptions

	nodes      []*node          // naturally sorted by name; nodes[i].index == i
	nodeByName map[string]*node // by lower-case name
	nodeByID   map[string]*node

	resources []*resource // top level, in list order (SEMANTICS 2)
	all       []*resource // every resource and instance, by index
	byID      map[string]*resource
	inHistory map[string]*resource   // by the names in history that are no ids of resources
	namesakes map[string][]*resource // by id: stand-ins for history called like something configured

	tags          map[string][]string // tag → references
	templateUsers map[string][]string // template → resources made from it

	tickets map[string]*cluster.TicketStatus

	stopLater        []*resource          // containers that their contents' failures stop
	impliedStarts    []*action            // starts that migrations to nodes behind connections imply
	deferredFailures []deferredCheck      // failures whose parameters can be compared only after placement
	guests           []guest              // found while reading nodes; each implies a connection
	defaultOps       map[opKey]*operation // of operations that are not configured
	refs             *cluster.References  // what configuration elements refer to, once needed

	locations   []*location
	colocations []*colocation

	begun    []*resource // top-level resources, in the order in which their placement began
	rounds   []round
	balanced bool // in this round, how many resources the nodes had decided something

	actions   []*action // actions[i].id == i+1
	actionMap map[actionKey]*action
	orderings []*ordering

	scratch      scratchVectors
	firsts       []*resource // see firstOnEach
	mergeOnly    *node       // the one node of which preferences are being merged; nil: all
	mergeApart   bool        // preferences are not to be merged at once, since a loop may be cut short
	scorings     int         // changes of scores of what is no instance; see rescore
	connected    int         // connections placed so far: they make nodes available
	resourceSlab slab[resource]
	actionSlab   slab[action]
	orderingSlab slab[ordering]
	relationSlab slab[relation]

	deferred   []deferredCheck
	together   []*resource // the last companions ...
	demand     amounts     // ... and what they need
	companions int         // how many times companions were looked for

	visits int // generation of walks over the graph
	sorts  int // number of sorts of instances so far

	quorate      bool
	fencingReady bool // fencing is enabled and a device (or watchdog) exists
	unfencing    bool // something requires or provides unfencing

	recheck time.Time        // when time alone may change the decision; zero: never
	dated   bool             // some rule looked at the time
	looked  map[string]bool  // node attributes that something looked at by name
	whole   *run             // that this one is a slice of; nil: none
	numbers map[string][]int // by clone: the instances that this slice has of it, if not all
	// unchanged are the top-level resources of which the history is known to be as
	// configured; nil: none.
	unchanged map[string]bool
	before    *run // that has evaluated the same configuration at the same moment; nil: none

	scores  []Score
	factors map[*resource][]factor // contributions to scores, for reasons
	plan    *Plan
}

// Schedule decides what should run where at the moment now, and the actions
// that lead there. It changes neither config nor status.
func Schedule(config *cluster.Config, status *cluster.Status, now time.Time, opts Options) (*Plan, error) {
	plan, _, err := Decide(config, status, now, opts)
	return plan, err
}

// Decide is Schedule, and also returns an Observer of what comes of the plan.
func Decide(config *cluster.Config, status *cluster.Status, now time.Time, opts Options) (*Plan, *Observer, error) {
	rn := newRun(config, status, now, opts)
	rn.assess()
	rn.placeResources()
	rn.decideActions()
	rn.writeGraph()
	rn.writeOutcome()
	return rn.plan, &Observer{rn}, nil
}

// assess reads all input and applies what decides about each resource by itself.
func (rn *run) assess() {
	rn.readInput()

	rn.applyHealth()
	rn.readLocations()
	rn.readColocations()
	rn.readOrders()
	rn.readTickets()

	rn.applyNodeCriteria()
	rn.builtinColocations()
	rn.builtinOrders()
	rn.compareHistory()
}

// decideActions creates the actions that bring about the placement, with their
// order.
func (rn *run) decideActions() {
	rn.compareDeferred()
	rn.createActions()
	rn.orderRemoteActions()
	rn.fenceAndShutdown()
	rn.evaluateOrders()
}

// newRun returns a run that has read nothing yet.
func newRun(config *cluster.Config, status *cluster.Status, now time.Time, opts Options) *run {
	return &run{
		config: config, status: status, now: now, opts: opts,
		nodeByName: map[string]*node{}, nodeByID: map[string]*node{}, byID: map[string]*resource{}, inHistory: map[string]*resource{},
		namesakes: map[string][]*resource{},
		tags:      map[string][]string{}, templateUsers: map[string][]string{},
		tickets: map[string]*cluster.TicketStatus{},
		factors: map[*resource][]factor{}, plan: &Plan{},
	}
}

// readInput reads configuration and status: what there is and what it does.
func (rn *run) readInput() {
	rn.readOptions()
	rn.readNodes()
	rn.readResources()
	rn.indexNodes()
	rn.initialScores()
	rn.readStatus()
}

// indexNodes sorts the nodes and numbers them. All nodes, bundle nodes
// included, exist by then; no score vector does.
func (rn *run) indexNodes() {
	sortNodes(rn.nodes)
	for i, n := range rn.nodes {
		n.index = i
	}
}

// addNode makes a node known. Only before indexNodes.
func (rn *run) addNode(n *node) {
	rn.nodes = append(rn.nodes, n)
	rn.nodeByName[strings.ToLower(n.name)] = n
	rn.nodeByID[n.id] = n
}

// node finds a node by name, whatever the case, or nil.
func (rn *run) node(name string) *node { return rn.nodeByName[strings.ToLower(name)] }

// addResource numbers a new resource (not its children) and makes it findable.
func (rn *run) addResource(r *resource) {
	r.index = len(rn.all)
	rn.all = append(rn.all, r)
	rn.byID[r.id] = r
}

// constraintResource finds what a constraint means by id. An instance of a clone,
// or what is inside one under a name that occurs in the history, means the clone
// (SEMANTICS 3).
func (rn *run) constraintResource(id string) *resource {
	r := rn.byID[id]
	if r == nil {
		r = rn.inHistory[id]
	}
	if r != nil && r.inClone() {
		return r.topInBundle()
	}
	return r
}

// warn records something that the administrator should know.
func (rn *run) warn(text string) { rn.plan.Warnings = append(rn.plan.Warnings, text) }

// recheckAt notes that the decision may change at t by itself.
func (rn *run) recheckAt(t time.Time) {
	if t.After(rn.now) && (rn.recheck.IsZero() || t.Before(rn.recheck)) {
		rn.recheck = t
	}
}
