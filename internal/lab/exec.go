package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Commands run on a host by its init process. The request and the descriptors of
// standard input, output and error come in one message on a sequenced-packet
// socket; the pid's end comes back.

type commandRequest struct {
	Path string   `json:"path,omitempty"` // of the program; "": Args[0] is looked up
	Args []string `json:"args"`
	Env  []string `json:"env,omitempty"` // beside the host's own
	Dir  string   `json:"dir"`
	TTY  bool     `json:"tty,omitempty"` // standard input is a terminal of its own
}

type commandSignal struct {
	Signal syscall.Signal `json:"signal"`
}

type commandResult struct {
	Exit   int            `json:"exit"`
	Signal syscall.Signal `json:"signal,omitempty"` // that ended it
	Error  string         `json:"error,omitempty"`  // it did not start
}

func newCommandResult(status syscall.WaitStatus) commandResult {
	if status.Signaled() {
		return commandResult{Exit: 128 + int(status.Signal()), Signal: status.Signal()}
	}
	return commandResult{Exit: status.ExitStatus()}
}

// maxPacket bounds one message of the command socket, in bytes.
const maxPacket = 128 << 10

func listenForCommands(path string) (*os.File, error) {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	defer l.Close()
	l.SetUnlinkOnClose(false)
	return l.File()
}

func sendMessage(conn *net.UnixConn, v any, files ...int) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(text) > maxPacket {
		return fmt.Errorf("%d bytes of arguments: at most %d fit", len(text), maxPacket)
	}
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	_, _, err = conn.WriteMsgUnix(text, rights, nil)
	return err
}

func receiveMessage(conn *net.UnixConn, v any) error {
	buffer := make([]byte, maxPacket)
	n, err := conn.Read(buffer)
	if err != nil {
		return err
	}
	if n == 0 {
		return io.EOF
	}
	return json.Unmarshal(buffer[:n], v)
}

func receiveCommand(conn *net.UnixConn) (r commandRequest, files [3]uintptr, err error) {
	buffer, rights := make([]byte, maxPacket), make([]byte, unix.CmsgSpace(3*4))
	n, rightsLength, flags, _, err := conn.ReadMsgUnix(buffer, rights)
	if err != nil {
		return r, files, fmt.Errorf("receive the command: %w", err)
	}
	var fds []int
	messages, err := unix.ParseSocketControlMessage(rights[:rightsLength])
	if err != nil {
		return r, files, fmt.Errorf("receive the command's descriptors: %w", err)
	}
	for _, message := range messages {
		got, err := unix.ParseUnixRights(&message)
		if err != nil {
			return r, files, fmt.Errorf("receive the command's descriptors: %w", err)
		}
		fds = append(fds, got...)
	}
	if len(fds) != len(files) || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return r, files, fmt.Errorf("receive the command: want one message with %d descriptors", len(files))
	}
	for i, fd := range fds {
		unix.CloseOnExec(fd)
		files[i] = uintptr(fd)
	}
	if err := json.Unmarshal(buffer[:n], &r); err != nil {
		for _, fd := range fds {
			unix.Close(fd)
		}
		return r, files, fmt.Errorf("read the command: %w", err)
	}
	return r, files, nil
}

// ExitError says that a command ran on a host and failed.
type ExitError struct {
	Host   string
	Code   int            // 128 + the signal's number if a signal ended it
	Signal syscall.Signal // 0: it ended by itself
}

func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("the command on %s was ended by %v", e.Host, e.Signal)
	}
	return fmt.Sprintf("the command on %s ended with exit code %d", e.Host, e.Code)
}

// Command is a program to run on a host. Nil streams are /dev/null.
type Command struct {
	Host   string
	Path   string // of the program; "": Args[0] is looked up on the host's path
	Args   []string
	Env    []string // NAME=VALUE, beside the host's own
	Stdin  *os.File
	Stdout *os.File
	Stderr *os.File
	TTY    bool // Stdin becomes the command's terminal
	// Signals are passed on to the command.
	Signals <-chan os.Signal
}

