package core

import (
	"fmt"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/core/fencing"
	"linuxha/internal/core/transition"
)

// scheduling is the leader's loop from State to Plan to transition.
type scheduling struct {
	dirty   bool          // the State has changed in a way that may need a new plan
	urgent  bool          // ... and that the transition under way should not be finished before
	since   time.Duration // of dirty
	id      uint64        // of the newest request
	waits   bool          // its answer is awaited
	asked   time.Duration // when
	number  uint64        // of the newest transition
	recheck time.Duration // when time alone may change the decision (Mono)
	pause   time.Duration // before which nothing is planned: an order was refused (Mono)
}

// patience is how long a transition goes on though the state has changed, if that
// was good news.
const patience = 5 * time.Second

// stateChanged notes that the applied state has changed in a way that may need
// another plan. What a transition does is not wrong because a node has come, so
// that does not interrupt it.
func (c *Core) stateChanged(old *cluster.State) {
	s := &c.schedule
	if !s.dirty {
		s.since = c.now.Mono
	}
	s.dirty = true
	better := false
	for i := range c.state.Members {
		m := &c.state.Members[i]
		o := old.Member(m.Name)
		if o == nil || o.State == m.State && o.Incarnation == m.Incarnation {
			continue
		}
		if o.State == cluster.NodeOnline || o.State == cluster.NodeLeaving || m.State == cluster.NodeLost || m.State == cluster.NodeLeaving {
			s.urgent = true
		}
		better = true
	}
	if !better || old.Revision != c.state.Revision {
		s.urgent = true
	}
}

// leadTransition asks for a plan when something has changed, walks it, and hands
// on what the walk wants.
func (c *Core) leadTransition() {
	s := &c.schedule
	now := c.now.Mono
	if s.recheck > 0 && now >= s.recheck {
		s.recheck, s.dirty = 0, true
	}
	c.engine.Tick(c.now)
	c.takeEngine()
	if c.frozen() {
		c.engine.Abort(c.now, "another history of this cluster is heard")
		c.takeEngine()
		s.dirty, s.urgent = true, true // it is planned anew afterwards
		return
	}
	reported := c.allReported() // and who was not heard when the last plan was made is asked
	switch {
	case !s.dirty || s.waits:
	case c.engine.Active():
		if s.urgent || now-s.since >= patience {
			c.engine.Abort(c.now, "the state has changed")
			c.takeEngine()
		}
	case reported && now >= s.pause:
		c.askSchedule()
	}
}

func (c *Core) askSchedule() {
	s := &c.schedule
	s.dirty, s.urgent, s.waits, s.asked = false, false, true, c.now.Mono
	c.number++
	s.id = c.number
	status := c.state.Status(c.now.Wall)
	status.Quorate, status.Coordinator = true, c.self.Node
	c.engine.Decorate(status)
	c.out.Schedule = &event.ScheduleRequest{ID: s.id, Config: c.state.SchedulerConfig(), Status: status, Now: c.now.Wall}
}

// allReported tells whether every online member that is heard has told this
// leader what runs there: nothing is planned before (rule 4).
func (c *Core) allReported() bool {
	all := true
	for i := range c.state.Members {
		m := &c.state.Members[i]
		if m.State != cluster.NodeOnline && m.State != cluster.NodeLeaving || c.reports.asked[m.Name].answered == m.Incarnation {
			continue
		}
		if m.Name == c.self.Node || c.peer(m.Name).Reachable {
			all = false
			c.askFor(m)
		}
	}
	return all
}

// scheduled takes a plan, unless the state has moved on.
func (c *Core) scheduled(e event.Scheduled) {
	s := &c.schedule
	if e.ID != s.id || !s.waits {
		return
	}
	s.waits = false
	if !c.settled() || c.frozen() {
		s.dirty = true
		return
	}
	if e.Err != nil || e.Plan == nil {
		c.trace("no plan: %v", e.Err)
		s.recheck = c.now.Mono + time.Second
		return
	}
	if s.dirty || c.engine.Active() {
		return // asked anew at once
	}
	if !e.Plan.Recheck.IsZero() {
		s.recheck = c.now.Mono + max(e.Plan.Recheck.Sub(c.now.Wall), time.Millisecond)
	}
	c.stageDecided(c.now.Mono - s.asked)
	s.number = max(s.number, c.state.Transition) + 1
	c.engine.Begin(c.now, s.number, e.Plan, c.state)
	c.takeEngine()
}

