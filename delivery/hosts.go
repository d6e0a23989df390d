package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Where a next hop's hosts are: MX records, addresses, and in which order they are
// tried (RFC 5321 section 5.1; the failures and their texts as Postfix has them).

// host is one address of a next hop.
type host struct {
	name string
	addr netip.Addr
	path string // of a Unix socket, in place of the address
	port uint16
	pref uint16 // of the MX record
	best bool   // of the best preference there is
	rank uint16 // within the preference: equal where chance has decided

	shunned bool // in penalty, while others are not
}

// place is "name[address]", as the log and reasons show it.
func (h *host) place() string {
	if h.path != "" {
		return h.name + "[" + h.path + "]"
	}
	return h.name + "[" + h.addr.String() + "]"
}

// relay is the place with its port.
func (h *host) relay() string {
	if h.path != "" {
		return h.place()
	}
	return fmt.Sprintf("%s:%d", h.place(), h.port)
}

// search finds the hosts of next hops.
type search struct {
	*settings
	warn    func(msg string, args ...any)
	mayLoop bool // mail could come back to us: SMTP to port 25, as in Postfix
	amMX    bool // one of the hosts is ourselves
	soft    bool // some lookup failed for now: nothing after it is permanent
	why     *failure
}

// hosts returns the addresses of a next hop, in the order in which they are to be tried.
// When there is none, s.why says so.
func (s *search) hosts(ctx context.Context, hop nextHop) []host {
	var hosts []host
	switch {
	case hop.path != "":
		return []host{{name: s.MyHostname, path: hop.path, best: true}}
	case hop.direct || !s.DNSEnabled:
		hosts = s.hostHosts(ctx, hop.domain)
	default:
		hosts = s.domainHosts(ctx, hop)
	}
	if len(hosts) > 0 {
		best := hosts[0].pref
		for i := range hosts {
			hosts[i].port, hosts[i].best = hop.port, hosts[i].pref == best
		}
	} else if s.why == nil {
		s.why = siteFailure(mail.Code(4, 4, 4), hop.domain+": host not found")
	}
	return hosts
}

// domainHosts follows RFC 5321 section 5.1.
func (s *search) domainHosts(ctx context.Context, hop nextHop) []host {
	name := aLabels(hop.domain)
	mxs, err := s.Resolver.MX(ctx, name)
	switch {
	case errors.Is(err, dns.ErrNullMX):
		s.why = local(mail.Code(5, 1, 0), err.Error())
		return nil
	case errors.Is(err, dns.ErrNotFound):
		return s.hostHosts(ctx, name) // implicit MX
	case err != nil:
		s.why = siteFailure(unanswered(err), err.Error())
		return nil
	}
	if mxs = s.usable(name, mxs); len(mxs) == 0 {
		s.why = siteFailure(mail.Code(5, 4, 4), "Name service error for name="+name+" type=MX: Malformed or unexpected name server reply")
		return nil
	}
	var all []host
	for _, mx := range mxs {
		for _, a := range s.addrs(ctx, mx.Host) {
			all = append(all, host{name: mx.Host, addr: a, pref: mx.Pref})
		}
		if len(all) > recordsMost {
			s.tooMany(mx.Host, "A")
			all = all[:recordsMost]
			break
		}
	}
	if len(all) == 0 {
		s.warn("no MX host for " + hop.domain + " has a valid address record")
		if s.DeferNoMXAddress && s.why != nil {
			s.why.status.Enhanced[0] = 4
		}
		return nil
	}
	if i := slices.IndexFunc(all, s.isSelf); s.mayLoop && i >= 0 {
		// Hosts that are no better than ourselves would send it back (RFC 5321 section 5.1).
		s.amMX = true
		self := all[i].pref
		all = slices.DeleteFunc(all, func(h host) bool { return h.pref >= self })
		if len(all) == 0 {
			s.why = loop(5, hop.domain)
			if self != mxs[0].Pref {
				s.why = siteFailure(mail.Code(4, 4, 4), "unable to find primary relay for "+hop.domain)
			}
			return nil
		}
	}
	return s.order(all)
}

// hostHosts are the addresses of a host.
func (s *search) hostHosts(ctx context.Context, name string) []host {
	name = aLabels(name)
	var all []host
	for _, a := range s.addrs(ctx, name) {
		all = append(all, host{name: name, addr: a})
	}
	if len(all) > recordsMost {
		s.tooMany(name, "A")
		all = all[:recordsMost]
	}
	if s.mayLoop && slices.ContainsFunc(all, s.isSelf) {
		s.why = loop(5, name)
		return nil
	}
	return s.order(all)
}

func loop(class uint16, domain string) *failure {
	return siteFailure(mail.Code(class, 4, 6), "mail for "+domain+" loops back to myself")
}

// isSelf recognises ourselves by address, as Postfix does, and by name, as RFC 5321
// section 5.1 wants: behind address translation only the name is known here.
func (s *search) isSelf(h host) bool {
	return s.OwnAddrs(h.addr) || s.isOwnName(h.name)
}

func (s *search) isOwnName(name string) bool {
	return slices.ContainsFunc(s.selfNames, func(n string) bool { return n != "" && strings.EqualFold(n, name) })
}

// addrs looks up one host. What goes wrong is kept in s.why, where a soft error is not
// displaced by a later one.
func (s *search) addrs(ctx context.Context, name string) []netip.Addr {
	if a, err := netip.ParseAddr(name); err == nil && s.speaks(a) {
		return []netip.Addr{a}
	}
	var err error
	if s.dnsLookup {
		var addrs []netip.Addr
		if addrs, err = s.Resolver.Addrs(ctx, name, s.family); err == nil {
			return addrs
		}
		switch e, _ := errors.AsType[*dns.Error](err); {
		case !errors.Is(err, dns.ErrNotFound):
			s.unresolved(unanswered(err), err.Error())
			return nil
		case e != nil && e.Kind == dns.BadName: // in no file either
			s.unresolved(mail.Code(5, 4, 4), err.Error())
			return nil
		}
	}
	if s.native {
		addrs, nerr := s.Resolver.Native(ctx, name, s.family)
		if nerr == nil {
			return addrs
		}
		err = nerr
		s.unresolved(mail.Code(notFoundClass(nerr), 4, 4), "unable to look up host "+name+": "+nativeText(nerr))
		return nil
	}
	s.unresolved(mail.Code(5, 4, 4), err.Error())
	return nil
}

func (s *search) unresolved(code mail.Enhanced, reason string) {
	if s.soft && code[0] != 4 {
		return
	}
	s.soft = s.soft || code[0] == 4
	s.why = siteFailure(code, reason)
}

// unanswered is what a message waits for where nobody could say, or nobody may.
func unanswered(err error) mail.Enhanced {
	if e, ok := errors.AsType[*dns.Error](err); ok && e.Kind == dns.Filtered {
		return mail.Code(4, 7, 0)
	}
	return mail.Code(4, 4, 3)
}

func notFoundClass(err error) uint16 {
	if errors.Is(err, dns.ErrNotFound) {
		return 5
	}
	return 4
}

// nativeText is what getaddrinfo(3) says.
func nativeText(err error) string {
	e, ok := errors.AsType[*dns.Error](err)
	switch {
	case !ok || e.Kind == dns.Temporary:
		return "Temporary failure in name resolution"
	case e.Kind == dns.NoData:
		return "No address associated with hostname"
	}
	return "Name or service not known"
}

func (s *search) speaks(a netip.Addr) bool {
	return s.family == dns.Any || (s.family == dns.IPv4) == a.Is4()
}
