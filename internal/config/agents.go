package config

import (
	"linuxha/internal/cluster"
)

// CheckAgents checks the parameters of built-in agents against what they know.
func CheckAgents(cfg *cluster.Config) []Problem {
	var out []Problem
	var walk func(r *cluster.Resource)
	walk = func(r *cluster.Resource) {
		for i := range r.Children {
			walk(&r.Children[i])
		}
		if r.Agent.Class == "ha" {
			out = append(out, checkBuiltin(r)...)
		}
	}
	for i := range cfg.Resources {
		walk(&cfg.Resources[i])
	}
	return out
}

func checkBuiltin(r *cluster.Resource) []Problem {
	at := title(r)
	m := cluster.Builtin(r.Agent.Type)
	if m == nil {
		return []Problem{{At: at, Member: "agent", Text: "there is no built-in agent ha:" + r.Agent.Type, Hint: nearest(r.Agent.Type, cluster.BuiltinTypes())}}
	}
	var out []Problem
	var all []cluster.NVPair
	for _, s := range r.Params {
		for _, p := range s.Pairs {
			all = append(all, p)
			if p.Ref != "" || p.File != "" {
				continue
			}
			if err := m.Check(p); err != nil {
				out = append(out, Problem{At: at, Member: "params", Text: err.Error()})
			}
		}
	}
	if r.Template == "" {
		for _, name := range m.Missing(all) {
			out = append(out, Problem{At: at, Member: "params", Text: "parameter " + name + " is missing"})
		}
	}
	return out
}
