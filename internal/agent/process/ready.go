package process

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"linuxha/internal/agent/spawn"
)

// awaitReady returns when the service serves, has ended, or ctx is done.
func (c *config) awaitReady(ctx context.Context, p *spawn.Process, notify *notifySocket) error {
	if notify != nil {
		select {
		case <-notify.ready:
		case <-p.Done():
			return fmt.Errorf("process %d %v before it was ready", p.PID, p.Exit())
		case <-ctx.Done():
			return fmt.Errorf("process %d was not ready in time: %w", p.PID, context.Cause(ctx))
		}
	}
	if err := poll(ctx, p, 200*time.Microsecond, p.Begun); err != nil {
		return err
	}
	var last error
	err := poll(ctx, p, time.Millisecond, func() bool {
		try, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		last = c.check(try)
		return last == nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("%w; %w", err, last)
	}
	return err
}

// check asks once whether the service serves.
func (c *config) check(ctx context.Context) error {
	if c.readyTCP != "" {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.readyTCP)
		if err != nil {
			return fmt.Errorf("check port: %w", err)
		}
		conn.Close()
	}
	if c.readyCommand == nil {
		return nil
	}
	program, err := findProgram(c.readyCommand[0], c.directory)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, program, c.readyCommand[1:]...)
	cmd.Dir, cmd.Env = c.directory, c.env("")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: c.credential}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("check %s: %w", c.readyCommand[0], err)
	}
	return nil
}

// poll waits until ok is true, asking after pause at first, and then less often.
func poll(ctx context.Context, p *spawn.Process, pause time.Duration, ok func() bool) error {
	for ; ; pause = min(pause*3/2, 20*time.Millisecond) {
		if !p.Alive() {
			return fmt.Errorf("process %d %v before it was ready", p.PID, p.Exit())
		}
		if ok() {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-p.Done():
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("process %d was not ready in time: %w", p.PID, context.Cause(ctx))
		}
	}
}

// notifySocket hears sd_notify's READY=1. It is in the abstract name space, under
// a name that only the service is told.
type notifySocket struct {
	*net.UnixConn
	name  string
	ready chan struct{} // closed when READY=1 has come
}

func listenNotify() (*notifySocket, error) {
	name := "@ha-notify-" + rand.Text()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for readiness: %w", err)
	}
	s := &notifySocket{UnixConn: conn, name: name, ready: make(chan struct{})}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			for line := range strings.Lines(string(buffer[:n])) {
				if strings.TrimSpace(line) == "READY=1" {
					close(s.ready)
					return
				}
			}
		}
	}()
	return s, nil
}
