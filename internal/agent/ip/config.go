package ip

import (
	"fmt"
	"net/netip"
	"time"

	"linuxha/internal/cluster"
)

// config is what the parameters of ha:ip say.
type config struct {
	addr     netip.Addr
	bits     int    // prefix length; -1: that of the interface's network
	link     string // "": the interface whose network contains addr
	label    string
	interval time.Duration // between announcements; 0 none
}

func parseConfig(params []cluster.NVPair) (config, error) {
	c := config{bits: -1, interval: 30 * time.Second}
	for _, p := range params {
		var err error
		switch p.Name {
		case "address":
			err = c.setAddress(p.Value)
		case "link":
			c.link = p.Value
		case "label":
			c.label = p.Value
		case "announce_interval":
			c.interval, err = cluster.ParseSeconds(p.Value)
		}
		if err != nil {
			return config{}, fmt.Errorf("parameter %s: %w", p.Name, err)
		}
	}
	switch {
	case !c.addr.IsValid():
		return config{}, fmt.Errorf("parameter address is missing")
	case c.label != "" && c.addr.Is6():
		return config{}, fmt.Errorf("parameter label: only IPv4 addresses have labels")
	case len(c.label) > 15 || len(c.link) > 15:
		return config{}, fmt.Errorf("parameters link and label: names of interfaces have at most 15 characters")
	}
	return c, nil
}

func (c *config) setAddress(text string) error {
	if prefix, err := netip.ParsePrefix(text); err == nil {
		c.addr, c.bits = prefix.Addr(), prefix.Bits()
	} else if addr, err := netip.ParseAddr(text); err == nil {
		c.addr = addr
	} else {
		return fmt.Errorf("%q is not an address such as 10.0.0.100/24 or 2001:db8::100/64", text)
	}
	switch {
	case c.addr.Is4In6() || c.addr.Zone() != "":
		return fmt.Errorf("%q: an address has no zone, and IPv4 is written without ::ffff", text)
	case c.addr.IsUnspecified() || c.addr.IsMulticast():
		return fmt.Errorf("%q is not the address of a host", text)
	}
	return nil
}
