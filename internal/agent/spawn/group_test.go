package spawn

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestGroupPath(t *testing.T) {
	const v1 = "33 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
	for _, c := range []struct{ mounts, own, want string }{
		{"29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n", "0::/system.slice/ha.service\n", "/sys/fs/cgroup/system.slice/ha.service"},
		{v1 + "43 24 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "8:memory:/x\n0::/\n", "/sys/fs/cgroup/unified"},
		{"29 23 0:26 /a/b /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/a/b/c\n", "/sys/fs/cgroup/c"},
		{"29 23 0:26 /a/b /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/a\n", ""},
		{"788 778 0:38 /../.. /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" + "1048 1047 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/\n", "/sys/fs/cgroup"},
		{"788 778 0:38 /../.. /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "0::/\n", ""},
		{v1, "8:memory:/x\n0::/\n", ""},
		{v1, "8:memory:/x\n", ""},
		{"29 cgroup2 - cgroup2 \n", "0::/\n", ""},
	} {
		if got := groupPath(bufio.NewScanner(strings.NewReader(c.mounts)), c.own); got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.own, c.mounts, got, c.want)
		}
	}
}

// TestGroupHoldsWhatLeft: what has left its session and its parents ends with the
// group, and nothing is left of that.
func TestGroupHoldsWhatLeft(t *testing.T) {
	parent := GroupParent()
	if parent == "" {
		t.Skip("this process may not make control groups of version 2")
	}
	group, err := parent.New("test")
	if err != nil {
		t.Fatal(err)
	}
	mark := filepath.Join(t.TempDir(), "daemon")
	c, _ := command(t, "/bin/sh", "-c", "setsid -f setsid -f sh -c 'echo $$ >"+mark+".new; mv "+mark+".new "+mark+"; exec sleep 600'; exec sleep 600")
	c.Group = group
	p, err := Start(c, boot(t), noRecord)
	if err != nil {
		t.Fatal(err)
	}
	if p.Group != group {
		t.Fatalf("it runs in group %q", p.Group)
	}
	pid := 0
	wait(t, "the daemon", func() bool {
		data, err := os.ReadFile(mark)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		}
		return err == nil
	})
	p.Signal(syscall.SIGKILL)
	<-p.Done()
	if n := p.Rest(); n != 1 {
		t.Errorf("%d processes are left, want the daemon", n)
	}
	if err := group.Remove(); err == nil {
		t.Error("a group with a process in it was removed")
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if s, err := readStat(pid); err == nil && !s.dead() {
		t.Error("the daemon lives")
	}
	if err := group.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(string(group)); err == nil {
		t.Error("the group is left")
	}
}
