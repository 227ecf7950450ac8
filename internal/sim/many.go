package sim

import (
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Summary is what many runs showed together.
type Summary struct {
	Seeds     int            `json:"seeds"`
	Simulated time.Duration  `json:"simulated"`
	Took      time.Duration  `json:"took"`
	Events    int            `json:"events"`
	Stats     map[string]int `json:"stats"`
	Seen      map[string]int `json:"seen"` // in how many seeds it happened at least once
	Failures  []*Result      `json:"failures,omitempty"`
	Recovery  time.Duration  `json:"recovery"` // the longest
}

// Many makes the runs of count seeds from first on, on all processors. done, if
// not nil, is told of each run as it ends; when it says false no further run begins.
func Many(first uint64, count int, o Options, done func(*Result) bool) *Summary {
	// Worlds are small and make much that is short-lived.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	s := &Summary{Stats: map[string]int{}, Seen: map[string]int{}}
	began := time.Now()
	var mu sync.Mutex
	var wait sync.WaitGroup
	next := 0
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for {
				mu.Lock()
				seed := first + uint64(next)
				if next++; next > count {
					mu.Unlock()
					return
				}
				mu.Unlock()
				r := Run(seed, o)
				mu.Lock()
				s.add(r)
				if done != nil && !done(r) {
					next = count
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	s.Took = time.Since(began)
	slices.SortFunc(s.Failures, func(a, b *Result) int { return int(int64(a.Shape.Seed) - int64(b.Shape.Seed)) })
	return s
}

func (s *Summary) add(r *Result) {
	s.Seeds++
	s.Simulated += r.Simulated
	s.Events += r.Events
	s.Recovery = max(s.Recovery, r.Recovery)
	for what, n := range r.Stats {
		s.Stats[what] += n
		s.Seen[what]++
	}
	if r.Failed() {
		s.Failures = append(s.Failures, r)
	}
}

// Shrink leaves out faults of a failed run as long as it still breaks the same
// rule, and returns the smallest run found within the number of tries.
func Shrink(r *Result, o Options, tries int) *Result {
	rule := r.Breaches[0].Rule
	best := r
	attempt := func(faults []Fault, length time.Duration) bool {
		if tries--; tries < 0 {
			return false
		}
		try := RunFaults(best.Shape, faults, Options{Length: length})
		if !try.Failed() || try.Breaches[0].Rule != rule {
			return false
		}
		best, o.Length = try, length
		return true
	}
	// What comes after the breach does not matter.
	if end := r.Breaches[0].At; rule != "live" && end < o.Length {
		attempt(best.Faults, end+time.Second)
	}
	for size := len(best.Faults) / 2; size >= 1 && tries > 0; {
		progress := false
		for from := 0; from+size <= len(best.Faults) && tries > 0; {
			fewer := slices.Concat(best.Faults[:from], best.Faults[from+size:])
			if attempt(fewer, o.Length) {
				progress = true
			} else {
				from += size
			}
		}
		if !progress || size > len(best.Faults)/2 {
			size /= 2
		}
	}
	return best
}
