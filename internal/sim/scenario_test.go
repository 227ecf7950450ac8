package sim

import (
	"testing"
	"time"
)

// at makes faults readable in the table.
func at(seconds float64, kind string, host int, long float64) Fault {
	return Fault{
		At: time.Duration(seconds * float64(time.Second)), Kind: kind, Host: host - 1, Link: -1, For: time.Duration(long * float64(time.Second)),
	}
}

func (f Fault) with(peer int) Fault { f.Peer = peer - 1; return f }

func shape(nodes int) Shape {
	return Shape{
		Nodes: nodes, Links: 2, Preset: "normal", Resources: 2, Group: 2, Fencing: true, FenceTime: time.Second, Sync: 2 * time.Millisecond,
	}
}

func slowDisk(s Shape) Shape  { s.Sync = 20 * time.Millisecond; return s }
func watchdogs(s Shape) Shape { s.Watchdog, s.Fencing = true, false; return s }
func noFencing(s Shape) Shape { s.Fencing = false; return s }
func fast(s Shape) Shape      { s.Preset = "fast"; return s }

// patient watchdogs take long to fire.
func patient(s Shape) Shape { s.Timeout = 5 * time.Second; return s }

// TestScenarios plays the traces of SAFETY.md that faults alone can bring about,
// each with several seeds for what is left to chance. No rule may break, and all
// must be well in the end.
func TestScenarios(t *testing.T) {
	slowFencing := func(s Shape) Shape { s.FenceTime = 8 * time.Second; return s }
	scenarios := []struct {
		name   string
		shape  Shape
		faults []Fault
		seen   string // must have happened in some seed
		seeds  int
	}{
		{"three to two to one, then power", slowDisk(shape(3)), []Fault{
			at(10, "crash", 3, 60), at(13, "crash", 2, 40), at(17, "crash", 1, 20),
		}, "fence device called", 0},
		{"two to three while the leader dies", slowDisk(shape(3)), []Fault{
			at(5, "stop", 3, 1), at(26.2, "crash leader", 1, 30), at(26.6, "isolate", 2, 5),
		}, "", 0},
		{"five to one, then all return without the survivor", shape(5), []Fault{
			at(5, "crash", 5, 60), at(10, "crash", 4, 60), at(15, "crash", 3, 60), at(20, "crash", 2, 60), at(30, "crash", 1, 60),
		}, "leader crashed", 0},
		{"a pair on a dead switch", shape(2), []Fault{at(10, "isolate", 1, 40)}, "fence device called", 0},
		{"a pair on a dead switch without its fence device", shape(2), []Fault{at(9, "fence fails", 1, 60), at(10, "isolate", 1, 40)}, "fence device failed", 0},
		{"a pair without fencing", noFencing(shape(2)), []Fault{at(10, "isolate", 1, 20), at(40, "crash", 2, 20)}, "", 0},
		{"twin sole voters", shape(2), []Fault{
			at(10, "crash", 2, 60), at(20, "crash", 1, 20), at(25, "cut", 1, 40).with(2),
		}, "", 0},
		{"a fencing whose caller dies", slowFencing(shape(3)), []Fault{at(10, "crash in fencing", 3, 10)}, "leader crashed in mid-fencing", 0},
		{"a fencing that comes late", slowFencing(shape(3)), []Fault{at(10, "crash", 3, 3), at(12, "kill", 1, 2), at(30, "crash leader", 1, 5)}, "", 0},
		{"an operation whose daemon dies", shape(3), []Fault{
			{At: 9 * time.Second, Kind: "agent", Host: 0, For: time.Minute, Text: "start slow"}, {At: 9 * time.Second, Kind: "agent", Host: 1, For: time.Minute, Text: "start slow"},
			at(10, "standby", 1, 10).with(1), at(10.6, "kill", 1, 0.5), at(10.6, "kill", 2, 0.5), at(10.6, "kill", 3, 0.5),
			at(30, "standby", 1, 10).with(2), at(30.06, "kill", 1, 0.5), at(30.06, "kill", 2, 1.5), at(30.06, "kill", 3, 0.5),
			at(50, "standby", 1, 10).with(3), at(50.1, "kill", 1, 0.5), at(50.1, "kill", 2, 0.5), at(50.1, "kill", 3, 0.5),
		}, "orphaned operation", 8},
		{"one-way links", shape(3), []Fault{at(10, "isolate one way", 1, 8).with(2), at(40, "isolate one way", 3, 8).with(1)}, "", 0},
		{"a leader that stands still", shape(3), []Fault{at(10, "pause", 1, 3), at(30, "suspend", 1, 6), at(50, "pause", 2, 0.9)}, "", 0},
		{"a stuck disk under a live heartbeat", shape(3), []Fault{at(10, "stuck disk", 1, 12)}, "heartbeats held back", 0},
		{"a whole site without power", shape(5), []Fault{at(10, "site", 1, 10), at(60, "site", 1, 5), at(61, "torn write", 2, 1)}, "", 0},
		{"a torn store", shape(3), []Fault{at(20, "torn write", 2, 1)}, "store torn", 0},
		{"a cut minority gives up, its watchdogs see to it", watchdogs(shape(5)), []Fault{
			{At: 9 * time.Second, Kind: "agent", Host: 0, For: 60 * time.Second, Text: "stop hangs"}, at(10, "isolate", 1, 30), at(60, "isolate", 3, 30),
		}, "watchdog fired", 0},
		{"a node that is not confirmed off is not removed", noFencing(shape(3)), []Fault{at(8, "remove", 1, 20), at(10, "isolate", 3, 15)}, "wish refused: unsafe", 0},
		{"orders of a deposed leader", shape(3), []Fault{
			{At: 10 * time.Second, Kind: "late orders", Rate: 0.1}, {At: 30 * time.Second, Kind: "late orders", Rate: 0.1, Peer: 1}, {At: 50 * time.Second, Kind: "late orders", Rate: 0.1},
		}, "order of an older term", 8},
		{"orders that a report has overtaken", shape(3), []Fault{
			{At: 10 * time.Second, Kind: "late orders", Rate: 0.9}, {At: 30 * time.Second, Kind: "late orders", Rate: 0.9, Peer: 1}, {At: 50 * time.Second, Kind: "late orders", Rate: 0.9},
		}, "message late", 8},
		{"people confirm what is off", noFencing(shape(3)), []Fault{at(9, "confirm", 1, 20), at(10, "crash", 3, 30)}, "", 0},
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			happened := 0
			for seed := range uint64(max(s.seeds, 2)) {
				s.shape.Seed = 1000 + seed
				r := RunFaults(s.shape, s.faults, Options{Length: 90 * time.Second})
				for _, b := range r.Breaches {
					t.Errorf("seed %d: %v", s.shape.Seed, b)
				}
				happened += r.Stats[s.seen]
			}
			if s.seen != "" && happened == 0 {
				t.Errorf("it never happened: %s", s.seen)
			}
		})
	}
}
