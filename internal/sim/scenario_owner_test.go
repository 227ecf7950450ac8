package sim

import (
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Traces that would give a resource two owners, and what excludes each.

func moveTo(node string) event.Request {
	return event.Request{Commands: []cluster.Command{{Move: &cluster.Move{Resource: "r1", Node: node}}}}
}

// TestOrdersWithoutACommit: a leader that is cut off together with a satellite
// orders nothing there: a start needs its grant.
func TestOrdersWithoutACommit(t *testing.T) {
	play(t, noFencing(shape(4)), func(s *stage) {
		l := s.leader()
		satellite := 0
		for n := range s.hosts {
			if !s.member(n + 1).Voter {
				satellite = n + 1
			}
		}
		if l == 0 || satellite == 0 {
			t.Fatalf("%v: leader %d, satellite %d", s, l, satellite)
		}
		for n := range s.hosts {
			if n+1 != l && n+1 != satellite {
				s.cut(l, n+1, 1)
				s.cut(satellite, n+1, 1)
			}
		}
		s.host(l).request(moveTo(s.host(satellite).name), func(event.Reply) {})
		s.pass(20)
		for n := range s.hosts {
			if n+1 != l && n+1 != satellite {
				s.cut(l, n+1, -1)
				s.cut(satellite, n+1, -1)
			}
		}
	})
}

// TestWatchdogs: nodes that are cut off have stopped everything, or were reset,
// when the others count them as off.
func TestWatchdogs(t *testing.T) {
	hangs := func(s *stage, n int) {
		for range 10 {
			s.agent = append(s.agent, agentTrouble{host: n - 1, action: "stop", fault: agentHangs, until: s.now + time.Minute})
		}
	}
	for _, x := range []struct {
		name  string
		shape Shape
		do    func(s *stage, n int)
	}{
		{"cut off", shape(3), func(s *stage, n int) { s.isolate(n) }},
		{"cut off, and stops hang", shape(3), func(s *stage, n int) { hangs(s, n); s.isolate(n) }},
		{"heard but hears nothing", shape(3), func(s *stage, n int) {
			hangs(s, n)
			for o := range s.hosts {
				if o+1 != n {
					s.oneWay(o+1, n, 1)
				}
			}
		}},
		{"hears but is not heard", shape(3), func(s *stage, n int) {
			hangs(s, n)
			for o := range s.hosts {
				if o+1 != n {
					s.oneWay(n, o+1, 1)
				}
			}
		}},
		{"cut off together with another", shape(5), func(s *stage, n int) {
			hangs(s, n)
			for o := range s.hosts {
				if o+1 != n && o+1 != n%5+1 {
					s.cut(n, o+1, 1)
					s.cut(n%5+1, o+1, 1)
				}
			}
		}},
		{"cut off, and its daemon dies and starts again", patient(shape(3)), func(s *stage, n int) {
			hangs(s, n)
			s.isolate(n)
			h := s.host(n)
			s.after(4500*time.Millisecond, h.kill) // it has begun to stop what it runs
			s.after(7500*time.Millisecond, h.start)
		}},
		{"cut off while it stands still", patient(shape(3)), func(s *stage, n int) {
			hangs(s, n)
			for o := range s.hosts { // answers to its requests are under way for a while
				for l := range s.net.paths {
					s.net.paths[l][o][n-1].delay += 200 * time.Millisecond
					s.net.paths[l][n-1][o].delay += 200 * time.Millisecond
				}
			}
			s.pass(3)
			s.host(n).pause(4300*time.Millisecond, false)
			s.pass(0.5)
			s.isolate(n)
		}},
		{"cut off while it is suspended", patient(shape(3)), func(s *stage, n int) {
			hangs(s, n)
			s.host(n).pause(4300*time.Millisecond, true)
			s.isolate(n)
		}},
		{"its disk sticks under a live heartbeat", shape(3), func(s *stage, n int) { hangs(s, n); s.host(n).slow += time.Minute }},
		{"its daemon is killed", shape(3), func(s *stage, n int) { s.host(n).kill() }},
		{"its daemon restarts, and does not come back", shape(3), func(s *stage, n int) { // it must not release the watchdog
			s.host(n).stopped = true
			s.host(n).daemonStep(event.Stopping{Restart: true})
		}},
		{"a start is in flight", shape(3), func(s *stage, n int) {
			s.agent = append(s.agent, agentTrouble{host: n - 1, action: "start", fault: agentSlow, until: s.now + time.Minute})
			s.host(max(1, s.leader())).request(moveTo(s.host(n).name), func(event.Reply) {})
			s.after(150*time.Millisecond, func() { s.isolate(n) })
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			for _, whom := range []string{"leader", "owner"} {
				play(t, watchdogs(x.shape), func(s *stage) {
					n := s.leader()
					if whom == "owner" {
						n = s.owner()
					}
					x.do(s, n)
					s.pass(2)
					s.await(60, "all runs elsewhere", func() bool {
						return s.served() && (len(s.host(n).agents.running()) == 0 || !s.host(n).power || s.host(n).boots > 1)
					})
					for l := range s.net.paths {
						for i := range s.net.paths[l] {
							clear(s.net.paths[l][i])
						}
					}
				})
			}
		})
	}
}

// TestSettingsChangeWhileCutOff: what a node said once is counted, not what was
// configured while it was away.
func TestSettingsChangeWhileCutOff(t *testing.T) {
	play(t, watchdogs(patient(shape(3))), func(s *stage) {
		n := s.leader()
		for range 10 {
			s.agent = append(s.agent, agentTrouble{host: n - 1, action: "stop", fault: agentHangs, until: s.now + time.Minute})
		}
		s.isolate(n)
		s.await(20, "another one leads", func() bool { return s.leader() != n && s.leader() > 0 })
		c := s.shape.config()
		c.Watchdog.Timeout = time.Second
		c.Detection.Preset = "fast"
		s.wish(s.leader(), event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: c}}}})
		s.pass(30)
		s.wish(s.leader(), event.Request{Commands: []cluster.Command{{Config: &cluster.ConfigChange{Config: s.shape.config()}}}})
		s.heal(n)
	})
}

