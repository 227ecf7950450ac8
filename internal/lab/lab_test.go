package lab_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/lab"
	"linuxha/internal/lab/labtest"
)

// helperVariable makes the test binary one of the programs of runHelper, so that
// hosts need no tools beyond it.
const helperVariable = "HA_LAB_TEST_HELPER"

func TestMain(m *testing.M) {
	if which := os.Getenv(helperVariable); which != "" {
		if err := runHelper(which); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(labtest.Run(m))
}

// runHelper is a program on a host: "tcp" accepts connections on port 7000 and
// keeps them, "hold ADDRESS" makes such a connection, "udp" appends every
// datagram to port 7000 to /tmp/got, "echo" answers them, "send ADDRESS COUNT
// TEXT" sends some, "reboot" restarts the host, "tick" writes
// to /tmp/ticks.
func runHelper(which string) error {
	args := os.Args[1:]
	switch which {
	case "tcp":
		l, err := net.Listen("tcp", ":7000")
		if err != nil {
			return err
		}
		for {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			go io.Copy(conn, conn)
		}
	case "hold": // connect to ADDRESS and keep the connection
		conn, err := net.Dial("tcp", args[0]+":7000")
		if err != nil {
			return err
		}
		if _, err := conn.Write([]byte("x")); err != nil {
			return err
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			return err
		}
		if err := os.WriteFile("/tmp/held", nil, 0o644); err != nil {
			return err
		}
		_, err = conn.Read(make([]byte, 1))
		return err
	case "udp":
		conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: 7000})
		if err != nil {
			return err
		}
		got, err := os.OpenFile("/tmp/got", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		buffer := make([]byte, 1500)
		for {
			n, err := conn.Read(buffer)
			if err != nil {
				return err
			}
			if _, err := got.Write(buffer[:n]); err != nil {
				return err
			}
		}
	case "echo":
		conn, err := net.ListenUDP("udp", &net.UDPAddr{Port: 7000})
		if err != nil {
			return err
		}
		buffer := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return err
			}
			if _, err := conn.WriteToUDPAddrPort(buffer[:n], from); err != nil {
				return err
			}
		}
	case "send":
		conn, err := net.Dial("udp", args[0]+":7000")
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscan(args[1], &n); err != nil {
			return err
		}
		for range n {
			if _, err := conn.Write([]byte(args[2] + "\n")); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
				return err
			}
			time.Sleep(100 * time.Microsecond) // slower than the receiver reads
		}
		return nil
	case "tick":
		ticks, err := os.OpenFile("/tmp/ticks", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		for ; ; time.Sleep(time.Millisecond) {
			if _, err := ticks.Write([]byte(".")); err != nil {
				return err
			}
		}
	case "reboot":
		return syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	}
	return fmt.Errorf("no helper %q", which)
}

// helper puts the test binary on a host, as /tmp/helper, and returns the command
// line that runs it as one of the programs.
func helper(t *testing.T, l *lab.Lab, host, which string, args ...string) []string {
	t.Helper()
	path := l.HostDir(host, "tmp", "helper")
	if _, err := os.Stat(path); err != nil {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		program, err := os.ReadFile(self)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, program, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return append([]string{"env", helperVariable + "=" + which, "/tmp/helper"}, args...)
}

// background runs a helper until its host goes off or the test ends.
func background(t *testing.T, l *lab.Lab, host, which string, args ...string) {
	t.Helper()
	command := helper(t, l, host, which, args...)
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(done)
		_, _, _ = l.Output(ctx, host, command...) // it ends with its host
	}()
	t.Cleanup(func() { cancel(); <-done })
}

func serveTCP(t *testing.T, l *lab.Lab, host string, number int) netip.AddrPort {
	t.Helper()
	background(t, l, host, "tcp")
	target := netip.AddrPortFrom(lab.Address(number, 1), 7000)
	labtest.Eventually(t, 10*time.Second, "the server answers", func() bool { return answers(t, l, target) })
	return target
}

