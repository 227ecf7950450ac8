package core_test

import (
	"container/heap"
	"fmt"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core"
	"linuxha/internal/core/event"
)

// world is a few cores with a perfect disk and a network that can be cut: just
// enough to see the core work. The real simulator is internal/sim.
type world struct {
	t     *testing.T
	now   time.Duration
	queue eventQueue
	order int
	nodes map[string]*node
	names []string
	cut   map[[2]string]bool
	log   []string
	fail  bool                               // fence devices fail
	deaf  string                             // gets no Raft messages
	cuts  bool                               // fence devices cut storage, not power
	sent  func(from *node, m *event.Message) // sees what is sent; may be nil
	// device answers calls.
	device     func(caller string, call event.FenceCall) event.FenceCalled
	calls      []event.FenceCall
	lastRaftID uint64
	starts     uint64
}

type node struct {
	w          *world
	name       string
	boot       int
	life       int // grows with each daemon start: events of former ones are dropped
	core       *core.Core
	store      event.Stored
	beat       *event.Heartbeat
	seq        uint64
	state      *cluster.State
	local      *event.Local
	exit       *event.Exit
	reply      map[uint64]event.Reply
	active     map[string]event.Operation // running services, with what started them
	wake       time.Duration
	pausedTill time.Duration
	stuck      bool          // the disk does not answer
	stubborn   bool          // services cannot be stopped
	immortal   bool          // its fence device says that it is off, which is not true
	dog        time.Duration // time-out of the armed watchdog
}

type queued struct {
	at    time.Duration
	order int
	do    func()
}
type eventQueue []queued

func (q eventQueue) Len() int { return len(q) }
func (q eventQueue) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q eventQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *eventQueue) Push(x any)   { *q = append(*q, x.(queued)) }
func (q *eventQueue) Pop() any {
	old := *q
	x := old[len(old)-1]
	*q = old[:len(old)-1]
	return x
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	heap.Push(&w.queue, queued{w.now + d, w.order, do})
}

// newWorld forms a cluster of the named nodes: the first begins it, the others are admitted.
func newWorld(t *testing.T, config cluster.Config, names ...string) *world {
	return newWorldWith(t, config, powerDevice, names...)
}

// newWorldWith is newWorld with other fence devices.
func newWorldWith(t *testing.T, config cluster.Config, device func(caller string, call event.FenceCall) event.FenceCalled, names ...string) *world {
	w := &world{device: device, t: t, now: time.Hour, nodes: map[string]*node{}, names: names, cut: map[[2]string]bool{}, lastRaftID: 200}
	lineage := cluster.Lineage{ID: "0123456789abcdef0123456789abcdef"}
	first := cluster.Member{Name: names[0], RaftID: 101, Links: []string{"l0"}}
	commands := []cluster.Command{{Init: &cluster.Init{Lineage: lineage, Config: config, First: first}}}
	for i := range names[1:] {
		commands = append(commands, cluster.Command{Token: &cluster.Token{Hash: fmt.Sprint("token", i), Expires: w.wall().Add(time.Hour)}})
	}
	p, err := core.Bootstrap(event.Identity{Node: names[0], RaftID: 101, Lineage: lineage}, &cluster.Entry{Time: w.wall(), Commands: commands})
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		n := &node{w: w, name: name, reply: map[uint64]event.Reply{}, active: map[string]event.Operation{}, store: event.Stored{Fresh: true}}
		w.nodes[name] = n
		if i == 0 {
			n.store.Apply(p)
			n.start()
			w.until(5*time.Second, "first node leads", func() bool { return w.leader() == name })
			continue
		}
		m := cluster.Member{Name: name, RaftID: uint64(101 + i), Links: []string{"l0"}, State: cluster.NodeOffline}
		r := w.request(names[0], event.Request{Commands: []cluster.Command{{Admit: &cluster.Admit{Member: m, TokenHash: fmt.Sprint("token", i-1)}}}})
		if r.Err != nil {
			t.Fatalf("admit %s: %v", name, r.Err)
		}
		n.store.Apply(&event.Persist{Identity: &event.Identity{Node: name, RaftID: m.RaftID, Lineage: lineage}})
		n.start()
	}
	return w
}

