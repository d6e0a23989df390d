package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
)

// Options of a Resolver. The zero value reads /etc/resolv.conf.
type Options struct {
	// Servers are the recursive name servers, "IP" or "IP:port"; in this order. When
	// empty, those of ResolvConf are asked, and that file is read again when it changes.
	Servers []string
	// ResolvConf is the file of resolv.conf(5); "" is /etc/resolv.conf.
	ResolvConf string
	// Hosts is the file of hosts(5); "" is /etc/hosts.
	Hosts string
	// Trusted are the networks of servers that are believed when they say that an answer is
	// authentic (DNSSEC): those on the way to which nobody can change an answer. nil is
	// loopback. Beside them, the servers of ResolvConf are if it has "options trust-ad".
	Trusted []netip.Prefix
	// Timeout is how long one server is waited for, Attempts how often each is asked; 0
	// is what the file says, or 5 seconds and 2.
	Timeout  time.Duration
	Attempts int
	// CacheSize is how many answers are kept; 0 is 10,000, and less than 0 none.
	CacheSize int
	// Probe is asked once if Query gets an answer that nobody vouches for; Warn is told if
	// nobody vouches for that of the probe. It is not nil where there is a Probe.
	Probe Probe
	Warn  func(text string)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Exchange sends one query to one server (IP:port); nil does it over the network.
	Exchange func(ctx context.Context, query *dns.Msg, server string, tcp bool) (*dns.Msg, error)
}

// Resolver answers questions. It is safe for concurrent use, and keeps nothing open.
type Resolver struct {
	*core
	view View
}

// core is what resolvers with different views share.
type core struct {
	o      Options
	conf   *confFile
	hosts  *hostsFile
	cache  *cache
	flight flight
	pool   pool
	probed atomic.Bool
}

// New makes a Resolver. Without a resolv.conf it asks the server on this machine, as
// resolver(3) does.
func New(o Options) *Resolver {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Exchange == nil {
		o.Exchange = exchange
	}
	if o.Trusted == nil {
		o.Trusted = loopback
	}
	r := &core{
		o:     o,
		pool:  pool{now: o.Now},
		hosts: newHostsFile(cmp.Or(o.Hosts, "/etc/hosts"), o.Now),
		cache: newCache(cmp.Or(max(o.CacheSize, -1), 10_000), o.Now),
	}
	r.conf = newConfFile(cmp.Or(o.ResolvConf, "/etc/resolv.conf"), o.Now)
	return &Resolver{core: r}
}

// ParseServer turns "IP" or "IP:port" into "IP:port".
func ParseServer(s string) (string, error) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return net.JoinHostPort(a.String(), "53"), nil
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Port() != 0 {
		return ap.String(), nil
	}
	return "", fmt.Errorf("bad name server %q: write IP or IP:port", s)
}

// MX is one mail exchanger.
type MX struct {
	Host string // without a dot at the end
	Pref uint16
}

// MX returns the mail exchangers of a domain, most preferred first, those of equal
// preference as they came. A domain without any is ErrNotFound: the caller falls back
// to its addresses (RFC 5321 section 5.1). A null MX is ErrNullMX, also where there are
// others beside it, which RFC 7505 section 3 forbids and Postfix does not look at.
func (r *Resolver) MX(ctx context.Context, domain string) ([]MX, error) {
	rrs, err := r.Lookup(ctx, domain, dns.TypeMX)
	if err != nil {
		return nil, err
	}
	mxs := make([]MX, 0, len(rrs))
	for _, rr := range rrs {
		mx := rr.(*dns.MX)
		if mx.Mx == "." {
			return nil, &Error{Name: domain, Type: "MX", Kind: NullMX}
		}
		mxs = append(mxs, MX{Host: strings.TrimSuffix(mx.Mx, "."), Pref: mx.Preference})
	}
	slices.SortStableFunc(mxs, func(a, b MX) int { return cmp.Compare(a.Pref, b.Pref) })
	return mxs, nil
}

// Family is which addresses are wanted.
type Family uint8

// The families.
const (
	Any Family = iota
	IPv4
	IPv6
)

// Addrs returns the addresses of a host, as they came, IPv4 first. An error means that
// there is none at all; if one family failed for now, it is temporary.
func (r *Resolver) Addrs(ctx context.Context, host string, family Family) ([]netip.Addr, error) {
	var v4, v6 []netip.Addr
	var err4, err6 error
	var both sync.WaitGroup
	if family != IPv6 {
		both.Go(func() { v4, err4 = r.addrs(ctx, host, dns.TypeA) })
	}
	if family != IPv4 {
		v6, err6 = r.addrs(ctx, host, dns.TypeAAAA)
	}
	both.Wait()
	switch all := append(v4[:len(v4):len(v4)], v6...); {
	case len(all) > 0:
		return all, nil
	case err6 == nil || err4 != nil && doubt(err4) > doubt(err6):
		return nil, err4
	default: // as Postfix, which asks for AAAA last
		return nil, err6
	}
}

// doubt orders reasons for which there are no records: what is least final is told.
func doubt(err error) int {
	e, ok := errors.AsType[*Error](err)
	switch {
	case ok && e.Kind == Filtered:
		return 3
	case ok && errors.Is(e, ErrNotFound):
		return 0
	case ok && e.Kind == Malformed:
		return 1
	}
	return 2
}

func (r *Resolver) addrs(ctx context.Context, host string, qtype uint16) ([]netip.Addr, error) {
	rrs, err := r.Lookup(ctx, host, qtype)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.Addr, 0, len(rrs))
	for _, rr := range rrs {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		a, ok := netip.AddrFromSlice(ip)
		if ok && qtype == dns.TypeA {
			a = a.Unmap()
		}
		if ok && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, &Error{Name: host, Type: dns.TypeToString[qtype], Kind: NoData}
	}
	return addrs, nil
}

// PTR returns the names of an address, without dots at the end.
func (r *Resolver) PTR(ctx context.Context, addr netip.Addr) ([]string, error) {
	name, err := dns.ReverseAddr(addr.Unmap().WithZone("").String())
	if err != nil {
		return nil, &Error{Name: addr.String(), Type: "PTR", Kind: BadName, Cause: err}
	}
	rrs, err := r.Lookup(ctx, name, dns.TypePTR)
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(rrs))
	for _, rr := range rrs {
		names = append(names, strings.TrimSuffix(rr.(*dns.PTR).Ptr, "."))
	}
	return names, nil
}
