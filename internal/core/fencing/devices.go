// Package fencing decides by which devices a node is cut off, and walks through
// them: levels, devices in a level, attempts.
package fencing

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

const (
	defaultTimeout  = 60 * time.Second // Pacemaker's stonith-timeout
	defaultAttempts = 2                // Pacemaker's pcmk_ACTION_retries
)

// Step is one action of one device.
type Step struct {
	Call     event.FenceCall // ID, Target and Attempt are filled when it is called
	Attempts int
	Optional bool // its failure does not undo the success: power on after off
}

// Route is one way to fence a target: all its steps, in order.
type Route struct {
	Level int
	Steps []Step
}

// Routes returns the ways to carry out action (off, reboot, on) on the node
// called target, in the order in which they are tried; none if no device can.
func Routes(c *cluster.Config, target, action string) []Route {
	if levels := levelsOf(c, target); len(levels) > 0 {
		var routes []Route
		for _, l := range levels {
			if r, ok := levelRoute(c, l, target, action); ok {
				routes = append(routes, r)
			}
		}
		return routes
	}
	var routes []Route
	for _, d := range c.FenceDevices() {
		if dev := open(c, d); dev.serves(target) {
			routes = append(routes, Route{Steps: []Step{dev.step(target, action)}})
		}
	}
	return routes
}

// Delay returns the head start that the target gets: the fixed one and the most
// that a random one adds to it, of the first device that would be called.
func Delay(c *cluster.Config, target, action string) (base, extra time.Duration) {
	routes := Routes(c, target, action)
	if len(routes) == 0 || len(routes[0].Steps) == 0 {
		return 0, 0
	}
	d := c.FindResource(routes[0].Steps[0].Call.Device)
	if d == nil {
		return 0, 0
	}
	dev := open(c, d)
	base = forNode(dev.param("pcmk_delay_base"), target)
	longest, _ := Duration(dev.param("pcmk_delay_max"))
	return base, max(0, longest-base)
}

// forNode reads a time that may be given per node: "5s" or "a:1s;b:5s".
func forNode(text, node string) time.Duration {
	if d, ok := Duration(text); ok {
		return d
	}
	for _, part := range split(text) {
		if name, value, ok := strings.Cut(part, ":"); ok && name == node {
			d, _ := Duration(value)
			return d
		}
	}
	return 0
}

// Duration reads a time as Pacemaker's users write it: "60", "60s", "500ms", "2min".
func Duration(text string) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	digits := strings.TrimLeft(text, "0123456789")
	n, err := strconv.ParseInt(text[:len(text)-len(digits)], 10, 32)
	if err != nil {
		return 0, false
	}
	units := map[string]time.Duration{
		"": time.Second, "s": time.Second, "sec": time.Second, "ms": time.Millisecond, "msec": time.Millisecond,
		"us": time.Microsecond, "m": time.Minute, "min": time.Minute, "h": time.Hour, "hr": time.Hour,
	}
	unit, ok := units[strings.ToLower(strings.TrimSpace(digits))]
	if !ok {
		d, err := time.ParseDuration(text)
		return d, err == nil
	}
	return time.Duration(n) * unit, true
}

