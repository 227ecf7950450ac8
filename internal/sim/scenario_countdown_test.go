package sim

import (
	"fmt"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// TestTimeCountsAnewAfterAPair: a node is lost for a moment, its fencing fails, and its
// watchdog's time counts. Then another one is gone for good: two vote, and none of two has
// to stop for time alone. A third comes back; the lost one has synced that it votes, and is
// cut off before it hears more. Only now it has to stop, so only from now on may its
// time count (rule 8).
func TestTimeCountsAnewAfterAPair(t *testing.T) {
	both := watchdogs(shape(3))
	both.Fencing = true
	play(t, both, func(s *stage) {
		n := s.owner()
		l := s.leader()
		third := 6 - l - n
		s.devices[0].fails = s.now + time.Hour
		for range 10 {
			s.agent = append(s.agent, agentTrouble{host: n - 1, action: "stop", fault: agentHangs, until: s.now + time.Hour})
		}
		s.isolate(n)
		s.await(5, "it is lost", func() bool { return s.leader() == l && s.member(n).State == cluster.NodeLost })
		s.heal(n)
		s.crash(third)
		s.await(5, "the third is lost", func() bool { return s.leader() == l && s.member(third).State == cluster.NodeLost })
		if r := s.wish(l, event.Request{Confirm: s.host(third).name}); r.Err != nil {
			t.Errorf("%v: the third is off, people say: %v", s, r.Err)
		}
		s.await(2, "two voters", func() bool { return s.voters() == 2 })
		s.pass(15)
		if !s.host(n).power || s.host(n).boots > 1 {
			t.Errorf("%v: one of two voters has given up", s)
		}
		sprung := s.when(stepAnswer, n, 0, func(*Host) {
			s.after(500*time.Microsecond, func() { s.isolate(n) }) // its answer has arrived
		})
		s.boot(third)
		s.await(20, "a change of voters", sprung)
		s.await(30, "all runs elsewhere", func() bool { return s.served() && s.host(n).boots > 1 })
		s.heal(n)
	})
}

// TestLostAtEveryStep: a lost node, whose fencing fails and whose stops hang, is heard
// again. Its answer makes two voters of three, and later three of two: from when it knows
// the first change to be committed until it has the second one in its log it need not stop
// for time alone (rule 8). At each step of both somebody has bad luck.
func TestLostAtEveryStep(t *testing.T) {
	changes := map[string]bool{"three to two": false, "two to three": true}
	fates := map[string]func(s *stage, lost, leader int){
		"the lost one is cut off": func(s *stage, lost, _ int) { s.isolate(lost) },
		"its answer is the last":  func(s *stage, lost, _ int) { s.after(500*time.Microsecond, func() { s.isolate(lost) }) },
		"its daemon starts again": func(s *stage, lost, _ int) { s.restart(lost, 300*time.Millisecond) },
		"it is cut off, and its daemon is away when its time would have passed": func(s *stage, lost, _ int) {
			s.isolate(lost)
			s.after(4*time.Second, func() { s.restart(lost, 5*time.Second) })
		},
		"it is cut off, and its daemon starts again now and then": func(s *stage, lost, _ int) {
			s.isolate(lost)
			for i := range 12 {
				s.after(time.Duration(i)*900*time.Millisecond, func() { s.restart(lost, 200*time.Millisecond) })
			}
		},
		"the leader loses power": func(s *stage, _, leader int) { s.host(leader).switchOff() },
		"the leader is cut off":  func(s *stage, _, leader int) { s.isolate(leader) },
		"the daemons of both others start again": func(s *stage, lost, leader int) {
			s.isolate(lost)
			s.restart(leader, 200*time.Millisecond)
			s.restart(6-lost-leader, 400*time.Millisecond)
		},
	}
	for change, second := range changes {
		for fate, strike := range fates {
			t.Run(fmt.Sprintf("%s, %s", change, fate), func(t *testing.T) {
				t.Parallel()
				for k := range 32 {
					if testing.Short() && k > 0 {
						return
					}
					sprung := false
					world := watchdogs(shape(3))
					world.Fencing, world.Seed = true, uint64(3000+k)
					playSeed(t, world, func(s *stage) { sprung = s.lostAt(k, second, strike) })
					if !sprung {
						if k == 0 {
							t.Error("the voters never changed")
						}
						return
					}
				}
			})
		}
	}
}

// lostAt plays that one of three is lost for good and heard, and strikes at the k-th
// step of the change to two voters, or of the second one, back to three. It tells whether
// there was such a step.
func (s *stage) lostAt(k int, second bool, strike func(s *stage, lost, leader int)) bool {
	lost := s.owner()
	leader := s.leader()
	third := 6 - leader - lost
	until := s.now + 50*time.Second
	s.devices[0].fails = until
	for range 10 {
		s.agent = append(s.agent, agentTrouble{host: lost - 1, action: "stop", fault: agentHangs, until: until})
	}
	s.isolate(lost)
	s.await(5, "it is lost", func() bool { return s.leader() == leader && s.member(lost).State == cluster.NodeLost })
	s.crash(third)
	s.heal(lost)
	s.await(5, "the third is lost", func() bool { return s.leader() == leader && s.member(third).State == cluster.NodeLost })
	strikes := func() func() bool {
		return s.when("", 0, k, func(*Host) { strike(s, lost, leader) })
	}
	sprung := func() bool { return false }
	if !second {
		sprung = strikes()
	}
	s.wish(leader, event.Request{Confirm: s.host(third).name})
	if second {
		s.await(2, "two voters", func() bool { return s.voters() == 2 })
		s.pass(3)
		s.boot(third)
		s.await(20, "the third is back", func() bool { return s.leader() == leader && !s.member(third).Off() })
		sprung = strikes()
	}
	if !s.until(20*time.Second, 5*time.Millisecond, sprung) {
		return false
	}
	s.pass(4)
	s.boot(third)
	s.pass(15)
	for n := range s.hosts {
		s.boot(n + 1)
	}
	for l := range s.net.paths {
		for i := range s.net.paths[l] {
			clear(s.net.paths[l][i])
		}
	}
	s.pass(15)
	return true
}

// restart ends a daemon as for an upgrade: what it runs goes on. It starts again after a while.
func (s *stage) restart(n int, away time.Duration) {
	h := s.host(n)
	if h.daemon == nil {
		return
	}
	boot := h.boots
	h.kill()
	h.stopped = true
	s.after(away, func() {
		h.stopped = false
		if h.power && h.boots == boot && h.daemon == nil {
			h.start()
		}
	})
}
