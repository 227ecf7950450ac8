package systemd

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// container boots a systemd of its own: in fresh namespaces, on an overlay of
// this machine's root. $1 is the directory of upper and work directory and mount
// point; the unit test.service is what it boots to.
const container = `set -e
mount --make-rprivate /
mount -t overlay overlay -o lowerdir=/,upperdir=$1/upper,workdir=$1/work $1/root
mount -t proc proc $1/root/proc
mount -t sysfs sysfs $1/root/sys
mount -t tmpfs tmpfs $1/root/run
mount -t cgroup2 cgroup2 $1/root/sys/fs/cgroup
mount --rbind /dev $1/root/dev
touch $1/up
exec chroot $1/root /lib/systemd/systemd --system --unit=test.service --log-target=null --show-status=no
`

const testUnit = `[Unit]
Requires=dbus.service
After=dbus.service
[Service]
Type=oneshot
Environment=HA_TEST_SYSTEMD=1
ExecStart=/opt/test -test.run=^TestUnits$ -test.v
StandardOutput=file:/opt/out
StandardError=file:/opt/out
ExecStopPost=/bin/sh -c 'echo $SERVICE_RESULT >/opt/result.new; mv /opt/result.new /opt/result'
`

// TestUnits runs itself under a real systemd.
func TestUnits(t *testing.T) {
	if os.Getenv("HA_TEST_SYSTEMD") != "" {
		testUnits(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("a systemd of its own needs root")
	}
	for _, program := range []string{"/lib/systemd/systemd", "/usr/bin/dbus-daemon"} {
		if _, err := os.Stat(program); err != nil {
			t.Skipf("%s is not installed (Debian packages systemd and dbus)", program)
		}
	}
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	write("upper/opt/test", string(self))
	write("upper/etc/systemd/system/test.service", testUnit)
	write("work/.keep", "")
	write("root/.keep", "")
	os.Remove(filepath.Join(dir, "work/.keep"))

	group := controlGroup(t)
	c := exec.Command("unshare", "--pid", "--mount", "--net", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child", "sh", "-c", container, "sh", dir)
	c.Env = append(os.Environ(), "container=ha-test")
	c.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: syscall.SIGKILL}
	var said strings.Builder
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		t.Skipf("no container: %v", err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	file := func(name string) string {
		data, _ := os.ReadFile(filepath.Join(dir, name))
		return string(data)
	}
	for deadline := time.Now().Add(90 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if result := file("upper/opt/result"); result != "" {
			if out := file("upper/opt/out"); strings.TrimSpace(result) != "success" || !strings.Contains(out, "PASS: TestUnits") {
				t.Fatalf("result %s\n%s", result, out)
			}
			return
		}
		if time.Now().After(deadline) {
			if _, err := os.Stat(filepath.Join(dir, "up")); err != nil {
				t.Skipf("no container: %s", said.String())
			}
			t.Fatalf("no result\n%s\n%s", said.String(), file("upper/opt/out"))
		}
	}
}

// controlGroup makes a version 2 control group, since systemd wants to own one.
func controlGroup(t *testing.T) *os.File {
	t.Helper()
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	defer mounts.Close()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[2] != "cgroup2" {
			continue
		}
		dir := filepath.Join(fields[1], fmt.Sprintf("ha-test-%d", os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("no control group: %v", err)
		}
		t.Cleanup(func() {
			for deadline := time.Now().Add(20 * time.Second); removeGroups(dir) != nil; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Errorf("control group %s is left", dir)
					return
				}
			}
		})
		file, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { file.Close() })
		return file
	}
	t.Skip("no file system of control groups, version 2, is mounted")
	return nil
}

// removeGroups removes a control group with those below it.
func removeGroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeGroups(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}

