package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"linuxha/internal/cluster"
)

// Problem is something in a Config that cannot be meant.
type Problem struct {
	At     string // the object: "resource vip"
	Member string // its attribute, where one is to blame
	Text   string
	Hint   string
}

func (p Problem) String() string {
	s := p.At + ": " + p.Text
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// validator collects problems and what references may name.
type validator struct {
	cfg      *cluster.Config
	problems []Problem

	resources map[string]*cluster.Resource // all, at any depth
	devices   map[string]bool
	templates map[string]bool
	tags      map[string]bool
	sets      map[string]bool // ids of attribute blocks
	names     []string        // what a constraint may name
}

// Validate checks references, names and what can be checked without knowing the
// hosts. It does not look at agents.
func Validate(cfg *cluster.Config) []Problem {
	v := &validator{cfg: cfg, resources: map[string]*cluster.Resource{}, devices: map[string]bool{},
		templates: map[string]bool{}, tags: map[string]bool{}, sets: map[string]bool{}}
	for i := range cfg.Templates {
		v.templates[cfg.Templates[i].ID] = true
		v.names = append(v.names, cfg.Templates[i].ID)
	}
	for _, t := range cfg.Tags {
		v.tags[t.ID] = true
		v.names = append(v.names, t.ID)
	}
	for i := range cfg.Resources {
		v.collect(&cfg.Resources[i])
	}
	for i := range cfg.Resources {
		v.resource(&cfg.Resources[i])
	}
	for i := range cfg.Templates {
		v.primitive("template", &cfg.Templates[i])
	}
	v.nodes()
	v.constraints()
	v.fencing()
	v.access()
	return v.problems
}

func (v *validator) add(at, member, hint, format string, args ...any) {
	v.problems = append(v.problems, Problem{At: at, Member: member, Hint: hint, Text: fmt.Sprintf(format, args...)})
}

func (v *validator) collect(r *cluster.Resource) {
	if v.resources[r.ID] != nil {
		v.add(title(r), "", "give one of them another name", "there are two resources of this name")
	}
	v.resources[r.ID] = r
	v.names = append(v.names, r.ID)
	if r.Agent.IsFence() {
		v.devices[r.ID] = true
	}
	for _, list := range [][]cluster.AttrSet{r.Meta, r.Params, r.Utilization} {
		for _, s := range list {
			v.sets[s.ID] = true
		}
	}
	for i := range r.Children {
		v.collect(&r.Children[i])
	}
}

// title is an object's name in messages: the block that defines it.
func title(r *cluster.Resource) string {
	switch {
	case r.Kind == cluster.Primitive && r.Agent.IsFence():
		return "fence_device " + r.ID
	case r.Kind == cluster.Primitive:
		return "resource " + r.ID
	default:
		return string(r.Kind) + " " + r.ID
	}
}

// identifier tells whether id consists of letters, digits and "._-", and begins with
// a letter or "_"; or with a digit, as hosts' names may.
func identifier(id string, host bool) bool {
	for i, c := range []byte(id) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case c >= '0' && c <= '9' && (i > 0 || host):
		case (c == '.' || c == '-') && i > 0:
		default:
			return false
		}
	}
	return id != ""
}

func (v *validator) name(at, id string) {
	switch node := strings.HasPrefix(at, "node "); {
	case verbs[id]:
		v.add(at, "", "choose another name", "%q is a word of the command line", id)
	case node && (len(id) > 255 || !identifier(id, true)):
		v.add(at, "", "a name begins with a letter or digit and has letters, digits, '.', '_' and '-'", "%q cannot be a name", id)
	case !node && (len(id) > 255 || !identifier(id, false)):
		v.add(at, "", "a name begins with a letter and has letters, digits, '.', '_' and '-'", "%q cannot be a name", id)
	}
}

func (v *validator) resource(r *cluster.Resource) {
	at := title(r)
	v.name(at, r.ID)
	if r.Kind == cluster.Primitive {
		v.primitive(strings.Fields(at)[0], r)
	}
	if len(r.Children) == 0 && (r.Kind == cluster.Group || r.Kind == cluster.Clone) {
		v.add(at, "", "", "it holds no resource")
	}
	if r.Kind == cluster.Bundle {
		v.bundle(at, r)
	}
	v.attrSets(at, r.Meta)
	v.attrSets(at, r.Params)
	for i := range r.Children {
		v.resource(&r.Children[i])
	}
}

