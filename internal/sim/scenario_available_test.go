package sim

import (
	"fmt"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// Traces that would make a cluster unavailable for no good reason.

// TestPairOnADeadSwitch: the owner keeps its service, since nothing can be
// recovered against it.
func TestPairOnADeadSwitch(t *testing.T) {
	for _, s := range []Shape{noFencing(shape(2)), shape(2)} {
		play(t, s, func(s *stage) {
			s.devices[0].apart = map[int]bool{0: true, 1: true}
			s.isolate(1)
			s.never(30, "a service of a pair that nobody can recover was stopped", func() bool { return !s.served() })
			s.heal(1)
		})
	}
}

// TestPairLosesOne: the blast radius of a pair is one node, not "a minority".
func TestPairLosesOne(t *testing.T) {
	play(t, shape(2), func(s *stage) {
		s.crash(2)
		s.await(10, "n1 goes on alone", func() bool { return s.alone(1) && s.owns(1) })
	})
}

// TestDelayIsGivenUp: a head start of whom is heard again does not end in a shot.
func TestDelayIsGivenUp(t *testing.T) {
	slow := shape(2)
	slow.Delay = "8s"
	play(t, slow, func(s *stage) {
		s.isolate(1)
		s.pass(4)
		s.heal(1)
		s.never(15, "who was heard again was shot", func() bool { return s.stats["fence device called"] > 0 })
	})
}

// TestHeadStart: of a pair whose links are cut the favoured one stays.
func TestHeadStart(t *testing.T) {
	ahead := shape(2)
	ahead.Delay = "n1:5s" // who wants to shoot n1 waits
	play(t, ahead, func(s *stage) {
		s.isolate(2)
		s.await(20, "n1 goes on alone", func() bool { return s.alone(1) && s.owns(1) })
		if s.host(1).boots > 1 {
			t.Errorf("%v: n1 was shot though it had a head start", s)
		}
		s.heal(2)
	})
}

// TestAnIsolatedLeader: an isolated leader stops leading, and another one leads.
func TestAnIsolatedLeader(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		l := s.leader()
		s.isolate(l)
		s.await(10, "another one leads", func() bool { return s.leader() > 0 && s.leader() != l })
		s.heal(l)
	})
}

// TestPolicies: what a node that loses quorum does with what it was granted.
func TestPolicies(t *testing.T) {
	for policy, keeps := range map[string]bool{"stop": false, "fence": false, "demote": true, "freeze": true, "ignore": true} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			shape := noFencing(shape(3))
			shape.NoQuorum = policy
			play(t, shape, func(s *stage) {
				n := 0
				for o := range s.hosts {
					if len(s.host(o+1).agents.running()) > 0 {
						n = o + 1
					}
				}
				had := len(s.host(n).agents.running())
				s.isolate(n)
				s.pass(15)
				has := len(s.host(n).agents.running())
				if !s.host(n).power {
					has = 0
				}
				if keeps && has != had || !keeps && has > 0 {
					t.Errorf("%v: n%d ran %d and has %d after it lost quorum", s, n, had, has)
				}
				if reset := s.stats["reset by the core"] > 0; reset != (policy == "fence") {
					t.Errorf("%v: the node was reset: %t", s, reset)
				}
				s.heal(n)
			})
		})
	}
}

