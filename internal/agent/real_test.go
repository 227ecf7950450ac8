package agent

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// real makes a fixture whose Runner uses the agents that are installed.
func real(t *testing.T, agents ...string) *fixture {
	t.Helper()
	for _, name := range agents {
		if _, err := os.Stat(filepath.Join("/usr/lib/ocf/resource.d", name)); err != nil {
			t.Skipf("agent %s is not installed (Debian package resource-agents)", name)
		}
	}
	f := newFixture(t)
	f.runner.Close()
	f.options.OCFRoot, f.options.InitDir, f.options.ResourceTemp = "", "", ""
	f.open()
	return f
}

// realFence makes a fixture whose Runner uses the fence agents that are installed.
func realFence(t *testing.T, agents ...string) *fixture {
	t.Helper()
	for _, name := range agents {
		if _, err := os.Stat(filepath.Join("/usr/sbin", name)); err != nil {
			t.Skipf("%s is not installed (Debian package fence-agents)", name)
		}
	}
	f := newFixture(t)
	f.runner.Close()
	f.options.FencePath = []string{"/usr/sbin"}
	f.open()
	return f
}

// TestRealFenceAgents: what installed agents say of themselves is what the core
// has to learn: scsi unfences, on the target; kdump can only wait; virsh lists.
func TestRealFenceAgents(t *testing.T) {
	f := realFence(t, "fence_scsi", "fence_kdump", "fence_virsh")
	for agent, want := range map[string]cluster.AdvisedAction{
		"fence_scsi":  {Name: "on", OnTarget: true, Automatic: true},
		"fence_kdump": {Name: "off"},
		"fence_virsh": {Name: "list"},
	} {
		a := f.fence(event.FenceCall{Agent: cluster.Agent{Class: "stonith", Type: agent}, Action: "metadata"})
		if !a.OK || !slices.Contains(a.Actions, want) {
			t.Errorf("%s: %+v, want %+v among its actions", agent, a, want)
		}
		if slices.ContainsFunc(a.Actions, func(x cluster.AdvisedAction) bool { return x.Name == "reboot" }) != (agent == "fence_virsh") {
			t.Errorf("%s: %+v: only virsh can reboot", agent, a)
		}
	}
}

// TestRealKdump: a node that has crashed and dumps its memory says so, and that is
// as good as power off; one that says nothing is left to the next level.
func TestRealKdump(t *testing.T) {
	f := realFence(t, "fence_kdump")
	port := freePort(t)
	call := event.FenceCall{
		Agent: cluster.Agent{Class: "stonith", Type: "fence_kdump"}, Action: "reboot", Target: cluster.Incarnation{Node: "127.0.0.1"}, Timeout: 10 * time.Second,
		Params: []cluster.NVPair{{Name: "ipport", Value: port}, {Name: "timeout", Value: "8"}},
	}
	const send = "/usr/libexec/fence-agents/fence_kdump_send"
	if _, err := os.Stat(send); err != nil {
		t.Skip("fence_kdump_send is not installed (Debian package fence-agents)")
	}
	crashKernel := exec.Command(send, "-p", port, "-i", "1", "127.0.0.1") // what runs after the crash
	if err := crashKernel.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = crashKernel.Process.Kill()
		_ = crashKernel.Wait()
	}()
	if a := f.fence(call); !a.OK {
		t.Errorf("with messages: %+v", a)
	}
	call.Params = []cluster.NVPair{{Name: "ipport", Value: freePort(t)}, {Name: "timeout", Value: "1"}}
	if a := f.fence(call); a.OK {
		t.Errorf("without a message: %+v", a)
	}
}

