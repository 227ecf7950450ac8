package lab

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// serverMain is a small service to protect: argv is its face and a TCP port, and
// it answers every request with the name of its host.
func serverMain(args []string) int {
	if len(args) != 2 {
		fmt.Fprintf(os.Stderr, "usage: %s PORT\n", faceServer)
		return 2
	}
	host, err := os.Hostname()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", faceServer, err)
		return 1
	}
	listener, err := net.Listen("tcp", ":"+args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", faceServer, err)
		return 1
	}
	err = http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, host) }))
	fmt.Fprintf(os.Stderr, "%s: %v\n", faceServer, err)
	return 1
}

// killMain kills the process that serves a TCP port of its host, as a crash of
// the service does: argv is its face and the port. It prints the pid.
func killMain(args []string) int {
	if len(args) != 2 {
		fmt.Fprintf(os.Stderr, "usage: %s PORT\n", faceKill)
		return 2
	}
	pid, err := serverOf(args[1])
	if err == nil {
		err = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: kill what serves port %s: %v\n", faceKill, args[1], err)
		return 1
	}
	fmt.Println(pid)
	return 0
}

// serverOf finds the process that listens on a TCP port.
func serverOf(port string) (pid int, err error) {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, err
	}
	sockets := map[string]bool{} // the link texts of descriptors of sockets that listen on the port
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			const local, state, inode, listening = 1, 3, 9, "0A"
			fields := strings.Fields(line)
			if len(fields) > inode && fields[state] == listening && strings.HasSuffix(fields[local], fmt.Sprintf(":%04X", number)) {
				sockets["socket:["+fields[inode]+"]"] = true
			}
		}
	}
	descriptors, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0, err
	}
	for _, path := range descriptors {
		if target, err := os.Readlink(path); err == nil && sockets[target] {
			return strconv.Atoi(strings.Split(path, "/")[2])
		}
	}
	return 0, errors.New("no process listens there")
}
