package lab_test

import (
	"context"
	"fmt"
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

func TestDownLeavesNothing(t *testing.T) {
	labtest.Need(t)
	spec := lab.Spec{Name: labtest.Name(), Nodes: 2, Links: 2, Temporary: true}
	l, err := lab.Up(t.Context(), spec, labtest.Binary(t))
	must(t, err)
	background(t, l, "host1", "tcp")
	must(t, l.Pause("host2"))
	must(t, l.Down(t.Context()))
	labtest.NothingLeft(t, spec.Name)
	if _, err := lab.Open(spec.Name); err == nil || !strings.Contains(err.Error(), "ha lab up") {
		t.Errorf("open a lab that is gone: %v", err)
	}
	again, err := lab.Up(t.Context(), spec, labtest.Binary(t))
	must(t, err)
	labtest.Guard(t, again)
}

func TestFailedUpLeavesNothing(t *testing.T) {
	labtest.Need(t)
	spec := lab.Spec{Name: labtest.Name(), Nodes: 2, Links: 1}
	if _, err := lab.Up(t.Context(), spec, "/bin/false"); err == nil {
		t.Error("a lab of /bin/false came up")
	}
	labtest.NothingLeft(t, spec.Name)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lab.Up(ctx, spec, labtest.Binary(t)); err == nil {
		t.Error("a cancelled lab came up")
	}
	labtest.NothingLeft(t, spec.Name)

	for _, wrong := range []lab.Spec{{Name: "Wrong!", Nodes: 1, Links: 1}, {Name: "a", Links: 1}, {Name: "a", Nodes: 1, Links: 9}, {Name: "a", Nodes: 65, Links: 1}} {
		if _, err := lab.Up(t.Context(), wrong, labtest.Binary(t)); err == nil {
			t.Errorf("%+v came up", wrong)
		}
	}
}

// A temporary lab does not outlive the process that made it, however that ends; one
// whose supervisor was killed as well is cleared away by the next lab.
func TestTemporaryLabEndsWithItsMaker(t *testing.T) {
	labtest.Need(t)
	binary := labtest.Binary(t)
	make := func() (*exec.Cmd, *lab.Lab) {
		name := labtest.Name()
		maker := exec.Command(binary, "lab", "chaos", "--name", name, "--nodes", "2", "--minutes", "10")
		must(t, maker.Start())
		var l *lab.Lab
		labtest.Eventually(t, patience, "the lab stands", func() bool {
			var err error
			if l, err = lab.Open(name); err != nil {
				return false
			}
			_, err = l.Status()
			return err == nil
		})
		return maker, l
	}
	kill := func(maker *exec.Cmd) {
		must(t, maker.Process.Kill())
		_ = maker.Wait()
	}
	maker, l := make()
	background(t, l, "host1", "tcp")
	kill(maker)
	labtest.Eventually(t, patience, "the lab's directory is gone", func() bool {
		_, err := os.Lstat(l.Dir())
		return err != nil
	})
	labtest.Eventually(t, patience, "the supervisor is gone", func() bool { return len(supervisors(t, l)) == 0 })
	labtest.NothingLeft(t, l.Spec.Name)

	maker, l = make()
	must(t, syscall.Kill(supervisors(t, l)[0], syscall.SIGKILL))
	kill(maker)
	if _, err := os.Lstat(l.Dir()); err != nil {
		t.Fatalf("nobody was left to clear it away: %v", err)
	}
	var kept *lab.Lab
	labtest.Eventually(t, patience, "the next lab clears it away, once both have ended", func() bool {
		if kept != nil {
			must(t, kept.Down(t.Context()))
		}
		var err error
		kept, err = lab.Up(t.Context(), lab.Spec{Name: labtest.Name(), Nodes: 1, Links: 1}, binary)
		must(t, err)
		_, err = os.Lstat(l.Dir())
		return err != nil
	})
	labtest.Guard(t, kept)
	labtest.NothingLeft(t, l.Spec.Name)

	// What is not temporary stays, though nobody runs it any more.
	must(t, syscall.Kill(supervisorPID(t, kept), syscall.SIGKILL))
	labtest.Eventually(t, patience, "the supervisor is gone", func() bool { return len(supervisors(t, kept)) == 0 })
	labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	if _, err := lab.Open(kept.Spec.Name); err != nil {
		t.Errorf("a lab was cleared away that is not temporary: %v", err)
	}
}

func TestDownAfterTheSupervisorWasKilled(t *testing.T) {
	l := labtest.Up(t, lab.Spec{Nodes: 2, Links: 2})
	background(t, l, "host1", "tcp")
	pid := supervisorPID(t, l)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	labtest.Eventually(t, 10*time.Second, "the supervisor is gone", func() bool { return syscall.Kill(pid, 0) != nil })
	if _, err := l.Status(); err == nil || !strings.Contains(err.Error(), "ha lab down") {
		t.Errorf("status without supervisor: %v", err)
	}
	// labtest takes it down and looks.
}

func TestDownAfterTheSupervisorHung(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a time-out")
	}
	l := labtest.Up(t, lab.Spec{Nodes: 1, Links: 1})
	must(t, syscall.Kill(supervisorPID(t, l), syscall.SIGSTOP))
}

