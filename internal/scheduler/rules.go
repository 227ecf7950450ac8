package scheduler

import (
	"strings"

	"linuxha/internal/cluster"
)

// ruleContext is what the conditions of a rule look at; nil members are
// unavailable, which makes node expressions see every attribute as unset.
type ruleContext struct {
	node     *node
	resource *resource // for container-attribute-target, and value-source param or meta
	agent    *cluster.Agent
	opName   string
	interval int64    // ms
	inParams bool     // the rule is about parameters, which therefore cannot be looked at
	matches  []string // submatches of a resource pattern: %0 to %9 in attribute names
}

// passes evaluates a rule (SEMANTICS 3). A nil rule passes. Conditions on dates
// note when they will change (recheckAt).
func (rn *run) passes(rule *cluster.Rule, c ruleContext) bool {
	if rule = rn.resolveRule(rule); rule == nil || len(rule.Conditions) == 0 {
		return true
	}
	for i := range rule.Conditions {
		if rn.holds(&rule.Conditions[i], c) == rule.Or {
			return rule.Or
		}
	}
	return !rule.Or
}

// resolveRule follows a rule that stands for another.
func (rn *run) resolveRule(rule *cluster.Rule) *cluster.Rule {
	if rule == nil || rule.Ref == "" {
		return rule
	}
	return rn.references().Rule(rule)
}

func (rn *run) holds(cond *cluster.Condition, c ruleContext) bool {
	switch {
	case cond.Attribute != nil:
		return rn.attributeHolds(cond.Attribute, c)
	case cond.Date != nil:
		return rn.dateHolds(cond.Date)
	case cond.Resource != nil:
		return resourceHolds(cond.Resource, c.agent)
	case cond.Operation != nil:
		x := cond.Operation
		return c.opName != "" && x.Name == c.opName && (x.Interval == "" || parseDuration(x.Interval) == c.interval)
	case cond.Rule != nil:
		return rn.passes(cond.Rule, c)
	}
	return false
}

func resourceHolds(x *cluster.ResourceExpr, agent *cluster.Agent) bool {
	return agent != nil &&
		(x.Class == "" || x.Class == agent.Class) &&
		(x.Provider == "" || x.Provider == agent.Provider) &&
		(x.Type == "" || x.Type == agent.Type)
}

func (rn *run) attributeHolds(x *cluster.AttrExpr, c ruleContext) bool {
	attr, attrSet := "", false
	if c.node != nil {
		attr, attrSet = rn.nodeAttribute(c.node, submatches(x.Attribute, c.matches))
	}
	switch x.Operation {
	case "defined":
		return attrSet
	case "not_defined":
		return !attrSet
	}
	value, valueSet := x.Value, true
	switch x.ValueSource {
	case "param":
		value, valueSet = "", false
		if c.resource != nil && !c.inParams {
			value, valueSet = rn.params(c.resource, c.node)[x.Value]
		}
	case "meta":
		value, valueSet = "", false
		if c.resource != nil {
			value, valueSet = c.resource.meta[x.Value]
		}
	}
	cmp := 0
	switch {
	case attrSet && valueSet:
		cmp = compareValues(attr, value, x.Type, x.Operation)
	case attrSet:
		cmp = 1
	case valueSet:
		cmp = -1
	}
	both := attrSet && valueSet
	switch x.Operation {
	case "eq":
		return cmp == 0
	case "ne":
		return cmp != 0
	case "lt":
		return both && cmp < 0
	case "lte":
		return both && cmp <= 0
	case "gt":
		return both && cmp > 0
	case "gte":
		return both && cmp >= 0
	}
	return false
}

// compareValues compares as the type says; "" is string for eq and ne, else
// integer, or number when a value has a point. What is no number is compared
// as a string.
func compareValues(a, b, kind, operation string) int {
	if kind == "" {
		switch {
		case operation == "eq" || operation == "ne":
			kind = "string"
		case strings.Contains(a, ".") || strings.Contains(b, "."):
			kind = "number"
		default:
			kind = "integer"
		}
	}
	switch kind {
	case "integer":
		x, _, okX := leadingInt(a)
		y, _, okY := leadingInt(b)
		if okX && okY {
			return order(x, y)
		}
	case "number":
		x, okX := leadingFloat(a)
		y, okY := leadingFloat(b)
		if okX && okY {
			return order(x, y)
		}
	case "version":
		return compareVersions(a, b)
	}
	return strings.Compare(strings.ToLower(a), strings.ToLower(b))
}

func order[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// nodeAttribute looks up a node's own attribute, the special ones included.
func (rn *run) nodeAttribute(n *node, name string) (string, bool) {
	if strings.HasPrefix(name, "#") {
		switch name {
		case "#uname":
			return n.name, true
		case "#id":
			return n.id, true
		case "#kind":
			switch {
			case n.isGuest():
				return "container", true
			case n.isRemote():
				return "remote", true
			}
			return "cluster", true
		case "#is_dc":
			if n.isDC {
				return "true", true
			}
			return "false", true
		case "#cluster-name":
			return rn.options.clusterName, rn.options.clusterName != ""
		case "#site-name":
			if site, ok := n.attrs["site-name"]; ok {
				return site, true
			}
			return rn.options.clusterName, rn.options.clusterName != ""
		}
	}
	if rn.looked == nil {
		rn.looked = map[string]bool{}
	}
	rn.looked[name] = true
	v, ok := n.attrs[name]
	return v, ok
}

// submatches replaces %0 to %9 by the submatches of a resource pattern.
func submatches(text string, matches []string) string {
	if len(matches) == 0 || !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+1 < len(text) && isDigit(text[i+1]) {
			if k := int(text[i+1] - '0'); k < len(matches) {
				b.WriteString(matches[k])
			}
			i++
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
