package heartbeat

import (
	"testing"
	"time"
)

const ms = time.Millisecond

// script drives a detector of node a, incarnation 1, with 100 ms and 1 s.
type script struct {
	t   *testing.T
	d   *Detector
	now time.Duration
	seq uint64
}

func newScript(t *testing.T) *script {
	s := &script{t: t, now: time.Hour}
	s.d = New("a", 1, Times{Interval: 100 * ms, Dead: time.Second, Stall: 4 * time.Second})
	s.d.Turn(s.now, 0)
	return s
}

// packet is one of b that says on which links it hears us.
func (s *script) packet(hears uint8) Packet {
	s.seq++
	p := Packet{Node: "b", Counter: 5, Boot: "boot", Sequence: s.seq, Interval: 100 * ms}
	if hears != 0 {
		p.Heard = []Heard{{Node: "a", Counter: 1, Links: hears}}
	}
	return p
}

// beats lets b send on the links of the mask for d.
func (s *script) beats(d time.Duration, mask, hears uint8) {
	for end := s.now + d; s.now < end; s.now += 100 * ms {
		s.d.Turn(s.now, s.now)
		p := s.packet(hears)
		for i := range MaxLinks {
			if mask&(1<<i) != 0 {
				s.d.Received(s.now, i, &p)
			}
		}
		s.d.Tick(s.now)
	}
}

// silence lets nothing come for d, the loop turning in time.
func (s *script) silence(d time.Duration) {
	for end := s.now + d; s.now < end; {
		s.now += 10 * ms
		s.d.Turn(s.now, s.now)
		s.d.Tick(s.now)
	}
}

func (s *script) want(reachable bool, what string) {
	s.t.Helper()
	if v, _ := s.d.Peer(s.now, "b"); v.Reachable != reachable {
		s.t.Errorf("%s: reachable %v (%s), want %v", what, v.Reachable, v.Reason, reachable)
	}
}

func TestSilenceIsLossAfterTheDeadTime(t *testing.T) {
	s := newScript(t)
	s.beats(time.Second, 1, 1)
	s.want(true, "both hear each other")
	s.silence(850 * ms)
	s.want(true, "not quite the dead time")
	s.silence(100 * ms)
	s.want(false, "after the dead time")
	s.beats(100*ms, 1, 1)
	s.want(true, "heard again")
}

func TestALinkCountsWhenBothEndsHear(t *testing.T) {
	s := newScript(t)
	s.beats(500*ms, 1, 0)
	s.want(false, "it does not hear us")
	if v, _ := s.d.Peer(s.now, "b"); !v.Heard || !v.New {
		t.Errorf("heard %v, new %v; want both", v.Heard, v.New)
	}
	s.beats(time.Second, 1, 0)
	if v, _ := s.d.Peer(s.now, "b"); v.New {
		t.Error("still new after a dead time")
	}
	s.beats(100*ms, 1, 0b10)
	s.want(false, "it hears us on another link only")
	s.beats(100*ms, 0b11, 0b10)
	s.want(true, "link 1 counts")
	p := s.packet(0b11)
	p.Heard[0].Counter = 0
	for i := range 2 {
		s.d.Received(s.now, i, &p)
	}
	s.want(false, "it hears a former incarnation of ours")
}

func TestOneOfTwoLinksIsEnough(t *testing.T) {
	s := newScript(t)
	s.beats(time.Second, 0b11, 0b11)
	s.beats(3*time.Second, 0b10, 0b10)
	s.want(true, "the second link lives")
	views := s.d.Links(s.now, "b")
	if len(views) != 2 || views[0].Up || !views[1].Up {
		t.Errorf("links %+v", views)
	}
	s.d.Carrier(s.now, 1, false)
	s.want(false, "our carrier of the second is gone")
	s.d.Carrier(s.now, 1, true)
	s.want(true, "and back")
}

// TestWhyAndForHowLong wants the age of a loss to begin at the last sign of the
// contrary, whichever way the packets went missing.
func TestWhyAndForHowLong(t *testing.T) {
	for what, c := range map[string]struct {
		lose   func(s *script)
		reason string
		lasted time.Duration
	}{
		"silence":             {func(s *script) { s.silence(1200 * ms) }, notHeard, 1300 * ms},
		"one link, then both": {func(s *script) { s.beats(3*time.Second, 0b10, 0b10); s.silence(1200 * ms) }, notHeard, 1300 * ms},
		// The peer names us for a dead time after it has heard us last.
		"it hears us no more":                         {func(s *script) { s.beats(300*ms, 0b11, 0) }, heardOneWay, 1400 * ms},
		"one link silent, no more heard on the other": {func(s *script) { s.beats(3*time.Second, 0b10, 0b10); s.beats(300*ms, 0b10, 0) }, heardOneWay, 1400 * ms},
		"core": {func(s *script) {
			p := s.packet(0b11)
			p.LoopAge = 5 * time.Second
			s.d.Received(s.now, 0, &p)
			s.silence(200 * ms)
		}, coreStands, 5200 * ms},
		"carrier": {func(s *script) { s.d.Carrier(s.now, 0, false); s.d.Carrier(s.now, 1, false); s.silence(200 * ms) }, noCarrier, 200 * ms},
	} {
		s := newScript(t)
		s.beats(2*time.Second, 0b11, 0b11)
		c.lose(s)
		v, _ := s.d.Peer(s.now, "b")
		if v.Reachable || v.Reason != c.reason || v.Lasted != c.lasted {
			t.Errorf("%s: reachable %v, %q for %v; want %q for %v", what, v.Reachable, v.Reason, v.Lasted, c.reason, c.lasted)
		}
	}
}

