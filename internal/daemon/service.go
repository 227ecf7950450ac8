package daemon

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Unit is the systemd unit of the daemon. Services that the daemon starts are
// not to end with it: KillMode is process.
const Unit = `[Unit]
Description=Linux-HA cluster node
Documentation=man:ha(8)
Wants=network-online.target
After=network-online.target dbus.service time-sync.target
StartLimitIntervalSec=60
StartLimitBurst=60

[Service]
Type=notify
NotifyAccess=main
ExecStart=%s daemon
ExecReload=/bin/kill -HUP $MAINPID
KillMode=process
Restart=on-failure
RestartSec=100ms
TimeoutStopSec=30min
TasksMax=infinity
LimitNOFILE=65536
Delegate=yes

[Install]
WantedBy=multi-user.target
`

// unitName is what administrators type after systemctl.
const unitName = "ha.service"

// StartService has systemd run the daemon now and at every boot. It reports
// false where systemd does not run this host, or the node is not the host's
// own but one below another root.
func StartService(ctx context.Context, root Root) (bool, error) {
	if _, err := os.Stat("/run/systemd/system"); err != nil || filepath.Clean(root.path()) != "/" {
		return false, nil
	}
	program, err := os.Executable()
	if err != nil {
		return false, fmt.Errorf("install the service: %w", err)
	}
	if !exists("/lib/systemd/system/" + unitName) { // a package brings its own
		if err := writeFile("/etc/systemd/system/"+unitName, fmt.Appendf(nil, Unit, program), 0o644); err != nil {
			return false, fmt.Errorf("install the service: %w", err)
		}
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", "--now", unitName}} {
		if out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput(); err != nil {
			return false, fmt.Errorf("systemctl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
		}
	}
	return true, nil
}

// startTime is how long a daemon in the background has to come up.
const startTime = 20 * time.Second

// StartBackground runs the daemon in the background, in a session of its own,
// and waits until it answers.
func StartBackground(ctx context.Context, root Root) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	log, err := os.OpenFile(root.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	defer log.Close()
	args := []string{"daemon"}
	if root != "" {
		args = append(args, "--root", string(root))
	}
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the daemon: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for {
		conn, err := net.Dial("unix", root.Socket())
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the daemon ended at once (%v); see %s", err, root.Log())
		case <-ctx.Done():
			return fmt.Errorf("the daemon does not answer; see %s", root.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