// answers reports whether the client host gets an answer right now.
func answers(t *testing.T, l *lab.Lab, target netip.AddrPort) bool {
	t.Helper()
	return probeFor(t, l, target, 60*time.Millisecond).Succeeded > 0
}

func probeFor(t *testing.T, l *lab.Lab, target netip.AddrPort, limit time.Duration) lab.ProbeResult {
	t.Helper()
	p, err := l.StartProbe(t.Context(), lab.Client, target, lab.ProbeTCP, limit)
	if err != nil {
		t.Fatal(err)
	}
	result, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHostsAreHosts(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 2, Links: 2})
	bootIDs := map[string]string{}
	machine, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	must(t, err)
	bootIDs[string(machine)] = "the machine"
	for _, host := range []string{"host1", "host2", lab.Client} {
		if got := labtest.Output(t, l, host, "hostname"); got != host+"\n" {
			t.Errorf("host name of %s is %q", host, got)
		}
		id := labtest.Output(t, l, host, "cat", "/proc/sys/kernel/random/boot_id")
		if other, ok := bootIDs[id]; ok {
			t.Errorf("%s has the boot id of %s", host, other)
		}
		bootIDs[id] = host
		if pids := strings.Fields(labtest.Output(t, l, host, "sh", "-c", "echo /proc/[0-9]*")); len(pids) > 3 {
			t.Errorf("%s sees foreign processes: %v", host, pids)
		}
	}
	interfaces := strings.Fields(labtest.Output(t, l, "host1", "ls", "/sys/class/net"))
	for _, want := range []string{"lo", "link1", "link2"} {
		if !strings.Contains(" "+strings.Join(interfaces, " ")+" ", " "+want+" ") {
			t.Errorf("host1 has interfaces %v, want %s among them", interfaces, want)
		}
	}
	if status, err := l.Status(); err != nil || status.Filesystem == "" {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestClusterToolsOfTheMachineAreHidden(t *testing.T) {
	found, err := filepath.Glob("/usr/sbin/crm_*")
	must(t, err)
	if len(found) == 0 {
		t.Skip("this machine has no cluster tools to hide: install pacemaker-cli-utils")
	}
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	listing := labtest.Output(t, l, "host1", "sh", "-c", "ls /usr/sbin /usr/bin")
	for _, path := range found {
		if strings.Contains(listing, filepath.Base(path)) {
			t.Errorf("host1 sees %s", path)
		}
	}
	if !strings.Contains(listing, "fence_lab") {
		t.Error("host1 has no fence_lab")
	}
	if again, err := filepath.Glob("/usr/sbin/crm_*"); err != nil || len(again) != len(found) {
		t.Errorf("hiding changed the machine: %v, %v", again, err)
	}
}

func TestDiskStaysAndMemoryGoesInACrash(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 2, Links: 1})
	kept := []string{"/var/lib/ha/f", "/etc/ha/f", "/etc/f", "/var/lib/f"}
	lost := []string{"/run/f", "/tmp/f", "/dev/shm/f"}
	for _, path := range append(kept, lost...) {
		labtest.Output(t, l, "host1", "sh", "-c", "echo text > "+path)
		if _, _, err := l.Output(t.Context(), "host2", "test", "-e", path); err == nil {
			t.Errorf("host2 sees %s of host1", path)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("the machine sees %s of host1", path)
		}
	}
	before := labtest.Output(t, l, "host1", "cat", "/proc/sys/kernel/random/boot_id")
	must(t, l.Crash("host1"))
	must(t, l.Start("host1"))
	if after := labtest.Output(t, l, "host1", "cat", "/proc/sys/kernel/random/boot_id"); after == before {
		t.Error("the boot id is the same after a crash")
	}
	for _, path := range kept {
		if got := labtest.Output(t, l, "host1", "cat", path); got != "text\n" {
			t.Errorf("%s is %q after a crash", path, got)
		}
	}
	for _, path := range lost {
		if _, _, err := l.Output(t.Context(), "host1", "test", "-e", path); err == nil {
			t.Errorf("%s is there after a crash", path)
		}
	}
}

