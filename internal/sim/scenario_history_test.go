package sim

import (
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Traces that would fork the history of a cluster, and what excludes each.

// TestThreeToTwoToOne: the second to last voter dies while it goes by "the third
// is removed" and has not synced that. Who is left may go on alone only if it was
// synced; whatever boots without it must not go on.
func TestThreeToTwoToOne(t *testing.T) {
	for _, whom := range []string{"leader", "follower"} {
		perhaps(t, slowDisk(shape(3)), 10, func(s *stage) {
			dies := s.leader()
			if whom == "follower" {
				dies = 3 - s.leader()
			}
			if s.leader() == 3 {
				return // another seed has it
			}
			lives := 3 - dies
			sprung := s.when(stepSynced, dies, 0, func(h *Host) {
				h.slow += 2 * time.Second // it will go by the change, and not sync that
				s.after(800*time.Millisecond, func() {
					h.disk.writes = nil // nothing of that reaches the disk
					s.crash(dies)
				})
			})
			s.crash(3)
			s.await(30, "a change of voters", sprung)
			s.pass(12)
			s.crash(lives)
			s.host(dies).slow = 0
			s.boot(dies, 3)
			s.pass(20)
		})
	}
}

// TestTwoToThree: a voter has acknowledged a third one, and does not know yet that
// it counts, when it is cut off: it must not shoot the other and go on alone.
func TestTwoToThree(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		s.crash(3)
		s.await(30, "two voters", func() bool { return s.voters() == 2 })
		s.pass(1)
		l := s.leader()
		follower := 3 - l
		sprung := s.when(stepApplied, l, 0, func(*Host) { // the word of that is on its way to the follower
			s.isolate(follower)
			s.devices[0].apart = map[int]bool{l - 1: true, 2: true} // the others do not shoot it first
		})
		s.boot(3)
		s.await(30, "a change of voters", sprung)
		s.pass(15)
		s.heal(follower)
	})
}

// TestOneToTwoAndBack: a sole voter has added another, which dies before it
// answers: the sole voter made that change itself, so it goes on.
func TestOneToTwoAndBack(t *testing.T) {
	for k := range 4 {
		play(t, shape(2), func(s *stage) {
			s.crash(2)
			s.await(30, "n1 goes on alone", func() bool { return s.alone(1) })
			sprung := s.when(stepApplied, 1, k, func(*Host) { s.crash(2) })
			s.boot(2)
			if s.until(30*time.Second, 5*time.Millisecond, sprung) {
				s.await(40, "n1 goes on alone again", func() bool { return s.alone(1) && s.owns(1) })
			}
		})
	}
}

// TestFencingThatLeavesTheBootAlive: cutting the network is no vote.
func TestFencingThatLeavesTheBootAlive(t *testing.T) {
	shape := shape(2)
	shape.Port = true
	play(t, shape, func(s *stage) {
		s.isolate(1)
		s.never(20, "one of a pair went on alone", func() bool { return s.alone(1) || s.alone(2) })
		s.heal(1)
	})
}

// TestLeaveIsNoVote: a node says that it leaves, and is cut off before that is
// committed: its word alone lets nobody go on.
func TestLeaveIsNoVote(t *testing.T) {
	play(t, noFencing(shape(2)), func(s *stage) {
		s.host(2).stopped = true
		s.host(2).daemonStep(event.Stopping{})
		s.after(s.between(0, 30*time.Millisecond), func() { s.isolate(2) })
		s.never(20, "n1 went on alone", func() bool { return s.alone(1) && s.host(2).daemon != nil })
		s.heal(2)
	})
}

// TestPairWithoutFencing: neither time nor "fencing is off" is a vote.
func TestPairWithoutFencing(t *testing.T) {
	play(t, noFencing(shape(2)), func(s *stage) {
		s.isolate(1)
		s.never(60, "one of a pair went on alone", func() bool { return s.alone(1) || s.alone(2) })
		s.heal(1)
	})
	play(t, noFencing(shape(2)), func(s *stage) {
		s.crash(2)
		s.never(60, "one of a pair went on alone", func() bool { return s.alone(1) })
		s.boot(2)
	})
}

// TestFiveToOne: a cluster shrinks to its last node, which then loses power;
// whichever of the others boot without it, they know that they do not know.
func TestFiveToOne(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	play(t, fast(shape(5)), func(s *stage) {
		for n := 5; n > 1; n-- {
			s.crash(n)
			s.await(40, "the others go on", func() bool {
				m := s.member(n)
				return m != nil && m.Off() && !m.Voter && s.served() && s.voters() == []int{0, 1, 2, 3, 3}[n-1]
			})
			s.pass(1)
		}
		s.crash(1)
		for subset := 1; subset < 16; subset++ {
			var some []int
			for n := 2; n <= 5; n++ {
				if subset>>(n-2)&1 == 1 {
					some = append(some, n)
				}
			}
			s.boot(some...)
			s.never(8, "they went on without the survivor", func() bool { return s.leader() > 0 })
			s.crash(some...)
		}
		s.boot(1)
		s.pass(5)
	})
}

