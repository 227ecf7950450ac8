package sim

import (
	"fmt"
	"time"

	"linuxha/internal/core/event"
)

// disk is a host's store. A batch is durable when its sync has ended; one that is
// under way when the power goes may be there afterwards or not.
type disk struct {
	stored event.Stored // what a start would find
	batch  *event.Persist
	since  time.Duration // when batch was handed out
	fail   bool          // writes fail

	tear    bool // some sync to come is torn by a loss of power
	tearing bool // this one is
}

func (d *disk) apply(p *event.Persist) {
	if err := d.stored.Apply(p); err != nil {
		panic(fmt.Sprintf("a batch that does not fit: %v", err))
	}
}

func (d *disk) wipe() {
	*d = disk{stored: event.Stored{Fresh: true}, tear: d.tear, fail: d.fail}
}

// age is how long the oldest sync that has not ended takes already.
func (d *disk) age(now time.Duration) time.Duration {
	if d.batch == nil {
		return 0
	}
	return now - d.since
}

// persist writes a batch.
func (h *Host) persist(p *event.Persist) {
	d, w := &h.disk, h.w
	d.batch, d.since = p, w.now
	took := w.between(w.shape.Sync/2, 2*w.shape.Sync) + h.slow
	if w.chance(0.002) {
		took += w.between(10*time.Millisecond, 200*time.Millisecond)
	}
	// A store that was the only one to hold something is beyond repair: only one of
	// several is torn, while all is well.
	if d.tear && len(w.hosts) > 1 && w.well() == "" {
		boot := h.boots
		w.after(took/2, func() {
			if h.power && h.boots == boot && d.batch == p {
				d.tearing = true
				w.crash(h, w.between(2*time.Second, 20*time.Second))
			}
		})
	}
	h.inLife(took, func() {
		d.batch = nil
		if d.fail {
			w.count("write failed")
			h.daemonStep(event.Persisted{Seq: p.Seq, Err: fmt.Errorf("no space left on device")})
			return
		}
		d.apply(p)
		h.daemonStep(event.Persisted{Seq: p.Seq})
	})
}

// crash: the power goes. A batch under way may have reached the disk.
func (d *disk) crash(w *World) {
	if d.batch == nil {
		return
	}
	w.count("power lost in a sync")
	switch {
	case d.tearing:
		w.count("store torn")
		d.tear, d.tearing = false, false
		d.stored.Torn = "a page of the last write is missing"
	case w.chance(0.5):
		d.apply(d.batch)
	}
	d.batch = nil
}

// killed: the daemon is gone, a write that it had handed to the kernel may go on.
func (d *disk) killed(w *World) {
	if d.batch != nil && w.chance(0.5) && !d.fail {
		d.apply(d.batch)
	}
	d.batch = nil
}
