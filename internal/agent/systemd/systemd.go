// Package systemd runs operations on systemd units, over D-Bus, and notices when
// a unit changes by itself.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

const (
	dropInRoot = "/run/systemd/system"
	dropInName = "50-linux-ha.conf"
	// dropIn keeps systemd from restarting what the cluster has given up, and
	// from stopping units under the daemon's feet at shutdown.
	dropIn = `# Written by ha while the cluster runs this unit.
[Unit]
Description=Cluster-controlled %s
Before=ha.service

[Service]
Restart=no
`
)

// Agent runs the operations of class systemd. It connects when it is first needed.
type Agent struct {
	notices func(event.ResourceNotice)

	mu      sync.Mutex
	conn    *dbus.Conn
	closed  bool
	watched map[string]string // resource by unit
}

// New returns the agent.
func New(notices func(event.ResourceNotice)) *Agent {
	return &Agent{notices: notices, watched: make(map[string]string)}
}

// Close ends watching.
func (a *Agent) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}

// connect returns the connection to systemd.
func (a *Agent) connect(ctx context.Context) (*dbus.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil, errors.New("connect to systemd: the daemon stops")
	}
	if a.conn != nil && a.conn.Connected() {
		return a.conn, nil
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return nil, errors.New("connect to systemd: this host does not run systemd")
	}
	// The connection outlives the operation; dialling must not.
	conn, err := dbus.NewWithContext(context.WithoutCancel(ctx))
	if err != nil {
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	if err := conn.Subscribe(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to systemd: %w", err)
	}
	updates, problems := make(chan *dbus.PropertiesUpdate, 256), make(chan error, 16)
	conn.SetPropertiesSubscriber(updates, problems)
	go a.follow(conn, updates, problems)
	a.conn = conn
	return conn, nil
}

// follow tells of units that went down by themselves.
func (a *Agent) follow(conn *dbus.Conn, updates <-chan *dbus.PropertiesUpdate, problems <-chan error) {
	check := time.NewTicker(time.Second)
	defer check.Stop()
	for {
		select {
		case u := <-updates:
			state, ok := u.Changed["ActiveState"].Value().(string)
			if !ok || !down(state) {
				continue
			}
			a.mu.Lock()
			resource := a.watched[u.UnitName]
			a.mu.Unlock()
			if resource != "" {
				a.notices(event.ResourceNotice{Name: resource, Reason: fmt.Sprintf("unit %s is %s", u.UnitName, state)})
			}
		case <-problems:
		case <-check.C:
			if !conn.Connected() {
				return
			}
		}
	}
}

func down(state string) bool {
	return state == "inactive" || state == "failed" || state == "deactivating"
}

// Unit completes a unit's name.
func Unit(name string) string {
	for _, suffix := range []string{".service", ".socket", ".mount", ".timer", ".path", ".target", ".device", ".automount", ".swap", ".slice", ".scope"} {
		if strings.HasSuffix(name, suffix) {
			return name
		}
	}
	return name + ".service"
}

// Run performs one operation. Of its Result, the identity and times are the caller's.
func (a *Agent) Run(ctx context.Context, op event.Operation) event.Result {
	unit := Unit(op.Agent.Type)
	if strings.ContainsAny(unit, "/\x00") || strings.HasPrefix(unit, ".") {
		return notInstalled(fmt.Errorf("%q is no name of a unit", unit))
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return notInstalled(err)
	}
	switch op.Action {
	case "start":
		return a.start(ctx, conn, op, unit)
	case "stop":
		return a.stop(ctx, conn, unit)
	case "monitor":
		return a.monitor(ctx, conn, op, unit)
	case "reload", "reload-agent":
		return job(ctx, "reload", unit, conn.ReloadUnitContext)
	}
	return event.Result{Code: event.CodeUnimplemented, Reason: "systemd units have no action " + op.Action}
}

func (a *Agent) start(ctx context.Context, conn *dbus.Conn, op event.Operation, unit string) event.Result {
	if state, err := loadState(ctx, conn, unit); err != nil {
		return failed(err)
	} else if state != "loaded" {
		return notInstalled(fmt.Errorf("unit %s is %s", unit, state))
	}
	dir := filepath.Join(dropInRoot, unit+".d")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return failed(err)
	}
	if err := os.WriteFile(filepath.Join(dir, dropInName), fmt.Appendf(nil, dropIn, unit), 0o644); err != nil {
		return failed(err)
	}
	if err := conn.ReloadContext(ctx); err != nil {
		return failed(fmt.Errorf("reload systemd: %w", err))
	}
	result := job(ctx, "start", unit, conn.StartUnitContext)
	if result.Code == event.CodeOK {
		a.watch(unit, op.Name)
	}
	return result
}

func (a *Agent) stop(ctx context.Context, conn *dbus.Conn, unit string) event.Result {
	a.watch(unit, "")
	if state, err := loadState(ctx, conn, unit); err != nil {
		return failed(err)
	} else if state == "not-found" {
		return event.Result{}
	}
	// The drop-in goes first: while ha.service itself stops, a unit that is ordered
	// before it could not stop until the daemon has ended, which waits for the unit.
	dir := filepath.Join(dropInRoot, unit+".d")
	if err := os.Remove(filepath.Join(dir, dropInName)); err == nil {
		os.Remove(dir) // if it was ours alone
		if err := conn.ReloadContext(ctx); err != nil {
			return failed(fmt.Errorf("reload systemd: %w", err))
		}
	}
	return job(ctx, "stop", unit, conn.StopUnitContext)
}

