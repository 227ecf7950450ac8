package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Cuts and losses are small packet filters on the switch's ports (clsact and
// classic BPF, which every kernel has and ordinary users may load in a network
// namespace of their own). Traffic into a port comes out of the host.

// cable is what was done to one link of a host. It stays over power cuts.
type cable struct {
	cutIn, cutOut   bool
	lossIn, lossOut float64 // percent
	unplugged       bool
	deafTo          map[string][6]byte // hosts that are not heard, with their hardware addresses
}

func (c *cable) status(link int) LinkStatus {
	status := LinkStatus{Link: link, Unplugged: c.unplugged, LossIn: c.lossIn, LossOut: c.lossOut}
	status.DeafTo = slices.Sorted(maps.Keys(c.deafTo))
	switch {
	case c.cutIn && c.cutOut:
		status.Cut = string(Both)
	case c.cutIn:
		status.Cut = string(In)
	case c.cutOut:
		status.Cut = string(Out)
	}
	return status
}

// apply makes the port of the link behave as the cable does; a silent port
// passes nothing.
func (w *wiring) apply(link int, c *cable, silent bool) error {
	if err := w.setCarrier(link, !c.unplugged); err != nil {
		return err
	}
	var deaf [][6]byte
	for _, name := range slices.Sorted(maps.Keys(c.deafTo)) {
		deaf = append(deaf, c.deafTo[name])
	}
	out := dropFilter(c.cutOut || silent, c.lossOut, nil)
	in := dropFilter(c.cutIn || silent, c.lossIn, deaf)
	if err := setFilter(w.ports[link-1], netlink.HANDLE_MIN_INGRESS, out); err != nil {
		return fmt.Errorf("filter what leaves %s by link %d: %w", w.host.Name, link, err)
	}
	if err := setFilter(w.ports[link-1], netlink.HANDLE_MIN_EGRESS, in); err != nil {
		return fmt.Errorf("filter what reaches %s by link %d: %w", w.host.Name, link, err)
	}
	return nil
}

// Verdicts of a filter in direct-action mode, from linux/pkt_cls.h.
const (
	verdictPass = 0 // TC_ACT_OK
	verdictDrop = 2 // TC_ACT_SHOT
)

// dropFilter drops everything, or frames from the given hardware addresses and
// a random share of the others.
func dropFilter(all bool, lossPercent float64, from [][6]byte) []bpf.Instruction {
	if all || lossPercent >= 100 {
		return []bpf.Instruction{bpf.RetConstant{Val: verdictDrop}}
	}
	var program []bpf.Instruction
	for _, mac := range from {
		program = append(program,
			bpf.LoadAbsolute{Off: 6, Size: 4}, // the frame's source address
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(mac[:4]), SkipTrue: 3},
			bpf.LoadAbsolute{Off: 10, Size: 2},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(binary.BigEndian.Uint16(mac[4:])), SkipTrue: 1},
			bpf.RetConstant{Val: verdictDrop},
		)
	}
	if lossPercent > 0 {
		program = append(program,
			bpf.LoadExtension{Num: bpf.ExtRand},
			bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: uint32(lossPercent / 100 * (1 << 32)), SkipTrue: 1},
			bpf.RetConstant{Val: verdictDrop},
		)
	}
	return append(program, bpf.RetConstant{Val: verdictPass})
}

// setFilter replaces the only filter of a port in one direction, in one step.
// A port gets its queueing discipline with its first filter that drops anything.
func setFilter(port int, parent uint32, program []bpf.Instruction) error {
	idle := len(program) == 1 && program[0] == bpf.RetConstant{Val: verdictPass}
	err := replaceFilter(port, parent, program)
	if err == nil || !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	if idle {
		return nil // nothing was ever filtered here
	}
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: port, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
	if err := netlink.QdiscAdd(qdisc); err != nil {
		return fmt.Errorf("add clsact: %w", err)
	}
	return replaceFilter(port, parent, program)
}

func replaceFilter(port int, parent uint32, program []bpf.Instruction) error {
	raw, err := bpf.Assemble(program)
	if err != nil {
		return fmt.Errorf("assemble filter: %w", err)
	}
	var ops bytes.Buffer
	for _, instruction := range raw {
		// struct sock_filter, in the machine's byte order.
		if err := binary.Write(&ops, nl.NativeEndian(), instruction); err != nil {
			return fmt.Errorf("encode filter: %w", err)
		}
	}
	const priority, everyProtocol = 1, 0x0300 // ETH_P_ALL in network byte order
	r := nl.NewNetlinkRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_REPLACE|unix.NLM_F_ACK)
	r.AddData(&nl.TcMsg{Family: unix.AF_UNSPEC, Ifindex: int32(port), Handle: 1, Parent: parent, Info: priority<<16 | everyProtocol})
	r.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated("bpf")))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	options.AddRtAttr(nl.TCA_BPF_OPS_LEN, nl.Uint16Attr(uint16(len(raw))))
	options.AddRtAttr(nl.TCA_BPF_OPS, ops.Bytes())
	options.AddRtAttr(nl.TCA_BPF_FLAGS, nl.Uint32Attr(nl.TCA_BPF_FLAG_ACT_DIRECT))
	r.AddData(options)
	if _, err := r.Execute(unix.NETLINK_ROUTE, 0); err != nil {
		return fmt.Errorf("set filter: %w", err)
	}
	return nil
}
