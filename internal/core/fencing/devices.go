// Package fencing decides by which devices a node is cut off, and walks through
// them: levels, devices in a level, callers, attempts.
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

// defaultTimeout is Pacemaker's stonith-timeout.
const defaultTimeout = 60 * time.Second

// Step is one action of one device.
type Step struct {
	Call     event.FenceCall // ID, Target, Order, Caller and Attempt are filled when it is called
	Attempts int             // within Call.Timeout
	Optional bool            // the other steps count though it fails: power back after off
	Limit    int             // calls of the device at once; -1 unlimited
	OnTarget bool            // the target itself has to call the device
	Power    bool            // its success ends the target's boot
}

// Route is one way to fence a target: all its steps, in order.
type Route struct {
	Level int
	Steps []Step
	// PowerBack are the devices, by id with commas between, that are to be
	// switched on once all Steps have switched off.
	PowerBack string
}

// Alone tells whether the target's boot ends by one call of one device.
func (r Route) Alone() bool { return len(r.Steps) == 1 && r.Steps[0].Power }

// Uses tells whether a device is part of r.
func (r Route) Uses(device string) bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Call.Device == device })
}

// EndsBoot tells whether the success of r surely ends the target's boot: devices
// that cut storage or network only do not.
func (r Route) EndsBoot() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Power })
}

// Routes returns the ways to carry out action (off, reboot, on) on the node
// called target, in the order in which they are tried; none if no device can.
func Routes(s *cluster.State, target, action string) []Route {
	if action == "on" {
		if r := unfencing(s, target); len(r.Steps) > 0 {
			return []Route{r}
		}
	}
	c := &s.Config
	if levels := levelsOf(c, target); len(levels) > 0 {
		var routes []Route
		for _, l := range levels {
			if r, ok := levelRoute(s, l, target, action); ok {
				routes = append(routes, r)
			}
		}
		return routes
	}
	var sure, unsure []device
	for _, d := range c.FenceDevices() {
		dev := open(s, d)
		switch can, known := dev.settings.CanFence(dev.learnt, target); {
		case can && known:
			sure = append(sure, dev)
		case can:
			unsure = append(unsure, dev)
		}
	}
	byPriority := func(a, b device) int { return cmp.Compare(b.priority(), a.priority()) }
	slices.SortStableFunc(sure, byPriority)
	slices.SortStableFunc(unsure, byPriority)
	var routes []Route
	for _, d := range slices.Concat(sure, unsure) {
		routes = append(routes, Route{Steps: []Step{d.step(target, action)}})
	}
	return routes
}

// unfencing is what a node needs before it may use what is cut from fenced
// nodes: "on" of every device that says so.
func unfencing(s *cluster.State, target string) Route {
	var r Route
	for _, d := range s.Config.FenceDevices() {
		dev := open(s, d)
		if can, _ := dev.settings.CanFence(dev.learnt, target); can && dev.unfences() {
			r.Steps = append(r.Steps, dev.step(target, "on"))
		}
	}
	return r
}

// Delay returns the head start that the target gets: the fixed one and the most
// that a random one adds to it, of the first device that would be called.
func Delay(s *cluster.State, routes []Route, target string) (base, extra time.Duration) {
	if len(routes) == 0 || len(routes[0].Steps) == 0 {
		return 0, 0
	}
	d := s.Config.FindResource(routes[0].Steps[0].Call.Device)
	if d == nil {
		return 0, 0
	}
	least, largest := open(s, d).settings.Delay(target)
	return least, largest - least
}