func (a *Agent) monitor(ctx context.Context, conn *dbus.Conn, op event.Operation, unit string) event.Result {
	for {
		state, err := property(ctx, conn, unit, "ActiveState")
		if err != nil {
			return failed(err)
		}
		switch state {
		case "active", "reloading":
			a.watch(unit, op.Name)
			return event.Result{}
		case "activating", "deactivating", "maintenance":
			// Neither up nor down: wait for what it becomes.
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-ctx.Done():
				return failed(fmt.Errorf("unit %s is still %s", unit, state))
			}
		}
		a.watch(unit, "")
		load, err := loadState(ctx, conn, unit)
		if err == nil && load == "not-found" && op.Interval == 0 {
			return notInstalled(fmt.Errorf("unit %s is %s", unit, load))
		}
		return event.Result{Code: event.CodeNotRunning, Reason: fmt.Sprintf("unit %s is %s", unit, state)}
	}
}

// watch makes resource the one that is told of unit, "" nobody.
func (a *Agent) watch(unit, resource string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if resource == "" {
		delete(a.watched, unit)
	} else {
		a.watched[unit] = resource
	}
}

// job queues a job and waits for its end.
func job(ctx context.Context, verb, unit string, queue func(context.Context, string, string, chan<- string) (int, error)) event.Result {
	done := make(chan string, 1)
	if _, err := queue(ctx, unit, "replace", done); err != nil {
		return failed(fmt.Errorf("%s %s: %w", verb, unit, err))
	}
	select {
	case result := <-done:
		if result == "done" || result == "skipped" {
			return event.Result{}
		}
		return event.Result{Code: event.CodeError, Reason: fmt.Sprintf("systemd could not %s %s: %s", verb, unit, result)}
	case <-ctx.Done():
		return failed(fmt.Errorf("%s %s: %w", verb, unit, context.Cause(ctx)))
	}
}

// Has tells whether there is such a unit.
func (a *Agent) Has(ctx context.Context, name string) bool {
	conn, err := a.connect(ctx)
	if err != nil {
		return false
	}
	state, err := loadState(ctx, conn, Unit(name))
	return err == nil && state != "not-found"
}

// Await returns when no job of the unit is queued: what a daemon that was killed
// had asked for has ended then.
func (a *Agent) Await(ctx context.Context, name string) error {
	unit := Unit(name)
	for {
		conn, err := a.connect(ctx)
		if err != nil {
			return err
		}
		jobs, err := conn.ListJobsContext(ctx)
		if err != nil {
			return fmt.Errorf("list the jobs of systemd: %w", err)
		}
		queued := false
		for _, j := range jobs {
			queued = queued || j.Unit == unit
		}
		if !queued {
			return nil
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("wait for the job of %s: %w", unit, context.Cause(ctx))
		}
	}
}

// Metadata describes a unit.
func (a *Agent) Metadata(ctx context.Context, agent cluster.Agent) (*cluster.AgentMetadata, error) {
	conn, err := a.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", agent, err)
	}
	unit := Unit(agent.Type)
	if state, err := loadState(ctx, conn, unit); err != nil || state != "loaded" {
		return nil, fmt.Errorf("metadata of %s: unit %s is %s", agent, unit, state)
	}
	description, err := property(ctx, conn, unit, "Description")
	if err != nil {
		return nil, fmt.Errorf("metadata of %s: %w", agent, err)
	}
	return &cluster.AgentMetadata{Agent: agent, Version: "1.1", Short: description, Actions: actions}, nil
}

// actions are the same for every unit; the times are Pacemaker's advice.
var actions = []cluster.AdvisedAction{
	{Name: "start", Timeout: 100 * time.Second},
	{Name: "stop", Timeout: 100 * time.Second},
	{Name: "monitor", Timeout: 100 * time.Second, Interval: time.Minute},
	{Name: "reload", Timeout: 100 * time.Second},
	{Name: "meta-data", Timeout: 5 * time.Second},
}

func loadState(ctx context.Context, conn *dbus.Conn, unit string) (string, error) {
	return property(ctx, conn, unit, "LoadState")
}

func property(ctx context.Context, conn *dbus.Conn, unit, name string) (string, error) {
	p, err := conn.GetUnitPropertyContext(ctx, unit, name)
	if err != nil {
		return "", fmt.Errorf("look at unit %s: %w", unit, err)
	}
	text, ok := p.Value.Value().(string)
	if !ok {
		return "", fmt.Errorf("look at unit %s: %s is no text", unit, name)
	}
	return text, nil
}

func failed(err error) event.Result {
	return event.Result{Code: event.CodeError, Status: event.StatusError, Reason: err.Error()}
}

func notInstalled(err error) event.Result {
	return event.Result{Code: event.CodeNotInstalled, Status: event.StatusNotInstalled, Reason: err.Error()}
}
