package spf

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// The mechanisms: RFC 7208 section 5. An error is a *failure.

// mechanism tells whether the client matches one in the record of domain.
func (c *check) mechanism(domain string, m *mechanism) (match bool, err error) {
	switch m.name {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return m.net.Contains(c.ip), nil
	}
	if err := c.term(m.domain); err != nil {
		return false, err
	}
	target, ok := domain, true
	if m.domain != nil {
		target, ok = c.target(m.domain, domain)
		if m.domain.has("slodiphv") {
			c.trail.expanded(m.text, target)
		}
	}
	switch {
	case !ok && m.name == "include" && isASCII(target):
		return false, permError("include of %s, which is no name", short(target))
	case !ok:
		// It cannot be asked for, and so it has nothing: RFC 7208 section 4.8 leaves that open.
		// Of a local part that is not ASCII nothing matches (RFC 8616 section 4).
		return false, nil
	}
	switch m.name {
	case "include":
		return c.include(target)
	case "a":
		addrs, err := c.addrs(target)
		if len(addrs) == 0 && err == nil {
			err = c.nothing()
		}
		return m.contains(c.ip, addrs), err
	case "mx":
		return c.mx(target, m)
	case "exists":
		return c.exists(target)
	}
	return c.ptrMatches(target)
}

// contains tells whether the client is in the network of one of the addresses.
func (m *mechanism) contains(ip netip.Addr, addrs []netip.Addr) bool {
	bits := m.bits6
	if ip.Is4() {
		bits = m.bits4
	}
	return slices.ContainsFunc(addrs, func(a netip.Addr) bool { return netip.PrefixFrom(a, bits).Masked().Contains(ip) })
}

// addrs are the addresses of a host, of the client's family. None is no error.
func (c *check) addrs(host string) ([]netip.Addr, error) {
	addrs, err := c.hostAddrs(host)
	if err != nil && !errors.Is(err, dns.ErrNotFound) {
		return nil, c.failed(err)
	}
	return addrs, nil
}

func (c *check) include(target string) (bool, error) {
	o, err := c.host(target)
	switch {
	case err != nil:
		return false, err
	case o.result == mail.AuthNone:
		return false, permError("include of %s, which has no SPF record", short(target))
	}
	return o.result == mail.AuthPass, nil
}

// mx asks for each exchanger in turn. A domain without any has none, whatever its own
// addresses are (section 5.4).
func (c *check) mx(target string, m *mechanism) (bool, error) {
	mxs, err := c.exchangers(target)
	if err != nil && !errors.Is(err, dns.ErrNotFound) && !errors.Is(err, dns.ErrNullMX) {
		return false, c.failed(err)
	}
	if len(mxs) > maxHosts {
		return false, permError("%s has more than %d mail exchangers (RFC 7208 section 4.6.4)", target, maxHosts)
	}
	found := false
	for _, mx := range mxs {
		if !askable(mx.Host) {
			continue
		}
		addrs, err := c.addrs(mx.Host)
		if err != nil {
			return false, err
		}
		if m.contains(c.ip, addrs) {
			return true, nil
		}
		found = found || len(addrs) > 0
	}
	if !found {
		return false, c.nothing()
	}
	return false, nil
}

// exists asks for an address of IPv4, whatever the client has (section 5.7).
func (c *check) exists(target string) (bool, error) {
	has, err := c.hasA(target)
	if err != nil && !errors.Is(err, dns.ErrNotFound) {
		return false, c.failed(err)
	}
	if !has {
		return false, c.nothing()
	}
	return true, nil
}

// ptrMatches tells whether a name of the client that has its address in turn is target, or
// below it. DNS trouble is no match (section 5.5).
func (c *check) ptrMatches(target string) (bool, error) {
	names, err := c.ptr.list()
	if err != nil && errors.Is(err, dns.ErrNotFound) {
		return false, c.nothing()
	}
	return slices.ContainsFunc(names, func(name string) bool { return within(name, target) && c.ptr.valid(name) }), nil
}

// within tells whether a name is domain or below it.
func within(name, domain string) bool {
	domain = strings.ToLower(domain)
	return name == domain || strings.HasSuffix(name, "."+domain)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c >= 0x80 })
}
