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
	writes []write      // handed out and not durable, oldest first
	last   time.Duration
	fail   int // how many faults make writes fail

	tear    bool // some sync to come is torn by a loss of power
	tearing bool // this one is
}

type write struct {
	batch *event.Persist
	since time.Duration
}

func (d *disk) apply(p *event.Persist) {
	if err := d.stored.Apply(p); err != nil {
		panic(fmt.Sprintf("a batch that does not fit: %v", err))
	}
}

func (d *disk) wipe() {
	*d = disk{stored: event.Stored{Fresh: true}, tear: d.tear, fail: d.fail, last: d.last}
}

// age is how long the oldest sync that has not ended takes already.
func (d *disk) age(now time.Duration) time.Duration {
	if len(d.writes) == 0 {
		return 0
	}
	return now - d.writes[0].since
}

// persist writes a batch.
func (h *Host) persist(p *event.Persist) {
	d, w := &h.disk, h.w
	d.writes = append(d.writes, write{p, w.now})
	took := w.between(w.shape.Sync/2, 2*w.shape.Sync) + h.slow
	if w.chance(0.002) {
		took += w.between(10*time.Millisecond, 200*time.Millisecond)
	}
	took = max(took, d.last+1-w.now)
	d.last = w.now + took
	if d.tear && w.maySpoil() {
		boot := h.boots
		w.after(took/2, func() {
			if h.power && w.spoilt == nil && h.boots == boot && len(d.writes) > 0 && d.writes[0].batch == p {
				d.tearing, w.spoilt = true, h
				w.crash(h, w.between(2*time.Second, 20*time.Second))
			}
		})
	}
	h.inLife(took, func() {
		d.writes = d.writes[1:]
		if d.fail > 0 {
			w.count("write failed")
			h.daemonStep(event.Persisted{Seq: p.Seq, Err: fmt.Errorf("no space left on device")})
			return
		}
		lineage := d.stored.Identity.Lineage.ID
		d.apply(p)
		h.led = h.led || d.stored.Identity.Lineage.ID != lineage // its right to lead is the vote, not what it booted with
		if p.Reset && p.Identity != nil && p.Identity.Forced != nil && p.Identity.Forced.Result == "ok" {
			w.count("went on alone by the vote")
		}
		if w.watching() {
			h.stepsOnDisk(p, lineage)
		}
		h.daemonStep(event.Persisted{Seq: p.Seq})
	})
}

// crash: the power goes. A batch under way may have reached the disk.
func (d *disk) crash(w *World) {
	if len(d.writes) == 0 {
		return
	}
	w.count("power lost in a sync")
	switch {
	case d.tearing:
		w.count("store torn")
		d.tear, d.tearing = false, false
		d.stored.Torn = "a page of the last write is missing"
	case w.chance(0.5):
		d.apply(d.writes[0].batch)
	}
	d.writes = nil
}

// killed: the daemon is gone, a write that it had handed to the kernel may go on.
func (d *disk) killed(w *World) {
	if len(d.writes) > 0 && w.chance(0.5) && d.fail == 0 {
		d.apply(d.writes[0].batch)
	}
	d.writes = nil
}

// rot damages what a host's disk holds; its next daemon finds that.
func (h *Host) rot() {
	h.w.spoilt = h
	h.w.count("bit rot")
	h.disk.stored.Torn = "a checksum is wrong"
}

// restore puts an older image on a host's disk, while it has no power.
func (h *Host) restore(image *event.Stored) {
	h.w.spoilt = h
	h.w.count("disk set back")
	h.w.note("%s: its disk is set back to an older image (incarnation %d)", h.name, image.Identity.Counter)
	h.disk.stored = *image
}

// maySpoil tells whether a disk's content may be lost now. A store that was the
// only one to hold something is beyond repair: only one of several is lost at a
// time, while all has been well for a while.
func (w *World) maySpoil() bool {
	if !w.settled() {
		return false
	}
	w.spoilt = nil
	return true
}

// settled tells whether all is well, and has been for a while.
func (w *World) settled() bool {
	for _, h := range w.hosts {
		if h.daemon == nil || w.now-h.daemon.began < 15*time.Second {
			return false
		}
	}
	if w.shape.Port || w.well() != "" {
		return false
	}
	voters := 0
	for i := range w.hosts[0].daemon.state.Members {
		if w.hosts[0].daemon.state.Members[i].Voter {
			voters++
		}
	}
	return voters > 1 // of two, the other one has everything
}
