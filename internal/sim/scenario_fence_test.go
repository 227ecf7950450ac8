package sim

import (
	"testing"
	"time"

	"linuxha/internal/core/event"
)

// TestConfirmedWhileAFormerLeaderCalls: a leader is cut off while the device works on
// its slow call for a node that is lost. People cut that node's power, tell the next
// leader, and boot the node: it takes part when the call can hit it no more.
func TestConfirmedWhileAFormerLeaderCalls(t *testing.T) {
	play(t, shape(5), func(s *stage) {
		l := s.leader()
		n := l%5 + 1
		s.devices[0].slow = s.now + time.Hour
		s.crash(n)
		s.await(20, "the device is called", func() bool { return len(s.host(l).calls) > 0 })
		s.devices[0].slow, s.devices[0].apart = 0, map[int]bool{}
		for i := range s.hosts {
			s.devices[0].apart[i] = i != l-1
		}
		s.isolate(l)
		s.await(10, "another one leads", func() bool { return s.leader() > 0 && s.leader() != l })
		if r := s.wish(s.leader(), event.Request{Confirm: s.host(n).name}); r.Err != nil {
			t.Errorf("%v: confirm: %v", s, r.Err)
		}
		s.boot(n)
		admitted := func() bool { m := s.member(n); return m != nil && m.Incarnation.Boot == s.host(n).bootID() }
		s.never(20, "it takes part though it may be shot", func() bool { return admitted() && len(s.host(l).calls) > 0 })
		s.await(15, "it takes part", admitted)
		s.heal(l)
	})
}
