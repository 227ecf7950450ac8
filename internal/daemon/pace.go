package daemon

import (
	"runtime"
	"time"

	"linuxha/internal/core/event"
)

// How many threads run Go code at a time. A quiet node's wake-ups are so many and
// so short that each further thread costs half as much again: woken to look for
// work, it finds none. As soon as there is something to do, the loop has to go on
// beside what takes long, such as planning.
const (
	threadsAtRest = 1
	threadsAtWork = 2
	restAfter     = time.Second // without anything but heartbeats
)

// pace adapts the number of threads to what the core wants.
type pace struct {
	threads int
	worked  time.Duration // when there was last something to do
}

func (p *pace) turn(now time.Duration, r *event.Ready) {
	if r.Persist != nil || r.Schedule != nil || len(r.Operations) > 0 || len(r.Fences) > 0 {
		p.worked = now
		p.set(threadsAtWork)
	} else if now-p.worked > restAfter {
		p.set(threadsAtRest)
	}
}

func (p *pace) set(threads int) {
	if p.threads != threads {
		p.threads = threads
		runtime.GOMAXPROCS(threads)
	}
}
