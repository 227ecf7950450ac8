package sim

import (
	"fmt"
	"testing"

	"linuxha/internal/core/event"
)

// TestMigrationLosesAnEnd: a service migrates live, and at each step of that one
// of its ends, or the leader, is lost: its power, its daemon, or its links. Never
// does it run twice, and it runs again in the end.
func TestMigrationLosesAnEnd(t *testing.T) {
	fates := map[string]func(s *stage, n int){
		"loses power": func(s *stage, n int) { s.host(n).switchOff(); s.after(seconds(6), s.host(n).switchOn) },
		"loses its daemon": func(s *stage, n int) {
			s.host(n).kill()
			s.after(seconds(0.4), s.host(n).start)
		},
		"is cut off": func(s *stage, n int) {
			s.isolate(n)
			s.after(seconds(8), func() { s.heal(n) })
		},
	}
	for fate, do := range fates {
		for _, who := range []string{"source", "target", "leader"} {
			t.Run(fmt.Sprintf("the %s %s", who, fate), func(t *testing.T) {
				t.Parallel()
				for k := range 5 { // migrate_to begins, ends; migrate_from begins, ends; the source is stopped
					x := shape(3)
					x.Seed, x.Resources, x.Group, x.Migrate = uint64(5000+k), 1, 0, true
					playSeed(t, x, func(s *stage) {
						owners := s.truth.Owners("r1")
						source := s.byName[owners[0]].index + 1
						target := source%3 + 1
						victim := map[string]int{"source": source, "target": target, "leader": max(s.leader(), 1)}[who]
						sprung := s.when(stepMigrate, 0, min(k, 3), func(*Host) {
							if k < 4 {
								do(s, victim)
								return
							}
							s.after(seconds(0.01), func() { do(s, victim) })
						})
						s.host(max(s.leader(), 1)).request(moveTo(s.host(target).name), func(event.Reply) {})
						s.await(10, "it migrates", sprung)
						s.pass(20)
					})
				}
			})
		}
	}
}
