package daemon

import (
	"sync"
	"sync/atomic"
	"time"
)

// window is how long a measured delay is remembered at least.
const window = time.Minute

// measures are the delays that this machine causes: a preset is held against them.
type measures struct {
	sync peak // from handing a batch over to its being durable
	loop peak // of the loop's timer
	beat peak // of the heartbeat thread

	dropped atomic.Uint64 // heartbeats for which the loop had no room
}

// peak is the largest of the values of the last one to two windows.
type peak struct {
	mu       sync.Mutex
	since    time.Time
	now, old time.Duration
}

func (p *peak) add(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(time.Now())
	p.now = max(p.now, d)
}

func (p *peak) get() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(time.Now())
	return max(p.now, p.old)
}

// turn begins a new window where the present one is over. Callers hold mu.
func (p *peak) turn(now time.Time) {
	switch age := now.Sub(p.since); {
	case age > 2*window:
		p.since, p.now, p.old = now, 0, 0
	case age > window:
		p.since, p.now, p.old = now, 0, p.now
	}
}
