package sim

import (
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// device is the condition of the world's fence device.
type device struct {
	apart map[int]bool  // hosts that do not reach it
	fails time.Duration // until then it fails
	slow  time.Duration // until then it takes very long
}

// away notes whether a host reaches the device.
func (d *device) away(host int, away bool) {
	if d.apart == nil {
		d.apart = map[int]bool{}
	}
	d.apart[host] = away
}

// fence calls the fence device. It is honest: it says that it succeeded only if
// it cut the power. What was asked of it may happen though nobody waits any more.
func (h *Host) fence(call event.FenceCall) {
	w := h.w
	if call.Asks() {
		h.askDevice(call)
		return
	}
	target := w.byName[call.Target.Node]
	life, boot := h.life, h.boots
	w.note("%s: %s %s of %s (incarnation %d) called, delay %v", h.name, call.Device, call.Action, call.Target.Node, call.Target.Counter, call.Delay)
	w.after(call.Delay, func() {
		h.whenAwake(func() {
			if h.life != life || h.daemon == nil {
				return // nobody is left to call it
			}
			w.count("fence device called")
			if call.Action != "on" {
				w.truth.Called(w.now, h.name, call.Target.Node, call.Target.Boot)
			}
			if call.Caller != "" {
				w.count("fence device called for the leader")
			}
			h.calls = append(h.calls, w.now)
			takes := w.between(w.shape.FenceTime/2, w.shape.FenceTime*3/2)
			if w.now < w.device.slow {
				takes += w.between(time.Second, 30*time.Second)
				w.count("fence device slow")
			}
			fails := w.now < w.device.fails || w.device.apart[h.index] || target == nil
			hit := time.Duration(w.rng.Int64N(int64(takes) + 1))
			var cut bool
			if !fails {
				w.after(hit, func() {
					if (!h.power || h.boots != boot) && w.chance(0.5) {
						return // the request died with its caller
					}
					cut = true
					if w.shape.Lying && !w.healed && w.chance(0.3) {
						w.count("fence device lied")
						return
					}
					w.shoot(target, call)
				})
			}
			w.after(takes, func() {
				if h.power && h.boots == boot && h.life != life {
					w.count("fencing result after its daemon")
				}
			})
			answer := func(ok bool, text string, took time.Duration) {
				began := w.now
				h.inLife(took, func() {
					h.calls = slices.DeleteFunc(h.calls, func(at time.Duration) bool { return at == began })
					h.daemonStep(event.FenceCalled{Call: call, OK: ok && cut, Error: text, Took: took})
				})
			}
			switch {
			case takes > call.Timeout:
				answer(false, "timed out", call.Timeout)
			case fails:
				answer(false, "the device does not answer", takes)
				w.count("fence device failed")
			default:
				answer(true, "", takes)
			}
		}, false)
	})
}

// askDevice answers a question that changes nothing: what the agent can.
func (h *Host) askDevice(call event.FenceCall) {
	takes := h.w.between(10*time.Millisecond, 300*time.Millisecond)
	e := event.FenceCalled{Call: call, OK: h.w.now >= h.w.device.fails && !h.w.device.apart[h.index], Took: takes}
	switch {
	case !e.OK:
		e.Error = "the device does not answer"
	case call.Device == "port":
		e.Actions = []cluster.AdvisedAction{{Name: "on", Automatic: true}, {Name: "off"}, {Name: "monitor"}}
	default:
		for _, action := range []string{"on", "off", "reboot", "monitor"} {
			e.Actions = append(e.Actions, cluster.AdvisedAction{Name: action})
		}
	}
	h.inLife(takes, func() { h.daemonStep(e) })
}

// shoot cuts a host's power, and gives it back after a reboot; one that was
// switched off is switched on by people.
func (w *World) shoot(target *Host, call event.FenceCall) {
	if call.Device == "port" {
		if call.Action != "on" {
			w.cutAll(Fault{Host: target.index, For: w.between(10*time.Second, 30*time.Second)})
		}
		return
	}
	if call.Action == "on" {
		target.switchOn()
		return
	}
	if target.power {
		if target.bootID() != call.Target.Boot {
			w.count("fencing hit a later life")
		}
		if target.leads() {
			w.count("leader fenced")
		}
	}
	for _, h := range w.hosts {
		if h.power {
			h.met[target.name] = true
		}
	}
	target.switchOff()
	back := w.between(2*time.Second, 15*time.Second)
	if call.Action == "off" {
		back = w.between(10*time.Second, time.Minute)
	}
	boots := target.boots
	w.after(back, func() {
		if target.boots == boots {
			target.switchOn()
		}
	})
}

// leads tells whether the host's daemon takes itself for the leader.
func (h *Host) leads() bool {
	return h.daemon != nil && h.daemon.local != nil && h.daemon.local.Role == "leader"
}
