package inspect

import (
	"context"
	"errors"
	"net/netip"

	"aliasmx/internal/dns"
)

// Names asks the DNS for the hosts behind a name. It is safe for concurrent use.
type Names struct{ Resolver *dns.Resolver }

// MX are the mail exchangers of a domain, most preferred first.
func (n Names) MX(ctx context.Context, domain string) ([]string, error) {
	mxs, err := n.Resolver.MX(ctx, domain)
	hosts := make([]string, 0, len(mxs))
	for _, mx := range mxs {
		hosts = append(hosts, mx.Host)
	}
	return hosts, err
}

// NS are the name servers of a domain.
func (n Names) NS(ctx context.Context, domain string) ([]string, error) {
	return n.Resolver.NS(ctx, domain)
}

// Addrs are the addresses of a host: hosts(5) is asked before the DNS.
func (n Names) Addrs(ctx context.Context, host string) ([]netip.Addr, error) {
	return n.Resolver.Native(ctx, host, dns.Any)
}

// NotFound tells whether an error says that there is nothing.
func (n Names) NotFound(err error) bool { return errors.Is(err, dns.ErrNotFound) }

// NullMX tells whether an error says that a domain takes no mail.
func (n Names) NullMX(err error) bool { return errors.Is(err, dns.ErrNullMX) }
