// Package clock reads the three clocks that the core knows.
package clock

import (
	"time"

	"golang.org/x/sys/unix"

	"linuxha/internal/core/event"
)

// Now reads all three.
func Now() event.Time { return event.Time{Mono: Mono(), Boot: Boot(), Wall: time.Now().UTC()} }

// Mono reads CLOCK_MONOTONIC, which stands still in suspend.
func Mono() time.Duration { return read(unix.CLOCK_MONOTONIC) }

// Boot reads CLOCK_BOOTTIME, which goes on in suspend.
func Boot() time.Duration { return read(unix.CLOCK_BOOTTIME) }

func read(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		panic("read clock: " + err.Error()) // Linux has both since 2.6.39
	}
	return time.Duration(t.Nano())
}
