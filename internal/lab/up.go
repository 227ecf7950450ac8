package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// upTimeout bounds the start of the supervisor and of every host.
const upTimeout = 60 * time.Second

// Up makes a lab and boots its hosts with the given ha binary. What fails
// half-way is taken down again, and so is what others have left of temporary labs.
func Up(ctx context.Context, spec Spec, binary string) (l *Lab, err error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	dir := directory(Directory(spec.Name))
	if err := checkDirectory(dir); err != nil {
		return nil, err
	}
	clearAbandoned(ctx)
	if err := os.Mkdir(string(dir), 0o700); errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("lab %q exists already: choose another --name, or 'ha lab down --name %s' first", spec.Name, spec.Name)
	} else if err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	l = &Lab{Spec: spec, dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Down(context.WithoutCancel(ctx)))
		}
	}()
	// Before the description: whoever finds that finds the lock held, or nobody left.
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	text, err := json.MarshalIndent(spec, "", "  ")
	if err != nil {
		return nil, err
	}
	// In one step: whenever this process is killed, the lab can be taken down.
	if err := os.WriteFile(dir.spec()+".new", append(text, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("write the lab's description: %w", err)
	}
	if err := os.Rename(dir.spec()+".new", dir.spec()); err != nil {
		return nil, fmt.Errorf("write the lab's description: %w", err)
	}
	for _, sub := range []string{dir.power(), dir.shared(), filepath.Join(string(dir), "hosts")} {
		if err := os.Mkdir(sub, 0o755); err != nil {
			return nil, fmt.Errorf("make the lab's directory: %w", err)
		}
	}
	// A copy, so that a new build does not change a lab that stands.
	if err := copyFile(binary, dir.binary()); err != nil {
		return nil, fmt.Errorf("copy the program: %w", err)
	}
	if _, err := createCgroup(dir); err != nil {
		return nil, err
	}
	l.lifeline, err = startSupervisor(ctx, dir, lock)
	if err != nil || spec.Temporary {
		return l, err
	}
	if _, err = l.lifeline.WriteString("keep\n"); err != nil {
		err = fmt.Errorf("keep the lab: %w", err)
	}
	l.lifeline.Close()
	return l, err
}

// startSupervisor starts the lab's power supervisor and returns when all hosts
// are on. The supervisor ends when the line that is returned ends before it was
// told to keep the lab.
func startSupervisor(ctx context.Context, dir directory, lock *os.File) (line *os.File, err error) {
	log, err := os.OpenFile(dir.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lab's log: %w", err)
	}
	defer log.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make the supervisor's lifeline: %w", err)
	}
	if err := unix.SetNonblock(pair[0], true); err != nil {
		return nil, fmt.Errorf("make the supervisor's lifeline: %w", err)
	}
	line, theirs := os.NewFile(uintptr(pair[0]), "lifeline"), os.NewFile(uintptr(pair[1]), "lifeline")
	defer func() {
		if err != nil {
			line.Close()
		}
	}()

	cmd, err := supervisorProcess(dir, log, theirs, lock)
	// A process that was forked while the program was being written holds it open
	// until it runs another.
	for try := 0; errors.Is(err, syscall.ETXTBSY) && try < 100; try++ {
		time.Sleep(10 * time.Millisecond)
		cmd, err = supervisorProcess(dir, log, theirs, lock)
	}
	theirs.Close()
	if err != nil {
		if errors.Is(err, fs.ErrPermission) && os.Getuid() != 0 {
			return nil, fmt.Errorf("this kernel keeps user namespaces from ordinary users: run 'ha lab' as root (%w)", err)
		}
		return nil, fmt.Errorf("start the lab's supervisor: %w", err)
	}
	// It outlives this process; while that lasts its end is to be collected.
	go func() { _ = cmd.Wait() }()

	defer context.AfterFunc(ctx, func() { line.Close() })()
	if err := line.SetDeadline(time.Now().Add(upTimeout)); err != nil {
		return nil, fmt.Errorf("await the lab's supervisor: %w", err)
	}
	answers := bufio.NewReader(line)
	var said []string
	for {
		answer, err := answers.ReadString('\n')
		if answer == "ok\n" {
			break
		}
		if answer != "" {
			said = append(said, strings.TrimSpace(answer))
		}
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(said) == 0 {
			said = []string{lastLines(dir.log(), 3)}
		}
		return nil, fmt.Errorf("boot the lab: %s", strings.Join(said, "; "))
	}
	return line, line.SetDeadline(time.Time{})
}