// seed is fresh for every start.
func (w *world) seed() uint64 {
	w.starts++
	return w.starts
}

func (w *world) wall() time.Time { return time.Unix(1_700_000_000, 0).UTC().Add(w.now) }

func (w *world) time() event.Time { return event.Time{Mono: w.now, Boot: w.now, Wall: w.wall()} }

func (n *node) start() {
	n.life++
	n.exit = nil
	n.beat = nil
	var peers []cluster.Member
	for i, name := range n.w.names {
		peers = append(peers, cluster.Member{Name: name, RaftID: uint64(101 + i)})
	}
	store := n.store
	c, err := core.New(core.Options{
		Node: n.name, Boot: fmt.Sprintf("boot-%s-%d", n.name, n.boot), Seed: n.w.seed(), Version: "test", Links: []string{"l0"},
		Now: n.w.time(), Stored: store, Peers: peers,
	})
	if err != nil {
		n.w.t.Fatal(err)
	}
	n.core = c
	n.ready()
	recorded := event.Recorded{}
	if op, ok := n.active["web"]; ok {
		recorded.Active = append(recorded.Active, op)
	}
	n.step(recorded)
	n.pulse(n.life)
}

func (n *node) has(name string) bool { _, ok := n.active[name]; return ok }

func (n *node) up() bool { return n.core != nil && n.exit == nil }

// crash takes the power away: nothing of the node is left but its disk.
func (n *node) crash() {
	n.core = nil
	n.life++
	n.boot++
	n.active = map[string]event.Operation{}
	n.w.note("--- %s crashes", n.name)
}

// kill ends the daemon only.
func (n *node) kill() {
	n.core = nil
	n.life++
	n.w.note("--- daemon of %s killed", n.name)
}

// pulse is the heartbeat thread.
func (n *node) pulse(life int) {
	if n.life != life || !n.up() {
		return
	}
	interval := 100 * time.Millisecond
	if n.beat != nil {
		interval = n.beat.Packet.Interval
		if n.w.now >= n.pausedTill {
			n.sendBeat()
		}
	}
	n.w.after(interval, func() { n.pulse(life) })
}

func (n *node) sendBeat() {
	n.seq++
	p := n.beat.Packet
	p.Sequence, p.SentAt = n.seq, n.w.now
	for _, to := range n.beat.Peers {
		peer := n.w.nodes[to]
		n.w.after(time.Millisecond, func() {
			if peer != nil && peer.up() && !n.w.cut[[2]string{n.name, to}] {
				peer.deliver(func() { peer.step(event.HeartbeatReceived{Link: 0, Packet: p}) })
			}
		})
	}
}

// deliver does something now, or after the pause.
func (n *node) deliver(do func()) {
	if n.w.now < n.pausedTill {
		life := n.life
		n.w.after(n.pausedTill-n.w.now, func() {
			if n.life == life && n.up() {
				do()
			}
		})
		return
	}
	do()
}

func (n *node) step(ev event.Event) {
	n.core.Step(n.w.time(), ev)
	n.ready()
}

