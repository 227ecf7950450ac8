package agent

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// fenceAgent is a script that tells what it was told; on_plug is its action.
const fenceAgent = `
input=$(cat)
action=$(echo "$input" | sed -n 's/^action=//p' | tail -1)
[ "$action" = metadata ] && { cat <<'XML'
<resource-agent name="fence_test"><parameters>
<parameter name="action"><content type="string"/></parameter>
<parameter name="plug"><content type="string"/></parameter>
<parameter name="password"><content type="string"/></parameter>
</parameters><actions><action name="on" automatic="0"/><action name="off"/>REBOOT<action name="status"/><action name="list"/><action name="monitor"/></actions></resource-agent>
XML
exit 0; }
echo "$input" >>DIR/input; echo -- >>DIR/input
`

func (f *fixture) fenceAgent(actions string) cluster.Agent {
	reboot := `<action name="reboot"/>`
	if strings.Contains(actions, "# no reboot") {
		reboot = ""
	}
	script := strings.ReplaceAll(strings.ReplaceAll(fenceAgent, "REBOOT", reboot), "DIR", f.dir)
	f.program("sbin/fence_test", script+actions)
	return cluster.Agent{Class: "stonith", Type: "fence_test"}
}

func (f *fixture) fence(call event.FenceCall) event.FenceCalled {
	f.t.Helper()
	if call.Timeout == 0 {
		call.Timeout = 20 * time.Second
	}
	call.Device = "power"
	f.runner.Fence(call)
	select {
	case c := <-f.fenced:
		return c
	case <-time.After(30 * time.Second):
		f.t.Fatal("no answer")
		panic("unreachable")
	}
}

func TestFenceInput(t *testing.T) {
	f := newFixture(t)
	agent := f.fenceAgent(`exit 0`)
	secret := filepath.Join(f.dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter22\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call := event.FenceCall{Agent: agent, Action: "reboot", Target: cluster.Incarnation{Node: "beta"}, Params: []cluster.NVPair{
		{Name: "ip", Value: "10.0.9.1"}, {Name: "password", File: secret},
		{Name: "pcmk_host_map", Value: "alpha:1;beta:2"}, {Name: "pcmk_delay_base", Value: "5s"}, {Name: "action", Value: "on"},
		{Name: "CRM_meta_timeout", Value: "9"}, {Name: "provides", Value: "unfencing"},
	}}
	if a := f.fence(call); !a.OK || a.Error != "" || a.Call.Target.Node != "beta" || a.Took <= 0 {
		t.Errorf("answer %+v", a)
	}
	want := "action=reboot\nnodename=beta\nplug=2\nip=10.0.9.1\npassword=hunter22\n--\n"
	if got := f.file("input"); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}

	tests := []struct{ name, action, target, param, value, want string }{
		{"alias", "reboot", "beta", "pcmk_reboot_action", "off", "action=off\nnodename=beta\nplug=beta\n"},
		{"argument", "off", "beta", "pcmk_host_argument", "uuid", "action=off\nnodename=beta\nuuid=beta\n"},
		{"no argument", "off", "beta", "pcmk_host_argument", "none", "action=off\nnodename=beta\n"},
		{"fixed plug", "off", "beta", "plug", "7", "action=off\nnodename=beta\nplug=7\n"},
		{"dynamic plug", "off", "beta", "plug", "dynamic", "action=off\nnodename=beta\nplug=beta\n"},
		{"device itself", "list", "", "ip", "x", "action=list\nip=x\n"},
	}
	for _, test := range tests {
		os.Remove(filepath.Join(f.dir, "input"))
		a := f.fence(event.FenceCall{Agent: agent, Action: test.action, Target: cluster.Incarnation{Node: test.target},
			Params: []cluster.NVPair{{Name: test.param, Value: test.value}}})
		if got := f.file("input"); !a.OK || got != test.want+"--\n" {
			t.Errorf("%s: %+v\n%s", test.name, a, got)
		}
	}
	f.until("the records to go", func() bool { return len(f.left()) == 0 })
}

