package spawn

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func command(t *testing.T, args ...string) (Command, *os.File) {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return Command{Args: args, Env: []string{"PATH=/usr/bin:/bin"}, Output: out}, out
}

func boot(t *testing.T) string {
	t.Helper()
	id, err := BootID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

func noRecord(ID) error { return nil }

func TestStartAndExit(t *testing.T) {
	c, out := command(t, "/bin/sh", "-c", `cat; echo "$1"; echo bad >&2; exit 3`, "x", "a b")
	c.Stdin = []byte("from stdin\n")
	var recorded ID
	p, err := Start(c, boot(t), func(id ID) error {
		recorded = id
		time.Sleep(20 * time.Millisecond)
		if data, _ := os.ReadFile(out.Name()); len(data) > 0 {
			t.Errorf("the program ran before its record: %q", data)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if e := p.Exit(); !e.Known || e.Code != 3 || e.Signal != 0 {
		t.Errorf("exit %+v", e)
	}
	if recorded != p.ID || recorded.PID == 0 || recorded.Start == 0 {
		t.Errorf("recorded %+v, process is %+v", recorded, p.ID)
	}
	if data, _ := os.ReadFile(out.Name()); string(data) != "from stdin\na b\nbad\n" {
		t.Errorf("output %q", data)
	}
}

func TestNothingRunsWithoutRecord(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "ran")
	c, _ := command(t, "/usr/bin/touch", mark)
	var id ID
	_, err := Start(c, boot(t), func(i ID) error { id = i; return errors.New("disk full") })
	if err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Fatalf("error %v", err)
	}
	if p, _ := Find(id, id.Boot); p != nil {
		t.Error("the gate still waits")
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program ran")
	}
}

func TestFind(t *testing.T) {
	c, _ := command(t, "/bin/sleep", "60")
	p, err := Start(c, boot(t), noRecord)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	wait(t, "sleep to begin", p.Begun)
	found, err := Find(p.ID, p.Boot)
	if err != nil || found == nil {
		t.Fatalf("found %v, %v", found, err)
	}
	for name, id := range map[string]ID{
		"other start": {Boot: p.Boot, PID: p.PID, Start: p.Start + 1},
		"other boot":  {Boot: "x", PID: p.PID, Start: p.Start},
		"no process":  {Boot: p.Boot, PID: 1 << 22, Start: p.Start},
	} {
		if other, err := Find(id, boot(t)); other != nil || err != nil {
			t.Errorf("%s: %v, %v", name, other, err)
		}
	}
	if err := found.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e := p.Exit(); e.Signal != syscall.SIGTERM {
		t.Errorf("child ended with %+v", e)
	}
	// Newer kernels tell even of a process that was not our child.
	if e := found.Exit(); e.Known && e.Signal != syscall.SIGTERM {
		t.Errorf("found process ended with %+v", e)
	}
	if gone, err := Find(p.ID, p.Boot); gone != nil || err != nil {
		t.Errorf("after its end: %v, %v", gone, err)
	}
	if err := found.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("signal to an ended process: %v", err)
	}
}

// TestKill: children in other process groups and sessions end too; a daemon that
// has left its parents goes on.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	c, _ := command(t, "/bin/sh", "-c", `
		cd `+dir+`
		setsid -f sh -c 'echo $$ >daemon.new; mv daemon.new daemon; exec sleep 60'
		setsid sh -c 'echo $$ >session.new; mv session.new session; sleep 60; :' &
		sh -c 'trap "" TERM HUP; echo $$ >stubborn.new; mv stubborn.new stubborn; sleep 60; :' &
		wait`)
	p, err := Start(c, boot(t), noRecord)
	if err != nil {
		t.Fatal(err)
	}
	pid := func(name string) int {
		var n int
		wait(t, name, func() bool {
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				return false
			}
			n, err = strconv.Atoi(strings.TrimSpace(string(data)))
			return err == nil
		})
		return n
	}
	daemon, session, stubborn := pid("daemon"), pid("session"), pid("stubborn")
	defer syscall.Kill(daemon, syscall.SIGKILL)
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	for name, pid := range map[string]int{"session": session, "stubborn": stubborn} {
		if s, err := readStat(pid); err == nil && !s.dead() {
			t.Errorf("%s (%d) is alive", name, pid)
		}
	}
	if s, err := readStat(daemon); err != nil || s.dead() {
		t.Error("the daemon that was started is dead")
	}
	if e := p.Exit(); e.Signal != syscall.SIGKILL {
		t.Errorf("exit %+v", e)
	}
}

// TestGateEndsWithDaemon: a daemon killed before it opened the gate leaves no
// program behind.
func TestGateEndsWithDaemon(t *testing.T) {
	if mark := os.Getenv("SPAWN_TEST_MARK"); mark != "" {
		c, _ := command(t, "/usr/bin/touch", mark)
		Start(c, boot(t), func(id ID) error {
			os.WriteFile(mark+".pid", []byte(strconv.Itoa(id.PID)), 0o600)
			return syscall.Kill(os.Getpid(), syscall.SIGKILL)
		})
		return
	}
	mark := filepath.Join(t.TempDir(), "ran")
	daemon := exec.Command(os.Args[0], "-test.run=^TestGateEndsWithDaemon$")
	daemon.Env = append(os.Environ(), "SPAWN_TEST_MARK="+mark, "TMPDIR="+t.TempDir())
	daemon.Run()
	data, err := os.ReadFile(mark + ".pid")
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(string(data))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, "the gate to end", func() bool {
		s, err := readStat(pid)
		return err != nil || s.dead()
	})
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program ran")
	}
}

func TestParseStat(t *testing.T) {
	line := []byte("42 (a) (b c) S 7 42 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1000 2\n")
	s, err := parseStat(line)
	if want := (stat{pid: 42, parent: 7, session: 40, state: 'S', start: 98765}); err != nil || s != want {
		t.Errorf("got %+v, %v", s, err)
	}
	for cut := range bytes.LastIndexByte(line, ')') + 40 {
		if _, err := parseStat(line[:cut]); err == nil {
			t.Errorf("%q passes", line[:cut])
		}
	}
}

func BenchmarkStart(b *testing.B) {
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	for b.Loop() {
		p, err := Start(Command{Args: []string{"/bin/true"}, Output: out}, "b", noRecord)
		if err != nil {
			b.Fatal(err)
		}
		<-p.Done()
	}
}

// BenchmarkRest is what looking for survivors of an ended process costs.
func BenchmarkRest(b *testing.B) {
	out, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	p, err := Start(Command{Args: []string{"/bin/true"}, Output: out}, "b", noRecord)
	if err != nil {
		b.Fatal(err)
	}
	<-p.Done()
	for b.Loop() {
		if p.Rest() != 0 {
			b.Fatal("something survives")
		}
	}
}
