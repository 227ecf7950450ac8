package sim

import (
	"fmt"
	"io"
	"testing"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// stage is a world whose script is played step by step. Hosts are called by their
// number, from 1 on.
type stage struct {
	*World
	t     *testing.T
	asked map[string]int // how often a wish was refused, by kind of refusal
}

var traceTo io.Writer // for looking at one run: nil

// play forms a cluster for each of some seeds, plays the script in it, ends all
// trouble, and looks whether all is well then. No rule may break.
func play(t *testing.T, s Shape, script func(s *stage)) {
	t.Helper()
	perhaps(t, s, 2, script)
}

// perhaps plays a script in which more is left to chance, with more seeds.
func perhaps(t *testing.T, s Shape, seeds uint64, script func(s *stage)) {
	t.Helper()
	for seed := range seeds {
		s.Seed = 1000 + seed
		playSeed(t, s, script)
	}
}

func playSeed(t *testing.T, shape Shape, script func(s *stage)) *stage {
	t.Helper()
	s := &stage{World: newWorld(shape, traceTo), t: t, asked: map[string]int{}}
	defer func() {
		if fault := recover(); fault != nil {
			t.Errorf("seed %d: panic: %v", shape.Seed, fault)
		}
	}()
	if s.form() {
		startClients(s.World, 2, time.Second)
		s.pass(2)
		script(s)
		for _, h := range s.hosts {
			h.dead = false
		}
		s.recover()
	}
	for _, b := range s.truth.Breaches {
		t.Errorf("seed %d: %v", shape.Seed, b)
	}
	return s
}

func (s *stage) host(n int) *Host { return s.hosts[n-1] }

func seconds(x float64) time.Duration { return time.Duration(x * float64(time.Second)) }

// pass lets time pass.
func (s *stage) pass(x float64) { s.run(s.now + seconds(x)) }

// await lets time pass until something holds; if it does not, the test fails.
func (s *stage) await(limit float64, what string, ok func() bool) {
	s.t.Helper()
	if len(s.truth.Breaches) == 0 && !s.until(seconds(limit), 5*time.Millisecond, ok) && len(s.truth.Breaches) == 0 {
		s.t.Errorf("seed %d: at %v: not within %v s: %s", s.shape.Seed, s.now, limit, what)
	}
}

// never lets time pass, in which something must not come to hold.
func (s *stage) never(long float64, what string, holds func() bool) {
	s.t.Helper()
	if len(s.truth.Breaches) == 0 && s.until(seconds(long), 20*time.Millisecond, holds) {
		s.t.Errorf("seed %d: at %v: %s", s.shape.Seed, s.now, what)
	}
}

// crash takes the power of hosts; it stays away until boot.
func (s *stage) crash(hosts ...int) {
	for _, n := range hosts {
		s.host(n).switchOff()
		s.host(n).dead = true
	}
}

func (s *stage) boot(hosts ...int) {
	for _, n := range hosts {
		s.host(n).dead = false
		s.host(n).switchOn()
	}
}

// leave stops a daemon in an orderly way.
func (s *stage) leave(n int) {
	s.host(n).stopped = true
	s.host(n).daemonStep(event.Stopping{})
}

// cut cuts all links between two hosts; a negative number of times heals them.
func (s *stage) cut(a, b, by int) { s.oneWay(a, b, by); s.oneWay(b, a, by) }

// oneWay cuts what a sends to b.
func (s *stage) oneWay(a, b, by int) {
	for l := range s.net.paths {
		s.net.paths[l][a-1][b-1].cut += by
	}
}

// isolate cuts a host off from all others.
func (s *stage) isolate(a int) { s.around(a, 1) }

func (s *stage) heal(a int) { s.around(a, -1) }

func (s *stage) around(a, by int) {
	for n := range s.hosts {
		if n+1 != a {
			s.cut(a, n+1, by)
		}
	}
}

// leader returns the number of the host that leads with a majority, 0 if none does.
func (s *stage) leader() int {
	for i, h := range s.hosts {
		if h.leads() && h.daemon.local.Quorate {
			return i + 1
		}
	}
	return 0
}

// owner returns the number of a host that runs something and does not lead: another one
// does from now on.
func (s *stage) owner() (n int) {
	for o := range s.hosts {
		if len(s.host(o+1).agents.running()) > 0 {
			n = o + 1
		}
	}
	s.wish(n, event.Request{Transfer: &s.host(n%len(s.hosts) + 1).name})
	s.await(10, "another one leads", func() bool { return s.leader() > 0 && s.leader() != n })
	s.pass(2)
	return n
}

// member returns what the leader has of a host.
func (s *stage) member(n int) *cluster.Member {
	if l := s.leader(); l > 0 && s.host(l).daemon.state != nil {
		return s.host(l).daemon.state.Member(s.host(n).name)
	}
	return &cluster.Member{}
}

// voters counts the voters that the leader has, -1 without one.
func (s *stage) voters() int {
	l := s.leader()
	if l == 0 || s.host(l).daemon.state == nil {
		return -1
	}
	count := 0
	for i := range s.host(l).daemon.state.Members {
		if s.host(l).daemon.state.Members[i].Voter {
			count++
		}
	}
	return count
}

// alone tells whether a host leads as the only voter.
func (s *stage) alone(n int) bool { return s.leader() == n && s.voters() == 1 }

// owns tells whether a host runs everything.
func (s *stage) owns(n int) bool {
	for _, x := range s.shape.services() {
		if o := s.truth.Owners(x.Name); len(o) != 1 || o[0] != s.host(n).name {
			return false
		}
	}
	return true
}

// served tells whether everything runs somewhere.
func (s *stage) served() bool {
	for _, x := range s.shape.services() {
		if len(s.truth.Owners(x.Name)) != 1 {
			return false
		}
	}
	return true
}

// wish hands an administrator's wish to a host, and returns its answer.
func (s *stage) wish(n int, r event.Request) (reply event.Reply) {
	done := false
	r.By = "admin"
	s.host(n).request(r, func(a event.Reply) { reply, done = a, true })
	s.until(12*time.Second, 5*time.Millisecond, func() bool { return done })
	if !done {
		reply.Err = &event.Refusal{Kind: "silent"}
	}
	return reply
}

// refused checks that a wish was refused, as what.
func (s *stage) refused(r event.Reply, kind, what string) {
	s.t.Helper()
	if r.Err == nil || r.Err.Kind != kind {
		s.t.Errorf("seed %d: %s: %v, want it refused as %s", s.shape.Seed, what, r.Err, kind)
	}
}

// when lets do happen at the k-th step of a kind ("": of a change of voters) of a
// host (0: of any), and returns whether it has.
func (s *stage) when(step string, host, k int, do func(h *Host)) (sprung func() bool) {
	t := &trap{step: step, after: k, until: s.now + time.Hour}
	if host > 0 {
		t.host = s.host(host)
	}
	did := false
	t.do = func(h *Host, step string) { did = true; do(h) }
	s.traps = append(s.traps, t)
	return func() bool { return did }
}

func (s *stage) String() string { return fmt.Sprintf("seed %d at %v", s.shape.Seed, s.now) }
