package agent

import (
	"context"
	"fmt"
	"os"
	"time"

	"linuxha/internal/agent/lsb"
	"linuxha/internal/agent/ocf"
	"linuxha/internal/agent/spawn"
	"linuxha/internal/core/event"
)

// ending is what became of a program.
type ending struct {
	exit   spawn.Exit
	cause  error // errTimeout, errCancelled, errClosed, or nil: it ended by itself
	output string
}

// program runs c to its end, or until ctx is done; then its whole session is
// killed, except when the daemon stops: it goes on as an orphan. An error means
// that nothing ran.
func (r *Runner) program(ctx context.Context, id string, rec *record, c spawn.Command) (ending, error) {
	out, writer, err := r.records.openOutput(id)
	if err != nil {
		return ending{}, err
	}
	c.Output = writer
	p, err := spawn.Start(c, r.o.Boot, func(process spawn.ID) error {
		rec.Process = &process
		return r.records.write(id, rec)
	})
	writer.Close()
	if err != nil {
		out.finish()
		return ending{}, err
	}
	return r.await(ctx, p, out), nil
}

// await waits for the end of p, which writes to out.
func (r *Runner) await(ctx context.Context, p *spawn.Process, out output) ending {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var e ending
	for waiting := true; waiting; {
		select {
		case <-p.Done():
			waiting = false
		case <-tick.C:
			out.bound()
		case <-ctx.Done():
			if e.cause = context.Cause(ctx); e.cause == errClosed {
				p.Forget()
				out.Close()
				return e
			}
			if err := p.Kill(); err != nil {
				r.o.Log.Error("an agent cannot be ended", "process", p.PID, "error", err)
				e.output = out.text()
				r.linger(out)
				return e
			}
			<-p.Done()
			waiting = false
		}
	}
	e.exit = p.Exit()
	e.output = out.text()
	r.linger(out)
	return e
}

// linger ends an output: at once, or when the last service that inherited it is gone.
func (r *Runner) linger(out output) {
	if out.finish() {
		return
	}
	go func() {
		for pause := time.Second; !out.finish(); pause = min(2*pause, 30*time.Second) {
			time.Sleep(pause)
			out.bound()
		}
	}()
}

// environ is what agents inherit.
func environ() []string {
	env := os.Environ()
	if os.Getenv("PATH") == "" {
		env = append(env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return env
}

// runOCF runs an operation by its OCF agent.
func (r *Runner) runOCF(ctx context.Context, op event.Operation, rec *record) event.Result {
	path, err := ocf.Path(r.o.OCFRoot, op.Agent)
	if err != nil {
		return notInstalled(err)
	}
	env, err := ocf.Environment(r.ocfHost(), op)
	if err != nil {
		return event.Result{Code: event.CodeArgs, Status: event.StatusDone, Reason: err.Error()}
	}
	// Agents expect the directory that the system makes at boot.
	if err := os.MkdirAll(r.o.ResourceTemp, 0o755); err != nil {
		return failed(err)
	}
	e, err := r.program(ctx, op.ID, rec, spawn.Command{Args: []string{path, op.Action}, Env: env, Dir: "/"})
	if err != nil {
		return failed(err)
	}
	reason, rest := ocf.Output(e.output)
	return e.result(e.exit.Code, reason, rest)
}

func (r *Runner) ocfHost() ocf.Host {
	_, err := os.Stat("/dev/log")
	return ocf.Host{Root: r.o.OCFRoot, Node: r.o.Node, Environ: environ(), Syslog: err == nil}
}

// runLSB runs an operation by an init script.
func (r *Runner) runLSB(ctx context.Context, op event.Operation, rec *record) event.Result {
	path, err := lsb.Path(r.o.InitDir, op.Agent)
	if err != nil {
		return notInstalled(err)
	}
	argument, ok := lsb.Action(op.Action)
	if !ok {
		return notSupported(op)
	}
	e, err := r.program(ctx, op.ID, rec, spawn.Command{Args: []string{path, argument}, Env: environ(), Dir: "/"})
	if err != nil {
		return failed(err)
	}
	return e.result(lsb.Code(op.Action, e.exit.Code), "", e.output)
}

// result turns the end of a program into that of an operation; code is what its
// exit status means.
func (e ending) result(code int, reason, rest string) event.Result {
	result := event.Result{Code: code, Reason: reason, Output: cut(rest, maxOutput)}
	switch {
	case e.cause != nil:
		result.Code = event.CodeError
		result.Status = event.StatusTimeout
		if e.cause == errCancelled {
			result.Status = event.StatusCancelled
		}
		if reason == "" {
			result.Reason = "the agent " + e.cause.Error()
		}
	case !e.exit.Known || e.exit.Signal != 0:
		result.Code, result.Status = event.CodeError, event.StatusError
		if reason == "" {
			result.Reason = fmt.Sprintf("the agent %v", e.exit)
		}
	}
	return result
}

func failed(err error) event.Result {
	return event.Result{Code: event.CodeError, Status: event.StatusError, Reason: err.Error()}
}

func notSupported(op event.Operation) event.Result {
	return event.Result{Code: event.CodeUnimplemented, Status: event.StatusDone,
		Reason: fmt.Sprintf("agents of class %s have no action %s", op.Agent.Class, op.Action)}
}
