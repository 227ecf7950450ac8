package daemon

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"linuxha/internal/agent"
	"linuxha/internal/cluster"
	"linuxha/internal/core"
	"linuxha/internal/core/event"
	"linuxha/internal/core/heartbeat"
	"linuxha/internal/driver/carrier"
	"linuxha/internal/driver/clock"
	"linuxha/internal/driver/keys"
	"linuxha/internal/driver/link"
	"linuxha/internal/driver/stream"
	"linuxha/internal/driver/watchdog"
)

// life is one run of one core with its drivers.
type life struct {
	d       *Daemon
	core    *core.Core
	ended   chan struct{} // closed when the loop has ended
	working sync.WaitGroup

	events     chan event.Event
	heartbeats chan event.HeartbeatReceived
	saves      chan *event.Persist
	members    chan []cluster.Member // the newest, to be written down
	work       chan func()           // what touches agents, in order

	runner   *agent.Runner
	watchdog atomic.Pointer[watchdog.Device] // nil: none is armed
	links    *link.Links                     // nil until the incarnation is durable
	beats    atomic.Pointer[link.Links]      // links, for readers outside the loop
	streams  *stream.Streams                 // likewise

	// The loop's own:
	incarnation cluster.Incarnation
	heartbeat   *event.Heartbeat // the newest
	peers       []cluster.Member // whom there are addresses of
	waiting     map[uint64]chan event.Reply
	nextRequest uint64
	asks        chan ask
	schedule    scheduling
	pace        pace
	released    bool // the core wants the watchdog released
	exit        *event.Exit
	deadline    time.Duration // of the core, on Mono; 0: none
	armed       time.Duration // the deadline that the timer is set to; 0: none
}

// Lengths of the queues into the loop.
const (
	eventQueue     = 4096
	heartbeatQueue = 1024
	workQueue      = 4096
)

// live runs one core on what is stored, until it exits or ctx ends (then nil).
func (d *Daemon) live(ctx context.Context, stored event.Stored) (*event.Exit, error) {
	peers, err := d.peersOf()
	if err != nil {
		return nil, err
	}
	var seed [8]byte
	rand.Read(seed[:]) // never fails
	l := &life{
		d: d, ended: make(chan struct{}), peers: peers,
		events: make(chan event.Event, eventQueue), heartbeats: make(chan event.HeartbeatReceived, heartbeatQueue),
		saves: make(chan *event.Persist, 1), work: make(chan func(), workQueue), members: make(chan []cluster.Member, 1),
		waiting: map[uint64]chan event.Reply{}, asks: make(chan ask),
	}
	l.core, err = core.New(core.Options{
		Node: d.settings.Node, Boot: d.boot, Machine: machineID(), Version: d.options.Version, Links: d.settings.Links,
		Now: clock.Now(), Seed: binary.BigEndian.Uint64(seed[:]), Stored: stored, Peers: peers,
	})
	if err != nil {
		return nil, err
	}
	l.runner, err = agent.New(agent.Options{
		Node: d.settings.Node, Run: d.root.run(), Boot: d.boot, Log: d.log,
		Results: func(r event.Result) { l.post(event.OperationDone{Result: r}) },
		Fenced:  func(f event.FenceCalled) { l.post(f) },
		Notices: func(n event.ResourceNotice) { l.post(n) },
	})
	if err != nil {
		return nil, err
	}
	d.view.forget()
	d.vitals.LoopTurned()
	d.vitals.SyncEnded()
	d.life.Store(l)
	l.working.Go(l.save)
	l.working.Go(l.runWork)
	l.working.Go(l.writeDown)
	exit := l.loop(ctx)
	if exit != nil && exit.Reset {
		d.reset(exit.Reason)
	}
	d.life.Store(nil)
	close(l.ended)
	l.close()
	return exit, nil
}

// close ends the drivers of this life; services go on.
func (l *life) close() {
	if l.links != nil {
		l.d.closing("links", l.links.Close)
	}
	if l.streams != nil {
		l.streams.Close()
	}
	l.runner.Close()
	l.working.Wait()
	if l.released {
		l.releaseWatchdog() // it was being armed when it was to be released
	}
	if device := l.watchdog.Load(); device != nil {
		l.d.closing("watchdog", device.Abandon) // it goes on counting: the next life arms it anew
	}
	for _, answer := range l.waiting {
		answer <- event.Reply{Err: stopped()}
	}
}

// post gives the loop an event. It does not wait for a loop that has ended.
func (l *life) post(e event.Event) {
	select {
	case l.events <- e:
	case <-l.ended:
	}
}

