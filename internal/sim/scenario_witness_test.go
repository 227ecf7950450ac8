package sim

import (
	"testing"
	"time"

	"linuxha/internal/core/event"
)

func witnessed(s Shape) Shape { s.Witness = true; return s }

// TestTheWitnessLeavesWithTheNode: of {n1, n2, witness} n2 is lost. One change makes
// n1 the only voter; {n1, witness} would need both.
func TestTheWitnessLeavesWithTheNode(t *testing.T) {
	play(t, witnessed(shape(3)), func(s *stage) {
		s.crash(2)
		s.await(20, "n1 is the only voter", func() bool { return s.alone(1) && s.owns(1) })
		s.devices[0].fails = s.now + time.Hour // nobody could fence the witness
		s.crash(3)
		s.never(20, "n1 does not lead without a witness that does not vote", func() bool { return s.leader() != 1 })
		s.host(1).agents.die("r1")
		s.pass(1)
		s.await(20, "what dies is started again", s.served)
	})
}

// TestTheWitnessLeadsBriefly: n1 and the witness hold the newest entry when n1
// dies: n2 cannot win before the witness has told it.
func TestTheWitnessLeadsBriefly(t *testing.T) {
	play(t, witnessed(shape(3)), func(s *stage) {
		s.wish(s.leader(), event.Request{Transfer: &s.host(1).name})
		s.await(10, "n1 leads", func() bool { return s.leader() == 1 })
		s.pass(2)
		s.isolate(2)
		s.pass(0.1)
		if r := s.wish(1, online("n1")); r.Err != nil { // an entry that n2 does not get
			t.Errorf("%v: %v", s, r.Err)
		}
		s.crash(1)
		s.heal(2)
		s.await(20, "n2 leads and runs everything", func() bool { return s.leader() == 2 && s.owns(2) })
	})
}

// TestTheWitnessMakesUpForTwo: a node and the witness outvote the other node.
func TestTheWitnessMakesUpForTwo(t *testing.T) {
	play(t, watchdogs(witnessed(shape(3))), func(s *stage) {
		s.isolate(1)
		s.await(30, "n2 runs everything, and n1 nothing", func() bool { return s.owns(2) && s.leader() > 1 })
		s.heal(1)
	})
}

// TestTheLastNodeLeavesTheWitness: both nodes leave, one after the other. The
// witness is left as the only voter, so that any of them can come back without the other.
func TestTheLastNodeLeavesTheWitness(t *testing.T) {
	perhaps(t, witnessed(shape(3)), 10, func(s *stage) {
		gone := func(n int) func() bool { return func() bool { return s.host(n).daemon == nil } }
		s.leave(1)
		s.await(30, "n1 has left", gone(1))
		s.leave(2)
		s.await(30, "n2 has left", gone(2))
		s.await(10, "the witness decides alone", func() bool { return s.alone(3) })
		s.host(1).stopped = false
		s.host(1).start()
		s.await(30, "n1 is back and runs everything", func() bool { return s.leader() == 1 && s.owns(1) })
	})
}