func TestFenceWithoutReboot(t *testing.T) {
	f := newFixture(t)
	agent := f.fenceAgent("exit 0 # no reboot")
	if a := f.fence(event.FenceCall{Agent: agent, Action: "reboot", Target: cluster.Incarnation{Node: "beta"}}); !a.OK {
		t.Errorf("answer %+v", a)
	}
	if got := f.file("input"); !strings.HasPrefix(got, "action=off\n") {
		t.Errorf("told %q", got)
	}
}

func TestFenceAnswers(t *testing.T) {
	f := newFixture(t)
	agent := f.fenceAgent(`
case $action in
status) exit 2;;
list) echo 1,alpha; echo 2,beta;;
on) echo "login to hunter22 refused" >&2; exit 3;;
off) touch ` + f.dir + `/tried; echo x >>` + f.dir + `/tried; exit 1;;
monitor) kill -9 $$;;
esac`)
	password := []cluster.NVPair{{Name: "password", Value: "hunter22"}}
	call := func(action string) event.FenceCalled {
		return f.fence(event.FenceCall{Agent: agent, Action: action, Target: cluster.Incarnation{Node: "beta"}, Params: password})
	}
	if a := call("status"); !a.OK || a.Output != "off" {
		t.Errorf("status: %+v", a)
	}
	if a := call("list"); !a.OK || len(cluster.ParseFenceList(a.Output)) != 2 {
		t.Errorf("list: %+v", a)
	}
	if a := call("on"); a.OK || !strings.Contains(a.Error, "login") || strings.Contains(a.Error+a.Output, "hunter22") {
		t.Errorf("on: %+v", a)
	}
	// Whoever ordered it decides about another try.
	if a := call("off"); a.OK || f.file("tried") != "x\n" {
		t.Errorf("off: %+v, tried %q", a, f.file("tried"))
	}
	if a := call("monitor"); a.OK || !strings.Contains(a.Error, "signal 9") {
		t.Errorf("monitor: %+v", a)
	}
	if a := f.fence(event.FenceCall{Agent: cluster.Agent{Class: "stonith", Type: "fence_none"}, Action: "off"}); a.OK || !strings.Contains(a.Error, "not installed") {
		t.Errorf("missing agent: %+v", a)
	}
	if a := f.fence(event.FenceCall{Agent: agent, Action: "off", Params: []cluster.NVPair{{Name: "ip", Value: "a\naction=on"}}}); a.OK {
		t.Errorf("a parameter smuggles a line in: %+v", a)
	}
}

// TestFenceMetadata: what an agent can is told in the form that the core learns from.
func TestFenceMetadata(t *testing.T) {
	f := newFixture(t)
	agent := f.fenceAgent("exit 1")
	a := f.fence(event.FenceCall{Agent: agent, Action: "metadata"})
	var names []string
	for _, action := range a.Actions {
		names = append(names, action.Name)
	}
	if got := strings.Join(names, " "); !a.OK || got != "on off reboot status list monitor" {
		t.Errorf("answer %+v", a)
	}
}

// TestFenceTimeout: whatever the device may have done, the cluster does not know.
func TestFenceTimeout(t *testing.T) {
	f := newFixture(t)
	agent := f.fenceAgent(`trap "exit 0" TERM; echo $$ >` + f.dir + `/pid; sleep 600; exit 0`)
	a := f.fence(event.FenceCall{Agent: agent, Action: "off", Target: cluster.Incarnation{Node: "beta"}, Timeout: time.Second})
	if a.OK || !strings.Contains(a.Error, "timed out") || a.Took > 15*time.Second {
		t.Errorf("answer %+v", a)
	}
	if a := f.fence(event.FenceCall{Agent: agent, Action: "off", Timeout: 10 * time.Millisecond, Delay: 10 * time.Millisecond}); a.OK {
		t.Errorf("answer %+v", a)
	}
}

