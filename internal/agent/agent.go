// Package agent runs the agents of resources and fence devices on this node.
//
// The Runner records each operation in the run directory before anything of it
// starts, so that a restarted daemon knows what was in flight. Programs run in
// sessions of their own and outlive the daemon; what a resource consists of
// (services, processes, addresses) outlives agents and daemon alike.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"linuxha/internal/agent/ip"
	"linuxha/internal/agent/process"
	"linuxha/internal/agent/spawn"
	"linuxha/internal/agent/systemd"
	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Options configure a Runner. Only Node, Run, Results and Fenced are required.
type Options struct {
	Node string // this node's name
	// Run is the directory of records. It should be emptied at boot; records of
	// other boots are dropped.
	Run  string
	Boot string // this boot's id; "" asks the kernel

	OCFRoot string // "" is /usr/lib/ocf
	InitDir string // of LSB scripts; "" is /etc/init.d
	// FencePath are the directories that are searched for fence agents; nil is
	// /usr/sbin, /usr/bin, /sbin, /bin and those of $PATH.
	FencePath []string
	// Program is this binary, for agents that run it again; "" is the one running.
	Program string
	// ResourceTemp is the directory that OCF agents keep their state in (HA_RSCTMP);
	// it is made if missing. "" is /run/resource-agents.
	ResourceTemp string

	// The functions are called from any goroutine and must not block for long.
	Results func(event.Result)         // once for each Run, and each of Orphans
	Fenced  func(event.FenceCalled)    // once for each Fence
	Notices func(event.ResourceNotice) // something changed by itself; may be nil

	Log *slog.Logger // nil is slog.Default(); it never gets values of parameters
}

// Runner runs operations and fence calls. Its methods may be called from any
// goroutine.
type Runner struct {
	o       Options
	records records // of what is in flight
	active  records // of what is active, by resource
	orphans []event.Operation
	agents  struct {
		ip      *ip.Agent
		process *process.Agent
		systemd *systemd.Agent
	}
	metadata metadataCache
	learnt   atomic.Uint64 // revision of the configuration whose fence agents are known

	mu        sync.Mutex
	working   sync.WaitGroup // operations and fence calls, up to their report
	closed    bool
	running   map[string]context.CancelCauseFunc // by operation id
	announced map[string]time.Time               // when an address was last announced first, by resource
}

// defaultTimeout of an operation that has none, as Pacemaker's.
const defaultTimeout = 20 * time.Second

var (
	errCancelled = errors.New("cancelled")
	errTimeout   = errors.New("timed out")
	errClosed    = process.ErrDaemonStops
)

// New returns a Runner that has taken over what a previous daemon of this boot
// left in flight: see Orphans.
func New(o Options) (*Runner, error) {
	if err := o.complete(); err != nil {
		return nil, fmt.Errorf("prepare to run agents: %w", err)
	}
	r := &Runner{o: o, running: make(map[string]context.CancelCauseFunc), announced: make(map[string]time.Time)}
	var (
		outputs []output
		err     error
	)
	if r.records, outputs, err = openRecords(filepath.Join(o.Run, "operations"), o.Boot); err != nil {
		return nil, fmt.Errorf("prepare to run agents: %w", err)
	}
	for _, out := range outputs {
		r.linger(out)
	}
	if r.active, _, err = openRecords(filepath.Join(o.Run, "active"), o.Boot); err != nil {
		return nil, fmt.Errorf("prepare to run agents: %w", err)
	}
	r.agents.systemd = systemd.New(o.Notices)
	r.agents.ip = ip.New(ip.Options{Notices: o.Notices, Announced: r.noteAnnounced, Log: o.Log})
	r.agents.process, err = process.New(process.Options{Run: filepath.Join(o.Run, "process"), Boot: o.Boot, Program: o.Program, Notices: o.Notices, Log: o.Log})
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("prepare to run agents: %w", err)
	}
	if err := r.adopt(); err != nil {
		r.Close()
		return nil, fmt.Errorf("take over what was in flight: %w", err)
	}
	return r, nil
}

// complete fills in defaults.
func (o *Options) complete() error {
	if o.Node == "" || o.Run == "" || o.Results == nil || o.Fenced == nil {
		return errors.New("node, run directory and the functions for results are required")
	}
	if o.Boot == "" {
		boot, err := spawn.BootID()
		if err != nil {
			return err
		}
		o.Boot = boot
	}
	if o.Program == "" {
		program, err := os.Executable()
		if err != nil {
			return err
		}
		o.Program = program
	}
	defaults(&o.OCFRoot, "/usr/lib/ocf")
	defaults(&o.InitDir, "/etc/init.d")
	defaults(&o.ResourceTemp, "/run/resource-agents")
	if o.FencePath == nil {
		for _, dir := range append([]string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}, filepath.SplitList(os.Getenv("PATH"))...) {
			if !slices.Contains(o.FencePath, dir) {
				o.FencePath = append(o.FencePath, dir)
			}
		}
	}
	if o.Notices == nil {
		o.Notices = func(event.ResourceNotice) {}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return nil
}

func defaults(option *string, value string) {
	if *option == "" {
		*option = value
	}
}

// Run starts op and returns; its Result comes later. The record is on file
// before anything starts.
func (r *Runner) Run(op event.Operation) {
	if op.Timeout <= 0 {
		op.Timeout = defaultTimeout
	}
	ctx, ok := r.begin(op.ID, op.Timeout)
	if !ok {
		return
	}
	op = r.asStarted(op)
	started := time.Now()
	record := &record{Operation: &op, Boot: r.o.Boot, Deadline: bootClock() + op.Timeout}
	if err := errors.Join(r.noteActive(op), r.records.write(op.ID, record)); err != nil {
		r.end(op, started, event.Result{Code: event.CodeError, Status: event.StatusError, Reason: fmt.Sprintf("not started: %v", err)})
		return
	}
	go func() { r.end(op, started, r.perform(ctx, op, record)) }()
}

