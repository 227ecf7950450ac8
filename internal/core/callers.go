package core

import (
	"slices"
	"strings"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/cluster/mutant"
	"linuxha/internal/core/event"
	"linuxha/internal/core/fencing"
)

// callSlack is added to the time that another node's call of a device may take.
const callSlack = time.Second

// maxHelpers bounds how many other nodes are asked to call a device.
const maxHelpers = 2

// deviceCall is what the leader waits for: another node's call of a device.
type deviceCall struct {
	call  event.FenceCall
	to    cluster.Incarnation
	begun bool          // the word was given: the device may be working
	until time.Duration // Mono
	again time.Duration // Mono: when the last word is repeated, since it or its answer may be lost
}

// help is what this node was asked to do for the leader.
type help struct {
	call  event.FenceCall
	from  cluster.Incarnation
	term  uint64
	ready time.Duration // Boot: when that was said
	begun bool
	// answer is what came of it, for as long as the leader may ask again.
	answer *event.FenceResult
	done   time.Duration // Boot: since when there is an answer
}

// keepAnswers is how long the answer to a leader is kept.
const keepAnswers = 10 * time.Minute

// callers returns who may make a step's call, the best one first: "" is this
// node. That is first, unless its own last call of the device failed; others that
// may reach the device follow, who watches it before the rest.
func (c *Core) callers(target string, s fencing.Step) []string {
	if s.OnTarget {
		if target == c.self.Node {
			return []string{""}
		}
		if m := c.state.Member(target); m != nil && c.mayHelp(m, s.Call.Device) {
			return []string{target}
		}
		return nil
	}
	var watching, others []string
	for i := range c.state.Members {
		m := &c.state.Members[i]
		if m.Name == target || !c.mayHelp(m, s.Call.Device) {
			continue
		}
		if h := m.HistoryOf(s.Call.Device); h != nil && h.Active() {
			watching = append(watching, m.Name)
		} else {
			others = append(others, m.Name)
		}
	}
	helpers := slices.Concat(watching, others)
	helpers = helpers[:min(len(helpers), maxHelpers)]
	switch {
	case c.bannedFrom(s.Call.Device, c.self.Node):
		return helpers
	case c.lead.unable[s.Call.Device]:
		return append(helpers, "")
	}
	return append([]string{""}, helpers...)
}

// mayHelp tells whether another node may call a device.
func (c *Core) mayHelp(m *cluster.Member, device string) bool {
	return m.Name != c.self.Node && m.State == cluster.NodeOnline && !c.state.IsWitness(m) && c.peer(m.Name).Reachable && !c.bannedFrom(device, m.Name)
}

// bannedFrom tells whether a location keeps the device from a node.
func (c *Core) bannedFrom(device, node string) bool {
	return slices.ContainsFunc(c.state.Config.Locations, func(l cluster.Location) bool {
		return l.Resource == device && strings.EqualFold(l.Node, node) && strings.EqualFold(l.Score, "-infinity")
	})
}

// orderCall asks another node to call a device.
func (c *Core) orderCall(call event.FenceCall) {
	m := c.state.Member(call.Caller)
	if m == nil {
		c.fenceOrdered(call, event.FenceResult{Error: call.Caller + " is no member"})
		return
	}
	o := &deviceCall{call: call, to: m.Incarnation, until: c.now.Mono + 2*c.detector.Times().Dead}
	if call.Asks() {
		o.begun, o.until = true, c.now.Mono+call.Timeout+c.detector.Times().Dead+callSlack
	}
	c.lead.orders = append(c.lead.orders, o)
	c.sendOrder(o)
}

// sendOrder sends the newest word of an order: be ready, or go.
func (c *Core) sendOrder(o *deviceCall) {
	o.again = c.now.Mono + c.detector.Times().Dead
	c.send(o.call.Caller, event.Message{For: o.to, Fence: &event.FenceOrder{Call: o.call, Go: o.begun && !o.call.Asks()}})
}

// keepOrders gives up what other nodes have not answered in time. A call that may
// have begun is waited for as long as it can last.
func (c *Core) keepOrders() {
	for _, o := range slices.Clone(c.lead.orders) {
		m := c.state.Member(o.call.Caller)
		gone := m == nil || m.Incarnation.Boot != o.to.Boot || m.Off()
		text := ""
		switch {
		case gone:
			text = o.call.Caller + " is gone"
		case !o.begun && (m.Incarnation != o.to || !c.peer(m.Name).Reachable):
			text = o.call.Caller + " is not heard"
		case c.now.Mono >= o.until:
			text = o.call.Caller + " did not answer in time"
		default:
			if c.now.Mono >= o.again {
				c.sendOrder(o)
			}
			continue
		}
		c.dropOrder(o)
		c.fenceOrdered(o.call, event.FenceResult{Error: text, Took: o.call.Timeout})
	}
}

func (c *Core) dropOrder(o *deviceCall) {
	c.lead.orders = slices.DeleteFunc(c.lead.orders, func(x *deviceCall) bool { return x == o })
}