// Run runs a command on a host and waits for its end: nil, an *ExitError, or why
// it did not run. When ctx ends first the command is killed.
func (l *Lab) Run(ctx context.Context, c Command) error {
	socket := l.dir.host(c.Host).socket()
	conn, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: socket, Net: "unixpacket"})
	switch {
	case errors.Is(err, syscall.ENOENT) && !l.has(c.Host):
		return fmt.Errorf("no host %q in lab %s: it has %s to %s and %s", c.Host, l.Spec.Name, NodeName(1), NodeName(l.Spec.Nodes), Client)
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("%s is off: 'ha lab start %s' powers it on", c.Host, c.Host)
	case err != nil:
		return fmt.Errorf("reach %s: %w", c.Host, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()

	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	var fds []int
	for _, file := range []*os.File{c.Stdin, c.Stdout, c.Stderr} {
		if file == nil {
			file = null
		}
		fds = append(fds, int(file.Fd()))
	}
	if err := sendMessage(conn, commandRequest{Path: c.Path, Args: c.Args, Env: c.Env, Dir: "/", TTY: c.TTY}, fds...); err != nil {
		return fmt.Errorf("send the command to %s: %w", c.Host, err)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-c.Signals:
				_ = sendMessage(conn, commandSignal{Signal: s.(syscall.Signal)}) // the command may just have ended
			case <-done:
				return
			}
		}
	}()
	var result commandResult
	err = receiveMessage(conn, &result)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%s went off while the command ran", c.Host)
	case result.Error != "":
		return fmt.Errorf("%s: %s", c.Host, result.Error)
	case result.Exit != 0:
		return &ExitError{Host: c.Host, Code: result.Exit, Signal: result.Signal}
	}
	return nil
}

func (l *Lab) has(host string) bool {
	for _, id := range l.Spec.hosts() {
		if id.Name == host {
			return true
		}
	}
	return false
}

// Output runs a command on a host and returns what it wrote to standard output
// and standard error until its end; what it left running may write on, unread.
func (l *Lab) Output(ctx context.Context, host string, args ...string) (stdout, stderr string, err error) {
	return l.output(ctx, Command{Host: host, Args: args})
}

func (l *Lab) output(ctx context.Context, c Command) (stdout, stderr string, err error) {
	var outputs [2]*os.File
	for i := range outputs {
		fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
		if err != nil {
			return "", "", fmt.Errorf("make room for the output: %w", err)
		}
		outputs[i] = os.NewFile(uintptr(fd), "output")
		defer outputs[i].Close()
		// Appending, the descriptors of several processes do not overwrite
		// each other's output.
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_APPEND); err != nil {
			return "", "", fmt.Errorf("make room for the output: %w", err)
		}
	}
	c.Stdout, c.Stderr = outputs[0], outputs[1]
	err = l.Run(ctx, c)
	var texts [2]string
	for i, file := range outputs {
		text, readErr := io.ReadAll(io.NewSectionReader(file, 0, maxOutput))
		if readErr != nil {
			return "", "", errors.Join(err, fmt.Errorf("read the output: %w", readErr))
		}
		texts[i] = string(text)
	}
	return texts[0], texts[1], err
}

// maxOutput bounds what Output keeps of a stream, in bytes.
const maxOutput = 64 << 20

// Interact runs a command on a host as ssh would: with the caller's standard
// descriptors, its terminal if it has one, and its signals. It returns as Run.
func (l *Lab) Interact(ctx context.Context, host string, args []string) error {
	signals := make(chan os.Signal, 8)
	c := Command{Host: host, Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals}
	if !term.IsTerminal(int(os.Stdin.Fd())) || !term.IsTerminal(int(os.Stdout.Fd())) {
		signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
		defer signal.Stop(signals)
		return l.Run(ctx, c)
	}
	master, slave, err := openTerminal()
	if err != nil {
		return fmt.Errorf("open a terminal for %s: %w", host, err)
	}
	defer master.Close()
	old, err := term.MakeRaw(int(os.Stdin.Fd()))
	if err != nil {
		slave.Close()
		return fmt.Errorf("prepare the terminal: %w", err)
	}
	defer term.Restore(int(os.Stdin.Fd()), old)
	resize := func() {
		if size, err := unix.IoctlGetWinsize(int(os.Stdin.Fd()), unix.TIOCGWINSZ); err == nil {
			_ = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, size) // a wrong size only looks odd
		}
	}
	resize()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	go func() {
		for range resized {
			resize()
		}
	}()
	go io.Copy(master, os.Stdin)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		_, _ = io.Copy(os.Stdout, master) // ends by EIO when the last writer closes
	}()
	c.Stdin, c.Stdout, c.Stderr, c.TTY = slave, slave, slave, true
	if name := os.Getenv("TERM"); name != "" {
		c.Env = append(c.Env, "TERM="+name)
	}
	err = l.Run(ctx, c)
	slave.Close()
	<-shown
	return err
}

// openTerminal makes a pseudo-terminal.
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		master.Close()
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		master.Close()
		return nil, nil, err
	}
	return master, slave, nil
}
