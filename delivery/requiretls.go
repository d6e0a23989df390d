package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"

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

// asksForNoPolicy tells whether the sender would rather have a message arrive than kept from
// a host whose policy cannot be kept (TLS-Required: no, RFC 8689 section 4): a report about
// that very policy, for one. TLS is then used where it is to be had, nobody is verified, and
// none of it is reported.
func (s *settings) asksForNoPolicy(a *mail.Attempt) bool {
	return s.TLSRequired && a.Env.Flags&mail.FlagTLSOptional != 0
}

// enforce makes of a choice one that verifies the host, if the message needs that. A
// policy may have done so. Otherwise a name from an MX record is no proof, but one that
// the next hop itself has is: its certificate has to be for it, by one of the authorities
// that are configured, or else of the system.
func (w *worker) enforce(choice *mail.TLSChoice, r *round, h *host) *failure {
	if !requiresTLS(r.j.a) || h.path != "" {
		return nil
	}
	_, err := netip.ParseAddr(h.name)
	named := r.direct && err != nil
	// Behind MX records that nobody signed the host's own TLSA records prove nothing.
	verifies := choice.Verify != nil && choice.Level != mail.TLSHalfDANE
	if choice.Level != mail.TLSNone && (verifies || named) {
		if choice.Verify == nil {
			choice.Verify = verifyName(w.set.RootCAs, h.name)
			choice.ServerName = h.name
		}
		if !choice.Level.Must() {
			choice.Level = mail.TLSEncrypt
		}
		choice.Testing = false
		return nil
	}
	return unsafe(mail.Code(5, 7, 10), "nocertmatch", "but my configured TLS security level '"+string(choice.Level)+
		"' disables certificate matching. The last attempted server was "+h.name)
}

// verifyName wants a certificate for a name.
func verifyName(roots *x509.CertPool, name string) func(*tls.ConnectionState) mail.TLSVerdict {
	return func(state *tls.ConnectionState) mail.TLSVerdict {
		if len(state.PeerCertificates) == 0 {
			return mail.TLSVerdict{Reason: "no certificate"}
		}
		err := verifyChain(state, roots, name)
		if err == nil {
			return mail.TLSVerdict{Trusted: true, Matched: true}
		}
		_, otherName := errors.AsType[x509.HostnameError](err)
		return mail.TLSVerdict{Trusted: otherName, Reason: err.Error()}
	}
}

// maySend tells whether an open connection is good enough for a message. One that was made
// for a message that asks for no policy, or in the clear after TLS had failed, is for messages
// alone for which the same would be done.
func (s *session) maySend(j *job) bool {
	switch {
	case s.host.path != "":
		return true
	case s.unreported && !s.set.asksForNoPolicy(j.a):
		return false
	case s.choice.Level == mail.TLSNone && s.choice.Asked == mail.TLSMay && !s.mayGoPlain(j):
		return false
	}
	return s.verified || !requiresTLS(j.a)
}

// policyTime is how long a connection is used without another look at what is asked of it.
const policyTime = time.Second

// isRight tells whether the worker's open connection still is what would be made for a
// message: tables, records and policies may have changed while it was used.
func (w *worker) isRight(ctx context.Context, j *job) bool {
	s, now := w.sess, w.set.Now()
	if s.host.path != "" || now.Sub(s.chosen) < policyTime {
		return true
	}
	s.chosen = now
	r := &round{w: w, j: j, hop: s.hop, domain: s.domain, direct: w.direct}
	choice, f := r.choose(ctx, &s.host)
	return f == nil && s.secured(choice, s.domain)
}

// needsTLS finds what keeps a message from a server that does not promise what it needs.
func (s *session) needsTLS(a *mail.Attempt) *failure {
	switch {
	case !requiresTLS(a) || s.host.path != "":
		return nil
	case !s.overTLS || !s.verified:
		return unsafe(mail.Code(5, 7, 10), "nocertmatch", "but no trusted server certificate was found. The last attempted server was "+s.place)
	case !s.offers(extRequireTLS):
		return unsafe(mail.Code(5, 7, 30), "none", "but no server was found that supports REQUIRETLS. The last attempted server was "+s.place)
	}
	return nil
}

// noTLS is otherwise, unless the message says more.
func (s *session) noTLS(a *mail.Attempt, otherwise *failure) *failure {
	if !requiresTLS(a) {
		return otherwise
	}
	return unsafe(mail.Code(5, 7, 30), "nostarttls", "but TLS service was not offered by host "+s.place)
}

// tlsRefused is the same for a server that offered TLS before it was asked for it.
func (s *session) tlsRefused(a *mail.Attempt, otherwise *failure) *failure {
	if !requiresTLS(a) {
		return otherwise
	}
	return unsafe(mail.Code(5, 7, 10), "nostarttls", "but host "+s.place+" refused to start TLS: "+s.reply.Text())
}

// untrusted is the same for a server that has not shown the certificate that was asked for.
func (s *session) untrusted(a *mail.Attempt, verdict mail.TLSVerdict, otherwise *failure) *failure {
	if !requiresTLS(a) {
		return otherwise
	}
	kind := "trusted"
	if verdict.Trusted {
		kind = "matching"
	}
	return unsafe(mail.Code(5, 7, 10), "nocertmatch", "but no "+kind+" server certificate was found. The last attempted server was "+s.place)
}

func unsafe(code mail.Enhanced, misses, but string) *failure {
	f := local(code, "Sender requested REQUIRETLS, "+but)
	f.elsewhere, f.requireTLS = true, misses
	return f
}
