package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// supervisor is the lab's power supply and switch.
type supervisor struct {
	spec         Spec
	dir          directory
	unprivileged bool   // in a user namespace, with less allowed
	cgroup       string // "" if hosts have none of their own
	hosts        []*host
	namespaces   atomic.Int32 // numbers given to network namespaces
	down         chan struct{}
	downOnce     sync.Once
	downErr      error
}

// Descriptors of the supervisor.
const (
	// lifeline tells it whether the process that made the lab still lives: it says
	// what happened there, and ends if that one ends before having said "keep".
	lifeline = 3
	// lockHeld is the lab's lock, which it holds as long as it lives.
	lockHeld = 4
)

// superviseMain is the supervisor's process: argv is its face and the lab's
// directory. It is the init process of the lab's process namespace, so that its
// end, however it comes, is the end of every process of the lab.
func superviseMain(args []string) int {
	line := os.NewFile(lifeline, "lifeline")
	if len(args) != 2 || line == nil {
		fmt.Fprintln(os.Stderr, faceSupervisor+" is started by 'ha lab up'")
		return 2
	}
	unix.CloseOnExec(lifeline)
	unix.CloseOnExec(lockHeld)
	s, listeners, err := newSupervisor(directory(args[1]))
	if err != nil {
		fmt.Fprintln(line, err)
		return 1
	}
	go func() {
		if answer, _ := bufio.NewReader(line).ReadString('\n'); answer == "keep\n" {
			line.Close()
			return
		}
		if s.spec.Temporary {
			s.clearAway()
		}
		os.Exit(1)
	}()
	if err := s.powerAllOn(); err != nil {
		fmt.Fprintln(line, err)
		return 1
	}
	go s.serve(listeners[0], false)
	go s.serve(listeners[1], true)
	fmt.Fprintln(line, "ok")

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		s.powerAllOff()
	case <-s.down:
		time.Sleep(downGrace)
	}
	if s.downErr != nil {
		s.logf("%v", s.downErr)
		return 1
	}
	return 0
}

// downGrace lets the answer to opDown leave before the supervisor ends.
const downGrace = 5 * time.Millisecond

func newSupervisor(dir directory) (*supervisor, []*net.UnixListener, error) {
	text, err := os.ReadFile(dir.spec())
	if err != nil {
		return nil, nil, fmt.Errorf("read the lab's description: %w", err)
	}
	s := &supervisor{dir: dir, down: make(chan struct{})}
	if err := json.Unmarshal(text, &s.spec); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", dir.spec(), err)
	}
	s.unprivileged, err = inUserNamespace()
	if err != nil {
		return nil, nil, err
	}
	if text, err := os.ReadFile(dir.cgroupFile()); err == nil {
		if _, err := os.Stat(string(text)); err == nil {
			s.cgroup = string(text)
		}
	}
	// A private view of mounts, with the lab's own processes in /proc.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, nil, fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return nil, nil, fmt.Errorf("mount the lab's /proc: %w", err)
	}
	if err := createSwitch(s.spec.Links); err != nil {
		return nil, nil, err
	}
	for _, id := range s.spec.hosts() {
		s.hosts = append(s.hosts, newHost(s, id))
	}
	var listeners []*net.UnixListener
	for _, path := range []string{dir.control(), filepath.Join(dir.power(), powerSocket)} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			return nil, nil, fmt.Errorf("listen on %s: %w", path, err)
		}
		listeners = append(listeners, l)
	}
	return s, listeners, nil
}

// inUserNamespace reports whether the process is root only in a user namespace
// that maps one user.
func inUserNamespace() (bool, error) {
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false, fmt.Errorf("read the user mapping: %w", err)
	}
	var inside, outside, length uint64
	if _, err := fmt.Sscan(string(text), &inside, &outside, &length); err != nil {
		return false, fmt.Errorf("read the user mapping: %w", err)
	}
	return length == 1, nil
}

func (s *supervisor) logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05.000 ")+format+"\n", args...)
}

// nextNamespace numbers a network namespace. Numbers are not used twice, so that
// one that is gone from the kernel's list is gone for certain.
func (s *supervisor) nextNamespace() int { return int(s.namespaces.Add(1)) + 1000 }

func (s *supervisor) powerAllOn() error { return s.all((*host).powerOn) }

// powerAllOff switches every host off, once.
func (s *supervisor) powerAllOff() error {
	s.downOnce.Do(func() {
		s.downErr = s.all((*host).powerOff)
		close(s.down)
	})
	<-s.down
	return s.downErr
}

// all does the same with every host at once.
func (s *supervisor) all(do func(*host) error) error {
	errs := make([]error, len(s.hosts))
	var wait sync.WaitGroup
	for i, h := range s.hosts {
		wait.Go(func() { errs[i] = do(h) })
	}
	wait.Wait()
	return errors.Join(errs...)
}

func (s *supervisor) serve(l *net.UnixListener, powerOnly bool) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			s.logf("accept: %v", err)
			return
		}
		go s.answer(conn, powerOnly)
	}
}

