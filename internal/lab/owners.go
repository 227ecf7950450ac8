package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sampleInterval is how often ownership is looked at: 100 times a second.
const sampleInterval = 10 * time.Millisecond

// addressPatience is how long two claims of an address may overlap: a claim is
// given up by a process that looks every sampleInterval, when it gets time to.
// The ledger's claims end with its process: there no overlap is allowed at all.
const addressPatience = 300 * time.Millisecond

// Violation is a moment at which something had two owners.
type Violation struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"` // ledger, address, guest
	Owners []string  `json:"owners"`
}

// ownership watches the claims in a shared directory.
type ownership struct {
	dir string

	mu         sync.Mutex // guards what follows
	violations []Violation
	samples    int
	slowest    time.Duration // longest time between two samples
	reported   map[string]bool
	since      map[string]time.Time // first sight of an overlap of claims of an address
}

func watchOwnership(ctx context.Context, shared string) *ownership {
	o := &ownership{dir: filepath.Join(shared, ownersDir), reported: map[string]bool{}, since: map[string]time.Time{}}
	go func() {
		tick := time.NewTicker(sampleInterval)
		defer tick.Stop()
		last := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			err := o.sample(time.Now())
			o.mu.Lock()
			o.samples++
			o.slowest = max(o.slowest, time.Since(last))
			if err != nil {
				o.violations = append(o.violations, Violation{At: time.Now(), What: "observation failed: " + err.Error()})
			}
			o.mu.Unlock()
			last = time.Now()
			if err != nil {
				return
			}
		}
	}()
	return o
}

// sample looks once. A claim that was alive before and after another was seen
// alive was alive together with it: so the list is gone through twice.
func (o *ownership) sample(now time.Time) error {
	first, err := o.alive()
	if err != nil {
		return err
	}
	for what, owners := range first {
		if len(owners) < 2 {
			o.mu.Lock()
			delete(o.since, what)
			o.mu.Unlock()
			continue
		}
		again, err := o.alive()
		if err != nil {
			return err
		}
		var both []string
		for _, owner := range again[what] {
			for _, before := range owners {
				if owner == before {
					both = append(both, owner)
				}
			}
		}
		if len(both) > 1 {
			o.overlap(now, what, both)
		}
	}
	return nil
}

func (o *ownership) overlap(now time.Time, what string, owners []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if what == "address" {
		begin, ok := o.since[what]
		if !ok {
			o.since[what] = now
			return
		}
		if now.Sub(begin) < addressPatience {
			return
		}
	}
	key := what + strings.Join(owners, " ")
	if !o.reported[key] {
		o.reported[key] = true
		o.violations = append(o.violations, Violation{At: now, What: what, Owners: owners})
	}
}

// alive returns the claims whose processes live, by what they claim; it removes
// the others.
func (o *ownership) alive() (map[string][]string, error) {
	entries, err := os.ReadDir(o.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for owners: %w", err)
	}
	out := map[string][]string{}
	for _, e := range entries {
		what, owner, ok := strings.Cut(e.Name(), ".")
		if !ok || what == "" {
			continue // not named yet
		}
		f, err := os.Open(filepath.Join(o.dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look at an owner: %w", err)
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if err == nil {
			os.Remove(f.Name())
		}
		f.Close()
		switch {
		case errors.Is(err, unix.EWOULDBLOCK):
			out[what] = append(out[what], owner)
		case err != nil:
			return nil, fmt.Errorf("look at an owner: %w", err)
		}
	}
	return out, nil
}

// found returns what was seen so far.
func (o *ownership) found() (violations []Violation, samples int, slowest time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Violation{}, o.violations...), o.samples, o.slowest
}
