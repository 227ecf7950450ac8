package scheduler

import (
	"slices"
	"strconv"

	"linuxha/internal/cluster"
)

func itoa(n int) string { return strconv.Itoa(n) }

// evaluate fills what the configuration says of r by itself: meta-attributes
// and all that they decide, operations, utilization (SEMANTICS 3, 5).
func (rn *run) evaluate(r *resource) {
	r.agent = r.config.Agent
	r.meta = rn.evaluateMeta(r)
	m := r.meta

	r.priority = parseScore(m["priority"], 0)
	r.stickiness = parseScore(m["resource-stickiness"], 0)
	r.threshold = int(min(int64(infinity), intOr(m["migration-threshold"], int64(infinity), 0)))
	r.failTimeout = seconds(parseDuration(m["failure-timeout"]))
	r.critical = trueUnlessGiven(m, "critical")
	r.notify = isTrue(m["notify"])
	r.onMultiple = parseMultiple(m["multiple-active"])

	r.managed = trueUnlessGiven(m, "is-managed")
	r.maintenance = isTrue(m["maintenance"]) || rn.options.maintenance
	if r.maintenance {
		r.managed = false
	}

	if r.isGroup() {
		r.group = &groupData{ordered: boolOr(m["ordered"], true), colocated: boolOr(m["collocated"], true)}
	}
	if r.isPrimitive() {
		rn.evaluatePrimitive(r)
	}
	r.requires = rn.requirementOf(r)
	rn.evaluateTarget(r)
}

func (rn *run) evaluatePrimitive(r *resource) {
	r.isFence = r.agent.IsFence()
	rn.noteFenceDevice(r)
	r.isConnection = r.agent.IsConnection()
	r.remoteName = r.meta["remote-node"]
	r.allowMigrate = isTrue(r.meta["allow-migrate"])
	if r.isConnection && r.meta["container"] == "" {
		r.allowMigrate = trueUnlessGiven(r.meta, "allow-migrate")
	}
	r.utilization = rn.readAmounts(r.config.Utilization)
	rn.evaluateOperations(r)
	if r.isConnection && r.meta["container"] == "" {
		if v, ok := rn.params(r, nil)["reconnect_interval"]; ok {
			r.reconnect = parseDuration(v)
			r.failTimeout = r.reconnect / 1000
		}
	}
}

func (rn *run) noteFenceDevice(r *resource) {
	if r.isFence && rn.options.fencing {
		rn.fencingReady = true
	}
}

// evaluateMeta merges r's own blocks, those of its ancestors, nearest first,
// the defaults, and the evaluated meta-attributes of its parent.
func (rn *run) evaluateMeta(r *resource) map[string]string {
	m := make(map[string]string, 8)
	c := ruleContext{agent: &r.agent}
	for a := r; a != nil; a = a.parent {
		rn.attributes(a.config.Meta, c, m)
	}
	rn.attributes(rn.config.ResourceDefaults, c, m)
	if r.parent != nil {
		for name, value := range r.parent.meta {
			if _, set := m[name]; !set && name != "remote-node" {
				m[name] = value
			}
		}
	}
	if _, set := m["resource-stickiness"]; !set {
		if r.isClone() || rn.config.Origin == cluster.OriginNative {
			m["resource-stickiness"] = "1"
		}
	}
	return m
}

func parseMultiple(text string) multipleActive {
	switch text {
	case "stop_only":
		return stopOnly
	case "block":
		return blockMultiple
	case "stop_unexpected":
		return stopUnexpected
	}
	return stopStart
}

// requirementOf decides what must hold before r is started or promoted.
func (rn *run) requirementOf(r *resource) requirement {
	required := requireQuorum
	text := r.meta["requires"]
	switch {
	case text == "nothing":
		return requireNothing
	case text == "quorum":
		return requireQuorum
	case text == "fencing":
		required = requireFencing
	case text == "unfencing":
		required = requireUnfencing
		if r.isFence || !rn.options.fencing {
			required = requireQuorum
		}
	case r.isFence || r.isConnection:
		required = requireQuorum
	case rn.unfencing:
		required = requireUnfencing
		if !rn.options.fencing {
			required = requireQuorum
		}
	case rn.options.fencing:
		required = requireFencing
	case rn.options.noQuorum == noQuorumIgnore:
		required = requireNothing
	}
	return required
}

