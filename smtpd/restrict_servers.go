package smtpd

import (
	"context"
	"net/netip"
	"strings"

	"aliasmx/internal/mail"
)

// check_*_a_access, check_*_mx_access and check_*_ns_access: tables that are asked for
// the hosts behind a name (postconf(5): check_sender_mx_access). They may refuse, never
// permit: the DNS of a name is in the hands of its owner.

// record is which hosts are meant.
type record uint8

const (
	itself record = iota // the name
	mxOf
	nsOf
)

// serverRules is one rule for each name and record.
func serverRules() []rule {
	var rules []rule
	for _, of := range []struct {
		name  string
		about func(*session) (name string, about subject, ok bool)
	}{
		{"client", func(s *session) (string, subject, bool) { return s.peer.Name, s.client(), isNamed(s.peer.Name) }},
		{"reverse_client_hostname", func(s *session) (string, subject, bool) {
			return s.peer.Reverse, s.reverseSub(), isNamed(s.peer.Reverse)
		}},
		{"helo", func(s *session) (string, subject, bool) { return s.helo, s.heloSub(), s.helo != "" }},
		{"sender", func(s *session) (string, subject, bool) { return s.tx.sender.Domain, s.senderSub(), s.hasSender() }},
		{"recipient", func(s *session) (string, subject, bool) {
			return s.judged.rcpt.Domain, s.rcptSub(), s.judged.hasRcpt
		}},
	} {
		for kind, of2 := range map[record]string{itself: "a", mxOf: "mx", nsOf: "ns"} {
			rules = append(rules, rule{
				name: "check_" + of.name + "_" + of2 + "_access", argument: aTable, needs: needsDNS,
				apply: func(s *session, ctx context.Context, r *Restriction) outcome {
					name, about, ok := of.about(s)
					if !ok {
						return dunno
					}
					return s.forbidPermit(r, s.accessServers(ctx, r, name, kind, about), name)
				},
			})
		}
	}
	return rules
}

// unknownName is what a client without a name is called.
const unknownName = "unknown"

func isNamed(name string) bool { return !strings.EqualFold(name, unknownName) }

// maxServerAddrs bounds what is looked up for one name (postconf(5):
// dns_rr_list_size_limit).
const maxServerAddrs = 100

// accessServers asks for the hosts of a name and for their addresses.
func (s *session) accessServers(ctx context.Context, r *Restriction, domain string, kind record, about subject) outcome {
	if strings.HasPrefix(domain, "[") {
		addr, ok := mail.ParseLiteral(domain)
		if !ok || kind == nsOf {
			return dunno
		}
		_, o := s.accessAddr(ctx, r, addr, about)
		return o
	}
	hosts, ok := s.serversOf(ctx, domain, kind)
	if !ok {
		return dunno
	}
	left := maxServerAddrs
	for _, host := range hosts {
		if addr, err := netip.ParseAddr(host); err == nil {
			if found, o := s.accessAddr(ctx, r, addr, about); found {
				return o
			}
			continue
		}
		if kind != itself {
			if found, o := s.accessDomain(ctx, r, host, about); found {
				return o
			}
		}
		addrs, err := s.o.Resolver.Addrs(ctx, host)
		if err != nil {
			if kind != itself {
				s.warn("Unable to look up " + kind.String() + " host " + host + " for " + about.class + " " + about.String() + ": " + err.Error())
			}
			continue
		}
		for _, addr := range addrs {
			if left--; left < 0 {
				s.warn(kind.String() + " server address count limit exceeded for " + about.class + " " + about.String() + " -- ignoring the remainder")
				return dunno
			}
			if found, o := s.accessAddr(ctx, r, addr, about); found {
				return o
			}
		}
	}
	return dunno
}

func (k record) String() string { return [...]string{"A", "MX", "NS"}[k] }

// serversOf are the hosts behind a name. A domain without mail exchangers is its own; one
// without name servers has those of the domain above it.
func (s *session) serversOf(ctx context.Context, domain string, kind record) ([]string, bool) {
	var hosts []string
	var err error
	dns := s.o.Resolver
	switch kind {
	case itself:
		return []string{domain}, true
	case mxOf:
		hosts, err = dns.MX(ctx, domain)
		if err != nil && dns.NotFound(err) {
			return []string{domain}, true
		}
	case nsOf:
		for name := domain; ; {
			if hosts, err = dns.NS(ctx, name); err == nil || !dns.NotFound(err) {
				break
			}
			_, above, ok := strings.Cut(name, ".")
			if !ok || above == "" {
				break
			}
			name = above
		}
	}
	if err != nil {
		if !dns.NullMX(err) {
			s.warn("Unable to look up " + kind.String() + " host for " + domain + ": " + err.Error())
		}
		return nil, false
	}
	return hosts, true
}