func (n *node) ready() {
	w, life := n.w, n.life
	r := n.core.Ready()
	for _, t := range r.Trace {
		w.note("%s: %s", n.name, t)
	}
	later := func(d time.Duration, do func()) {
		w.after(d, func() {
			if n.life == life && n.up() {
				n.deliver(do)
			}
		})
	}
	if r.Heartbeat != nil {
		changed := n.beat == nil || len(n.beat.Packet.Heard) != len(r.Heartbeat.Packet.Heard)
		n.beat = r.Heartbeat
		if changed {
			n.sendBeat()
		}
	}
	if p := r.Persist; p != nil && !n.stuck {
		later(2*time.Millisecond, func() {
			n.store.Apply(p)
			n.step(event.Persisted{Seq: p.Seq})
		})
	}
	for _, m := range r.Messages {
		if w.sent != nil {
			w.sent(n, &m)
		}
		data, err := event.EncodeMessage(&m)
		if err != nil {
			w.t.Fatal(err)
		}
		to := w.nodes[m.To]
		w.after(time.Millisecond, func() {
			if to == nil || !to.up() || w.cut[[2]string{n.name, to.name}] || to.name == w.deaf && m.Raft != nil {
				return
			}
			m, err := event.DecodeMessage(data)
			if err != nil {
				w.t.Fatal(err)
			}
			to.deliver(func() { to.step(event.MessageReceived{Peer: n.name, Message: *m}) })
		})
	}
	for _, op := range r.Operations {
		later(5*time.Millisecond, func() { n.step(event.OperationDone{Result: n.run(op)}) })
	}
	for _, call := range r.Fences {
		if call.Asks() {
			e := w.device(n.name, call)
			later(5*time.Millisecond, func() { n.step(e) })
			continue
		}
		w.calls = append(w.calls, call)
		later(10*time.Millisecond, func() {
			e := w.device(n.name, call)
			e.OK = e.OK && !w.fail && n.core != nil
			if target := w.nodes[call.Target.Node]; e.OK && target != nil && call.Action != "on" && !w.cuts && !target.immortal {
				target.crash()
			}
			if !e.OK && e.Error == "" {
				e.Error = "no power"
			}
			n.step(e)
		})
	}
	if s := r.Schedule; s != nil {
		later(time.Millisecond, func() { n.step(event.Scheduled{ID: s.ID, Plan: w.plan(s)}) })
	}
	for _, reply := range r.Replies {
		n.reply[reply.ID] = reply
	}
	if r.State != nil {
		n.state = r.State
	}
	switch r.Watchdog {
	case event.WatchdogArm:
		w.note("%s: watchdog armed", n.name)
		n.dog = n.state.Config.Watchdog.Timeout
		later(time.Millisecond, func() { n.step(event.WatchdogState{Armed: true, Timeout: n.dog}) })
	case event.WatchdogRelease:
		w.note("%s: watchdog released", n.name)
		n.dog = 0
		if leader := w.nodes[w.leader()]; leader != nil && r.Exit == nil && leader.state.Member(n.name).WatchdogTimeout != 0 {
			w.broken("%s releases its watchdog, but %s counts on it", n.name, leader.name)
		}
	}
	if r.Local != nil {
		n.local = r.Local
	}
	if r.Exit != nil {
		n.exit = r.Exit
		w.note("%s exits: %+v", n.name, *r.Exit)
		if r.Exit.Reset {
			n.crash()
			boot := n.boot
			w.after(time.Second, func() {
				if n.boot == boot && n.core == nil {
					n.start()
				}
			})
			return
		}
		if r.Exit.Rejoin {
			w.after(50*time.Millisecond, func() { n.rejoin(life, 0) })
		}
		return
	}
	if r.Deadline > 0 && (n.wake == 0 || r.Deadline < n.wake || n.wake <= w.now) {
		n.wake = r.Deadline
		later(max(r.Deadline-w.now, 0), func() {
			if n.wake <= w.now && n.wake > 0 {
				n.wake = 0
				n.step(event.Tick{})
			}
		})
	}
}

// rejoin asks the leader for a new Raft id until it gets one, as the daemon does
// over the join protocol, and starts afresh.
func (n *node) rejoin(life int, asked uint64) {
	w := n.w
	if n.life != life {
		return
	}
	again := func(id uint64) { w.after(50*time.Millisecond, func() { n.rejoin(life, id) }) }
	leader := w.nodes[w.leader()]
	if leader == nil {
		again(0)
		return
	}
	reply, ok := leader.reply[asked]
	if ok && reply.Err == nil {
		m := reply.Admitted
		n.store.Apply(&event.Persist{Reset: true, Identity: &event.Identity{
			Node: n.name, RaftID: m.RaftID, Lineage: leader.state.Lineage, Counter: max(n.store.Identity.Counter, m.Incarnation.Counter),
		}})
		n.start()
		return
	}
	if asked != 0 && !ok {
		again(asked)
		return
	}
	requestID++
	w.lastRaftID++
	id := requestID
	leader.step(event.Requested{ID: id, Request: event.Request{Commands: []cluster.Command{{Admit: &cluster.Admit{
		Member: cluster.Member{Name: n.name, RaftID: w.lastRaftID, Links: []string{"l0"}},
	}}}}})
	again(id)
}

