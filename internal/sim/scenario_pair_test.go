package sim

import (
	"fmt"
	"testing"
	"time"
)

// TestPairMatrix: which links of a pair are cut, who reaches the fence device, who
// has a head start, and how long the device takes. Never do both go on; and where
// somebody is there who reaches the device, somebody goes on.
func TestPairMatrix(t *testing.T) {
	links := map[string]func(s *stage, by int){
		"both ways":       func(s *stage, by int) { s.cut(1, 2, by) },
		"n1 is not heard": func(s *stage, by int) { s.oneWay(1, 2, by) },
		"n2 is not heard": func(s *stage, by int) { s.oneWay(2, 1, by) },
	}
	apart := map[string]map[int]bool{
		"both reach it": nil, "n1 does not": {0: true}, "n2 does not": {1: true}, "nobody does": {0: true, 1: true},
	}
	for link, cut := range links {
		for paths, apart := range apart {
			for _, delay := range []string{"", "n1:4s"} {
				for _, takes := range []time.Duration{50 * time.Millisecond, time.Second, 8 * time.Second} {
					t.Run(fmt.Sprintf("%s, %s, delay %q, device %v", link, paths, delay, takes), func(t *testing.T) {
						t.Parallel()
						s := shape(2)
						s.Seed, s.Delay, s.FenceTime, s.Resources, s.Group = 3000, delay, takes, 1, 0
						playSeed(t, s, func(s *stage) {
							s.devices[0].apart = apart
							cut(s, 1)
							if len(apart) == 2 {
								s.never(30, "somebody went on, and nobody was fenced", func() bool { return s.alone(1) || s.alone(2) || !s.served() })
							} else {
								// Both may be shot; then both wait for each other.
								s.await(60, "one goes on, or both were shot", func() bool {
									return s.alone(1) || s.alone(2) || s.host(1).boots > 1 && s.host(2).boots > 1
								})
								favoured := delay != "" && takes < 2*time.Second && len(apart) == 0
								if favoured && !s.alone(1) {
									t.Errorf("%v: n1 had a head start, and does not lead alone", s)
								}
							}
							cut(s, -1)
						})
					})
				}
			}
		}
	}
}
