package inspect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"aliasmx/internal/dns"
)

// List is a list of clients or domains that is published in the DNS. It is safe for
// concurrent use.
type List struct {
	names  *dns.Resolver
	name   string
	domain string
	answer *Pattern // nil: all
}

// NewList makes a list of what restrictions name: domain, or domain=pattern.
func NewList(names *dns.Resolver, spec string) (*List, error) {
	l := &List{names: names, name: spec}
	domain, text, filtered := strings.Cut(spec, "=")
	l.domain = strings.TrimSuffix(domain, ".")
	if !dns.ValidName(l.domain) {
		return nil, fmt.Errorf("%q is not the domain of a list; write one such as zen.example.org", domain)
	}
	if filtered {
		p, err := ParsePattern(text)
		if err != nil {
			return nil, err
		}
		l.answer = &p
	}
	return l, nil
}

// Name is the list as it was configured.
func (l *List) Name() string { return l.name }

// Address tells whether an address is listed, RFC 5782 sections 2.1 and 2.4.
func (l *List) Address(ctx context.Context, a netip.Addr) (listed bool, text string, err error) {
	if !a.IsValid() {
		return false, "", nil
	}
	return l.ask(ctx, reversed(a.Unmap())+l.domain)
}

// Domain tells whether a domain is listed, RFC 5782 section 2.5.
func (l *List) Domain(ctx context.Context, domain string) (listed bool, text string, err error) {
	return l.ask(ctx, strings.TrimSuffix(domain, ".")+"."+l.domain)
}

func (l *List) ask(ctx context.Context, query string) (listed bool, text string, err error) {
	addrs, err := l.names.Addrs(ctx, query, dns.IPv4)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		return false, "", nil
	case err != nil:
		return false, "", err
	}
	for _, a := range addrs {
		listed = listed || l.answer == nil || l.answer.Matches(a)
	}
	if !listed {
		return false, "", nil
	}
	// Without a text the address is listed all the same.
	texts, _ := l.names.TXT(ctx, query)
	text = strings.Join(texts, " / ")
	return true, text[:min(len(text), maxText)], nil
}

// maxText is how much of a list's text is told to the client.
const maxText = 500

// reversed is an address in the order of the DNS, with a dot at the end.
func reversed(a netip.Addr) string {
	var b strings.Builder
	octets := a.AsSlice()
	for i := len(octets) - 1; i >= 0; i-- {
		if a.Is4() {
			fmt.Fprintf(&b, "%d.", octets[i])
		} else {
			fmt.Fprintf(&b, "%x.%x.", octets[i]&0xf, octets[i]>>4)
		}
	}
	return b.String()
}
