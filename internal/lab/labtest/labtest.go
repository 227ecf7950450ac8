// Package labtest runs tests on real hosts: it builds the binary once, makes
// labs with names of their own, and fails a test that leaves something behind.
package labtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"linuxha/internal/lab"
)

var (
	buildOnce sync.Once
	built     string
	buildErr  error
	buildDir  string
	buildLock *os.File // shows that this process lives
	count     atomic.Int32
)

// Run runs a package's tests and removes what they built. A package whose tests
// use this one calls it in TestMain.
func Run(m *testing.M) int {
	defer func() {
		if buildDir != "" {
			os.RemoveAll(buildDir)
		}
	}()
	return m.Run()
}

// Binary builds the ha binary, once for all tests of the process, and returns
// its path. HA_BINARY names one that is built already.
func Binary(t testing.TB) string {
	t.Helper()
	buildOnce.Do(func() {
		if built = os.Getenv("HA_BINARY"); built != "" {
			return
		}
		if buildErr = makeBuildDir(); buildErr != nil {
			return
		}
		built = filepath.Join(buildDir, "ha")
		cmd := exec.Command("go", "build", "-o", built, "linuxha/cmd/ha")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := cmd.CombinedOutput(); err != nil {
			buildErr = fmt.Errorf("build ha: %w\n%s", err, text)
		}
	})
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return built
}

// makeBuildDir makes the directory for the binary, and removes those of processes
// that were killed before they could: nobody holds their lock.
func makeBuildDir() (err error) {
	const prefix, lock = "ha-build-", "lock"
	left, err := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*", lock))
	if err != nil {
		return err
	}
	for _, path := range left {
		f, err := os.Open(path)
		if err != nil {
			continue // its owner has just removed it, or is another user
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			os.RemoveAll(filepath.Dir(path))
		}
		f.Close()
	}
	if buildDir, err = os.MkdirTemp("", prefix); err != nil {
		return err
	}
	if err := os.Chmod(buildDir, 0o755); err != nil { // other users may run it
		return err
	}
	// It gets its name when it is locked.
	if buildLock, err = os.Create(filepath.Join(buildDir, lock+".new")); err != nil {
		return err
	}
	if err := syscall.Flock(int(buildLock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	return os.Rename(buildLock.Name(), filepath.Join(buildDir, lock))
}

// Need skips the test where this user cannot make hosts on this machine.
func Need(t testing.TB) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	}
	if err := cmd.Run(); err != nil {
		t.Skipf("labs need root or user namespaces: %v", err)
	}
}

// Name returns a lab name that no other test has.
func Name() string { return fmt.Sprintf("t%d-%d", os.Getpid(), count.Add(1)) }

// Up makes a lab for the test and takes it down after it, or when the test's process
// is killed. The name in spec is ignored.
func Up(t testing.TB, spec lab.Spec) *lab.Lab {
	t.Helper()
	Need(t)
	spec.Name, spec.Temporary = Name(), true
	l, err := lab.Up(context.Background(), spec, Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	Guard(t, l)
	return l
}

// Guard takes the lab down after the test, shows its logs if the test failed, and
// checks that nothing of it is left.
func Guard(t testing.TB, l *lab.Lab) {
	t.Cleanup(func() {
		if t.Failed() {
			showLogs(t, l)
		}
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
		NothingLeft(t, l.Spec.Name)
	})
}

func showLogs(t testing.TB, l *lab.Lab) {
	logs := []string{filepath.Join(l.Dir(), "log")}
	for _, node := range l.Nodes() {
		logs = append(logs, l.HostDir(node, "disk", "var-log", "ha.log"))
	}
	for _, path := range logs {
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			t.Logf("%s:\n%s", path, text[max(0, len(text)-20_000):])
		}
	}
}

// NothingLeft fails the test if any process, mount, namespace, control group or
// file of the lab is left.
func NothingLeft(t testing.TB, name string) {
	t.Helper()
	dir := lab.Directory(name)
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left (%v)", dir, err)
	}
	if err := filepath.WalkDir("/sys/fs/cgroup", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && entry.Name() == filepath.Base(dir) {
			t.Errorf("control group %s is left", path)
		}
		return nil // groups of others may vanish meanwhile
	}); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		// Every process of a lab sees the lab's mounts, as long as its mount
		// namespace exists.
		mounts, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "mountinfo"))
		if err == nil && strings.Contains(string(mounts), filepath.Base(dir)) {
			command, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
			t.Errorf("process %s (%q) with mounts of the lab is left", entry.Name(), command)
		}
		command, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && strings.Contains(string(command), dir) {
			t.Errorf("process %s (%q) of the lab is left", entry.Name(), command)
		}
	}
}

// Output runs a command on a host and returns what it wrote; the test fails if
// the command does.
func Output(t testing.TB, l *lab.Lab, host string, args ...string) string {
	t.Helper()
	stdout, stderr, err := l.Output(t.Context(), host, args...)
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s%s", host, strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// Holds shows that something does not happen: it watches for that long, and fails the
// test as soon as the condition does not hold.
func Holds(t testing.TB, long time.Duration, what string, condition func() bool) {
	t.Helper()
	for begin := time.Now(); time.Since(begin) < long; time.Sleep(50 * time.Millisecond) {
		if !condition() {
			t.Fatalf("after %v no longer: %s", time.Since(begin).Round(time.Millisecond), what)
		}
	}
}

// Eventually waits until the condition holds, and fails the test if it does not
// within the limit.
func Eventually(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v still not: %s", limit, what)
		}
	}
}