// A connection that is open at the crash is what makes a namespace linger.
func TestCrashedHostIsGoneWhenCrashReturns(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 2, Links: 2})
	target := serveTCP(t, l, "host1", 1)
	background(t, l, "host2", "hold", lab.Address(1, 1).String())
	labtest.Eventually(t, 10*time.Second, "the connection stands", func() bool {
		_, err := os.Stat(l.HostDir("host2", "tmp", "held"))
		return err == nil
	})
	for round := range 3 {
		begun := time.Now()
		must(t, l.Crash("host1"))
		took := time.Since(begun)
		if answers(t, l, target) {
			t.Fatal("a host that was reported off answers")
		}
		if took > 900*time.Millisecond { // a namespace that lingers takes a second
			t.Errorf("power off took %v", took)
		}
		t.Logf("round %d: off after %v", round, took)
		if err := l.Run(t.Context(), lab.Command{Host: "host1", Args: []string{"true"}}); err == nil {
			t.Fatal("a command ran on a host that is off")
		}
		must(t, l.Crash("host1")) // of a host that is off, it is nothing to do
		must(t, l.Start("host1"))
		serveTCP(t, l, "host1", 1)
	}
}

func TestRebootFromInside(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	background(t, l, "host1", "reboot")
	labtest.Eventually(t, 10*time.Second, "host1 is back", func() bool {
		status, err := l.Status()
		return err == nil && status.Hosts[0].Boots == 2 && status.Hosts[0].State == "on"
	})
	labtest.Output(t, l, "host1", "true")
}

// A fence agent's reboot is over when the host is off; it then comes back, unless
// somebody switches it off for good meanwhile.
func TestFencingFromAHost(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 3, Links: 1})
	fence := func(action, host string) int {
		var exit *lab.ExitError
		script := fmt.Sprintf("printf 'action=%s\\nplug=%s\\n' | fence_lab", action, host)
		if _, _, err := l.Output(t.Context(), "host1", "sh", "-c", script); errors.As(err, &exit) {
			return exit.Code
		} else if err != nil {
			t.Fatal(err)
		}
		return 0
	}
	state := func(host int) lab.HostStatus {
		status, err := l.Status()
		must(t, err)
		return status.Hosts[host-1]
	}
	if got := fence("status", "host2"); got != 0 {
		t.Errorf("status of a host that is on: %d", got)
	}
	if got := fence("reboot", "host2"); got != 0 {
		t.Errorf("reboot: %d", got)
	}
	if got := fence("reboot", "host3"); got != 0 {
		t.Errorf("reboot: %d", got)
	}
	if got := state(2).State + state(3).State; got != "offoff" {
		t.Errorf("rebooted hosts are %s", got)
	}
	if got := fence("off", "host3"); got != 0 {
		t.Errorf("off of a host that is off: %d", got)
	}
	labtest.Eventually(t, 20*time.Second, "host2 is back", func() bool { return state(2).State == "on" })
	if got := state(3); got.State != "off" || got.Boots != 1 {
		t.Errorf("a host that was switched off meanwhile came back: %+v", got)
	}
	if got := fence("status", "host3"); got != 2 {
		t.Errorf("status of a host that is off: %d", got)
	}
	if got := fence("on", "host3"); got != 0 || state(3).State != "on" {
		t.Errorf("on: %d, %+v", got, state(3))
	}
	if got := fence("off", "client"); got == 2 {
		t.Errorf("off of the client: %d", got)
	}
	// Hosts may only switch: what else the supervisor does is not theirs to ask.
	_, _, err := l.Output(t.Context(), "host1", "sh", "-c", "fence_lab --action down --plug host1")
	if err == nil {
		t.Error("a host took the lab down")
	}
}

// received counts the lines of text that the "udp" helper of a host has got.
func received(t *testing.T, l *lab.Lab, host, text string) int {
	t.Helper()
	got, err := os.ReadFile(l.HostDir(host, "tmp", "got"))
	if err != nil {
		return 0
	}
	return strings.Count(string(got), text+"\n")
}