// save makes batches durable, one after the other.
func (l *life) save() {
	for {
		select {
		case <-l.ended:
			return
		case batch := <-l.saves:
			began := time.Now()
			err := l.d.store.Save(batch)
			l.d.vitals.SyncEnded()
			l.d.measures.sync.add(time.Since(began))
			if err != nil {
				l.d.log.Error("the state cannot be written", "error", err)
			}
			l.post(event.Persisted{Seq: batch.Seq, Err: err})
		}
	}
}

// runWork does what the loop asks of agents: it writes files, so the loop does
// not wait for it, and one order comes after the other.
func (l *life) runWork() {
	for {
		select {
		case <-l.ended:
			return
		case f := <-l.work:
			f()
		}
	}
}

// connect opens the network once the incarnation is durable: nothing leaves
// before.
func (l *life) connect() error {
	d := l.d
	var err error
	l.streams = stream.New(stream.Options{
		Self: l.incarnation, Identity: d.credentials.identity, Local: d.local, DeadTime: l.detection().DeadTime, Log: d.log,
		Received: func(peer string, m event.Message) { l.post(event.MessageReceived{Peer: peer, Message: m}) },
		Allowed:  d.allowed,
	}, d.listener)
	d.vitals.Stream = l.streams.Age
	l.links, err = link.Open(link.Options{
		Node: d.settings.Node, Local: d.local, Ring: d.credentials.ring, Vitals: &d.vitals, Log: d.log,
		Received: func(i int, p heartbeat.Packet) {
			select {
			case l.heartbeats <- event.HeartbeatReceived{Link: i, Packet: p}:
			default: // the loop stands still
				d.measures.dropped.Add(1)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("open the node's links: %w", err)
	}
	l.beats.Store(l.links)
	l.updatePeers(nil)
	if l.heartbeat != nil {
		l.links.Send(l.heartbeat)
	}
	l.working.Go(l.watchCarriers)
	d.isReady()
	d.log.Info("this node takes part", "node", l.incarnation.Node, "incarnation", l.incarnation.Counter, "links", d.settings.Links)
	return nil
}

func (l *life) watchCarriers() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // ends with this life
		<-l.ended
		cancel()
	}()
	addresses := make([]netip.Addr, len(l.d.local))
	for i, a := range l.d.local {
		addresses[i] = a.Addr()
	}
	for ctx.Err() == nil {
		err := carrier.Watch(ctx, addresses, func(i int, up bool) {
			if !up {
				l.d.log.Warn("a link has no carrier, or its address is gone", "link", i, "address", addresses[i].String())
			}
			l.post(event.LinkChanged{Link: i, Carrier: up})
		})
		if err != nil {
			l.d.log.Error("carriers are not watched for a while", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(rejoinPause):
		}
	}
}

// allowed refuses a peer that joined with another key than it shows.
func (d *Daemon) allowed(peer string, certificate *x509.Certificate) error {
	state, _ := d.State()
	if m := state.Member(peer); m != nil && m.CertHash != "" && m.CertHash != keys.Hash(certificate) {
		return fmt.Errorf("%s shows another key than it joined with", peer)
	}
	return nil
}

// addresses returns where each peer listens, by link.
func (l *life) addresses() map[string][]netip.AddrPort {
	out := map[string][]netip.AddrPort{}
	for _, m := range l.peers {
		addresses, err := link.ParseAddresses(m.Links)
		if err != nil {
			l.d.log.Error("a member's addresses cannot be used", "node", m.Name, "error", err)
			continue
		}
		if m.Name != l.d.settings.Node {
			out[m.Name] = addresses
		}
	}
	return out
}

// keepMembers has it written down whom to ask when the state is lost.
func (l *life) keepMembers(members []cluster.Member) {
	select {
	case <-l.members: // what was not written yet is out of date
	default:
	}
	l.members <- members // there is room: the loop alone puts something in
}

// writeDown writes down the members as they change.
func (l *life) writeDown() {
	for {
		select {
		case members := <-l.members:
			l.writeMembers(members)
		case <-l.ended:
			select {
			case members := <-l.members: // whom to ask now, if the node has to join afresh
				l.writeMembers(members)
			default:
			}
			return
		}
	}
}

func (l *life) writeMembers(members []cluster.Member) {
	if err := writeMembers(l.d.root, members); err != nil {
		l.d.log.Error("the members are not written down", "error", err)
	}
}

// detection returns the times in force.
func (l *life) detection() cluster.Detection {
	state, _ := l.d.State()
	return state.Config.Detection.Resolve()
}
