package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// hostWatchdog is where a host sees its watchdog.
const hostWatchdog = "/dev/watchdog"

// Limits of what a watchdog is asked for.
const (
	maxWatchdogTimeout = time.Hour
	maxWatchdogLine    = 64 // bytes
)

// watchdog is a host's watchdog for one boot. It counts outside the host, on a
// unix socket that the host sees as /dev/watchdog, and so goes on while the host
// stands still. It is told in lines: "arm MILLISECONDS", "feed", "release". The end
// of a connection alone changes nothing: whoever armed it may have died.
type watchdog struct {
	listener *net.UnixListener
	expired  func() // called at most once, with mu held

	mu       sync.Mutex    // guards what follows
	timeout  time.Duration // 0: not armed
	deadline time.Time
	timer    *time.Timer
	over     bool // it has run out, or the host's power is cut
	conns    map[net.Conn]bool
}

// newWatchdog serves a watchdog on a unix socket; expired is called when it was
// armed and then not fed in time.
func newWatchdog(path string, expired func()) (*watchdog, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("serve the watchdog: %w", err)
	}
	w := &watchdog{listener: l, expired: expired, conns: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the power is cut
			}
			go w.listen(conn)
		}
	}()
	return w, nil
}

func (w *watchdog) listen(conn net.Conn) {
	defer conn.Close()
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return
	}
	w.conns[conn] = true
	w.mu.Unlock()
	for in := bufio.NewReaderSize(conn, maxWatchdogLine); ; {
		line, err := in.ReadSlice('\n')
		if err == nil {
			err = w.obey(string(line[:len(line)-1]))
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			fmt.Fprintln(conn, err) // for a person who tries it by hand; else it goes nowhere
		}
		w.mu.Lock()
		delete(w.conns, conn)
		w.mu.Unlock()
		return
	}
}

// obey does what a line says.
func (w *watchdog) obey(line string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return net.ErrClosed
	}
	order, argument, _ := strings.Cut(line, " ")
	switch order {
	case "arm":
		ms, err := strconv.ParseInt(argument, 10, 64)
		if err != nil || ms < 1 || ms > maxWatchdogTimeout.Milliseconds() {
			return fmt.Errorf("arm %q: want milliseconds from 1 to %d", argument, maxWatchdogTimeout.Milliseconds())
		}
		w.timeout = time.Duration(ms) * time.Millisecond
	case "feed":
	case "release":
		w.timeout = 0
	default:
		return fmt.Errorf("%q: want arm MILLISECONDS, feed or release", line)
	}
	if w.timeout == 0 {
		if w.timer != nil {
			w.timer.Stop()
		}
		return nil
	}
	w.deadline = time.Now().Add(w.timeout)
	if w.timer == nil {
		w.timer = time.AfterFunc(w.timeout, w.runOut)
	} else {
		w.timer.Reset(w.timeout)
	}
	return nil
}

// runOut is the timer's: it may come late, after a feed has set it anew.
func (w *watchdog) runOut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.timeout == 0 || time.Now().Before(w.deadline) {
		return
	}
	w.over = true
	w.expired()
}

// armed returns the time-out, 0 if it does not count.
func (w *watchdog) armed() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.timeout
}

// cut ends it with the host's power. When it returns, expired is not called any
// more.
func (w *watchdog) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	w.listener.Close()
	if w.timer != nil {
		w.timer.Stop()
	}
	for conn := range w.conns {
		conn.Close()
	}
}
