package scheduler

import (
	"iter"
	"maps"

	"linuxha/internal/cluster"
)

// defaultTimeout is that of operations without any, in ms.
const defaultTimeout = 20_000

// evaluateOperations fills r.ops (SEMANTICS 6).
func (rn *run) evaluateOperations(r *resource) {
	if len(r.config.Operations) == 0 {
		return
	}
	r.ops = make([]*operation, 0, len(r.config.Operations))
	for i := range r.config.Operations {
		c := rn.resolveOperation(&r.config.Operations[i])
		if c == nil || c.Name == "" {
			continue
		}
		op := rn.evaluateOperation(r, c.Name, parseDuration(c.Interval), c, nil)
		for _, other := range r.ops {
			if op.interval != 0 && other.name == op.name && other.interval == op.interval {
				op.duplicate, other.duplicate = true, true
			}
		}
		r.ops = append(r.ops, op)
	}
}

// evaluateOperation merges the properties of an operation, strongest first:
// those of the element, of its blocks, and the defaults. c is nil for an
// operation that is not configured. Rules see the attributes of n, and with nil
// every attribute as unset.
func (rn *run) evaluateOperation(r *resource, name string, interval int64, c *cluster.Operation, n *node) *operation {
	op := &operation{name: name, interval: interval, config: c, enabled: true, timeout: -1}
	op.varies = rn.ruled(rn.config.OperationDefaults) || c != nil && rn.ruled(c.Meta)
	ctx := ruleContext{node: n, agent: &r.agent, opName: name, interval: interval, resource: r}
	if c != nil {
		op.id = c.ID
	}
	if len(rn.config.OperationDefaults) > 0 || c != nil && len(c.Meta) > 0 {
		op.merged = map[string]string{}
		if c != nil {
			for _, p := range c.Attrs {
				op.merged[p.Name] = p.Value
			}
			rn.attributes(c.Meta, ctx, op.merged)
		}
		rn.attributes(rn.config.OperationDefaults, ctx, op.merged)
	}
	if c != nil { // blocks and defaults do not count for these
		op.enabled = boolOr(c.Attr("enabled"), true)
		op.role = parseRole(c.Attr("role"))
	}
	if t, set := op.property("timeout"); set {
		op.timeout = parseTimeout(t)
	}
	return op
}

// property returns what is said of op under a name, and whether anything is.
func (op *operation) property(name string) (value string, set bool) {
	switch {
	case op.merged != nil:
		value, set = op.merged[name]
	case op.config != nil:
		for i := range op.config.Attrs {
			if p := &op.config.Attrs[i]; p.Name == name {
				value, set = p.Value, true
			}
		}
	}
	return value, set
}

// properties yields the names and values of all that is said of op, in no order but
// that the last value of a name counts.
func (op *operation) properties() iter.Seq2[string, string] {
	if op.merged != nil {
		return maps.All(op.merged)
	}
	return func(yield func(name, value string) bool) {
		if op.config == nil {
			return
		}
		for _, p := range op.config.Attrs {
			if !yield(p.Name, p.Value) {
				return
			}
		}
	}
}

// configuredOperation finds an operation by name and interval (ms); nil if it
// is not configured, or disabled and not wanted. Migrations fall back on an
// operation called "migrate".
func (r *resource) configuredOperation(name string, interval int64, disabledToo bool) *operation {
	for _, op := range r.ops {
		if op.name == name && op.interval == interval && (op.enabled || disabledToo) {
			return op
		}
	}
	if name == taskMigrateTo || name == taskMigrateFrom {
		return r.configuredOperation("migrate", 0, disabledToo)
	}
	return nil
}

// operation returns the configured operation as it is on n (nil: wherever),
// disabled or not, or for one that is not configured what the defaults say of it;
// never nil.
func (rn *run) operation(r *resource, task string, interval int64, n *node) *operation {
	op := r.configuredOperation(task, interval, true)
	if op == nil {
		op = rn.unconfiguredOperation(r, task, interval)
	}
	if !op.varies || n == nil {
		return op
	}
	on := op.onNode[n]
	if on == nil {
		on = rn.evaluateOperation(r, op.name, op.interval, op.config, n)
		if op.onNode == nil {
			op.onNode = map[*node]*operation{}
		}
		op.onNode[n] = on
	}
	return on
}

