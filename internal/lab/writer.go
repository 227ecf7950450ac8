package lab

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// LedgerServer is the service whose writes are checked, in the body of a resource
// block.
var LedgerServer = fmt.Sprintf(`  agent  = "ha:process"
  params = { command = "/usr/sbin/%s %d %s", ready_tcp = "%d" }
`, faceLedger, ledgerPort, SharedDisk, ledgerPort)

// SharedDir is the machine's path of the hosts' shared disk.
func (l *Lab) SharedDir() string { return l.dir.shared() }

// Writer writes through the ledger from the client host all the time, and collects
// what was acknowledged.
type Writer struct {
	mu    sync.Mutex // guards lines and times
	lines []string
	times []time.Time
	input *os.File // closing it ends the writer
	ended chan struct{}
}

const (
	writerConnections = 8
	writerPause       = "20ms"
)

// StartWriter starts it; it ends by Stop, or with ctx.
func (l *Lab) StartWriter(ctx context.Context) (*Writer, error) {
	stdin, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	output, stdout, err := os.Pipe()
	if err != nil {
		input.Close()
		return nil, err
	}
	defer stdout.Close()
	w := &Writer{input: input, ended: make(chan struct{})}
	target := fmt.Sprintf("%s:%d", ServiceTarget.Addr(), ledgerPort)
	command := Command{Host: Client, Path: "/usr/sbin/ha", Args: []string{faceWriter, target, fmt.Sprint(writerConnections), writerPause}}
	// Run passes the descriptors on; ours are closed once the writer has them.
	in, err := dup(stdin)
	if err != nil {
		return nil, err
	}
	out, err := dup(stdout)
	if err != nil {
		return nil, err
	}
	command.Stdin, command.Stdout = in, out
	go func() {
		_ = l.Run(ctx, command) // it ends when it is told to, or with ctx
		in.Close()
		out.Close()
	}()
	go func() {
		defer close(w.ended)
		defer output.Close()
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			w.mu.Lock()
			w.lines = append(w.lines, lines.Text())
			w.times = append(w.times, time.Now())
			w.mu.Unlock()
		}
	}()
	return w, nil
}

// acknowledged is how many lines were so far.
func (w *Writer) acknowledged() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lines)
}

// Stop ends it and returns what was acknowledged and when, in order.
func (w *Writer) Stop() ([]string, []time.Time) {
	w.input.Close()
	select {
	case <-w.ended:
	case <-time.After(10 * time.Second):
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lines, w.times
}

// Lost returns the acknowledged lines that the ledger does not have.
func (l *Lab) Lost(acknowledged []string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(l.SharedDir(), ledgerFile))
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	have := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		have[strings.TrimSpace(line)] = true
	}
	out := []string{}
	for _, line := range acknowledged {
		if !have[line] {
			out = append(out, line)
		}
	}
	return out, nil
}
