package sim

import (
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// TestARequestIsCarriedOutOnce: what a follower asks of a leader through a stream
// that stands still it asks anew of the next one, who carries it out. Then it, or the
// next leader, writes something else. The first word arrives when the former leader
// leads again: on no host may it undo what was acknowledged since (rule 9).
func TestARequestIsCarriedOutOnce(t *testing.T) {
	for _, by := range []string{"follower", "leader"} {
		play(t, shape(3), func(s *stage) {
			l := s.leader()
			follower, other := l%3+1, (l+1)%3+1
			mute := func(n int) {
				for link := range s.net.paths {
					s.net.paths[link][follower-1][l-1].mute += n
				}
			}
			write := func(n, value int) (done func() bool) {
				token := cluster.Token{Hash: "w", Expires: registerBase.Add(time.Duration(value) * time.Second)}
				answered := false
				s.host(n).request(event.Request{By: "client", Commands: []cluster.Command{{Token: &token}}}, func(r event.Reply) { answered = r.Err == nil })
				return func() bool { return answered }
			}
			read := func(n int) (value int) {
				for _, x := range s.host(n).daemon.state.Tokens {
					if x.Hash == "w" {
						value = int(x.Expires.Sub(registerBase) / time.Second)
					}
				}
				return value
			}
			lead := func(n int) {
				name := s.host(n).name
				if r := s.wish(s.leader(), event.Request{Transfer: &name}); r.Err != nil {
					t.Errorf("%v: %s does not take over: %v", s, name, r.Err)
				}
				s.await(4, name+" leads", func() bool { return s.leader() == n })
			}
			mute(1)
			first := write(follower, 1)
			s.pass(0.2)
			lead(other)
			s.await(4, "the next leader is asked", first)
			second := other
			if by == "follower" {
				second = follower
			}
			s.await(2, "the second write is acknowledged", write(second, 2))
			lead(l)
			everywhere := func() bool { return read(1) == 2 && read(2) == 2 && read(3) == 2 }
			s.await(1, "all have the second write", everywhere)
			mute(-1)
			s.never(3, "what was acknowledged is undone", func() bool { return !everywhere() })
		})
	}
}
