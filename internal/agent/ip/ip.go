// Package ip is the built-in agent ha:ip: an address that moves between nodes.
// It works in the daemon, by netlink: a start is two requests to the kernel and
// a burst of announcements.
package ip

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linuxha/internal/core/event"
)

// Options configure the agent.
type Options struct {
	Notices   func(event.ResourceNotice)
	Announced func(Announcement)
	Log       *slog.Logger
}

// Announcement says that the neighbours were first told of an address.
type Announcement struct {
	Resource string
	Address  netip.Addr
	At       time.Time
}

// Agent runs the operations of ha:ip, and watches the addresses of those that are
// started.
type Agent struct {
	o    Options
	done chan struct{}

	mu     sync.Mutex
	closed bool
	held   map[string]*holding // by resource
}

// holding is an address that is here on the cluster's behalf.
type holding struct {
	resource string
	config   config
	place    place
	stop     chan struct{} // closed to end the announcements
	broken   string        // what was last noticed to be wrong
}

// New returns the agent, watching.
func New(o Options) *Agent {
	a := &Agent{o: o, done: make(chan struct{}), held: make(map[string]*holding)}
	a.watch()
	return a
}

// Close ends watching and announcing; the addresses stay.
func (a *Agent) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	close(a.done)
	for _, h := range a.held {
		close(h.stop)
	}
	a.held = nil
}

// Run performs one operation. Of its Result, the identity and times are the caller's.
func (a *Agent) Run(ctx context.Context, op event.Operation) event.Result {
	c, err := parseConfig(op.Params)
	if err != nil {
		return event.Result{Code: event.CodeNotConfigured, Reason: err.Error()}
	}
	switch op.Action {
	case "start":
		return a.start(ctx, op, c)
	case "stop":
		return a.stop(op, c)
	case "monitor":
		return a.monitor(op, c)
	case "reload", "reload-agent":
		a.hold(op.Name, c, nil)
		return event.Result{}
	case "validate-all":
		return event.Result{}
	}
	return event.Result{Code: event.CodeUnimplemented, Reason: "ha:ip has no action " + op.Action}
}

func failed(err error) event.Result {
	return event.Result{Code: event.CodeError, Status: event.StatusError, Reason: err.Error()}
}

func (a *Agent) start(ctx context.Context, op event.Operation, c config) event.Result {
	present, err := find(c)
	if err != nil {
		return failed(err)
	}
	if present == nil {
		var result *event.Result
		if present, result = a.takeOver(ctx, op, c); result != nil {
			return *result
		}
	}
	if problem := present.problem(); problem != "" {
		return event.Result{Code: event.CodeError, Reason: problem}
	}
	a.release(op.Name) // what is announced begins anew
	a.hold(op.Name, c, present)
	return event.Result{}
}

// takeOver adds the address, unless somebody else answers for it.
func (a *Agent) takeOver(ctx context.Context, op event.Operation, c config) (*place, *event.Result) {
	p, err := choose(c)
	if err != nil {
		return nil, &event.Result{Code: event.CodeError, Reason: err.Error()}
	}
	if problem := p.problem(); problem != "" {
		return nil, &event.Result{Code: event.CodeError, Reason: problem}
	}
	if !op.SkipDuplicateCheck && p.speaksEthernet() {
		owner, err := duplicate(ctx, p, c.addr)
		if err != nil {
			a.o.Log.Warn("an address is taken over without a check for duplicates", "address", c.addr, "error", err)
		}
		if owner != nil {
			return nil, &event.Result{Code: event.CodeError, Reason: fmt.Sprintf("address %v is in use by %v on %s", c.addr, owner, p.name)}
		}
	}
	if ctx.Err() != nil {
		result := failed(fmt.Errorf("add %v to %s: %w", p.prefix, p.name, context.Cause(ctx)))
		return nil, &result
	}
	if err := netlink.AddrAdd(p.link(), p.address(c)); err != nil && !errors.Is(err, syscall.EEXIST) {
		result := failed(fmt.Errorf("add %v to %s: %w", p.prefix, p.name, err))
		return nil, &result
	}
	return p, nil
}

func (a *Agent) stop(op event.Operation, c config) event.Result {
	a.release(op.Name) // first, so that the removal is no news
	for {
		p, err := find(c)
		if err != nil {
			return failed(err)
		}
		if p == nil {
			return event.Result{}
		}
		err = netlink.AddrDel(p.link(), &netlink.Addr{IPNet: p.ipNet()})
		if err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) && !errors.Is(err, syscall.ENODEV) {
			return failed(fmt.Errorf("remove %v from %s: %w", p.prefix, p.name, err))
		}
	}
}

func (a *Agent) monitor(op event.Operation, c config) event.Result {
	p, err := find(c)
	if err != nil {
		return failed(err)
	}
	if p == nil {
		a.release(op.Name)
		return event.Result{Code: event.CodeNotRunning, Reason: fmt.Sprintf("address %v is not here", c.addr)}
	}
	a.hold(op.Name, c, p)
	if problem := p.problem(); problem != "" {
		return event.Result{Code: event.CodeError, Reason: problem}
	}
	return event.Result{}
}

// hold begins, or goes on, watching and announcing an address that is at p; nil
// keeps the place that is known. A daemon that finds the address after a restart
// begins here, too.
func (a *Agent) hold(resource string, c config, p *place) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old := a.held[resource]
	switch {
	case a.closed || p == nil && old == nil:
		return
	case p == nil:
		p = &old.place
	}
	if old != nil {
		if old.config == c && old.place.index == p.index {
			old.place = *p
			return
		}
		close(old.stop)
	}
	h := &holding{resource: resource, config: c, place: *p, stop: make(chan struct{})}
	a.held[resource] = h
	if p.speaksEthernet() {
		if p.problem() == "" {
			a.announceFirst(h)
		}
		go a.announceAgain(h.place, h.config, h.stop)
	}
}

func (a *Agent) release(resource string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.held[resource]; h != nil {
		close(h.stop)
		delete(a.held, resource)
	}
}

// address is what the kernel gets. It must not test an IPv6 address itself: that
// takes a second, and was done.
func (p *place) address(c config) *netlink.Addr {
	addr := &netlink.Addr{IPNet: p.ipNet(), Label: c.label}
	if c.addr.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}
