package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// TestDeathAtEveryStep: voters change, and at the k-th step of that (entry
// written, synced, sent, acknowledged, applied, noted) somebody loses power, or all
// links; for every k that there is. Nothing may break, and those who are left, or
// all once they are back, must be well.
func TestDeathAtEveryStep(t *testing.T) {
	gone := func(s *stage, n int) {
		s.crash(n)
		s.await(30, "the lost node leaves the voters", func() bool {
			m := s.member(n)
			return m != nil && m.Off() && !m.Voter && s.served()
		})
		s.pass(0.5)
	}
	changes := []struct {
		name    string
		nodes   int
		prepare func(s *stage)
		change  func(s *stage)
	}{
		{"one to two", 2, func(s *stage) { gone(s, 2) }, func(s *stage) { s.boot(2) }},
		{"two to three", 3, func(s *stage) { gone(s, 3) }, func(s *stage) { s.boot(3) }},
		{"three to two", 3, func(s *stage) {}, func(s *stage) { s.crash(3) }},
		{"three to two by leaving", 3, func(s *stage) {}, func(s *stage) { s.leave(3) }},
		{"five to three", 5, func(s *stage) {}, func(s *stage) { s.crash(5) }}, // a joint change
		{"three to five", 5, func(s *stage) { gone(s, 5) }, func(s *stage) { s.boot(5) }},
	}
	victims := map[string]func(s *stage, h *Host) int{
		"who takes the step": func(s *stage, h *Host) int { return h.index + 1 },
		"the leader":         func(s *stage, h *Host) int { return max(s.leader(), 1) },
		"another one":        func(s *stage, h *Host) int { return (h.index+1)%len(s.hosts) + 1 },
	}
	for _, c := range changes {
		for who, victim := range victims {
			for _, fate := range []string{"crashes", "is cut off"} {
				t.Run(fmt.Sprintf("%s, %s %s", c.name, who, fate), func(t *testing.T) {
					t.Parallel()
					stride := 1 // HA_SIM_EVERY=5 takes each fifth step, others for each of the twelve ways
					if n, err := strconv.Atoi(os.Getenv("HA_SIM_EVERY")); err == nil {
						stride = max(n, 1)
					}
					first := (len(who) + len(fate)) % stride
					for k := first; k < 200; k += stride {
						if testing.Short() && k > first {
							return
						}
						done := false
						s := fast(shape(c.nodes))
						s.Seed, s.Resources, s.Group = uint64(2000+k), 1, 0
						playSeed(t, s, func(s *stage) {
							c.prepare(s)
							v := 0
							sprung := s.when("", 0, k, func(h *Host) {
								if v = victim(s, h); fate == "crashes" {
									s.host(v).switchOff()
								} else {
									s.isolate(v)
								}
							})
							c.change(s)
							if done = !s.until(seconds(8), seconds(0.01), sprung); done {
								return
							}
							s.pass(10)
							if fate == "crashes" {
								s.boot(v)
							} else {
								s.heal(v)
							}
							s.pass(5)
						})
						if done {
							if k == first {
								t.Error("the voters never changed")
							}
							return
						}
					}
				})
			}
		}
	}
}
