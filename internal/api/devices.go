package api

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"linuxha/internal/cluster"
)

// devices describes the fence devices.
func devices(s *cluster.State) []Device {
	var out []Device
	for _, r := range s.Config.FenceDevices() {
		agent, params := s.Config.FenceParams(r)
		settings, _ := cluster.ParseFenceDevice(params) // what is wrong was said when it was applied
		learnt := s.Device(r.ID, cluster.FenceDigest(agent, params))
		d := Device{ID: r.ID, Agent: agent.Type, State: "unknown", Check: string(settings.HostCheck(learnt)), Limit: settings.ActionLimit}
		d.Unfences = cluster.Value(r.Meta, "provides") == "unfencing"
		if learnt != nil {
			d.Asked, d.By = learnt.Learned, learnt.By
			d.Unfences = d.Unfences || learnt.Unfences
		}
		failed := ""
		for i := range s.Members {
			m := &s.Members[i]
			if s.IsWitness(m) {
				continue
			}
			switch can, sure := settings.CanFence(learnt, m.Name); {
			case can && sure:
				d.Fences = append(d.Fences, m.Name)
			case can:
				d.Maybe = append(d.Maybe, m.Name)
			}
			if text := d.watch(m); text != "" {
				failed = text
			}
		}
		switch {
		case learnt != nil && learnt.Error != "":
			d.State, d.Error = "fails", learnt.Error
		case failed != "":
			d.State, d.Error = "fails", failed
			if len(d.Watched) > 0 {
				d.State = "works" // from elsewhere
			}
		case learnt != nil || len(d.Watched) > 0:
			d.State = "works"
		}
		for _, l := range s.Config.FencingLevels {
			if slices.Contains(l.Devices, r.ID) {
				d.Levels = append(d.Levels, fmt.Sprintf("%s:%d", l.Target+l.Pattern+strings.Trim(l.Attribute+"="+l.Value, "="), l.Index))
			}
		}
		out = append(out, d)
	}
	return out
}

// watch notes whether a node watches the device, and returns what failed there.
func (d *Device) watch(m *cluster.Member) (failed string) {
	h := m.HistoryOf(d.ID)
	if h == nil {
		return ""
	}
	watches := false
	for i := range h.Operations {
		e := &h.Operations[i]
		watches = watches || e.Operation == "monitor" && e.IntervalMS > 0
		if e.Failed() {
			failed = fmt.Sprintf("%s on %s: %s", e.Operation, m.Name, cmp.Or(e.ExitReason, fmt.Sprintf("result %d", e.RC)))
		}
	}
	if watches && failed == "" && h.Active() {
		d.Watched = append(d.Watched, m.Name)
	}
	return failed
}

// fenceWarnings are the troubles with fencing that show before it is needed.
func fenceWarnings(s *cluster.State, v *Status) (out []Warning) {
	if !s.Config.FencingEnabled() {
		return nil
	}
	covered := map[string]bool{}
	for i := range v.Devices {
		d := &v.Devices[i]
		for _, n := range append(slices.Clone(d.Fences), d.Maybe...) {
			covered[n] = true
		}
		if d.State == "fails" {
			out = append(out, Warning{
				Code: "fence-device", Severity: "error", Text: fmt.Sprintf("fence device %s does not work: %s", d.ID, d.Error),
				Hint: "what it is for cannot be fenced if that is needed now; see: ha fence devices",
			})
		}
	}
	for i := range s.Members {
		m := &s.Members[i]
		if f := lastUnfencing(s, m); f != nil && f.Result == "failed" && m.State == cluster.NodeOnline {
			out = append(out, Warning{
				Code: "unfencing", Severity: "error", Text: fmt.Sprintf("%s could not be unfenced: %s", m.Name, f.Error),
				Hint: "what requires that does not start there; it is tried again by itself",
			})
		}
		if m.Cut {
			var held []string
			for _, g := range s.Grants {
				if slices.ContainsFunc(g.Holders, func(h cluster.Incarnation) bool { return h.Node == m.Name }) {
					held = append(held, g.Instance)
				}
			}
			if len(held) > 0 {
				out = append(out, Warning{
					Code: "node-cut", Severity: "error",
					Text: fmt.Sprintf("%s was cut off from its storage or network only; it may still run %s, which is not recovered", m.Name, strings.Join(held, ", ")),
					Hint: fmt.Sprintf("power it off, then say: ha fence confirm %s; what only needs its storage says so with requires = \"unfencing\"", m.Name),
				})
			}
		}
		if len(v.Devices) > 0 && !covered[m.Name] && !s.IsWitness(m) && len(s.Members) > 1 && s.Config.Watchdog == nil {
			out = append(out, Warning{
				Code: "unfenceable", Severity: "error", Text: fmt.Sprintf("no fence device is for %s: nothing will be recovered from it if it is lost", m.Name),
				Hint: "add it to the hosts of a fence_device; see: ha fence devices",
			})
		}
	}
	return out
}

// lastUnfencing returns the newest unfencing of a member's incarnation, or nil.
func lastUnfencing(s *cluster.State, m *cluster.Member) *cluster.Fencing {
	for i := len(s.Fencings) - 1; i >= 0; i-- {
		if f := &s.Fencings[i]; f.Action == "on" && f.Target == m.Incarnation && !f.Open() {
			return f
		}
	}
	return nil
}
