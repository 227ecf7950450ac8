package lab

import (
	"context"
	"fmt"
	"time"

	"linuxha/internal/api"
)

// DemoStep is one thing that happened in a demonstration.
type DemoStep struct {
	Name string `json:"name"`
	What string `json:"what"` // what happened, in a sentence
	Outage
}

// Demo forms a cluster in the lab, runs a web site on it, breaks one thing after
// the other, and tells each step when it is over. say tells what is about to
// happen.
func (l *Lab) Demo(ctx context.Context, detection string, say func(string), tell func(DemoStep)) error {
	begun := time.Now()
	say(fmt.Sprintf("forming a cluster of %d nodes", l.Spec.Nodes))
	if err := l.Form(ctx, detection); err != nil {
		return err
	}
	if err := l.Apply(ctx, l.BaseConfig(detection)+ServiceConfig(WebServer)); err != nil {
		return err
	}
	if _, err := l.Await(ctx, serviceTimeout, "the web site runs", func(s *api.Status) bool { return ServedBy(s) != "" }); err != nil {
		return err
	}
	say(fmt.Sprintf("the web site answers at http://%s after %.1f s", ServiceTarget, time.Since(begun).Seconds()))
	for _, step := range l.demoSteps(ctx) {
		if step.majority && l.Spec.Nodes < 3 {
			say("not shown with two nodes: " + step.name + "; the one that is cut off may fence the other first")
			continue
		}
		say(step.announce)
		o, err := l.measure(ctx, step.act, step.done)
		if err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		tell(DemoStep{Name: step.name, What: step.tell(o), Outage: o})
		if step.undo == nil {
			continue
		}
		if err := step.undo(o.From); err != nil {
			return fmt.Errorf("after %s: %w", step.name, err)
		}
	}
	say("waiting until every node is back")
	_, err := l.Await(ctx, serviceTimeout, "every node is online", l.AllOnline)
	return err
}

// demoStep is one thing to do to the node that runs the service.
type demoStep struct {
	name     string
	announce string
	majority bool // it needs nodes that outvote the one that it happens to
	act      func(active string) error
	done     func(s *api.Status, active string) bool
	tell     func(o Outage) string
	undo     func(active string) error
}

// moved: the service runs on another node than before.
func moved(s *api.Status, active string) bool {
	node := ServedBy(s)
	return node != "" && node != active
}

// stayed: the service runs where it was.
func stayed(s *api.Status, active string) bool { return ServedBy(s) == active }

func (l *Lab) demoSteps(ctx context.Context) []demoStep {
	heal := func(string) error { return l.Heal("") }
	return []demoStep{
		{
			name: "server killed", announce: "killing the web server's process",
			act:  func(active string) error { return l.killServer(ctx, active) },
			done: func(s *api.Status, _ string) bool { return ServedBy(s) != "" },
			tell: func(o Outage) string {
				if o.To == o.From {
					return "the web server on " + o.From + " was killed; it was started again there"
				}
				return "the web server on " + o.From + " was killed; " + o.To + " took the site over"
			},
		},
		{
			name: "host crashed", announce: "cutting the power of the host that runs the site",
			act: l.Crash, done: moved,
			tell: func(o Outage) string {
				return o.From + " lost power; the others fenced it, which also made it boot again, and " + o.To + " took the site over"
			},
		},
		{
			name: "one link cut", announce: "cutting the second link of the host that runs the site",
			act: func(active string) error {
				if err := l.Cut(Cut{Host: active, Link: l.Spec.Links, Direction: Both}); err != nil {
					return err
				}
				return pause(ctx, 3*time.Second)
			},
			done: stayed,
			tell: func(o Outage) string { return o.From + " lost a link; the other carries on, and the site stayed" },
			undo: heal,
		},
		{
			name: "all links cut", announce: "cutting every link of the host that runs the site", majority: true,
			act:  func(active string) error { return l.Cut(Cut{Host: active, Direction: Both}) },
			done: moved,
			tell: func(o Outage) string {
				return o.From + " was cut off; the others fenced it, and " + o.To + " took the site over"
			},
			undo: heal,
		},
		{
			name: "host drained", announce: "draining the host that runs the site",
			act: func(active string) error {
				_, err := l.ha(ctx, active, "node", "standby", active)
				return err
			},
			done: moved,
			tell: func(o Outage) string { return o.From + " was drained; the site moved to " + o.To },
			undo: func(active string) error {
				_, err := l.ha(ctx, active, "node", "online", active)
				return err
			},
		},
	}
}

// killServer kills the process that serves the service's port.
func (l *Lab) killServer(ctx context.Context, host string) error {
	port := fmt.Sprint(ServiceTarget.Port())
	_, stderr, err := l.output(ctx, Command{Host: host, Path: "/usr/sbin/ha", Args: []string{faceKill, port}})
	if err != nil {
		return fmt.Errorf("kill the server on %s: %w: %s", host, err, stderr)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
