package scheduler

import (
	"slices"
	"sort"

	"linuxha/internal/cluster"
)

// readResources creates the resources with their instances and the resources
// that guests and bundles imply, and sorts them into list order (SEMANTICS 2,
// 3, 5, 28, 29).
func (rn *run) readResources() {
	rn.unfencing = rn.mentionsUnfencing()
	for i := range rn.config.Resources {
		rn.readTopLevel(&rn.config.Resources[i])
	}
	for _, g := range rn.guests {
		rn.readTopLevel(connectionConfig(g))
	}
	if rn.whole != nil { // of which the fence devices may be in another part
		rn.fencingReady = rn.whole.fencingReady
	}
	rn.readRemovedNodes()
	rn.linkContainers()
	rn.linkConnections()
	sort.SliceStable(rn.resources, func(i, j int) bool { return rn.resources[i].priority > rn.resources[j].priority })
	for i := range rn.config.Tags {
		t := &rn.config.Tags[i]
		for _, id := range t.References {
			if !slices.Contains(rn.tags[t.ID], id) { // named twice it counts once
				rn.tags[t.ID] = append(rn.tags[t.ID], id)
			}
		}
	}
}

func (rn *run) readTopLevel(c *cluster.Resource) {
	if r := rn.readResource(c, nil, "", nil); r != nil {
		rn.resources = append(rn.resources, r)
	}
}

// readResource creates a resource with all inside it. number is the suffix of
// an instance of a clone (":2") or empty; twin is an earlier instance of the
// same configuration, which shares what was evaluated, as does what another run
// made of it. Nil if the configuration makes no sense.
func (rn *run) readResource(c *cluster.Resource, parent *resource, number string, twin *resource) *resource {
	r := rn.resourceSlab.take()
	r.id, r.kind, r.parent = c.ID+number, c.Kind, parent
	if twin == nil {
		twin = rn.evaluatedBefore(r.id, c)
	}
	if twin != nil {
		rn.copyEvaluated(r, twin)
	} else {
		r.config = rn.withTemplate(c)
		rn.evaluate(r)
	}
	r.unique = !r.inClone() || enclosingClone(r).unique
	r.historyName = r.id
	if !r.unique {
		r.historyName = c.ID
	}
	rn.addResource(r)
	switch r.kind {
	case cluster.Primitive:
		if rn.canHaveItsRoles(r) {
			return r
		}
	case cluster.Group:
		twins := 0 // members of the twin come in the same order, though some may be left out
		for i := range c.Children {
			var memberTwin *resource
			if twin != nil && twins < len(twin.children) && twin.children[twins].config.ID == c.Children[i].ID {
				memberTwin = twin.children[twins]
				twins++
			}
			if m := rn.readResource(&c.Children[i], r, number, memberTwin); m != nil {
				r.children = append(r.children, m)
			}
		}
		return r
	case cluster.Clone:
		if rn.readClone(r) {
			return r
		}
	case cluster.Bundle:
		if rn.readBundle(r) {
			return r
		}
	}
	rn.forgetResource(r)
	return nil
}

// evaluatedBefore finds what the run before made of this very configuration, or nil.
func (rn *run) evaluatedBefore(id string, c *cluster.Resource) *resource {
	if rn.before == nil {
		return nil
	}
	if r := rn.before.byID[id]; r != nil && r.config == c {
		return r
	}
	return nil
}

// forgetResource takes back the latest resource, with what was created in it.
func (rn *run) forgetResource(r *resource) {
	for _, each := range rn.all[r.index:] {
		delete(rn.byID, each.id)
	}
	rn.all = rn.all[:r.index]
}

func enclosingClone(r *resource) *resource {
	for p := r.parent; p != nil; p = p.parent {
		if p.isClone() {
			return p
		}
	}
	return nil
}

