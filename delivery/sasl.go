package delivery

import (
	"context"
	"strings"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/mechanism"
)

// Who we are to a server: SASL_README, "Enabling SASL authentication in the Postfix SMTP
// client".

// SASL says where and how to log in (postconf(5): smtp_sasl_*).
type SASL struct {
	// Passwords is smtp_sasl_password_maps: what there is for a host, or for a next hop
	// as it is written, "user:password". SenderPasswords is the same for the sender of a
	// message, and not nil with smtp_sender_dependent_authentication. They may wait as
	// long as ctx lives and are safe for concurrent use; an error is temporary.
	Passwords       func(ctx context.Context, key string) (value string, found bool, err error)
	SenderPasswords func(ctx context.Context, sender mail.Address) (value string, found bool, err error)
	// Delimiter is smtp_sasl_password_result_delimiter, of which the first byte counts.
	Delimiter string

	// Clear holds without TLS (smtp_sasl_security_options), Secured with it
	// (smtp_sasl_tls_security_options), and Verified with a server whose certificate was
	// verified (smtp_sasl_tls_verified_security_options).
	Clear, Secured, Verified mechanism.Security
	// Mechanism is smtp_sasl_mechanism_filter: whether a mechanism may be used. nil: each.
	Mechanism func(ctx context.Context, name string) (bool, error)

	// HardFailure returns mail where a server refuses the password for good
	// (smtp_sasl_auth_soft_bounce = no); otherwise it waits.
	HardFailure bool
	// FailureTime is smtp_sasl_auth_cache_time: how long a password that was refused is
	// not tried again; 0: it is tried each time (no smtp_sasl_auth_cache_name).
	FailureTime time.Duration
	// Authzid is send_cyrus_sasl_authzid, DummyMailAuth smtp_send_dummy_mail_auth.
	Authzid, DummyMailAuth bool
}

// identity is who a connection is logged in as, or would be if the server offered it.
type identity struct {
	user, password string
	known          bool // there is an entry for this server
}

// identify looks up who we are to a server. The order is Postfix's: the sender, the host,
// and the next hop as it is written.
func (a *SASL) identify(ctx context.Context, h *host, nextHop string, sender mail.Address, p protocol) (identity, error) {
	if a == nil {
		return identity{}, nil
	}
	if a.SenderPasswords != nil && p == protoSMTP && !sender.IsNull() {
		if value, found, err := a.SenderPasswords(ctx, sender); found || err != nil {
			return a.identity(value), err
		}
	}
	for _, key := range [...]string{h.name, nextHop} {
		if value, found, err := a.Passwords(ctx, key); found || err != nil {
			return a.identity(value), err
		}
	}
	return identity{}, nil
}

// identity takes a table's value apart. A password may hold the delimiter.
func (a *SASL) identity(value string) identity {
	id := identity{user: value, known: true}
	if a.Delimiter != "" {
		id.user, id.password, _ = strings.Cut(value, a.Delimiter[:1])
	}
	return id
}

// suits tells whether a connection that waits may take a message: one that is logged in
// as somebody takes nobody else's mail.
func (s *session) suits(ctx context.Context, j *job) bool {
	a := s.set.SASL
	if a == nil || a.SenderPasswords == nil {
		return true
	}
	id, err := a.identify(ctx, &s.host, s.hop.name(), j.a.Env.Sender, s.proto)
	return err == nil && id == s.auth.identity
}