// takeEngine carries out what the transition wants.
func (c *Core) takeEngine() {
	out := c.engine.Take()
	for _, t := range out.Trace {
		c.trace("%s", t)
	}
	if len(out.Commands) > 0 {
		c.lead.batch = append(c.lead.batch, out.Commands...)
	}
	for _, d := range out.Dispatch {
		if d.To == c.self {
			c.executor.Dispatch(c.now, c.raft.Term(), &d.Dispatch)
			continue
		}
		c.send(d.To.Node, event.Message{For: d.To, Dispatch: &d.Dispatch})
	}
	for _, f := range out.Fence {
		c.fenceWish(f)
	}
	for _, name := range out.Shutdown {
		if m := c.state.Member(name); m != nil && m.State == cluster.NodeLeaving {
			if c.lead.departures[name].of != m.Incarnation {
				c.lead.departures[name] = departure{of: m.Incarnation, since: c.now.Mono}
			}
		}
	}
	if out.Done != nil {
		c.transitionDone(out.Done)
	}
}

// fenceWish begins a fencing that a plan asks for, unless one is open already.
func (c *Core) fenceWish(f transition.Fence) {
	m := c.state.Member(f.Node)
	if m == nil || m.Off() || c.state.OpenFencing(f.Node) != nil || !c.fences.MayBegin(c.now.Mono, f.Node, f.Action) {
		return
	}
	if f.Action == "poweroff" {
		f.Action = "off"
	}
	if f.Action == "on" {
		if m.State == cluster.NodeOnline && c.state.OpenOn(f.Node) == nil && c.devicesAsked() {
			c.want("unfence/"+f.Node, cluster.Command{Fence: &cluster.FenceBegin{
				Target: m.Incarnation, Action: f.Action, Reason: f.Reason, Caller: c.self.Node,
			}})
		}
		return
	}
	if len(fencing.Routes(c.state, f.Node, f.Action)) == 0 {
		c.trace("a plan wants %s fenced, but no device can", f.Node)
		return
	}
	if f.Node == c.self.Node {
		// Nobody cuts himself off: whoever leads next is asked again.
		if !c.transferToAny() {
			c.trace("a plan wants this node fenced, but nobody can take over to do it")
		}
		return
	}
	if c.tooMany(f.Node) {
		return
	}
	c.want("fence/"+f.Node, cluster.Command{Fence: &cluster.FenceBegin{
		Target: m.Incarnation, Action: f.Action, Reason: f.Reason, Caller: c.self.Node,
	}})
}

func (c *Core) transitionDone(d *transition.Outcome) {
	c.stageStarted(d)
	if d.Refused { // the same order at once would be refused once more
		c.schedule.pause = c.now.Mono + max(c.detector.Times().Interval, 50*time.Millisecond)
	}
	switch {
	case d.Result == "aborted", d.Result == "failed" && d.Backoff <= 0:
		c.schedule.dirty = true
	case d.Backoff > 0:
		c.schedule.recheck = earlier(c.schedule.recheck, c.now.Mono+d.Backoff)
	}
	if c.engine.Doubtful() || d.Result == "blocked" && c.engine.Releasing() {
		c.schedule.recheck = earlier(c.schedule.recheck, c.now.Mono+time.Second)
	}
	c.trace("transition %d: %s %s", d.Number, d.Result, d.Reason)
}

