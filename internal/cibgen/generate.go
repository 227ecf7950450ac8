package cibgen

import (
	"math"
	"math/rand/v2"
	"strconv"
)

// Case is one generated document.
type Case struct {
	Document *Element
	Features map[string]bool // what occurs in it
}

// Limits bound the size of generated clusters.
type Limits struct {
	Nodes     int // at most this many cluster nodes, at least 1
	Resources int // at most about this many primitives, at least 1
}

// generator builds one document.
type generator struct {
	*rand.Rand
	features map[string]bool
	serial   int

	unique    bool // a clone is being made whose instances differ
	expires   bool // failures may be too old to count
	healthy   bool // what is being recorded has not failed
	connected bool // there is a remote or guest node
	unseen    bool // one of those has no status

	fencing   bool
	device    bool
	symmetric bool
	locks     bool // what is stopped for a shutdown stays where it is

	nodes     []*nodeSpec
	prims     []*primSpec // every configured primitive
	tops      []*topSpec  // top-level resources, fence devices left out
	templates []string
	tags      []string
	tickets   []string
	levels    *Element // fencing topology, or nil

	templateMonitor *monitorSpec // of what the template makes, or nil
	sharedMeta      string       // a block of meta-attributes that others refer to
	containers      []string     // what others may run inside of

	crmConfig, nodesElement, resources, constraints, status, tagsElement *Element
	rscDefaults, opDefaults                                              *Element
}

// nodeSpec is a node that resources may have history on.
type nodeSpec struct {
	id, name string
	kind     string // cluster, remote, guest
	up       bool
	resting  bool     // in maintenance
	state    *Element // node_state
	attrs    *Element // instance_attributes of the transient attributes
	history  *Element // lrm_resources
	calls    int
}

// primSpec is a configured primitive.
type primSpec struct {
	id, class, provider, kind string
	params                    [][2]string
	monitors                  []monitorSpec
	promotable                bool
	migrates                  bool
	remote                    bool // a connection
	element                   *Element
}

type monitorSpec struct {
	interval int // seconds
	role     string
	timeout  int         // seconds, 0 for the usual 20
	params   [][2]string // of its own
}

// topSpec is a top-level resource with the primitives in it.
type topSpec struct {
	id      string
	kind    string // primitive group clone promotable bundle
	members []*primSpec
	unique  bool
	grouped bool // a group or a clone of one

	bundle     *bundleSpec // of a bundle
	connection *primSpec   // of a guest

	isPrimary   bool // some colocation depends on it
	isDependent bool // it depends on something
	prefers     bool // it does by preference only
	located     bool // some location constraint names it
	max         int
}

// Generate makes the document of a seed.
func Generate(seed uint64, limits Limits) Case {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x5c4ed)), features: map[string]bool{}}
	nodes, services := g.sizes(limits)
	g.options()
	g.clusterNodes(nodes)
	g.makeResources(services)
	g.makeConstraints()
	g.makeHistory()
	g.feature("nodes " + size(len(g.nodes)))
	g.feature("services " + size(len(g.prims)))
	return Case{g.document(), g.features}
}

// size tells how many there are, roughly.
func size(n int) string {
	for _, limit := range []int{2, 4, 8, 16, 32} {
		if n <= limit {
			return "up to " + strconv.Itoa(limit)
		}
	}
	return "over 32"
}

// sizes chooses how large the cluster is. Most are small: they have all kinds of
// combinations too, and crm_simulate needs a tenth of a second for one; the large
// ones fill the rest of what the limits allow.
func (g *generator) sizes(limits Limits) (nodes, services int) {
	const smallNodes, smallServices = 5, 9
	if (limits.Nodes > smallNodes || limits.Resources > smallServices) && g.maybe(3, "large") {
		return g.between(3, limits.Nodes), g.between(smallServices+1, limits.Resources)
	}
	return 1 + g.IntN(min(limits.Nodes, 2+g.IntN(smallNodes))), 1 + g.IntN(min(limits.Resources, 2+g.IntN(smallServices-1)))
}

// between is from low to high, and each part of the way that doubles it is as
// frequent as any other; high if that is less.
func (g *generator) between(low, high int) int {
	if low >= high {
		return high
	}
	return int(float64(low) * math.Pow(float64(high+1)/float64(low), g.Float64()))
}

// chance is true in percent of 100 cases.
func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

// maybe is chance that notes the feature when it comes up.
func (g *generator) maybe(percent int, feature string) bool {
	if !g.chance(percent) {
		return false
	}
	g.feature(feature)
	return true
}

func (g *generator) feature(name string) { g.features[name] = true }

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// id makes a new id.
func (g *generator) id(prefix string) string {
	g.serial++
	return prefix + strconv.Itoa(g.serial)
}

// pairs makes a block of name-value pairs, nil if there are none.
func (g *generator) pairs(block string, values [][2]string) *Element {
	if len(values) == 0 {
		return nil
	}
	e := el(block, "id", g.id("b"))
	for _, v := range values {
		e.add(el("nvpair", "id", g.id("p"), "name", v[0], "value", v[1]))
	}
	return e
}

func (e *Element) addBlock(block *Element) {
	if block != nil {
		e.add(block)
	}
}

func (g *generator) document() *Element {
	quorum := "1"
	if g.maybe(12, "no-quorum") {
		quorum = "0"
	}
	cib := el("cib", "validate-with", "pacemaker-3.9", "epoch", "1", "num_updates", "0", "admin_epoch", "0", "crm_feature_set", "3.16.1",
		"have-quorum", quorum, "dc-uuid", g.nodes[0].id)
	if g.maybe(8, "no-quorum-panic") {
		cib.Attrs = append(cib.Attrs, Attr{"no-quorum-panic", "1"})
	}
	config := el("configuration").add(g.crmConfig, g.nodesElement, g.resources, g.constraints)
	if g.levels != nil {
		config.add(g.levels)
	}
	if g.tagsElement != nil {
		config.add(g.tagsElement)
	}
	if g.rscDefaults != nil {
		config.add(g.rscDefaults)
	}
	if g.opDefaults != nil {
		config.add(g.opDefaults)
	}
	return cib.add(config, g.status)
}
