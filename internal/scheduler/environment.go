package scheduler

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"linuxha/internal/cluster"
)

// execution is what carrying out an operation of a resource takes, apart from
// what depends on the node.
type execution struct {
	timeout int64 // ms
	params  []cluster.NVPair
	digest  string
	env     []cluster.NVPair // by name
}

// execKey tells executions of one resource apart. The node counts only where
// parameters or properties of the operation may depend on it.
type execKey struct {
	task     string
	interval int64
	node     *node
}

// describeExecution adds what the agent needs to carry an action out: its
// parameters, and the properties that it finds in its environment.
func (rn *run) describeExecution(a *action, out *Action) {
	x := rn.executionOf(a)
	out.Params, out.Meta = x.params, rn.environment(a, x.env)
	switch a.task {
	case taskCancel, taskClearFail, taskForget, taskDelete:
		return // not the agent's business
	}
	out.Timeout, out.OpDigest = milliseconds(x.timeout), x.digest
}

func (rn *run) executionOf(a *action) *execution {
	r := a.resource
	key := execKey{task: a.task, interval: a.interval}
	if rn.paramsVary(r) || rn.operation(r, a.task, a.interval, nil).varies {
		key.node = a.node
	}
	if x := r.executions[key]; x != nil {
		return x
	}
	params, _ := rn.operationParams(r, a.node, a.task, a.interval)
	x := &execution{timeout: rn.timeout(r, a.task, a.interval, a.node)}
	x.digest = digest(params, nil)
	if i, found := findParam(params, timeoutParam); found {
		params = slices.Concat(params[:i], params[i+1:])
	}
	if p := r.replicaOfChild(); p != nil && p.addr != "" {
		params = withParam(params, "pcmk_external_ip", p.addr)
	}
	x.params = params

	env := map[string]string{}
	for name, value := range rn.operation(r, a.task, a.interval, a.node).properties() {
		env[strings.ReplaceAll(name, "-", "_")] = value
	}
	env["name"] = a.task
	env["timeout"] = strconv.FormatInt(x.timeout, 10)
	delete(env, "interval")
	if a.interval > 0 {
		env["interval"] = strconv.FormatInt(a.interval, 10)
	}
	if r.container != nil {
		env["container"] = r.container.id
	}
	if r.remoteName != "" && !r.isConnection {
		env["remote_node"] = r.remoteName
	}
	if target := r.meta["container-attribute-target"]; target != "" {
		env["container_attribute_target"] = target
	}
	if c := r.cloneOf(); c != nil {
		rn.cloneEnvironment(a, c, env)
	}
	x.env = pairs(env)
	if r.executions == nil {
		r.executions = map[execKey]*execution{}
	}
	r.executions[key] = x
	return x
}

// paramsVary tells whether the parameters of r, or of one of its operations, may
// differ between nodes.
func (rn *run) paramsVary(r *resource) bool {
	rn.params(r, nil)
	owner := r
	if r.paramTwin != nil {
		owner = r.paramTwin
	}
	if owner.paramRules == hasRules || r.isConnection {
		return true
	}
	for _, op := range r.ops {
		if op.config != nil && len(op.config.Params) > 0 {
			return true
		}
	}
	return false
}

// environment gives the properties of an operation and of its resource that
// agents may look at, by the names they know them under: the common ones, and
// those of this action. What is on_node for an ordinary node, whoever runs the
// agent knows, so that most actions share one list.
func (rn *run) environment(a *action, common []cluster.NVPair) []cluster.NVPair {
	if !a.node.behindConnection() && a.task != taskNotify && a.meta == nil {
		return common
	}
	env := append(make([]cluster.NVPair, 0, len(common)+5), common...)
	add := func(name, value string) { env = append(env, cluster.NVPair{Name: name, Value: value}) }
	if a.node.behindConnection() {
		add("on_node", a.node.name)
		add("on_node_uuid", a.node.id)
		if host := rn.hostOf(a.node); host != "" {
			add("physical_host", host)
		}
	}
	if a.task == taskNotify {
		kind, about, _ := strings.Cut(a.detail, "-")
		add("notify_type", kind)
		add("notify_operation", about)
	}
	for _, name := range []string{"migrate_source", "migrate_target"} {
		if value := a.meta[name]; value != "" {
			add(name, value)
		}
	}
	slices.SortFunc(env, func(a, b cluster.NVPair) int { return strings.Compare(a.Name, b.Name) })
	return env
}

// hostOf is the cluster node that a guest or bundle node runs on, "" if n is
// none of those.
func (rn *run) hostOf(n *node) string {
	container := n.container()
	if container == nil {
		return ""
	}
	if at := container.current(); at != nil {
		return at.name
	}
	if container.assigned != nil {
		return container.assigned.name
	}
	return ""
}

