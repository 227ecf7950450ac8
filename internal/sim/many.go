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
	Recovery  struct {
		Median  time.Duration `json:"median"`
		P99     time.Duration `json:"p99"`
		Longest time.Duration `json:"longest"`
	} `json:"recovery"`

	recoveries []time.Duration
}

// Wanted must happen at least once in 20 seeds of ten minutes on average: without
// them a run would prove little.
var Wanted = []string{
	"leader crashed", "leader crashed in mid-fencing", "leader fenced", "crash with operations in flight", "fault flapping", "fault site",
	"orphaned operation", "fault pause", "fault suspend", "fault slow loop", "fault wall clock", "world with clocks that drift",
	"fault cut one way", "fault isolate one way", "fault mute", "fault former leader", "fault late request", "fault final loss", "fault left behind", "fault split", "fault link down", "fault carrier", "fault loss", "fault flap",
	"datagram duplicated", "datagram out of order", "message late", "stream moved to another link", "dial too slow",
	"order of an older term", "order overtaken by a report", "order for a former life",
	"power lost in a sync", "store torn", "bit rot", "disk set back", "write failed", "heartbeats held back", "stream stands still",
	"fence device called", "fence device failed", "fence device slow", "fencing result after its daemon", "fencing hit a later life",
	"storage cut", "node unfenced", "supply switched off", "supply switched on",
	"went on alone by the vote", "quorum forced by people", "node dropped its state", "given up without quorum", "watchdog fired", "watchdog deadline",
	"agent fails", "agent slow", "agent hangs", "service died", "operation promote", "operation demote", "migrated", "migration cut",
	"daemon upgraded", "daemon downgraded", "upgrade taken back", "version refused", "format raised", "command of the next version", "message of the next version", "message of an unknown kind",
	"fault stop", "fault standby", "fault move", "fault transfer", "fault config", "fault confirm heard", "wish refused: unsafe",
	"write acknowledged", "write never answered", "satellite", "world with a witness", "world with watchdogs alone",
}

// Rare returns what of Wanted has not happened often enough.
func (s *Summary) Rare() (list []string) {
	for _, what := range Wanted {
		if s.Stats[what]*20 < s.Seeds {
			list = append(list, what)
		}
	}
	return list
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
	slices.Sort(s.recoveries)
	if n := len(s.recoveries); n > 0 {
		s.Recovery.Median, s.Recovery.P99, s.Recovery.Longest = s.recoveries[n/2], s.recoveries[n*99/100], s.recoveries[n-1]
	}
	slices.SortFunc(s.Failures, func(a, b *Result) int { return int(int64(a.Shape.Seed) - int64(b.Shape.Seed)) })
	return s
}

func (s *Summary) add(r *Result) {
	s.Seeds++
	s.Simulated += r.Simulated
	s.Events += r.Events
	s.recoveries = append(s.recoveries, r.Recovery)
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