func TestStandstillIsLoss(t *testing.T) {
	for what, set := range map[string]func(*Packet){
		"core":   func(p *Packet) { p.LoopAge = 5 * time.Second },
		"disk":   func(p *Packet) { p.SyncAge = 5 * time.Second },
		"stream": func(p *Packet) { p.StreamAge = 5 * time.Second },
	} {
		s := newScript(t)
		s.beats(time.Second, 1, 1)
		p := s.packet(1)
		set(&p)
		s.d.Received(s.now, 0, &p)
		s.want(false, what+" stands still")
		s.beats(100*ms, 1, 1)
		s.want(true, what+" goes on")
	}
}

func TestAFlappingLinkIsHeld(t *testing.T) {
	s := newScript(t)
	s.beats(time.Second, 1, 1)
	for range 3 {
		s.silence(1100 * ms)
		s.want(false, "down")
		s.beats(300*ms, 1, 1)
	}
	s.want(false, "the third failure in 10 dead times")
	s.beats(8*time.Second, 1, 1)
	s.want(false, "not 10 dead times without failure yet")
	s.beats(3*time.Second, 1, 1)
	s.want(true, "10 dead times without failure")
}

func TestANewIncarnationBeginsAnew(t *testing.T) {
	s := newScript(t)
	s.beats(time.Second, 1, 1)
	p := s.packet(1)
	p.Counter, p.Boot, p.Heard = 6, "other", nil
	if newer, _ := s.d.Received(s.now, 0, &p); !newer {
		t.Error("the new incarnation was not noticed")
	}
	s.want(false, "it has not heard us yet")
	old := s.packet(1)
	if newer, _ := s.d.Received(s.now, 0, &old); newer {
		t.Error("a former incarnation passed for a new one")
	}
	s.want(false, "a late packet of the former incarnation")
}

func TestOurOwnDelayIsNotTheirs(t *testing.T) {
	s := newScript(t)
	s.beats(time.Second, 1, 1)
	s.d.Turn(s.now, s.now+100*ms)
	s.now += 1600 * ms // 1.5 s late
	late := s.d.Turn(s.now, s.now-1500*ms)
	s.d.Tick(s.now)
	if late != 1500*ms {
		t.Errorf("late %v", late)
	}
	s.want(true, "deadlines were extended")
	if !s.d.InDoubt(s.now) {
		t.Error("not in doubt about itself")
	}
	s.silence(990 * ms)
	s.want(false, "really silent")
	// At most two dead times in a row.
	s = newScript(t)
	s.beats(time.Second, 1, 1)
	for range 4 {
		s.now += 900 * ms
		s.d.Turn(s.now, s.now-850*ms)
		s.d.Tick(s.now)
	}
	s.want(false, "late again and again")
}

func TestLossIsCounted(t *testing.T) {
	s := newScript(t)
	for i := range 40 {
		p := s.packet(1)
		if i%4 != 1 {
			s.d.Received(s.now, 0, &p)
		}
		s.now += 100 * ms
	}
	if loss := s.d.Links(s.now, "b")[0].Loss; loss < 0.2 || loss > 0.3 {
		t.Errorf("loss %.2f, want a quarter", loss)
	}
}

// Whose messages do not arrive is named without a link, so that it does not go on
// counting on us.
func TestAStuckStreamIsTold(t *testing.T) {
	s := newScript(t)
	s.beats(time.Second, 1, 1)
	for _, x := range []struct {
		age   time.Duration
		links uint8
	}{{3 * time.Second, 1}, {5 * time.Second, 0}, {0, 1}} {
		p := s.packet(1)
		p.StreamAge = x.age
		s.d.Received(s.now, 0, &p)
		if h := s.d.Heard(s.now); len(h) != 1 || h[0].Links != x.links {
			t.Errorf("stream stands for %v: %+v, want links %b", x.age, h, x.links)
		}
	}
}
