// Package watchdog drives a device that resets the host when it is not fed in
// time: a Linux watchdog, or one outside the host behind a unix socket.
package watchdog

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Device is an armed watchdog. When its holder dies, it stays armed.
type Device struct {
	impl    device
	timeout time.Duration
}

// device is a kind of watchdog.
type device interface {
	feed() error
	// release disarms the device.
	release() error
	// close lets go of it, armed.
	close() error
}

// Arm begins the countdown of the device at path. The device decides what
// time-out it really has: Timeout tells.
func Arm(path string, timeout time.Duration) (*Device, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("arm the watchdog: %w", err)
	}
	var d *Device
	switch info.Mode().Type() {
	case fs.ModeSocket:
		d, err = armSocket(path, timeout)
	case fs.ModeDevice | fs.ModeCharDevice:
		d, err = armKernel(path, timeout)
	default:
		err = errors.New("neither a watchdog device nor a socket")
	}
	if err != nil {
		return nil, fmt.Errorf("arm the watchdog %s: %w", path, err)
	}
	return d, nil
}

// Timeout is how long after it was last fed the device resets the host.
func (d *Device) Timeout() time.Duration { return d.timeout }

// Feed begins the countdown anew.
func (d *Device) Feed() error {
	if err := d.impl.feed(); err != nil {
		return fmt.Errorf("feed the watchdog: %w", err)
	}
	return nil
}

// Release disarms the device; a device that cannot be disarmed resets the host.
func (d *Device) Release() error {
	if err := errors.Join(d.impl.release(), d.impl.close()); err != nil {
		return fmt.Errorf("release the watchdog: %w", err)
	}
	return nil
}

// Abandon lets go of the device while the countdown goes on.
func (d *Device) Abandon() error { return d.impl.close() }

// kernel is a Linux watchdog (Documentation/watchdog/watchdog-api.rst).
type kernel struct{ file *os.File }

func armKernel(path string, timeout time.Duration) (*Device, error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	fd := int(file.Fd())
	// Whole seconds, rounded up: the device must not be quicker than was asked.
	seconds := int((timeout + time.Second - 1) / time.Second)
	if err := unix.IoctlSetPointerInt(fd, unix.WDIOC_SETTIMEOUT, seconds); err != nil {
		// Some devices have one time-out only: what it is, is told below.
		if !errors.Is(err, unix.ENOTSUP) && !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EINVAL) {
			return nil, errors.Join(fmt.Errorf("set its time-out: %w", err), disarm(file), file.Close())
		}
	}
	real, err := unix.IoctlGetInt(fd, unix.WDIOC_GETTIMEOUT)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("ask for its time-out: %w", err), disarm(file), file.Close())
	}
	d := &Device{impl: &kernel{file}, timeout: time.Duration(real) * time.Second}
	return d, d.impl.feed()
}

func (k *kernel) feed() error {
	_, err := k.file.Write([]byte{0})
	return err
}

func (k *kernel) release() error { return disarm(k.file) }
func (k *kernel) close() error   { return k.file.Close() }

// disarm writes the letter after which closing stops the countdown.
func disarm(file *os.File) error {
	_, err := file.Write([]byte("V"))
	return err
}

// socket is a watchdog outside this host: it reads lines, "arm MILLISECONDS",
// "feed" and "release", and goes on counting when the connection ends.
type socket struct{ conn net.Conn }

// Bounds of a write: a watchdog that does not read is as good as none. Feeding is
// tried again soon; releasing is not.
const (
	socketTime  = 100 * time.Millisecond
	releaseTime = time.Second
)

func armSocket(path string, timeout time.Duration) (*Device, error) {
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return nil, err
	}
	s := &socket{conn}
	if err := s.say(fmt.Sprintf("arm %d", timeout.Milliseconds()), socketTime); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &Device{impl: s, timeout: timeout}, nil
}

func (s *socket) say(line string, limit time.Duration) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	_, err := s.conn.Write([]byte(line + "\n"))
	return err
}

func (s *socket) feed() error    { return s.say("feed", socketTime) }
func (s *socket) release() error { return s.say("release", releaseTime) }
func (s *socket) close() error   { return s.conn.Close() }
