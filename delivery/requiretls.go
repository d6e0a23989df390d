package delivery

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"

	"aliasmx/internal/mail"
)

// REQUIRETLS (RFC 8689): such a message goes over TLS to a server whose certificate was
// verified, under a name that nobody could forge, and that promises the same in turn, or
// not at all. What was found at one host does not rule another one out. The texts are
// Postfix's.
//
// A report, with the null reverse-path, is sent on as safely as can be, and rather in
// clear than not at all (RFC 8689 section 5). What goes to a program on this machine over
// a Unix socket does not leave it.

// requiresTLS tells whether a message may only go where REQUIRETLS is kept.
func requiresTLS(a *mail.Attempt) bool {
	return a.Env.Flags&mail.FlagRequireTLS != 0 && !a.Env.Sender.IsNull()
}

// enforce makes of a choice one that verifies the host, if the message needs that. A
// policy may have done so. Otherwise a name from an MX record is no proof, but one that
// the next hop itself has is: its certificate has to be for it, by one of the authorities
// that are configured, or else of the system.
func (w *worker) enforce(choice *tlsChoice, r *round, h *host) *failure {
	if !requiresTLS(r.j.a) || h.path != "" {
		return nil
	}
	_, err := netip.ParseAddr(h.name)
	named := r.direct && err != nil
	switch {
	case choice.level != levelNone && (choice.cfg != nil || named):
		if choice.cfg == nil {
			choice.cfg = &tls.Config{ServerName: h.name, RootCAs: w.set.RootCAs}
		}
		choice.level = levelEncrypt
		return nil
	}
	return unsafe(mail.Code(5, 7, 10), "but my configured TLS security level '"+choice.level+
		"' disables certificate matching. The last attempted server was "+h.name)
}

// maySend tells whether an open connection is good enough for a message.
func (s *session) maySend(a *mail.Attempt) bool {
	return s.verified || s.host.path != "" || !requiresTLS(a)
}

// needsTLS finds what keeps a message from a server that does not promise what it needs.
func (s *session) needsTLS(a *mail.Attempt) *failure {
	switch {
	case !requiresTLS(a) || s.host.path != "":
		return nil
	case !s.overTLS || !s.verified:
		return unsafe(mail.Code(5, 7, 10), "but no trusted server certificate was found. The last attempted server was "+s.place)
	case !s.offers(extRequireTLS):
		return unsafe(mail.Code(5, 7, 30), "but no server was found that supports REQUIRETLS. The last attempted server was "+s.place)
	}
	return nil
}

// noTLS is otherwise, unless the message says more.
func (s *session) noTLS(a *mail.Attempt, otherwise *failure) *failure {
	if !requiresTLS(a) {
		return otherwise
	}
	return unsafe(mail.Code(5, 7, 30), "but TLS service was not offered by host "+s.place)
}

// tlsRefused is the same for a server that offered TLS before it was asked for it.
func (s *session) tlsRefused(a *mail.Attempt, otherwise *failure) *failure {
	if !requiresTLS(a) {
		return otherwise
	}
	return unsafe(mail.Code(5, 7, 10), "but host "+s.place+" refused to start TLS: "+s.reply.Text())
}

// untrusted is the same for a handshake that failed because of the certificate.
func (s *session) untrusted(a *mail.Attempt, err error, otherwise *failure) *failure {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || !requiresTLS(a) {
		return otherwise
	}
	kind := "trusted"
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		kind = "matching"
	}
	return unsafe(mail.Code(5, 7, 10), "but no "+kind+" server certificate was found. The last attempted server was "+s.place)
}

func unsafe(code mail.Enhanced, but string) *failure {
	f := local(code, "Sender requested REQUIRETLS, "+but)
	f.elsewhere = true
	return f
}
