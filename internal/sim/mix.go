package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// mix is every kind of fault with its weight.
var mix = []struct {
	kind   string
	weight int
}{
	{"crash", 12}, {"crash leader", 6}, {"kill", 8}, {"orphan", 4}, {"crash in operation", 3}, {"migration cut", 4}, {"pause", 6}, {"suspend", 3}, {"flapping", 2}, {"site", 3}, {"crash in fencing", 4},
	{"cut", 6}, {"cut one way", 6}, {"isolate", 5}, {"isolate one way", 4}, {"split", 4}, {"link down", 4}, {"carrier", 3},
	{"loss", 4}, {"delay", 3}, {"duplicates", 2}, {"reorder", 2}, {"late orders", 4},
	{"slow disk", 3}, {"stuck disk", 3}, {"full disk", 1}, {"torn write", 5}, {"bit rot", 3}, {"set back", 6}, {"lose disk", 3},
	{"wall clock", 2}, {"slow loop", 2},
	{"service dies", 8}, {"agent", 8}, {"fence fails", 5}, {"fence slow", 4}, {"fence out of reach", 5},
	{"standby", 5}, {"move", 8}, {"transfer", 4}, {"fence", 2}, {"refresh", 2}, {"stop", 4}, {"restart", 5}, {"upgrade", 2}, {"config", 4},
	{"remove", 5}, {"confirm", 3},
	{"voter change", 12}, {"survivor", 4}, {"last word", 4}, {"late vote", 8}, {"cut off", 8}, {"flap", 4}, {"confirm heard", 6},
}

// planFaults draws the faults of a seed's run, each kind by itself: what is added to
// one leaves the others as they are.
func planFaults(s Shape, length time.Duration) []Fault {
	return inOrder(mixed(s, length, s.rand(2)), stuckStreams(s, length, s.rand(6)), beside(s, length, s.rand(5)), fitting(s, length, s.rand(7)), lateRequests(s, length, s.rand(8)), ofThree(s, length, s.rand(9)))
}

func inOrder(lists ...[]Fault) []Fault {
	faults := slices.Concat(lists...)
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return faults
}

// rand returns the seed's own randomness for one purpose.
func (s *Shape) rand(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, purpose)) }

// stuckStreams gives every fourth run streams that stand still.
func stuckStreams(s Shape, length time.Duration, rng *rand.Rand) (faults []Fault) {
	if s.Nodes < 2 || rng.IntN(4) > 0 {
		return nil
	}
	for range 1 + int(length/(2*time.Minute)) {
		f := Fault{Kind: "stuck stream", At: time.Duration(rng.Int64N(int64(length))), Host: rng.IntN(s.Nodes), Link: rng.IntN(s.Links+1) - 1}
		f.Peer = (f.Host + 1 + rng.IntN(s.Nodes-1)) % s.Nodes
		f.For = time.Second + time.Duration(rng.Int64N(int64(15*time.Second)))
		f.Text = []string{"", "both ways"}[rng.IntN(2)]
		faults = append(faults, f)
	}
	return faults
}

// lateRequests gives every third run of three hosts and more requests that are held
// up on their way.
func lateRequests(s Shape, length time.Duration, rng *rand.Rand) []Fault {
	if s.Nodes < 3 || rng.IntN(3) > 0 {
		return nil
	}
	return aimedFaults(s, length, rng, "late request")
}

// ofThree draws faults that need the third of three nodes: in every second run, and in
// each of the rare ones with watchdogs beside fencing.
func ofThree(s Shape, length time.Duration, rng *rand.Rand) []Fault {
	if s.Nodes != 3 || s.Witness || !s.Fencing || s.Port || s.Storage && !s.Beside {
		return nil
	}
	kinds := []string{"left behind"}
	if s.countsTime() && !s.Storage {
		kinds = append(kinds, "final loss", "final loss")
	} else if rng.IntN(2) > 0 {
		return nil
	}
	return aimedFaults(s, length, rng, kinds...)
}

// rareKinds are faults that the mix would hardly meet.
var rareKinds = []string{"late start", "late start", "late word", "late word", "leave cut", "voter change"}

// beside draws a few of rareKinds in every second run.
func beside(s Shape, length time.Duration, rng *rand.Rand) []Fault {
	if rng.IntN(2) == 0 {
		return nil
	}
	return aimedFaults(s, length, rng, rareKinds...)
}

