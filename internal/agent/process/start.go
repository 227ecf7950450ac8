package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/core/event"
)

// searchPath is where commands are looked for, and their PATH.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// start returns when the service is ready.
func (a *Agent) start(ctx context.Context, op event.Operation, c config) event.Result {
	s := a.service(op.Name)
	defer s.busy.Unlock()
	p, err := a.running(op.Name, s)
	if err != nil {
		return failed(err)
	}
	if p != nil {
		return event.Result{}
	}
	// What an earlier process left behind would stand in the way of the next.
	if rec, err := a.read(op.Name); err != nil {
		return failed(err)
	} else if rec != nil && rec.Process.Boot == a.o.Boot {
		if err := rec.Process.Kill(); err != nil {
			return failed(err)
		}
	}
	program, err := findProgram(c.args[0], c.directory)
	if err != nil {
		return event.Result{Code: event.CodeNotInstalled, Reason: err.Error()}
	}
	log, err := a.openLog(op.Name, c)
	if err != nil {
		return failed(err)
	}
	defer log.Close()
	var notify *notifySocket
	env := c.env(op.Name)
	if c.readyNotify {
		if notify, err = listenNotify(); err != nil {
			return failed(err)
		}
		defer notify.Close()
		env = append(env, "NOTIFY_SOCKET="+notify.name)
	}
	rec := record{}
	if c.log == "" {
		rec.Log = log.Name()
	}
	command := spawn.Command{Args: append([]string{program}, c.args[1:]...), Env: env, Dir: c.directory, Output: log, Credential: c.credential}
	p, err = spawn.Start(command, a.o.Boot, func(id spawn.ID) error {
		rec.Process = id
		return a.write(op.Name, rec)
	})
	if err != nil {
		return failed(err)
	}
	if err := c.awaitReady(ctx, p, notify); err != nil {
		return a.startFailed(ctx, op, p, log.Name(), err)
	}
	a.supervise(op.Name, s, p, rec.Log)
	return event.Result{}
}

// startFailed ends what did not become ready, unless it is the daemon that ends.
func (a *Agent) startFailed(ctx context.Context, op event.Operation, p *spawn.Process, log string, err error) event.Result {
	if context.Cause(ctx) == ErrDaemonStops {
		p.Forget()
		return failed(err)
	}
	result := event.Result{Code: event.CodeError, Reason: err.Error(), Output: tail(log)}
	if ctx.Err() != nil {
		result.Status = event.StatusError
	}
	if err := p.Kill(); err != nil {
		result.Reason += "; " + err.Error()
		return result
	}
	os.Remove(a.path(op.Name, ".json"))
	return result
}

// findProgram returns the path of a command.
func findProgram(name, directory string) (string, error) {
	candidates := []string{name}
	switch {
	case !strings.Contains(name, "/"):
		candidates = nil
		for _, dir := range filepath.SplitList(searchPath) {
			candidates = append(candidates, filepath.Join(dir, name))
		}
	case !filepath.IsAbs(name):
		candidates[0] = filepath.Join(directory, name)
	}
	for _, path := range candidates {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("command %q is not a program on this node", name)
}

func (c *config) env(resource string) []string {
	env := []string{"PATH=" + searchPath, "HA_RESOURCE=" + resource}
	if c.user != nil {
		env = append(env, "USER="+c.user.Username, "LOGNAME="+c.user.Username, "HOME="+c.user.HomeDir)
	} else {
		env = append(env, "USER=root", "LOGNAME=root", "HOME=/root")
	}
	for _, name := range []string{"LANG", "TZ"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, c.environment...)
}