func testUnits(t *testing.T) {
	unit := func(name, service string) {
		t.Helper()
		if err := os.WriteFile("/etc/systemd/system/"+name, []byte("[Unit]\nDescription=A thing\n[Service]\n"+service), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	unit("thing.service", "ExecStart=/bin/sleep 600\nRestart=always\nRestartSec=0\n")
	unit("broken.service", "Type=oneshot\nExecStart=/bin/false\n")
	unit("slow.service", "Type=oneshot\nExecStart=/bin/sleep 5\n")
	if out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	notices := make(chan event.ResourceNotice, 100)
	agent := New(func(n event.ResourceNotice) { notices <- n })
	t.Cleanup(agent.Close)
	run := func(unit, action string, code int) event.Result {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		r := agent.Run(ctx, event.Operation{Name: "res", Agent: cluster.Agent{Class: "systemd", Type: unit}, Action: action})
		if r.Code != code {
			t.Fatalf("%s %s: %+v", action, unit, r)
		}
		return r
	}
	const dropIn = "/run/systemd/system/thing.service.d/50-linux-ha.conf"

	run("thing", "monitor", event.CodeNotRunning)
	run("thing", "stop", event.CodeOK)
	run("thing", "start", event.CodeOK)
	run("thing.service", "monitor", event.CodeOK)
	if _, err := os.Stat(dropIn); err != nil {
		t.Error(err)
	}
	if out, err := exec.Command("systemctl", "kill", "--signal=KILL", "thing").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	select {
	case n := <-notices:
		if n.Name != "res" || !strings.Contains(n.Reason, "thing.service") {
			t.Errorf("notice %+v", n)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no notice")
	}
	run("thing", "monitor", event.CodeNotRunning) // systemd does not restart it
	run("thing", "start", event.CodeOK)

	// A daemon that was restarted watches it again.
	agent.Close()
	agent = New(func(n event.ResourceNotice) { notices <- n })
	t.Cleanup(agent.Close)
	run("thing", "monitor", event.CodeOK)
	for len(notices) > 0 {
		<-notices
	}
	run("thing", "stop", event.CodeOK)
	run("thing", "monitor", event.CodeNotRunning)
	if _, err := os.Stat(dropIn); err == nil {
		t.Error("the drop-in is left")
	}
	if len(notices) > 0 {
		t.Errorf("a stop that was asked for is news: %+v", <-notices)
	}

	run("broken", "start", event.CodeError)
	run("broken", "stop", event.CodeOK)
	run("missing", "start", event.CodeNotInstalled)
	run("missing", "monitor", event.CodeNotInstalled)
	run("missing", "stop", event.CodeOK)
	run("thing", "promote", event.CodeUnimplemented)
	if !agent.Has(context.Background(), "thing") || agent.Has(context.Background(), "missing") {
		t.Error("Has is wrong")
	}
	m, err := agent.Metadata(context.Background(), cluster.Agent{Class: "systemd", Type: "thing"})
	if err != nil || m.Short == "" || m.Action("monitor") == nil {
		t.Errorf("metadata %+v, %v", m, err)
	}

	// A job that a killed daemon had queued is awaited.
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	r := agent.Run(ctx, event.Operation{Name: "slow", Agent: cluster.Agent{Class: "systemd", Type: "slow"}, Action: "start"})
	if r.Code != event.CodeError || r.Status != event.StatusError {
		t.Errorf("slow: %+v", r)
	}
	if err := agent.Await(context.Background(), "slow"); err != nil {
		t.Error(err)
	}
	out, err := exec.Command("systemctl", "show", "-p", "ActiveState", "slow").Output()
	if err != nil || strings.Contains(string(out), "activating") {
		t.Errorf("after the wait: %s, %v", out, err)
	}
}

func TestUnit(t *testing.T) {
	for name, want := range map[string]string{"nginx": "nginx.service", "a.socket": "a.socket", "getty@tty1": "getty@tty1.service", "x.y": "x.y.service"} {
		if got := Unit(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestWithoutSystemd(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		t.Skip("this host runs systemd")
	}
	a := New(func(event.ResourceNotice) {})
	defer a.Close()
	r := a.Run(context.Background(), event.Operation{Agent: cluster.Agent{Class: "systemd", Type: "nginx"}, Action: "start"})
	if r.Code != event.CodeNotInstalled || !strings.Contains(r.Reason, "does not run systemd") {
		t.Errorf("%+v", r)
	}
}
