package smtpd

import (
	"context"

	"aliasmx/internal/mail"
)

// Restrictions about the client: SMTPD_ACCESS_README, postconf(5):
// smtpd_client_restrictions.

func (s *session) permitMyNetworks(ctx context.Context, _ *Restriction) outcome {
	if s.o.MyNetworks == nil {
		return dunno
	}
	ok, err := s.o.MyNetworks.Match(ctx, s.peer.Name, s.peer.Addr)
	switch {
	case err != nil:
		s.warn("mynetworks: " + err.Error())
		return s.unanswered(s.judged.about.String())
	case !ok:
		return dunno
	}
	return s.permitted(ctx, "permit_mynetworks", s.client(), "")
}

func (s *session) permitInterfaces(ctx context.Context, _ *Restriction) outcome {
	if s.o.OwnAddr == nil || !s.o.OwnAddr(s.peer.Addr) {
		return dunno
	}
	return s.permitted(ctx, "permit_inet_interfaces", s.client(), "")
}

// rejectUnknownClient wants a name that the client's address has and that has the
// client's address.
func (s *session) rejectUnknownClient(context.Context, *Restriction) outcome {
	switch s.peer.NameStatus {
	case NameVerified:
		return dunno
	case NameTemporary:
		return s.refuseName(450, mail.Code(4, 7, 25), "hostname")
	}
	return s.refuseName(s.o.UnknownClientRejectCode, mail.Code(4, 7, 25), "hostname")
}

// rejectUnknownReverse wants any name that the client's address has.
func (s *session) rejectUnknownReverse(context.Context, *Restriction) outcome {
	switch s.peer.ReverseStatus {
	case NameVerified:
		return dunno
	case NameTemporary:
		return s.refuseName(450, mail.Code(4, 7, 1), "reverse hostname")
	}
	return s.refuseName(s.o.UnknownClientRejectCode, mail.Code(4, 7, 1), "reverse hostname")
}

func (s *session) refuseName(code int, enhanced mail.Enhanced, what string) outcome {
	return s.refusal(status(code, enhanced, "Client host rejected: cannot find your "+what+", ["+s.peer.Addr.String()+"]"), true)
}

// rejectPlaintext wants TLS.
func (s *session) rejectPlaintext(context.Context, *Restriction) outcome {
	if s.tls != nil {
		return dunno
	}
	return s.refusal(status(s.o.PlaintextRejectCode, mail.Code(4, 7, 1), "Session encryption is required"), true)
}