// TestAnswerOfALateFencing: the device takes long; its target is back, and lost
// again, before its answer comes.
func TestAnswerOfALateFencing(t *testing.T) {
	for i := range 8 {
		long := shape(2 + i%2)
		long.Seed, long.FenceTime = uint64(1000+i), 14*time.Second
		playSeed(t, long, func(s *stage) {
			s.host(2).switchOff()
			s.await(20, "the device is called", func() bool { return s.stats["fence device called"] > 0 })
			s.pass(4) // it has been shot by now, or will be
			s.host(2).switchOn()
			s.pass(6)
			s.isolate(2)
			s.pass(15)
			s.heal(2)
			s.pass(15)
		})
	}
}

// TestConfirmWhileHeard: an administrator's word is refused while anyone hears
// the node.
func TestConfirmWhileHeard(t *testing.T) {
	play(t, noFencing(shape(3)), func(s *stage) {
		l := s.leader()
		n, other := l%3+1, (l+1)%3+1
		s.cut(l, n, 1)
		s.pass(1.2)
		for range 10 {
			if s.leader() == l {
				s.refused(s.wish(l, event.Request{Confirm: s.host(n).name}), "unsafe", "to confirm what "+s.host(other).name+" hears")
			}
			s.pass(0.2)
		}
		s.cut(l, n, -1)
		s.pass(5)
		s.refused(s.wish(s.leader(), event.Request{Confirm: s.host(n).name}), "unsafe", "to confirm a node that is online")
	})
}

// TestPausedMachine: a virtual machine that is paused is lost, and what it ran goes
// on when it is resumed. A fence device ends it. A watchdog does as long as its own
// clock runs on; one that is paused with its machine proves nothing: that is why
// rule 8 wants an administrator's word for virtual machines.
func TestPausedMachine(t *testing.T) {
	for _, x := range []struct {
		name   string
		shape  Shape
		pauses bool // the watchdog, too
	}{
		{"a fence device", shape(3), false},
		{"a watchdog", watchdogs(shape(3)), false},
		{"no way to end it", noFencing(shape(3)), false},
		{"a watchdog that is paused, too", watchdogs(shape(3)), true},
	} {
		t.Run(x.name, func(t *testing.T) {
			play(t, x.shape, func(s *stage) {
				n := 0
				for o := range s.hosts {
					if len(s.host(o+1).agents.running()) > 0 {
						n = o + 1
					}
				}
				s.host(n).pause(25*time.Second, false)
				if x.pauses {
					s.host(n).dog.armed = false
				}
				s.pass(30)
				if x.pauses {
					if len(s.truth.Breaches) == 0 {
						t.Errorf("%v: a paused watchdog was counted on, and nothing came of it", s)
					}
					s.truth.Breaches = nil
					s.host(n).switchOff()
					s.host(n).switchOn()
				}
			})
		})
	}
}

// TestADeposedLeaderDoesNotShoot: the head start of a node that is lost has not
// ended when its leader is cut off. The others are together again; only the
// deposed one reaches the device, and it must not use it.
func TestADeposedLeaderDoesNotShoot(t *testing.T) {
	late := shape(3)
	late.Delay = "6s"
	play(t, late, func(s *stage) {
		l := s.leader()
		n, other := l%3+1, (l+1)%3+1
		s.devices[0].apart = map[int]bool{n - 1: true, other - 1: true}
		s.isolate(n)
		s.await(10, "its fencing begins", func() bool { return s.leader() == l && s.host(l).daemon.state.OpenFencing(s.host(n).name) != nil })
		s.pass(1)
		s.isolate(l)
		s.cut(n, other, -1)
		s.never(20, "a leader without a majority shot a node", func() bool { return s.host(n).boots > 1 || s.host(other).boots > 1 })
		s.cut(n, l, -1)
		s.heal(l)
	})
}

// TestFencedOneAfterTheOther: a voter and a satellite are lost at once; of four, one
// is fenced at a time, and in the end both were.
func TestFencedOneAfterTheOther(t *testing.T) {
	play(t, shape(4), func(s *stage) {
		l, satellite, voter := s.leader(), 0, 0
		for n := 1; n <= 4; n++ {
			switch {
			case n == l:
			case !s.member(n).Voter:
				satellite = n
			default:
				voter = n
			}
		}
		s.crash(satellite, voter)
		s.await(40, "both are confirmed off, and all runs", func() bool {
			return s.leader() > 0 && s.member(satellite).Off() && s.member(voter).Off() && s.served()
		})
	})
}