// begin returns the context of an operation, or false if it must not run.
func (r *Runner) begin(id string, timeout time.Duration) (context.Context, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, false
	}
	if _, double := r.running[id]; double {
		r.o.Log.Error("an operation's id was used twice; the second one is refused", "operation", id)
		return nil, false
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	if timeout > 0 {
		timer := time.AfterFunc(timeout, func() { cancel(errTimeout) })
		context.AfterFunc(ctx, func() { timer.Stop() })
	}
	r.running[id] = cancel
	r.working.Add(1)
	return ctx, true
}

// end reports a result and forgets the operation, unless the daemon stops: then
// the record remains, and the next daemon finds the orphan.
func (r *Runner) end(op event.Operation, started time.Time, result event.Result) {
	defer r.working.Done()
	r.mu.Lock()
	cancel := r.running[op.ID]
	delete(r.running, op.ID)
	closed := r.closed
	if at, ok := r.announced[op.Name]; ok && op.Action == "start" {
		result.Announced = max(at.Sub(started), 0)
		delete(r.announced, op.Name)
	}
	r.mu.Unlock()
	cancel(nil)
	if closed {
		return
	}
	result.ID, result.Started, result.Duration = op.ID, started, time.Since(started)
	r.o.Log.Debug("operation ended", "resource", op.Name, "action", op.Action, "code", result.Code, "status", result.Status, "took", result.Duration)
	r.noteResult(op, result)
	r.o.Results(result)
	r.records.remove(op.ID)
}

// noteAnnounced keeps when an address was announced until its start has ended.
func (r *Runner) noteAnnounced(a ip.Announcement) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.announced[a.Resource] = a.At
}

// closePatience bounds how long Close waits for what is just ending.
const closePatience = 10 * time.Second

// Cancel ends an operation: its programs are killed. The Result still comes.
func (r *Runner) Cancel(id string) {
	r.mu.Lock()
	cancel := r.running[id]
	r.mu.Unlock()
	if cancel != nil {
		cancel(errCancelled)
	}
}

// Orphans are the operations that were in flight when the previous daemon ended.
// Those that are programs go on; their Results come when they end, with
// StatusError, since nobody may know what came of them.
func (r *Runner) Orphans() []event.Operation { return slices.Clone(r.orphans) }

// Close ends all watching. Services, processes and addresses stay as they are;
// programs in flight go on as orphans, and no result is reported any more.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	for _, cancel := range r.running {
		cancel(errClosed)
	}
	r.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		r.working.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(closePatience):
		r.o.Log.Error("agents do not let go; what they do is left to the next daemon")
	}
	if r.agents.ip != nil {
		r.agents.ip.Close()
	}
	if r.agents.process != nil {
		r.agents.process.Close()
	}
	if r.agents.systemd != nil {
		r.agents.systemd.Close()
	}
}

// perform runs op by its agent's class.
func (r *Runner) perform(ctx context.Context, op event.Operation, record *record) event.Result {
	params, err := resolve(op)
	if err != nil {
		return event.Result{Code: event.CodeNotInstalled, Status: event.StatusNoSecrets, Reason: err.Error()}
	}
	op.Params = params
	switch op.Agent.Class {
	case "ocf":
		return r.runOCF(ctx, op, record)
	case "lsb":
		return r.runLSB(ctx, op, record)
	case "systemd":
		return closedBy(ctx, r.agents.systemd.Run(ctx, op))
	case "service":
		if r.agents.systemd.Has(ctx, op.Agent.Type) {
			return closedBy(ctx, r.agents.systemd.Run(ctx, op))
		}
		return r.runLSB(ctx, op, record)
	case "stonith":
		return r.runDevice(ctx, op, record)
	case "ha":
		switch op.Agent.Type {
		case "ip":
			return closedBy(ctx, r.agents.ip.Run(ctx, op))
		case "process", "web":
			return closedBy(ctx, r.agents.process.Run(ctx, op))
		}
	}
	return notInstalled(fmt.Errorf("there is no agent %s", op.Agent))
}

// closedBy gives a result that was cut short the status of what cut it.
func closedBy(ctx context.Context, result event.Result) event.Result {
	if result.Status != event.StatusError {
		return result
	}
	switch context.Cause(ctx) {
	case errCancelled:
		result.Status = event.StatusCancelled
	case errTimeout:
		result.Status = event.StatusTimeout
	}
	return result
}

func notInstalled(err error) event.Result {
	return event.Result{Code: event.CodeNotInstalled, Status: event.StatusNotInstalled, Reason: err.Error()}
}

// maxSecret bounds the content of a file that stands for a value, in bytes.
const maxSecret = 32 << 10

// resolve reads the parameters that are files. A stop goes on without those that
// cannot be read: it must not fail for lack of a password.
func resolve(op event.Operation) ([]cluster.NVPair, error) {
	params := slices.Clone(op.Params)
	for i := 0; i < len(params); i++ {
		if params[i].File == "" {
			continue
		}
		content, err := readSecret(params[i].File)
		if err == nil {
			params[i].Value, params[i].File = content, ""
			continue
		}
		if op.Action != "stop" {
			return nil, fmt.Errorf("parameter %s of %s: %w", params[i].Name, op.Name, err)
		}
		params = slices.Delete(params, i, i+1)
		i--
	}
	return params, nil
}