func (v *validator) primitive(kind string, r *cluster.Resource) {
	at := kind + " " + r.ID
	if kind == "template" {
		v.name(at, r.ID)
	}
	if r.Template != "" && !v.templates[r.Template] {
		v.add(at, "template", "", "template %q is not defined", r.Template)
	}
	if r.OpsRef != "" && v.resources[r.OpsRef] == nil && !v.templates[r.OpsRef] {
		v.add(at, "operations_of", "", "%q is not defined", r.OpsRef)
	}
	type key struct {
		name string
		ms   int64
	}
	seen := map[key]bool{}
	for _, op := range r.Operations {
		if op.Ref != "" {
			continue
		}
		ms, _ := Milliseconds(op.Interval)
		k := key{op.Name, ms}
		if seen[k] {
			v.add(at, "", "give them different intervals", "operation %s with interval %q is there twice", op.Name, op.Interval)
		}
		seen[k] = true
		if ms > 0 && op.Name != "monitor" && op.Name != "status" {
			v.add(at, "", "leave interval out", "operation %s cannot recur", op.Name)
		}
		if op.Name == "stop" && slices.Contains([]string{"standby", "demote", "stop"}, op.Attr("on-fail")) {
			v.add(at, "", "use fence, block, ignore or restart-container", "on_fail = %q is not possible for stop", op.Attr("on-fail"))
		}
	}
}

func (v *validator) bundle(at string, r *cluster.Resource) {
	if !slices.Contains([]string{"docker", "podman", "rkt"}, r.Bundle.Engine) {
		v.add(at, "engine", "use docker or podman", "there is no engine %q", r.Bundle.Engine)
	}
	if len(r.Children) > 0 && r.Bundle.IPRangeStart == "" && r.Bundle.ControlPort == "" {
		v.add(at, "", "set ip_range_start or control_port", "a resource inside needs an address or a control port")
	}
}

// attrSets checks blocks that stand for others.
func (v *validator) attrSets(at string, sets []cluster.AttrSet) {
	for _, s := range sets {
		if s.Ref != "" && !v.sets[s.Ref] {
			v.add(at, "", "", "there is no block %q to use", s.Ref)
		}
	}
}

func (v *validator) nodes() {
	seen := map[string]bool{}
	for _, n := range v.cfg.Nodes {
		at := "node " + n.Name
		v.name(at, n.Name)
		if seen[strings.ToLower(n.Name)] {
			v.add(at, "", "names differ in more than case", "there are two nodes of this name")
		}
		seen[strings.ToLower(n.Name)] = true
	}
	known := map[string]bool{}
	for _, t := range v.cfg.Tags {
		at := "tag " + t.ID
		v.name(at, t.ID)
		known[t.ID] = true
		if v.resources[t.ID] != nil || v.templates[t.ID] {
			v.add(at, "", "choose another name", "a resource has this name")
		}
		for _, ref := range t.References {
			if v.resources[ref] == nil && !v.templates[ref] && !seen[strings.ToLower(ref)] {
				v.add(at, "references", nearest(ref, v.copyNames()), "%q is not defined", ref)
			}
		}
	}
}

func (v *validator) copyNames() []string { return append([]string(nil), v.names...) }

func (v *validator) fencing() {
	type key struct {
		target string
		index  int
	}
	for _, d := range v.cfg.FenceDevices() {
		v.fenceDevice(d)
	}
	var devices []string
	for name := range v.devices {
		devices = append(devices, name)
	}
	seen := map[key]bool{}
	for _, l := range v.cfg.FencingLevels {
		target := l.Target + l.Pattern + l.Attribute
		at := fmt.Sprintf("fencing_level %s level %d", target, l.Index)
		if l.Attribute == "" {
			if k := (key{target, l.Index}); seen[k] {
				v.add(at, "", "", "the level is there twice")
			} else {
				seen[k] = true
			}
		}
		if len(l.Devices) == 0 {
			v.add(at, "devices", "", "it has no devices")
		}
		for _, d := range l.Devices {
			if !v.devices[d] {
				v.add(at, "devices", nearest(d, devices), "fence device %q is not defined", d)
			}
		}
		if l.Pattern != "" {
			if _, err := regexp.Compile(l.Pattern); err != nil {
				v.add(at, "", "", "pattern: %v", err)
			}
		}
	}
}

// fenceDevice checks what the cluster itself reads of a fence device's parameters.
func (v *validator) fenceDevice(d *cluster.Resource) {
	_, params := v.cfg.FenceParams(d)
	for _, p := range params {
		_, err := cluster.ParseFenceDevice([]cluster.NVPair{p})
		if err == nil {
			continue
		}
		v.add(title(d), "params", nearest(p.Name, cluster.FenceParameters()), "%s", strings.TrimPrefix(err.Error(), "fence device parameter "))
	}
	hosts, _ := cluster.ParseFenceDevice(params)
	if hosts.Check == cluster.HostStatic && len(hosts.Hosts) == 0 && len(hosts.Map) == 0 {
		v.add(title(d), "hosts", `write for example hosts = ["alpha", "beta"]`, "it fences nobody: pcmk_host_check is static-list, and there are no hosts")
	}
}

func (v *validator) access() {
	roles := map[string]bool{}
	for _, r := range v.cfg.ACLRoles {
		roles[r.ID] = true
	}
	for _, t := range v.cfg.ACLTargets {
		for _, r := range t.Roles {
			if !roles[r] {
				v.add(targetTitle(t), "roles", "", "role %q is not defined", r)
			}
		}
	}
}
