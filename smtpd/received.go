package smtpd

import (
	"crypto/tls"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"aliasmx/internal/header"
	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// trace is what a Received field says (RFC 5321 section 4.4), in Postfix's form.
type trace struct {
	helo     string // as the client gave it, made harmless; "": it gave none
	peer     Peer
	hostname string // myhostname
	mailName string // mail_name
	protocol string // RFC 3848, RFC 6531 section 3.7.3
	tls      string // how the connection is secured, whole lines; "": that is not told
	login    string // smtpd_sasl_authenticated_header: who the client is; "": that is not told
	id       mail.QueueID
	// only is the recipient as the client named it, if there is just one: with several,
	// each would learn of the others.
	only *mail.Address
	time time.Time
	// hidden: nothing of the client is told (smtpd_hide_client_session).
	hidden bool
}

// usualReceived is room for most Received fields.
const usualReceived = 384

// received appends the field with its CRLFs.
func (t *trace) received(b []byte) []byte {
	if b == nil {
		b = make([]byte, 0, usualReceived)
	}
	helo := t.helo
	if helo == "" {
		helo = t.peer.Name
	}
	if t.hidden {
		b = append(append(append(append(b, "Received: by "...), t.hostname...), " ("...), t.mailName...)
		return t.end(append(b, ") id "...))
	}
	b = append(append(b, "Received: from "...), helo...)
	b = append(append(b, " ("...), t.peer.Name...)
	b = append(appendLiteral(append(b, " ["...), t.peer.Addr), "])\r\n"...)
	b = append(b, t.tls...)
	if t.login != "" {
		b = append(append(append(b, "\t(Authenticated sender: "...), harmless(t.login)...), ")\r\n"...)
	}
	b = append(append(append(append(b, "\tby "...), t.hostname...), " ("...), t.mailName...)
	return t.end(append(append(append(b, ") with "...), t.protocol...), " id "...))
}

// end appends the queue ID, for whom and when.
func (t *trace) end(b []byte) []byte {
	b = t.id.Append(b)
	if t.only != nil {
		b = append(append(append(b, "\r\n\tfor <"...), t.only.String()...), ">; "...)
	} else {
		b = append(b, ";\r\n\t"...)
	}
	return append(header.AppendDate(b, t.time), "\r\n"...)
}

// above are the fields that stand above the message: those of actions, and ours.
func (s *session) above() []byte {
	t := s.trace()
	return t.received(s.prepended())
}

// trace is what our Received field says.
func (s *session) trace() trace {
	t := trace{
		helo: s.helo, peer: s.peer, hostname: s.o.MyHostname, mailName: s.o.MailName, hidden: s.o.HideClientSession,
		protocol: s.with(), id: s.tx.id, only: s.onlyRecipient(), time: s.tx.arrived,
	}
	if s.tls != nil && s.o.TLS != nil && s.o.TLS.ReceivedHeader {
		t.tls = securedBy(s.tls, s.o.TLS.Config.ClientAuth != tls.NoClientCert)
	}
	if s.o.AuthenticatedHeader {
		t.login = s.login.username
	}
	return t
}

// with is the protocol as a Received field names it.
func (s *session) with() string {
	with := s.proto()
	if s.tx.opts.UTF8 {
		with = "UTF8SMTP" // RFC 6531 section 3.7.3
	}
	if s.tls != nil && with != "SMTP" {
		with += "S" // RFC 3848
	}
	if s.login.username != "" && s.proto() == "ESMTP" {
		with += "A" // RFC 3848, of ESMTP only
	}
	return with
}

// securedBy is what a Received field says of TLS (smtpd_tls_received_header); asked tells
// whether the client was asked for a certificate.
func securedBy(state *tls.ConnectionState, asked bool) string {
	// Postfix begins a new line before the key exchange.
	how := strings.Replace(wire.DescribeTLS(state, nil), " key-exchange", "\r\n\t key-exchange", 1)
	client := "(No client certificate requested)"
	switch {
	case len(state.PeerCertificates) > 0:
		c, verified := state.PeerCertificates[0], "verified OK"
		if len(state.VerifiedChains) == 0 {
			verified = "not verified"
		}
		client = `(Client CN "` + harmless(c.Subject.CommonName) + `", Issuer "` + harmless(c.Issuer.CommonName) + `" (` + verified + "))"
	case asked:
		client = "(Client did not present a certificate)"
	}
	return "\t(using " + how + ")\r\n\t" + client + "\r\n"
}

// harmless makes a name from a stranger's certificate fit for a comment.
func harmless(name string) string {
	const longest = 100
	return strings.Map(func(c rune) rune {
		if c < ' ' || c >= 0x7f || strings.ContainsRune(`"\()`, c) {
			return '?'
		}
		return c
	}, name[:min(len(name), longest)])
}

// heloName makes a HELO name harmless for the log and the Received field: what is not
// printable ASCII, or has a meaning in a header, becomes a question mark.
func heloName(name string) string {
	const longest = 255 // RFC 5321 section 4.5.3.1.2
	if len(name) > longest {
		name = name[:longest]
	}
	return strings.Map(func(c rune) rune {
		if c == ' ' || unicode.IsControl(c) || c == utf8.RuneError || strings.ContainsRune(`<>()\";@`, c) {
			return '?'
		}
		return c
	}, name)
}
