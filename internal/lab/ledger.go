package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The ledger is the service that chaos is thrown at: it appends lines to a file
// on a disk that all hosts share, and answers once a line is durable. Two of it at
// once would be what a cluster exists to prevent, so each keeps a lock on a file
// of its own while it lives: the kernel gives it back at the process's end, however
// that comes about, and anybody can look.

// SharedDisk is where hosts see the disk that they share.
const SharedDisk = "/srv/shared"

const (
	ledgerPort = 7000
	ledgerFile = "ledger"
	ownersDir  = "owners"
	// maxLine bounds a line of the ledger, in bytes.
	maxLine = 128
)

// ledgerMain serves the ledger on a TCP port; argv is its face, the port and the
// shared directory.
func ledgerMain(args []string) int {
	if len(args) != 3 {
		fmt.Fprintf(os.Stderr, "usage: %s PORT DIRECTORY\n", faceLedger)
		return 2
	}
	err := serveLedger(args[1], args[2])
	fmt.Fprintf(os.Stderr, "%s: %v\n", faceLedger, err)
	return 1
}

func serveLedger(port, dir string) error {
	owner, err := claim(dir, "ledger")
	if err != nil {
		return err
	}
	defer owner.Close()
	file, err := os.OpenFile(filepath.Join(dir, ledgerFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	defer file.Close()
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		return err
	}
	l := &ledger{file: file}
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go l.serve(conn)
	}
}

// claim makes a locked file that shows that this process lives; name says as what.
func claim(dir, name string) (*os.File, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	owners := filepath.Join(dir, ownersDir)
	if err := os.MkdirAll(owners, 0o755); err != nil {
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	// It gets its name once it is locked, so that no observer sees it unlocked
	// while its owner lives.
	f, err := os.CreateTemp(owners, ".new-*")
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	path := filepath.Join(owners, fmt.Sprintf("%s.%s.%d", name, host, time.Now().UnixNano()))
	if err := os.Rename(f.Name(), path); err != nil {
		f.Close()
		return nil, fmt.Errorf("claim %s: %w", name, err)
	}
	return f, nil
}

// ledger appends lines for several clients, in one sync for those that wait.
type ledger struct {
	mu   sync.Mutex
	file *os.File
}

func (l *ledger) append(line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.file.WriteString(line); err != nil {
		return err
	}
	return unix.Fdatasync(int(l.file.Fd()))
}

func (l *ledger) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return // the client has gone, or sent what is no line
		}
		if l.append(string(line)) != nil {
			return
		}
		if _, err := conn.Write(line); err != nil {
			return
		}
	}
}

// writerMain writes numbered lines through a ledger's address from several
// connections, each its own numbers, at a given rate, and prints each line that
// was acknowledged. argv is its face, ADDRESS:PORT, connections, and the pause
// between two lines of a connection. It ends when its standard input does.
func writerMain(args []string) int {
	var connections int
	var pause time.Duration
	err := errors.New("wrong arguments")
	if len(args) == 4 {
		_, err = fmt.Sscan(args[2], &connections)
		if err == nil {
			pause, err = time.ParseDuration(args[3])
		}
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "usage: %s ADDRESS:PORT CONNECTIONS PAUSE: %v\n", faceWriter, err)
		return 2
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is the order to end
		os.Exit(0)
	}()
	var mu sync.Mutex
	out := bufio.NewWriter(os.Stdout)
	acknowledged := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(out, line)
		out.Flush()
	}
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() { writeLines(i, args[1], pause, acknowledged) })
	}
	all.Wait()
	return 0
}

// writeTimeout is how long one line may take before the writer tries anew.
const writeTimeout = 500 * time.Millisecond

// writeLines never uses a number twice: what was not acknowledged may or may not
// have been written, and counts for nothing.
func writeLines(connection int, target string, pause time.Duration, acknowledged func(string)) {
	var conn net.Conn
	var in *bufio.Reader
	for number := 0; ; number++ {
		begin := time.Now()
		line := fmt.Sprintf("%d.%d", connection, number)
		err := func() (err error) {
			if conn == nil {
				if conn, err = net.DialTimeout("tcp", target, writeTimeout); err != nil {
					return err
				}
				in = bufio.NewReaderSize(conn, maxLine)
			}
			if err := conn.SetDeadline(time.Now().Add(writeTimeout)); err != nil {
				return err
			}
			if _, err := io.WriteString(conn, line+"\n"); err != nil {
				return err
			}
			answer, err := in.ReadString('\n')
			if err == nil && strings.TrimSpace(answer) != line {
				err = fmt.Errorf("asked to write %q, %q was acknowledged", line, answer)
			}
			return err
		}()
		if err == nil {
			acknowledged(line)
		} else if conn != nil {
			conn.Close()
			conn = nil
		}
		time.Sleep(time.Until(begin.Add(pause)))
	}
}

// addressWatchMain claims an address in the shared directory for as long as this
// host has it, looking 100 times a second. argv is its face, the address and the
// directory.
func addressWatchMain(args []string) int {
	if len(args) != 3 {
		fmt.Fprintf(os.Stderr, "usage: %s ADDRESS DIRECTORY\n", faceAddressWatch)
		return 2
	}
	var held *os.File
	for range time.Tick(sampleInterval) {
		has, err := hasAddress(args[1])
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", faceAddressWatch, err)
			return 1
		}
		switch {
		case has && held == nil:
			if held, err = claim(args[2], "address"); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", faceAddressWatch, err)
				return 1
			}
		case !has && held != nil:
			held.Close()
			held = nil
		}
	}
	return 0
}

func hasAddress(wanted string) (bool, error) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false, err
	}
	for _, a := range addresses {
		if n, ok := a.(*net.IPNet); ok && n.IP.String() == wanted {
			return true, nil
		}
	}
	return false, nil
}
