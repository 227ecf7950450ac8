package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/agent/spawn"
	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// fixture is a Runner with agents of its own: shell scripts in a temporary OCF
// root.
type fixture struct {
	t       *testing.T
	dir     string
	options Options
	runner  *Runner
	results chan event.Result
	fenced  chan event.FenceCalled
	number  int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dir := t.TempDir()
	f := &fixture{t: t, dir: dir, results: make(chan event.Result, 100), fenced: make(chan event.FenceCalled, 100)}
	f.options = Options{
		Node: "alpha", Run: filepath.Join(dir, "run"), OCFRoot: filepath.Join(dir, "ocf"), InitDir: filepath.Join(dir, "init.d"),
		FencePath: []string{filepath.Join(dir, "sbin")}, ResourceTemp: filepath.Join(dir, "temp"),
		Results: func(r event.Result) { f.results <- r },
		Fenced:  func(c event.FenceCalled) { f.fenced <- c },
		Log:     slog.New(slog.DiscardHandler),
	}
	f.open()
	return f
}

func (f *fixture) open() {
	f.t.Helper()
	r, err := New(f.options)
	if err != nil {
		f.t.Fatal(err)
	}
	f.runner = r
	f.t.Cleanup(r.Close)
}

// program writes an executable shell script.
func (f *fixture) program(path, script string) {
	f.t.Helper()
	path = filepath.Join(f.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) ocf(script string) cluster.Agent {
	f.program("ocf/resource.d/test/thing", script)
	return cluster.Agent{Class: "ocf", Provider: "test", Type: "thing"}
}

func (f *fixture) operation(agent cluster.Agent, action string) event.Operation {
	f.number++
	return event.Operation{ID: fmt.Sprintf("op/%d", f.number), Name: "thing", Resource: "thing", Agent: agent, Action: action, Timeout: 20 * time.Second}
}

func (f *fixture) run(op event.Operation) event.Result {
	f.t.Helper()
	f.runner.Run(op)
	return f.result(op.ID)
}

func (f *fixture) result(id string) event.Result {
	f.t.Helper()
	select {
	case r := <-f.results:
		if r.ID != id {
			f.t.Fatalf("result of %s, want that of %s", r.ID, id)
		}
		return r
	case <-time.After(30 * time.Second):
		f.t.Fatalf("no result of %s", id)
		panic("unreachable")
	}
}

func (f *fixture) until(what string, ok func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (f *fixture) file(name string) string {
	data, _ := os.ReadFile(filepath.Join(f.dir, name))
	return string(data)
}

// left are the files that remain of operations.
func (f *fixture) left() []string {
	f.t.Helper()
	entries, err := os.ReadDir(filepath.Join(f.options.Run, "operations"))
	if err != nil {
		f.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestOCFResult(t *testing.T) {
	f := newFixture(t)
	agent := f.ocf(`
case $1 in
start) exit 0;;
monitor) echo "not now"; echo "ocf-exit-reason:first" >&2; echo "ocf-exit-reason:the disk is full" >&2; exit 7;;
stop) kill -9 $$;;
promote) i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done; exit 1;;
esac`)
	if r := f.run(f.operation(agent, "start")); r.Code != 0 || r.Status != 0 || r.Duration <= 0 || r.Started.IsZero() {
		t.Errorf("start: %+v", r)
	}
	if r := f.run(f.operation(agent, "monitor")); r.Code != 7 || r.Status != 0 || r.Reason != "the disk is full" || r.Output != "not now" {
		t.Errorf("monitor: %+v", r)
	}
	if r := f.run(f.operation(agent, "stop")); r.Code != 1 || r.Status != event.StatusError || !strings.Contains(r.Reason, "signal 9") {
		t.Errorf("stop: %+v", r)
	}
	if r := f.run(f.operation(agent, "promote")); len(r.Output) > maxOutput || !strings.HasSuffix(r.Output, "line 19999") {
		t.Errorf("promote: %d bytes, ends with %q", len(r.Output), cut(r.Output, 20))
	}
	f.until("the records to go", func() bool { return len(f.left()) == 0 })
}

func TestOCFEnvironment(t *testing.T) {
	f := newFixture(t)
	t.Setenv("OCF_RESKEY_stray", "1")
	t.Setenv("NOTIFY_SOCKET", "@x")
	secret := filepath.Join(f.dir, "secret")
	if err := os.WriteFile(secret, []byte("pass word\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := f.ocf(`env | grep -E '^(OCF_|HA_RSC|NOTIFY|PCMK_service)' | sort; echo "$# $1"`)
	op := f.operation(agent, "monitor")
	op.Name, op.Interval = "thing:1", 10*time.Second
	op.Params = []cluster.NVPair{{Name: "state", Value: "a b"}, {Name: "password", File: secret}, {Name: "OCF_CHECK_LEVEL", Value: "10"}}
	op.Meta = []cluster.NVPair{{Name: "clone-max", Value: "2"}, {Name: "on_node", Value: "beta"}}
	got := f.run(op).Output
	want := `OCF_CHECK_LEVEL=10
OCF_EXIT_REASON_PREFIX=ocf-exit-reason:
OCF_OUTPUT_FORMAT=text
OCF_RA_VERSION_MAJOR=1
OCF_RA_VERSION_MINOR=1
OCF_RESKEY_CRM_meta_clone_max=2
OCF_RESKEY_CRM_meta_interval=10000
OCF_RESKEY_CRM_meta_name=monitor
OCF_RESKEY_CRM_meta_on_node=beta
OCF_RESKEY_CRM_meta_on_node_uuid=alpha
OCF_RESKEY_CRM_meta_timeout=20000
OCF_RESKEY_OCF_CHECK_LEVEL=10
OCF_RESKEY_crm_feature_set=3.20.5
OCF_RESKEY_password=pass word
OCF_RESKEY_state=a b
OCF_RESOURCE_INSTANCE=thing:1
OCF_RESOURCE_PROVIDER=test
OCF_RESOURCE_TYPE=thing
OCF_ROOT=` + f.options.OCFRoot + `
PCMK_service=pacemaker-execd
1 monitor`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNotInstalled(t *testing.T) {
	f := newFixture(t)
	for _, agent := range []cluster.Agent{
		{Class: "ocf", Provider: "test", Type: "missing"},
		{Class: "ocf", Provider: "..", Type: "x"},
		{Class: "lsb", Type: "missing"},
		{Class: "ha", Type: "missing"},
		{Class: "stonith", Type: "fence_missing"},
		{Class: "stonith", Type: "rm"},
		{Class: "nonsense", Type: "missing"},
	} {
		op := f.operation(agent, "start")
		if r := f.run(op); r.Code != event.CodeNotInstalled || r.Status != event.StatusNotInstalled || r.Reason == "" {
			t.Errorf("%v: %+v", agent, r)
		}
	}
}

func TestMissingSecret(t *testing.T) {
	f := newFixture(t)
	agent := f.ocf(`exit 0`)
	op := f.operation(agent, "start")
	op.Params = []cluster.NVPair{{Name: "password", File: filepath.Join(f.dir, "none")}}
	if r := f.run(op); r.Status != event.StatusNoSecrets || !strings.Contains(r.Reason, "password") {
		t.Errorf("start: %+v", r)
	}
	op.ID, op.Action = "stop", "stop"
	if r := f.run(op); r.Code != 0 || r.Status != 0 {
		t.Errorf("a stop must not fail for lack of a password: %+v", r)
	}
}

// TestTimeout: the agent and its children are killed, a service that it started
// is not.
func TestTimeout(t *testing.T) {
	f := newFixture(t)
	agent := f.ocf(`
echo "ocf-exit-reason:waiting for the disk" >&2
setsid -f sh -c 'echo $$ >` + f.dir + `/daemon; exec sleep 600'
sleep 600 & echo $! >` + f.dir + `/child
wait`)
	op := f.operation(agent, "start")
	op.Timeout = 500 * time.Millisecond
	r := f.run(op)
	if r.Status != event.StatusTimeout || r.Code != event.CodeError || r.Reason != "waiting for the disk" {
		t.Errorf("result %+v", r)
	}
	pid := func(name string) int {
		n, err := strconv.Atoi(strings.TrimSpace(f.file(name)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	defer syscall.Kill(pid("daemon"), syscall.SIGKILL)
	if alive(pid("child")) {
		t.Error("the agent's child lives")
	}
	if !alive(pid("daemon")) {
		t.Error("the service was killed")
	}
}

func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(data), ") Z ")
}

func TestCancel(t *testing.T) {
	f := newFixture(t)
	agent := f.ocf(`echo $$ >` + f.dir + `/pid; exec sleep 600`)
	op := f.operation(agent, "monitor")
	f.runner.Run(op)
	f.until("the agent", func() bool { return f.file("pid") != "" })
	f.runner.Cancel(op.ID)
	if r := f.result(op.ID); r.Status != event.StatusCancelled {
		t.Errorf("result %+v", r)
	}
	f.runner.Cancel("unknown")
}

// TestServiceKeepsOutput: a service that inherited the agent's output goes on
// writing, and the file goes when it ends.
func TestServiceKeepsOutput(t *testing.T) {
	f := newFixture(t)
	agent := f.ocf(`setsid -f sh -c 'trap "" HUP PIPE; echo $$ >` + f.dir + `/pid; while [ ! -e ` + f.dir + `/end ]; do echo talk || exit 1; sleep 0.01; done; touch ` + f.dir + `/well'
exit 0`)
	if r := f.run(f.operation(agent, "start")); r.Code != 0 {
		t.Fatalf("start: %+v", r)
	}
	f.until("the service", func() bool { return f.file("pid") != "" })
	f.program("end", "")
	f.until("the service to end well", func() bool { _, err := os.Stat(filepath.Join(f.dir, "well")); return err == nil })
	f.until("the output to go", func() bool { return len(f.left()) == 0 })
}

// TestOrphan: a daemon that is killed leaves an agent running; the next one finds
// it, waits for it and says so.
func TestOrphan(t *testing.T) {
	if dir := os.Getenv("AGENT_TEST_ORPHAN"); dir != "" {
		orphanDaemon(t, dir)
		return
	}
	for _, end := range []string{"ends", "cancelled", "times out"} {
		t.Run(end, func(t *testing.T) {
			f := newFixture(t)
			f.runner.Close()
			f.ocf(`echo begun >` + f.dir + `/begun; while [ ! -e ` + f.dir + `/go ]; do sleep 0.01; done; echo "ocf-exit-reason:late" >&2; touch ` + f.dir + `/done`)
			daemon := exec.Command("/proc/self/exe", "-test.run=^TestOrphan$")
			daemon.Env = append(os.Environ(), "AGENT_TEST_ORPHAN="+f.dir, "AGENT_TEST_END="+end)
			if out, err := daemon.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "killed") {
				t.Fatalf("daemon: %v\n%s", err, out)
			}
			f.open()
			orphans := f.runner.Orphans()
			if len(orphans) != 1 || orphans[0].ID != "orphan" || orphans[0].Action != "start" {
				t.Fatalf("orphans %+v", orphans)
			}
			status := event.StatusError
			switch end {
			case "ends":
				f.program("go", "")
			case "cancelled":
				f.runner.Cancel("orphan")
				status = event.StatusCancelled
			}
			r := f.result("orphan")
			if r.Status != status || r.Code != event.CodeError || !strings.Contains(r.Reason, "restarted") {
				t.Errorf("result %+v", r)
			}
			if _, err := os.Stat(filepath.Join(f.dir, "done")); (err == nil) != (end == "ends") {
				t.Errorf("the agent's end: %v", err)
			}
			f.until("the records to go", func() bool { return len(f.left()) == 0 })
			f.runner.Close()
			f.open()
			if o := f.runner.Orphans(); len(o) != 0 {
				t.Errorf("orphans once more: %+v", o)
			}
		})
	}
}

// orphanDaemon runs an operation and kills itself.
func orphanDaemon(t *testing.T, dir string) {
	f := &fixture{t: t, dir: dir}
	f.options = Options{
		Node: "alpha", Run: filepath.Join(dir, "run"), OCFRoot: filepath.Join(dir, "ocf"), ResourceTemp: filepath.Join(dir, "temp"),
		Results: func(event.Result) {}, Fenced: func(event.FenceCalled) {},
	}
	f.open()
	op := event.Operation{ID: "orphan", Name: "thing", Agent: cluster.Agent{Class: "ocf", Provider: "test", Type: "thing"}, Action: "start", Timeout: 20 * time.Second}
	if os.Getenv("AGENT_TEST_END") == "times out" {
		op.Timeout = time.Second
	}
	f.runner.Run(op)
	f.until("the agent", func() bool { return f.file("begun") != "" })
	syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// TestRecordsOfOtherBoots: what was in flight before a boot is not any more.
func TestRecordsOfOtherBoots(t *testing.T) {
	f := newFixture(t)
	f.runner.Close()
	op := f.operation(cluster.Agent{Class: "ocf", Provider: "test", Type: "thing"}, "start")
	stale := record{Operation: &op, Boot: "before", Process: &spawn.ID{Boot: "before", PID: os.Getpid(), Start: 1}}
	if err := f.runner.records.write(op.ID, &stale); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(f.options.Run, "operations")
	for name, content := range map[string]string{"broken.json": "{", "half.new": "x", "strange": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.open()
	if o := f.runner.Orphans(); len(o) != 0 {
		t.Errorf("orphans %+v", o)
	}
	f.until("the directory to be empty", func() bool { return len(f.left()) == 0 })
}

func TestCloseLeavesAgentsRunning(t *testing.T) {
	f := newFixture(t)
	agent := f.ocf(`echo $$ >` + f.dir + `/pid; while [ ! -e ` + f.dir + `/go ]; do sleep 0.01; done; touch ` + f.dir + `/done`)
	op := f.operation(agent, "start")
	f.runner.Run(op)
	f.until("the agent", func() bool { return f.file("pid") != "" })
	f.runner.Close()
	f.open()
	if o := f.runner.Orphans(); len(o) != 1 || o[0].ID != op.ID {
		t.Fatalf("orphans %+v", o)
	}
	f.program("go", "")
	if r := f.result(op.ID); r.Status != event.StatusError {
		t.Errorf("result %+v", r)
	}
	f.until("the agent's end", func() bool { _, err := os.Stat(filepath.Join(f.dir, "done")); return err == nil })
}

func TestLSB(t *testing.T) {
	f := newFixture(t)
	f.program("init.d/thing", `
### BEGIN INIT INFO
# Provides:          thing
# Short-Description: A thing
# Description:       Does
#                    things
### END INIT INFO
case $1 in
start) touch `+f.dir+`/on;;
stop) rm -f `+f.dir+`/on;;
status) [ -e `+f.dir+`/on ] || exit 3;;
*) exit 2;;
esac`)
	agent := cluster.Agent{Class: "lsb", Type: "thing"}
	for _, step := range []struct {
		action string
		code   int
	}{{"monitor", 7}, {"start", 0}, {"monitor", 0}, {"stop", 0}, {"monitor", 7}, {"reload", 2}, {"promote", 3}} {
		if r := f.run(f.operation(agent, step.action)); r.Code != step.code || r.Status != 0 {
			t.Errorf("%s: %+v", step.action, r)
		}
	}
	m, err := f.runner.Metadata(context.Background(), agent)
	if err != nil || m.Short != "A thing" || m.Long != "Does things" || m.Action("monitor") == nil {
		t.Errorf("metadata %+v, %v", m, err)
	}
}

func TestMetadata(t *testing.T) {
	f := newFixture(t)
	agent := f.ocf(`echo run >>` + f.dir + `/runs
echo '<resource-agent><parameters><parameter name="state"/></parameters><actions><action name="monitor" interval="10s"/></actions></resource-agent>'`)
	for range 2 {
		m, err := f.runner.Metadata(context.Background(), agent)
		if err != nil || m.Parameter("state") == nil || m.Action("monitor").Interval != 10*time.Second {
			t.Fatalf("%+v, %v", m, err)
		}
	}
	if runs := f.file("runs"); runs != "run\n" {
		t.Errorf("the agent was asked more than once: %q", runs)
	}
	f.ocf(`echo '<resource-agent><parameters><parameter name="other"/></parameters></resource-agent>'`)
	if m, err := f.runner.Metadata(context.Background(), agent); err != nil || m.Parameter("other") == nil {
		t.Errorf("after an upgrade: %+v, %v", m, err)
	}
	if _, err := f.runner.Metadata(context.Background(), cluster.Agent{Class: "ocf", Provider: "test", Type: "none"}); err == nil {
		t.Error("an agent that is not there has metadata")
	}
}

// TestLearn: a fencing finds the metadata of its agent read already.
func TestLearn(t *testing.T) {
	f := newFixture(t)
	agent := f.fenceAgent("exit 0")
	f.program("sbin/fence_test", "echo asked >>"+f.dir+"/asked\n"+strings.TrimPrefix(f.file("sbin/fence_test"), "#!/bin/sh\n"))
	config := &cluster.Config{Resources: []cluster.Resource{{ID: "all", Children: []cluster.Resource{{ID: "power", Agent: agent}, {ID: "power2", Agent: agent}}}}}
	for range 3 {
		f.runner.Learn(7, config)
	}
	path := filepath.Join(f.dir, "sbin/fence_test")
	f.until("the metadata", func() bool {
		f.runner.metadata.mu.Lock()
		defer f.runner.metadata.mu.Unlock()
		_, ok := f.runner.metadata.known[path]
		return ok
	})
	if a := f.fence(event.FenceCall{Agent: agent, Action: "off"}); !a.OK {
		t.Errorf("answer %+v", a)
	}
	if got := f.file("asked"); got != "asked\nasked\n" { // once for the metadata, once to fence
		t.Errorf("asked %q", got)
	}
}

// BenchmarkOperation is what recording and reporting add to an operation: that
// of a built-in agent with nothing to do.
func BenchmarkOperation(b *testing.B) {
	results := make(chan event.Result, 1)
	r, err := New(Options{
		Node: "alpha", Run: b.TempDir(), ResourceTemp: b.TempDir(), Log: slog.New(slog.DiscardHandler),
		Results: func(r event.Result) { results <- r }, Fenced: func(event.FenceCalled) {},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	op := event.Operation{Name: "x", Agent: cluster.Agent{Class: "ha", Type: "process"}, Action: "monitor", Params: []cluster.NVPair{{Name: "command", Value: "true"}}}
	for i := 0; b.Loop(); i++ {
		op.ID = strconv.Itoa(i)
		r.Run(op)
		<-results
	}
}

func FuzzRecord(f *testing.F) {
	op := event.Operation{ID: "1", Name: "x", Action: "start"}
	seed, err := json.Marshal(record{Operation: &op, Boot: "b", Process: &spawn.ID{Boot: "b", PID: 7, Start: 9}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"fence":"off beta","boot":"b"}`))
	f.Add([]byte(`{"operation":null,"process":{"pid":1}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := parseRecord(data)
		if err == nil && (rec.Boot == "" || rec.Process != nil && rec.Process.PID <= 1 || rec.Operation == nil && rec.Fence == "") {
			t.Errorf("%q passes", data)
		}
	})
}