// earlier returns the earlier of two times, of which 0 is never.
func earlier(a, b time.Duration) time.Duration {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// results takes ended operations of a node.
func (c *Core) results(from cluster.Incarnation, done []event.OrderResult) {
	if c.lead.term == 0 {
		return
	}
	m := c.state.Member(from.Node)
	if m == nil || m.Incarnation != from {
		return
	}
	for _, r := range done {
		c.stageAnnounced(&r)
		c.engine.Result(c.now, from, r)
	}
}

// sentResults is what the leader was last told of ended operations.
type sentResults struct {
	version uint64
	leader  uint64
	term    uint64
	at      time.Duration
}

const repeatResults = time.Second

// takeExecutor carries out what this node's executor wants.
func (c *Core) takeExecutor() {
	out := c.executor.Take()
	c.out.Operations = append(c.out.Operations, out.Operations...)
	c.out.Cancels = append(c.out.Cancels, out.Cancels...)
	c.out.Trace = append(c.out.Trace, out.Trace...)
	c.executor.Refuse(c.raft.Term())
	results := c.executor.Results()
	leader := c.raft.Leader()
	if len(results) == 0 || leader == 0 || leader == c.identity.RaftID && !c.settled() {
		return
	}
	s := &c.sent
	if s.version == c.executor.ResultsVersion() && s.leader == leader && s.term == c.raft.Term() && c.now.Mono-s.at < repeatResults {
		return
	}
	*s = sentResults{version: c.executor.ResultsVersion(), leader: leader, term: c.raft.Term(), at: c.now.Mono}
	if leader == c.identity.RaftID {
		// What follows is proposed at once: others' results come with an event that has
		// the leader's duties done after it, its own come after them.
		c.results(c.self, results)
		c.takeEngine()
		c.flush()
		return
	}
	c.send(c.nodeOf(leader), event.Message{Results: &event.Results{Done: results}})
}

// Stages of a failover, for the event log. State itself records "lost" and
// "fence"; the rest is noted here under the same cause.

func causeOf(i cluster.Incarnation) string { return fmt.Sprintf("%s.%d", i.Node, i.Counter) }

// stagesOfLoss are the events that belong to the commit of a loss, for a reason that
// has lasted so long.
func (c *Core) stagesOfLoss(m *cluster.Member, reason string, lasted time.Duration) []cluster.Command {
	lasted = max(lasted, 0)
	cause := causeOf(m.Incarnation)
	stage := func(name, text string, took time.Duration) cluster.Command {
		return cluster.Command{Event: &cluster.Event{Kind: "node", Node: m.Name, Cause: cause, Stage: name, Took: took, Text: text}}
	}
	commands := []cluster.Command{stage("detect", fmt.Sprintf("%s for %v", reason, lasted.Round(time.Millisecond)), lasted)}
	if c.lead.elected > 0 {
		took := c.lead.elected
		c.lead.elected = 0
		commands = append(commands, stage("elect", fmt.Sprintf("%s leads now", c.self.Node), took))
	}
	c.failover = failover{cause: cause, node: m.Name, began: c.now.Mono - lasted}
	return commands
}

// failover is the recovery whose stages are being noted.
type failover struct {
	cause   string
	node    string
	began   time.Duration
	decided time.Duration // how long the plan took
	walking time.Duration // since when it is carried out

	address   string        // the last resource that announced one
	announced time.Duration // how long its start took until then
}

func (c *Core) stageDecided(took time.Duration) {
	if c.failover.cause != "" {
		c.failover.decided, c.failover.walking = took, c.now.Mono
	}
}

// stageAnnounced notes when the agent of an address had told the neighbours.
func (c *Core) stageAnnounced(r *event.OrderResult) {
	if f := &c.failover; f.cause != "" && r.Result.Announced > 0 {
		f.address, f.announced = r.Operation.Name, r.Result.Announced
	}
}

// stageStarted notes the end of the transition that recovered a lost node's services.
func (c *Core) stageStarted(d *transition.Outcome) {
	f := c.failover
	m := c.state.Member(f.node)
	if f.cause == "" || f.walking == 0 || d.Result != "complete" || m != nil && causeOf(m.Incarnation) == f.cause && !m.Off() {
		return // its loss may not even be committed, or what it runs is not known
	}
	c.failover = failover{}
	stage := func(name, text string, took time.Duration) cluster.Command {
		return cluster.Command{Event: &cluster.Event{Kind: "transition", Node: f.node, Cause: f.cause, Stage: name, Took: took, Text: text}}
	}
	text := fmt.Sprintf("recovered from the loss of %s, %v after the first sign of it", f.node, (c.now.Mono - f.began).Round(time.Millisecond))
	if f.address != "" {
		text = fmt.Sprintf("%s was announced %v into its start; %s", f.address, f.announced.Round(10*time.Microsecond), text)
	}
	c.lead.batch = append(c.lead.batch,
		stage("decide", "what to recover was decided", f.decided),
		stage("start", "what it ran was started elsewhere", c.now.Mono-f.walking),
		stage("announce", text, f.announced))
}
