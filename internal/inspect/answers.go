package inspect

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"time"

	mdns "github.com/miekg/dns"

	"aliasmx/internal/dns"
)

// Lists asks lists that are named with each question. It is safe for concurrent use.
type Lists struct{ Resolver *dns.Resolver }

// Answers are the addresses with which a list answers for a client, none if it is not
// listed, and how long that holds; less than 0: the list does not say.
func (l Lists) Answers(ctx context.Context, domain string, client netip.Addr) ([]netip.Addr, time.Duration, error) {
	query := reversed(client.Unmap()) + strings.TrimSuffix(domain, ".")
	rrs, ttl, err := l.Resolver.LookupTTL(ctx, query, mdns.TypeA)
	if ttl <= 0 {
		ttl = -1
	}
	if errors.Is(err, dns.ErrNotFound) {
		return nil, ttl, nil
	}
	if err != nil {
		return nil, -1, err
	}
	var answers []netip.Addr
	for _, rr := range rrs {
		if a, ok := rr.(*mdns.A); ok {
			if addr, ok := netip.AddrFromSlice(a.A); ok {
				answers = append(answers, addr.Unmap())
			}
		}
	}
	return answers, ttl, nil
}

// ValidDomain tells whether s can be the domain of a list.
func ValidDomain(s string) bool { return dns.ValidName(strings.TrimSuffix(s, ".")) }