// deliver sends datagrams to a host and waits until the last has arrived.
func deliver(t *testing.T, l *lab.Lab, from, to string, number, link int, text string) {
	t.Helper()
	command := helper(t, l, from, "send", lab.Address(number, link).String(), "1", text)
	labtest.Eventually(t, 10*time.Second, from+" reaches "+to, func() bool {
		labtest.Output(t, l, from, command...)
		return received(t, l, to, text) > 0
	})
}

func TestCutInEachDirection(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 3, Links: 2})
	for _, host := range l.Nodes() {
		background(t, l, host, "udp")
	}
	try := 0
	// check sends from a to b and back over a link, and compares what arrives.
	check := func(a, b, link int, wantThere, wantBack bool) {
		t.Helper()
		try++
		name := func(kind string, from, to int) string { return fmt.Sprintf("%s-%d-%d-%d", kind, try, from, to) }
		send := func(from, to int) {
			labtest.Output(t, l, lab.NodeName(from), helper(t, l, lab.NodeName(from), "send", lab.Address(to, link).String(), "5", name("x", from, to))...)
		}
		send(a, b)
		send(b, a)
		must(t, l.Heal(""))
		// What arrives after healing shows that all before it has arrived or is lost.
		deliver(t, l, lab.NodeName(a), lab.NodeName(b), b, link, name("end", a, b))
		deliver(t, l, lab.NodeName(b), lab.NodeName(a), a, link, name("end", b, a))
		there := received(t, l, lab.NodeName(b), name("x", a, b))
		back := received(t, l, lab.NodeName(a), name("x", b, a))
		if (there == 5) != wantThere || (back == 5) != wantBack || there%5 != 0 || back%5 != 0 {
			t.Errorf("try %d: %d of 5 arrived at host%d, %d of 5 at host%d; want %v and %v", try, there, b, back, a, wantThere, wantBack)
		}
	}
	// The first exchanges also make the hosts known to each other, so that a cut
	// in one direction is not hidden by unanswered address resolution.
	for link := 1; link <= 2; link++ {
		deliver(t, l, "host1", "host2", 2, link, fmt.Sprint("hello", link))
		deliver(t, l, "host1", "host3", 3, link, fmt.Sprint("hello", link))
		deliver(t, l, "host2", "host1", 1, link, fmt.Sprint("hello", link))
		deliver(t, l, "host3", "host1", 1, link, fmt.Sprint("hello", link))
	}
	check(1, 2, 1, true, true)
	tests := []struct {
		name                       string
		cut                        lab.Cut
		link, peer                 int
		peerHears1, host1HearsPeer bool
	}{
		{"in", lab.Cut{Direction: lab.In}, 1, 2, true, false},
		{"out", lab.Cut{Direction: lab.Out}, 1, 2, false, true},
		{"both", lab.Cut{Direction: lab.Both}, 2, 2, false, false},
		{"one link", lab.Cut{Link: 1, Direction: lab.Both}, 1, 2, false, false},
		{"the other link", lab.Cut{Link: 1, Direction: lab.Both}, 2, 2, true, true},
		{"peer in", lab.Cut{Peer: "host2", Direction: lab.In}, 1, 2, true, false},
		{"peer out", lab.Cut{Peer: "host2", Direction: lab.Out}, 1, 2, false, true},
		{"another peer", lab.Cut{Peer: "host2", Direction: lab.Both}, 1, 3, true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.cut.Host = "host1"
			must(t, l.Cut(test.cut))
			check(1, test.peer, test.link, test.peerHears1, test.host1HearsPeer)
		})
	}
}

