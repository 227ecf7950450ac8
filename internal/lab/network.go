package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The supervisor's own network namespace is the lab's switch: a bridge for each
// link, and a port (one end of a veth pair) for each interface of a host.

// LinkInterface is the name of a host's interface on a link, counted from 1.
func LinkInterface(link int) string { return fmt.Sprintf("link%d", link) }

// createSwitch makes the bridges in the caller's network namespace.
func createSwitch(links int) error {
	// The switch has no business with the traffic that it carries: bridges and
	// ports get no IPv6 addresses, which would send packets of their own.
	for _, which := range []string{"all", "default"} {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("switch off IPv6 in the switch: %w", err)
		}
	}
	for link := 1; link <= links; link++ {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = LinkInterface(link)
		// Snooping would withhold multicast, such as neighbour advertisements,
		// from hosts that have not yet asked for it.
		snooping := false
		bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
		if err := netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("add bridge %s: %w", attrs.Name, err)
		}
		if err := netlink.LinkSetUp(bridge); err != nil {
			return fmt.Errorf("set bridge %s up: %w", attrs.Name, err)
		}
	}
	return nil
}

// wiring is a host's connection to the switch while the host is on.
type wiring struct {
	host   hostID
	ns     netns.NsHandle
	nsid   int
	inside *netlink.Handle  // a route socket in the host's namespace
	diag   *nl.SocketHandle // a socket-diagnosis socket there
	ports  []int            // interface index of the port of each link, from link 1
	cards  []int            // and of the host's own interface
}

// plugIn connects the host's network namespace to the switch and gives its
// interfaces their addresses. nsid is a number never used in this lab before.
func plugIn(host hostID, pid, nsid int) (w *wiring, err error) {
	ns, err := netns.GetFromPid(pid)
	if err != nil {
		return nil, fmt.Errorf("open the network namespace of %s: %w", host.Name, err)
	}
	w = &wiring{host: host, ns: ns, nsid: nsid}
	defer func() {
		if err != nil {
			w.release()
		}
	}()
	if err := netlink.SetNetNsIdByFd(int(ns), nsid); err != nil {
		return nil, fmt.Errorf("number the network namespace of %s: %w", host.Name, err)
	}
	socket, err := nl.GetNetlinkSocketAt(ns, netns.None(), unix.NETLINK_INET_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open a diagnosis socket in %s: %w", host.Name, err)
	}
	w.diag = &nl.SocketHandle{Socket: socket}
	w.inside, err = netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("enter the network namespace of %s: %w", host.Name, err)
	}
	for link := 1; link <= host.Links; link++ {
		if err := w.plugLink(link); err != nil {
			return nil, fmt.Errorf("connect %s to link %d: %w", host.Name, link, err)
		}
	}
	lo, err := w.inside.LinkByName("lo")
	if err != nil {
		return nil, fmt.Errorf("find loopback of %s: %w", host.Name, err)
	}
	if err := w.inside.LinkSetUp(lo); err != nil {
		return nil, fmt.Errorf("set loopback of %s up: %w", host.Name, err)
	}
	return w, nil
}

func (w *wiring) plugLink(link int) error {
	bridge, err := netlink.LinkByName(LinkInterface(link))
	if err != nil {
		return fmt.Errorf("find bridge: %w", err)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = fmt.Sprintf("%s-%d", w.host.Name, link)
	attrs.MasterIndex = bridge.Attrs().Index
	mac := w.host.mac(link)
	port := &netlink.Veth{
		LinkAttrs:        attrs,
		PeerName:         LinkInterface(link),
		PeerHardwareAddr: mac[:],
		PeerNamespace:    netlink.NsFd(int(w.ns)),
	}
	if err := netlink.LinkAdd(port); err != nil {
		return fmt.Errorf("add port: %w", err)
	}
	w.ports = append(w.ports, port.Attrs().Index)
	if err := netlink.LinkSetUp(port); err != nil {
		return fmt.Errorf("set port up: %w", err)
	}
	card, err := w.inside.LinkByName(LinkInterface(link))
	if err != nil {
		return fmt.Errorf("find interface: %w", err)
	}
	w.cards = append(w.cards, card.Attrs().Index)
	for _, prefix := range []netip.Prefix{w.host.prefix4(link), w.host.prefix6(link)} {
		address := &netlink.Addr{IPNet: &net.IPNet{
			IP:   prefix.Addr().AsSlice(),
			Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen()),
		}}
		if prefix.Addr().Is6() {
			address.Flags = unix.IFA_F_NODAD
		}
		err := w.inside.AddrAdd(card, address)
		if prefix.Addr().Is6() && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EACCES)) {
			continue // a machine without IPv6
		}
		if err != nil {
			return fmt.Errorf("add %s: %w", prefix, err)
		}
	}
	if err := w.inside.LinkSetUp(card); err != nil {
		return fmt.Errorf("set interface up: %w", err)
	}
	return nil
}

// setCarrier sets the port of a link up or down; the host sees its carrier go.
func (w *wiring) setCarrier(link int, up bool) error {
	port := &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: w.ports[link-1]}}
	set := netlink.LinkSetDown
	if up {
		set = netlink.LinkSetUp
	}
	if err := set(port); err != nil && (up || !errors.Is(err, unix.ENODEV)) {
		return fmt.Errorf("set carrier of %s link %d: %w", w.host.Name, link, err)
	}
	return nil
}