// unconfiguredOperation is what the defaults say of an operation.
func (rn *run) unconfiguredOperation(r *resource, task string, interval int64) *operation {
	key := opKey{task, interval, r.agent}
	op := rn.defaultOps[key]
	if op == nil {
		op = rn.evaluateOperation(r, task, interval, nil, nil)
		if rn.defaultOps == nil {
			rn.defaultOps = map[opKey]*operation{}
		}
		rn.defaultOps[key] = op
	}
	return op
}

// opKey is all that op_defaults can tell operations apart by.
type opKey struct {
	task     string
	interval int64
	agent    cluster.Agent
}

// timeout is how long an operation may take on n, in ms.
func (rn *run) timeout(r *resource, task string, interval int64, n *node) int64 {
	probe := task == taskMonitor && interval == 0
	if r.isFence && (probe || task == taskStart) {
		if t, set := rn.params(r, n)["pcmk_monitor_timeout"]; set {
			return parseTimeout(t)
		}
	}
	op := rn.operation(r, task, interval, n)
	if probe && !op.ownTimeout() {
		if m := r.mostFrequentMonitor(); m != nil {
			if t := m.config.Attr("timeout"); t != "" {
				return parseTimeout(t)
			}
		}
	}
	if op.timeout < 0 {
		return defaultTimeout
	}
	return op.timeout
}

// ownTimeout tells whether the operation itself, not a default, sets a timeout.
func (op *operation) ownTimeout() bool {
	if op.config == nil {
		return false
	}
	if op.config.Attr("timeout") != "" {
		return true
	}
	for i := range op.config.Meta {
		for _, p := range op.config.Meta[i].Pairs {
			if p.Name == "timeout" {
				return true
			}
		}
	}
	return false
}

// mostFrequentMonitor is the enabled recurring monitor with the shortest
// interval, or nil.
func (r *resource) mostFrequentMonitor() *operation {
	var best *operation
	for _, op := range r.ops {
		if op.name == taskMonitor && op.interval > 0 && op.enabled && op.config != nil && (best == nil || op.interval < best.interval) {
			best = op
		}
	}
	return best
}

// onFail is what to do when an operation fails on n, and the role after that
// (SEMANTICS 6).
func (rn *run) onFail(r *resource, task string, interval int64, n *node) (onFail, role) {
	policy := rn.failurePolicy(r, task, interval, n)
	after := roleStarted
	switch {
	case policy == failStop, policy == failResetRemote && r.reconnect > 0:
		after = roleStopped
	case task == taskPromote:
		after = roleUnpromoted
	}
	return policy, after
}

func (rn *run) failurePolicy(r *resource, task string, interval int64, n *node) onFail {
	op := rn.operation(r, task, interval, n)
	text, _ := op.property("on-fail")
	if text == "" && task == taskDemote {
		for _, m := range r.ops {
			if m.name == taskMonitor && m.interval > 0 && m.enabled && m.role == rolePromoted && m.config != nil {
				if v := m.config.Attr("on-fail"); v != "" && v != "demote" {
					text = v
					break
				}
			}
		}
	}
	if r.isConnection && !r.managed && r.container == nil && task != taskStart && !(task == taskMonitor && interval == 0) {
		return failStop // whatever is configured
	}
	isStop := task == taskStop
	switch text {
	case "ignore", "nothing":
		return failIgnore
	case "restart":
		return failRestart
	case "migrate":
		return failMigrate
	case "block":
		return failBlock
	case "stop":
		if !isStop {
			return failStop
		}
	case "standby":
		if !isStop {
			return failStandby
		}
	case "fence":
		if rn.options.fencing {
			return failFence
		}
		return failStop // even for a stop, which could not say so itself
	case "demote":
		if task == taskPromote || (task == taskMonitor && interval > 0 && op.role == rolePromoted) {
			return failDemote
		}
	case "restart-container":
		if r.container != nil {
			return failRestartContainer
		}
	}
	return rn.defaultFailurePolicy(r, task, interval)
}

func (rn *run) defaultFailurePolicy(r *resource, task string, interval int64) onFail {
	probe := task == taskMonitor && interval == 0
	switch {
	case r.container != nil:
		return failRestartContainer
	case r.isConnection && task != taskStart && !probe:
		if r.managed {
			return failResetRemote
		}
		return failStop
	case task == taskStop && rn.options.fencing:
		return failFence
	case task == taskStop:
		return failBlock
	}
	return failRestart
}