// aimedFaults draws one fault of the kinds, and another one for every two minutes.
func aimedFaults(s Shape, length time.Duration, rng *rand.Rand, kinds ...string) (faults []Fault) {
	for range 1 + int(length/(2*time.Minute)) {
		faults = append(faults, aimedFault(s, length, rng, kinds))
	}
	return faults
}

func aimedFault(s Shape, length time.Duration, rng *rand.Rand, kinds []string) Fault {
	f := Fault{At: time.Duration(rng.Int64N(int64(length))), Kind: kinds[rng.IntN(len(kinds))], Host: rng.IntN(s.Nodes), Link: -1}
	f.Peer = (f.Host + 1 + rng.IntN(max(s.Nodes-1, 1))) % s.Nodes
	f.aim(rng)
	return f
}

// fitting draws, in every third run, some faults against the clauses that count in
// such a world: elsewhere they would come to nothing.
func fitting(s Shape, length time.Duration, rng *rand.Rand) (faults []Fault) {
	kinds := s.fittingKinds()
	if len(kinds) == 0 || rng.IntN(3) != 0 {
		return nil
	}
	for range 1 + int(length/time.Minute) {
		f := aimedFault(s, length, rng, kinds)
		switch f.Kind {
		case "cut off": // for as long as the watchdog allows
			f.Text, f.Rate = "stop hangs", 0.7+0.3*rng.Float64()
		case "voter change":
			f.Text = "isolate"
		case "late start", "late word": // half of them come first of all when the links are back
			f.Rate = max(0, 2*rng.Float64()-1)
		}
		faults = append(faults, f)
	}
	return faults
}

// fittingKinds are the faults that a world is made for.
func (s *Shape) fittingKinds() (kinds []string) {
	if s.Nodes < 3 {
		return nil
	}
	kinds = append(kinds, "former leader")
	if s.countsTime() {
		kinds = append(kinds, "late start", "mute")
	}
	if s.countsTime() && s.Timeout > 2*time.Second {
		kinds = append(kinds, "cut off", "cut off")
	}
	if !s.Fencing {
		return append(kinds, "late start", "confirm heard") // it is back in the same life, or people are asked
	}
	if s.Nodes == 3 {
		return append(kinds, "voter change", "voter change")
	}
	return append(kinds, "late word", "late word")
}

// countsTime tells whether others may count on a node's watchdog.
func (s *Shape) countsTime() bool {
	return s.Watchdog && (s.NoQuorum == "" || s.NoQuorum == "fence")
}

func mixed(s Shape, length time.Duration, rng *rand.Rand) []Fault {
	var faults []Fault
	total := 0
	for _, m := range mix {
		total += m.weight
	}
	gap := time.Duration(4+rng.IntN(30)) * time.Second
	exponential := func(mean time.Duration) time.Duration { return time.Duration(rng.ExpFloat64() * float64(mean)) }
	for at := exponential(gap); at < length; at += exponential(gap) {
		pick := rng.IntN(total)
		f := Fault{At: at, Host: rng.IntN(s.Nodes), Link: rng.IntN(s.Links)}
		for _, m := range mix {
			if pick -= m.weight; pick < 0 {
				f.Kind = m.kind
				break
			}
		}
		f.Peer = (f.Host + 1 + rng.IntN(max(s.Nodes-1, 1))) % s.Nodes
		if rng.IntN(3) == 0 {
			f.Link = -1
		}
		f.For = 50*time.Millisecond + exponential(4*time.Second)
		switch f.Kind {
		case "crash", "crash leader", "crash in fencing", "site", "stop":
			f.For += time.Duration(rng.IntN(30)) * time.Second
		case "kill", "orphan":
			f.For = 20*time.Millisecond + exponential(1500*time.Millisecond)
		case "late orders":
			f.Rate = rng.Float64()
		case "loss", "duplicates":
			f.Rate = 0.02 + 0.6*rng.Float64()*rng.Float64()
		case "pause", "suspend":
			f.For = exponential(2 * time.Second)
		case "agent":
			f.Text = []string{"start", "stop", "monitor", "monitor", "promote", "demote", "migrate_to", "migrate_from"}[rng.IntN(8)] + []string{" fails", " slow", " hangs"}[rng.IntN(3)]
		case "fence fails", "fence slow", "fence out of reach":
			f.For += time.Duration(rng.IntN(20)) * time.Second
		default:
			f.aim(rng)
		}
		faults = append(faults, f)
		// Troubles like company.
		if rng.IntN(4) == 0 {
			at += time.Duration(rng.IntN(1500)) * time.Millisecond
			at -= exponential(gap)
			at = max(at, f.At)
		}
	}
	return faults
}
