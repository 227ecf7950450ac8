package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A temporary lab belongs to the process that made it. Its supervisor sees that
// process end, and clears the lab away. Where both were killed, the next lab that is
// made clears it away: nobody holds the abandoned one's lock, which its maker has
// from the first and hands on to the supervisor, and the kernel takes back from both.

// lockDirectory takes a lab's lock; it is given back when every copy of the file is
// closed.
func lockDirectory(dir directory) (*os.File, error) {
	f, err := os.OpenFile(dir.lock(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the lab's lock: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock the lab: %w", err)
	}
	return f, nil
}

// awaitLock waits until nobody has the lab's lock: neither its maker nor a supervisor,
// though it has only been forked.
func awaitLock(ctx context.Context, dir directory) (*os.File, error) {
	for deadline := time.Now().Add(downTimeout); ; time.Sleep(2 * time.Millisecond) {
		lock, err := lockDirectory(dir)
		if err == nil || !errors.Is(err, unix.EWOULDBLOCK) {
			return lock, err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("wait for the end of who makes or runs the lab: %w", err)
		}
	}
}

// clearAbandoned removes this user's temporary labs whose maker and supervisor have
// ended. What cannot be removed is left for the next time: it is in nobody's way.
func clearAbandoned(ctx context.Context) {
	found, err := filepath.Glob(Directory("*"))
	if err != nil {
		return
	}
	for _, path := range found {
		l := &Lab{dir: directory(path)}
		text, err := os.ReadFile(l.dir.spec())
		if err != nil || json.Unmarshal(text, &l.Spec) != nil || !l.Spec.Temporary || !ownedByCaller(path) {
			continue
		}
		lock, err := lockDirectory(l.dir)
		if err != nil {
			continue
		}
		_ = l.clear(ctx)
		lock.Close()
	}
}

// clearAway switches everything off and removes every trace of the lab, which
// nobody wants any more. The end of the supervisor, soon after, is the end of what
// is left.
func (s *supervisor) clearAway() {
	err := s.all((*host).powerOff)
	for _, h := range s.hosts {
		for _, path := range overlaid {
			_ = unix.Unmount(h.dir.layer("root", path), unix.MNT_DETACH) // it may not be mounted
		}
	}
	if err == nil {
		err = removeCgroup(s.dir)
	}
	if err == nil {
		err = removeAll(string(s.dir))
	}
	if err != nil {
		s.logf("clear the lab away: %v", err)
	}
}
