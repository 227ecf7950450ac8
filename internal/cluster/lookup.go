package cluster

import (
	"cmp"
	"strconv"
	"strings"
)

// FindResource returns the configured resource id, wherever it is nested, or nil.
func (c *Config) FindResource(id string) *Resource {
	r, _ := c.findPath(id)
	return r
}

// TopResource returns the outermost resource that contains id (or is it), or nil.
func (c *Config) TopResource(id string) *Resource {
	_, top := c.findPath(id)
	return top
}

func (c *Config) findPath(id string) (r, top *Resource) {
	for i := range c.Resources {
		if r := c.Resources[i].find(id); r != nil {
			return r, &c.Resources[i]
		}
	}
	return nil, nil
}

func (r *Resource) find(id string) *Resource {
	if r.ID == id {
		return r
	}
	for i := range r.Children {
		if found := r.Children[i].find(id); found != nil {
			return found
		}
	}
	return nil
}

// Value returns the first value of name in sets of the highest score, by the
// order of SEMANTICS 3, looking only at blocks without a rule; "" if there is none.
func Value(sets []AttrSet, name string) string {
	value, score, found := "", 0, false
	for i := range sets {
		set := &sets[i]
		if set.Rule != nil || found && set.Score < score {
			continue
		}
		for _, p := range set.Pairs {
			if p.Name == name {
				value, score, found = p.Value, set.Score, true
				break
			}
		}
	}
	return value
}

// Option returns the value of a cluster option, under any of its names, looking
// only at blocks without a rule; "" if it is not set.
func (c *Config) Option(names ...string) string {
	for _, name := range names {
		if value := Value(c.Options, name); value != "" {
			return value
		}
	}
	return ""
}

// FencingEnabled tells whether nodes may be fenced; it is the default.
func (c *Config) FencingEnabled() bool {
	switch strings.ToLower(c.Option("fencing-enabled", "stonith-enabled")) {
	case "false", "off", "no", "n", "0":
		return false
	}
	return true
}

// FenceDevices returns the configured fence devices, in order.
func (c *Config) FenceDevices() []*Resource {
	var devices []*Resource
	var walk func(rs []Resource)
	walk = func(rs []Resource) {
		for i := range rs {
			if rs[i].Kind == Primitive && rs[i].Agent.IsFence() {
				devices = append(devices, &rs[i])
			}
			walk(rs[i].Children)
		}
	}
	walk(c.Resources)
	return devices
}

// CutBy tells whether a fencing that cuts storage or network, and not power, ends
// what a node may have of a resource: its administrator said that it requires
// unfencing. Fence devices hold nothing on the node that watches them.
func (c *Config) CutBy(id string) bool {
	r, top := c.findPath(id)
	if r == nil || r.Agent.IsFence() {
		return r != nil
	}
	requires := Value(c.ResourceDefaults, "requires")
	for at := top; at != nil; { // a member follows its group unless it says otherwise
		own := Value(at.Meta, "requires")
		for i := range c.Templates {
			if t := &c.Templates[i]; own == "" && t.ID == at.Template && at.Template != "" {
				own = Value(t.Meta, "requires")
			}
		}
		requires = cmp.Or(own, requires)
		var inner *Resource
		for i := range at.Children {
			if at != r && at.Children[i].find(id) != nil {
				inner = &at.Children[i]
			}
		}
		at = inner
	}
	return requires == "unfencing"
}

// ConfiguredID returns the configured id of an instance: "web:0" is one of "web".
func ConfiguredID(instance string) string {
	i := strings.LastIndexByte(instance, ':')
	if i < 0 || i == len(instance)-1 || strings.Trim(instance[i+1:], "0123456789") != "" {
		return instance
	}
	return instance[:i]
}

// Priority returns the priority of a configured resource: its own, else that of
// what contains it, else the default (looking only at blocks without a rule), else
// 0.
func (c *Config) Priority(id string) int {
	r, top := c.findPath(id)
	if r == nil {
		return 0
	}
	for _, sets := range [][]AttrSet{r.Meta, top.Meta, c.ResourceDefaults} {
		switch text := Value(sets, "priority"); strings.ToLower(strings.TrimPrefix(text, "+")) {
		case "":
		case "infinity":
			return 1000000
		case "-infinity":
			return -1000000
		default:
			if n, err := strconv.Atoi(text); err == nil {
				return n
			}
		}
	}
	return 0
}

// Standby tells whether an administrator has drained a node.
func (c *Config) Standby(node string) bool {
	n := c.node(node)
	return n != nil && IsTrue(Value(n.Attributes, "standby"))
}
