package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/agent/web"
	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// TestMain is also the web server, as cmd/ha is.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "agent-web" {
		o := web.Options{Listen: os.Args[3]}
		if text, ok := strings.CutPrefix(os.Args[4], "--content="); ok {
			o.Content = text
		}
		fmt.Println(web.Serve(context.Background(), o))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

type fixture struct {
	t       testing.TB
	agent   *Agent
	notices chan event.ResourceNotice
	dir     string
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	boot, err := spawn.BootID()
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, notices: make(chan event.ResourceNotice, 100), dir: t.TempDir()}
	f.open(Options{
		Run: filepath.Join(f.dir, "run"), Boot: boot, Program: "/proc/self/exe",
		Notices: func(n event.ResourceNotice) { f.notices <- n }, Log: slog.New(slog.DiscardHandler),
	})
	if f.agent.o.Program, err = os.Executable(); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) open(o Options) {
	f.t.Helper()
	var err error
	if f.agent, err = New(o); err != nil {
		f.t.Fatal(err)
	}
	a := f.agent
	f.t.Cleanup(func() {
		a.Close()
		if rec, err := a.read("srv"); err == nil && rec != nil {
			a.end(rec.Process)
		}
	})
}

// restart is what kill -9 and a new daemon are to the agent.
func (f *fixture) restart() {
	f.t.Helper()
	o := f.agent.o
	f.agent.Close()
	f.open(o)
}

func (f *fixture) run(action string, interval time.Duration, params map[string]string) event.Result {
	return f.runContext(context.Background(), action, interval, params)
}

func (f *fixture) runContext(ctx context.Context, action string, interval time.Duration, params map[string]string) event.Result {
	op := event.Operation{Name: "srv", Agent: cluster.Agent{Class: "ha", Type: "process"}, Action: action, Interval: interval}
	if _, ok := params["content"]; ok {
		op.Agent.Type = "web"
	}
	for name, value := range params {
		op.Params = append(op.Params, cluster.NVPair{Name: name, Value: value})
	}
	return f.agent.Run(ctx, op)
}

func (f *fixture) expect(action string, code int, params map[string]string) event.Result {
	f.t.Helper()
	result := f.run(action, 10*time.Second, params)
	if result.Code != code {
		f.t.Fatalf("%s: code %d (%s) %s, want %d", action, result.Code, result.Reason, result.Output, code)
	}
	return result
}

func (f *fixture) pid() int {
	f.t.Helper()
	rec, err := f.agent.read("srv")
	if err != nil || rec == nil {
		f.t.Fatalf("no record: %v", err)
	}
	return rec.Process.PID
}

func (f *fixture) notice() event.ResourceNotice {
	f.t.Helper()
	select {
	case n := <-f.notices:
		return n
	case <-time.After(20 * time.Second):
		f.t.Fatal("no notice")
		panic("unreachable")
	}
}

func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(data), ") Z ")
}

func TestLife(t *testing.T) {
	f := newFixture(t)
	sleep := map[string]string{"command": "sleep 600"}
	f.expect("monitor", event.CodeNotRunning, sleep)
	f.expect("stop", event.CodeOK, sleep)
	f.expect("start", event.CodeOK, sleep)
	pid := f.pid()
	f.expect("start", event.CodeOK, sleep)
	if f.pid() != pid {
		t.Error("a second start started a second process")
	}
	f.expect("monitor", event.CodeOK, sleep)
	f.expect("stop", event.CodeOK, sleep)
	if alive(pid) {
		t.Error("the process lives")
	}
	f.expect("monitor", event.CodeNotRunning, sleep)
	select {
	case n := <-f.notices:
		t.Errorf("a stop that was asked for is news: %+v", n)
	default:
	}
}

