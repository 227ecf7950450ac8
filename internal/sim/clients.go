package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// clients write numbers into registers, one after the other, and remember what
// was acknowledged. A register is a join token whose expiry is its value: nothing
// that a cluster has to act on.
type clients struct {
	w       *World
	every   time.Duration
	written map[string]acknowledged
	next    int
	stop    bool
}

type acknowledged struct {
	value, index uint64
	lineage      string
}

// covers tells whether a state must contain what was acknowledged.
func (c *clients) covers(h *Host, s *cluster.State, a acknowledged) bool {
	return s.Index >= a.index && c.w.truth.Descends(h.lineage(), a.lineage)
}

var registerBase = epoch.Add(1000 * time.Hour)

func startClients(w *World, n int, every time.Duration) {
	w.clock = &clients{w: w, every: every, written: map[string]acknowledged{}}
	for range n {
		w.clock.begin()
	}
}

// begin starts a client on a fresh register.
func (c *clients) begin() {
	c.next++
	c.write(fmt.Sprintf("w%d", c.next), 1)
}

// write writes a value, and goes on with the next one. A write of unknown outcome
// ends its register: it may still happen at any time.
func (c *clients) write(register string, value uint64) {
	w := c.w
	w.after(w.between(c.every/2, 3*c.every/2), func() {
		if c.stop {
			return
		}
		sent := c.send(w.hosts[w.rng.IntN(len(w.hosts))], register, value, func(acknowledged bool) {
			if acknowledged {
				c.write(register, value+1)
			} else {
				c.begin()
			}
		})
		if !sent {
			c.write(register, value)
		}
	})
}

// hurry starts a client that writes through h, and for a while goes on through any
// host as soon as it is answered.
func (c *clients) hurry(h *Host, d time.Duration) {
	c.next++
	w, register, end := c.w, fmt.Sprintf("w%d", c.next), c.w.now+d
	var write func(h *Host, value uint64)
	write = func(h *Host, value uint64) {
		c.send(h, register, value, func(acknowledged bool) {
			w.after(w.between(10*time.Millisecond, 200*time.Millisecond), func() {
				if acknowledged && !c.stop && w.now < end {
					write(w.hosts[w.rng.IntN(len(w.hosts))], value+1)
				}
			})
		})
	}
	write(h, 1)
}

// send sends a write to a host, and tells whether that took it; then is told whether it
// was acknowledged.
func (c *clients) send(h *Host, register string, value uint64, then func(acknowledged bool)) bool {
	w := c.w
	life, boot := h.life, h.bootID()
	token := cluster.Token{Hash: register, Expires: registerBase.Add(time.Duration(value) * time.Second)}
	done := false
	sent := h.request(event.Request{Commands: []cluster.Command{{Token: &token}}, By: "client"}, func(r event.Reply) {
		done = true
		if r.Err != nil {
			w.count("write refused")
			then(false)
			return
		}
		w.count("write acknowledged")
		if w.watching() && h.leads() {
			w.step(h, stepAnswered)
		}
		c.written[register] = acknowledged{value, r.Index, h.lineage()}
		w.truth.Changed(w.now, h.name, boot)
		then(true)
	})
	if !sent {
		return false
	}
	w.after(15*time.Second, func() {
		if !done {
			w.count("write never answered")
			if h.life == life && h.daemon != nil && h.awake < w.now-15*time.Second {
				w.truth.Stuck(w.now, "%s never answered a request", h.name)
			}
			then(false)
		}
	})
	return true
}

// check looks whether a state holds what was acknowledged before its index.
func (c *clients) check(h *Host, s *cluster.State) {
	for i := range s.Tokens {
		t := &s.Tokens[i]
		if a, ok := c.written[t.Hash]; ok && c.covers(h, s, a) {
			c.w.truth.Read(c.w.now, h.name, t.Hash, uint64(t.Expires.Sub(registerBase)/time.Second), a.value)
		}
	}
}

// checkAll looks for registers that are missing altogether.
func (c *clients) checkAll(h *Host, s *cluster.State) {
	for _, register := range slices.Sorted(maps.Keys(c.written)) {
		a := c.written[register]
		value := uint64(0)
		for i := range s.Tokens {
			if s.Tokens[i].Hash == register {
				value = uint64(s.Tokens[i].Expires.Sub(registerBase) / time.Second)
			}
		}
		if c.covers(h, s, a) {
			c.w.truth.Read(c.w.now, h.name, register, value, a.value)
		}
	}
}