// TestSiteWithoutPower: all hosts of a site lose power at once.
func TestSiteWithoutPower(t *testing.T) {
	all := func(s *stage) {
		for _, h := range s.hosts {
			h.switchOff()
		}
		s.pass(1)
	}
	on := func(s *stage, but int) {
		for n := range s.hosts {
			if n+1 != but {
				s.boot(n + 1)
			}
		}
	}
	for _, x := range []struct {
		name string
		do   func(s *stage)
	}{
		{"all are back", func(s *stage) {
			all(s)
			on(s, 0)
			s.await(30, "all is well", func() bool { return s.well() == "" })
		}},
		{"one is dead", func(s *stage) {
			all(s)
			s.host(1).dead = true
			on(s, 1)
			if len(s.hosts) > 2 {
				s.await(40, "the others go on", func() bool { return s.leader() > 0 && s.served() })
				return
			}
			// One of a pair cannot know what the other has done meanwhile: people say so.
			s.never(30, "one of a pair leads though it cannot know", func() bool { return s.leader() > 0 })
			if r := s.wish(2, event.Request{ForceQuorum: true}); r.Err != nil {
				t.Errorf("%v: force quorum: %v", s, r.Err)
			}
			s.await(30, "it goes on alone", func() bool { return s.alone(2) && s.owns(2) })
		}},
		{"one is torn", func(s *stage) {
			all(s)
			s.host(1).disk.stored.Torn = "half a page"
			on(s, 0)
			if len(s.hosts) > 2 {
				s.await(60, "all is well", func() bool { return s.well() == "" })
				return
			}
			s.never(30, "one of a pair leads though it cannot know", func() bool { return s.leader() > 0 })
			if r := s.wish(2, event.Request{ForceQuorum: true}); r.Err != nil {
				t.Errorf("%v: force quorum: %v", s, r.Err)
			}
		}},
		{"one is slow", func(s *stage) {
			all(s)
			s.host(1).dead = true
			on(s, 1)
			s.pass(25)
			s.boot(1)
			s.await(60, "all is well", func() bool { return s.well() == "" })
		}},
		{"a clock shows 1970", func(s *stage) {
			all(s)
			s.host(1).wallSkew = -time.Until(time.Unix(0, 0)).Abs()
			on(s, 0)
			s.await(30, "all is well", func() bool { return s.well() == "" })
		}},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			for _, nodes := range []int{2, 3, 5} {
				play(t, shape(nodes), x.do)
			}
		})
	}
}

// TestBothAreShot: two that shot each other wait until the link is back.
func TestBothAreShot(t *testing.T) {
	play(t, shape(2), func(s *stage) {
		s.isolate(1)
		s.pass(1)
		s.host(1).switchOff()
		s.host(2).switchOff()
		s.pass(3)
		s.host(1).switchOn()
		s.host(2).switchOn()
		s.never(30, "one of them leads", func() bool { return s.leader() > 0 })
		s.heal(1)
		s.await(30, "all is well", func() bool { return s.well() == "" })
	})
}

// TestFenceDeviceWithoutPower: nothing is recovered until an administrator has
// looked.
func TestFenceDeviceWithoutPower(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		n := 0
		for o := range s.hosts {
			if o+1 != s.leader() && len(s.host(o+1).agents.running()) > 0 {
				n = o + 1
			}
		}
		if n == 0 {
			n = s.leader()
		}
		s.devices[0].fails = s.now + time.Hour
		s.crash(n)
		s.never(30, "something was recovered without confirmation", s.served)
		s.await(10, "the node is lost", func() bool { return s.leader() > 0 && s.member(n).State == cluster.NodeLost })
		if r := s.wish(s.leader(), event.Request{Confirm: s.host(n).name}); r.Err != nil {
			t.Errorf("%v: confirm: %v", s, r.Err)
		}
		s.await(20, "all runs", s.served)
	})
}

// TestALostAppendIsSentAgain: the stream drops an entry, since a packet filter lets nothing
// but heartbeats through for a while; nothing is written afterwards, and the follower gets
// it all the same.
func TestALostAppendIsSentAgain(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		s.clock.stop = true
		s.pass(2)
		l := s.leader()
		f := l%3 + 1
		filter := func(by int) {
			for link := range s.net.paths {
				s.net.paths[link][l-1][f-1].drop += by
			}
		}
		filter(1)
		if r := s.wish(l, online("n1")); r.Err != nil {
			t.Errorf("%v: %v", s, r.Err)
		}
		if s.host(f).daemon.state.Index >= s.host(l).daemon.state.Index {
			t.Errorf("%v: it came through", s)
		}
		s.pass(3.3)
		filter(-1)
		if s.stats["message dropped"] == 0 {
			t.Errorf("%v: nothing was lost", s)
		}
		s.await(3, "the follower has it", func() bool { return s.host(f).daemon.state.Index >= s.host(l).daemon.state.Index })
	})
}