// supervisorProcess starts the supervisor's process.
func supervisorProcess(dir directory, log, line, lock *os.File) (*exec.Cmd, error) {
	cmd := exec.Command(dir.binary())
	cmd.Args = []string{faceSupervisor, string(dir)}
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{line, lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET,
	}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd, cmd.Start()
}

// lastLines returns the end of a text file.
func lastLines(path string, n int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "; ")
}

// downTimeout bounds an orderly end of the supervisor; after it, it is killed,
// and every process of the lab with it.
const downTimeout = 15 * time.Second

// Down ends the lab, whatever state it is in, and returns when nothing of it is
// left: no process, so no namespace and no mount, no control group, no file.
func (l *Lab) Down(ctx context.Context) error {
	if pid := serverPID(l.dir.control()); pid != 0 {
		supervisor, err := unix.PidfdOpen(pid, 0)
		if err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("take hold of the lab's supervisor: %w", err)
		}
		if err == nil {
			defer unix.Close(supervisor)
			if err := endSupervisor(ctx, l.dir, supervisor); err != nil {
				return err
			}
		}
	}
	// The socket appears only when the supervisor has set up; one that has not is
	// ended by the loss of its lifeline.
	lock, err := awaitLock(ctx, l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // somebody else has cleared it away meanwhile
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := l.clear(ctx); err != nil {
		return err
	}
	if l.lifeline != nil {
		l.lifeline.Close()
	}
	return nil
}

// clear removes what is left of a lab whose lock the caller holds.
func (l *Lab) clear(ctx context.Context) error {
	if err := awaitNoProcess(ctx, l.dir); err != nil {
		return err
	}
	if err := removeCgroup(l.dir); err != nil {
		return err
	}
	if err := removeAll(string(l.dir)); err != nil {
		return fmt.Errorf("remove the lab's files: %w", err)
	}
	return nil
}

func endSupervisor(ctx context.Context, dir directory, supervisor int) error {
	_, err := call(dir.control(), request{Op: opDown}, downTimeout)
	if err == nil && pidfdEnds(ctx, supervisor, downTimeout) {
		return nil
	}
	if err := unix.PidfdSendSignal(supervisor, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("kill the lab's supervisor: %w", err)
	}
	if !pidfdEnds(ctx, supervisor, downTimeout) {
		return errors.New("the lab's supervisor does not end though it was killed")
	}
	return nil
}

// pidfdEnds waits for the end of a process.
func pidfdEnds(ctx context.Context, pidfd int, timeout time.Duration) bool {
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline) && ctx.Err() == nil; {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 100)
		if n == 1 && err == nil {
			return true
		}
	}
	return false
}

// awaitNoProcess waits until no process runs the lab's copy of the program:
// its supervisor, and with it everything else of the lab, is gone.
func awaitNoProcess(ctx context.Context, dir directory) error {
	var left []int
	for deadline := time.Now().Add(downTimeout); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		var err error
		if left, err = processesOf(dir); err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("processes of the lab do not end: %v", left)
}

// processesOf lists the processes that run the lab's copy of the program, or
// its file under another path of a host.
func processesOf(dir directory) ([]int, error) {
	program, err := os.Stat(dir.binary())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the lab's program: %w", err)
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var found []int
	for _, entry := range entries {
		var pid int
		if _, err := fmt.Sscan(entry.Name(), &pid); err != nil {
			continue
		}
		if exe, err := os.Stat(filepath.Join("/proc", entry.Name(), "exe")); err == nil && os.SameFile(exe, program) {
			found = append(found, pid)
		}
	}
	return found, nil
}
