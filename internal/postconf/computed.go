package postconf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Defaults that are computed rather than written down: postconf(5) gives them as "see
// postconf -d output".

func (c *Config) computed(x *expander, name string) (value string, ok bool, err error) {
	switch name {
	case "config_directory":
		return c.dir, true, nil
	case "myhostname":
		value, err = c.defaultHostname(x)
	case "mydomain":
		value, err = defaultDomain(x)
	case "mynetworks":
		value, err = c.defaultNetworks(x)
	default:
		return "", false, nil
	}
	return value, true, err
}

// defaultHostname is the machine's name, completed with mydomain if it has no domain.
func (c *Config) defaultHostname(x *expander) (string, error) {
	host := c.machine.Hostname
	if strings.Contains(host, ".") {
		return host, nil
	}
	if _, ok := c.set["mydomain"]; !ok {
		return host + ".localdomain", nil
	}
	domain, err := x.parameter("mydomain")
	return host + "." + domain, err
}

// defaultDomain is myhostname without its first label.
func defaultDomain(x *expander) (string, error) {
	host, err := x.parameter("myhostname")
	if err != nil {
		return "", err
	}
	if _, domain, ok := strings.Cut(host, "."); ok {
		return domain, nil
	}
	return "localdomain", nil
}

// defaultNetworks are the networks around our own addresses, by mynetworks_style.
func (c *Config) defaultNetworks(x *expander) (string, error) {
	style, err := x.parameter("mynetworks_style")
	if err != nil {
		return "", err
	}
	own, err := c.ownNetworks(x)
	if err != nil {
		return "", err
	}
	// IPv4 comes first, as Postfix lists its interfaces.
	slices.SortStableFunc(own, func(a, b netip.Prefix) int { return a.Addr().BitLen() - b.Addr().BitLen() })
	var list []string
	for _, p := range own {
		var shown string
		switch p = networkOf(p, strings.ToLower(style)); p.Addr().Is6() {
		case true:
			shown = fmt.Sprintf("[%s]/%d", p.Addr().WithZone(""), p.Bits())
		default:
			shown = p.String()
		}
		if !slices.Contains(list, shown) {
			list = append(list, shown)
		}
	}
	return strings.Join(list, " "), nil
}

func networkOf(p netip.Prefix, style string) netip.Prefix {
	bits := p.Bits()
	switch {
	case style == "class" && p.Addr().Is4():
		bits = classBits(p.Addr())
	case style == "host" || bits < 0:
		bits = p.Addr().BitLen()
	}
	return netip.PrefixFrom(p.Addr().WithZone(""), bits).Masked()
}

// classBits is the length of the network of an address before CIDR: class A, B, C.
func classBits(a netip.Addr) int {
	switch first := a.As4()[0]; {
	case first < 128:
		return 8
	case first < 192:
		return 16
	case first < 224:
		return 24
	}
	return 32
}

// ownNetworks are the addresses that inet_interfaces names, each with the length of the
// network that it is in.
func (c *Config) ownNetworks(x *expander) ([]netip.Prefix, error) {
	want, err := x.parameter("inet_interfaces")
	if err != nil {
		return nil, err
	}
	usable, err := c.protocols(x)
	if err != nil {
		return nil, err
	}
	var own []netip.Prefix
	for _, word := range splitList(want) {
		switch strings.ToLower(word) {
		case "all":
			own = append(own, c.machine.Interfaces...)
		case "loopback-only":
			for _, p := range c.machine.Interfaces {
				if p.Addr().IsLoopback() {
					own = append(own, p)
				}
			}
		default:
			addrs, err := c.machine.host(unbracket(word))
			if err != nil {
				return nil, c.place("inet_interfaces").fail("inet_interfaces: host not found: "+shown(word), hostRemedy)
			}
			for _, a := range addrs {
				own = append(own, c.prefixOf(a))
			}
		}
	}
	return slices.DeleteFunc(own, func(p netip.Prefix) bool { return !usable(p.Addr()) }), nil
}

// prefixOf is the network of the interface with this address; a foreign address is
// alone in its network.
func (c *Config) prefixOf(a netip.Addr) netip.Prefix {
	for _, p := range c.machine.Interfaces {
		if p.Addr() == a {
			return p
		}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// protocols returns a test for addresses of the families that inet_protocols names;
// "all" are those that the machine has.
func (c *Config) protocols(x *expander) (func(netip.Addr) bool, error) {
	value, err := x.parameter("inet_protocols")
	if err != nil {
		return nil, err
	}
	v4, v6 := false, false
	for _, word := range splitList(value) {
		switch strings.ToLower(word) {
		case "all":
			v4, v6 = c.machine.hasIPv4(), c.machine.hasIPv6()
		case "ipv4":
			v4 = true
		case "ipv6":
			v6 = true
		}
	}
	return func(a netip.Addr) bool { return a.Is4() && v4 || a.Is6() && v6 }, nil
}

func unbracket(s string) string {
	if inner, ok := strings.CutPrefix(s, "["); ok {
		return strings.TrimSuffix(inner, "]")
	}
	return s
}
