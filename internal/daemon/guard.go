package daemon

import (
	"errors"
	"path/filepath"

	"golang.org/x/sys/unix"

	"linuxha/internal/core/event"
	"linuxha/internal/driver/clock"
	"linuxha/internal/driver/watchdog"
)

// guard does what the core wants of the watchdog.
func (l *life) guard(action event.WatchdogAction) {
	switch action {
	case event.WatchdogArm:
		l.released = false
		l.do(l.armWatchdog)
	case event.WatchdogFeed:
		device := l.watchdog.Load()
		if device == nil {
			return
		}
		if err := device.Feed(); err != nil {
			l.d.log.Error("the watchdog will reset this host", "error", err)
			l.core.Step(clock.Now(), event.WatchdogState{Armed: true, Timeout: device.Timeout(), Err: err})
		}
	case event.WatchdogRelease:
		l.released = true
		l.releaseWatchdog()
	}
}

// releaseWatchdog disarms the watchdog if it is armed.
func (l *life) releaseWatchdog() {
	device := l.watchdog.Swap(nil)
	if device == nil {
		return
	}
	if err := device.Release(); err != nil {
		l.d.log.Error("the watchdog may reset this host", "error", err)
	}
}

// armWatchdog arms the configured watchdog and says what came of it.
func (l *life) armWatchdog() {
	state, _ := l.d.State()
	wanted := state.Config.Watchdog
	if wanted == nil {
		l.post(event.WatchdogState{Err: errors.New("no watchdog is configured any more")})
		return
	}
	device, err := watchdog.Arm(wanted.Device, wanted.Timeout)
	if err != nil {
		l.d.log.Error("there is no watchdog: without quorum this host cannot reset itself", "error", err)
		l.post(event.WatchdogState{Err: err})
		return
	}
	l.watchdog.Store(device)
	l.d.log.Info("the watchdog is armed", "device", wanted.Device, "timeout", device.Timeout())
	l.post(event.WatchdogState{Armed: true, Timeout: device.Timeout()})
}

// reset ends this host at once: nothing may be stopped in an orderly way, or be
// written to a disk, any more. A node below another root is not the host's own,
// and only ends itself.
func (d *Daemon) reset(reason string) {
	d.log.Error("this host resets itself", "reason", reason)
	if filepath.Clean(d.root.path()) != "/" {
		return
	}
	// In a process namespace of its own this ends the namespace, not the machine.
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); err != nil {
		d.log.Error("this host cannot be reset", "error", err)
	}
}
