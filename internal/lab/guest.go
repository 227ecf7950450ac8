package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The guest is what migrates live while chaos is thrown: like a virtual machine it
// lives in a hypervisor, one on each host, which the cluster does not know of. In a
// migration the hypervisor of the source makes one arrive at the target, on its own
// and after an order that the target's node has not seen: that is what makes live
// migration dangerous. The source lets go before the target goes on, and both say
// what they have by a claim (see ledger.go), so two claims are never rightful.

const (
	guestResource    = "guest"
	guestAgent       = "ocf:lab:" + faceGuest
	agentDirectory   = "/usr/lib/ocf/resource.d/lab"
	hypervisorPort   = "7010"
	hypervisorSocket = "/run/lab-hypervisor"
	migrationsFile   = "migrations" // on the shared disk: a line for each that arrived
	// copyTime is how long a guest's memory takes to copy, at most.
	copyTime = 1500 * time.Millisecond
	// arrivalTimeout is how long a hypervisor waits for the other one's next word.
	arrivalTimeout = 10 * time.Second
)

// guestConfig describes the guest.
func guestConfig() string {
	return fmt.Sprintf(`
resource %q {
  agent = %q
  meta  = { allow_migrate = true }
  op "monitor" { interval = "1s" }
}
`, guestResource, guestAgent)
}

// hypervisor is that of one host.
type hypervisor struct {
	shared string

	mu       sync.Mutex
	guest    *os.File // its claim while it runs here
	arriving net.Conn // from where one that does not run yet is being copied
	leaving  bool     // it is being copied elsewhere, and runs
}

// hypervisorMain serves a host's guest; argv is its face and the shared directory.
func hypervisorMain(args []string) int {
	if len(args) != 2 {
		fmt.Fprintf(os.Stderr, "usage: %s DIRECTORY\n", faceHypervisor)
		return 2
	}
	h := &hypervisor{shared: args[1]}
	err := func() error {
		others, err := net.Listen("tcp", ":"+hypervisorPort)
		if err != nil {
			return err
		}
		agents, err := net.Listen("unix", hypervisorSocket)
		if err != nil {
			return err
		}
		go accept(others, h.arrive)
		return accept(agents, h.obey)
	}()
	fmt.Fprintf(os.Stderr, "%s: %v\n", faceHypervisor, err)
	return 1
}

func accept(l net.Listener, serve func(net.Conn)) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go serve(conn)
	}
}

// obey carries out an agent's order: one word, or "migrate HOST".
func (h *hypervisor) obey(conn net.Conn) {
	defer conn.Close()
	order, err := bufio.NewReader(io.LimitReader(conn, maxLine)).ReadString('\n')
	if err != nil {
		return
	}
	order, target, _ := strings.Cut(strings.TrimSpace(order), " ")
	answer := "ok"
	switch order {
	case "start":
		err = h.start()
	case "stop":
		h.stop()
	case "migrate":
		err = h.migrate(target)
	case "state":
		answer = h.state()
	default:
		err = fmt.Errorf("unknown order %q", order)
	}
	if err != nil {
		answer = "failed: " + err.Error()
	}
	fmt.Fprintln(conn, answer)
}

func (h *hypervisor) start() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.guest != nil {
		return nil
	}
	h.refuseArrival()
	var err error
	h.guest, err = claim(h.shared, guestResource)
	return err
}

// stop ends the guest, and one that is arriving.
func (h *hypervisor) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refuseArrival()
	h.end()
}

func (h *hypervisor) refuseArrival() {
	if h.arriving != nil {
		h.arriving.Close()
		h.arriving = nil
	}
}

func (h *hypervisor) end() {
	if h.guest != nil {
		h.guest.Close()
		h.guest = nil
	}
}

func (h *hypervisor) state() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.guest != nil:
		return "running"
	case h.arriving != nil:
		return "arriving"
	}
	return "stopped"
}

// migrate hands the guest over to another host. After an error it may run here or
// there, or be gone: who gave the order has to find out.
func (h *hypervisor) migrate(target string) error {
	h.mu.Lock()
	if h.guest == nil || h.leaving {
		defer h.mu.Unlock()
		return errors.New("it does not run here, or leaves already")
	}
	moving := h.guest
	h.leaving = true
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.leaving = false
		h.mu.Unlock()
	}()

	conn, err := dialHypervisor(target)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(io.LimitReader(conn, maxLine))
	say := func(word, want string) error {
		if err := conn.SetDeadline(time.Now().Add(arrivalTimeout)); err != nil {
			return err
		}
		if _, err := io.WriteString(conn, word+"\n"); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err == nil && answer != want+"\n" {
			err = fmt.Errorf("%s answers %q", target, answer)
		}
		return err
	}
	if err := say("prepare", "prepared"); err != nil {
		return fmt.Errorf("prepare %s: %w", target, err)
	}
	time.Sleep(rand.N(copyTime)) // its memory is being copied
	h.mu.Lock()
	still := h.guest == moving
	if still {
		h.end()
	}
	h.mu.Unlock()
	if !still {
		return errors.New("it was stopped meanwhile")
	}
	if err := say("go on", "runs"); err != nil {
		return fmt.Errorf("have it go on at %s: %w", target, err)
	}
	return nil
}

// dialHypervisor reaches that of a node by the first of its links that works.
func dialHypervisor(node string) (net.Conn, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(node, "host"))
	if err != nil {
		return nil, fmt.Errorf("no host %q", node)
	}
	var errs []error
	for _, link := range []int{1, 2} {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(Address(n, link).String(), hypervisorPort), time.Second)
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// arrive takes a guest over from another host.
func (h *hypervisor) arrive(conn net.Conn) {
	defer conn.Close()
	words := bufio.NewReader(io.LimitReader(conn, maxLine))
	hears := func(want string) bool {
		if err := conn.SetDeadline(time.Now().Add(arrivalTimeout)); err != nil {
			return false
		}
		word, err := words.ReadString('\n')
		return err == nil && word == want+"\n"
	}
	if !hears("prepare") {
		return
	}
	h.mu.Lock()
	if h.guest != nil || h.arriving != nil {
		h.mu.Unlock()
		fmt.Fprintln(conn, "there is one")
		return
	}
	h.arriving = conn
	h.mu.Unlock()
	fmt.Fprintln(conn, "prepared")
	goesOn := hears("go on")
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.arriving != conn {
		return // it was ended meanwhile
	}
	h.arriving = nil
	if !goesOn {
		return
	}
	var err error
	if h.guest, err = claim(h.shared, guestResource); err != nil {
		fmt.Fprintln(conn, err)
		return
	}
	if f, err := os.OpenFile(filepath.Join(h.shared, migrationsFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err == nil {
		fmt.Fprintln(f, conn.RemoteAddr())
		f.Close()
	}
	fmt.Fprintln(conn, "runs")
}
