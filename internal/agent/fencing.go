package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"linuxha/internal/agent/fence"
	"linuxha/internal/agent/spawn"
	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

const (
	defaultFenceTimeout = time.Minute // Pacemaker's stonith-timeout
	maxFenceList        = 128 << 10   // kept of a device's list
	monitorPause        = time.Second // before a device that failed its monitor is asked again
)

var fenceNumber atomic.Uint64 // tells the records of this daemon's fence calls apart

// Fence calls a fence device and returns; the answer comes by Options.Fenced. A
// time-out is a failure, whatever the device may have done.
func (r *Runner) Fence(call event.FenceCall) {
	if call.Timeout <= 0 {
		call.Timeout = defaultFenceTimeout
	}
	id := "fence " + strconv.Itoa(os.Getpid()) + " " + strconv.FormatUint(fenceNumber.Add(1), 10)
	ctx, ok := r.begin(id, call.Delay+call.Timeout)
	if !ok {
		return
	}
	go func() {
		defer r.working.Done()
		answer := event.FenceCalled{Call: call}
		started := time.Now()
		if wait(ctx, call.Delay) {
			started = time.Now()
			r.callDevice(ctx, id, &answer)
		}
		answer.Took = time.Since(started)

		r.mu.Lock()
		cancel := r.running[id]
		delete(r.running, id)
		closed := r.closed
		r.mu.Unlock()
		cancel(nil)
		if !closed { // else the next daemon ends what goes on
			r.o.Fenced(answer)
			r.records.remove(id)
		}
	}()
}

// wait returns false if ctx is done before.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// callDevice calls the agent once: whoever ordered it decides about another try.
func (r *Runner) callDevice(ctx context.Context, id string, answer *event.FenceCalled) {
	call := &answer.Call
	d, err := r.openDevice(ctx, call.Agent, call.Params)
	if err != nil {
		answer.Error = err.Error()
		return
	}
	if call.Action == "metadata" {
		if answer.OK = d.metadata != nil; answer.OK {
			answer.Actions = d.metadata.Actions
		} else {
			answer.Error = call.Agent.Type + " does not tell about itself (metadata)"
		}
		return
	}
	rec := &record{Fence: call.Action + " " + call.Target.Node + " by " + call.Device, Boot: r.o.Boot}
	e, err := r.runDeviceAgent(ctx, id, rec, d, call.Action, call.Target.Node)
	if err != nil {
		answer.Error = err.Error()
		return
	}
	answer.Output, answer.OK, answer.Error = d.answer(call.Action, e)
	if !answer.OK && !call.Asks() {
		r.o.Log.Warn("a fence device failed", "device", call.Device, "action", call.Action, "target", call.Target.Node, "attempt", call.Attempt, "error", answer.Error)
	}
}

// device is a fence device with all that a call needs.
type device struct {
	path     string
	settings *cluster.FenceDevice
	metadata *cluster.AgentMetadata // nil if the agent did not tell
	params   []cluster.NVPair       // resolved
	secrets  []string
}

func (r *Runner) openDevice(ctx context.Context, agent cluster.Agent, params []cluster.NVPair) (*device, error) {
	path, err := fence.Path(r.o.FencePath, agent)
	if err != nil {
		return nil, err
	}
	d := &device{path: path}
	if d.settings, err = cluster.ParseFenceDevice(params); err != nil {
		r.o.Log.Warn("a fence device has parameters that do not count", "agent", agent.Type, "error", err)
	}
	if d.params, err = resolve(event.Operation{Name: agent.Type, Params: params}); err != nil {
		return nil, err
	}
	d.secrets = fence.Secrets(params, d.params)
	// Fencing must not hang on an agent that does not tell about itself.
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if d.metadata, err = r.Metadata(ctx, agent); err != nil {
		r.o.Log.Warn("a fence agent gives no metadata; its plug is passed as port", "agent", agent.Type, "error", err)
	}
	return d, nil
}

func (r *Runner) runDeviceAgent(ctx context.Context, id string, rec *record, d *device, action, target string) (ending, error) {
	input, err := fence.Input(d.settings, d.metadata, action, target, d.params)
	if err != nil {
		return ending{}, err
	}
	// The variable tells the agents' library that somebody else keeps the time.
	env := append(environ(), "PCMK_service=pacemaker-fenced")
	return r.program(ctx, id, rec, spawn.Command{Args: []string{d.path}, Env: env, Dir: "/", Stdin: input})
}

// answer judges what became of the agent.
func (d *device) answer(action string, e ending) (output string, ok bool, problem string) {
	limit := maxOutput
	if action == "list" {
		limit = maxFenceList
	}
	output = cut(fence.Scrub(strings.TrimSpace(e.output), d.secrets), limit)
	switch {
	case e.cause != nil:
		return output, false, "the fence agent " + e.cause.Error()
	case !e.exit.Known || e.exit.Signal != 0:
		return output, false, fmt.Sprintf("the fence agent %v", e.exit)
	}
	ok, power := fence.Answer(action, e.exit.Code)
	if !ok {
		problem = fence.Meaning(e.exit.Code)
		if output != "" {
			problem += ": " + lastLine(output)
		}
	} else if power != "" {
		output = power
	}
	return output, ok, problem
}

func lastLine(text string) string {
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// runDevice runs an operation on a fence device as a resource: started means
// that this node watches it; every node may use it all the same.
func (r *Runner) runDevice(ctx context.Context, op event.Operation, rec *record) event.Result {
	mark := filepath.Join(r.o.Run, "devices", filepath.Base(op.Name))
	_, err := os.Stat(mark)
	started := err == nil
	switch op.Action {
	case "stop":
		if err := os.Remove(mark); err != nil && !errors.Is(err, os.ErrNotExist) {
			return failed(err)
		}
		return event.Result{}
	case "monitor":
		if !started {
			return event.Result{Code: event.CodeNotRunning}
		}
		if op.Interval == 0 {
			return event.Result{}
		}
	case "start":
	default:
		return notSupported(op)
	}
	if _, err := fence.Path(r.o.FencePath, op.Agent); err != nil {
		return notInstalled(err)
	}
	d, err := r.openDevice(ctx, op.Agent, op.Params)
	if err != nil {
		return event.Result{Code: event.CodeNotConfigured, Status: event.StatusDone, Reason: err.Error()}
	}
	var (
		e               ending
		output, problem string
		ok              bool
	)
	for try := 0; try < d.settings.Tries("monitor") && !ok && wait(ctx, time.Duration(try)*monitorPause); try++ {
		if e, err = r.runDeviceAgent(ctx, op.ID, rec, d, "monitor", ""); err != nil {
			return failed(err)
		}
		output, ok, problem = d.answer("monitor", e)
	}
	if !ok {
		result := e.result(event.CodeError, problem, "")
		result.Reason, result.Output = problem, output
		return result
	}
	if op.Action == "start" {
		if err := os.MkdirAll(filepath.Dir(mark), 0o700); err != nil {
			return failed(err)
		}
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return failed(err)
		}
	}
	return event.Result{Output: output}
}
