package smtpd

import (
	"context"
	"log/slog"
	"strings"

	"aliasmx/internal/mail"
)

// Restrictions about who has logged in (postconf(5): permit_sasl_authenticated,
// check_sasl_access, smtpd_sender_login_maps).

// loginAttrs adds to the line about a transaction who its client is.
func (s *session) loginAttrs(attrs []slog.Attr) []slog.Attr {
	if s.login.username != "" {
		attrs = append(attrs, slog.String("sasl_method", s.login.method), slog.String("sasl_username", s.login.username))
	}
	if sender := s.saslSender(); sender != "" {
		attrs = append(attrs, slog.String("sasl_sender", sender))
	}
	return attrs
}

// saslSender is who the client says has submitted the message: AUTH= of MAIL.
func (s *session) saslSender() string {
	if s.tx.opts.Auth == nil {
		return ""
	}
	return echo(*s.tx.opts.Auth, maxEchoedAddress)
}

func (s *session) permitAuthenticated(ctx context.Context, _ *Restriction) outcome {
	if s.login.username == "" || strings.EqualFold(s.login.method, "ANONYMOUS") {
		return dunno
	}
	return s.permitted(ctx, "permit_sasl_authenticated", s.client(), "")
}

// checkSASL asks a table for the name that the client has logged in by.
func (s *session) checkSASL(ctx context.Context, r *Restriction) outcome {
	if s.ignoredSASL(r) || s.login.username == "" {
		return dunno
	}
	_, o := s.accessKey(ctx, r, s.login.username, false, subject{class: classLogin, name: s.login.username})
	return o
}

// ignoredSASL tells whether a restriction means nothing here, and warns of that.
func (s *session) ignoredSASL(r *Restriction) bool {
	if s.o.Logins != nil {
		return false
	}
	s.warn("restriction `" + r.rule.name + "' ignored: no SASL support")
	return true
}

func (s *session) rejectMismatch(ctx context.Context, r *Restriction) outcome {
	if o := s.rejectAuthenticatedMismatch(ctx, r); o != dunno || s.o.Logins == nil {
		return o
	}
	return s.rejectUnauthenticatedMismatch(ctx, r)
}

// rejectAuthenticatedMismatch refuses a sender that the client does not own, or nobody.
func (s *session) rejectAuthenticatedMismatch(ctx context.Context, r *Restriction) outcome {
	if s.ignoredSASL(r) || !s.hasSender() || s.login.username == "" {
		return dunno
	}
	return s.wantOwner(ctx, false)
}

// rejectKnownMismatch leaves a sender that nobody owns to everybody.
func (s *session) rejectKnownMismatch(ctx context.Context, r *Restriction) outcome {
	switch {
	case s.ignoredSASL(r) || !s.hasSender():
		return dunno
	case s.login.username == "":
		return s.wantLogin(ctx)
	}
	return s.wantOwner(ctx, true)
}

// rejectUnauthenticatedMismatch refuses a sender that has an owner to who has not logged
// in.
func (s *session) rejectUnauthenticatedMismatch(ctx context.Context, r *Restriction) outcome {
	if s.ignoredSASL(r) || !s.hasSender() || s.login.username != "" {
		return dunno
	}
	return s.wantLogin(ctx)
}

func (s *session) wantLogin(ctx context.Context) outcome {
	_, owned, o := s.owners(ctx)
	if o != dunno || !owned {
		return o
	}
	return s.refusal(status(553, mail.Code(5, 7, 1), s.ownedText("not logged in")), true)
}

func (s *session) wantOwner(ctx context.Context, orNobody bool) outcome {
	if len(s.o.SenderLoginMaps) == 0 {
		return dunno
	}
	names, owned, o := s.owners(ctx)
	if o != dunno || !owned && orNobody {
		return o
	}
	if namesUser(names, s.login.username) {
		return dunno
	}
	return s.refusal(status(553, mail.Code(5, 7, 1), s.ownedText("not owned by user "+s.login.username)), true)
}

func (s *session) ownedText(why string) string {
	about := s.senderSub()
	return about.rejected(why)
}

// owners asks smtpd_sender_login_maps who may use the sender: user+ext@domain,
// user@domain, user+ext and user in our own names, @domain.
func (s *session) owners(ctx context.Context) (names string, owned bool, o outcome) {
	if len(s.o.SenderLoginMaps) == 0 {
		return "", false, dunno
	}
	keys, err := s.ownerKeys(ctx)
	if err != nil {
		s.lookupFailed(err)
		return "", false, s.unanswered(s.tx.sender.Internal())
	}
	for _, key := range keys {
		for _, t := range s.o.SenderLoginMaps {
			value, found, err := t.Lookup(ctx, key)
			if err != nil {
				s.warn(t.Name() + ` lookup error for "` + echo(key, maxEchoedAddress) + `": ` + err.Error())
				return "", false, s.unanswered(s.tx.sender.Internal())
			}
			if found {
				return value, true, dunno
			}
		}
	}
	return "", false, dunno
}

func (s *session) ownerKeys(ctx context.Context) ([]string, error) {
	a := s.tx.from
	bare := a
	if s.o.StripExtension != nil {
		bare.Local = s.o.StripExtension(a.Local)
	}
	extended := bare.Local != a.Local
	keys := []string{a.String()}
	if extended {
		keys = append(keys, bare.String())
	}
	class, err := s.o.Recipients.Class(ctx, a)
	if err != nil {
		return nil, err
	}
	origin := s.o.Recipients.Complete(mail.Address{Local: "x"}).Domain
	if class == mail.ClassLocal || strings.EqualFold(a.Domain, origin) {
		keys = append(keys, mail.Address{Local: a.Local}.String())
		if extended {
			keys = append(keys, mail.Address{Local: bare.Local}.String())
		}
	}
	return append(keys, "@"+a.Domain), nil
}