// withTemplate merges a primitive's template into it (SEMANTICS 3, templates).
func (rn *run) withTemplate(c *cluster.Resource) *cluster.Resource {
	if c.OpsRef != "" {
		if owner := rn.references().Resources[c.OpsRef]; owner != nil {
			merged := *c
			merged.Operations = append(append([]cluster.Operation(nil), owner.Operations...), c.Operations...)
			c = &merged
		}
	}
	if c.Template == "" {
		return c
	}
	t := rn.references().Resources[c.Template]
	if t == nil {
		rn.warn("resource " + c.ID + " is made from template " + c.Template + ", which does not exist")
		return c
	}
	rn.templateUsers[c.Template] = append(rn.templateUsers[c.Template], c.ID)
	t = rn.withTemplate(t)
	merged := *c
	merged.Agent = t.Agent
	merged.Meta = append(append([]cluster.AttrSet(nil), t.Meta...), c.Meta...)
	merged.Params = append(append([]cluster.AttrSet(nil), t.Params...), c.Params...)
	merged.Utilization = append(append([]cluster.AttrSet(nil), t.Utilization...), c.Utilization...)
	merged.Operations = append([]cluster.Operation(nil), c.Operations...)
	own := map[string]bool{}
	for i := range c.Operations {
		own[templateOpKey(&c.Operations[i])] = true
	}
	for _, op := range t.Operations {
		if !own[templateOpKey(&op)] {
			merged.Operations = append(merged.Operations, op)
		}
	}
	return &merged
}

// templateOpKey is what an operation replaces another by: name and role, where
// no role, Started and Unpromoted are the same.
func templateOpKey(op *cluster.Operation) string {
	switch parseRole(op.Attr("role")) {
	case rolePromoted:
		return op.Name + " Promoted"
	case roleStopped:
		return op.Name + " Stopped"
	}
	return op.Name
}

// readClone evaluates what only clones have and creates the instances.
func (rn *run) readClone(r *resource) bool {
	if len(r.config.Children) != 1 {
		rn.warn("clone " + r.id + " has nothing inside and is ignored")
		return false
	}
	child := &r.config.Children[0]
	d := &cloneData{template: child, effects: new([3]*mergeEffect)}
	r.clone = d
	d.ordered = isTrue(r.meta["ordered"])
	d.interleave = isTrue(r.meta["interleave"])
	d.nodeMax = int(intOr(r.meta["clone-node-max"], 1, 0))
	d.min = int(intOr(r.meta["clone-min"], 0, 0))
	d.max = int(intOr(r.meta["clone-max"], int64(max(1, len(rn.nodes))), 0))
	r.promotable = r.config.LegacyPromotable || isTrue(r.meta["promotable"])
	if r.promotable {
		d.promotedMax = int(intOr(r.meta["promoted-max"], 1, 0))
		d.promotedNodeMax = int(intOr(r.meta["promoted-node-max"], 1, 0))
	}
	r.unique = boolOr(r.meta["globally-unique"], d.nodeMax > 1)
	r.unique = r.unique && rn.mayBeUnique(child)
	if !r.unique {
		d.nodeMax = 1
	}
	numbers, some := rn.numbers[r.id]
	for number := range max(1, d.max) {
		if some && !slices.Contains(numbers, number) {
			continue
		}
		d.total = number
		if rn.newInstance(r) == nil {
			return false
		}
	}
	d.total = max(1, d.max)
	if d.max == 0 { // for what the history knows only
		markRemoved(r.children[0])
	}
	return true
}

// canHaveItsRoles tells whether the agent of a primitive knows the roles that the
// clone around it wants. What is inside a promotable clone or its group, and cannot
// be promoted, is ignored.
func (rn *run) canHaveItsRoles(r *resource) bool {
	clone, class := enclosingClone(r), r.config.Agent.Class
	if clone == nil || !clone.promotable || class == "ocf" || class == "ha" {
		return true
	}
	if clone.clone.total == 0 { // once for all instances
		rn.warn(r.config.ID + " in clone " + clone.id + " is ignored: agents of class " + class + " have no promoted role")
	}
	return false
}

// mayBeUnique tells whether instances of c can differ from each other: not if any
// agent inside knows nothing of instances.
func (rn *run) mayBeUnique(c *cluster.Resource) bool {
	if c.Kind == cluster.Group {
		for i := range c.Children {
			if !rn.mayBeUnique(&c.Children[i]) {
				return false
			}
		}
		return true
	}
	class := rn.agentOf(c).Class
	return class == "ocf" || class == "stonith" || class == "ha"
}

// agentOf is the agent of a primitive, which its template may name.
func (rn *run) agentOf(c *cluster.Resource) cluster.Agent {
	if c.Template != "" {
		if t := rn.references().Resources[c.Template]; t != nil {
			return t.Agent
		}
	}
	return c.Agent
}

