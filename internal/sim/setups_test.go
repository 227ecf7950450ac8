package sim

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"linuxha/internal/core/event"
)

var update = flag.Bool("update", false, "write the table of docs/HOWTO.md anew")

// setup is what administrators build.
type setup struct {
	name  string
	shape Shape
}

func setups() []setup {
	small := func(nodes int) Shape {
		s := shape(nodes)
		s.Resources, s.Group = 1, 0
		return s
	}
	ahead := func(s Shape) Shape { s.Delay = "n1:5s"; return s }
	witness := func(s Shape) Shape { s.Witness = true; return s }
	return []setup{
		{"1 node", noFencing(small(1))},
		{"2 nodes, power fencing", small(2)},
		{"2 nodes, power fencing with a `delay`", ahead(small(2))},
		{"2 nodes, no fence device", noFencing(small(2))},
		{"2 nodes and a witness, power fencing", witness(small(3))},
		{"2 nodes and a witness, watchdogs", witness(watchdogs(small(3)))},
		{"3 nodes, power fencing", small(3)},
		{"3 nodes, watchdogs", watchdogs(small(3))},
		{"3 nodes, no fence device", noFencing(small(3))},
		{"4 nodes and a witness (two sites of 2), watchdogs", witness(watchdogs(small(5)))},
		{"5 nodes, power fencing", small(5)},
	}
}

// failure is what happens to a set-up. hit is the host that suffers: once the one
// that runs the service, once another one.
type failure struct {
	name string
	min  int // nodes without which it cannot happen
	do   func(s *stage, hit int)
}

var failures = []failure{
	{"process", 1, func(s *stage, hit int) {
		for _, name := range s.host(hit).agents.running() {
			s.host(hit).agents.die(name)
		}
	}},
	{"`ha` killed", 1, func(s *stage, hit int) {
		s.host(hit).kill()
		s.after(300*time.Millisecond, s.host(hit).start)
	}},
	{"host", 1, func(s *stage, hit int) { s.crash(hit) }},
	{"two hosts at once", 3, func(s *stage, hit int) { s.crash(hit, hit%len(s.hosts)+1) }},
	{"one of two links", 2, func(s *stage, hit int) {
		for n := range s.hosts {
			if n+1 != hit {
				s.net.paths[0][hit-1][n].cut++
				s.net.paths[0][n][hit-1].cut++
			}
		}
	}},
	{"a host's links", 2, func(s *stage, hit int) { s.isolate(hit) }},
	{"switch", 2, func(s *stage, hit int) {
		for n := range s.hosts {
			for o := range n {
				s.cut(n+1, o+1, 1)
			}
		}
	}},
	{"host and fence device", 2, func(s *stage, hit int) {
		s.devices[0].fails = s.now + time.Hour
		s.crash(hit)
	}},
	{"all power", 1, func(s *stage, hit int) {
		for _, h := range s.hosts {
			h.switchOff()
		}
		s.pass(2)
		for _, h := range s.hosts {
			h.switchOn()
		}
	}},
	{"all power, one never returns", 2, func(s *stage, hit int) {
		for _, h := range s.hosts {
			h.switchOff()
		}
		s.pass(2)
		for n, h := range s.hosts {
			if h.dead = n+1 == hit; !h.dead {
				h.switchOn()
			}
		}
	}},
	{"disk", 1, func(s *stage, hit int) {
		s.host(hit).switchOff()
		s.host(hit).disk.wipe()
		s.pass(3)
		s.host(hit).switchOn()
	}},
}

// What becomes of the service, from best to worst.
const (
	untouched = iota
	recovered
	confirmed
	forced
	repaired
	gone
)

var outcomes = []string{"runs on", "yes", "confirm", "force", "repair", "lost"}

// outcome plays a failure, and looks what it takes until the service runs again:
// nothing, the cluster's own work, an administrator's word, or the repair; the worst
// of several times where chance decides: a pair may shoot one of its nodes or both.
func outcome(t *testing.T, shape Shape, f failure, owner bool) (worst int) {
	times := uint64(1)
	if shape.Nodes == 2 && shape.Fencing && shape.Delay == "" {
		times = 6
	}
	for seed := range times {
		shape.Seed = 4000 + seed
		worst = max(worst, outcomeOnce(t, shape, f, owner))
	}
	return worst
}

