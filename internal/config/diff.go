package config

import "linuxha/internal/cluster"

// Change is one block that differs between two configurations.
type Change struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	What string `json:"what"` // added, removed, changed; reordered: only the order of blocks differs
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// Diff compares two configurations by their canonical text: what prints the
// same is the same. Changed and added blocks come in the order of the new one,
// then what was removed.
func Diff(old, new *cluster.Config) []Change {
	type key struct{ kind, name, text string }
	unique := func(o Object) key {
		k := key{kind: o.Kind, name: o.Name}
		if o.Kind == "fencing_level" || o.Kind == "defaults" {
			k.text = o.Text // several may have one name
		}
		return k
	}
	before := map[key]Object{}
	oldObjects := Objects(old)
	for _, o := range oldObjects {
		before[unique(o)] = o
	}
	var out []Change
	seen := map[key]bool{}
	for _, o := range Objects(new) {
		k := unique(o)
		seen[k] = true
		switch b, ok := before[k]; {
		case !ok:
			out = append(out, Change{o.Kind, o.Name, "added", "", o.Text})
		case b.Text != o.Text:
			out = append(out, Change{o.Kind, o.Name, "changed", b.Text, o.Text})
		}
	}
	for _, o := range oldObjects {
		if !seen[unique(o)] {
			out = append(out, Change{o.Kind, o.Name, "removed", o.Text, ""})
		}
	}
	if len(out) == 0 && string(Format(old)) != string(Format(new)) {
		out = append(out, Change{Kind: "resource", Name: "*", What: "reordered"})
	}
	return out
}