// freePort returns a UDP port that nobody uses.
func freePort(t *testing.T) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, port, err := net.SplitHostPort(c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (f *fixture) steps(agent cluster.Agent, params []cluster.NVPair, steps ...struct {
	action string
	code   int
}) {
	f.t.Helper()
	for _, step := range steps {
		op := f.operation(agent, step.action)
		op.Params = params
		if r := f.run(op); r.Code != step.code || r.Status != event.StatusDone {
			f.t.Fatalf("%s %s: %+v", agent, step.action, r)
		}
	}
}

type step = struct {
	action string
	code   int
}

func TestRealDummy(t *testing.T) {
	f := real(t, "heartbeat/Dummy")
	state := []cluster.NVPair{{Name: "state", Value: filepath.Join(f.dir, "state")}}
	dummy := cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Dummy"}
	f.steps(dummy, state, step{"monitor", 7}, step{"start", 0}, step{"start", 0}, step{"monitor", 0}, step{"reload", 0},
		step{"stop", 0}, step{"stop", 0}, step{"monitor", 7})
	m, err := f.runner.Metadata(context.Background(), dummy)
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Parameter("state"); p == nil || !p.Unique {
		t.Errorf("state: %+v", p)
	}
	if a := m.Action("monitor"); a == nil || a.Interval != 10*time.Second || a.Timeout != 20*time.Second {
		t.Errorf("monitor: %+v", a)
	}
}

// TestRealStateOutlivesRestart: what an agent started is found by the next daemon.
func TestRealStateOutlivesRestart(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the agent wants root")
	}
	f := real(t, "heartbeat/anything")
	pidfile := filepath.Join(f.dir, "pid")
	params := []cluster.NVPair{{Name: "binfile", Value: "/bin/sleep"}, {Name: "cmdline_options", Value: "600"}, {Name: "pidfile", Value: pidfile}}
	anything := cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "anything"}
	f.steps(anything, params, step{"monitor", 7}, step{"start", 0}, step{"monitor", 0})
	before := f.file("pid")
	f.runner.Close()
	f.open()
	f.steps(anything, params, step{"monitor", 0})
	if f.file("pid") != before {
		t.Error("another process runs")
	}
	f.steps(anything, params, step{"stop", 0}, step{"monitor", 7})
}

// inNamespace runs the test again, alone, in new namespaces; it returns true there.
func inNamespace(t *testing.T, flags uintptr) bool {
	t.Helper()
	if os.Getenv("AGENT_TEST_NAMESPACE") != "" {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("namespaces need root")
	}
	c := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), "AGENT_TEST_NAMESPACE=1")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Unshareflags: flags & syscall.CLONE_NEWNS}
	out, err := c.CombinedOutput()
	if strings.Contains(string(out), "--- SKIP") {
		t.Skip(string(out))
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// TestRealFilesystem mounts and unmounts by the distribution's agent.
func TestRealFilesystem(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNS) {
		return
	}
	f := real(t, "heartbeat/Filesystem")
	if _, err := exec.LookPath("modprobe"); err != nil {
		t.Skip("the agent wants modprobe (Debian package kmod)")
	}
	for _, dir := range []string{"source", "target"} {
		if err := os.Mkdir(filepath.Join(f.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f.program("source/file", "")
	target := filepath.Join(f.dir, "target")
	params := []cluster.NVPair{{Name: "device", Value: filepath.Join(f.dir, "source")}, {Name: "directory", Value: target},
		{Name: "fstype", Value: "none"}, {Name: "options", Value: "bind"}}
	filesystem := cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "Filesystem"}
	f.steps(filesystem, params, step{"monitor", 7}, step{"start", 0}, step{"monitor", 0})
	if _, err := os.Stat(filepath.Join(target, "file")); err != nil {
		t.Error(err)
	}
	f.steps(filesystem, params, step{"stop", 0}, step{"monitor", 7})
	if _, err := os.Stat(filepath.Join(target, "file")); err == nil {
		t.Error("it is still mounted")
	}
}

// TestRealIPaddr2 lets the shell agent and ha:ip manage the same address, in a
// network namespace.
func TestRealIPaddr2(t *testing.T) {
	if !inNamespace(t, syscall.CLONE_NEWNET) {
		return
	}
	f := real(t, "heartbeat/IPaddr2")
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip is not installed (Debian package iproute2)")
	}
	for _, line := range []string{"link set lo up", "link add eth0 type veth peer name eth1", "addr add 10.9.0.1/24 dev eth0", "link set eth0 up", "link set eth1 up"} {
		if out, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v\n%s", line, err, out)
		}
	}
	has := func() bool {
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range addrs {
			if a.String() == "10.9.0.100/24" {
				return true
			}
		}
		return false
	}
	shell := cluster.Agent{Class: "ocf", Provider: "heartbeat", Type: "IPaddr2"}
	params := []cluster.NVPair{{Name: "ip", Value: "10.9.0.100"}, {Name: "cidr_netmask", Value: "24"}}
	own := cluster.Agent{Class: "ha", Type: "ip"}
	address := []cluster.NVPair{{Name: "address", Value: "10.9.0.100/24"}}

	f.steps(shell, params, step{"monitor", 7}, step{"start", 0}, step{"monitor", 0})
	if !has() {
		t.Error("IPaddr2 added nothing")
	}
	f.steps(own, address, step{"monitor", 0}, step{"stop", 0})
	if has() {
		t.Error("ha:ip removed nothing")
	}
	f.steps(shell, params, step{"monitor", 7})
	f.steps(own, address, step{"start", 0})
	f.steps(shell, params, step{"monitor", 0}, step{"stop", 0})
	f.steps(own, address, step{"monitor", 7})
}
