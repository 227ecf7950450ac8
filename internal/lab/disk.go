package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// filesystem names the file system that holds the path.
func filesystem(path string) string {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "unknown"
	}
	best, kind := "", "unknown"
	for line := range strings.Lines(string(mounts)) {
		before, after, _ := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(rest) < 1 {
			continue
		}
		at := fields[4]
		inside := at == "/" || path == at || strings.HasPrefix(path, at+"/")
		if inside && len(at) >= len(best) { // of mounts on one point the last is seen
			best, kind = at, rest[0]
		}
	}
	return kind
}

// removeAll removes a tree. Overlays leave directories without permissions,
// which an ordinary user has to give itself first.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if err == nil {
		return nil
	}
	walk := filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			return os.Chmod(path, 0o700) // before it is read
		}
		return err
	})
	if again := os.RemoveAll(path); again != nil {
		return fmt.Errorf("remove %s: %w", path, errors.Join(again, walk))
	}
	return nil
}

// copyFile copies a program and keeps it executable.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := out.ReadFrom(in); err != nil {
		out.Close()
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return out.Close()
}

// ownedByCaller reports whether the file belongs to this user, so that nobody
// else prepared it.
func ownedByCaller(path string) bool {
	info, err := os.Lstat(path)
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}
