package process

import (
	"context"
	"fmt"
	"net/url"
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
		if err := a.end(rec.Process); err != nil {
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
	command.Group = a.newGroup(op.Name)
	p, err = spawn.Start(command, a.o.Boot, func(id spawn.ID) error {
		rec.Process = id
		return a.write(op.Name, rec)
	})
	if err != nil || p.Group != command.Group {
		a.removeGroup(command.Group)
	}
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
	if err := a.end(p.ID); err != nil {
		result.Reason += "; " + err.Error()
		return result
	}
	os.Remove(a.path(op.Name, ".json"))
	return result
}

// newGroup makes a control group for a service, or returns "" where none can be
// made: its processes are then known by session and parents only.
func (a *Agent) newGroup(resource string) spawn.Group {
	if a.groups == "" {
		return ""
	}
	g, err := a.groups.New(url.PathEscape(resource))
	if err != nil {
		a.o.Log.Warn("a service runs without a control group of its own", "resource", resource, "error", err)
	}
	return g
}

// end kills all that is left of a process, and removes its control group.
func (a *Agent) end(id spawn.ID) error {
	if err := id.Kill(); err != nil {
		return err
	}
	a.removeGroup(id.Group)
	return nil
}

func (a *Agent) removeGroup(g spawn.Group) {
	if err := g.Remove(); err != nil { // it is empty: nothing waits for it
		a.o.Log.Warn("an empty control group is left", "error", err)
	}
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
		if spawn.CheckProgram(path) == nil {
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
