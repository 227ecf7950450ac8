package scheduler

import (
	"sort"
	"strconv"
	"strings"

	"linuxha/internal/cluster"
)

// describeExecution adds what the agent needs to carry an action out: its
// parameters, and the properties that it finds in its environment.
func (rn *run) describeExecution(a *action, out *Action) {
	r := a.resource
	switch a.task {
	case taskCancel, taskClearFail, taskForget, taskDelete:
		return
	}
	timeout := rn.timeout(r, a.task, a.interval)
	out.Timeout = milliseconds(timeout)
	params, _ := rn.operationParams(r, a.node, a.task, a.interval)
	out.OpDigest = digest(params, nil)
	delete(params, "CRM_meta_timeout")
	out.Params = pairs(params)
	out.Meta = pairs(rn.environment(a, timeout))
}

// environment gives the properties of an operation and of its resource that
// agents may look at, by the names they know them under.
func (rn *run) environment(a *action, timeout int64) map[string]string {
	r, n := a.resource, a.node
	env := make(map[string]string, 16)
	for name, value := range rn.operation(r, a.task, a.interval).attrs {
		env[strings.ReplaceAll(name, "-", "_")] = value
	}
	env["name"] = a.task
	env["timeout"] = strconv.FormatInt(timeout, 10)
	if a.interval > 0 {
		env["interval"] = strconv.FormatInt(a.interval, 10)
	} else {
		delete(env, "interval")
	}
	env["on_node"], env["on_node_uuid"] = n.name, n.id
	if host := rn.hostOf(n); host != "" {
		env["physical_host"] = host
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
	for name, value := range a.meta {
		env[name] = value
	}
	if c := r.cloneOf(); c != nil {
		rn.cloneEnvironment(a, c, env)
	}
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
	case taskNotify:
		env["notify_type"], env["notify_operation"], _ = strings.Cut(a.detail, "-")
	case taskStart, taskStop, taskPromote, taskDemote:
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
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	return list
}