func TestDeathIsNoticed(t *testing.T) {
	f := newFixture(t)
	params := map[string]string{"command": "sleep 600"}
	f.expect("start", event.CodeOK, params)
	if err := syscall.Kill(f.pid(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if n := f.notice(); n.Name != "srv" || !strings.Contains(n.Reason, "signal 9") {
		t.Errorf("notice %+v", n)
	}
	if r := f.expect("monitor", event.CodeNotRunning, params); !strings.Contains(r.Reason, "signal 9") {
		t.Errorf("reason %q", r.Reason)
	}
	f.expect("start", event.CodeOK, params)
}

// TestSameProcessAfterRestart: it is found again, watched again, and never
// started twice.
func TestSameProcessAfterRestart(t *testing.T) {
	f := newFixture(t)
	params := map[string]string{"command": "sleep 600"}
	f.expect("start", event.CodeOK, params)
	pid := f.pid()
	f.restart()
	if r := f.run("monitor", 0, params); r.Code != event.CodeOK {
		t.Fatalf("probe: %+v", r)
	}
	f.expect("start", event.CodeOK, params)
	if f.pid() != pid {
		t.Error("a second process was started")
	}
	syscall.Kill(pid, syscall.SIGKILL)
	f.notice()
	f.expect("monitor", event.CodeNotRunning, params)

	f.expect("start", event.CodeOK, params)
	pid = f.pid()
	f.restart()
	f.expect("stop", event.CodeOK, params)
	if alive(pid) {
		t.Error("the process lives")
	}
}

func TestForeignBootIsForgotten(t *testing.T) {
	f := newFixture(t)
	params := map[string]string{"command": "sleep 600"}
	f.expect("start", event.CodeOK, params)
	rec, err := f.agent.read("srv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.agent.end(rec.Process)
	f.agent.Close()
	o := f.agent.o
	o.Boot = "another"
	f.open(o)
	f.expect("monitor", event.CodeNotRunning, params)
}

func TestStop(t *testing.T) {
	t.Run("stubborn", func(t *testing.T) {
		f := newFixture(t)
		mark := filepath.Join(f.dir, "ready")
		params := map[string]string{"shell": "yes", "command": `trap "" TERM; touch ` + mark + `; while :; do sleep 600; done`,
			"ready_command": "test -e " + mark, "stop_timeout": "100ms"}
		f.expect("start", event.CodeOK, params)
		pid := f.pid()
		f.expect("stop", event.CodeOK, params)
		if alive(pid) {
			t.Error("the process lives")
		}
	})
	t.Run("signal", func(t *testing.T) {
		f := newFixture(t)
		mark := filepath.Join(f.dir, "ready")
		params := map[string]string{"shell": "yes", "command": `trap "echo bye >` + mark + `; exit" USR1; touch ` + mark + `; while :; do sleep 0.01; done`,
			"ready_command": "test -e " + mark, "stop_signal": "usr1", "stop_timeout": "20s"}
		f.expect("start", event.CodeOK, params)
		f.expect("stop", event.CodeOK, params)
		if data, _ := os.ReadFile(mark); string(data) != "bye\n" {
			t.Errorf("the signal did not come: %q", data)
		}
	})
	t.Run("children", func(t *testing.T) {
		f := newFixture(t)
		mark := filepath.Join(f.dir, "child")
		params := map[string]string{"shell": "yes", "command": `sleep 600 & echo $! >` + mark + `.new; mv ` + mark + `.new ` + mark + `; wait`,
			"ready_command": "test -e " + mark}
		f.expect("start", event.CodeOK, params)
		data, err := os.ReadFile(mark)
		if err != nil {
			t.Fatal(err)
		}
		child, err := strconv.Atoi(strings.TrimSpace(string(data)))
		if err != nil {
			t.Fatal(err)
		}
		syscall.Kill(f.pid(), syscall.SIGKILL)
		f.notice()
		if !alive(child) {
			t.Fatal("the child died with its parent; the test tests nothing")
		}
		f.restart()
		f.expect("stop", event.CodeOK, params)
		if alive(child) {
			t.Error("the child lives")
		}
	})
}

// TestStopEndsWhatLeft: a child that has left its session and its parents ends with
// the service all the same, also after a restart of the daemon.
func TestStopEndsWhatLeft(t *testing.T) {
	f := newFixture(t)
	if f.agent.groups == "" {
		t.Skip("this process may not make control groups of version 2")
	}
	mark := filepath.Join(f.dir, "daemon")
	params := map[string]string{"shell": "yes", "ready_command": "test -e " + mark,
		"command": `setsid -f setsid -f sh -c 'echo $$ >` + mark + `.new; mv ` + mark + `.new ` + mark + `; exec sleep 600'; exec sleep 600`}
	f.expect("start", event.CodeOK, params)
	data, err := os.ReadFile(mark)
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	rec, err := f.agent.read("srv")
	if err != nil || rec == nil || rec.Process.Group == "" {
		t.Fatalf("record %+v, %v", rec, err)
	}
	f.restart()
	f.expect("monitor", event.CodeOK, params)
	f.expect("stop", event.CodeOK, params)
	if alive(daemon) {
		t.Error("it lives")
	}
	if _, err := os.Stat(string(rec.Process.Group)); err == nil {
		t.Errorf("the control group %s is left", rec.Process.Group)
	}
}

func TestStartFails(t *testing.T) {
	f := newFixture(t)
	for name, test := range map[string]struct {
		params map[string]string
		code   int
		want   string
	}{
		"no command":   {map[string]string{}, event.CodeNotConfigured, "command"},
		"not there":    {map[string]string{"command": "no-such-program"}, event.CodeNotInstalled, "no-such-program"},
		"ends at once": {map[string]string{"command": "false", "ready_tcp": "1"}, event.CodeError, "status 1"},
		"talks": {map[string]string{"shell": "true", "command": "echo the disk is full; exit 4", "ready_tcp": "1"},
			event.CodeError, "the disk is full"},
		"user":  {map[string]string{"command": "true", "user": "no-such-user"}, event.CodeNotConfigured, "no-such-user"},
		"quote": {map[string]string{"command": "echo 'x"}, event.CodeNotConfigured, "quote"},
	} {
		if r := f.expect("start", test.code, test.params); !strings.Contains(r.Reason+r.Output, test.want) {
			t.Errorf("%s: %q %q", name, r.Reason, r.Output)
		}
		f.expect("monitor", event.CodeNotRunning, map[string]string{"command": "true"})
	}
}

func TestStartTimesOut(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	r := f.runContext(ctx, "start", 0, map[string]string{"command": "sleep 600", "ready_command": "false"})
	if r.Code != event.CodeError || r.Status != event.StatusError || !strings.Contains(r.Reason, "not ready in time") {
		t.Errorf("%+v", r)
	}
	f.expect("monitor", event.CodeNotRunning, map[string]string{"command": "sleep 600"})
}

// TestDaemonStopsDuringStart: what is starting goes on.
func TestDaemonStopsDuringStart(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancelCause(context.Background())
	params := map[string]string{"command": "sleep 600", "ready_command": "false"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.runContext(ctx, "start", 0, params)
	}()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if rec, _ := f.agent.read("srv"); rec != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing starts")
		}
	}
	cancel(ErrDaemonStops)
	<-done
	f.restart()
	if r := f.run("monitor", 0, params); r.Code != event.CodeOK {
		t.Errorf("probe: %+v", r)
	}
	f.expect("stop", event.CodeOK, params)
}

func TestEnvironmentAndUser(t *testing.T) {
	f := newFixture(t)
	out := filepath.Join(f.dir, "out")
	params := map[string]string{
		"shell": "true", "command": `echo "$A|$B|$HA_RESOURCE|$(id -un)|$(pwd)"; exec sleep 600`,
		"environment": `A="1 2" B=x`, "directory": "/tmp", "log": out,
	}
	who, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if who.Uid == "0" {
		who.Username, params["user"] = "nobody", "nobody"
	}
	want := "1 2|x|srv|" + who.Username + "|/tmp\n"
	f.expect("start", event.CodeOK, params)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		data, _ := os.ReadFile(out)
		if string(data) == want {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %q, want %q", data, want)
		}
	}
	f.expect("stop", event.CodeOK, params)
}

func TestLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte(strings.Repeat("x", maxLog)+"end"), 0o600); err != nil {
		t.Fatal(err)
	}
	boundLog(path)
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("the log was not emptied: %v, %v", info, err)
	}
	if data, _ := os.ReadFile(path + ".old"); len(data) != maxLog || !strings.HasSuffix(string(data), "end") {
		t.Errorf("%d bytes are kept", len(data))
	}
}

func freePort(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// TestWeb: the web server answers as soon as start returns, even on an address
// that is not here, and survives the agent.
func TestWeb(t *testing.T) {
	f := newFixture(t)
	params := map[string]string{"content": "hello", "port": freePort(t), "address": "127.0.0.1"}
	f.expect("start", event.CodeOK, params)
	pid := f.pid()
	get := func() string {
		conn, err := net.Dial("tcp", "127.0.0.1:"+params["port"])
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		var all strings.Builder
		buffer := make([]byte, 4096)
		for {
			n, err := conn.Read(buffer)
			all.Write(buffer[:n])
			if err != nil {
				return all.String()
			}
		}
	}
	if got := get(); !strings.HasSuffix(got, "hello") {
		t.Errorf("got %q", got)
	}
	f.restart()
	f.expect("monitor", event.CodeOK, params)
	if got := get(); !strings.HasSuffix(got, "hello") || f.pid() != pid {
		t.Errorf("after the restart: %q", got)
	}
	f.expect("stop", event.CodeOK, params)

	params["address"] = "192.0.2.77"
	f.expect("start", event.CodeOK, params)
	f.expect("stop", event.CodeOK, params)
}

func TestWebParameters(t *testing.T) {
	f := newFixture(t)
	for _, params := range []map[string]string{
		{"content": "x", "directory": "/srv"},
		{"content": "x", "port": "0"},
		{"content": "x", "port": "http"},
		{"content": "x", "address": "web"},
	} {
		f.expect("start", event.CodeNotConfigured, params)
	}
}

func TestWords(t *testing.T) {
	for line, want := range map[string][]string{
		"":                        nil,
		"  a  b\tc\n":             {"a", "b", "c"},
		`a 'b c' "d \"e\" \x" ''`: {"a", "b c", `d "e" \x`, ""},
		`a\ b 'c'd"e"`:            {"a b", "cde"},
		`$HOME;|&`:                {"$HOME;|&"},
	} {
		if got, err := Words(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", line, got, err)
		}
	}
	for _, line := range []string{"'", `"a`, `a\`, "a\x00"} {
		if got, err := Words(line); err == nil {
			t.Errorf("%q passes as %q", line, got)
		}
	}
}

func FuzzWords(f *testing.F) {
	for _, seed := range []string{"", "a 'b c' \"d\\\"\" \\e", "'", "\\", "a\x00b", "\xff\xfe"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := Words(line)
		if err != nil {
			return
		}
		// Quoted again, the words come back.
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		again, err := Words(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(again, words) {
			t.Errorf("%q: %q, then %q (%v)", line, words, again, err)
		}
	})
}

// BenchmarkDeathNotice measures from the kill to the notice.
func BenchmarkDeathNotice(b *testing.B) {
	f := newFixture(b)
	params := map[string]string{"command": "sleep 600"}
	var total time.Duration
	for b.Loop() {
		if r := f.run("start", 0, params); r.Code != 0 {
			b.Fatal(r.Reason)
		}
		pid := f.pid()
		started := time.Now()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			b.Fatal(err)
		}
		f.notice()
		total += time.Since(started)
	}
	b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/notice")
}

// BenchmarkWebStart measures until the server answers.
func BenchmarkWebStart(b *testing.B) {
	f := newFixture(b)
	params := map[string]string{"content": "hello", "port": freePort(b), "address": "127.0.0.1"}
	for b.Loop() {
		if r := f.run("start", 0, params); r.Code != 0 {
			b.Fatal(errors.New(r.Reason))
		}
		f.run("stop", 0, params)
	}
}
