package smtpd

import (
	"context"

	"aliasmx/internal/mail"
)

// How much mail one of our addresses may have (ours: alias_rate_limit and its relatives,
// alias_complaint_limit). What one client may do is anvil.go's.

// hadEnough is the refusal of a recipient that has had too much mail; nil: it may have more.
// Clients that are trusted are not asked about. Recipients that are refused later, and
// messages too, have been counted.
func (s *session) hadEnough(ctx context.Context, to mail.Address) *mail.Status {
	if s.peer.Local || s.exempt || s.isExcused(ctx) {
		return nil
	}
	v, err := s.o.Reputation.Recipient(ctx, to)
	if err != nil {
		return about(to, s.lookupFailed(err))
	}
	if v.Warn != "" {
		s.warn(v.Warn + " from " + s.peer.String() + " for service " + s.o.Service)
	}
	if v.Refused != nil {
		return about(to, v.Refused)
	}
	if v.Hold != "" && !s.tx.Hold {
		s.tx.Hold = true
		s.logWhat("hold", "RCPT", &s.tx.current, "<"+echo(to.Internal(), maxEchoedAddress)+">: "+classRecipient+" triggers HOLD action: "+v.Hold)
	}
	return nil
}

// isExcused tells whether a client may relay because of who it is. A table that cannot
// answer trusts nobody.
func (s *session) isExcused(ctx context.Context) bool {
	if s.login.username != "" {
		return true
	}
	if s.o.MyNetworks == nil {
		return false
	}
	ok, err := s.o.MyNetworks.Match(ctx, s.peer.Name, s.peer.Addr)
	return ok && err == nil
}
