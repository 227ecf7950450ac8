package watchdog

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSocket drives a watchdog behind a socket.
func TestSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "watchdog")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	lines := make(chan string, 10)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		for in := bufio.NewScanner(conn); in.Scan(); {
			lines <- in.Text()
		}
		close(lines)
	}()
	d, err := Arm(path, 1500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if d.Timeout() != 1500*time.Millisecond {
		t.Errorf("time-out %s", d.Timeout())
	}
	if err := d.Feed(); err != nil {
		t.Fatal(err)
	}
	if err := d.Release(); err != nil {
		t.Fatal(err)
	}
	var said []string
	for line := range lines {
		said = append(said, line)
	}
	if got := strings.Join(said, ","); got != "arm 1500,feed,release" {
		t.Errorf("it was told %q", got)
	}
}

func TestNoDevice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file + "-missing", "/dev/null"} {
		if d, err := Arm(path, time.Second); err == nil {
			d.Abandon()
			t.Errorf("%s was armed", path)
		}
	}
}
