package lab

import (
	"context"
	"fmt"
	"time"
)

// SignalDaemon is a shell command that signals the daemon of a host and leaves
// its services alone.
func SignalDaemon(signal string) string {
	return `for p in /proc/[0-9]*; do [ $p != /proc/$$ ] || continue; case "$(tr '\0' ' ' <$p/cmdline)" in "ha daemon "*|*"/ha daemon "*) kill -` + signal +
		` ${p#/proc/}; found=1;; esac; done 2>/dev/null; [ $found ]`
}

// killDaemon kills a daemon alone, and starts it again before or after the others
// have given it up.
func (c *chaos) killDaemon(ctx context.Context, host string) error {
	if _, _, err := c.lab.Output(ctx, host, "sh", "-c", SignalDaemon("9")); err != nil {
		return err
	}
	if err := pause(ctx, time.Duration(c.rand.IntN(3000))*time.Millisecond); err != nil {
		return err
	}
	return c.startDaemon(ctx, host)
}

func (c *chaos) startDaemon(ctx context.Context, host string) error {
	_, _, err := c.lab.Output(ctx, host, "sh", "-c", "ha daemon >>/var/log/ha.log 2>&1 </dev/null &")
	return err
}

// loseDaemon kills a daemon that does not come back by itself: its host is fenced,
// or its watchdog resets it. Where nobody is left to do that, an administrator
// comes in the end.
func (c *chaos) loseDaemon(ctx context.Context, host string) error {
	const administrator = 20 * time.Second
	boot, err := c.bootID(host)
	if err != nil {
		return err
	}
	if _, _, err := c.lab.Output(ctx, host, "sh", "-c", SignalDaemon("9")); err != nil {
		return err
	}
	for begin := time.Now(); time.Since(begin) < administrator; {
		if now, err := c.bootID(host); err != nil || now != boot {
			return err
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return c.startDaemon(ctx, host)
}

// bootID returns that of a host, "" while it is off.
func (c *chaos) bootID(host string) (string, error) {
	status, err := c.lab.Status()
	if err != nil {
		return "", err
	}
	for _, h := range status.Hosts {
		if h.Name == host {
			return h.BootID, nil
		}
	}
	return "", fmt.Errorf("no host %s", host)
}

// stopDaemon stops a daemon in an orderly way, and starts it again. One that cannot
// end, since others are missing, is killed as an init system does in the end.
func (c *chaos) stopDaemon(ctx context.Context, host string) error {
	const patience = 5 * time.Second
	if _, _, err := c.lab.Output(ctx, host, "sh", "-c", SignalDaemon("TERM")); err != nil {
		return err
	}
	for begin := time.Now(); ; {
		if _, _, err := c.lab.Output(ctx, host, "sh", "-c", SignalDaemon("0")); err != nil {
			break
		}
		if time.Since(begin) > patience {
			_, _, _ = c.lab.Output(ctx, host, "sh", "-c", SignalDaemon("9")) // it may just have ended
			break
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	if err := pause(ctx, time.Duration(c.rand.IntN(1500))*time.Millisecond); err != nil {
		return err
	}
	return c.startDaemon(ctx, host)
}

// watchHosts gives each host, once in each of its boots, what a run needs there: a
// hypervisor, and a claim of the service's address while the host has it.
func (l *Lab) watchHosts(ctx context.Context) {
	begun := map[string]string{} // boot id in which a host has them
	for pause(ctx, 50*time.Millisecond) == nil {
		status, err := l.Status()
		if err != nil {
			continue
		}
		for _, h := range status.Hosts {
			if h.Name == Client || h.State != "on" || begun[h.Name] == h.BootID {
				continue
			}
			begun[h.Name] = h.BootID
			for _, args := range [][]string{{faceAddressWatch, ServiceTarget.Addr().String(), SharedDisk}, {faceHypervisor, SharedDisk}} {
				go func() {
					// It ends with the host or with the run.
					_ = l.Run(ctx, Command{Host: h.Name, Path: "/usr/sbin/ha", Args: args})
				}()
			}
		}
	}
}
