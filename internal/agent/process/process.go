// Package process is the built-in agent ha:process: a command in the foreground,
// watched by the kernel's own notice of its end. It also runs ha:web, which is
// this binary as a small web server.
//
// The process outlives the daemon. What is on file in the run directory before
// the command begins (see package spawn) lets the next daemon find it: the same
// process, never a second one.
package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/core/event"
)

// ErrDaemonStops is the cause of an operation's context being done when the
// daemon ends: what the operation started goes on.
var ErrDaemonStops = errors.New("the daemon stops")

// Options configure the agent.
type Options struct {
	Run     string // directory of records and logs
	Boot    string // this boot's id
	Program string // this binary, which serves ha:web
	Notices func(event.ResourceNotice)
	Log     *slog.Logger
}

// Agent runs the operations of ha:process and ha:web.
type Agent struct {
	o Options

	mu       sync.Mutex
	closed   bool
	services map[string]*service // by resource
	groups   spawn.Group         // below which each service gets a control group; "": none may be made
}

// service is what is known of one resource.
type service struct {
	busy sync.Mutex // one operation at a time

	// The rest is guarded by Agent.mu.
	process  *spawn.Process // nil: none is known to run
	stopping bool           // its end is wanted
	last     string         // how the last process ended
}

// record is on file while a process is, or may be, running.
type record struct {
	Process spawn.ID `json:"process"`
	Log     string   `json:"log,omitempty"` // the bounded log, "" if the user named one
}

// maxRecord bounds a record file, in bytes.
const maxRecord = 64 << 10

// New returns the agent. Records of other boots are dropped.
func New(o Options) (*Agent, error) {
	if err := os.MkdirAll(o.Run, 0o700); err != nil {
		return nil, err
	}
	a := &Agent{o: o, services: make(map[string]*service), groups: spawn.GroupParent()}
	entries, err := os.ReadDir(o.Run)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		base, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok {
			continue
		}
		if resource, err := url.PathUnescape(base); err == nil {
			if rec, err := a.read(resource); err == nil && rec != nil && rec.Process.Boot == o.Boot {
				continue
			}
		}
		os.Remove(filepath.Join(o.Run, entry.Name()))
	}
	return a, nil
}

// Close ends watching; processes go on.
func (a *Agent) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for _, s := range a.services {
		if s.process != nil {
			s.process.Forget()
		}
	}
}

// Run performs one operation. Of its Result, the identity and times are the caller's.
func (a *Agent) Run(ctx context.Context, op event.Operation) event.Result {
	c, err := parseConfig(op.Agent.Type, op.Params, a.o.Program)
	if op.Action == "stop" {
		if err != nil { // a stop must work whatever the parameters have become
			c = config{stopSignal: syscall.SIGTERM, stopTimeout: 10 * time.Second}
		}
		return a.stop(ctx, op, c)
	}
	if err != nil {
		return event.Result{Code: event.CodeNotConfigured, Reason: err.Error()}
	}
	switch op.Action {
	case "start":
		return a.start(ctx, op, c)
	case "monitor":
		return a.monitor(ctx, op, c)
	case "reload", "reload-agent", "validate-all":
		return event.Result{}
	}
	return event.Result{Code: event.CodeUnimplemented, Reason: fmt.Sprintf("%s has no action %s", op.Agent, op.Action)}
}

func failed(err error) event.Result {
	return event.Result{Code: event.CodeError, Status: event.StatusError, Reason: err.Error()}
}

// service returns what is known of a resource, locked for an operation.
func (a *Agent) service(resource string) *service {
	a.mu.Lock()
	s := a.services[resource]
	if s == nil {
		s = &service{}
		a.services[resource] = s
	}
	a.mu.Unlock()
	s.busy.Lock()
	return s
}

// running returns the resource's process, or nil. One that a previous daemon
// started is found by its record, and watched from then on.
func (a *Agent) running(resource string, s *service) (*spawn.Process, error) {
	a.mu.Lock()
	p := s.process
	a.mu.Unlock()
	if p != nil {
		if p.Alive() {
			return p, nil
		}
		return nil, nil
	}
	rec, err := a.read(resource)
	if rec == nil || err != nil {
		return nil, err
	}
	if p, err = spawn.Find(rec.Process, a.o.Boot); p == nil || err != nil {
		return nil, err
	}
	a.supervise(resource, s, p, rec.Log)
	return p, nil
}

// supervise tells of the process's end, and keeps its log within bounds.
func (a *Agent) supervise(resource string, s *service, p *spawn.Process, log string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		p.Forget()
		return
	}
	s.process, s.stopping = p, false
	go func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-p.Done():
				a.ended(resource, s, p)
				return
			case <-tick.C:
				boundLog(log)
			}
			a.mu.Lock()
			closed := a.closed
			a.mu.Unlock()
			if closed {
				return
			}
		}
	}()
}

func (a *Agent) ended(resource string, s *service, p *spawn.Process) {
	how := fmt.Sprintf("process %d %v", p.PID, p.Exit())
	a.mu.Lock()
	news := s.process == p && !s.stopping && !a.closed
	if s.process == p {
		s.process, s.last = nil, how
	}
	a.mu.Unlock()
	if news {
		a.o.Notices(event.ResourceNotice{Name: resource, Reason: how})
	}
}

func (a *Agent) monitor(ctx context.Context, op event.Operation, c config) event.Result {
	s := a.service(op.Name)
	defer s.busy.Unlock()
	p, err := a.running(op.Name, s)
	if err != nil {
		return failed(err)
	}
	if p == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		return event.Result{Code: event.CodeNotRunning, Reason: s.last}
	}
	if op.Interval == 0 {
		return event.Result{} // a probe asks what is there, not how it does
	}
	if err := c.check(ctx); err != nil {
		if ctx.Err() != nil {
			return failed(err)
		}
		return event.Result{Code: event.CodeError, Reason: err.Error()}
	}
	return event.Result{}
}

func (a *Agent) path(resource, suffix string) string {
	return filepath.Join(a.o.Run, url.PathEscape(resource)+suffix)
}

// write puts a record on file at once, never half.
func (a *Agent) write(resource string, rec record) error {
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	half := a.path(resource, ".new")
	if err := os.WriteFile(half, data, 0o600); err != nil {
		return err
	}
	return os.Rename(half, a.path(resource, ".json"))
}

// read returns the record of a resource, or nil.
func (a *Agent) read(resource string) (*record, error) {
	file, err := os.Open(a.path(resource, ".json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxRecord))
	if err != nil {
		return nil, err
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, fmt.Errorf("record %s: %w", file.Name(), err)
	}
	if rec.Process.PID <= 1 {
		return nil, fmt.Errorf("record %s: process id %d", file.Name(), rec.Process.PID)
	}
	return &rec, nil
}