// replicaOfChild is the replica of a bundle that r is the service inside of, or
// nil.
func (r *resource) replicaOfChild() *replica {
	if r.parent == nil || r.parent.parent == nil || !r.parent.parent.isBundle() {
		return nil
	}
	for _, p := range r.parent.parent.bundle.replicas {
		if p.child == r {
			return p
		}
	}
	return nil
}

// cloneOf is the innermost clone that r is an instance of or inside, or nil.
func (r *resource) cloneOf() *resource {
	for p := r.parent; p != nil; p = p.parent {
		if p.isClone() {
			return p
		}
	}
	return nil
}

func (rn *run) cloneEnvironment(a *action, c *resource, env map[string]string) {
	r, d := a.resource, c.clone
	env["clone"] = strconv.Itoa(instanceNumber(r))
	env["clone_max"] = strconv.Itoa(d.max)
	env["clone_node_max"] = strconv.Itoa(d.nodeMax)
	env["globally_unique"] = strconv.FormatBool(c.unique)
	env["notify"] = strconv.FormatBool(c.notify)
	if c.promotable {
		// The older names are what most agents look at.
		for name, value := range map[string]int{"max": d.promotedMax, "node_max": d.promotedNodeMax} {
			env["promoted_"+name] = strconv.Itoa(value)
			env["master_"+name] = strconv.Itoa(value)
		}
	}
	if !c.notify {
		return
	}
	switch a.task {
	case taskNotify, taskStart, taskStop, taskPromote, taskDemote:
	default:
		return
	}
	if d.notifyLists == nil {
		d.notifyLists = rn.notifyLists(c)
	}
	for name, value := range d.notifyLists {
		env[name] = value
	}
}

// instanceOnNode is one instance with a node, as agents are told of it.
type instanceOnNode struct{ instance, node string }

// notifyLists are the lists of instances and nodes that notified agents get: who
// is in which role now, and who will start, stop, be promoted and demoted.
func (rn *run) notifyLists(c *resource) map[string]string {
	lists := map[string][]instanceOnNode{}
	c.primitives(func(r *resource) {
		here := instanceOnNode{instance: r.id}
		if len(r.active) > 0 {
			here.node = r.active[0].name
		}
		switch r.role {
		case rolePromoted:
			lists["promoted"] = append(lists["promoted"], here)
		case roleUnpromoted:
			lists["unpromoted"] = append(lists["unpromoted"], here)
		}
		if r.role >= roleStarted {
			lists["active"] = append(lists["active"], here)
		} else {
			lists["inactive"] = append(lists["inactive"], here)
		}
		for _, a := range r.actions {
			switch a.task {
			case taskStart, taskStop, taskPromote, taskDemote:
				if !a.optional && a.node != nil && (a.runnable || a.task == taskStop && a.node.unclean) {
					lists[a.task] = append(lists[a.task], instanceOnNode{r.id, a.node.name})
				}
			}
		}
	})
	lists["master"], lists["slave"] = lists["promoted"], lists["unpromoted"]

	env := map[string]string{}
	for _, name := range []string{"active", "promoted", "master", "unpromoted", "slave", taskStart, taskStop, taskPromote, taskDemote} {
		env["notify_"+name+"_resource"], env["notify_"+name+"_uname"] = joinInstances(lists[name])
	}
	env["notify_inactive_resource"], _ = joinInstances(lists["inactive"])
	env["notify_available_uname"] = joinNodes(rn.allowedNodes(c))
	env["notify_all_uname"] = joinNodes(rn.nodes)
	return env
}

// joinInstances gives the two parallel lists; what is empty is one blank, since
// an empty variable would not reach the agent.
func joinInstances(list []instanceOnNode) (instances, nodes string) {
	sort.SliceStable(list, func(i, j int) bool {
		if list[i].instance != list[j].instance {
			return list[i].instance < list[j].instance
		}
		return list[i].node < list[j].node
	})
	var a, b []string
	for _, each := range list {
		a, b = append(a, each.instance), append(b, each.node)
	}
	return orDefault(strings.Join(a, " "), " "), orDefault(strings.Join(b, " "), " ")
}

func joinNodes(nodes []*node) string {
	names := make([]string, len(nodes))
	for i, n := range nodes {
		names[i] = n.name
	}
	return orDefault(strings.Join(names, " "), " ")
}

func pairs(values map[string]string) []cluster.NVPair {
	if len(values) == 0 {
		return nil
	}
	list := make([]cluster.NVPair, 0, len(values))
	for name, value := range values {
		list = append(list, cluster.NVPair{Name: name, Value: value})
	}
	slices.SortFunc(list, func(a, b cluster.NVPair) int { return strings.Compare(a.Name, b.Name) })
	return list
}
