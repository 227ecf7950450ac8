package cibgen

import (
	"fmt"
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

	healthy   bool // what is being recorded has not failed
	connected bool // there is a remote or guest node
	unseen    bool // one of those has no status

	fencing   bool
	device    bool
	symmetric bool

	nodes     []*nodeSpec
	prims     []*primSpec // every configured primitive
	tops      []*topSpec  // top-level resources, fence devices left out
	templates []string
	tags      []string
	tickets   []string

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
	timeout  int // seconds, 0 for the usual 20
}

// topSpec is a top-level resource with the primitives in it.
type topSpec struct {
	id      string
	kind    string // primitive group clone promotable bundle
	members []*primSpec
	unique  bool
	grouped bool // a group or a clone of one

	promotedBundle bool      // a bundle whose content is promotable
	replicas       int       // of a bundle
	addresses      []string  // of a bundle's replicas, if they have any
	connection     *primSpec // of a guest

	isPrimary   bool // some colocation depends on it
	isDependent bool // it depends on something
	prefers     bool // it does by preference only
	located     bool // some location constraint names it
	max         int
}

// Generate makes the document of a seed.
func Generate(seed uint64, limits Limits) Case {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x5c4ed)), features: map[string]bool{}}
	nodes := 1 + g.skewed(limits.Nodes)
	budget := 1 + g.skewed(limits.Resources)
	g.options()
	g.clusterNodes(nodes)
	g.makeResources(budget)
	g.makeConstraints()
	g.makeHistory()
	return Case{g.document(), g.features}
}

