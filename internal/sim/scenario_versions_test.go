package sim

import (
	"testing"

	"linuxha/internal/cluster"
)

// TestUpgrade: nodes get the next version one by one, and one of them goes back
// meanwhile. The newer format, and the kind of command that comes with it, is used when
// all know it, not before; then an older daemon refuses, says why, and loses nothing,
// and the others go on.
func TestUpgrade(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		format := func() int { return s.host(s.leader()).daemon.state.FormatInUse() }
		install := func(n int, next bool) {
			s.host(n).next = next
			s.host(n).kill()
			s.pass(0.5)
			s.host(n).start()
			s.await(30, "all well", func() bool { return s.well() == "" })
		}
		install(1, true)
		install(2, true)
		install(1, false)
		s.pass(5)
		if f := format(); f != cluster.Format {
			s.t.Fatalf("format %d is in use, and two nodes do not know it", f)
		}
		install(1, true)
		s.pass(5)
		if f := format(); f != cluster.Format {
			s.t.Fatalf("format %d is in use, and one node does not know it", f)
		}
		s.crash(2) // who is off has to be able to come back, too
		install3 := func() {
			s.host(3).next = true
			s.host(3).kill()
			s.pass(0.5)
			s.host(3).start()
		}
		install3()
		s.boot(2)
		s.await(40, "the newer format", func() bool { return s.leader() > 0 && format() == cluster.Format+1 })
		s.await(30, "all well", func() bool { return s.well() == "" })

		s.await(20, "a command of the kind that only the next version knows", func() bool { return s.stats["command of the next version"] > 0 })

		runs := s.served
		before := s.stats["version refused"]
		raft := s.host(2).disk.stored.Identity.RaftID
		s.host(2).next = false
		s.host(2).kill()
		s.host(2).start()
		s.await(5, "a refusal", func() bool { return s.stats["version refused"] > before })
		if s.host(2).daemon != nil {
			s.t.Error("a daemon that does not know the format in use goes on")
		}
		s.await(40, "the newer version there again", func() bool { return s.well() == "" && runs() })
		if id := s.host(2).disk.stored.Identity.RaftID; id != raft {
			s.t.Errorf("it lost what it had: its Raft id was %d and is %d", raft, id)
		}
	})
}
