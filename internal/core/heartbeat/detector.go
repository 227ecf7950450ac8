package heartbeat

import (
	"slices"
	"strings"
	"time"
)

const (
	flapFailures = 3  // a link that failed so often within ...
	flapWindow   = 10 // ... so many dead times counts again only after as many without a failure
	lossWindow   = 64 // packets that the loss of a link is counted over
)

// Times are the detection times in force.
type Times struct {
	Interval time.Duration // between heartbeats
	Dead     time.Duration // silence after which a peer is lost
	Stall    time.Duration // standstill of core, disk or stream after which a peer is lost
}

// Detector decides by heartbeats who is reachable. Times passed in are on the
// monotonic clock and never go back.
type Detector struct {
	self    string
	counter uint64 // of our own incarnation
	times   Times
	down    uint8 // bit i: our own link i has no carrier
	peers   []*peer
	changes uint64 // grows when a peer or a link of it comes up or goes down

	lastTurn  time.Duration // when the loop last turned
	turned    bool
	extended  time.Duration // by how much deadlines were moved in this row of late turns
	onTime    time.Duration // since when turns came in time
	doubtTill time.Duration // we ran late: until then neither lead nor accuse
}

type peer struct {
	name      string
	last      Packet        // newest
	heardAt   time.Duration // when it came
	links     [MaxLinks]link
	reachable bool
	was       bool          // this incarnation has been reachable
	since     time.Duration // of reachable
	reason    string        // why it is not reachable
}

type link struct {
	heardAt  time.Duration
	heard    bool          // at all, by this incarnation
	hearsUs  bool          // by the peer's newest packet
	mutualAt time.Duration // when a packet last came that said so
	up       bool
	failures []time.Duration // the newest flapFailures
	held     bool            // failed too often
	sequence uint64          // newest
	received uint64          // bit i: packet sequence-i came
	counted  int             // how many bits of received have a meaning
}

// View is what is known of one peer now.
type View struct {
	Node      string
	Reachable bool          // some link counts and the peer has not stalled
	New       bool          // it was heard first less than a dead time ago, and not yet both ways
	Heard     bool          // something came within the dead time, one way is enough
	Since     time.Duration // of Reachable
	HeardAt   time.Duration // when the newest packet came
	Reason    string        // why it is not reachable
	Lasted    time.Duration // for how long that has been so, counted from the last sign of the contrary
	Packet    Packet        // newest
}

// LinkView is one link to a peer.
type LinkView struct {
	Link int
	Up   bool
	Age  time.Duration
	Loss float64 // 0..1
}

// New returns a Detector for the incarnation counter of node self.
func New(self string, counter uint64, t Times) *Detector {
	return &Detector{self: self, counter: counter, times: t}
}

// SetTimes puts other detection times in force.
func (d *Detector) SetTimes(t Times) { d.times = t }

// Changes grows whenever a peer, or a link to one, is heard first, comes up or goes down.
func (d *Detector) Changes() uint64 { return d.changes }

// Times returns the detection times in force.
func (d *Detector) Times() Times { return d.times }

// Received notes an authentic packet that came over link. It tells whether the
// packet shows a newer incarnation of the peer than all before, and whether it
// changed anything but times and counts: what it says, or what is known by it.
func (d *Detector) Received(now time.Duration, number int, p *Packet) (newer, changed bool) {
	if number < 0 || number >= MaxLinks || p.Node == d.self || p.Node == "" {
		return false, false
	}
	x := d.peer(p.Node)
	switch {
	case x == nil:
		x = &peer{name: p.Node, since: now, reason: "not yet heard both ways"}
		d.peers = append(d.peers, x)
		slices.SortFunc(d.peers, func(a, b *peer) int { return strings.Compare(a.name, b.name) })
		newer = true
	case p.Counter < x.last.Counter:
		return false, false // a late packet of a former life
	case p.Counter > x.last.Counter || p.Boot != x.last.Boot:
		// Failures of the former life say nothing about the link.
		x.links = [MaxLinks]link{}
		x.was = false
		x.reachable, x.since, x.reason = false, now, "new incarnation, not yet heard both ways"
		x.last = Packet{}
		newer = true
	}
	l := &x.links[number]
	was, reason, silent := x.linksUp(), x.reason, !l.heard || now-l.heardAt >= d.times.Dead
	if p.Sequence >= x.last.Sequence {
		if p.says(&x.last) {
			x.last.stamp(p)
		} else {
			x.last, changed = *p, true
		}
		x.heardAt = now
	}
	l.count(p.Sequence)
	if p.Sequence >= l.sequence {
		l.sequence = p.Sequence
		if l.hearsUs = d.hears(p, number); l.hearsUs {
			l.mutualAt = now
		}
	}
	if !l.heard {
		d.changes++
	}
	l.heard, l.heardAt = true, now
	d.judge(now, x)
	return newer, changed || newer || silent || was != x.linksUp() || reason != x.reason
}