// levelsOf returns the fencing levels that are meant for target, by index.
func levelsOf(c *cluster.Config, target string) []cluster.FencingLevel {
	var levels []cluster.FencingLevel
	for _, l := range c.FencingLevels {
		match := l.Target != "" && strings.EqualFold(l.Target, target)
		if l.Pattern != "" {
			p, err := regexp.Compile(l.Pattern)
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
		if strings.EqualFold(c.Nodes[i].Name, node) {
			return cluster.Value(c.Nodes[i].Attributes, name)
		}
	}
	return ""
}

// levelRoute returns the steps of one level; ok is false if a device is missing.
// Several devices that together cut power must all be off before one is on again.
func levelRoute(s *cluster.State, l cluster.FencingLevel, target, action string) (Route, bool) {
	r := Route{Level: l.Index}
	var devices []device
	for _, id := range l.Devices {
		d := s.Config.FindResource(id)
		if d == nil || !d.Agent.IsFence() {
			return r, false
		}
		devices = append(devices, open(s, d))
	}
	if action == "reboot" && len(devices) > 1 {
		action = "off"
		var back []string
		for _, d := range devices {
			// What a joining node is unfenced by is switched on then, not before.
			if !d.unfences() && d.learnt.Has("on") {
				back = append(back, d.resource.ID)
			}
		}
		r.PowerBack = strings.Join(back, ",")
	}
	for _, d := range devices {
		r.Steps = append(r.Steps, d.step(target, action))
	}
	return r, len(devices) > 0
}

// PowerBack returns how devices are switched on again: each, whether or not others
// fail.
func PowerBack(s *cluster.State, target, devices string) []Route {
	var r Route
	for id := range strings.SplitSeq(devices, ",") {
		if d := s.Config.FindResource(id); d != nil && d.Agent.IsFence() {
			step := open(s, d).step(target, "on")
			step.Optional = true
			r.Steps = append(r.Steps, step)
		}
	}
	if len(r.Steps) == 0 {
		return nil
	}
	return []Route{r}
}

// device is a fence device with its parameters and what was learnt of it.
type device struct {
	state    *cluster.State
	resource *cluster.Resource
	agent    cluster.Agent
	params   []cluster.NVPair
	settings *cluster.FenceDevice
	learnt   *cluster.DeviceState // nil: nothing yet
}

func open(s *cluster.State, r *cluster.Resource) device {
	d := device{state: s, resource: r}
	d.agent, d.params = s.Config.FenceParams(r)
	// What is wrong with the parameters was said when they were set.
	d.settings, _ = cluster.ParseFenceDevice(d.params)
	d.learnt = s.Device(r.ID, cluster.FenceDigest(d.agent, d.params))
	return d
}

func (d device) param(name string) string {
	for _, p := range d.params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// priority decides which of several devices is tried first: the higher one.
func (d device) priority() int {
	n, _ := strconv.Atoi(cmp.Or(d.param("priority"), cluster.Value(d.resource.Meta, "priority")))
	return n
}

// unfences tells whether a joining node needs the device's "on".
func (d device) unfences() bool {
	return cluster.Value(d.resource.Meta, "provides") == "unfencing" || d.param("provides") == "unfencing" || d.learnt != nil && d.learnt.Unfences
}

// step returns the call that carries out action on target.
func (d device) step(target, action string) Step {
	fallback := defaultTimeout
	if t, err := cluster.ParseSeconds(d.state.Config.Option("fencing-timeout", "stonith-timeout")); err == nil && t > 0 {
		fallback = t
	}
	return Step{
		Call: event.FenceCall{
			Device: d.resource.ID, Agent: d.agent, Action: action, Params: d.params, Timeout: d.settings.Timeout(action, fallback),
		},
		Attempts: d.settings.Tries(action),
		Limit:    d.settings.ActionLimit,
		OnTarget: d.learnt != nil && slices.Contains(d.learnt.OnTarget, action),
		Power:    d.endsBoot(),
	}
}

// String names a step for the trace.
func (s Step) String() string { return fmt.Sprintf("%s %s", s.Call.Device, s.Call.Action) }

// cutting are agents that cut storage or network, or nothing at all: known by
// name, for as long as they have not told about themselves.
var cutting = []string{
	"fence_scsi", "fence_mpath", "fence_sanbox2", "fence_brocade", "fence_ifmib", "fence_cisco_mds", "fence_hds_cb", "fence_compute", "fence_evacuate",
	"fence_heuristics_ping",
}

// endsBoot tells whether the device's success surely ends the target's boot. One
// that can cut and not reboot, or that nodes are unfenced by, cuts storage or
// network only. A message of fence_kdump comes from another kernel.
func (d device) endsBoot() bool {
	switch {
	case slices.Contains(cutting, d.agent.Type) || d.unfences():
		return false
	case d.agent.Type == "fence_kdump":
		return true
	}
	return d.learnt.Has("reboot")
}

// EndingBoot returns those routes whose success surely ends the target's boot.
func EndingBoot(routes []Route) []Route {
	var ending []Route
	for _, r := range routes {
		if r.EndsBoot() {
			ending = append(ending, r)
		}
	}
	return ending
}

// Question is what a device is to be asked, to learn about it: its metadata, its
// list, or its status for a node.
func Question(s *cluster.State, r *cluster.Resource, action string) event.FenceCall {
	d := open(s, r)
	return event.FenceCall{
		Device: r.ID, Agent: d.agent, Action: action, Params: d.params, Timeout: d.settings.Timeout(action, 20*time.Second), Attempt: 1,
	}
}
