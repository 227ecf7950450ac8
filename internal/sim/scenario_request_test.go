package sim

import (
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// TestARequestIsCarriedOutOnce: what was asked of a leader through a stream that
// stands still is asked anew of the next one, and acknowledged. The first word
// arrives when the former leader leads again: it must not undo what was
// acknowledged since (rule 9).
func TestARequestIsCarriedOutOnce(t *testing.T) {
	play(t, shape(3), func(s *stage) {
		l := s.leader()
		f, other := l%3+1, (l+1)%3+1
		mute := func(by int) {
			for link := range s.net.paths {
				s.net.paths[link][f-1][l-1].mute += by
			}
		}
		write := func(value int) event.Request {
			token := cluster.Token{Hash: "w", Expires: registerBase.Add(time.Duration(value) * time.Second)}
			return event.Request{Commands: []cluster.Command{{Token: &token}}, By: "client"}
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
		answered := false
		s.host(f).request(write(1), func(r event.Reply) { answered = r.Err == nil })
		s.pass(0.2)
		lead(other)
		s.await(4, "the next leader is asked", func() bool { return answered })
		if r := s.wish(other, write(2)); r.Err != nil {
			t.Errorf("%v: the second write: %v", s, r.Err)
		}
		lead(l)
		mute(-1)
		s.never(3, "what was acknowledged is undone", func() bool { return read(l) != 2 })
	})
}
