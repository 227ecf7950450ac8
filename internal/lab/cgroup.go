package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// createCgroup makes a control group for the lab, below which each host gets its
// own, and notes its path in the lab's directory. It returns "" where the
// machine has no version 2 control groups or keeps them from this user: hosts
// then share the caller's.
func createCgroup(dir directory) (string, error) {
	parent := cgroupParent()
	if parent == "" {
		return "", nil
	}
	path := filepath.Join(parent, filepath.Base(string(dir)))
	if err := os.WriteFile(dir.cgroupFile(), []byte(path), 0o600); err != nil {
		return "", fmt.Errorf("note the lab's control group: %w", err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			return "", nil
		}
		return "", fmt.Errorf("create the lab's control group: %w", err)
	}
	return path, nil
}

// cgroupParent is where this user may make control groups: the root of the
// hierarchy, or for an ordinary user the group that it is in.
func cgroupParent() string {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer mounts.Close()
	root := ""
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if strings.HasPrefix(after, "cgroup2 ") && len(fields) > 4 {
			root = fields[4]
		}
	}
	if root == "" || os.Getuid() == 0 {
		return root
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(own)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return filepath.Join(root, path)
		}
	}
	return ""
}

// removeCgroup removes the lab's control group, whose processes have ended, and
// waits until the kernel has let go of it.
func removeCgroup(dir directory) error {
	text, err := os.ReadFile(dir.cgroupFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find the lab's control group: %w", err)
	}
	path := string(text)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		err := removeGroups(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove the lab's control group: %w", err)
		}
	}
}

// removeGroups removes a control group and those below it, the deepest first.
func removeGroups(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroups(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(path)
}
