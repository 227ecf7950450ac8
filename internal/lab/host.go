package lab

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// host is one host as its power supply sees it.
type host struct {
	hostID
	lab *supervisor
	dir hostDirectory

	mu      sync.Mutex // one change of power or wiring at a time
	cables  []*cable   // of links 1 to Links
	running *machine   // nil while the power is off
	paused  bool
	boots   int
	lastErr error       // of the last power-on
	restart *time.Timer // powers it on again after a reboot; nil: none is due
	resets  int         // by its watchdog
}

// machine is a host that is on.
type machine struct {
	init    *exec.Cmd
	pidfd   int
	control *net.UnixConn // to the init process
	replies *bufio.Reader
	wiring  *wiring
	bootID  string
	dog     *watchdog
	bitten  bool          // the watchdog has run out; written before ended is closed
	ended   chan struct{} // closed when the init process, and so every process, has ended
}

// bootTimeout bounds the time from power-on to a host that takes commands.
const bootTimeout = 20 * time.Second

func newHost(lab *supervisor, id hostID) *host {
	h := &host{hostID: id, lab: lab, dir: lab.dir.host(id.Name)}
	for range id.Links {
		h.cables = append(h.cables, &cable{deafTo: map[string][6]byte{}})
	}
	return h
}

// powerOn boots the host; a host that is on stays as it is.
func (h *host) powerOn() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cancelRestart()
	if h.running != nil {
		return nil
	}
	h.lastErr = h.boot()
	return h.lastErr
}

func (h *host) boot() error {
	id, err := newBootID()
	if err != nil {
		return err
	}
	if err := h.prepareDisk(); err != nil {
		return fmt.Errorf("prepare the disk of %s: %w", h.Name, err)
	}
	h.boots++
	m := &machine{bootID: id, pidfd: -1, ended: make(chan struct{})}
	if err := h.launch(m); err != nil {
		return fmt.Errorf("start %s: %w", h.Name, err)
	}
	h.running, h.paused = m, false
	go h.watch(m)
	if err := h.bringUp(m); err != nil {
		if message, stop := h.cutPower(); stop != nil {
			return fmt.Errorf("boot %s: %w (%s: %w)", h.Name, err, message, stop)
		}
		return fmt.Errorf("boot %s: %w", h.Name, err)
	}
	return nil
}

// prepareDisk makes the directories that are the host's disk, and empties those
// that a boot empties.
func (h *host) prepareDisk() error {
	if err := removeAll(h.dir.sub("tmp")); err != nil {
		return err
	}
	for _, sub := range []string{"ha", "etc-ha", "tmp", "dev", "empty"} {
		if err := os.MkdirAll(h.dir.sub(sub), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(h.dir.sub("tmp"), 0o1777); err != nil {
		return err
	}
	for _, socket := range []string{h.dir.socket(), h.dir.watchdog()} {
		if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if h.boots == 0 {
		return mountDisk(h.dir, h.lab.unprivileged)
	}
	return nil
}

// launch starts the init process in namespaces of its own.
func (h *host) launch(m *machine) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make its control line: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "control"), os.NewFile(uintptr(pair[1]), "control")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return fmt.Errorf("make its control line: %w", err)
	}
	m.control = conn.(*net.UnixConn)
	m.replies = bufio.NewReader(io.LimitReader(m.control, maxMessage))
	commands, err := listenForCommands(h.dir.socket())
	if err != nil {
		m.control.Close()
		return err
	}
	defer commands.Close()
	if m.dog, err = newWatchdog(h.dir.watchdog(), m.bite); err != nil {
		m.control.Close()
		return err
	}

	started := false
	defer func() {
		if !started {
			m.control.Close()
			m.dog.cut()
		}
	}()
	m.init = exec.Command(h.lab.dir.binary())
	m.init.Args = []string{faceInit, h.Name}
	m.init.Env = []string{}
	m.init.Dir = "/"
	m.init.Stderr = os.Stderr // the lab's log
	m.init.ExtraFiles = []*os.File{theirs, commands}
	m.init.SysProcAttr = &syscall.SysProcAttr{
		Setsid: true,
		PidFD:  &m.pidfd,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS |
			syscall.CLONE_NEWIPC | unix.CLONE_NEWCGROUP,
	}
	if group := h.lab.cgroup; group != "" {
		group = filepath.Join(group, h.Name)
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("create its control group: %w", err)
		}
		fd, err := os.Open(group)
		if err != nil {
			return fmt.Errorf("open its control group: %w", err)
		}
		defer fd.Close()
		m.init.SysProcAttr.UseCgroupFD = true
		m.init.SysProcAttr.CgroupFD = int(fd.Fd())
	}
	if err := m.init.Start(); err != nil {
		return fmt.Errorf("start its init process: %w", err)
	}
	started = true
	return nil
}

