package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Times of a probe.
const (
	ProbeInterval = 5 * time.Millisecond
	ProbeTimeout  = 50 * time.Millisecond
)

// ProbeKind says what counts as a success.
type ProbeKind string

const (
	ProbeTCP  ProbeKind = "tcp"  // a new connection is accepted
	ProbeHTTP ProbeKind = "http" // and a request on it is answered with status 200
	ProbeUDP  ProbeKind = "udp"  // a datagram is answered
)

// ProbeResult is what a client saw. Times are in seconds.
type ProbeResult struct {
	Target     string  `json:"target"`
	Kind       string  `json:"kind"`
	Sent       int     `json:"sent"`
	Succeeded  int     `json:"succeeded"`
	LongestGap float64 `json:"longest_gap"` // between two consecutive successes, or to the probe's end
	GapBegan   float64 `json:"gap_began"`   // since the probe began
	Duration   float64 `json:"duration"`
	LastError  string  `json:"last_error,omitempty"`
}

// Gap is the longest gap as a duration.
func (r ProbeResult) Gap() time.Duration { return time.Duration(r.LongestGap * float64(time.Second)) }

// gaps keeps what a probe has seen. Its times count from the probe's beginning.
type gaps struct {
	mu      sync.Mutex
	sent    int
	ok      int
	last    time.Duration // of the last success
	longest time.Duration
	began   time.Duration
	err     error
}

func (g *gaps) success(at time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ok++
	if at <= g.last {
		return // an earlier attempt that was answered later
	}
	if gap := at - g.last; gap > g.longest {
		g.longest, g.began = gap, g.last
	}
	g.last = at
}

func (g *gaps) failure(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

// result also counts the silence at the end, of a service that did not come back.
func (g *gaps) result(now time.Duration) ProbeResult {
	g.mu.Lock()
	defer g.mu.Unlock()
	longest, began := g.longest, g.began
	if tail := now - g.last; tail > longest && tail > ProbeTimeout {
		longest, began = tail, g.last
	}
	r := ProbeResult{Sent: g.sent, Succeeded: g.ok, LongestGap: longest.Seconds(), GapBegan: began.Seconds(), Duration: now.Seconds()}
	if g.err != nil {
		r.LastError = g.err.Error()
	}
	return r
}

// prober makes attempts on schedule until ctx ends: a late or unanswered one
// does not hold up the next.
func (g *gaps) prober(ctx context.Context, attempt func(context.Context) error) {
	begun := time.Now()
	var wait sync.WaitGroup
	defer wait.Wait()
	for n := 0; ; n++ {
		timer := time.NewTimer(time.Until(begun.Add(time.Duration(n) * ProbeInterval)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		g.mu.Lock()
		g.sent++
		g.mu.Unlock()
		wait.Go(func() {
			// The probe's end does not fail the attempts under way.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ProbeTimeout)
			defer cancel()
			if err := attempt(ctx); err == nil {
				g.success(time.Since(begun))
			} else {
				g.failure(err)
			}
		})
	}
}

// probe asks the target every ProbeInterval until ctx ends.
func probe(ctx context.Context, target netip.AddrPort, kind ProbeKind, report func(ProbeResult)) {
	var g gaps
	begun := time.Now()
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		g.prober(ctx, func(ctx context.Context) error { return attempt(ctx, target, kind) })
	}()
	ticks := time.NewTicker(reportInterval)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			report(g.result(time.Since(begun)))
		case <-finished:
			report(g.result(time.Since(begun)))
			return
		}
	}
}

// reportInterval is how often a running probe tells what it has seen.
const reportInterval = 100 * time.Millisecond

func attempt(ctx context.Context, target netip.AddrPort, kind ProbeKind) error {
	network := "tcp"
	if kind == ProbeUDP {
		network = "udp"
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, target.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	switch kind {
	case ProbeTCP, ProbeHTTP:
		// Reset at the end: two hundred connections a second must not wait out
		// their last minute.
		if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
			return err
		}
		if kind == ProbeTCP {
			return nil
		}
		if _, err := fmt.Fprintf(conn, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", target); err != nil {
			return err
		}
		line, err := bufio.NewReader(io.LimitReader(conn, 4096)).ReadString('\n')
		if err != nil {
			return err
		}
		if fields := strings.Fields(line); len(fields) < 2 || fields[1] != "200" {
			return fmt.Errorf("answered %q", strings.TrimSpace(line))
		}
		return nil
	}
	if _, err := conn.Write([]byte("ha lab probe\n")); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// probeMain is the prober's process on a host: argv is its face, the kind, the
// target and for how many seconds (0: until it is told to end). It writes a line
// of JSON now and then, and one at the end.
func probeMain(args []string) int {
	if len(args) != 4 {
		fmt.Fprintln(os.Stderr, faceProbe+" is started by 'ha lab probe'")
		return 2
	}
	target, err := netip.ParseAddrPort(args[2])
	seconds, numberErr := strconv.ParseFloat(args[3], 64)
	if err := errors.Join(err, numberErr); err != nil {
		fmt.Fprintln(os.Stderr, faceProbe+":", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if seconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(seconds*float64(time.Second)))
		defer cancel()
	}
	failed := false
	probe(ctx, target, ProbeKind(args[1]), func(r ProbeResult) {
		r.Target, r.Kind = target.String(), args[1]
		if err := writeLine(os.Stdout, r); err != nil {
			failed = true
			stop()
		}
	})
	if failed {
		return 1
	}
	return 0
}

// Probe is a measurement that runs on a host.
type Probe struct {
	signals chan os.Signal
	done    chan struct{}

	mu   sync.Mutex
	last ProbeResult
	err  error
}

// StartProbe starts to measure from a host, for the given time or, if that is 0,
// until Stop. It returns when the first attempts have been made.
func (l *Lab) StartProbe(ctx context.Context, host string, target netip.AddrPort, kind ProbeKind, limit time.Duration) (*Probe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &Probe{signals: make(chan os.Signal, 1), done: make(chan struct{})}
	first := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(r)
		for n := 0; lines.Scan(); n++ {
			var result ProbeResult
			if err := json.Unmarshal(lines.Bytes(), &result); err != nil {
				continue // its end tells what is wrong
			}
			p.mu.Lock()
			p.last = result
			p.mu.Unlock()
			if n == 0 {
				close(first)
			}
		}
		r.Close()
		close(p.done)
	}()
	ended := make(chan struct{})
	go func() {
		args := []string{faceProbe, string(kind), target.String(), strconv.FormatFloat(limit.Seconds(), 'f', -1, 64)}
		err := l.Run(ctx, Command{Host: host, Path: "/usr/sbin/ha", Args: args, Stdout: w, Stderr: w, Signals: p.signals})
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		w.Close()
		close(ended)
	}()
	select {
	case <-first:
	case <-ended:
		<-p.done
		if _, err := p.result(); err != nil {
			return nil, fmt.Errorf("probe from %s: %w", host, err)
		}
	}
	return p, nil
}

func (p *Probe) result() (ProbeResult, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, p.err
}

// Result is what the probe has seen so far, at most reportInterval ago.
func (p *Probe) Result() ProbeResult {
	r, _ := p.result()
	return r
}

// Wait waits for the probe's end.
func (p *Probe) Wait() (ProbeResult, error) {
	<-p.done
	return p.result()
}

// Stop ends the probe and returns all that it has seen.
func (p *Probe) Stop() (ProbeResult, error) {
	select {
	case p.signals <- syscall.SIGTERM:
	default:
	}
	return p.Wait()
}
