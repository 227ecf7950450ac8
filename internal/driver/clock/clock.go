// Package clock reads the three clocks that the core knows.
package clock

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"linuxha/internal/core/event"
)

// Now reads all three.
func Now() event.Time { return event.Time{Mono: Mono(), Boot: Boot(), Wall: time.Now().UTC()} }

// Mono reads CLOCK_MONOTONIC, which stands still in suspend.
func Mono() time.Duration { return read(unix.CLOCK_MONOTONIC) }

// Boot reads CLOCK_BOOTTIME, which goes on in suspend.
func Boot() time.Duration { return read(unix.CLOCK_BOOTTIME) }

// read asks the kernel without telling the Go scheduler: the call takes a
// fraction of a microsecond, and telling would wake the runtime's monitor thread,
// which costs a quiet daemon more than all that it does.
func read(id int32) time.Duration {
	var t unix.Timespec
	if _, _, err := unix.RawSyscall(unix.SYS_CLOCK_GETTIME, uintptr(id), uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		panic("read clock: " + err.Error()) // Linux has both since 2.6.39
	}
	return time.Duration(t.Nano())
}
