package table

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// AddrList is a list of hosts by name or address: mynetworks and the like. Its
// elements are networks (10.0.0.0/8, [2001:db8::]/32, [2001:db8::/32] or, where it
// cannot be a table, 2001:db8::/32), addresses, names, type:table, /file and
// !element; a /file is read again when it changes. It is safe for concurrent use.
type AddrList struct{ list *followed }

// ParseAddrList makes a list of elements that are split already. A network that is
// none is an error, and so is everything that cannot be opened.
func ParseAddrList(elems []string, o Options) (*AddrList, error) {
	l, err := parseMatchList(elems, true, o)
	if err != nil {
		return nil, err
	}
	return &AddrList{l}, nil
}

// Match tells whether the list has a host, by its name ("" when there is none) or its
// address. An error means that a table before the first match could not answer.
func (a *AddrList) Match(ctx context.Context, name string, addr netip.Addr) (bool, error) {
	return a.list.match(ctx, name, addr.Unmap().WithZone(""))
}

// Local tells whether the list answers from this machine alone: whether all of its tables
// do, also those that its files name.
func (a *AddrList) Local() bool {
	local := true
	err := a.list.use(func(l *matchList) error {
		for _, spec := range l.opened {
			local = local && Local(spec)
		}
		return nil
	})
	return local && err == nil
}

// Close closes the tables of the list.
func (a *AddrList) Close() error { return a.list.close() }

// parseNetwork reads an address or a network; ok is false for what is not meant to be
// one, such as a name. The errors are Postfix's: what looks like a network and is
// none must not be passed over, least of all behind a "!".
func parseNetwork(item string) (network netip.Prefix, ok bool, err error) {
	if strings.Trim(item, "0123456789abcdefABCDEF.:[]/") != "" {
		return netip.Prefix{}, false, nil
	}
	if !strings.ContainsAny(item, ":[/") {
		addr, err := netip.ParseAddr(item)
		if err != nil {
			return netip.Prefix{}, false, nil // cafe.de
		}
		return netip.PrefixFrom(addr, addr.BitLen()), true, nil
	}
	text, mask, hasMask, err := splitNetwork(item)
	if err != nil {
		return netip.Prefix{}, false, err
	}
	addr, err := netip.ParseAddr(text)
	if !hasMask {
		if err != nil {
			return netip.Prefix{}, false, fmt.Errorf(`bad address pattern: "%s"`, text)
		}
		return netip.PrefixFrom(addr, addr.BitLen()), true, nil
	}
	if err != nil {
		return netip.Prefix{}, false, fmt.Errorf(`bad network value in "%s/%s"`, text, mask)
	}
	bits, err := strconv.ParseUint(mask, 10, 31)
	if err != nil {
		return netip.Prefix{}, false, fmt.Errorf(`bad mask value in "%s/%s"`, text, mask)
	}
	if int(bits) > addr.BitLen() {
		return netip.Prefix{}, false, fmt.Errorf(`bad mask length in "%s/%s"`, text, mask)
	}
	network = netip.PrefixFrom(addr, int(bits))
	if network != network.Masked() {
		return netip.Prefix{}, false, fmt.Errorf(`non-null host address bits in "%s/%s", perhaps you should use "%s" instead`,
			text, mask, network.Masked())
	}
	return network, true, nil
}

// splitNetwork takes brackets off: [addr]/mask, [addr/mask], [addr].
func splitNetwork(item string) (addr, mask string, hasMask bool, err error) {
	if item[0] != '[' {
		addr, mask, hasMask = strings.Cut(item, "/")
		return addr, mask, hasMask, nil
	}
	inner, after, closed := strings.Cut(item[1:], "]")
	switch {
	case !closed:
		return "", "", false, fmt.Errorf(`missing ']' character after "[%s"`, inner)
	case after == "":
		addr, mask, hasMask = strings.Cut(inner, "/")
		return addr, mask, hasMask, nil
	case after[0] == '/':
		return inner, after[1:], true, nil
	}
	return "", "", false, fmt.Errorf(`garbage after "[%s]"`, inner)
}