// powerDevice is an ordinary device that cuts power and always succeeds.
func powerDevice(_ string, call event.FenceCall) event.FenceCalled {
	return answer(call, "on", "off", "reboot", "status", "monitor")
}

// answer is a success, with what the agent can.
func answer(call event.FenceCall, actions ...string) event.FenceCalled {
	e := event.FenceCalled{Call: call, OK: true, Took: 10 * time.Millisecond}
	for _, a := range actions {
		e.Actions = append(e.Actions, cluster.AdvisedAction{Name: a})
	}
	return e
}

// run is a service that always does as it is told.
func (n *node) run(op event.Operation) event.Result {
	r := event.Result{ID: op.ID, Started: n.w.wall(), Duration: 5 * time.Millisecond}
	switch op.Action {
	case "start":
		for _, name := range n.w.names {
			if o := n.w.nodes[name]; o != n && o.has(op.Name) {
				n.w.broken("%s is started on %s while it runs on %s", op.Name, n.name, name)
			}
		}
		n.active[op.Name] = op
	case "stop":
		if n.stubborn {
			r.Code, r.Reason = 1, "it does not stop"
			break
		}
		delete(n.active, op.Name)
	case "monitor":
		if !n.has(op.Name) {
			r.Code = 7
		}
	}
	return r
}

// plan is a scheduler for one service, web: it is to run on one online node, by
// name, and stays where it is; unclean nodes are fenced first.
func (w *world) plan(s *event.ScheduleRequest) *cluster.Plan {
	p := &cluster.Plan{}
	if r := s.Config.FindResource("web"); r == nil || cluster.Value(r.Meta, "is-managed") == "false" {
		return p
	}
	add := func(a cluster.Action) int {
		a.ID = len(p.Actions) + 1
		p.Actions = append(p.Actions, a)
		return a.ID
	}
	web := cluster.Action{Resource: "web", Instance: "web", Name: "web", Agent: cluster.Agent{Class: "ha", Type: "test"}, Timeout: 10 * time.Second}
	var before []int
	on, target := "", ""
	for i := range s.Status.Nodes {
		n := &s.Status.Nodes[i]
		online := n.Crmd == "online" && n.Join == "member"
		if n.InCCM == "false" && n.Expected == "member" {
			before = append(before, add(cluster.Action{Kind: cluster.ActionFence, Node: n.Name, Detail: "reboot"}))
			continue
		}
		if !online {
			continue
		}
		shutdown := cluster.Value(n.Attributes, "shutdown") != ""
		active := false
		for _, h := range n.History {
			for _, e := range h.Operations {
				switch {
				case e.Operation == "start" && e.RC == 0 && e.Status == 0, e.Operation == "monitor" && e.RC == 0 && e.IntervalMS == 0:
					active = true
				case e.Operation == "stop" && e.RC == 0:
					active = false
				}
			}
		}
		switch {
		case active && shutdown:
			stop := web
			stop.Kind, stop.Node = cluster.ActionStop, n.Name
			id := add(stop)
			before = append(before, id)
			add(cluster.Action{Kind: cluster.ActionShutdown, Node: n.Name, After: []int{id}})
		case active:
			on = n.Name
		case shutdown:
			add(cluster.Action{Kind: cluster.ActionShutdown, Node: n.Name})
		case target == "":
			target = n.Name
		}
	}
	if on == "" && target != "" {
		if cluster.Value(s.Config.FindResource("web").Meta, "requires") == "unfencing" && cluster.Value(attributesOf(s.Status, target), cluster.UnfencedAttribute) == "" {
			before = append(before, add(cluster.Action{Kind: cluster.ActionFence, Node: target, Detail: "on"}))
		}
		start := web
		start.Kind, start.Node, start.After = cluster.ActionStart, target, before
		add(start)
	}
	return p
}