// skewed is below n, small numbers more often.
func (g *generator) skewed(n int) int {
	if n <= 1 {
		return 0
	}
	if g.chance(6) {
		return g.IntN(n)
	}
	return g.IntN(min(n, 2+g.IntN(8)))
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
	config := el("configuration").add(g.crmConfig, g.nodesElement, g.resources, g.constraints)
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

func (g *generator) options() {
	var v [][2]string
	set := func(percent int, name string, values ...string) string {
		if !g.chance(percent) {
			return ""
		}
		value := pick(g, values)
		v = append(v, [2]string{name, value})
		g.feature(name + "=" + value)
		return value
	}
	g.fencing = set(45, "stonith-enabled", "false") == ""
	g.device = !g.fencing || g.chance(92)
	set(35, "no-quorum-policy", "stop", "freeze", "ignore", "demote", "suicide")
	g.symmetric = set(8, "symmetric-cluster", "false") == ""
	set(10, "startup-fencing", "false")
	set(10, "concurrent-fencing", "false")
	set(2, "stop-all-resources", "true")
	set(12, "stop-orphan-resources", "false")
	set(8, "stop-orphan-actions", "false")
	set(3, "maintenance-mode", "true")
	set(8, "enable-startup-probes", "false")
	set(20, "placement-strategy", "utilization", "minimal", "balanced", "default")
	set(12, "node-health-strategy", "migrate-on-red", "only-green", "progressive", "custom")
	set(5, "node-health-base", "10")
	set(5, "node-health-yellow", "-20", "-5")
	set(5, "node-health-green", "5")
	set(6, "shutdown-lock", "true")
	set(6, "priority-fencing-delay", "15s")
	set(10, "stonith-action", "off", "reboot")
	g.crmConfig = el("crm_config")
	g.crmConfig.addBlock(g.pairs("cluster_property_set", v))
	if g.maybe(15, "resource-defaults") {
		g.rscDefaults = el("rsc_defaults")
		g.rscDefaults.addBlock(g.pairs("meta_attributes", [][2]string{pick(g, [][2]string{
			{"resource-stickiness", "100"}, {"resource-stickiness", "1"}, {"migration-threshold", "3"},
			{"failure-timeout", "600s"}, {"priority", "1"}})}))
	}
	if g.maybe(8, "operation-defaults") {
		g.opDefaults = el("op_defaults")
		g.opDefaults.addBlock(g.pairs("meta_attributes", [][2]string{pick(g, [][2]string{
			{"timeout", "50s"}, {"on-fail", "ignore"}, {"on-fail", "block"}})}))
	}
}

// clusterNodes makes the nodes with their state.
func (g *generator) clusterNodes(n int) {
	g.nodesElement, g.status = el("nodes"), el("status")
	measured := 10 // percent of nodes; where some are not, many resources have no place
	if g.chance(50) {
		measured = 90
	}
	for i := 1; i <= n; i++ {
		node := &nodeSpec{id: strconv.Itoa(i), name: fmt.Sprintf("n%d", i), kind: "cluster"}
		g.nodes = append(g.nodes, node)
		e := el("node", "id", node.id, "uname", node.name)
		e.addBlock(g.pairs("instance_attributes", g.nodeAttributes()))
		if g.chance(measured) {
			cpu := 4 + g.IntN(8)
			memory := 200 * cpu // who has more of the one has more of the other, or no order would be right
			e.addBlock(g.pairs("utilization", [][2]string{{"cpu", strconv.Itoa(cpu)}, {"memory", strconv.Itoa(memory)}}))
		}
		g.nodesElement.add(e)
		g.nodeState(node, i == 1)
	}
}

func (g *generator) nodeAttributes() [][2]string {
	var v [][2]string
	if g.chance(40) {
		v = append(v, [2]string{"site", pick(g, []string{"a", "b", "B"})})
	}
	if g.maybe(6, "standby-node") {
		v = append(v, [2]string{"standby", "on"})
	}
	if g.maybe(3, "maintenance-node") {
		v = append(v, [2]string{"maintenance", "true"})
	}
	if g.chance(25) {
		v = append(v, [2]string{"weight", strconv.Itoa(g.IntN(200) - 50)})
	}
	return v
}

// nodeState makes one node_state; the first node, which decides, is up.
func (g *generator) nodeState(n *nodeSpec, coordinator bool) {
	if !coordinator && g.maybe(4, "node-never-seen") {
		return
	}
	e := el("node_state", "id", n.id, "uname", n.name)
	n.up = true
	set := func(member, crmd, join, expected string) {
		e.Attrs = append(e.Attrs, Attr{"in_ccm", member}, Attr{"crmd", crmd}, Attr{"join", join}, Attr{"expected", expected})
	}
	var shutdown bool
	switch roll := g.IntN(100); {
	case coordinator || roll < 74:
		set("true", "online", "member", "member")
	case roll < 80:
		g.feature("node-offline")
		n.up = false
		set("false", "offline", "down", "down")
	case roll < 87:
		g.feature("node-unclean")
		n.up = false
		set("false", "offline", "down", "member")
	case roll < 91:
		g.feature("node-process-lost")
		set("true", "offline", "member", "member")
	case roll < 92:
		g.feature("node-pending")
		set("true", "online", "pending", pick(g, []string{"member", "down"}))
	default:
		g.feature("node-shutdown")
		shutdown = true
		set("true", "online", "member", "member")
	}
	n.attrs = el("instance_attributes", "id", g.id("b"))
	if shutdown {
		g.transient(n, "shutdown", "1700000000")
	}
	if g.maybe(3, "node-terminate") && !coordinator {
		g.transient(n, "terminate", "true")
	}
	if g.maybe(8, "node-health") {
		g.transient(n, "#health-disk", pick(g, []string{"red", "yellow", "green", "-10"}))
	}
	n.history = el("lrm_resources")
	n.state = e
	e.add(el("transient_attributes", "id", n.id).add(n.attrs), el("lrm", "id", n.id).add(n.history))
	g.status.add(e)
}

// transient sets a transient attribute of a node.
func (g *generator) transient(n *nodeSpec, name, value string) {
	if n.attrs != nil {
		n.attrs.add(el("nvpair", "id", g.id("p"), "name", name, "value", value))
	}
}
