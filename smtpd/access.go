package smtpd

import (
	"context"
	"net/netip"
	"strings"

	"aliasmx/internal/mail"
)

// Which keys an access table is asked for, and in which order: access(5), EMAIL ADDRESS
// PATTERNS and HOST NAME/ADDRESS PATTERNS. What the table answers is carried out in
// access_action.go.

func (s *session) checkClient(ctx context.Context, r *Restriction) outcome {
	_, o := s.accessHost(ctx, r, s.peer.Name, s.client())
	return o
}

func (s *session) checkReverse(ctx context.Context, r *Restriction) outcome {
	_, o := s.accessHost(ctx, r, s.peer.Reverse, s.reverseSub())
	return s.forbidPermit(r, o, s.peer.Reverse)
}

func (s *session) checkHeloAccess(ctx context.Context, r *Restriction) outcome {
	if s.helo == "" {
		return dunno
	}
	_, o := s.accessDomain(ctx, r, s.helo, s.heloSub())
	return o
}

func (s *session) checkEtrn(ctx context.Context, r *Restriction) outcome {
	if s.judged.etrn == "" {
		return dunno
	}
	_, o := s.accessDomain(ctx, r, s.judged.etrn, subject{class: classEtrn, name: s.judged.etrn})
	return o
}

func (s *session) checkSender(ctx context.Context, r *Restriction) outcome {
	switch {
	case !s.tx.active:
		return dunno
	case s.tx.sender.IsNull():
		_, o := s.accessKey(ctx, r, s.o.NullAccessLookupKey, false, s.senderSub())
		return o
	}
	return s.accessAddress(ctx, r, s.tx.from, s.senderSub())
}

func (s *session) checkRecipient(ctx context.Context, r *Restriction) outcome {
	if !s.judged.hasRcpt {
		return dunno
	}
	a := s.o.Recipients.Complete(s.judged.rcpt)
	o := s.accessAddress(ctx, r, a, s.rcptSub())
	if o == permits && !s.tx.Discard && s.isRouted(a) {
		return dunno
	}
	return o
}

// accessKey asks for one key. found tells that the search is over.
func (s *session) accessKey(ctx context.Context, r *Restriction, key string, part bool, about subject) (found bool, o outcome) {
	if key == "" || part && r.whole {
		return false, dunno
	}
	value, found, err := r.table.Lookup(ctx, key)
	switch {
	case err != nil:
		s.warn(r.table.Name() + ` lookup error for "` + echo(key, maxEchoedAddress) + `": ` + err.Error())
		value, found = "451 4.3.5 Server configuration error", true
	case found && value == "":
		s.warn(r.table.Name() + " lookup of " + echo(key, maxEchoedAddress) + " returns an empty string result; " +
			"it should return no result for a key that is not there")
		value = "451 4.3.5 Server configuration error"
	case !found:
		return false, dunno
	}
	return true, s.act(ctx, r.table.Name(), key, value, about)
}

// accessDomain asks for a host or domain and for the domains above it: for example.com
// where smtpd_access_maps is in parent_domain_matches_subdomains, else for .example.com.
func (s *session) accessDomain(ctx context.Context, r *Restriction, domain string, about subject) (bool, outcome) {
	if found, o := s.accessKey(ctx, r, domain, false, about); found {
		return found, o
	}
	if _, err := netip.ParseAddr(domain); err == nil {
		return false, dunno // 192.0.2.1 is not in the domain 0.2.1
	}
	for name := range s.parents(domain) {
		if found, o := s.accessKey(ctx, r, name, true, about); found {
			return found, o
		}
	}
	return false, dunno
}

// parents yields the keys above a domain.
func (s *session) parents(domain string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for domain != "" {
			i := strings.IndexByte(domain[1:], '.') + 1
			if i == 0 {
				return
			}
			if s.o.AccessMatchesSubdomains {
				i++
			}
			if domain = domain[i:]; domain == "" || !yield(domain) {
				return
			}
		}
	}
}

// accessAddr asks for an address and for the networks it is in, a part at a time:
// 192.0.2.1, 192.0.2, 192.0, 192.
func (s *session) accessAddr(ctx context.Context, r *Restriction, addr netip.Addr, about subject) (bool, outcome) {
	key := addr.String()
	delimiter := byte('.')
	if strings.IndexByte(key, ':') >= 0 {
		delimiter = ':'
	}
	for part := false; ; part = true {
		if found, o := s.accessKey(ctx, r, key, part, about); found {
			return found, o
		}
		i := strings.LastIndexByte(key, delimiter)
		if i < 0 {
			return false, dunno
		}
		key = key[:i]
	}
}

// accessHost asks for the client's name, then for its address.
func (s *session) accessHost(ctx context.Context, r *Restriction, name string, about subject) (bool, outcome) {
	if found, o := s.accessDomain(ctx, r, name, about); found {
		return found, o
	}
	return s.accessAddr(ctx, r, s.peer.Addr, about)
}

// accessAddress asks for user+ext@domain, user@domain, the domain and those above it,
// user+ext@ and user@.
func (s *session) accessAddress(ctx context.Context, r *Restriction, a mail.Address, about subject) outcome {
	if a.Domain == "" {
		s.warn("no @domain in address: " + echo(a.String(), maxEchoedAddress))
		return dunno
	}
	bare := a
	if s.o.StripExtension != nil {
		bare.Local = s.o.StripExtension(a.Local)
	}
	if found, o := s.accessKey(ctx, r, a.String(), false, about); found {
		return o
	}
	extended := bare.Local != a.Local
	if extended {
		if found, o := s.accessKey(ctx, r, bare.String(), true, about); found {
			return o
		}
	}
	if found, o := s.accessKey(ctx, r, a.Domain, true, about); found {
		return o
	}
	for name := range s.parents(a.Domain) {
		if found, o := s.accessKey(ctx, r, name, true, about); found {
			return o
		}
	}
	if found, o := s.accessKey(ctx, r, mail.Address{Local: a.Local}.String()+"@", true, about); found {
		return o
	}
	if extended {
		if found, o := s.accessKey(ctx, r, mail.Address{Local: bare.Local}.String()+"@", true, about); found {
			return o
		}
	}
	return dunno
}

// forbidPermit refuses where a table permits what anybody can make true: whoever writes
// the zone of a name could permit himself.
func (s *session) forbidPermit(r *Restriction, o outcome, target string) outcome {
	if o != permits || s.tx.Discard {
		return o
	}
	s.warn("restriction " + r.rule.name + " returns OK for " + echo(target, maxEchoedAddress) +
		"; this is not allowed for security reasons; use DUNNO instead of OK if you want to make an exception")
	return s.misconfigured()
}
