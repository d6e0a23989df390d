package smtpd

import (
	"context"
	"net/netip"
	"strings"

	"aliasmx/internal/mail"
)

// Restrictions about the name that a client gives itself (postconf(5):
// smtpd_helo_restrictions). RFC 5321 section 4.1.4 forbids to refuse mail because that name
// does not verify; whoever wants that has to say so.

func (s *session) rejectInvalidHelo(context.Context, *Restriction) outcome {
	if done, o := s.heloWithoutName(); done {
		return o
	}
	name := withoutDot(s.helo)
	if _, err := netip.ParseAddr(name); err == nil || mail.ValidHostname(name) {
		return dunno
	}
	return s.reject(s.heloSub(), s.o.InvalidHostnameRejectCode, mail.Code(5, 5, 2), "Invalid name")
}

func (s *session) rejectNonFQDNHelo(context.Context, *Restriction) outcome {
	if done, o := s.heloWithoutName(); done {
		return o
	}
	if isQualified(s.helo) {
		return dunno
	}
	return s.reject(s.heloSub(), s.o.NonFQDNRejectCode, mail.Code(5, 5, 2), "need fully-qualified hostname")
}

// rejectUnknownHelo wants a name that has an address or a mail exchanger.
func (s *session) rejectUnknownHelo(ctx context.Context, _ *Restriction) outcome {
	if done, o := s.heloWithoutName(); done {
		return o
	}
	_, err := s.o.Resolver.Addrs(ctx, s.helo)
	if err == nil {
		return dunno
	}
	_, mxErr := s.o.Resolver.MX(ctx, s.helo)
	switch {
	case mxErr == nil || s.o.Resolver.NullMX(mxErr):
		return dunno
	case s.o.Resolver.NotFound(err) && s.o.Resolver.NotFound(mxErr):
		return s.reject(s.heloSub(), s.o.UnknownHostnameRejectCode, mail.Code(4, 7, 1), "Host not found")
	}
	return s.deferLater(s.o.UnknownHeloLater.later(), s.heloSub(), 450, mail.Code(4, 7, 1), "Host not found")
}

// heloWithoutName deals with clients that gave no name, or an address in its place.
func (s *session) heloWithoutName() (done bool, o outcome) {
	if s.helo == "" {
		return true, dunno
	}
	if s.helo[0] != '[' {
		return false, dunno
	}
	if _, ok := mail.ParseLiteral(s.helo); ok {
		return true, dunno
	}
	return true, s.reject(s.heloSub(), s.o.InvalidHostnameRejectCode, mail.Code(5, 5, 2), "invalid ip address")
}

// withoutDot takes off the dot that ends an absolute name.
func withoutDot(name string) string {
	if short, ok := strings.CutSuffix(name, "."); ok && short != "" && !strings.HasSuffix(short, ".") {
		return short
	}
	return name
}

// isQualified tells whether a name could be one of the DNS with its domain.
func isQualified(name string) bool {
	name = withoutDot(name)
	return mail.ValidHostname(name) && strings.Contains(name, ".")
}