// supervisors finds the lab's supervisor, if it has one, from outside.
func supervisors(t *testing.T, l *lab.Lab) (pids []int) {
	t.Helper()
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	for _, path := range commands {
		text, err := os.ReadFile(path)
		if err != nil || string(text) != "ha-lab-power\x00"+l.Dir()+"\x00" {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/", &pid); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func supervisorPID(t *testing.T, l *lab.Lab) int {
	t.Helper()
	pids := supervisors(t, l)
	if len(pids) != 1 {
		t.Fatalf("supervisor processes: %v, want one", pids)
	}
	return pids[0]
}

// Whenever the command that makes a lab is killed, 'ha lab down' clears it away.
func TestDownAfterUpWasKilled(t *testing.T) {
	labtest.Need(t)
	binary := labtest.Binary(t)
	for _, after := range []time.Duration{2, 8, 16, 30, 60} {
		name := labtest.Name()
		up := exec.Command(binary, "lab", "up", "--bare", "--name", name)
		must(t, up.Start())
		time.Sleep(after * time.Millisecond) // any instant will do
		must(t, up.Process.Kill())
		_ = up.Wait()
		if _, err := os.Lstat(lab.Directory(name)); err == nil {
			if text, err := exec.Command(binary, "lab", "down", "--name", name).CombinedOutput(); err != nil {
				t.Errorf("down of a lab killed after %d ms: %v\n%s", after, err, text)
			}
		}
		labtest.NothingLeft(t, name)
	}
}

func TestDownOfALabThatWasHardlyBegun(t *testing.T) {
	name := labtest.Name()
	must(t, os.Mkdir(lab.Directory(name), 0o700))
	l, err := lab.Open(name)
	must(t, err)
	if _, err := l.Status(); err == nil || !strings.Contains(err.Error(), "ha lab down") {
		t.Errorf("status: %v", err)
	}
	must(t, l.Down(t.Context()))
	labtest.NothingLeft(t, name)
}

func TestOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the other tests run as an ordinary user already")
	}
	labtest.Need(t)
	binary := labtest.Binary(t)
	const nobody = 65534
	probe := exec.Command("unshare", "--user", "true") // it has to be the user already when it asks
	probe.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if err := probe.Run(); err != nil {
		t.Skipf("this kernel keeps user namespaces from ordinary users: %v", err)
	}
	name := labtest.Name()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(binary, append([]string{"lab", "--name", name}, args...)...)
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%v: %v\n%s", args, err, text)
		}
		return string(text)
	}
	defer func() {
		run("down")
		if found, err := filepath.Glob("/var/tmp/ha-lab-*" + name); err != nil || len(found) > 0 {
			t.Errorf("%v is left (%v)", found, err)
		}
	}()
	run("up", "--bare", "--nodes", "2")
	for _, command := range []string{
		"hostname", "touch /var/lib/ha/f /etc/ha/f /etc/f", "cat /proc/sys/kernel/random/boot_id",
		"printf 'action=off\\nplug=host2\\n' | fence_lab", "! fence_lab --action status --plug host2",
	} {
		run("exec", "host1", "--", "sh", "-c", command)
	}
	run("loss", "host1", "20")
	run("cut", "host1", "--direction", "in")
	run("heal")
	run("pause", "host1")
	run("resume", "host1")
	run("crash", "host1")
	run("start", "host2")
}