func split(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ';' || r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

// levelsOf returns the fencing levels that are meant for target, by index.
func levelsOf(c *cluster.Config, target string) []cluster.FencingLevel {
	var levels []cluster.FencingLevel
	for _, l := range c.FencingLevels {
		match := l.Target == target && l.Target != ""
		if l.Pattern != "" {
			p, err := regexp.Compile("^(?:" + l.Pattern + ")$")
			match = err == nil && p.MatchString(target)
		}
		if l.Attribute != "" {
			match = attribute(c, target, l.Attribute) == l.Value
		}
		if match {
			levels = append(levels, l)
		}
	}
	slices.SortStableFunc(levels, func(a, b cluster.FencingLevel) int { return cmp.Compare(a.Index, b.Index) })
	return levels
}

func attribute(c *cluster.Config, node, name string) string {
	for i := range c.Nodes {
		if c.Nodes[i].Name == node {
			return cluster.Value(c.Nodes[i].Attributes, name)
		}
	}
	return ""
}

// levelRoute returns the steps of one level; ok is false if a device is missing.
// Several devices that together cut power must all be off before one is on again.
func levelRoute(c *cluster.Config, l cluster.FencingLevel, target, action string) (Route, bool) {
	r := Route{Level: l.Index}
	var devices []device
	for _, id := range l.Devices {
		d := c.FindResource(id)
		if d == nil || !d.Agent.IsFence() {
			return r, false
		}
		devices = append(devices, open(c, d))
	}
	if action == "reboot" && len(devices) > 1 {
		for _, d := range devices {
			r.Steps = append(r.Steps, d.step(target, "off"))
		}
		for _, d := range devices {
			s := d.step(target, "on")
			s.Optional = true
			r.Steps = append(r.Steps, s)
		}
		return r, true
	}
	for _, d := range devices {
		r.Steps = append(r.Steps, d.step(target, action))
	}
	return r, len(devices) > 0
}

// device is a fence device with its parameters.
type device struct {
	config *cluster.Config
	id     string
	agent  cluster.Agent
	params []cluster.AttrSet
}

func open(c *cluster.Config, r *cluster.Resource) device {
	d := device{config: c, id: r.ID, agent: r.Agent, params: r.Params}
	if r.Template != "" {
		for i := range c.Templates {
			if t := &c.Templates[i]; t.ID == r.Template {
				if d.agent.Type == "" {
					d.agent = t.Agent
				}
				d.params = slices.Concat(d.params, t.Params)
			}
		}
	}
	return d
}

func (d device) param(name string) string { return cluster.Value(d.params, name) }

// serves tells whether the device can fence the node called target.
func (d device) serves(target string) bool {
	list, hosts := d.param("pcmk_host_list"), d.param("pcmk_host_map")
	if list == "" && hosts == "" {
		return true
	}
	if slices.Contains(split(list), target) {
		return true
	}
	_, ok := d.mapped(target)
	return ok
}

// mapped returns the plug of a node by pcmk_host_map ("a:1;b:2,3").
func (d device) mapped(target string) (string, bool) {
	for _, part := range strings.FieldsFunc(d.param("pcmk_host_map"), func(r rune) bool { return r == ';' || r == ' ' || r == '\t' || r == '\n' }) {
		if name, plug, ok := strings.Cut(part, ":"); ok && name == target {
			return plug, true
		}
	}
	return "", false
}

// step returns the call that carries out action on target.
func (d device) step(target, action string) Step {
	call := event.FenceCall{Device: d.id, Agent: d.agent, Action: action, Timeout: d.timeout(action)}
	if alias := d.param("pcmk_" + action + "_action"); alias != "" {
		call.Action = alias
	}
	call.Params = d.arguments(target)
	attempts := defaultAttempts
	if n, err := strconv.Atoi(d.param("pcmk_" + action + "_retries")); err == nil {
		attempts = max(n, 1)
	}
	return Step{Call: call, Attempts: attempts}
}

func (d device) timeout(action string) time.Duration {
	for _, text := range []string{d.param("pcmk_" + action + "_timeout"), d.config.Option("fencing-timeout", "stonith-timeout")} {
		if t, ok := Duration(text); ok && t > 0 {
			return t
		}
	}
	return defaultTimeout
}

// arguments returns the device's parameters as the agent gets them: those that
// are the cluster's own are left out, the target is put in.
func (d device) arguments(target string) []cluster.NVPair {
	plug, ok := d.mapped(target)
	if !ok {
		plug = target
	}
	set := map[string]cluster.NVPair{}
	for _, s := range d.params {
		if s.Rule != nil {
			continue
		}
		for _, p := range s.Pairs {
			own := strings.HasPrefix(p.Name, "pcmk_") || strings.HasPrefix(p.Name, "CRM_meta_") ||
				p.Name == "stonith-timeout" || p.Name == "crm_feature_set" || p.Name == "provides" || p.Name == "action"
			if _, seen := set[p.Name]; !own && !seen && p.Name != "" {
				set[p.Name] = cluster.NVPair{Name: p.Name, Value: p.Value, File: p.File}
			}
		}
	}
	set["nodename"] = cluster.NVPair{Name: "nodename", Value: target}
	// Agents ignore the name that they do not know.
	names := []string{"plug", "port"}
	if argument := d.param("pcmk_host_argument"); argument == "none" {
		names = nil
	} else if argument != "" {
		names = []string{argument}
	}
	for _, name := range names {
		if p, ok := set[name]; !ok || p.Value == "dynamic" {
			set[name] = cluster.NVPair{Name: name, Value: plug}
		}
	}
	pairs := make([]cluster.NVPair, 0, len(set))
	for _, p := range set {
		pairs = append(pairs, p)
	}
	slices.SortFunc(pairs, func(a, b cluster.NVPair) int { return strings.Compare(a.Name, b.Name) })
	return pairs
}

// String names a step for the trace.
func (s Step) String() string { return fmt.Sprintf("%s %s", s.Call.Device, s.Call.Action) }

// EndingBoot returns those routes whose success surely ends the target's boot:
// devices that cut storage or network only (they provide unfencing) do not.
func EndingBoot(c *cluster.Config, routes []Route) []Route {
	var ending []Route
	for _, r := range routes {
		if slices.ContainsFunc(r.Steps, func(s Step) bool { return endsBoot(c, s) }) {
			ending = append(ending, r)
		}
	}
	return ending
}

func endsBoot(c *cluster.Config, s Step) bool {
	d := c.FindResource(s.Call.Device)
	if d == nil {
		return false
	}
	dev := open(c, d)
	if cluster.Value(d.Meta, "provides") == "unfencing" || dev.param("provides") == "unfencing" {
		return false
	}
	return !slices.Contains([]string{"fence_scsi", "fence_mpath", "fence_sanbox2", "fence_brocade", "fence_ifmib", "fence_cisco_mds", "fence_heuristics_ping", "fence_kdump"}, dev.agent.Type)
}
