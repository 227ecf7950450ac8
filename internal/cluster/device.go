package cluster

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// DeviceState is what the cluster has learnt of a fence device by asking it:
// what its agent can do, and whom it can fence where its parameters do not say.
type DeviceState struct {
	ID     string `json:"id"`
	Digest string `json:"digest"` // of the definition that this was learnt of
	// Known: the agent told about itself.
	Known    bool     `json:"known,omitempty"`
	Actions  []string `json:"actions,omitempty"`   // that the agent has
	OnTarget []string `json:"on_target,omitempty"` // those that must run on the target itself
	Unfences bool     `json:"unfences,omitempty"`  // a joining node needs its "on" (automatic)

	Listed bool       `json:"listed,omitempty"` // the list action has been answered
	Plugs  []PlugName `json:"plugs,omitempty"`  // its answer
	Can    []string   `json:"can,omitempty"`    // nodes for which the status action was answered
	Cannot []string   `json:"cannot,omitempty"` // ... and failed

	By      string    `json:"by,omitempty"`    // node that asked
	Learned time.Time `json:"learned"`         // when this changed last
	Error   string    `json:"error,omitempty"` // why it could not be asked; the rest is older then
}

// maxPlugs bounds what is kept of a device's list.
const maxPlugs = 2000

// FenceParams returns the parameters of a fence device as configured, its
// template's included: of each name the first that counts, in no rule.
func (c *Config) FenceParams(r *Resource) (Agent, []NVPair) {
	agent, sets := r.Agent, r.Params
	for i := range c.Templates {
		if t := &c.Templates[i]; t.ID == r.Template && r.Template != "" {
			if agent.Type == "" {
				agent = t.Agent
			}
			sets = slices.Concat(sets, t.Params)
		}
	}
	var pairs []NVPair
	for _, s := range sets {
		if s.Rule != nil {
			continue
		}
		for _, p := range s.Pairs {
			if p.Name != "" && !slices.ContainsFunc(pairs, func(o NVPair) bool { return o.Name == p.Name }) {
				pairs = append(pairs, NVPair{Name: p.Name, Value: p.Value, File: p.File})
			}
		}
	}
	return agent, pairs
}

// FenceDigest identifies the definition of a fence device.
func FenceDigest(agent Agent, params []NVPair) string {
	data, err := json.Marshal(struct {
		Agent  Agent
		Params []NVPair
	}{agent, params})
	if err != nil { // of plain strings: cannot happen
		data = []byte(err.Error())
	}
	h := fnv.New64a()
	h.Write(data)
	return fmt.Sprintf("%016x", h.Sum64())
}

// Device returns what was learnt of a fence device as it is defined now, or nil.
func (s *State) Device(id, digest string) *DeviceState {
	for i := range s.Devices {
		if d := &s.Devices[i]; d.ID == id && d.Digest == digest {
			return d
		}
	}
	return nil
}

// Has tells whether the device's agent has an action; true as long as that is
// not known.
func (d *DeviceState) Has(action string) bool {
	return d == nil || !d.Known || slices.Contains(d.Actions, action)
}

// HostCheck is how a device's targets are found: what its parameters say, else
// the best that its agent can do; "" if that is not known yet.
func (d *FenceDevice) HostCheck(learnt *DeviceState) HostCheck {
	switch {
	case d.Check != "":
		return d.Check
	case learnt == nil || !learnt.Known:
		return ""
	case learnt.Has(d.Alias("list")):
		return HostDynamic
	case learnt.Has(d.Alias("status")):
		return HostStatus
	}
	return HostAny
}

// CanFence tells whether the device can fence node, as far as that is known. A
// device that cannot be asked may be tried (can, not sure), after the others.
func (d *FenceDevice) CanFence(learnt *DeviceState, node string) (can, sure bool) {
	same := func(name string) bool { return strings.EqualFold(name, node) }
	switch d.HostCheck(learnt) {
	case HostStatic:
		return d.Fences(node)
	case HostAny:
		return true, true
	case HostDynamic:
		if learnt != nil && learnt.Listed {
			return d.Lists(learnt.Plugs, node), true
		}
	case HostStatus:
		switch {
		case learnt == nil:
		case slices.ContainsFunc(learnt.Can, same):
			return true, true
		case slices.ContainsFunc(learnt.Cannot, same):
			return false, true
		}
	}
	return true, false
}

// device notes what was learnt of a fence device.
func (a *applier) device(d *DeviceState) *Rejection {
	r := a.s.Config.FindResource(d.ID)
	if r == nil || !r.Agent.IsFence() {
		return reject("not-found", "there is no fence device %s", d.ID)
	}
	if agent, params := a.s.Config.FenceParams(r); FenceDigest(agent, params) != d.Digest {
		return reject("conflict", "fence device %s was changed meanwhile", d.ID)
	}
	now := *d
	now.Learned = a.time
	if len(now.Plugs) > maxPlugs {
		now.Plugs = now.Plugs[:maxPlugs]
	}
	was := a.s.Device(d.ID, d.Digest)
	switch {
	case now.Error != "" && (was == nil || was.Error == ""):
		a.event(Event{Kind: "fencing", Severity: "error", Text: fmt.Sprintf("fence device %s does not answer %s: %s", d.ID, d.By, d.Error)})
	case now.Error == "" && was != nil && was.Error != "":
		a.event(Event{Kind: "fencing", Text: fmt.Sprintf("fence device %s answers again", d.ID)})
	}
	devices := slices.DeleteFunc(slices.Clone(a.s.Devices), func(o DeviceState) bool {
		x := a.s.Config.FindResource(o.ID)
		return o.ID == d.ID || x == nil || !x.Agent.IsFence()
	})
	i, _ := slices.BinarySearchFunc(devices, d.ID, func(o DeviceState, id string) int { return compareText(o.ID, id) })
	a.s.Devices = slices.Insert(devices, i, now)
	return nil
}