// newInstance adds an instance to a clone, numbered after the existing ones.
func (rn *run) newInstance(clone *resource) *resource {
	d := clone.clone
	var twin *resource
	if len(clone.children) > 0 {
		twin = clone.children[0]
	}
	r := rn.readResource(d.template, clone, ":"+itoa(d.total), twin)
	if r == nil {
		return nil
	}
	d.total++
	clone.children = append(clone.children, r)
	setPromotable(r, clone.promotable)
	return r
}

func setPromotable(r *resource, promotable bool) {
	r.promotable = promotable
	for _, c := range r.children {
		setPromotable(c, promotable)
	}
}

// readRemovedNodes creates the nodes of connections that are not configured any
// more, but have history: what runs there must be stopped.
func (rn *run) readRemovedNodes() {
	for i := range rn.status.Nodes {
		s := &rn.status.Nodes[i]
		for j := range s.History {
			h := &s.History[j]
			if !h.Agent.IsConnection() || len(h.Operations) == 0 || rn.byID[h.ID] != nil || rn.node(h.ID) != nil {
				continue
			}
			kind := cluster.NodeRemote
			if h.Container != "" {
				kind = cluster.NodeGuest
			}
			rn.connectedNode(h.ID, kind)
		}
	}
}

// linkContainers connects resources with those that they run inside.
func (rn *run) linkContainers() {
	for _, r := range rn.all {
		id := r.meta["container"]
		if id == "" || id == r.id || !r.isPrimitive() {
			continue
		}
		if c := rn.byID[id]; c != nil {
			r.container = c
			c.contents = append(c.contents, r)
		} else {
			rn.warn("resource " + r.id + " names container " + id + ", which does not exist")
		}
	}
}

// linkConnections connects remote, guest and bundle nodes with the resources
// that reach them.
func (rn *run) linkConnections() {
	for _, r := range rn.all {
		if !r.isConnection {
			continue
		}
		n := rn.node(r.id)
		if n == nil || !n.behindConnection() {
			continue
		}
		n.connection = r
		r.remoteName = n.name
		if n.kind == cluster.NodeRemote && r.container != nil {
			n.kind = cluster.NodeGuest
		}
	}
}

// connectionConfig is the resource that a guest implies (SEMANTICS 28).
func connectionConfig(g guest) *cluster.Resource {
	c := &cluster.Resource{
		ID: g.name, Kind: cluster.Primitive,
		Agent: cluster.Agent{Class: "ocf", Provider: "pacemaker", Type: "remote"},
	}
	meta := []cluster.NVPair{{Name: "internal-remote-node", Value: "true"}, {Name: "container", Value: g.container}}
	if g.allowMigrate != "" {
		meta = append(meta, cluster.NVPair{Name: "allow-migrate", Value: g.allowMigrate})
	}
	if g.managed != "" {
		meta = append(meta, cluster.NVPair{Name: "is-managed", Value: g.managed})
	}
	c.Meta = []cluster.AttrSet{{Pairs: meta}}
	c.Operations = []cluster.Operation{
		{ID: g.name + "-monitor-interval-30s", Name: "monitor", Interval: "30s", Attrs: []cluster.NVPair{{Name: "timeout", Value: "30s"}}},
	}
	if g.connectTimeout != "" {
		c.Operations = append(c.Operations, cluster.Operation{
			ID: g.name + "-start-interval-0", Name: "start", Interval: "0",
			Attrs: []cluster.NVPair{{Name: "timeout", Value: g.connectTimeout}}})
	}
	var params []cluster.NVPair
	if g.address != "" {
		params = append(params, cluster.NVPair{Name: "addr", Value: g.address})
	}
	if g.port != "" {
		params = append(params, cluster.NVPair{Name: "port", Value: g.port})
	}
	if params != nil {
		c.Params = []cluster.AttrSet{{Pairs: params}}
	}
	return c
}

// mentionsUnfencing searches the configuration, rules and references aside
// (SEMANTICS 35), for anything that provides or requires unfencing.
func (rn *run) mentionsUnfencing() bool {
	found := false
	look := func(sets []cluster.AttrSet) {
		for i := range sets {
			for _, p := range sets[i].Pairs {
				if p.Value == "unfencing" && (p.Name == "provides" || p.Name == "requires") {
					found = true
				}
			}
		}
	}
	var walk func([]cluster.Resource)
	walk = func(resources []cluster.Resource) {
		for i := range resources {
			look(resources[i].Meta)
			walk(resources[i].Children)
		}
	}
	walk(rn.config.Resources)
	walk(rn.config.Templates)
	look(rn.config.ResourceDefaults)
	return found
}
