package spawn

import (
	"cmp"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Process is a running, or ended, process that this daemon or its predecessor
// started.
type Process struct {
	ID
	pidfd *os.File
	child *os.Process // nil if the predecessor started it
	done  chan struct{}
	exit  Exit // valid once done is closed

	closing sync.Once
}

// Exit is how a process ended.
type Exit struct {
	Known  bool // false: the kernel did not say (a predecessor's child, on kernels before 6.15)
	Code   int
	Signal syscall.Signal // 0: it exited by itself, with Code
}

func (e Exit) String() string {
	switch {
	case !e.Known:
		return "ended"
	case e.Signal != 0:
		return fmt.Sprintf("was ended by signal %d (%v)", int(e.Signal), e.Signal)
	default:
		return fmt.Sprintf("exited with status %d", e.Code)
	}
}

// Find returns the process that id names, or nil if it is gone. current is this boot's id.
func Find(id ID, current string) (*Process, error) {
	if id.Boot != current || id.PID <= 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err == unix.ESRCH || err == unix.EINVAL { // EINVAL: the id of a thread now
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find process %d: %w", id.PID, err)
	}
	// The descriptor is taken first: what stat says is then of this process or
	// of none.
	stat, err := readStat(id.PID)
	if err != nil || stat.start != id.Start || stat.dead() {
		unix.Close(fd)
		return nil, nil
	}
	return watch(id, fd, nil)
}

// watch closes p.done when the process ends. It takes over pidfd.
func watch(id ID, pidfd int, child *os.Process) (*Process, error) {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		unix.Close(pidfd)
		return nil, fmt.Errorf("watch process %d: %w", id.PID, err)
	}
	p := &Process{ID: id, pidfd: os.NewFile(uintptr(pidfd), "pidfd"), child: child, done: make(chan struct{})}
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		p.pidfd.Close()
		return nil, fmt.Errorf("watch process %d: %w", id.PID, err)
	}
	go func() {
		ended := false
		err := conn.Read(func(fd uintptr) bool {
			ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(ready, 0)
			ended = err == nil && n > 0
			return ended
		})
		if err != nil && !ended { // Forget
			if child != nil {
				child.Wait() // a daemon that goes on must not collect dead children
			}
			return
		}
		p.exit = p.reap()
		close(p.done)
		p.Forget()
	}()
	return p, nil
}

// reap collects the exit status.
func (p *Process) reap() Exit {
	status, known := syscall.WaitStatus(0), false
	if p.child != nil {
		if state, err := p.child.Wait(); err == nil {
			status, known = state.Sys().(syscall.WaitStatus)
		}
	} else {
		status, known = p.exitInfo()
	}
	switch {
	case !known:
		return Exit{}
	case status.Signaled():
		return Exit{Known: true, Code: 128 + int(status.Signal()), Signal: status.Signal()}
	default:
		return Exit{Known: true, Code: status.ExitStatus()}
	}
}

// pidfdInfo is struct pidfd_info of linux/pidfd.h, version 0.
type pidfdInfo struct {
	mask, cgroup             uint64
	pid, tgid, ppid          uint32
	ruid, rgid, euid, egid   uint32
	suid, sgid, fsuid, fsgid uint32
	exitCode                 int32
}

const (
	pidfdGetInfo  = 0xC040FF0B // _IOWR(0xFF, 11, struct pidfd_info)
	pidfdInfoExit = 1 << 3
)

// exitInfo asks the kernel how a process ended that is not a child; kernels
// since 6.15 answer once its parent has reaped it.
func (p *Process) exitInfo() (syscall.WaitStatus, bool) {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return 0, false
	}
	info := pidfdInfo{mask: pidfdInfoExit}
	var errno syscall.Errno
	err = conn.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, pidfdGetInfo, uintptr(unsafe.Pointer(&info)))
	})
	if err != nil || errno != 0 || info.mask&pidfdInfoExit == 0 {
		return 0, false
	}
	return syscall.WaitStatus(info.exitCode), true
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit tells how the process ended; call it only after Done.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Alive tells whether the process has not ended yet.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Signal sends sig to the process, never to another one that got its number. One
// that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	conn, err := p.pidfd.SyscallConn()
	if err != nil {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	var failed error
	err = conn.Control(func(fd uintptr) { failed = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	if err = cmp.Or(err, failed); err != nil && err != unix.ESRCH && p.Alive() {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}

// Forget stops watching; the process goes on. Done is then never closed, unless
// it was already.
func (p *Process) Forget() {
	p.closing.Do(func() { p.pidfd.Close() })
}
