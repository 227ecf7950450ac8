package link

import (
	"sync/atomic"
	"time"

	"linuxha/internal/driver/clock"
)

// Vitals are the signs of life of this daemon that the heartbeat thread looks
// at before it speaks for it.
type Vitals struct {
	loop   atomic.Int64 // boot clock when the core's loop last turned
	sync   atomic.Int64 // boot clock when the oldest sync that has not ended began; 0: none
	Stream func(peer string) time.Duration
}

// LoopTurned says that the core's loop is alive.
func (v *Vitals) LoopTurned() { v.loop.Store(int64(clock.Boot())) }

// SyncBegan says that something waits to be durable.
func (v *Vitals) SyncBegan() { v.sync.CompareAndSwap(0, int64(clock.Boot())) }

// SyncEnded says that all that waited is durable.
func (v *Vitals) SyncEnded() { v.sync.Store(0) }

// ages returns how long loop and disk have stood still.
func (v *Vitals) ages(now time.Duration) (loop, sync time.Duration) {
	loop = max(now-time.Duration(v.loop.Load()), 0)
	if began := v.sync.Load(); began != 0 {
		sync = max(now-time.Duration(began), 0)
	}
	return loop, sync
}
