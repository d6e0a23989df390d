package smtpd

import (
	"context"
	"strings"

	"aliasmx/internal/mail"
)

// Relay control: mail for others is taken only from who may send it (postconf(5):
// smtpd_relay_restrictions).

func (s *session) permitAuthDestination(ctx context.Context, _ *Restriction) outcome {
	if !s.judged.hasRcpt {
		return dunno
	}
	switch ours, o := s.isOurs(ctx); {
	case o != dunno:
		return o
	case !ours:
		return dunno
	}
	return s.permitted(ctx, "permit_auth_destination", s.rcptSub(), "")
}

func (s *session) rejectUnauthDestination(ctx context.Context, _ *Restriction) outcome {
	return s.unauthDestination(ctx, s.o.RelayRejectCode)
}

func (s *session) deferUnauthDestination(ctx context.Context, _ *Restriction) outcome {
	return s.unauthDestination(ctx, 400+s.o.RelayRejectCode%100)
}

func (s *session) unauthDestination(ctx context.Context, code int) outcome {
	if !s.judged.hasRcpt {
		return dunno
	}
	if ours, o := s.isOurs(ctx); ours || o != dunno {
		return o
	}
	return s.refusal(about(s.judged.rcpt, status(code, mail.Code(uint16(code/100), 7, 1), "Relay access denied")), true)
}

// isOurs tells whether we are responsible for the recipient. An outcome beside dunno is
// that of a list of domains that cannot answer.
func (s *session) isOurs(ctx context.Context) (bool, outcome) {
	rcpt := s.judged.rcpt
	class, err := s.o.Recipients.Class(ctx, s.o.Recipients.Complete(rcpt))
	if err != nil {
		return false, s.refusal(about(rcpt, s.lookupFailed(err)), false)
	}
	return class != mail.ClassDefault, dunno
}

// isRouted tells whether a recipient asks to be sent on by us to another domain, as
// user%other@ours does. No table can permit that for a stranger, unless
// allow_untrusted_routing is set.
func (s *session) isRouted(a mail.Address) bool {
	return !s.o.AllowUntrustedRouting && strings.ContainsAny(a.Local, "@%!")
}
