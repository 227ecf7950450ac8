package spawn

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Group is the directory of a version 2 control group, which holds a program and
// all that it ever starts: no process leaves it by itself, whatever sessions and
// parents it chooses. "" is none.
type Group string

// groupPrefix begins the names of control groups, before the service's own.
const groupPrefix = "ha-"

// GroupParent returns the control group below which this process may make others:
// its own, where that is of version 2 and writable, and on a host that systemd
// runs only if the unit was given it (Delegate=yes). "" if there is none.
func GroupParent() Group {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer mounts.Close()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	path := groupPath(bufio.NewScanner(mounts), string(own))
	if path == "" || unix.Access(path, unix.W_OK) != nil {
		return ""
	}
	if _, err := os.Stat("/run/systemd/system"); err == nil && !delegated(path) {
		return ""
	}
	return Group(path)
}

// groupPath reads proc(5)'s mountinfo and cgroup of a process.
func groupPath(mounts *bufio.Scanner, own string) string {
	path, ok := "", false
	for line := range strings.Lines(own) {
		if path, ok = strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			break
		}
	}
	if !ok {
		return ""
	}
	found := ""
	for mounts.Scan() {
		before, after, _ := strings.Cut(mounts.Text(), " - ")
		fields := strings.Fields(before) // the fourth is what of the file system is mounted, the fifth where
		if !strings.HasPrefix(after, "cgroup2 ") || len(fields) < 5 {
			continue
		}
		root := fields[3]
		if strings.HasPrefix(root, "/..") { // outside of this process's control group namespace
			continue
		}
		if below, err := filepath.Rel(root, path); err == nil && below != ".." && !strings.HasPrefix(below, "../") {
			found = filepath.Join(fields[4], below) // what was mounted later lies above
		}
	}
	return found
}

// delegated tells whether systemd leaves a control group to its unit (systemd's
// CGROUP_DELEGATION).
func delegated(path string) bool {
	var value [8]byte
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		if n, err := unix.Getxattr(path, name, value[:]); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	return false
}

// New makes a control group for a service. Nobody else has its name: a daemon
// below another root may run a service that is called the same.
func (parent Group) New(service string) (Group, error) {
	g := Group(filepath.Join(string(parent), groupPrefix+service+"-"+rand.Text()[:8]))
	if err := os.Mkdir(string(g), 0o755); err != nil {
		return "", fmt.Errorf("make a control group for %s: %w", service, err)
	}
	return g, nil
}

// unsupported tells whether a process could not be started in a control group
// because of what this kernel, or the group, is.
func unsupported(err error) bool {
	for _, e := range []error{unix.ENOSYS, unix.EOPNOTSUPP, unix.EBUSY, unix.EINVAL, unix.EPERM, unix.EACCES} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// members returns the ids of the processes in g and in the groups that they made
// below it.
func (g Group) members() map[int]bool {
	found := map[int]bool{}
	g.each(func(dir string) {
		data, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")) // it may have gone meanwhile
		for line := range strings.Lines(string(data)) {
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				found[pid] = true
			}
		}
	})
	return found
}

// kill ends all in g at one moment, where the kernel can (Linux 5.14 or newer).
func (g Group) kill() {
	if g != "" {
		// Older kernels have no such file: processes are killed one by one.
		_ = os.WriteFile(filepath.Join(string(g), "cgroup.kill"), []byte("1"), 0o200)
	}
}

// each calls f for g and the groups below it, the deepest first.
func (g Group) each(f func(dir string)) {
	if g == "" {
		return
	}
	entries, _ := os.ReadDir(string(g))
	for _, entry := range entries {
		if entry.IsDir() {
			Group(filepath.Join(string(g), entry.Name())).each(f)
		}
	}
	f(string(g))
}

// Remove removes g, which must be empty of living processes. The kernel may need
// a moment to let go of those that have just ended.
func (g Group) Remove() error {
	if g == "" || !strings.HasPrefix(filepath.Base(string(g)), groupPrefix) {
		return nil
	}
	for deadline := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		var failed error
		g.each(func(dir string) {
			if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed = err
			}
		})
		if failed == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove control group %s: %w", g, failed)
		}
	}
}
