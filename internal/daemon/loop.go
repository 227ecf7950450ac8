package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/driver/clock"
	"linuxha/internal/driver/link"
)

// batch is how many events are stepped before what the core wants is done.
const batch = 256

// loop is the one goroutine that touches the core.
func (l *life) loop(ctx context.Context) *event.Exit {
	l.handle(l.core.Ready()) // the new incarnation, to be made durable
	recorded, err := l.runner.Recorded()
	if err != nil {
		return &event.Exit{Code: 1, Reason: fmt.Sprintf("read what an earlier daemon left: %v", err)}
	}
	l.step(recorded)
	l.step(event.Tick{})
	l.handle(l.core.Ready())
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for l.exit == nil {
		l.arm(timer)
		select {
		case <-ctx.Done():
			return nil
		case s := <-l.d.stopping:
			l.d.log.Info("asked to stop", "restart", s.Restart)
			l.step(s)
		case e := <-l.events:
			l.hear()
			l.step(e)
		case h := <-l.heartbeats:
			l.step(h)
		case a := <-l.asks:
			l.ask(a)
		case <-timer.C:
			l.tick()
		}
		l.drain()
		l.handle(l.core.Ready())
		l.d.vitals.LoopTurned()
	}
	return l.exit
}

// arm sets the timer to the core's deadline, if that has changed.
func (l *life) arm(timer *time.Timer) {
	if l.deadline == l.armed {
		return
	}
	l.armed = l.deadline
	wait := time.Hour
	if l.deadline != 0 {
		wait = max(l.deadline-clock.Mono(), 0)
	}
	timer.Reset(wait)
}

func (l *life) tick() {
	l.armed = 0
	if late := clock.Mono() - l.deadline; l.deadline != 0 && late > 0 {
		l.d.measures.loop.add(late)
	}
	l.step(event.Tick{})
}

// hear steps the heartbeats that wait. They come before other events, as they
// came in: one that is older than a fencing must not seem to follow it.
func (l *life) hear() {
	for range len(l.heartbeats) {
		l.step(<-l.heartbeats)
	}
}

// drain steps what has come meanwhile, as far as a batch goes.
func (l *life) drain() {
	for range batch {
		select {
		case e := <-l.events:
			l.hear()
			l.step(e)
		case h := <-l.heartbeats:
			l.step(h)
		default:
			return
		}
	}
}

// step gives the core one event.
func (l *life) step(e event.Event) {
	if p, ok := e.(event.Persisted); ok && p.Err == nil && l.links == nil && l.exit == nil {
		if err := l.connect(); err != nil {
			l.exit = &event.Exit{Code: 1, Reason: err.Error()}
			return
		}
	}
	l.core.Step(clock.Now(), e)
}

// handle does what the core wants. What is slow is begun here and ends elsewhere.
func (l *life) handle(r event.Ready) {
	l.pace.turn(clock.Mono(), &r)
	if r.Heartbeat != nil {
		// First: a new term has to be in heartbeats before the vote for it leaves.
		l.heartbeat = r.Heartbeat
		if l.links != nil {
			l.links.Send(r.Heartbeat)
		}
	}
	if r.Persist != nil {
		if r.Persist.Identity != nil {
			id := r.Persist.Identity
			l.incarnation = cluster.Incarnation{Node: id.Node, Counter: id.Counter, Boot: id.Boot}
			l.d.counter = id.Counter
		}
		l.d.vitals.SyncBegan()
		l.saves <- r.Persist // there is room: the core has one batch under way at a time
	}
	if l.streams != nil {
		for _, m := range r.Messages {
			l.streams.Send(m)
		}
	}
	l.act(&r)
	for _, reply := range r.Replies {
		if answer := l.waiting[reply.ID]; answer != nil {
			delete(l.waiting, reply.ID)
			answer <- reply
		}
	}
	if r.State != nil {
		l.d.view.setState(r.State)
		l.updatePeers(r.State)
		l.runner.Learn(r.State.Revision, &r.State.Config)
	}
	if r.Local != nil {
		l.d.view.setLocal(r.Local)
		l.updateLinks(r.Local)
	}
	l.guard(r.Watchdog)
	for _, line := range r.Trace {
		l.d.log.Info(line)
	}
	if r.Exit != nil && l.exit == nil {
		l.exit = r.Exit
	}
	l.deadline = r.Deadline
}

// act hands operations, fence calls and schedules to those who carry them out.
func (l *life) act(r *event.Ready) {
	for _, op := range r.Operations {
		l.do(func() { l.runner.Run(op) })
	}
	for _, id := range r.Cancels {
		l.do(func() { l.runner.Cancel(id) })
	}
	for _, call := range r.Fences {
		if !call.Asks() {
			l.d.log.Warn("fencing", "target", call.Target.Node, "action", call.Action, "device", call.Device, "attempt", call.Attempt)
		}
		l.do(func() { l.runner.Fence(call) })
	}
	if r.Schedule != nil {
		l.schedule.begin(l, r.Schedule)
	}
}

func (l *life) do(f func()) {
	select {
	case l.work <- f:
	case <-l.ended:
	}
}

// updatePeers follows the members and their addresses.
func (l *life) updatePeers(state *cluster.State) {
	if state != nil && len(state.Members) > 0 {
		changed := !slices.EqualFunc(l.peers, state.Members, sameAddress)
		before := l.peers
		l.peers = state.Members
		if l.streams != nil {
			l.streams.SetDeadTime(state.Config.Detection.Resolve().DeadTime)
		}
		if !changed {
			return
		}
		l.keepMembers(state.Members)
		for _, m := range before {
			if state.Member(m.Name) == nil && l.streams != nil {
				l.streams.Forget(m.Name)
			}
		}
	}
	if l.links == nil {
		return
	}
	addresses := l.addresses()
	l.links.SetPeers(addresses)
	_, local := l.d.State()
	l.updateLinks(local)
}

func sameAddress(a, b cluster.Member) bool {
	return a.Name == b.Name && a.RaftID == b.RaftID && slices.Equal(a.Links, b.Links)
}

// updateLinks tells the streams which links are heard.
func (l *life) updateLinks(local *event.Local) {
	if l.streams == nil {
		return
	}
	up := map[string]uint8{}
	if local != nil {
		for _, peer := range local.Peers {
			for _, v := range peer.Links {
				if v.Up {
					up[peer.Node] |= 1 << v.Link
				}
			}
		}
	}
	for _, m := range l.peers {
		if m.Name == l.d.settings.Node {
			continue
		}
		if addresses, err := link.ParseAddresses(m.Links); err == nil && len(addresses) > 0 {
			l.streams.SetPeer(m.Name, addresses, up[m.Name])
		}
	}
}