// linksUp returns the links that count, as bits.
func (x *peer) linksUp() (bits uint8) {
	for i := range x.links {
		if x.links[i].up {
			bits |= 1 << i
		}
	}
	return bits
}

// hears tells whether p's sender hears this incarnation on link number.
func (d *Detector) hears(p *Packet, number int) bool {
	for _, h := range p.Heard {
		if h.Node == d.self {
			return h.Counter == d.counter && h.Links&(1<<number) != 0
		}
	}
	return false
}

// count notes in the loss statistics that the packet with this number came.
func (l *link) count(sequence uint64) {
	switch {
	case l.counted == 0:
		l.received, l.counted = 1, 1
	case sequence > l.sequence:
		gap := sequence - l.sequence
		l.received = l.received<<min(gap, 63) | 1
		l.counted = int(min(uint64(l.counted)+gap, lossWindow))
	case l.sequence-sequence < lossWindow:
		l.received |= 1 << (l.sequence - sequence)
	}
}

func (l *link) loss() float64 {
	if l.counted == 0 {
		return 0
	}
	came := 0
	for i := range l.counted {
		came += int(l.received >> i & 1)
	}
	return 1 - float64(came)/float64(l.counted)
}

// Carrier notes that our own link got or lost its carrier.
func (d *Detector) Carrier(now time.Duration, number int, carrier bool) {
	if number < 0 || number >= MaxLinks {
		return
	}
	if carrier {
		d.down &^= 1 << number
	} else {
		d.down |= 1 << number
	}
	d.Tick(now)
}

// Turn notes that the core's loop turns, expected to do so at the latest at
// deadline. A turn that is late moves all deadlines by its delay, by at most two
// dead times in a row.
func (d *Detector) Turn(now, deadline time.Duration) (late time.Duration) {
	if d.turned && deadline > 0 && now > deadline {
		late = now - deadline
	}
	if d.turned && late > d.times.Interval/2 && late > 5*time.Millisecond {
		shift := min(late, 2*d.times.Dead-d.extended)
		if shift > 0 {
			d.extended += shift
			for _, x := range d.peers {
				for i := range x.links {
					x.links[i].heardAt = min(x.links[i].heardAt+shift, now)
				}
			}
			d.doubtTill = now + min(shift, d.times.Dead)
		}
		d.onTime = now
	} else {
		late = 0
		if now-d.onTime > d.times.Dead {
			d.extended = 0
		}
	}
	d.lastTurn, d.turned = now, true
	return late
}

// InDoubt tells whether this node ran late itself a moment ago: it must neither
// lead nor accuse now.
func (d *Detector) InDoubt(now time.Duration) bool { return now < d.doubtTill }

// Tick looks at all deadlines.
func (d *Detector) Tick(now time.Duration) {
	for _, x := range d.peers {
		d.judge(now, x)
	}
}

// Forget drops a peer that has left the cluster.
func (d *Detector) Forget(name string) {
	d.peers = slices.DeleteFunc(d.peers, func(x *peer) bool { return x.name == name })
	d.changes++
}

func (d *Detector) judge(now time.Duration, x *peer) {
	any := false
	for i := range x.links {
		if !x.links[i].heard {
			continue
		}
		d.judgeLink(now, i, &x.links[i])
		any = any || x.links[i].up
	}
	reason := ""
	switch {
	case x.last.LoopAge > d.times.Stall:
		reason = coreStands
	case x.last.SyncAge > d.times.Stall:
		reason = diskStands
	case x.last.StreamAge > d.times.Stall:
		reason = streamStands
	case !any && now-x.newest() < d.times.Dead:
		reason = d.whyNot(now, x)
	case !any:
		reason = notHeard
	}
	if ok := reason == ""; ok != x.reachable {
		x.reachable, x.since = ok, now
		d.changes++
		x.was = x.was || ok
	}
	x.reason = reason
}

// Why a peer is not reachable.
const (
	coreStands   = "its core stands still"
	diskStands   = "its disk does not answer"
	streamStands = "its stream does not answer"
	heardOneWay  = "heard, but it does not hear us"
	notHeard     = "not heard on any link"
	noCarrier    = "our links to it have no carrier"
	flapping     = "heard, but its links fail again and again"
)

// whyNot says why no link counts over which a peer is heard.
func (d *Detector) whyNot(now time.Duration, x *peer) string {
	carrier, mutual := false, false
	for i := range x.links {
		if l := &x.links[i]; l.heard && now-l.heardAt < d.times.Dead && d.down&(1<<i) == 0 {
			carrier, mutual = true, mutual || l.hearsUs
		}
	}
	switch {
	case !carrier:
		return noCarrier
	case mutual:
		return flapping
	}
	return heardOneWay
}