// goneTimeout is how long the kernel may take over a namespace that nobody uses
// any more before the ports are taken from it by force.
const goneTimeout = time.Second

// dismantle returns once the network namespace of a host without processes is
// gone, so that nothing answers for its addresses any more. A TCP connection
// that was closed by the power cut and whose end was never acknowledged would
// hold the namespace for minutes, and a packet that waits for address resolution
// for a second, so those are destroyed.
func (w *wiring) dismantle() error {
	if w.inside != nil { // else an earlier attempt came further
		for _, card := range w.cards {
			if err := w.inside.LinkSetDown(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: card}}); err != nil {
				return fmt.Errorf("set an interface of %s down: %w", w.host.Name, err)
			}
		}
		if err := w.destroySockets(); err != nil {
			return err
		}
		w.release()
	}
	for deadline := time.Now().Add(goneTimeout); time.Now().Before(deadline); time.Sleep(250 * time.Microsecond) {
		ids, err := namespaceIDs()
		if err != nil {
			return err
		}
		if !slices.Contains(ids, w.nsid) && !slices.ContainsFunc(w.ports, portExists) {
			return nil
		}
	}
	// Somebody outside the lab holds the namespace. Without interfaces it can
	// answer nobody.
	for _, port := range w.ports {
		if !portExists(port) {
			continue
		}
		if err := netlink.LinkDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: port}}); err != nil && portExists(port) {
			return fmt.Errorf("take the interfaces of %s away: %w", w.host.Name, err)
		}
	}
	return nil
}

// release gives up what keeps the host's network namespace alive.
func (w *wiring) release() {
	if w.diag != nil {
		w.diag.Close()
		w.diag = nil
	}
	if w.inside != nil {
		w.inside.Close()
		w.inside = nil
	}
	if w.ns.IsOpen() {
		w.ns.Close()
	}
}

func portExists(index int) bool {
	_, err := netlink.LinkByIndex(index)
	_, gone := err.(netlink.LinkNotFoundError)
	return !gone
}

// destroySockets ends all TCP connections of the host's network namespace.
func (w *wiring) destroySockets() error {
	const (
		idOffset, idLength = 4, 48     // of the socket's id in struct inet_diag_msg
		allStates          = 1<<13 - 1 // bits of the TCP states
	)
	sockets := map[int]*nl.SocketHandle{unix.NETLINK_INET_DIAG: w.diag}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		dump := diagRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP, family, allStates, nil, sockets)
		found, err := dump.Execute(unix.NETLINK_INET_DIAG, nl.SOCK_DIAG_BY_FAMILY)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
			continue // a kernel without this family or without diagnosis
		}
		if err != nil {
			return fmt.Errorf("list TCP connections of %s: %w", w.host.Name, err)
		}
		for _, socket := range found {
			if len(socket) < idOffset+idLength {
				return fmt.Errorf("list TCP connections of %s: short answer of %d bytes", w.host.Name, len(socket))
			}
			kill := diagRequest(nl.SOCK_DESTROY, unix.NLM_F_ACK, family, allStates, socket[idOffset:idOffset+idLength], sockets)
			// Not found: it ended by itself. Not supported: an old kernel, where
			// dismantle takes the interfaces away instead.
			if _, err := kill.Execute(unix.NETLINK_INET_DIAG, 0); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
				return fmt.Errorf("end a TCP connection of %s: %w", w.host.Name, err)
			}
		}
	}
	return nil
}

// diagRequest builds a request with a struct inet_diag_req_v2; id is its 48
// bytes of socket id, or nil.
func diagRequest(kind, flags int, family byte, states uint32, id []byte, sockets map[int]*nl.SocketHandle) *nl.NetlinkRequest {
	body := make(rawBytes, 8, 56)
	body[0], body[1] = family, unix.IPPROTO_TCP
	nl.NativeEndian().PutUint32(body[4:], states)
	body = append(body, id...)
	body = append(body, make([]byte, 56-len(body))...)
	r := nl.NewNetlinkRequest(kind, flags)
	r.Sockets = sockets
	r.AddData(body)
	return r
}

// namespaceIDs lists the numbers of the network namespaces that the switch knows.
func namespaceIDs() ([]int, error) {
	const attrNSID = 1 // NETNSA_NSID
	r := nl.NewNetlinkRequest(unix.RTM_GETNSID, unix.NLM_F_DUMP)
	r.AddData(make(rawBytes, unix.SizeofRtGenmsg+3)) // struct rtgenmsg, padded
	messages, err := r.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNSID)
	if err != nil {
		return nil, fmt.Errorf("list network namespaces: %w", err)
	}
	var ids []int
	for _, message := range messages {
		if len(message) < 4 {
			continue
		}
		attrs, err := nl.ParseRouteAttr(message[4:])
		if err != nil {
			return nil, fmt.Errorf("list network namespaces: %w", err)
		}
		for _, attr := range attrs {
			if attr.Attr.Type == attrNSID && len(attr.Value) == 4 {
				ids = append(ids, int(int32(nl.NativeEndian().Uint32(attr.Value))))
			}
		}
	}
	return ids, nil
}

// rawBytes is a part of a netlink request that is laid out already.
type rawBytes []byte

func (b rawBytes) Len() int          { return len(b) }
func (b rawBytes) Serialize() []byte { return b }