// TestWhatWasDroppedIsNotWaitedFor: a node was off while another one led, whose messages to
// it were dropped. When it is back a third one leads, and dies: the two that are left have
// had nothing to say to each other, hear each other, and elect a leader.
func TestWhatWasDroppedIsNotWaitedFor(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		lead := func(n int) {
			s.wish(s.leader(), event.Request{Transfer: &s.host(n).name})
			s.await(10, "leadership moves", func() bool { return s.leader() == n })
			s.pass(1)
		}
		lead(1)
		s.crash(2)
		s.pass(8)
		lead(3)
		s.pass(4)
		s.boot(2)
		s.await(10, "n2 is back", func() bool { return s.leader() == 3 && s.member(2).State == cluster.NodeOnline && s.voters() == 3 })
		s.pass(1)
		s.crash(3)
		s.await(5, "one of the two that are left leads", func() bool { return s.leader() > 0 })
	})
}

// TestAStaleLogDoesNotHoldUp: who comes first by its name lacks the newest entry
// when the leader dies: who has it leads without delay.
func TestAStaleLogDoesNotHoldUp(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		s.wish(s.leader(), event.Request{Transfer: &s.host(3).name})
		s.await(10, "n3 leads", func() bool { return s.leader() == 3 })
		s.pass(2)
		s.isolate(1)
		s.pass(0.05)
		if r := s.wish(3, online("n1")); r.Err != nil {
			t.Errorf("%v: %v", s, r.Err)
		}
		s.crash(3)
		s.heal(1)
		s.await(3, "n2 leads", func() bool { return s.leader() == 2 })
	})
}

// TestForcedTwice: people force quorum, and the node loses power before its log says
// so. They force it again, and the cluster goes on.
func TestForcedTwice(t *testing.T) {
	play(t, noFencing(shape(2)), func(s *stage) {
		s.crash(2)
		s.pass(3)
		sprung := s.when(stepAlone, 1, 0, func(*Host) { s.crash(1) })
		s.host(1).request(event.Request{ForceQuorum: true, By: "admin"}, func(event.Reply) {})
		s.await(5, "the forced configuration", sprung)
		s.boot(1)
		s.pass(8)
		if s.leader() == 1 {
			s.t.Error("it leads, and has not reached the other one since it booted")
		}
		s.host(1).met["n2"] = true // people have looked
		if r := s.wish(1, event.Request{ForceQuorum: true}); r.Err != nil {
			s.t.Fatalf("forced again: %v", r.Err)
		}
		s.await(20, "a leader and its services", func() bool { return s.leader() == 1 && s.served() })
		s.boot(2)
		s.await(60, "all well", func() bool { return s.well() == "" })
	})
}

// TestWitnessStops: a witness that is asked to stop leaves, though it never ran
// anything, and comes back.
func TestWitnessStops(t *testing.T) {
	s := shape(3)
	s.Witness = true
	play(t, s, func(s *stage) {
		s.leave(3)
		s.await(10, "the witness gone", func() bool {
			return s.host(3).daemon == nil && s.leader() > 0 && s.member(3).State == cluster.NodeOffline
		})
		s.host(3).stopped = false
		s.host(3).start()
		s.await(20, "all well", func() bool { return s.well() == "" })
	})
}

// TestAStuckStream: a stream takes messages and delivers none, while the heartbeats
// pass. It moves to another link where there is one; else who gets no messages is
// as lost as if it were silent, and what it ran is recovered.
func TestAStuckStream(t *testing.T) {
	mute := func(s *stage, a, b, by int, links ...int) {
		for _, l := range links {
			s.net.paths[l][a-1][b-1].mute += by
		}
	}
	t.Run("another link", func(t *testing.T) {
		play(t, shape(3), func(s *stage) {
			l := s.leader()
			f := l%3 + 1
			mute(s, l, f, 1, s.net.stream(s.host(l), s.host(f)).took)
			if r := s.wish(l, online("n1")); r.Err != nil {
				t.Errorf("%v: %v", s, r.Err)
			}
			s.await(2, "the follower has it", func() bool { return s.host(f).daemon.state.Index >= s.host(l).daemon.state.Index })
			s.never(10, "a node is lost though another link delivers", func() bool { return s.well() != "" })
		})
	})
	for _, nodes := range []int{2, 3, 5} {
		for _, both := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d nodes, both ways: %t", nodes, both), func(t *testing.T) {
				t.Parallel()
				play(t, shape(nodes), func(s *stage) {
					l := s.leader()
					f := l%nodes + 1
					boots := s.host(f).boots + s.host(l).boots
					mute(s, l, f, 1, 0, 1)
					if both {
						mute(s, f, l, 1, 0, 1)
					}
					// Not heard for 4 s, and a second for its fencing.
					s.await(12, "one of them is fenced", func() bool { return s.host(f).boots+s.host(l).boots > boots || !s.host(f).power || !s.host(l).power })
					s.pass(2)
					shot := func(n int) bool { return s.host(n).boots > 1 || !s.host(n).power }
					if nodes > 2 || !shot(l) || !shot(f) { // two that shot each other wait until each hears what the other says
						s.await(12, "all is served", func() bool { return s.leader() > 0 && s.served() })
					}
					mute(s, l, f, -1, 0, 1)
					if both {
						mute(s, f, l, -1, 0, 1)
					}
				})
			})
		}
	}
}