// lasted returns for how long the reason for which a peer is not reachable has been so.
func (d *Detector) lasted(now time.Duration, x *peer) time.Duration {
	if x.reachable {
		return 0
	}
	silence := now - x.heardAt
	switch x.reason {
	case coreStands:
		return silence + x.last.LoopAge
	case diskStands:
		return silence + x.last.SyncAge
	case streamStands:
		return silence + x.last.StreamAge
	case heardOneWay:
		// The peer names us for a dead time after it heard us last.
		mutual := time.Duration(0)
		for i := range x.links {
			mutual = max(mutual, x.links[i].mutualAt)
		}
		if mutual == 0 {
			return now - x.since // this life has never heard us
		}
		return now - mutual + d.times.Dead
	case notHeard:
		return silence
	}
	return now - x.since
}

func (d *Detector) judgeLink(now time.Duration, number int, l *link) {
	carrier := d.down&(1<<number) == 0
	live := l.heard && carrier && l.hearsUs && now-l.heardAt < d.times.Dead
	if l.up && !live {
		l.failures = append(l.failures, now)
		if len(l.failures) > flapFailures {
			l.failures = l.failures[1:]
		}
		if len(l.failures) == flapFailures && now-l.failures[0] < flapWindow*d.times.Dead {
			l.held = true
		}
	}
	if l.held && now-l.failures[len(l.failures)-1] >= flapWindow*d.times.Dead {
		l.held, l.failures = false, nil
	}
	if up := live && !l.held; up != l.up {
		l.up = up
		d.changes++
	}
}

// newest returns when anything came, on any link.
func (x *peer) newest() time.Duration {
	newest := time.Duration(-1 << 62)
	for i := range x.links {
		if x.links[i].heard {
			newest = max(newest, x.links[i].heardAt)
		}
	}
	return newest
}

// Peers returns what is known of every peer ever heard, by name.
func (d *Detector) Peers(now time.Duration) []View {
	views := make([]View, 0, len(d.peers))
	for _, x := range d.peers {
		views = append(views, d.view(now, x))
	}
	return views
}

// Peer returns what is known of the peer called name; ok is false if it was never heard.
func (d *Detector) Peer(now time.Duration, name string) (v View, ok bool) {
	if x := d.peer(name); x != nil {
		return d.view(now, x), true
	}
	return View{Node: name, Reason: "never heard"}, false
}

func (d *Detector) view(now time.Duration, x *peer) View {
	return View{
		Node: x.name, Reachable: x.reachable, New: !x.was && now-x.since < d.times.Dead, Heard: now-x.newest() < d.times.Dead,
		Since: x.since, HeardAt: x.heardAt, Reason: x.reason, Lasted: d.lasted(now, x), Packet: x.last,
	}
}

// Links returns the links to a peer on which anything was ever heard.
func (d *Detector) Links(now time.Duration, name string) []LinkView {
	x := d.peer(name)
	if x == nil {
		return nil
	}
	var views []LinkView
	for i := range x.links {
		if l := &x.links[i]; l.heard {
			views = append(views, LinkView{Link: i, Up: l.up, Age: now - l.heardAt, Loss: l.loss()})
		}
	}
	return views
}

// Heard returns what our own heartbeats say of whom we hear, by name.
func (d *Detector) Heard(now time.Duration) []Heard { return d.AppendHeard(nil, now) }

// AppendHeard appends to list what Heard returns. A peer whose stream to us stands
// still is heard on no link that counts: so it learns that we are as good as lost to it.
func (d *Detector) AppendHeard(list []Heard, now time.Duration) []Heard {
	for _, x := range d.peers {
		h := Heard{Node: x.name, Counter: x.last.Counter}
		for i := range x.links {
			if l := &x.links[i]; l.heard && now-l.heardAt < d.times.Dead {
				h.Links |= 1 << i
			}
		}
		if h.Links == 0 {
			continue
		}
		if x.last.StreamAge > d.times.Stall {
			h.Links = 0
		}
		list = append(list, h)
	}
	return list
}

// Deadline returns when silence would next change something; 0: never.
func (d *Detector) Deadline(now time.Duration) time.Duration {
	var next time.Duration
	sooner := func(t time.Duration) {
		if t > now && (next == 0 || t < next) {
			next = t
		}
	}
	for _, x := range d.peers {
		for i := range x.links {
			l := &x.links[i]
			if l.heard {
				sooner(l.heardAt + d.times.Dead)
			}
			if l.held {
				sooner(l.failures[len(l.failures)-1] + flapWindow*d.times.Dead)
			}
		}
	}
	return next
}

func (d *Detector) peer(name string) *peer {
	for _, x := range d.peers {
		if x.name == name {
			return x
		}
	}
	return nil
}
