package process

import (
	"errors"
	"fmt"
	"net"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"linuxha/internal/cluster"
)

// config is what the parameters of ha:process and ha:web say.
type config struct {
	args        []string
	directory   string
	environment []string
	credential  *syscall.Credential // nil: as the daemon
	user        *user.User          // nil: as the daemon
	stopSignal  syscall.Signal
	stopTimeout time.Duration
	log         string // "": bounded, in the run directory

	readyTCP     string // address:port
	readyCommand []string
	readyNotify  bool
}

// parseConfig reads parameters; program is the binary that serves ha:web.
func parseConfig(kind string, params []cluster.NVPair, program string) (config, error) {
	c := config{directory: "/", stopSignal: syscall.SIGTERM, stopTimeout: 10 * time.Second}
	values := make(map[string]string, len(params))
	for _, p := range params {
		values[p.Name] = p.Value
	}
	if err := c.parseCommon(values); err != nil {
		return config{}, err
	}
	if kind == "web" {
		return c, c.parseWeb(values, program)
	}
	return c, c.parseProcess(values)
}

func (c *config) parseCommon(values map[string]string) (err error) {
	if text, ok := values["environment"]; ok {
		if c.environment, err = Words(text); err != nil {
			return fmt.Errorf("parameter environment: %w", err)
		}
		for _, pair := range c.environment {
			if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
				return fmt.Errorf("parameter environment: %q is not of the form NAME=value", pair)
			}
		}
	}
	if text, ok := values["stop_signal"]; ok {
		if c.stopSignal, err = signalNamed(text); err != nil {
			return fmt.Errorf("parameter stop_signal: %w", err)
		}
	}
	if text, ok := values["stop_timeout"]; ok {
		if c.stopTimeout, err = cluster.ParseSeconds(text); err != nil {
			return fmt.Errorf("parameter stop_timeout: %w", err)
		}
	}
	if c.log = values["log"]; c.log != "" && !filepath.IsAbs(c.log) {
		return fmt.Errorf("parameter log: %q is not an absolute path", c.log)
	}
	return c.setUser(values["user"], values["group"])
}

func (c *config) setUser(name, group string) error {
	if name == "" && group == "" {
		return nil
	}
	if name == "" {
		name = "root"
	}
	u, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("parameter user: %w", err)
	}
	gid := u.Gid
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return fmt.Errorf("parameter group: %w", err)
		}
		gid = g.Gid
	}
	all, err := u.GroupIds()
	if err != nil {
		return fmt.Errorf("parameter user: groups of %s: %w", name, err)
	}
	ids := make([]uint32, 0, len(all)+2)
	for _, text := range append([]string{u.Uid, gid}, all...) {
		id, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return fmt.Errorf("parameter user: id of %s: %w", name, err)
		}
		ids = append(ids, uint32(id))
	}
	c.user = u
	c.credential = &syscall.Credential{Uid: ids[0], Gid: ids[1], Groups: ids[2:]}
	return nil
}

func (c *config) parseProcess(values map[string]string) (err error) {
	shell := false
	if text, ok := values["shell"]; ok {
		if shell, ok = cluster.Bool(text); !ok {
			return fmt.Errorf("parameter shell: %q is neither true nor false", text)
		}
	}
	if shell {
		c.args = []string{"/bin/sh", "-c", values["command"]}
	} else if c.args, err = Words(values["command"]); err != nil {
		return fmt.Errorf("parameter command: %w", err)
	}
	if strings.TrimSpace(values["command"]) == "" || len(c.args) == 0 {
		return errors.New("parameter command is missing")
	}
	if text, ok := values["directory"]; ok {
		if c.directory = text; !filepath.IsAbs(text) {
			return fmt.Errorf("parameter directory: %q is not an absolute path", text)
		}
	}
	if text, ok := values["ready_tcp"]; ok {
		if c.readyTCP, err = tcpAddress(text); err != nil {
			return fmt.Errorf("parameter ready_tcp: %w", err)
		}
	}
	if text, ok := values["ready_command"]; ok {
		if c.readyCommand, err = Words(text); err != nil {
			return fmt.Errorf("parameter ready_command: %w", err)
		}
		if len(c.readyCommand) == 0 {
			return errors.New("parameter ready_command is empty")
		}
	}
	if text, ok := values["ready_notify"]; ok {
		if c.readyNotify, ok = cluster.Bool(text); !ok {
			return fmt.Errorf("parameter ready_notify: %q is neither true nor false", text)
		}
	}
	return nil
}

// parseWeb makes the command that serves ha:web: this binary under another face.
func (c *config) parseWeb(values map[string]string, program string) error {
	directory, hasDirectory := values["directory"]
	content, hasContent := values["content"]
	if hasDirectory == hasContent {
		return errors.New("exactly one of the parameters directory and content is needed")
	}
	if hasDirectory && !filepath.IsAbs(directory) {
		return fmt.Errorf("parameter directory: %q is not an absolute path", directory)
	}
	port := "80"
	if text, ok := values["port"]; ok {
		port = text
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("parameter port: %q is not a port from 1 to 65535", port)
	}
	if address := values["address"]; address != "" && net.ParseIP(address) == nil {
		return fmt.Errorf("parameter address: %q is not an address", address)
	}
	c.args = []string{program, "agent-web", "--listen", net.JoinHostPort(values["address"], port)}
	if hasDirectory {
		c.args = append(c.args, "--directory="+directory)
	} else {
		c.args = append(c.args, "--content="+content)
	}
	c.readyNotify = true
	return nil
}

// tcpAddress completes a bare port.
func tcpAddress(text string) (string, error) {
	if !strings.Contains(text, ":") {
		text = "127.0.0.1:" + text
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", fmt.Errorf("%q is neither a port nor address:port", text)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("%q is not a port from 1 to 65535", port)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

func signalNamed(text string) (syscall.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil && n > 0 && n < 65 {
		return syscall.Signal(n), nil
	}
	if s := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(text), "SIG")); s != 0 {
		return s, nil
	}
	return 0, fmt.Errorf("%q is no signal", text)
}

// Words splits a command line at blanks. Quotes and backslashes work as in a
// POSIX shell; nothing is expanded.
func Words(line string) ([]string, error) {
	var (
		words []string
		word  strings.Builder
		open  bool // a word has begun
		quote rune
		slash bool
	)
	for _, r := range line {
		switch {
		case r == 0:
			return nil, errors.New("a command line cannot hold a zero byte")
		case slash:
			// Within double quotes a backslash is special before a few only.
			if quote == '"' && !strings.ContainsRune("\"\\$`\n", r) {
				word.WriteByte('\\')
			}
			if r != '\n' {
				word.WriteRune(r)
			}
			slash = false
		case r == '\\' && quote != '\'':
			slash, open = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, open = r, true
		case r == ' ' || r == '\t' || r == '\n':
			if open {
				words = append(words, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteRune(r)
			open = true
		}
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("quote %c is not closed", quote)
	case slash:
		return nil, errors.New("a backslash stands at the end")
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}
