package sim

import (
	"slices"
	"time"

	"linuxha/internal/cluster"
	"linuxha/internal/core/event"
)

// fenceDevice is the condition of a fence device.
type fenceDevice struct {
	id    string
	apart map[int]bool  // hosts that do not reach it
	fails time.Duration // until then it fails
	slow  time.Duration // until then it takes very long
}

// Fence devices by their ids.
const (
	devicePower   = "power"
	devicePort    = "port"    // a switch: it cuts the network only
	deviceStorage = "storage" // reservations: it cuts what keeps a node from the storage only
)

// deviceSupplies cut one of a host's two power supplies each.
var deviceSupplies = [2]string{"supply-a", "supply-b"}

// devices are the ids of this world's fence devices, as they are tried.
func (s *Shape) devices() []string {
	switch {
	case !s.Fencing:
		return nil
	case s.Port:
		return []string{devicePort}
	case s.Supplies:
		return deviceSupplies[:]
	case s.Storage && s.Beside:
		return []string{deviceStorage, devicePower}
	case s.Storage:
		return []string{deviceStorage}
	}
	return []string{devicePower}
}

// devicesWell makes all fence devices work, for every host.
func (w *World) devicesWell() {
	w.devices = nil
	for _, id := range append(w.shape.devices(), "") { // the last one stands for none
		w.devices = append(w.devices, &fenceDevice{id: id})
	}
}

// device returns the one with an id.
func (w *World) device(id string) *fenceDevice {
	for _, d := range w.devices {
		if d.id == id {
			return d
		}
	}
	return w.devices[len(w.devices)-1]
}

// someDevice is the one that a fault hits.
func (w *World) someDevice(f Fault) *fenceDevice { return w.devices[f.Peer%max(len(w.devices)-1, 1)] }

// away notes whether a host reaches the device.
func (d *fenceDevice) away(host int, away bool) {
	if d.apart == nil {
		d.apart = map[int]bool{}
	}
	d.apart[host] = away
}

// fence calls a fence device. It is honest: it says that it succeeded only if it
// did what it was asked to. That may happen though nobody waits any more; but what
// gives something back does not outlast its call, since a device does not keep "on"
// for later, nor does a cut of storage, which the agent makes itself.
func (h *Host) fence(call event.FenceCall) {
	w := h.w
	if call.Asks() {
		h.askDevice(call)
		return
	}
	target, d := w.byName[call.Target.Node], w.device(call.Device)
	life, boot := h.life, h.boots
	w.note("%s: %s %s of %s (incarnation %d) called, delay %v", h.name, call.Device, call.Action, call.Target.Node, call.Target.Counter, call.Delay)
	w.after(call.Delay, func() {
		h.whenAwake(func() {
			if h.life != life || h.daemon == nil {
				return // nobody is left to call it
			}
			w.count("fence device called")
			if call.Action != "on" && call.ID>>62 == 0 { // who makes sure for itself, or for a vote, may shoot whatever life there is
				w.truth.Called(w.now, h.name, call.Target.Node, call.Target.Boot)
			}
			if call.Caller != "" {
				w.count("fence device called for the leader")
			}
			h.calls = append(h.calls, w.now)
			takes := w.between(w.shape.FenceTime/2, w.shape.FenceTime*3/2)
			if w.now < d.slow {
				takes += w.between(time.Second, 30*time.Second)
				w.count("fence device slow")
			}
			fails := w.now < d.fails || d.apart[h.index] || target == nil
			hit := time.Duration(w.rng.Int64N(int64(takes) + 1))
			var cut bool
			if !fails {
				w.after(hit, func() {
					if (!h.power || h.boots != boot) && w.chance(0.5) {
						return // the request died with its caller
					}
					if (call.Action == "on" || call.Device == deviceStorage) && hit > call.Timeout {
						return
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
	takes, d := h.w.between(10*time.Millisecond, 300*time.Millisecond), h.w.device(call.Device)
	e := event.FenceCalled{Call: call, OK: h.w.now >= d.fails && !d.apart[h.index], Took: takes}
	switch {
	case !e.OK:
		e.Error = "the device does not answer"
	case call.Device == devicePort || call.Device == deviceStorage:
		e.Actions = []cluster.AdvisedAction{{Name: "on", Automatic: true}, {Name: "off"}, {Name: "monitor"}}
	default:
		for _, action := range []string{"on", "off", "reboot", "monitor"} {
			e.Actions = append(e.Actions, cluster.AdvisedAction{Name: action})
		}
	}
	h.inLife(takes, func() { h.daemonStep(e) })
}

// shoot lets a fence device do to a host what it was asked to.
func (w *World) shoot(target *Host, call event.FenceCall) {
	on := call.Action == "on"
	switch {
	case call.Device == devicePort && on:
		w.plug(target)
	case call.Device == devicePort:
		w.unplug(target)
	case call.Device == deviceStorage && on:
		w.unfence(target)
	case call.Device == deviceStorage:
		w.count("storage cut")
		w.note("%s: its storage is cut", target.name)
		w.truth.CutStorage(target.name)
	case w.shape.Supplies:
		w.supply(target, slices.Index(deviceSupplies[:], call.Device), call)
	case on:
		target.switchOn()
	default:
		w.powerOff(target, call)
	}
}

// unplug cuts a host's network, until people plug it in again.
func (w *World) unplug(h *Host) {
	if h.unplugged {
		return
	}
	h.unplugged = true
	w.carry(h, 1)
	w.after(w.between(10*time.Second, 30*time.Second), func() {
		if h.unplugged {
			w.forced = w.now // it waited for people
			w.plug(h)
		}
	})
}

func (w *World) plug(h *Host) {
	if h.unplugged {
		h.unplugged = false
		w.carry(h, -1)
	}
}

// carry cuts all paths of a host, or takes such a cut back.
func (w *World) carry(h *Host, by int) {
	all := Fault{Link: -1}
	w.each(all, []int{h.index}, w.others(h.index), func(p *path) { p.cut += by })
	w.each(all, w.others(h.index), []int{h.index}, func(p *path) { p.cut += by })
}

// unfence gives a host its storage back.
func (w *World) unfence(h *Host) {
	if !h.power {
		return
	}
	w.count("node unfenced")
	w.truth.Unfence(w.now, h.name)
}

// supply switches one of a host's two power supplies.
func (w *World) supply(h *Host, i int, call event.FenceCall) {
	if call.Action == "on" {
		h.supplies[i] = true
		w.count("supply switched on")
		w.note("%s: supply %d is on", h.name, i+1)
		h.switchOn()
		return
	}
	w.count("supply switched off")
	w.note("%s: supply %d is off", h.name, i+1)
	if h.supplies[i] = false; h.supplies == [2]bool{} {
		w.powerOff(h, call)
	}
}

// powerOff cuts a host's power, and gives it back after a reboot; one that was
// switched off is switched on by people.
func (w *World) powerOff(target *Host, call event.FenceCall) {
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
			target.repower()
		}
	})
}

// repower is what people do about a host that is off; where a device has switched off
// one of two supplies they leave it: its fencing may be under way.
func (h *Host) repower() {
	if h.power {
		return
	}
	h.supplies = [2]bool{true, true}
	h.switchOn()
}

// leads tells whether the host's daemon takes itself for the leader.
func (h *Host) leads() bool {
	return h.daemon != nil && h.daemon.local != nil && h.daemon.local.Role == "leader"
}