func (s *supervisor) answer(conn net.Conn, powerOnly bool) {
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return
	}
	var r request
	if err := readLine(bufio.NewReader(io.LimitReader(conn, maxMessage)), &r); err != nil {
		return // it went away, as 'ha lab down' does to see whether anybody is here
	}
	var answer reply
	var err error
	if powerOnly && !slices.Contains(powerOps, r.Op) {
		err = fmt.Errorf("%q is not for hosts to ask", r.Op)
	} else {
		answer, err = s.handle(r)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	if err := writeLine(conn, answer); err != nil {
		s.logf("answer %s %s: %v", r.Op, r.Host, err)
	}
}

func (s *supervisor) handle(r request) (reply, error) {
	switch r.Op {
	case opList:
		var names []string
		for _, h := range s.hosts {
			if h.node() {
				names = append(names, h.Name)
			}
		}
		return reply{Hosts: names}, nil
	case opStatus:
		return reply{Status: s.status()}, nil
	case opDown:
		return reply{}, s.powerAllOff()
	case opHeal:
		return reply{}, s.heal(r)
	}
	h, err := s.host(r.Host)
	if err != nil {
		return reply{}, err
	}
	if r.Link < 0 || r.Link > h.Links {
		return reply{}, fmt.Errorf("%s has links 1 to %d, not %d", h.Name, h.Links, r.Link)
	}
	begun := time.Now()
	defer func() { s.logf("%s %s: %v", r.Op, h.Name, time.Since(begun).Round(10*time.Microsecond)) }()
	switch r.Op {
	case opPowerStatus:
		return reply{On: h.isOn()}, nil
	case opPowerOn:
		return reply{}, h.powerOn()
	case opPowerOff:
		return reply{}, h.powerOff()
	case opReboot:
		return reply{}, h.reboot()
	case opPause:
		return reply{}, h.pause()
	case opResume:
		return reply{}, h.resume()
	case opCut:
		return reply{}, s.cut(h, r)
	case opLoss:
		if !r.Direction.Valid() || r.Percent < 0 || r.Percent > 100 {
			return reply{}, fmt.Errorf("loss of %v%% %s: want 0 to 100, and in, out or both", r.Percent, r.Direction)
		}
		return reply{}, h.rewire(r.Link, func(_ int, c *cable) {
			if r.Direction.in() {
				c.lossIn = r.Percent
			}
			if r.Direction.out() {
				c.lossOut = r.Percent
			}
		})
	}
	return reply{}, fmt.Errorf("unknown operation %q", r.Op)
}

func (s *supervisor) host(name string) (*host, error) {
	for _, h := range s.hosts {
		if h.Name == name {
			return h, nil
		}
	}
	return nil, fmt.Errorf("no host %q in lab %s: it has %s to %s and %s", name, s.spec.Name, NodeName(1), NodeName(s.spec.Nodes), Client)
}

// cut cuts a host's links, or only what it hears from and says to a peer.
func (s *supervisor) cut(h *host, r request) error {
	if !r.Direction.Valid() {
		return fmt.Errorf("direction %q: want in, out or both", r.Direction)
	}
	if r.Peer == "" {
		return h.rewire(r.Link, func(_ int, c *cable) {
			c.cutIn = c.cutIn || r.Direction.in()
			c.cutOut = c.cutOut || r.Direction.out()
			c.unplugged = c.unplugged || r.Unplug
		})
	}
	peer, err := s.host(r.Peer)
	if err != nil {
		return err
	}
	if peer == h {
		return fmt.Errorf("%s cannot be cut from itself", h.Name)
	}
	deafen := func(h, to *host) error {
		return h.rewire(r.Link, func(link int, c *cable) { c.deafTo[to.Name] = to.mac(link) })
	}
	if r.Direction.in() {
		if err := deafen(h, peer); err != nil {
			return err
		}
	}
	if r.Direction.out() {
		return deafen(peer, h)
	}
	return nil
}

// heal mends every cut and loss of a host, or of all hosts.
func (s *supervisor) heal(r request) error {
	if r.Host == "" {
		return s.all(func(h *host) error {
			return h.rewire(0, func(_ int, c *cable) { *c = cable{deafTo: map[string][6]byte{}} })
		})
	}
	healed, err := s.host(r.Host)
	if err != nil {
		return err
	}
	return s.all(func(h *host) error {
		return h.rewire(0, func(_ int, c *cable) {
			if h == healed {
				*c = cable{deafTo: map[string][6]byte{}}
			}
			delete(c.deafTo, healed.Name)
		})
	})
}

func (s *supervisor) status() *Status {
	status := &Status{Spec: s.spec, Dir: string(s.dir), Filesystem: filesystem(string(s.dir)), Cgroups: s.cgroup != ""}
	for _, h := range s.hosts {
		status.Hosts = append(status.Hosts, h.status())
	}
	return status
}
