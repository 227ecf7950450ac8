package ip

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	ethernetSize = 14
	arpSize      = 28
	ipv6Size     = 40
	nsSize       = 24 // neighbour solicitation without options
	naSize       = 32 // neighbour advertisement with the link-layer address option

	icmpSolicitation  = 135
	icmpAdvertisement = 136
	protocolICMPv6    = 58

	arpRequest = 1
	arpReply   = 2
)

var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// arpFrame builds an Ethernet frame with an ARP packet (RFC 826) to everybody.
func arpFrame(op uint16, sender net.HardwareAddr, senderIP netip.Addr, target net.HardwareAddr, targetIP netip.Addr) []byte {
	b := ethernet(broadcast, sender, unix.ETH_P_ARP, arpSize)
	b = binary.BigEndian.AppendUint16(b, 1) // Ethernet
	b = binary.BigEndian.AppendUint16(b, unix.ETH_P_IP)
	b = append(b, 6, 4)
	b = binary.BigEndian.AppendUint16(b, op)
	b = append(b, sender...)
	b = append(b, senderIP.AsSlice()...)
	b = append(b, target...)
	return append(b, targetIP.AsSlice()...)
}

func ethernet(to, from net.HardwareAddr, protocol uint16, payload int) []byte {
	b := make([]byte, 0, ethernetSize+payload)
	b = append(b, to...)
	b = append(b, from...)
	return binary.BigEndian.AppendUint16(b, protocol)
}

// announceARP are the two forms of gratuitous ARP: some systems learn from
// requests only, some from replies only.
func announceARP(mac net.HardwareAddr, addr netip.Addr) [][]byte {
	none := make(net.HardwareAddr, 6)
	return [][]byte{
		arpFrame(arpRequest, mac, addr, none, addr),
		arpFrame(arpReply, mac, addr, broadcast, addr),
	}
}

// probeARP asks for the owner of addr, and claims nothing (RFC 5227, 2.1.1).
func probeARP(mac net.HardwareAddr, addr netip.Addr) []byte {
	return arpFrame(arpRequest, mac, netip.IPv4Unspecified(), make(net.HardwareAddr, 6), addr)
}

// arpOwner returns who, other than us, claims addr by the ARP packet in frame.
func arpOwner(frame []byte, us net.HardwareAddr, addr netip.Addr) net.HardwareAddr {
	if len(frame) < ethernetSize+arpSize || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_ARP {
		return nil
	}
	p := frame[ethernetSize:]
	if binary.BigEndian.Uint16(p[2:]) != unix.ETH_P_IP || p[4] != 6 || p[5] != 4 {
		return nil
	}
	sender, senderIP := net.HardwareAddr(p[8:14]), netip.AddrFrom4([4]byte(p[14:18]))
	if senderIP != addr || string(sender) == string(us) {
		return nil
	}
	return sender
}

// advertisement builds an unsolicited neighbour advertisement that overrides
// what neighbours know (RFC 4861, 4.4 and 7.2.6). The checksum is the kernel's.
func advertisement(mac net.HardwareAddr, addr netip.Addr) []byte {
	const override = 0x20
	b := make([]byte, 0, naSize)
	b = append(b, icmpAdvertisement, 0, 0, 0, override, 0, 0, 0)
	b = append(b, addr.AsSlice()...)
	b = append(b, 2, 1) // target link-layer address, 8 octets
	return append(b, mac...)
}

// solicitation builds a frame that asks for the owner of addr from the
// unspecified address, as duplicate address detection does (RFC 4862, 5.4.2).
func solicitation(mac net.HardwareAddr, addr netip.Addr) []byte {
	a := addr.As16()
	to := netip.AddrFrom16([16]byte{0xff, 2, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]})
	b := ethernet(net.HardwareAddr{0x33, 0x33, 0xff, a[13], a[14], a[15]}, mac, unix.ETH_P_IPV6, ipv6Size+nsSize)
	b = append(b, 0x60, 0, 0, 0, 0, nsSize, protocolICMPv6, 255)
	b = append(b, make([]byte, 16)...)
	b = append(b, to.AsSlice()...)
	icmp := append([]byte{icmpSolicitation, 0, 0, 0, 0, 0, 0, 0}, addr.AsSlice()...)
	binary.BigEndian.PutUint16(icmp[2:], checksum(netip.IPv6Unspecified(), to, icmp))
	return append(b, icmp...)
}

// checksum is that of ICMPv6, over the pseudo-header too (RFC 4443, 2.3).
func checksum(from, to netip.Addr, icmp []byte) uint16 {
	data := append(from.AsSlice(), to.AsSlice()...)
	data = binary.BigEndian.AppendUint32(data, uint32(len(icmp)))
	data = append(data, 0, 0, 0, protocolICMPv6)
	data = append(data, icmp...)
	var sum uint32
	for ; len(data) >= 2; data = data[2:] {
		sum += uint32(binary.BigEndian.Uint16(data))
	}
	if len(data) == 1 {
		sum += uint32(data[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// advertiser returns who, other than us, claims addr by the neighbour
// advertisement in frame.
func advertiser(frame []byte, us net.HardwareAddr, addr netip.Addr) net.HardwareAddr {
	if len(frame) < ethernetSize+ipv6Size+nsSize || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IPV6 {
		return nil
	}
	p := frame[ethernetSize:]
	icmp := p[ipv6Size:]
	if p[6] != protocolICMPv6 || p[7] != 255 || icmp[0] != icmpAdvertisement {
		return nil
	}
	sender := net.HardwareAddr(frame[6:12])
	if netip.AddrFrom16([16]byte(icmp[8:24])) != addr || string(sender) == string(us) {
		return nil
	}
	return sender
}
