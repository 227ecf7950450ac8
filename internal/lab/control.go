package lab

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxMessage bounds what is read of a request or a reply before it is parsed.
const maxMessage = 1 << 20

// Direction of traffic, as the host sees it.
type Direction string

const (
	In   Direction = "in"
	Out  Direction = "out"
	Both Direction = "both"
)

// Valid reports whether d is one of the directions.
func (d Direction) Valid() bool { return d == In || d == Out || d == Both }

func (d Direction) in() bool  { return d != Out }
func (d Direction) out() bool { return d != In }

// request is what a command asks of the supervisor: one JSON line a connection.
type request struct {
	Op        string    `json:"op"`
	Host      string    `json:"host,omitempty"`
	Link      int       `json:"link,omitempty"`      // 0: every link of the host
	Direction Direction `json:"direction,omitempty"` // of cut and loss
	Peer      string    `json:"peer,omitempty"`      // cut only between Host and Peer
	Unplug    bool      `json:"unplug,omitempty"`    // cut takes the carrier away too
	Percent   float64   `json:"percent,omitempty"`   // of loss, 0 to 100
}

// The operations. The power socket, which hosts see, takes only the first group.
const (
	opPowerOn     = "on"
	opPowerOff    = "off"
	opReboot      = "reboot" // answers when the host is off; it comes back by itself
	opPowerStatus = "power"
	opList        = "list"

	opStatus = "status"
	opCut    = "cut"
	opHeal   = "heal"
	opLoss   = "loss"
	opPause  = "pause"
	opResume = "resume"
	opDown   = "down"
)

var powerOps = []string{opPowerOn, opPowerOff, opReboot, opPowerStatus, opList}

// reply answers a request.
type reply struct {
	Error  string   `json:"error,omitempty"`
	On     bool     `json:"on,omitempty"`    // of opPowerStatus
	Hosts  []string `json:"hosts,omitempty"` // of opList
	Status *Status  `json:"status,omitempty"`
}

// Status is what is known of a lab that stands.
type Status struct {
	Spec
	Dir        string       `json:"dir"`
	Filesystem string       `json:"filesystem"` // of Dir; fsync means little on tmpfs
	Cgroups    bool         `json:"cgroups"`    // each host has a control group of its own
	Hosts      []HostStatus `json:"hosts"`
}

// HostStatus is what is known of a host.
type HostStatus struct {
	Name      string   `json:"name"`
	State     string   `json:"state"` // on, off, paused
	Addresses []string `json:"addresses"`
	BootID    string   `json:"boot_id,omitempty"`
	Boots     int      `json:"boots"` // how often it was powered on
	// Watchdog is the time-out of its watchdog, in nanoseconds; 0: it is not armed.
	Watchdog time.Duration `json:"watchdog,omitempty"`
	Resets   int           `json:"resets,omitempty"` // by its watchdog
	Links    []LinkStatus  `json:"links"`
	Error    string        `json:"error,omitempty"` // why the last power-on failed
}

// LinkStatus is what was done to a host's link.
type LinkStatus struct {
	Link      int      `json:"link"`
	Cut       string   `json:"cut,omitempty"` // in, out, both
	Unplugged bool     `json:"unplugged,omitempty"`
	LossIn    float64  `json:"loss_in,omitempty"`  // percent
	LossOut   float64  `json:"loss_out,omitempty"` // percent
	DeafTo    []string `json:"deaf_to,omitempty"`  // hosts that it does not hear
}

// errNotRunning: nothing answers on a lab's socket.
var errNotRunning = errors.New("the lab does not run")

// call sends one request to the unix socket and waits for its reply.
func call(socket string, r request, timeout time.Duration) (reply, error) {
	conn, err := net.DialTimeout("unix", socket, timeout)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT) {
		return reply{}, errNotRunning
	}
	if err != nil {
		return reply{}, fmt.Errorf("reach the lab: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return reply{}, fmt.Errorf("reach the lab: %w", err)
	}
	if err := writeLine(conn, r); err != nil {
		return reply{}, fmt.Errorf("ask the lab for %q: %w", r.Op, err)
	}
	var answer reply
	if err := readLine(bufio.NewReader(io.LimitReader(conn, maxMessage)), &answer); err != nil {
		return reply{}, fmt.Errorf("wait for the lab's answer to %q: %w", r.Op, err)
	}
	if answer.Error != "" {
		return answer, errors.New(answer.Error)
	}
	return answer, nil
}

func writeLine(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

func readLine(r *bufio.Reader, v any) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	return json.Unmarshal(line, v)
}

// serverPID returns the process that listens on a unix socket, 0 if none does.
// The kernel translates it to a pid of the caller's own process namespace.
func serverPID(socket string) int {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return 0
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0
	}
	pid := 0
	if err := raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(cred.Pid)
		}
	}); err != nil {
		return 0
	}
	return pid
}