func TestUnpluggedInterfaceLosesItsCarrier(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 2})
	carrier := func(link string) string {
		return labtest.Output(t, l, "host1", "cat", "/sys/class/net/"+link+"/carrier")
	}
	target := serveTCP(t, l, "host1", 1)
	must(t, l.Cut(lab.Cut{Host: "host1", Link: 2, Direction: lab.Both, Unplug: true}))
	if carrier("link1") != "1\n" || carrier("link2") != "0\n" {
		t.Errorf("carriers %q %q", carrier("link1"), carrier("link2"))
	}
	must(t, l.Cut(lab.Cut{Host: "host1", Direction: lab.Both, Unplug: true}))
	if answers(t, l, target) {
		t.Error("an unplugged host answers")
	}
	must(t, l.Heal("host1"))
	if carrier("link1") != "1\n" || carrier("link2") != "1\n" {
		t.Errorf("carriers %q %q after healing", carrier("link1"), carrier("link2"))
	}
	labtest.Eventually(t, 10*time.Second, "the server answers", func() bool { return answers(t, l, target) })
}

func TestCutsStayOverACrash(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	target := serveTCP(t, l, "host1", 1)
	must(t, l.Cut(lab.Cut{Host: "host1", Direction: lab.Both}))
	must(t, l.Crash("host1"))
	must(t, l.Start("host1"))
	background(t, l, "host1", "tcp")
	if answers(t, l, target) {
		t.Error("a crash mended a cut")
	}
	must(t, l.Heal(""))
	labtest.Eventually(t, 10*time.Second, "the server answers", func() bool { return answers(t, l, target) })
}

func TestLoss(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 2, Links: 1})
	background(t, l, "host1", "udp")
	deliver(t, l, "host2", "host1", 1, 1, "hello")
	must(t, l.Loss("host1", 1, lab.In, 30))
	labtest.Output(t, l, "host2", helper(t, l, "host2", "send", "10.77.1.1", "1000", "x")...)
	must(t, l.Loss("host1", 0, lab.Both, 0))
	deliver(t, l, "host2", "host1", 1, 1, "end")
	// 700 are expected; the limits are seven standard deviations away.
	if got := received(t, l, "host1", "x"); got < 600 || got > 800 {
		t.Errorf("%d of 1000 datagrams arrived at a loss of 30%%", got)
	}
}

func TestPauseStopsProcessesAndSilencesTheNetwork(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	target := serveTCP(t, l, "host1", 1)
	background(t, l, "host1", "tick")
	ticks := func() int64 {
		info, err := os.Stat(l.HostDir("host1", "tmp", "ticks"))
		if err != nil {
			return 0
		}
		return info.Size()
	}
	labtest.Eventually(t, 10*time.Second, "ticks", func() bool { return ticks() > 10 })

	must(t, l.Pause("host1"))
	before := ticks()
	// The kernel would accept connections for the stopped server.
	if got := probeFor(t, l, target, 300*time.Millisecond); got.Succeeded != 0 {
		t.Errorf("a paused host answered %d times", got.Succeeded)
	}
	if after := ticks(); after != before {
		t.Errorf("a paused host ticked %d times", after-before)
	}
	err := l.Run(t.Context(), lab.Command{Host: "host1", Args: []string{"true"}})
	if err == nil || !strings.Contains(err.Error(), "resume") {
		t.Errorf("a command on a paused host: %v", err)
	}
	must(t, l.Resume("host1"))
	labtest.Eventually(t, 10*time.Second, "the server answers", func() bool { return answers(t, l, target) })
	labtest.Eventually(t, 10*time.Second, "ticks go on", func() bool { return ticks() > before })

	must(t, l.Pause("host1"))
	must(t, l.Crash("host1")) // a paused host can be powered off
	must(t, l.Start("host1"))
	labtest.Output(t, l, "host1", "true")
}

