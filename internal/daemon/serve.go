package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"time"

	"linuxha/internal/api"
)

// stopServing is how long answers under way get when the daemon ends.
const stopServing = time.Second

// serveAPI serves the API on the unix socket and returns what ends it.
func (d *Daemon) serveAPI() (func() error, error) {
	path := d.root.Socket()
	// The state's lock says that no other daemon is there: this is a leftover.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("serve the API: %w", err)
	}
	socket, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("serve the API: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("serve the API: %w", err), socket.Close())
	}
	server := &http.Server{Handler: api.NewHandler(d), ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("the API is not served any more", "error", err)
		}
	}()
	return func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopServing)
		defer cancel()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) { // somebody follows events
			err = server.Close()
		}
		<-done
		return err
	}, nil
}

// Warnings are the troubles that only this daemon can see.
func (d *Daemon) Warnings() []api.Warning {
	var out []api.Warning
	state, _ := d.State()
	times := state.Config.Detection.Resolve()
	name := times.Preset
	if name == "" {
		name = fmt.Sprintf("%s / %s", times.Interval, times.DeadTime)
	}
	slow := func(code, what string, took, limit time.Duration) {
		if took > limit {
			out = append(out, api.Warning{
				Code: code, Severity: "warning",
				Text: fmt.Sprintf("detection %q is too tight for this machine: %s took %s, and %s is the most that it leaves room for", name, what, took.Round(time.Millisecond), limit),
				Hint: "choose slower detection times, or find out what slows the machine",
			})
		}
	}
	if l := d.life.Load(); l != nil && l.beats.Load() != nil {
		d.measures.beat.add(l.beats.Load().Delay())
	}
	slow("slow-disk", "a sync of the state", d.measures.sync.get(), times.DeadTime/4)
	slow("slow-loop", "waking up", d.measures.loop.get(), times.DeadTime/4)
	slow("slow-heartbeat", "sending a heartbeat", d.measures.beat.get(), max(times.Interval, times.DeadTime/4))
	if n := d.measures.dropped.Load(); n > 0 {
		out = append(out, api.Warning{Code: "heartbeats-dropped", Severity: "warning", Text: fmt.Sprintf("%d heartbeats came while this daemon stood still, and were dropped", n)})
	}
	return out
}