func outcomeOnce(t *testing.T, shape Shape, f failure, owner bool) (result int) {
	if shape.Nodes == 1 && f.name == "disk" {
		return gone // its only copy; there is nothing to play
	}
	playSeed(t, shape, func(s *stage) {
		if !owner && len(s.hosts) > 1 {
			s.wish(max(s.leader(), 1), moveTo(s.host(2).name))
			s.await(20, "the service moves", func() bool { return s.owns(2) })
			s.pass(1)
		}
		hit := 1
		for n := range s.hosts {
			if runs := len(s.host(n+1).agents.running()) > 0; runs == owner {
				hit = n + 1
				break
			}
		}
		began := s.stats["operation start"]
		f.do(s, hit)
		steady := func() bool { return s.served() && s.now > 0 }
		s.pass(0.5)
		if !s.until(seconds(40), 50*time.Millisecond, steady) {
			result = s.people()
			return
		}
		// It must stay so.
		s.pass(25)
		switch {
		case !s.served():
			result = s.people()
		case s.leader() == 0 && f.name == "disk":
			result = s.force() // the service runs, but one without its disk's content finds nobody who admits it
		case s.stats["operation start"] > began:
			result = recovered
		}
	})
	return result
}

// people do what only people can, telling the truth: which host has no power.
func (s *stage) people() int {
	for n, h := range s.hosts {
		if l := s.leader(); l > 0 && !h.power {
			s.wish(l, event.Request{Confirm: s.host(n + 1).name})
		}
	}
	if s.until(seconds(20), 50*time.Millisecond, s.served) {
		return confirmed
	}
	return s.force()
}

func (s *stage) force() int {
	for n, h := range s.hosts {
		if h.power && h.disk.stored.Identity.RaftID == 0 {
			s.crash(n + 1) // it has nothing to say: off with it until another one leads
		}
	}
	up := 0
	for n, h := range s.hosts {
		if h.power {
			if up > 0 {
				return repaired // two are up: neither is surely off
			}
			up = n + 1
		}
	}
	if up > 0 && s.wish(up, event.Request{ForceQuorum: true}).Err == nil && s.until(seconds(20), 50*time.Millisecond, s.served) {
		return forced
	}
	return repaired
}

// TestSetups plays every failure in every set-up, and compares what comes of it
// with the table in docs/HOWTO.md.
func TestSetups(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	list := setups()
	table := make([][]int, len(list))
	var mu sync.Mutex
	t.Run("all", func(t *testing.T) {
		for i, x := range list {
			table[i] = make([]int, len(failures))
			for k, f := range failures {
				t.Run(x.name+", "+f.name, func(t *testing.T) {
					t.Parallel()
					if x.shape.Nodes < f.min || strings.Contains(f.name, "fence device") && !x.shape.Fencing {
						table[i][k] = -1
						return
					}
					worst := outcome(t, x.shape, f, true)
					if x.shape.Nodes > 1 {
						worst = max(worst, outcome(t, x.shape, f, false))
					}
					mu.Lock()
					table[i][k] = worst
					mu.Unlock()
				})
			}
		}
	})
	var b strings.Builder
	b.WriteString("| set-up |")
	for _, f := range failures {
		fmt.Fprintf(&b, " %s |", f.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(failures)) + "\n")
	for i, x := range list {
		fmt.Fprintf(&b, "| %s |", x.name)
		for _, o := range table[i] {
			text := "–"
			if o >= 0 {
				text = outcomes[o]
			}
			fmt.Fprintf(&b, " %s |", text)
		}
		b.WriteString("\n")
	}
	compareTable(t, filepath.Join("..", "..", "docs", "HOWTO.md"), "### Which set-up survives what", b.String())
}

// compareTable compares the first table below a heading of a document with what
// it has to be.
func compareTable(t *testing.T, path, heading, want string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	at := strings.Index(text, heading)
	if at < 0 {
		t.Fatalf("%s has no heading %q", path, heading)
	}
	from := at + strings.Index(text[at:], "\n|") + 1
	to := from
	for strings.HasPrefix(text[to:], "|") {
		to += strings.Index(text[to:], "\n") + 1
	}
	if text[from:to] == want {
		return
	}
	if !*update {
		t.Fatalf("%s, %s: the table is not what was seen (go test -run %s -update):\n%s", path, heading, t.Name(), want)
	}
	if err := os.WriteFile(path, []byte(text[:from]+want+text[to:]), 0o644); err != nil {
		t.Fatal(err)
	}
}
