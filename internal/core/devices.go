package core

import (
	"reflect"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/core/fencing"
)

// learning marks the ids of calls that ask a device about itself.
const learning = uint64(1) << 61

// How long answers of devices hold.
const (
	listHolds   = time.Minute
	statusHolds = 5 * time.Minute
	agentHolds  = 15 * time.Minute
	learnAgain  = 30 * time.Second // after a failure
)

// study is the leader's learning about one fence device.
type study struct {
	device  string
	digest  string
	due     time.Duration // Mono
	order   uint64        // of the question that is open, 0: none
	action  string        // asked
	node    string        // ... for status
	callers []string      // who may ask, the next one first
	pending []string      // nodes whose status is still to be asked
	reached bool          // somebody got an answer of the device itself
	via     string        // who: asks first, and if it fails nobody else can
	draft   cluster.DeviceState
	failed  int // status questions, of which
	last    string
}

// learnDevices asks devices about themselves, and again when the answers are old.
// Nothing waits for it: what is not known yet is tried after what is.
func (c *Core) learnDevices() {
	l := &c.lead
	if l.studied != c.state.Revision {
		l.studied = c.state.Revision
		c.reviewStudies()
	}
	for _, s := range l.studies {
		if s.order != 0 || c.now.Mono < s.due {
			continue
		}
		s.draft = cluster.DeviceState{ID: s.device, Digest: s.digest}
		if known := c.state.Device(s.device, s.digest); known != nil {
			s.draft = *known
		}
		s.failed, s.last, s.pending, s.reached = 0, "", nil, false
		c.ask(s, "metadata", "")
	}
}

// reviewStudies follows a change of the configuration.
func (c *Core) reviewStudies() {
	var studies []*study
	for _, d := range c.state.Config.FenceDevices() {
		digest := cluster.FenceDigest(c.state.Config.FenceParams(d))
		i := slices.IndexFunc(c.lead.studies, func(s *study) bool { return s.device == d.ID && s.digest == digest })
		if i >= 0 {
			studies = append(studies, c.lead.studies[i])
			continue
		}
		s := &study{device: d.ID, digest: digest, due: c.now.Mono}
		if c.state.Device(d.ID, digest) != nil {
			s.due += 5 * time.Second // a new leader has more urgent things to do
		}
		studies = append(studies, s)
	}
	c.lead.studies = studies
}

func (c *Core) ask(s *study, action, node string) {
	s.action, s.node = action, node
	if s.callers = c.callers("", fencing.Step{Call: event.FenceCall{Device: s.device}}); s.reached {
		s.callers = []string{s.via}
	}
	c.askNext(s)
}

// askNext has the next caller ask; false if there is none.
func (c *Core) askNext(s *study) bool {
	d := c.state.Config.FindResource(s.device)
	if d == nil || len(s.callers) == 0 {
		return false
	}
	c.number++
	s.order = c.number
	call := fencing.Question(c.state, d, s.action)
	call.ID, call.Order, call.Caller = learning, s.order, s.callers[0]
	call.Target = cluster.Incarnation{Node: s.node}
	s.draft.By = s.callers[0]
	if s.draft.By == "" {
		s.draft.By = c.self.Node
	}
	s.callers = s.callers[1:]
	c.callDevice(call)
	return true
}

// devicesAsked tells whether every device that anybody can ask has said what it can, or
// failed to: only then is it known by which of them a node has to be unfenced.
func (c *Core) devicesAsked() bool {
	for _, d := range c.state.Config.FenceDevices() {
		digest := cluster.FenceDigest(c.state.Config.FenceParams(d))
		if c.state.Device(d.ID, digest) == nil && len(c.callers("", fencing.Step{Call: event.FenceCall{Device: d.ID}})) > 0 {
			return false
		}
	}
	return true
}

// learnt takes an answer.
func (c *Core) learnt(e event.FenceCalled) {
	i := slices.IndexFunc(c.lead.studies, func(s *study) bool { return s.order != 0 && s.order == e.Call.Order && s.device == e.Call.Device })
	if i < 0 {
		return
	}
	s := c.lead.studies[i]
	s.order = 0
	d := c.state.Config.FindResource(s.device)
	if d == nil {
		return
	}
	_, params := c.state.Config.FenceParams(d)
	settings, _ := cluster.ParseFenceDevice(params)
	if !e.OK && c.askNext(s) {
		return
	}
	if !e.OK && s.action != "status" {
		s.draft.Error = e.Error
		c.conclude(s, learnAgain)
		return
	}
	if e.OK && s.action != "metadata" {
		s.reached, s.via = true, e.Call.Caller
		c.lead.unable[s.device] = s.via != ""
	}
	switch s.action {
	case "metadata":
		s.told(e.Actions)
		switch settings.HostCheck(&s.draft) {
		case cluster.HostDynamic:
			c.ask(s, "list", "")
			return
		case cluster.HostStatus:
			for i := range c.state.Members {
				if m := &c.state.Members[i]; !c.state.IsWitness(m) {
					s.pending = append(s.pending, m.Name)
				}
			}
			s.draft.Can, s.draft.Cannot = nil, nil
			c.askStatus(s)
			return
		}
		s.draft.Error = ""
		c.conclude(s, agentHolds)
	case "list":
		s.draft.Listed, s.draft.Plugs, s.draft.Error = true, cluster.ParseFenceList(e.Output), ""
		c.conclude(s, listHolds)
	case "status":
		if e.OK {
			s.draft.Can = append(s.draft.Can, s.node)
		} else {
			s.draft.Cannot = append(s.draft.Cannot, s.node)
			s.failed, s.last = s.failed+1, e.Error
		}
		c.askStatus(s)
	}
}

// told notes what an agent says that it can.
func (s *study) told(actions []cluster.AdvisedAction) {
	d := &s.draft
	d.Known, d.Actions, d.OnTarget, d.Unfences = len(actions) > 0, nil, nil, false
	for _, a := range actions {
		d.Actions = append(d.Actions, a.Name)
		if a.OnTarget {
			d.OnTarget = append(d.OnTarget, a.Name)
		}
		if a.Name == "on" && a.Automatic {
			d.Unfences = true
		}
	}
}

// askStatus asks for the status of the next node, or concludes. A device that
// answers for no node at all does not work.
func (c *Core) askStatus(s *study) {
	if len(s.pending) > 0 {
		node := s.pending[0]
		s.pending = s.pending[1:]
		c.ask(s, "status", node)
		return
	}
	s.draft.Error = ""
	if s.failed > 0 && len(s.draft.Can) == 0 {
		s.draft.Error, s.draft.Cannot = s.last, nil
		if known := c.state.Device(s.device, s.digest); known != nil {
			s.draft.Can, s.draft.Cannot = known.Can, known.Cannot
		}
		c.conclude(s, learnAgain)
		return
	}
	c.conclude(s, statusHolds)
}

// conclude commits what is new, and sets when to ask again.
func (c *Core) conclude(s *study, holds time.Duration) {
	s.due = c.now.Mono + holds
	if c.lead.studied != c.state.Revision {
		s.due = 0 // of a definition that may be gone
		return
	}
	known := c.state.Device(s.device, s.digest)
	if known != nil {
		same := s.draft
		same.By, same.Learned = known.By, known.Learned
		if reflect.DeepEqual(same, *known) {
			return
		}
	}
	draft := s.draft
	c.lead.batch = append(c.lead.batch, cluster.Command{Device: &draft})
}
