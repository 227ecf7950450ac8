package sim

import (
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
