package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// chaos is a run's state.
type chaos struct {
	lab    *Lab
	rand   *rand.Rand
	tell   func(string)
	report *ChaosReport

	detection string
	extra     bool   // the configuration has another resource
	migrating string // where the guest was when it was asked to migrate, until the next fault
}

// fault is one thing that can go wrong.
type fault struct {
	name   string
	weight int
	strike func(c *chaos, ctx context.Context, host string) error
}

var faults = []fault{
	{"crash", 20, func(c *chaos, _ context.Context, host string) error { return c.lab.Crash(host) }},
	{"cut all links", 12, func(c *chaos, _ context.Context, host string) error {
		return c.lab.Cut(Cut{Host: host, Direction: Both})
	}},
	{"cut incoming", 8, func(c *chaos, _ context.Context, host string) error { return c.lab.Cut(Cut{Host: host, Direction: In}) }},
	{"cut outgoing", 8, func(c *chaos, _ context.Context, host string) error {
		return c.lab.Cut(Cut{Host: host, Direction: Out})
	}},
	{"cut one link", 8, func(c *chaos, _ context.Context, host string) error {
		return c.lab.Cut(Cut{Host: host, Link: 2, Direction: Both})
	}},
	{"unplug one link", 5, func(c *chaos, _ context.Context, host string) error {
		return c.lab.Cut(Cut{Host: host, Link: 1 + c.rand.IntN(2), Direction: Both, Unplug: true})
	}},
	{"cut two apart", 6, func(c *chaos, _ context.Context, host string) error {
		return c.lab.Cut(Cut{Host: host, Peer: c.other(host), Direction: Both})
	}},
	{"pause", 10, func(c *chaos, ctx context.Context, host string) error {
		if err := c.lab.Pause(host); err != nil {
			return err
		}
		defer c.lab.Resume(host)
		return pause(ctx, time.Duration(100+c.rand.IntN(3000))*time.Millisecond)
	}},
	{"loss", 8, func(c *chaos, _ context.Context, host string) error {
		return c.lab.Loss(host, 0, Both, float64(5+c.rand.IntN(40)))
	}},
	{"kill daemon", 10, (*chaos).killDaemon},
	{"kill daemon for good", 5, (*chaos).loseDaemon},
	{"stop daemon", 5, (*chaos).stopDaemon},
	{"kill service", 8, func(c *chaos, ctx context.Context, _ string) error {
		s, err := c.lab.ClusterStatus(ctx)
		if err != nil || ServedBy(s) == "" {
			return err
		}
		_, _, err = c.lab.output(ctx, Command{Host: ServedBy(s), Path: "/usr/sbin/ha", Args: []string{faceKill, fmt.Sprint(ledgerPort)}})
		return err
	}},
	{"freeze daemon", 5, func(c *chaos, ctx context.Context, host string) error {
		if _, _, err := c.lab.Output(ctx, host, "sh", "-c", SignalDaemon("STOP")); err != nil {
			return err
		}
		if err := pause(ctx, time.Duration(100+c.rand.IntN(7000))*time.Millisecond); err != nil {
			return err
		}
		_, _, err := c.lab.Output(ctx, host, "sh", "-c", SignalDaemon("CONT"))
		return err
	}},
	{"restart daemon", 4, func(c *chaos, ctx context.Context, host string) error {
		_, _, err := c.lab.Output(ctx, host, "sh", "-c", SignalDaemon("HUP"))
		return err
	}},
	{"drain", 6, func(c *chaos, ctx context.Context, host string) error {
		if _, err := c.lab.ha(ctx, host, "node", "standby", host); err != nil {
			return err
		}
		_, err := c.lab.ha(ctx, host, "node", "online", host)
		return err
	}},
	{"move", 4, func(c *chaos, ctx context.Context, host string) error {
		_, err := c.lab.ha(ctx, host, "resource", "move", serviceGroup)
		return err
	}},
	{"migrate", 20, (*chaos).migrate},
	{"configure", 4, (*chaos).configure},
	{"fence", 4, func(c *chaos, ctx context.Context, host string) error {
		_, err := c.lab.ha(ctx, host, "fence", c.host(), "--yes")
		return err
	}},
}

// host picks a node.
func (c *chaos) host() string { return NodeName(1 + c.rand.IntN(c.lab.Spec.Nodes)) }