func attributesOf(s *cluster.Status, node string) []cluster.AttrSet {
	for i := range s.Nodes {
		if s.Nodes[i].Name == node {
			return s.Nodes[i].Attributes
		}
	}
	return nil
}

// describe logs what every node thinks.
func (w *world) describe() {
	for _, name := range w.names {
		n := w.nodes[name]
		if n == nil || !n.up() || n.state == nil || n.local == nil {
			w.t.Logf("%s: down", name)
			continue
		}
		w.t.Logf("%s: %s term %d leader %q index %d, runs %d", name, n.local.Role, n.local.Term, n.local.Leader, n.state.Index, len(n.active))
		for _, m := range n.state.Members {
			w.t.Logf("   %s %s voter %v reported %v %+v: %s", m.Name, m.State, m.Voter, m.Reported, m.Incarnation, m.Reason)
		}
		for _, g := range n.state.Grants {
			w.t.Logf("   grant %+v", g)
		}
		for _, f := range n.state.Fencings {
			if f.Open() {
				w.t.Logf("   fencing %+v", f)
			}
		}
	}
}

// broken ends the test: an invariant does not hold.
func (w *world) broken(format string, args ...any) {
	for _, l := range w.log[max(0, len(w.log)-400):] {
		w.t.Log(l)
	}
	w.t.Fatalf(format, args...)
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%9.3f ", (w.now-time.Hour).Seconds())+fmt.Sprintf(format, args...))
}

// run lets time pass.
func (w *world) run(d time.Duration) {
	end := w.now + d
	for len(w.queue) > 0 && w.queue[0].at <= end {
		x := heap.Pop(&w.queue).(queued)
		w.now = max(w.now, x.at)
		x.do()
	}
	w.now = end
}

// until lets time pass until ok, and returns how long that took.
func (w *world) until(limit time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	began := w.now
	for !ok() {
		if len(w.queue) == 0 || w.now-began > limit {
			for _, l := range w.log[max(0, len(w.log)-120):] {
				w.t.Log(l)
			}
			w.describe()
			w.t.Fatalf("not within %v: %s", limit, what)
		}
		x := heap.Pop(&w.queue).(queued)
		w.now = max(w.now, x.at)
		x.do()
	}
	return w.now - began
}

var requestID uint64

func (w *world) request(name string, r event.Request) event.Reply {
	w.t.Helper()
	requestID++
	id, n := requestID, w.nodes[name]
	n.step(event.Requested{ID: id, Request: r})
	w.until(15*time.Second, "an answer", func() bool { _, ok := n.reply[id]; return ok })
	return n.reply[id]
}

// leader returns the node that leads, "" if none or not exactly one does.
func (w *world) leader() string {
	leader := ""
	for _, name := range w.names {
		n := w.nodes[name]
		if n != nil && n.up() && n.local != nil && n.local.Role == "leader" && n.local.Leader == name {
			if leader != "" {
				return ""
			}
			leader = name
		}
	}
	return leader
}

// allOnline tells whether every running node sees all of them online, with the voters given.
func (w *world) allOnline(voters int) bool {
	for _, name := range w.names {
		n := w.nodes[name]
		if !n.up() {
			continue
		}
		if n.state == nil || len(n.state.Members) != len(w.names) {
			return false
		}
		count := 0
		for _, m := range n.state.Members {
			if up := w.nodes[m.Name].up(); up && m.State != cluster.NodeOnline {
				return false
			}
			if m.Voter {
				count++
			}
		}
		if count != voters {
			return false
		}
	}
	return true
}

func (w *world) member(of, name string) cluster.NodeState {
	if n := w.nodes[of]; n.state != nil {
		if m := n.state.Member(name); m != nil {
			return m.State
		}
	}
	return ""
}