// bite is what the watchdog does: it takes no lock of the host, since whatever
// goes on there must not delay it. watch does the rest of the power cut.
func (m *machine) bite() {
	m.bitten = true
	_ = unix.PidfdSendSignal(m.pidfd, unix.SIGKILL, nil, 0) // it may just have ended
}

// bringUp connects the host to the switch while its init process mounts its
// root, then lets it go on.
func (h *host) bringUp(m *machine) error {
	if err := m.control.SetDeadline(time.Now().Add(bootTimeout)); err != nil {
		return err
	}
	spec := initSpec{
		hostID: h.hostID, Dir: string(h.dir), Binary: h.lab.dir.binary(), Power: h.lab.dir.power(), Shared: h.lab.dir.shared(), BootID: m.bootID,
		Everyone: h.lab.spec.hosts(), Unprivileged: h.lab.unprivileged, Cgroup: h.lab.cgroup != "",
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	if _, err := m.control.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("tell init who it is: %w", err)
	}
	m.wiring, err = plugIn(h.hostID, m.init.Process.Pid, h.lab.nextNamespace())
	if err != nil {
		return err
	}
	for i, c := range h.cables {
		if err := m.wiring.apply(i+1, c, false); err != nil {
			return err
		}
	}
	if err := m.await(); err != nil { // the root is mounted
		return err
	}
	if err := m.tell("go"); err != nil {
		return err
	}
	return m.control.SetDeadline(time.Time{})
}

// tell gives the init process an order and waits until it is done.
func (m *machine) tell(order string) error {
	if _, err := io.WriteString(m.control, order+"\n"); err != nil {
		return fmt.Errorf("tell init %q: %w", order, err)
	}
	return m.await()
}

func (m *machine) await() error {
	line, err := m.replies.ReadString('\n')
	if err != nil {
		return fmt.Errorf("wait for init: %w", err)
	}
	if line != "ok\n" {
		return errors.New(line[:len(line)-1])
	}
	return nil
}

// watch waits for the host's end, and notices when the host itself brought it
// about: by reboot(2), which ends the init process by SIGHUP for a restart and
// by SIGINT for a power-off, or by a crash of the init process.
func (h *host) watch(m *machine) {
	_ = m.init.Wait() // how it ended is read from the process state
	close(m.ended)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running != m {
		return
	}
	if step, err := h.cutPower(); err != nil {
		h.lab.logf("%s ended; %s: %v", h.Name, step, err)
		return
	}
	if m.bitten {
		h.lab.logf("%s is reset by its watchdog", h.Name)
		h.resets++
		h.scheduleRestart()
		return
	}
	status, ok := m.init.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() && status.Signal() == syscall.SIGHUP {
		h.lab.logf("%s reboots", h.Name)
		h.scheduleRestart()
		return
	}
	h.lab.logf("%s powered itself off (%v)", h.Name, m.init.ProcessState)
}

// powerOff returns once the host is off for certain; see cutPower.
func (h *host) powerOff() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cancelRestart()
	if step, err := h.cutPower(); err != nil {
		return fmt.Errorf("power %s off: %s: %w", h.Name, step, err)
	}
	return nil
}