// orderAnswered takes what another node says of a call.
func (c *Core) orderAnswered(from cluster.Incarnation, r *event.FenceResult) {
	i := slices.IndexFunc(c.lead.orders, func(o *deviceCall) bool {
		return o.to == from && o.call.ID == r.Call.ID && o.call.Order == r.Call.Order
	})
	if i < 0 {
		return
	}
	o := c.lead.orders[i]
	if !r.Ready {
		c.dropOrder(o)
		c.fenceOrdered(o.call, *r)
		return
	}
	if o.begun {
		return
	}
	c.confirmThen(func() {
		f := c.fencingByID(o.call.ID)
		if !slices.Contains(c.lead.orders, o) || o.begun || f == nil || !f.Open() || c.spares(f) {
			return
		}
		o.begun, o.until = true, c.now.Mono+o.call.Delay+o.call.Timeout+2*c.detector.Times().Dead+callSlack
		c.sendOrder(o)
	})
}

// fenceOrdered hands the end of another node's call on, as if it were our own.
func (c *Core) fenceOrdered(call event.FenceCall, r event.FenceResult) {
	c.trace("%s %s of %s by %s: ok %t %s", call.Device, call.Action, call.Target.Node, call.Caller, r.OK, r.Error)
	e := event.FenceCalled{Call: call, OK: r.OK, Error: r.Error, Took: r.Took, Output: r.Output, Actions: r.Actions}
	if call.ID&learning != 0 {
		c.learnt(e)
		return
	}
	c.fences.Called(c.now.Mono, e)
}

// orderedCall takes a leader's order to call a device.
func (c *Core) orderedCall(m *event.Message) {
	if m.For != c.self || m.Term < c.raft.Term() {
		return
	}
	call := m.Fence.Call
	same := func(h *help) bool { return h.from == m.From && h.call.ID == call.ID && h.call.Order == call.Order }
	i := slices.IndexFunc(c.helping, same)
	answer := event.FenceResult{Call: call}
	answer.Call.Params = nil
	refuse := func(text string) {
		answer.Error = text
		c.send(m.From.Node, event.Message{For: m.From, Fenced: &answer})
	}
	switch {
	case call.Caller != c.self.Node || call.Target.Node == c.self.Node && call.Action != "on" && !call.Asks():
		refuse("nobody cuts himself off")
	case call.Asks() && i < 0:
		c.helping = append(c.helping, &help{call: call, from: m.From, term: m.Term, begun: true})
		c.out.Fences = append(c.out.Fences, call)
	case mutant.Is("a helper calls without the leader's word") && i < 0:
		c.helping = append(c.helping, &help{call: call, from: m.From, term: m.Term, begun: true})
		answer.Ready = true
		c.send(m.From.Node, event.Message{For: m.From, Fenced: &answer})
		c.out.Fences = append(c.out.Fences, call)
	case i >= 0 && c.helping[i].answer != nil:
		c.send(m.From.Node, event.Message{For: m.From, Fenced: c.helping[i].answer}) // the first one may be lost
	case !m.Fence.Go && (i < 0 || !c.helping[i].begun):
		if i < 0 {
			c.helping = append(c.helping, &help{call: call, from: m.From, term: m.Term, ready: c.now.Boot})
		}
		answer.Ready = true
		c.send(m.From.Node, event.Message{For: m.From, Fenced: &answer})
	case i < 0 || c.helping[i].begun:
		// repeated, or of before: nothing is called twice
	case c.helping[i].term != m.Term || c.now.Boot-c.helping[i].ready > 2*c.detector.Times().Dead:
		c.helping[i].answer, c.helping[i].done = &answer, c.now.Boot
		refuse("the word to go came too late")
	default:
		c.helping[i].begun = true
		c.trace("calls %s to %s %s for %s", call.Device, call.Action, call.Target.Node, m.From.Node)
		c.out.Fences = append(c.out.Fences, call)
	}
	// What was said to be ready and never begun, and old answers, are of no use any more.
	c.helping = slices.DeleteFunc(c.helping, func(h *help) bool {
		return !h.begun && c.now.Boot-h.ready > time.Minute || h.answer != nil && c.now.Boot-h.done > keepAnswers
	})
}

// helped tells the leader what became of a call that it ordered.
func (c *Core) helped(e event.FenceCalled) {
	i := slices.IndexFunc(c.helping, func(h *help) bool {
		return h.begun && h.answer == nil && h.call.ID == e.Call.ID && h.call.Order == e.Call.Order && h.call.Device == e.Call.Device && h.call.Action == e.Call.Action
	})
	if i < 0 {
		return
	}
	h := c.helping[i]
	r := event.FenceResult{Call: h.call, OK: e.OK, Error: e.Error, Took: e.Took, Output: e.Output, Actions: e.Actions}
	r.Call.Params = nil
	h.answer, h.done = &r, c.now.Boot
	c.send(h.from.Node, event.Message{For: h.from, Fenced: &r})
}