// TestFenceOrphanIsEnded: a fence agent does not act on the verdict of a daemon
// that is gone.
func TestFenceOrphanIsEnded(t *testing.T) {
	f := newFixture(t)
	agent := f.fenceAgent(`echo $$ >` + f.dir + `/pid; sleep 600`)
	f.runner.Fence(event.FenceCall{Agent: agent, Action: "off", Target: cluster.Incarnation{Node: "beta"}, Timeout: time.Minute})
	f.until("the agent", func() bool { return strings.HasSuffix(f.file("pid"), "\n") })
	f.runner.Close()
	f.open()
	var pid int
	if err := json.Unmarshal([]byte(f.file("pid")), &pid); err != nil {
		t.Fatal(err)
	}
	if alive(pid) {
		t.Error("the fence agent lives")
	}
	if o := f.runner.Orphans(); len(o) != 0 {
		t.Errorf("orphans %+v", o)
	}
	f.until("the records to go", func() bool { return len(f.left()) == 0 })
}

func TestDeviceAsResource(t *testing.T) {
	f := newFixture(t)
	agent := f.fenceAgent(`[ $action = monitor ] && [ ! -e ` + f.dir + `/broken ]`)
	run := func(action string, interval time.Duration) event.Result {
		op := f.operation(agent, action)
		op.Interval = interval
		return f.run(op)
	}
	for _, step := range []struct {
		action   string
		interval time.Duration
		code     int
	}{{"monitor", 0, 7}, {"start", 0, 0}, {"monitor", 0, 0}, {"monitor", time.Minute, 0}, {"stop", 0, 0}, {"stop", 0, 0}, {"monitor", 0, 7}, {"promote", 0, 3}} {
		if r := run(step.action, step.interval); r.Code != step.code {
			t.Errorf("%s: %+v", step.action, r)
		}
	}
	run("start", 0)
	f.runner.Close()
	f.open()
	if r := run("monitor", 0); r.Code != 0 {
		t.Errorf("after a restart: %+v", r)
	}
	f.program("broken", "")
	if r := run("monitor", time.Minute); r.Code != event.CodeError || r.Reason == "" {
		t.Errorf("broken device: %+v", r)
	}
	if r := run("monitor", 0); r.Code != 0 {
		t.Errorf("a probe asks whether it is started: %+v", r)
	}
}

// TestNoSecretInLogs: neither log nor records hold a password.
func TestNoSecretInLogs(t *testing.T) {
	f := newFixture(t)
	f.runner.Close()
	var log bytes.Buffer
	f.options.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	f.open()
	agent := f.fenceAgent(`echo "password was hunter22"; cat ` + f.dir + `/run/operations/*.json >>` + f.dir + `/records; exit 1`)
	secret := filepath.Join(f.dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter22"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := f.fence(event.FenceCall{Agent: agent, Action: "off", Target: cluster.Incarnation{Node: "beta"}, Params: []cluster.NVPair{{Name: "password", File: secret}}})
	if !strings.Contains(f.file("records"), "fence") {
		t.Fatalf("the call was not on record: %+v", a)
	}
	f.runner.Close()
	if all := log.String() + f.file("records") + a.Error + a.Output; strings.Contains(all, "hunter22") {
		t.Errorf("the password is in\n%s", all)
	}
}

// TestRealFenceAgent runs fence_dummy of the distribution.
func TestRealFenceAgent(t *testing.T) {
	if _, err := os.Stat("/usr/sbin/fence_dummy"); err != nil {
		t.Skip("fence_dummy is not installed (Debian package fence-agents)")
	}
	f := newFixture(t)
	f.runner.Close()
	f.options.FencePath = nil
	f.open()
	params := []cluster.NVPair{{Name: "status_file", Value: filepath.Join(f.dir, "status")}, {Name: "pcmk_host_list", Value: "beta"}}
	for _, step := range []struct{ action, output string }{{"on", ""}, {"status", "on"}, {"reboot", ""}, {"off", ""}, {"status", "off"}, {"monitor", ""}} {
		a := f.fence(event.FenceCall{Agent: cluster.Agent{Class: "stonith", Type: "fence_dummy"}, Action: step.action,
			Target: cluster.Incarnation{Node: "beta"}, Params: params, Timeout: 30 * time.Second})
		if !a.OK || step.output != "" && a.Output != step.output {
			t.Errorf("%s: %+v", step.action, a)
		}
	}
}
