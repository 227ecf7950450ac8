package sim

import (
	"time"

	"linuxha/internal/core/event"
)

// watchdog is a device that resets its host when it is not fed in time. It has a
// clock of its own: a host that stands still is reset as well.
type watchdog struct {
	armed bool
	fed   time.Duration
}

// watchdogTimeout is what the device of every host is set to.
func (s *Shape) watchdogTimeout() time.Duration {
	if s.Timeout == 0 {
		return 2 * time.Second
	}
	return s.Timeout
}

func (h *Host) watchdog(a event.WatchdogAction) {
	w := h.w
	switch a {
	case event.WatchdogArm:
		h.dog, h.daemon.armed = watchdog{armed: true, fed: w.now}, true
		h.watch(h.boots)
		h.inLife(time.Millisecond, func() {
			h.daemonStep(event.WatchdogState{Armed: true, Timeout: w.shape.watchdogTimeout()})
		})
	case event.WatchdogFeed:
		h.dog.fed = w.now
	case event.WatchdogRelease:
		h.dog.armed = false
	}
}

// watch lets the device look when it should have been fed at the latest.
func (h *Host) watch(boot int) {
	w := h.w
	w.after(h.dog.fed+w.shape.watchdogTimeout()-w.now, func() {
		switch {
		case !h.power || h.boots != boot || !h.dog.armed:
		case w.now < h.dog.fed+w.shape.watchdogTimeout():
			h.watch(boot)
		default:
			w.count("watchdog fired")
			w.note("%s: watchdog fires", h.name)
			w.crash(h, w.between(2*time.Second, 15*time.Second))
		}
	})
}
