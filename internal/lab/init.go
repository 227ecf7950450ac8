package lab

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptors of a host's init process.
const (
	initControl  = 3 // line to the supervisor
	initCommands = 4 // listener for commands to run
)

// hostPath is where a host looks for programs.
const hostPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// initSpec tells an init process what host it makes.
type initSpec struct {
	hostID
	Dir          string   `json:"dir"`
	Binary       string   `json:"binary"` // the lab's copy of ha
	Power        string   `json:"power"`  // directory of the power socket
	Shared       string   `json:"shared"` // directory that all hosts see as SharedDisk
	BootID       string   `json:"boot_id"`
	Everyone     []hostID `json:"everyone"`
	Unprivileged bool     `json:"unprivileged"`
	Cgroup       bool     `json:"cgroup"`
}

// initMain is process 1 of a host: it mounts the host's root, starts the daemon,
// runs commands for 'ha lab exec', and reaps orphans. It restarts nothing.
func initMain(args []string) int {
	control := os.NewFile(initControl, "control")
	listener := os.NewFile(initCommands, "commands")
	if os.Getpid() != 1 || control == nil || listener == nil {
		fmt.Fprintln(os.Stderr, faceInit+" is started by 'ha lab'")
		return 2
	}
	// No process of the host may end it except by reboot(2).
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	orders := bufio.NewReader(io.LimitReader(control, maxMessage))
	var spec initSpec
	if err := readLine(orders, &spec); err != nil {
		return 1
	}
	if err := mountRoot(spec); err != nil {
		fmt.Fprintln(control, err)
		return 1
	}
	if err := os.Chdir("/"); err != nil {
		fmt.Fprintln(control, err)
		return 1
	}
	for name, value := range map[string]string{"PATH": hostPath, "HOME": "/root", "LANG": "C.UTF-8", "container": "ha-lab"} {
		os.Setenv(name, value)
	}
	fmt.Fprintln(control, "ok")

	host := &initProcess{name: spec.Name, children: map[int]chan syscall.WaitStatus{}}
	go host.reap()
	go host.serveCommands(listener)
	orders = bufio.NewReader(control)
	for {
		line, err := orders.ReadString('\n')
		if err != nil {
			return 0
		}
		switch line {
		case "go\n":
			err = host.startDaemon()
		case "stop\n":
			err = host.stopAll()
		case "continue\n":
			err = host.continueAll()
		default:
			err = fmt.Errorf("unknown order %q", line)
		}
		if err != nil {
			fmt.Fprintln(control, err)
		} else {
			fmt.Fprintln(control, "ok")
		}
	}
}

// initProcess is the state of a host's process 1.
type initProcess struct {
	name string

	mu       sync.Mutex // held over fork, so that the reaper knows every child
	children map[int]chan syscall.WaitStatus
	stopped  bool
}

// errPaused answers commands for a host whose processes are stopped.
var errPaused = errors.New("the host is paused: 'ha lab resume' it first")

// start runs a program of the host in a session of its own, with the three
// standard descriptors. Its end is sent to the channel.
func (p *initProcess) start(r commandRequest, files [3]uintptr) (int, <-chan syscall.WaitStatus, error) {
	if len(r.Args) == 0 {
		return 0, nil, errors.New("no command")
	}
	path := r.Path
	if path == "" {
		var err error
		if path, err = exec.LookPath(r.Args[0]); err != nil {
			return 0, nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return 0, nil, errPaused
	}
	pid, err := syscall.ForkExec(path, r.Args, &syscall.ProcAttr{
		Dir: r.Dir, Env: append(os.Environ(), r.Env...), Files: files[:],
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: r.TTY, Ctty: 0},
	})
	if err != nil {
		return 0, nil, fmt.Errorf("run %s: %w", path, err)
	}
	ended := make(chan syscall.WaitStatus, 1)
	p.children[pid] = ended
	return pid, ended, nil
}

// reap collects every process that ends, its own children and orphans.
func (p *initProcess) reap() {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGCHLD)
	for {
		p.mu.Lock()
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			if pid <= 0 {
				break
			}
			if ended, ok := p.children[pid]; ok {
				ended <- status
				delete(p.children, pid)
			}
		}
		p.mu.Unlock()
		<-changed
	}
}

// startDaemon starts 'ha daemon' if the host belongs to a cluster, as an init
// system would; its output goes to the host's /var/log/ha.log.
func (p *initProcess) startDaemon() error {
	if _, err := os.Stat("/etc/ha/node.json"); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer null.Close()
	log, err := os.OpenFile("/var/log/ha.log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	_, _, err = p.start(commandRequest{Args: []string{"/usr/sbin/ha", "daemon"}, Dir: "/"}, [3]uintptr{null.Fd(), log.Fd(), log.Fd()})
	return err
}

// stopAll stops every process of the host at one instant: the kernel signals all
// but process 1, and a fork under way is stopped or starts over.
func (p *initProcess) stopAll() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if err := signalAll(syscall.SIGSTOP); err != nil {
		return err
	}
	return awaitStopped()
}

// awaitStopped waits until no thread of the host runs any more: the kernel gives
// the signal to one thread of a process, and the others go on until that one was
// given a processor.
func awaitStopped() error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		running, err := runningThread()
		if err != nil || running == "" {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not stop", running)
		}
	}
}

// runningThread returns the directory in /proc of a thread, other than those of
// process 1, that is not stopped; "" if there is none.
func runningThread() (string, error) {
	threads, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	if err != nil {
		return "", err
	}
	for _, thread := range threads {
		if strings.HasPrefix(thread, "/proc/1/") {
			continue
		}
		text, err := os.ReadFile(thread + "/stat")
		if err != nil {
			continue // it has ended
		}
		// The state follows the name, which is in brackets and may hold any.
		state := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))[0]
		if strings.Contains("RSI", state) {
			return thread, nil
		}
	}
	return "", nil
}

func (p *initProcess) continueAll() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = false
	return signalAll(syscall.SIGCONT)
}

func signalAll(sig syscall.Signal) error {
	if err := syscall.Kill(-1, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal %v to every process: %w", sig, err)
	}
	return nil
}

func (p *initProcess) serveCommands(listener *os.File) {
	l, err := net.FileListener(listener)
	listener.Close()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: listen for commands: %v\n", p.name, err)
		return
	}
	for {
		conn, err := l.(*net.UnixListener).AcceptUnix()
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: accept a command: %v\n", p.name, err)
			return
		}
		go p.serveCommand(conn)
	}
}

// serveCommand runs one command: its description and descriptors come in the
// first message, signals for it in later ones, and its end is told. When the
// caller goes away the command's processes are killed.
func (p *initProcess) serveCommand(conn *net.UnixConn) {
	defer conn.Close()
	r, files, err := receiveCommand(conn)
	if err != nil {
		sendMessage(conn, commandResult{Error: err.Error()})
		return
	}
	pid, ended, err := p.start(r, files)
	for _, fd := range files {
		unix.Close(int(fd))
	}
	if err != nil {
		sendMessage(conn, commandResult{Error: err.Error()})
		return
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			var s commandSignal
			if err := receiveMessage(conn, &s); err != nil {
				return
			}
			_ = syscall.Kill(-pid, s.Signal) // it may just have ended
		}
	}()
	select {
	case status := <-ended:
		sendMessage(conn, newCommandResult(status))
	case <-gone:
		_ = syscall.Kill(-pid, syscall.SIGKILL) // it may just have ended
	}
}
