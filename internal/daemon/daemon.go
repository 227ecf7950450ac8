// Package daemon wires the core to the world: one event loop owns one core, and
// whatever is slow happens elsewhere and comes back as an event. It also makes a
// host a node (init, join) and admits others.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
	"linuxha/internal/driver/link"
	"linuxha/internal/driver/store"
	"linuxha/internal/driver/stream"
)

// Options say which node the daemon is.
type Options struct {
	Root    Root
	Version string
	Log     *slog.Logger
	// Ready is called once the node takes part, or tries to join afresh; may be nil.
	Ready func()
}

// errStopped says that the daemon was asked to stop before its core ran.
var errStopped = errors.New("asked to stop while joining afresh")

// Daemon is one process. It lives on when its core has to join afresh.
type Daemon struct {
	options     Options
	log         *slog.Logger
	root        Root
	settings    *Settings
	credentials *credentials
	local       []netip.AddrPort
	boot        string
	store       *store.Store
	listener    *stream.Listener
	vitals      link.Vitals
	measures    measures
	view        view
	stopping    chan event.Stopping
	ready       sync.Once
	life        atomic.Pointer[life] // the present one; nil between lives
	counter     uint64               // of the newest incarnation
}

// New reads the node's files. Nothing is opened before Run.
func New(o Options) (*Daemon, error) {
	settings, err := ReadSettings(o.Root)
	if err != nil {
		return nil, err
	}
	d := &Daemon{options: o, log: o.Log, root: o.Root, settings: settings, stopping: make(chan event.Stopping, 1)}
	if d.credentials, err = readCredentials(o.Root); err != nil {
		return nil, err
	}
	if d.credentials.identity.Node != settings.Node {
		return nil, fmt.Errorf("the certificate is of node %s, the settings are of %s", d.credentials.identity.Node, settings.Node)
	}
	if d.local, err = link.ParseAddresses(settings.Links); err != nil {
		return nil, err
	}
	if d.boot, err = bootID(); err != nil {
		return nil, err
	}
	d.view.init()
	return d, nil
}

// Stop asks the node to leave in an orderly way, or, with restart, to end while
// its services go on. It returns at once; Run returns when it is done.
func (d *Daemon) Stop(restart bool) {
	select {
	case d.stopping <- event.Stopping{Restart: restart}:
	default: // it was asked before
	}
}

// Run lives until the node has left, ctx ends (at once, services go on), or
// something fails.
func (d *Daemon) Run(ctx context.Context) error {
	if err := makeDirectories(d.root); err != nil {
		return err
	}
	var stored event.Stored
	var err error
	if d.store, stored, err = store.Open(d.root.state()); err != nil {
		return err
	}
	defer d.closing("state", func() error { return d.store.Close() })
	if d.listener, err = stream.Listen(d.credentials.identity, d.local, d.log); err != nil {
		return err
	}
	defer d.closing("listener", d.listener.Close)
	d.listener.Handle(stream.ProtocolJoin, d.admit)
	closeAPI, err := d.serveAPI()
	if err != nil {
		return err
	}
	defer d.closing("API", closeAPI)
	for {
		exit, err := d.live(ctx, stored)
		if err != nil || exit == nil {
			return err
		}
		if !exit.Rejoin {
			if exit.Code != 0 {
				return errors.New(exit.Reason)
			}
			d.log.Info("this daemon ends", "reason", exit.Reason)
			return nil
		}
		d.log.Warn("this node joins afresh", "reason", exit.Reason)
		// A counter is never used twice: it is part of what heartbeats are sealed with.
		stored.Identity.Counter = max(stored.Identity.Counter, d.counter)
		d.isReady()
		stored, err = d.rejoin(ctx, stored)
		if errors.Is(err, errStopped) {
			d.log.Info("this daemon ends", "reason", err)
			return nil
		}
		if err != nil || ctx.Err() != nil {
			return err
		}
	}
}

func (d *Daemon) isReady() {
	if d.options.Ready != nil {
		d.ready.Do(d.options.Ready)
	}
}

func (d *Daemon) closing(what string, close func() error) {
	if err := close(); err != nil {
		d.log.Error("close "+what, "error", err)
	}
}

// rejoinPause is the time between two attempts to join afresh.
const rejoinPause = time.Second

// rejoin drops the node's state, has a member admit it under a new Raft id, and
// returns what its core starts from. Services are not touched.
func (d *Daemon) rejoin(ctx context.Context, old event.Stored) (event.Stored, error) {
	members, err := readMembers(d.root)
	if err != nil {
		return event.Stored{}, err
	}
	last := ""
	for {
		answer, err := rejoin(ctx, d.credentials, d.settings, members, d.options.Version)
		if err == nil {
			return d.begin(old, answer)
		}
		if text := err.Error(); text != last { // the same answer again and again is one line
			d.log.Error("this node cannot join afresh yet", "error", err)
			last = text
		}
		select {
		case <-ctx.Done():
			return event.Stored{}, nil
		case <-d.stopping:
			return event.Stored{}, errStopped
		case <-time.After(rejoinPause):
		}
	}
}

// begin makes the store one of a node that has just been admitted.
func (d *Daemon) begin(old event.Stored, answer *joinAnswer) (event.Stored, error) {
	if old.Torn != "" {
		if err := d.store.Discard(); err != nil {
			return event.Stored{}, err
		}
	}
	batch := &event.Persist{Reset: true, Identity: answer.identity(old.Identity)}
	if err := d.store.Save(batch); err != nil {
		return event.Stored{}, err
	}
	if err := writeMembers(d.root, answer.Members); err != nil {
		return event.Stored{}, err
	}
	var stored event.Stored
	return stored, stored.Apply(batch)
}

// peersOf are the members that a core without a state may talk to.
func (d *Daemon) peersOf() ([]cluster.Member, error) {
	members, err := readMembers(d.root)
	if err != nil {
		return nil, err
	}
	var peers []cluster.Member
	for _, m := range members {
		if m.Name != d.settings.Node {
			peers = append(peers, m)
		}
	}
	return peers, nil
}
