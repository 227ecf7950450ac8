package lab

import (
	"bufio"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	driver "linuxha/internal/driver/watchdog"
)

// The time that watchdogs are given here, and how often they are fed.
const (
	testTimeout = 300 * time.Millisecond
	testFeeding = 60 * time.Millisecond
)

// serveWatchdog serves a watchdog and tells when it runs out.
func serveWatchdog(t *testing.T) (*watchdog, string, <-chan time.Time) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "watchdog")
	bites := make(chan time.Time, 10)
	w, err := newWatchdog(path, func() { bites <- time.Now() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.cut)
	return w, path, bites
}

func arm(t *testing.T, path string) *driver.Device {
	t.Helper()
	d, err := driver.Arm(path, testTimeout)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func feed(t *testing.T, d *driver.Device, total time.Duration) {
	t.Helper()
	for until := time.Now().Add(total); time.Now().Before(until); time.Sleep(testFeeding) {
		if err := d.Feed(); err != nil {
			t.Fatal(err)
		}
	}
}

// quiet shows that it does not run out in that time.
func quiet(t *testing.T, bites <-chan time.Time, long time.Duration, what string) {
	t.Helper()
	select {
	case <-bites:
		t.Errorf("it ran out though %s", what)
	case <-time.After(long):
	}
}

// awaitBite checks that it runs out no earlier than it may.
func awaitBite(t *testing.T, bites <-chan time.Time, since time.Time, what string) {
	t.Helper()
	select {
	case at := <-bites:
		if after := at.Sub(since); after < testTimeout {
			t.Errorf("%s: it ran out after %v, before its time-out", what, after)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: it did not run out", what)
	}
}

func TestWatchdogRunsOutWhenNotFed(t *testing.T) {
	_, path, bites := serveWatchdog(t)
	d := arm(t, path)
	feed(t, d, 4*testTimeout)
	quiet(t, bites, 0, "it was fed")
	last := time.Now()
	if err := d.Feed(); err != nil {
		t.Fatal(err)
	}
	awaitBite(t, bites, last, "not fed any more")
}

// Whoever armed it may die, and another may take over in time.
func TestWatchdogOutlivesItsConnection(t *testing.T) {
	_, path, bites := serveWatchdog(t)
	if err := arm(t, path).Abandon(); err != nil {
		t.Fatal(err)
	}
	again := arm(t, path)
	feed(t, again, 2*testTimeout)
	quiet(t, bites, 0, "another connection fed it")
	last := time.Now()
	if err := errors.Join(again.Feed(), again.Abandon()); err != nil {
		t.Fatal(err)
	}
	awaitBite(t, bites, last, "its connection ended")
}

func TestWatchdogReleased(t *testing.T) {
	w, path, bites := serveWatchdog(t)
	if err := arm(t, path).Release(); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(20 * time.Second); w.armed() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("it stays armed")
		}
	}
	quiet(t, bites, 2*testTimeout, "it was released")
}

func TestWatchdogEndsWithThePower(t *testing.T) {
	w, path, bites := serveWatchdog(t)
	arm(t, path)
	w.cut()
	quiet(t, bites, 2*testTimeout, "the power was cut")
	if d, err := driver.Arm(path, testTimeout); err == nil {
		d.Abandon()
		t.Error("it can be armed without power")
	}
}

// What makes no sense is answered, changes nothing, and ends the connection.
func TestWatchdogRefusesNonsense(t *testing.T) {
	w, path, bites := serveWatchdog(t)
	for _, line := range []string{"", "arm", "arm x", "arm 0", "arm -5", "arm 3600001", "arm 99999999999999999999", "Feed", strings.Repeat("x", 1000)} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
		if answer, err := bufio.NewReader(conn).ReadString('\n'); err != nil || answer == "" {
			t.Errorf("%q: answered %q, %v", line, answer, err)
		}
		conn.Close()
		if w.armed() != 0 {
			t.Errorf("%q armed it", line)
		}
	}
	quiet(t, bites, 0, "it was never armed")
}
