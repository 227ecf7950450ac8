package sim

import (
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// TestAMigrationWaitsForItsTarget: the leader's stream to the target of a migration
// stands still, so the target does not learn what is to arrive. Cut off then, it would
// take itself for empty, and feed its watchdog, while the guest runs there beyond the
// time that others count (rule 8). Nothing is sent before the target shows that it
// knows.
func TestAMigrationWaitsForItsTarget(t *testing.T) {
	world := watchdogs(shape(3))
	world.Resources, world.Group, world.Migrate = 1, 0, true
	play(t, world, func(s *stage) {
		source, l := s.owner(), s.leader()
		target := 6 - source - l
		if source == l {
			target = source%3 + 1
		}
		s.stuckStream(Fault{Kind: "stuck stream", Host: l - 1, Peer: target - 1, Link: -1, For: 15 * time.Second})
		s.host(l).request(moveTo(s.host(target).name), func(event.Reply) {})
		s.pass(1.5)
		s.isolate(target)
		s.await(10, "it is lost", func() bool { return s.leader() > 0 && s.member(target).State == cluster.NodeLost })
		s.pass(15)
		if s.host(target).boots > 1 {
			t.Errorf("%v: the target was reset, though nothing may have arrived there", s)
		}
		s.heal(target)
	})
}
