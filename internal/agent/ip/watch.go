package ip

import (
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"linuxha/internal/core/event"
)

// receiveBuffer of a netlink subscription, in bytes: a burst of changes by others
// must not drown our own.
const receiveBuffer = 1 << 20

// watch begins to follow what the kernel tells of addresses and links.
func (a *Agent) watch() {
	addrs, links, err := a.subscribe()
	if err != nil {
		a.o.Log.Error("addresses are watched by the recurring monitor only", "error", err)
		return
	}
	go func() {
		for {
			select {
			case <-a.done:
				return
			case u, ok := <-addrs:
				if ok {
					a.addressChanged(u)
					continue
				}
			case u, ok := <-links:
				if ok {
					a.linkChanged(u)
					continue
				}
			}
			// A subscription ended: the kernel had more to tell than it could keep.
			if addrs, links, err = a.resubscribe(); err != nil {
				return
			}
			a.lookAgain()
		}
	}()
}

func (a *Agent) subscribe() (chan netlink.AddrUpdate, chan netlink.LinkUpdate, error) {
	failed := func(err error) {
		select {
		case <-a.done: // ends the subscription with an error
		default:
			a.o.Log.Debug("netlink subscription", "error", err)
		}
	}
	addrs, links := make(chan netlink.AddrUpdate, 64), make(chan netlink.LinkUpdate, 64)
	err := netlink.AddrSubscribeWithOptions(addrs, a.done, netlink.AddrSubscribeOptions{ErrorCallback: failed, ReceiveBufferSize: receiveBuffer})
	if err != nil {
		return nil, nil, fmt.Errorf("watch addresses: %w", err)
	}
	err = netlink.LinkSubscribeWithOptions(links, a.done, netlink.LinkSubscribeOptions{ErrorCallback: failed, ReceiveBufferSize: receiveBuffer})
	if err != nil {
		return nil, nil, fmt.Errorf("watch links: %w", err)
	}
	return addrs, links, nil
}

// resubscribe tries until it succeeds; an error means that the agent is closed.
func (a *Agent) resubscribe() (addrs chan netlink.AddrUpdate, links chan netlink.LinkUpdate, err error) {
	for {
		select {
		case <-a.done:
			return nil, nil, fmt.Errorf("closed")
		case <-time.After(100 * time.Millisecond):
		}
		if addrs, links, err = a.subscribe(); err == nil {
			return addrs, links, nil
		}
	}
}

func (a *Agent) addressChanged(u netlink.AddrUpdate) {
	prefix, ok := prefixOf(&u.LinkAddress)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.held {
		if h.config.addr == prefix.Addr() && h.place.index == u.LinkIndex {
			a.look(h) // the news may be of before the last start
		}
	}
}

func (a *Agent) linkChanged(u netlink.LinkUpdate) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.held {
		if h.place.index != int(u.Index) {
			continue
		}
		problem := fmt.Sprintf("link %s vanished", h.place.name)
		if u.Header.Type != unix.RTM_DELLINK {
			h.place.flags, h.place.name, h.place.mac = u.Attrs().RawFlags, u.Attrs().Name, u.Attrs().HardwareAddr
			problem = h.place.problem()
		}
		a.changed(h, problem)
	}
}

// changed tells of a new problem; and when the last one is gone, the neighbours.
func (a *Agent) changed(h *holding, problem string) {
	if h.broken == problem {
		return
	}
	if h.broken = problem; problem != "" {
		a.o.Notices(event.ResourceNotice{Name: h.resource, Reason: problem})
		return
	}
	if h.place.speaksEthernet() {
		close(h.stop)
		h.stop = make(chan struct{})
		a.announceFirst(h)
		go a.announceAgain(h.place, h.config, h.stop)
	}
}

// lookAgain makes up for news that were lost.
func (a *Agent) lookAgain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range a.held {
		a.look(h)
	}
}

func (a *Agent) look(h *holding) {
	p, err := find(h.config)
	switch {
	case err != nil:
		a.changed(h, err.Error())
	case p == nil:
		a.changed(h, fmt.Sprintf("address %v vanished from %s", h.config.addr, h.place.name))
	default:
		h.place = *p
		a.changed(h, p.problem())
	}
}