// cutPower is a power cut, in this order: its links go down, every process is
// killed, the network namespace goes. Only then is the host off, since as long
// as a namespace lingers the kernel answers for its addresses. On an error it
// names the step that failed, and the host counts as on.
func (h *host) cutPower() (step string, err error) {
	m := h.running
	if m == nil {
		return "", nil
	}
	if m.wiring != nil {
		for link := 1; link <= h.Links; link++ {
			if err := m.wiring.setCarrier(link, false); err != nil {
				return "links down", err
			}
		}
	}
	if err := unix.PidfdSendSignal(m.pidfd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return "kill its processes", err
	}
	select {
	case <-m.ended:
	case <-time.After(killTimeout):
		return "kill its processes", errors.New("they do not end")
	}
	if m.wiring != nil {
		if err := m.wiring.dismantle(); err != nil {
			return "dismantle its network", err
		}
	}
	m.dog.cut()
	m.control.Close()
	unix.Close(m.pidfd)
	h.running, h.paused = nil, false
	return "", nil
}

// killTimeout bounds the time in which killed processes end; those with much
// memory or slow disks need some.
const killTimeout = 10 * time.Second

// firmwareTime is how long a host that reboots stays off. That of real machines
// is longer; this is enough for their neighbours to recover what ran there
// before its boot takes processor time from them.
const firmwareTime = time.Second

// reboot powers the host off, and on again without waiting for it.
func (h *host) reboot() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if step, err := h.cutPower(); err != nil {
		return fmt.Errorf("power %s off: %s: %w", h.Name, step, err)
	}
	h.scheduleRestart()
	return nil
}

func (h *host) scheduleRestart() {
	h.cancelRestart()
	var timer *time.Timer
	timer = time.AfterFunc(firmwareTime, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.restart != timer {
			return // somebody has switched it meanwhile
		}
		h.restart = nil
		if h.lastErr = h.boot(); h.lastErr != nil {
			h.lab.logf("reboot: %v", h.lastErr)
		}
	})
	h.restart = timer
}

func (h *host) cancelRestart() {
	if h.restart != nil {
		h.restart.Stop()
		h.restart = nil
	}
}

// pause silences the host's network and stops all of its processes, as a
// hypervisor does that does not run a virtual machine.
func (h *host) pause() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running == nil {
		return fmt.Errorf("%s is off", h.Name)
	}
	if h.paused {
		return nil
	}
	h.paused = true
	if err := h.applyCables(); err != nil {
		return err
	}
	return h.running.tell("stop")
}

func (h *host) resume() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running == nil {
		return fmt.Errorf("%s is off", h.Name)
	}
	if !h.paused {
		return nil
	}
	h.paused = false
	if err := h.applyCables(); err != nil {
		return err
	}
	return h.running.tell("continue")
}

// rewire changes the cables of a link, or of all if link is 0.
func (h *host) rewire(link int, change func(link int, c *cable)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, c := range h.cables {
		if link == 0 || link == i+1 {
			change(i+1, c)
		}
	}
	return h.applyCables()
}

func (h *host) applyCables() error {
	if h.running == nil {
		return nil // they are applied at power-on
	}
	for i, c := range h.cables {
		if err := h.running.wiring.apply(i+1, c, h.paused); err != nil {
			return err
		}
	}
	return nil
}

func (h *host) isOn() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running != nil
}

func (h *host) status() HostStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := HostStatus{Name: h.Name, State: "off", Boots: h.boots, Resets: h.resets}
	if h.lastErr != nil {
		s.Error = h.lastErr.Error()
	}
	if m := h.running; m != nil {
		s.State, s.BootID, s.Watchdog = "on", m.bootID, m.dog.armed()
		if h.paused {
			s.State = "paused"
		}
	}
	for i, c := range h.cables {
		s.Addresses = append(s.Addresses, h.prefix4(i+1).Addr().String())
		s.Links = append(s.Links, c.status(i+1))
	}
	return s
}

// newBootID makes a random UUID, which is what the kernel's boot id is.
func newBootID() (string, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", fmt.Errorf("draw a boot id: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
