package sim

import (
	"testing"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// withRole configures the world, r1 stopped or not.
func (s *stage) withRole(n int, stopped bool) {
	s.t.Helper()
	c := s.shape.config()
	for i := range c.Resources {
		if c.Resources[i].ID == "r1" && stopped {
			c.Resources[i].Meta = attributes("r1-role", "target-role", "Stopped")
		}
	}
	if r := s.wish(n, event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: c}}}}); r.Err != nil {
		s.t.Errorf("%v: configure: %v", s, r.Err)
	}
}

// alarms tells whether a host's status says that another history is heard.
func (s *stage) alarms(n int) bool {
	d := s.host(n).daemon
	return d != nil && d.local != nil && d.local.Forked != ""
}

// giveUp is what people do about the history of a host: its daemon is stopped, which
// stops its services, its state is removed, and it joins anew.
func (s *stage) giveUp(n int) {
	s.t.Helper()
	s.leave(n)
	s.await(30, "the daemon stops everything and ends", func() bool { return s.host(n).daemon == nil })
	for _, x := range s.shape.services() {
		for _, owner := range s.truth.Owners(x.Name) {
			if owner == s.host(n).name {
				s.t.Errorf("%v: its daemon has ended, and %s runs on %s", s, x.Name, owner)
			}
		}
	}
	s.host(n).disk.wipe()
	s.host(n).stopped = false
	s.host(n).start()
}

// TestPartedHistories: n1 goes on alone and loses power; people force quorum on n2,
// which knows nothing of that; n1 boots. Neither history came from the other: what
// runs on n2 goes on, nothing is granted, nobody fenced, and both say so, until they
// do not hear each other or people have decided.
func TestPartedHistories(t *testing.T) {
	play(t, shape(2), func(s *stage) {
		s.withRole(s.leader(), true)
		s.crash(2)
		s.await(30, "n1 goes on alone", func() bool { return s.alone(1) })
		s.crash(1)
		s.boot(2)
		s.pass(12)
		s.truth.Excused = []string{"fork", "grant", "removed"} // by what people do now
		if r := s.wish(2, event.Request{ForceQuorum: true}); r.Err != nil {
			t.Fatalf("%v: force quorum: %v", s, r.Err)
		}
		others := func() bool { return len(s.truth.Owners("g1")) == 1 && len(s.truth.Owners("r2")) == 1 }
		s.await(30, "n2 goes on alone", func() bool { return s.alone(2) && others() })
		boots := s.host(2).boots
		s.devices[0].apart = map[int]bool{0: true} // else n1 may confirm n2 off, whenever it does not hear it
		s.boot(1)
		s.await(15, "both say that they have parted", func() bool { return s.alarms(1) && s.alarms(2) })
		s.withRole(2, false)
		s.never(15, "r1 was granted, or something that ran does not any more", func() bool { return len(s.truth.Owners("r1")) > 0 || !others() })
		s.refused(s.wish(1, event.Request{ForceQuorum: true}), "unsafe", "forcing quorum beside a quorate history")
		s.isolate(1)
		s.await(10, "n2 grants again when n1 is heard no more", func() bool { return s.owns(2) })
		s.heal(1)
		s.await(10, "both say so again", func() bool { return s.alarms(1) && s.alarms(2) })
		s.never(5, "what ran does not any more", func() bool { return !s.owns(2) })
		s.giveUp(1)
		s.await(60, "n1 has joined afresh", func() bool { return s.well() == "" && !s.alarms(1) && !s.alarms(2) })
		if s.host(2).boots != boots {
			t.Errorf("%v: n2 was fenced", s)
		}
	})
}

// TestPartedBehindAFollower: people force quorum on n3 though n1 and n2 have a
// majority, and then n3 and one of the others hear each other. The leader of the
// majority hears nothing of n3 itself, and grants nothing either.
func TestPartedBehindAFollower(t *testing.T) {
	play(t, noFencing(shape(3)), func(s *stage) {
		s.withRole(s.leader(), true)
		s.await(10, "r1 is stopped", func() bool { return len(s.truth.Owners("r1")) == 0 })
		s.isolate(3)
		s.await(20, "n3 is lost", func() bool { l := s.leader(); return l > 0 && l < 3 && s.member(3).State == cluster.NodeLost })
		s.pass(10) // what n3 ran has stopped
		leader := s.leader()
		follower := 3 - leader
		s.truth.Excused = []string{"fork", "grant", "removed", "owner", "confirm", "acked"} // by what people do now
		if r := s.wish(3, event.Request{ForceQuorum: true}); r.Err != nil {
			t.Fatalf("%v: force quorum: %v", s, r.Err)
		}
		s.await(30, "n3 goes on alone", func() bool { return s.host(3).leads() && s.host(3).daemon.local.Quorate })
		s.cut(3, follower, -1)
		s.await(10, "everybody says that they have parted", func() bool { return s.alarms(1) && s.alarms(2) && s.alarms(3) })
		s.withRole(leader, false)
		s.withRole(3, false)
		s.never(15, "r1 was granted", func() bool { return len(s.truth.Owners("r1")) > 0 })
		if s.leader() != leader {
			t.Errorf("%v: n%d does not lead any more", s, leader)
		}
		s.giveUp(3)
		s.cut(3, leader, -1)
		s.await(60, "n3 has joined afresh", func() bool { return s.well() == "" })
	})
}

// TestPartedHoldsFire: the fencing of n3 is open, in its head start, when people force
// quorum on n3 and the sides hear each other again: n3 is not shot before they do not.
func TestPartedHoldsFire(t *testing.T) {
	late := shape(3)
	late.Delay = "20s"
	play(t, late, func(s *stage) {
		s.isolate(3)
		s.await(20, "the fencing of n3 has begun", func() bool { l := s.leader(); return l > 0 && l < 3 && s.member(3).State == cluster.NodeLost })
		s.pass(10)
		s.truth.Excused = []string{"fork", "grant", "removed", "owner", "confirm", "acked"} // by what people do now
		s.devices[0].apart = map[int]bool{2: true}                                          // else n3 could shoot the others
		if r := s.wish(3, event.Request{ForceQuorum: true}); r.Err != nil {
			t.Fatalf("%v: force quorum: %v", s, r.Err)
		}
		s.heal(3)
		s.await(8, "both say that they have parted", func() bool { l := s.leader(); return l > 0 && s.alarms(l) && s.alarms(3) })
		s.never(30, "n3 was shot", func() bool { return s.host(3).boots > 1 })
		s.isolate(3)
		s.await(20, "n3 is shot when it is heard no more", func() bool { return s.host(3).boots > 1 })
		s.heal(3)
		s.await(20, "n3 is up", func() bool { return s.alarms(3) })
		s.giveUp(3)
		s.await(60, "n3 has joined afresh", func() bool { return s.well() == "" })
	})
}
