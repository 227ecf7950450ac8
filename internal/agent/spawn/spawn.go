// Package spawn starts programs that outlive the daemon, and finds them again.
//
// A program begins only after its process id is on record: the new process is a
// shell that waits for one line from the daemon and then becomes the program. A
// daemon that is killed at any moment thus leaves either a recorded program or
// none.
package spawn

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ID names one process for ever (process ids are used again, the triple is not), and
// the control group that was made for it, if any.
type ID struct {
	Boot  string `json:"boot"`  // the boot's id
	PID   int    `json:"pid"`   //
	Start uint64 `json:"start"` // clock ticks after boot, /proc/PID/stat field 22
	Group Group  `json:"group,omitempty"`
}

// MaxStdin bounds what a program can be given on its standard input: a pipe's buffer.
const MaxStdin = 60 << 10

// Command is a program to start in a session of its own.
type Command struct {
	Args       []string // Args[0] is the path of the program
	Env        []string
	Dir        string // "" is the daemon's
	Stdin      []byte // at most MaxStdin; nil is /dev/null
	Output     *os.File
	Credential *syscall.Credential // nil: as the daemon
	Group      Group               // to start in, "" is the daemon's; of no use to a kernel older than 5.7
}

// gate is the shell program that waits on descriptor 3. At end of file, which is
// the daemon's death, it ends without having run anything.
const gate = `read -r go <&3 || exit 125; exec 3<&-; exec "$@"`

const shell = "/bin/sh"

// Start starts c. Between the creation of the process and the begin of the
// program it calls record; if that fails, nothing runs. The process is watched
// until it ends: see Process.Done.
func Start(c Command, boot string, record func(ID) error) (*Process, error) {
	stdin, err := stdinFile(c.Stdin)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	defer stdin.Close()
	gateRead, gateWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	defer gateRead.Close()
	defer gateWrite.Close()

	pidfd := -1
	attr := &os.ProcAttr{
		Dir:   c.Dir,
		Env:   c.Env,
		Files: []*os.File{stdin, c.Output, c.Output, gateRead},
		Sys:   &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd, Credential: c.Credential},
	}
	child, group, err := startIn(c.Group, append([]string{"sh", "-c", gate, "sh"}, c.Args...), attr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	p, err := watchChild(child, pidfd, boot, group)
	if err != nil {
		child.Kill()
		child.Wait()
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	if err := record(p.ID); err != nil {
		gateWrite.Close() // the shell ends
		<-p.Done()
		return nil, fmt.Errorf("start %s: record process %d: %w", c.Args[0], p.PID, err)
	}
	if _, err := io.WriteString(gateWrite, "\n"); err != nil {
		p.Kill()
		<-p.Done()
		return nil, fmt.Errorf("start %s: %w", c.Args[0], err)
	}
	return p, nil
}

// startIn starts the shell in the control group g, or outside where that does not
// work, and says in which.
func startIn(g Group, args []string, attr *os.ProcAttr) (*os.Process, Group, error) {
	if g != "" {
		dir, err := os.Open(string(g))
		if err != nil {
			return nil, "", err
		}
		defer dir.Close()
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, int(dir.Fd())
		child, err := os.StartProcess(shell, args, attr)
		if err == nil || !unsupported(err) {
			return child, g, err
		}
		attr.Sys.UseCgroupFD = false
	}
	child, err := os.StartProcess(shell, args, attr)
	return child, "", err
}

// CheckProgram says why path cannot be run, if so.
func CheckProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s", path)
	case err != nil:
		return err
	case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
		return fmt.Errorf("%s is not a program", path)
	}
	return nil
}

// stdinFile returns a file from which exactly content can be read.
func stdinFile(content []byte) (*os.File, error) {
	if content == nil {
		return os.Open(os.DevNull)
	}
	if len(content) > MaxStdin {
		return nil, fmt.Errorf("standard input has %d bytes, at most %d are allowed", len(content), MaxStdin)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	if _, err := w.Write(content); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Begun tells whether the process runs its program: until then it is the waiting
// shell, and after its end nothing.
func (p *Process) Begun() bool {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	return err == nil && len(line) > 0 && !strings.HasPrefix(string(line), "sh\x00-c\x00"+gate)
}

// watchChild takes over a process that was just started.
func watchChild(child *os.Process, pidfd int, boot string, group Group) (*Process, error) {
	if pidfd < 0 {
		return nil, errors.New("this kernel has no pidfd (Linux 5.4 or newer is needed)")
	}
	stat, err := readStat(child.Pid)
	if err != nil {
		unix.Close(pidfd)
		return nil, err
	}
	return watch(ID{Boot: boot, PID: child.Pid, Start: stat.start, Group: group}, pidfd, child)
}

// BootID returns the id of this boot.
func BootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot's id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}