// TestTwinSoleVoters: a sole voter that boots leads only when it has reached, or
// confirmed off anew, every former voter.
func TestTwinSoleVoters(t *testing.T) {
	play(t, shape(2), func(s *stage) {
		s.crash(2)
		s.await(30, "n1 goes on alone", func() bool { return s.alone(1) })
		s.crash(1)
		s.devices[0].apart = map[int]bool{0: true} // people look after the device
		s.boot(1)
		s.never(20, "n1 leads without knowing of n2", func() bool { return s.leader() == 1 })
		s.boot(2)
		s.await(30, "both are together again", func() bool { return s.leader() > 0 && s.served() })
	})
}

// TestTwinByForce: n1 goes on alone, and loses power; an administrator forces
// quorum on n2, which knows nothing of that. Then n1 boots with its links cut, and
// later they meet: neither history came from the other, and people have to decide.
func TestTwinByForce(t *testing.T) {
	play(t, shape(2), func(s *stage) {
		s.crash(2)
		s.await(30, "n1 goes on alone", func() bool { return s.alone(1) && s.owns(1) })
		s.crash(1)
		s.boot(2)
		s.pass(12)
		s.truth.Excused = []string{"fork", "grant", "removed"} // by what the administrator does now
		if r := s.wish(2, event.Request{ForceQuorum: true}); r.Err != nil {
			t.Fatalf("%v: force quorum: %v", s, r.Err)
		}
		s.await(30, "n2 goes on alone", func() bool { return s.alone(2) && s.owns(2) })
		s.devices[0].apart = map[int]bool{0: true}
		s.isolate(1)
		s.boot(1)
		s.never(20, "n1 acts though it cannot know", func() bool { return s.leader() == 1 || s.owns(1) })
		s.heal(1)
		s.never(10, "one of two histories was given up without being asked", func() bool { return s.stats["node dropped its state"] > 0 })
		s.isolate(1)
		s.never(15, "n1 acts though it knows of another history", func() bool { return s.leader() == 1 || s.owns(1) })
		s.heal(1)
		s.host(1).switchOff() // an administrator decides for n2
		s.host(1).disk.wipe()
		s.pass(3)
		s.host(1).switchOn()
		s.pass(10)
	})
}

// TestTheOldCopyIsDropped: a node that starts from an old backup joins afresh; it
// does not make the others drop theirs.
func TestTheOldCopyIsDropped(t *testing.T) {
	for _, nodes := range []int{2, 3} {
		play(t, shape(nodes), func(s *stage) {
			old := s.host(2).disk.stored
			s.pass(5)
			s.host(2).kill()
			s.host(2).start()
			s.pass(5)
			s.host(2).switchOff()
			s.host(2).dead = true
			s.host(2).disk.stored = old
			s.pass(0.2)
			s.boot(2)
			s.await(40, "n2 joins afresh", func() bool { return s.stats["node dropped its state"] > 0 && s.well() == "" })
			for n, h := range s.hosts {
				if h.boots > 1 && n != 1 {
					return // fenced meanwhile, as one of a pair may be
				}
			}
		})
	}
}

// TestACopiedDisk: state that is bound to another machine is not used.
func TestACopiedDisk(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		s.crash(2)
		s.host(2).disk.stored.Identity.Machine = "another"
		s.pass(8)
		s.boot(2)
		s.await(40, "n2 joins afresh", func() bool { return s.stats["node dropped its state"] > 0 && s.well() == "" })
	})
}

// TestAnOldVoter: one that was a voter once, and that nobody has told, disturbs
// nobody.
func TestAnOldVoter(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		s.crash(3)
		s.await(30, "two voters", func() bool { return s.voters() == 2 })
		s.pass(1)
		s.crash(2)
		s.await(30, "n1 goes on alone", func() bool { return s.alone(1) })
		s.oneWay(1, 3, 1) // n3 does not hear n1, and n1 hears n3
		s.boot(3, 2)
		s.never(10, "n1 does not lead any more", func() bool { return s.leader() != 1 })
		s.oneWay(1, 3, -1)
	})
}

// TestRemovalOfWhatIsNotOff: a node that is lost stays a member.
func TestRemovalOfWhatIsNotOff(t *testing.T) {
	play(t, noFencing(shape(3)), func(s *stage) {
		s.isolate(3)
		s.await(20, "n3 is lost", func() bool { return s.leader() > 0 && s.member(3).State == cluster.NodeLost })
		m := s.member(3)
		s.refused(s.wish(s.leader(), event.Request{Commands: []cluster.Command{{Remove: &cluster.Remove{Node: m.Name, RaftID: m.RaftID}}}}), "unsafe", "the removal of a lost node")
		s.heal(3)
	})
}
