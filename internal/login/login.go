package login

import (
	"context"
	"net/netip"
	"strings"

	"github.com/emersion/go-sasl"

	"aliasmx/internal/mail"
	"aliasmx/internal/mechanism"
)

// Request is what is known when a client begins to log in.
type Request struct {
	Mechanism      string
	Client, Server netip.AddrPort
	Secured        bool // by TLS
}

// Exchange is one attempt to log in. Next takes responses and gives challenges, both
// without base64; a nil response is none. Its errors are a *mail.Status: 535 with the
// reason when the client has failed, 454 when nobody can say. It is used by one goroutine.
type Exchange interface {
	sasl.Server
	// Username is who tries to log in, or has; "" as long as that is not known.
	Username() string
	// Close ends the exchange, finished or not.
	Close()
}

// Source is somebody who knows users. It is safe for concurrent use.
type Source interface {
	// Mechanisms are those that there are, in the order of announcing.
	Mechanisms(ctx context.Context) []Mechanism
	// Begin begins an exchange by a mechanism of these. ctx bounds all of it.
	Begin(ctx context.Context, r Request) (Exchange, error)
	Close() error
}

// Logins is a Source with the rules about which mechanism is offered.
type Logins struct {
	Source
	Clear   mechanism.Security // smtpd_sasl_security_options
	Secured mechanism.Security // smtpd_sasl_tls_security_options
	// Filter tells which mechanisms the operator wants (smtpd_sasl_mechanism_filter); nil:
	// all of them. One that it cannot tell about is not offered.
	Filter func(ctx context.Context, mechanism string) (bool, error)
	Warn   func(string)
}

// Offered are the mechanisms for a client, with or without TLS.
func (l *Logins) Offered(ctx context.Context, secured bool) []string {
	rules := l.Clear
	if secured {
		rules = l.Secured
	}
	var names []string
	for _, m := range l.Mechanisms(ctx) {
		if !rules.Allows(m.Properties) {
			continue
		}
		if l.Filter != nil {
			ok, err := l.Filter(ctx, m.Name)
			if err != nil {
				l.Warn("SASL mechanism filter failed for " + m.Name + ": " + err.Error())
			}
			if err != nil || !ok {
				continue
			}
		}
		names = append(names, m.Name)
	}
	return names
}

// Start begins an exchange, if the mechanism is one that is offered.
func (l *Logins) Start(ctx context.Context, r Request) (Exchange, error) {
	for _, name := range l.Offered(ctx, r.Secured) {
		if strings.EqualFold(name, r.Mechanism) {
			r.Mechanism = name
			return l.Begin(ctx, r)
		}
	}
	return nil, failed("Invalid authentication mechanism: '" + printable(r.Mechanism) + "'")
}

// failed is the answer to who may not log in.
func failed(why string) *mail.Status {
	return &mail.Status{Code: 535, Enhanced: mail.Code(5, 7, 8), Text: why}
}

// unknown is the answer when nobody can say who may.
func unknown(why string) *mail.Status {
	return &mail.Status{Code: 454, Enhanced: mail.Code(4, 7, 0), Text: why}
}

// printable makes words from outside fit for a reply, a log line and a header.
func printable(s string) string {
	const longest = 100
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return '?'
		}
		return c
	}, strings.ToValidUTF8(s[:min(len(s), longest)], "?"))
}
