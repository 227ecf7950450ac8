package config

import (
	"cmp"
	"iter"
	"slices"

	"linuxha/internal/cluster"
)

// unacted is a kind of thing that a configuration may say and the cluster keeps,
// but does not act on: who relies on it would be wrong.
type unacted struct {
	what       string // for the reference
	text, hint string
}

var (
	noAlert = unacted{"`alert`",
		"no alert will be sent: alerts are kept, and not acted on yet",
		"let a program of your own follow 'ha events --follow --json'"}
	noAccess = unacted{"`role`, `user`, `user_group`, `enable_acl = true`",
		"nobody's access is limited: access rules are kept, and not applied yet",
		"only root may use the daemon's socket, and may do everything"}
	noNode = unacted{"`node` with `kind = \"remote\"`, `remote_node` in `meta`, the agent `ocf:pacemaker:remote`",
		"there will be no node behind this connection, and what names it in a constraint does not wait for it: remote and guest nodes are kept, and not acted on yet",
		"install ha there and let it join: beyond the voters a node is a satellite"}
	noBundle = unacted{"`bundle`",
		"nothing of this bundle will be started, and what names it in a constraint does not wait for it: bundles are kept, and not acted on yet",
		"run the container as a resource of its own, by an agent such as ocf:heartbeat:podman"}
	allUnacted = []unacted{noAlert, noAccess, noNode, noBundle}
)

func (u unacted) at(object, member string) Problem {
	return Problem{At: object, Member: member, Text: u.text, Hint: u.hint}
}

// Unacted lists what cfg says that the cluster keeps and does not act on, in the
// order of the text.
func Unacted(cfg *cluster.Config) []Problem {
	var out []Problem
	if cluster.IsTrue(cfg.Option("enable-acl")) {
		out = append(out, noAccess.at("cluster "+cfg.Name, "enable_acl"))
	}
	for i := range cfg.Nodes {
		if cfg.Nodes[i].Kind != cluster.NodeCluster {
			out = append(out, noNode.at("node "+cfg.Nodes[i].Name, "kind"))
		}
	}
	for at, r := range primitives(cfg) {
		switch {
		case r.Agent.IsConnection():
			out = append(out, noNode.at(at, "agent"))
		case r.IsGuest():
			out = append(out, noNode.at(at, "meta"))
		}
	}
	for i := range cfg.Resources {
		if r := &cfg.Resources[i]; r.Kind == cluster.Bundle {
			out = append(out, noBundle.at(title(r), ""))
		}
	}
	for _, a := range cfg.Alerts {
		out = append(out, noAlert.at("alert "+a.ID, ""))
	}
	for _, r := range cfg.ACLRoles {
		out = append(out, noAccess.at("role "+r.ID, ""))
	}
	for _, t := range cfg.ACLTargets {
		out = append(out, noAccess.at(targetTitle(t), ""))
	}
	return out
}

// withoutEffect are the cluster options that tune parts of Pacemaker which do not
// exist here, with what happens instead.
var withoutEffect = map[string]string{
	"cluster-recheck-interval":  "the cluster looks again at the moment at which a rule or a time-out may change something",
	"concurrent-fencing":        "nodes that are lost are fenced at once, side by side",
	"dc-deadtime":               "detection says how long a silent node is waited for",
	"election-timeout":          "detection says how long a silent node is waited for",
	"join-finalization-timeout": "a node that joins is waited for as long as it is heard",
	"join-integration-timeout":  "a node that joins is waited for as long as it is heard",
	"fencing-max-attempts":      "a fencing that failed is tried again until it succeeds or 'ha fence confirm' ends it",
	"fencing-reaction":          "a node that learns that it was fenced resets its host",
	"fencing-watchdog-timeout":  "watchdogs count by watchdog = { timeout = ... }",
	"load-threshold":            "batch_limit and node_action_limit bound what is done at once",
	"pe-error-series-max":       "'ha simulate --save' keeps a situation",
	"pe-input-series-max":       "'ha simulate --save' keeps a situation",
	"pe-warn-series-max":        "'ha simulate --save' keeps a situation",
	"shutdown-escalation":       "a node that leaves stops everything first, however long that takes",
	"transition-delay":          "what is decided is done at once",
}

// operationsWithoutEffect are the same of operations.
var operationsWithoutEffect = map[string]string{
	"interval-origin": "a recurring operation begins when its resource has started",
	"record-pending":  "what is under way is always shown",
	"start-delay":     "an operation begins as soon as it may",
}

// WithoutEffect lists options in cfg that change nothing here.
func WithoutEffect(cfg *cluster.Config) []Problem {
	var out []Problem
	add := func(at, member, name, instead string) {
		p := Problem{At: at, Member: member, Text: scored(name) + " has no effect: " + instead}
		if instead != "" && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, s := range cfg.Options {
		for _, p := range s.Pairs {
			add("cluster "+cfg.Name, scored(p.Name), p.Name, withoutEffect[p.Name])
		}
	}
	for at, r := range primitives(cfg) {
		for _, op := range r.Operations {
			for _, s := range append(slices.Clone(op.Meta), cluster.AttrSet{Pairs: op.Attrs}) {
				for _, p := range s.Pairs {
					add(at, "op "+scored(p.Name), p.Name, operationsWithoutEffect[p.Name])
				}
			}
		}
	}
	for _, s := range cfg.OperationDefaults {
		for _, p := range s.Pairs {
			add("defaults", "operation", p.Name, operationsWithoutEffect[p.Name])
		}
	}
	return out
}

// primitives goes through all templates and primitives, with the title of each.
func primitives(cfg *cluster.Config) iter.Seq2[string, *cluster.Resource] {
	return func(yield func(string, *cluster.Resource) bool) {
		for i := range cfg.Templates {
			if !yield("template "+cfg.Templates[i].ID, &cfg.Templates[i]) {
				return
			}
		}
		var walk func(rs []cluster.Resource) bool
		walk = func(rs []cluster.Resource) bool {
			for i := range rs {
				if r := &rs[i]; !walk(r.Children) || r.Kind == cluster.Primitive && !yield(title(r), r) {
					return false
				}
			}
			return true
		}
		walk(cfg.Resources)
	}
}

// targetTitle is the block that defines a user or a group of them.
func targetTitle(t cluster.ACLTarget) string {
	if t.Group {
		return "user_group " + t.ID
	}
	return "user " + t.ID
}

// warnings are what is accepted and does not do what it says, in the order of the text.
func (r *reader) warnings() []*Error {
	var out []*Error
	for _, p := range append(Unacted(r.cfg), WithoutEffect(r.cfg)...) {
		e := &Error{Summary: p.At + ": " + p.Text, Hint: p.Hint}
		at := r.rangeOf(p)
		e.File, e.Line, e.Column = at.Filename, at.Start.Line, at.Start.Column
		out = append(out, e)
	}
	slices.SortStableFunc(out, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return out
}