// TestALinkThatIsSlow: a daemon is back while its peer's link is so slow that none of its
// dials ends in time. It is not held up by one that began meanwhile: over another link it
// connects at once, over the same one soon after that carries again.
func TestALinkThatIsSlow(t *testing.T) {
	slow := func(s *stage, link int, by time.Duration) {
		s.net.paths[link][0][1].delay += by
		s.net.paths[link][1][0].delay += by
	}
	connected := func(s *stage, from, to int) bool {
		c := s.net.stream(s.host(from), s.host(to)).conn
		return c != nil && c.life == s.host(to).life
	}
	t.Run("the only one", func(t *testing.T) {
		one := fast(noFencing(shape(2)))
		one.Links = 1
		play(t, one, func(s *stage) {
			slow(s, 0, 2*time.Second)
			s.host(2).kill()
			s.host(2).start()
			s.never(8, "a dial ended on a link that takes 4 s for each answer", func() bool { return connected(s, 1, 2) || connected(s, 2, 1) })
			slow(s, 0, -2*time.Second)
			s.await(2, "both are connected", func() bool { return connected(s, 1, 2) && connected(s, 2, 1) })
			s.await(4, "all is well", func() bool { return s.well() == "" })
		})
	})
	t.Run("one of two", func(t *testing.T) {
		for link := range 2 {
			play(t, shape(2), func(s *stage) {
				slow(s, link, 200*time.Millisecond)
				s.host(2).kill()
				s.host(2).start()
				s.await(1, "both are connected over the other link", func() bool { return connected(s, 1, 2) && connected(s, 2, 1) })
				for _, from := range []int{1, 2} {
					if took := s.net.stream(s.host(from), s.host(3-from)).took; took == link {
						t.Errorf("%v: n%d connected over the slow link", s, from)
					}
				}
				s.await(4, "all is well", func() bool { return s.well() == "" })
				slow(s, link, -200*time.Millisecond)
			})
		}
	})
}

// TestWhoCountsAsOffLeads: a node's heartbeats are dropped until its watchdog's time
// has been counted, while the log still reaches it. The leader dies in that moment, and
// the node is elected: it has to take part again itself.
func TestWhoCountsAsOffLeads(t *testing.T) {
	led := 0
	perhaps(t, watchdogs(shape(3)), 6, func(s *stage) {
		s.wish(s.leader(), event.Request{Transfer: &s.host(2).name})
		s.await(10, "n2 leads", func() bool { return s.leader() == 2 })
		s.pass(2)
		s.host(1).filtered++
		// n1 counts as off, and is about to be no voter any more.
		s.await(20, "a change of voters", s.when(stepWritten, 2, 0, func(*Host) { s.isolate(2) }))
		s.crash(2)
		s.host(1).filtered--
		s.await(20, "another leader", func() bool { return s.leader() > 0 })
		if s.leader() == 1 {
			led++
		}
		s.heal(2) // not earlier: what it has written may still be on its way
		s.boot(2)
		s.await(30, "all is well", func() bool { return s.well() == "" })
	})
	if led == 0 {
		t.Error("n1 was never elected")
	}
}