// evaluateTarget reads target-role. Roles above Started mean something only
// below a promotable clone, and Started and Promoted restrict nothing.
func (rn *run) evaluateTarget(r *resource) {
	switch parseRole(r.meta["target-role"]) {
	case roleStopped:
		r.target = roleStopped
	case roleUnpromoted:
		if rn.belowPromotable(r) {
			r.target = roleUnpromoted
		}
	}
	r.nextRole = r.target
}

func (rn *run) belowPromotable(r *resource) bool {
	for a := r; a != nil; a = a.parent {
		if a.promotable {
			return true
		}
		if a.isClone() && (a.config.LegacyPromotable || isTrue(a.meta["promotable"])) {
			return true
		}
	}
	return false
}

// copyEvaluated gives a further instance, or the same resource in another run, what
// its twin has evaluated already.
func (rn *run) copyEvaluated(r, twin *resource) {
	r.config = twin.config
	r.agent = twin.agent
	r.meta = twin.meta
	r.ops = twin.ops
	r.utilization = twin.utilization
	r.priority = twin.priority
	r.stickiness = twin.stickiness
	r.threshold = twin.threshold
	r.failTimeout = twin.failTimeout
	r.onMultiple = twin.onMultiple
	r.requires = twin.requires
	r.target = twin.target
	r.nextRole = twin.target
	r.remoteName = twin.remoteName
	r.reconnect = twin.reconnect
	r.critical = twin.critical
	r.notify = twin.notify
	r.managed = rn.configuredManaged(twin)
	r.maintenance = isTrue(twin.meta["maintenance"]) || rn.options.maintenance
	r.isFence = twin.isFence
	rn.noteFenceDevice(r)
	r.isConnection = twin.isConnection
	r.allowMigrate = twin.allowMigrate
	r.paramTwin = twin
	if twin.paramTwin != nil {
		r.paramTwin = twin.paramTwin
	}
	if twin.group != nil {
		g := *twin.group
		r.group = &g
	}
}

// configuredManaged is whether the configuration leaves r to the cluster,
// whatever its history made of that.
func (rn *run) configuredManaged(r *resource) bool {
	return trueUnlessGiven(r.meta, "is-managed") && !isTrue(r.meta["maintenance"]) && !rn.options.maintenance
}

// parameters are the agent parameters of a resource, by name, as evaluated for a node.
type parameters struct {
	byName map[string]string
	inList []cluster.NVPair // those that digests cover, sorted, once needed
}

// covered are the parameters that digests cover, by name. Not to be changed.
func (p *parameters) covered() []cluster.NVPair {
	if p.inList == nil {
		p.inList = slices.DeleteFunc(pairs(p.byName), func(p cluster.NVPair) bool { return outsideDigests(p.Name) })
	}
	return p.inList
}

// params returns the agent parameters of r as evaluated for n (nil: no node).
// The map is shared: not to be changed.
func (rn *run) params(r *resource, n *node) map[string]string { return rn.paramsFor(r, n).byName }

func (rn *run) paramsFor(r *resource, n *node) *parameters {
	owner := r
	if r.paramTwin != nil {
		owner = r.paramTwin
	}
	if owner.paramRules == unknownRules {
		owner.paramRules = noRules
		for a := owner; a != nil; a = a.parent {
			if a.config != nil && rn.ruled(a.config.Params) {
				owner.paramRules = hasRules
			}
		}
	}
	if owner.paramRules == noRules {
		n = nil
	}
	if known := owner.paramCache[n]; known != nil {
		return known
	}
	m := map[string]string{}
	c := ruleContext{node: n, resource: r, agent: &r.agent, inParams: true}
	for a := owner; a != nil; a = a.parent {
		if a.config != nil {
			rn.attributes(a.config.Params, c, m)
		}
	}
	if owner.paramCache == nil {
		owner.paramCache = make(map[*node]*parameters, 1)
	}
	p := &parameters{byName: m}
	owner.paramCache[n] = p
	return p
}

// ruleUse tells whether evaluating something depends on rules.
type ruleUse uint8

const (
	unknownRules ruleUse = iota
	noRules
	hasRules
)