func TestProbeMeasuresAKnownOutage(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	target := serveTCP(t, l, "host1", 1)
	p, err := l.StartProbe(t.Context(), lab.Client, target, lab.ProbeTCP, 0)
	must(t, err)
	labtest.Eventually(t, 10*time.Second, "first successes", func() bool { return p.Result().Succeeded > 20 })
	must(t, l.Cut(lab.Cut{Host: "host1", Direction: lab.Both}))
	begun := time.Now()
	time.Sleep(400 * time.Millisecond) // the outage to be measured
	atLeast := time.Since(begun)
	must(t, l.Heal("host1"))
	atMost := time.Since(begun)
	seen := p.Result().Succeeded
	labtest.Eventually(t, 10*time.Second, "successes after the outage", func() bool { return p.Result().Succeeded > seen+20 })
	result, err := p.Stop()
	must(t, err)
	// The last success before the cut and the first after it add an interval each,
	// and what the machine's load adds.
	if gap := result.Gap(); gap < atLeast || gap > atMost+300*time.Millisecond {
		t.Errorf("measured %v of an outage of %v to %v", gap, atLeast, atMost)
	}
}

func TestProbeByDatagrams(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	target := netip.AddrPortFrom(lab.Address(1, 1), 7000)
	succeeded := func() int {
		p, err := l.StartProbe(t.Context(), lab.Client, target, lab.ProbeUDP, 100*time.Millisecond)
		must(t, err)
		result, err := p.Wait()
		must(t, err)
		return result.Succeeded
	}
	if n := succeeded(); n != 0 {
		t.Errorf("%d datagrams were answered by nobody", n)
	}
	background(t, l, "host1", "echo")
	labtest.Eventually(t, 10*time.Second, "datagrams are answered", func() bool { return succeeded() > 0 })
}

func TestExec(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	var exit *lab.ExitError
	if err := l.Run(t.Context(), lab.Command{Host: "host1", Args: []string{"sh", "-c", "exit 7"}}); !errors.As(err, &exit) || exit.Code != 7 {
		t.Errorf("exit 7: %v", err)
	}
	if err := l.Run(t.Context(), lab.Command{Host: "host1", Args: []string{"sh", "-c", "kill -9 $$"}}); !errors.As(err, &exit) || exit.Signal != syscall.SIGKILL {
		t.Errorf("kill -9: %v", err)
	}
	if err := l.Run(t.Context(), lab.Command{Host: "host1", Args: []string{"no-such-program"}}); err == nil || errors.As(err, new(*exec.ExitError)) {
		t.Errorf("no such program: %v", err)
	}
	if err := l.Run(t.Context(), lab.Command{Host: "host9", Args: []string{"true"}}); err == nil || !strings.Contains(err.Error(), "no host") {
		t.Errorf("no such host: %v", err)
	}
	// Standard input and the command's arguments reach it as they are.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, labtest.Binary(t), "lab", "exec", "--name", l.Spec.Name, "host1", "--", "sh", "-c", "cat; echo $1 >&2; exit 3", "-", "a b")
	cmd.Stdin = strings.NewReader("text")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if stdout.String() != "text" || stderr.String() != "a b\n" || cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("exec: %q, %q, %v", &stdout, &stderr, err)
	}
	// A caller that goes away takes its command with it.
	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- l.Run(ctx, lab.Command{Host: "host1", Args: []string{"sh", "-c", "touch /tmp/runs; sleep 1000"}})
	}()
	labtest.Eventually(t, 10*time.Second, "the command runs", func() bool {
		_, err := os.Stat(l.HostDir("host1", "tmp", "runs"))
		return err == nil
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled command: %v", err)
	}
	labtest.Eventually(t, 10*time.Second, "the command is gone", func() bool {
		return !strings.Contains(labtest.Output(t, l, "host1", "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"), "sleep 1000")
	})
}

func TestTwoLabsDoNotMeet(t *testing.T) {
	a := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	b := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	target := serveTCP(t, a, "host1", 1)
	if answers(t, b, target) {
		t.Error("the server of one lab answers in the other")
	}
	must(t, b.Crash("host1"))
	if !answers(t, a, target) {
		t.Error("a crash in one lab reached the other")
	}
	if _, err := lab.Up(t.Context(), a.Spec, labtest.Binary(t)); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("a second lab of the same name: %v", err)
	}
	labtest.Output(t, a, "host1", "true") // and the attempt left the first alone
}