// other picks another node than host.
func (c *chaos) other(host string) string {
	nodes := slices.DeleteFunc(c.lab.Nodes(), func(n string) bool { return n == host })
	return nodes[c.rand.IntN(len(nodes))]
}

// round strikes once, or now and then twice in a row before anything is mended,
// which now and then takes longer than the cluster needs to go on without.
func (c *chaos) round(ctx context.Context) {
	strikes := 1
	if c.rand.IntN(100) < 25 {
		strikes = 2
	}
	for ; strikes > 0; strikes-- {
		f, host := c.pick(), c.host()
		if c.migrating != "" && c.rand.IntN(2) == 0 {
			host = c.migrating
		}
		c.migrating = ""
		c.tell(fmt.Sprintf("%s on %s", f.name, host))
		c.report.Faults[f.name]++
		c.report.FaultsTotal++
		// A fault may be impossible now, since an earlier one has struck its host:
		// that is no failure of the cluster.
		if err := f.strike(c, ctx, host); err != nil {
			c.tell(fmt.Sprintf("%s on %s: %v", f.name, host, err))
		}
		wait := 2500 * time.Millisecond
		if c.migrating != "" {
			strikes, wait = 2, copyTime
		}
		if pause(ctx, time.Duration(c.rand.Int64N(int64(wait)))) != nil {
			return
		}
	}
	if c.rand.IntN(100) < 25 {
		_ = pause(ctx, time.Duration(c.rand.IntN(12000))*time.Millisecond) // ctx is looked at by the caller
	}
}

func (c *chaos) pick() fault {
	possible := slices.Clone(faults)
	if c.lab.Spec.Watchdog { // and so no fence device
		possible = slices.DeleteFunc(possible, func(f fault) bool { return f.name == "fence" })
	}
	sum := 0
	for _, f := range possible {
		sum += f.weight
	}
	n := c.rand.IntN(sum)
	for _, f := range possible {
		if n -= f.weight; n < 0 {
			return f
		}
	}
	return possible[0]
}

// mend powers on what is off, lets go on what is paused, and joins what was cut.
func (l *Lab) mend() error {
	status, err := l.Status()
	if err != nil {
		return err
	}
	for _, h := range status.Hosts {
		var err error
		switch h.State {
		case "off":
			err = l.Start(h.Name)
		case "paused":
			err = l.Resume(h.Name)
		}
		if err != nil {
			return fmt.Errorf("mend %s: %w", h.Name, err)
		}
	}
	return l.Heal("")
}

// migrate has the guest migrate; what strikes next, strikes it under way.
func (c *chaos) migrate(ctx context.Context, host string) error {
	s, err := c.lab.ClusterStatus(ctx)
	if err != nil {
		return err
	}
	c.migrating = PlaceOf(s, guestResource)
	_, err = c.lab.ha(ctx, host, "resource", "move", guestResource, "--wait", "0")
	return err
}

// configure adds a resource to the configuration, or takes it out again.
func (c *chaos) configure(ctx context.Context, _ string) error {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text := c.lab.chaosConfig(c.detection)
	if !c.extra {
		text += "\nresource \"extra\" {\n  agent  = \"ha:process\"\n  params = { command = \"sleep infinity\" }\n}\n"
	}
	c.extra = !c.extra
	return c.lab.Apply(ctx, text)
}

// plantOwner starts a second ledger behind the cluster's back.
func (c *chaos) plantOwner(ctx context.Context) error {
	s, err := c.lab.ClusterStatus(ctx)
	if err != nil {
		return err
	}
	for _, node := range c.lab.Nodes() {
		if node != ServedBy(s) {
			_, _, err := c.lab.Output(ctx, node, "sh", "-c", fmt.Sprintf("/usr/sbin/%s %d %s >/dev/null 2>&1 </dev/null &", faceLedger, ledgerPort+1, SharedDisk))
			return err
		}
	}
	return errors.New("there is no second node")
}

// plantLoss takes a line out of the ledger.
func (c *chaos) plantLoss(line string) error {
	path := filepath.Join(c.lab.SharedDir(), ledgerFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Replace("\n"+string(text), "\n"+line+"\n", "\n", 1)), 0o644)
}

func dup(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate a descriptor: %w", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}
