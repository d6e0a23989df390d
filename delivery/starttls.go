package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// The levels of smtp_tls_security_level. Higher ones come from a TLSPolicy, as encrypt
// with a configuration that verifies.
const (
	levelNone    = "none"
	levelMay     = "may"
	levelEncrypt = "encrypt"
)

// tlsChoice is how a connection is to be secured. A cfg that is not nil verifies the
// peer by itself.
type tlsChoice struct {
	level string
	cfg   *tls.Config
}

// tlsFor says how to secure a connection to a host of a next hop.
func (w *worker) tlsFor(ctx context.Context, domain, host string) (tlsChoice, error) {
	c := tlsChoice{level: strings.ToLower(w.set.TLSLevel)}
	if w.set.TLSPolicy != nil {
		var err error
		if c.level, c.cfg, err = w.set.TLSPolicy.TLS(ctx, domain, host); err != nil {
			return tlsChoice{}, err
		}
	}
	switch c.level {
	case levelNone, levelMay, levelEncrypt:
		return c, nil
	}
	return tlsChoice{}, fmt.Errorf("client TLS configuration problem: security level %q needs a policy that verifies", c.level)
}

// mayGoPlain tells whether a message is old enough to be sent in plain text after
// optional TLS has failed. Postfix lets it wait for one round of the queue, so that a
// passing failure is no way to have mail sent in the clear. Where we would log in it never
// is: without TLS the password would be in the clear too, or mail go as a stranger's.
func (s *session) mayGoPlain(j *job) bool {
	return !s.mayGiveAway() && j.a.Active.Sub(j.a.Env.Arrived) >= s.set.MinimalBackoff
}

// secure turns TLS on where it is wanted and to be had.
func (s *session) secure(ctx context.Context, j *job, choice tlsChoice) bool {
	must := choice.level != levelNone && choice.level != levelMay
	if choice.level == levelNone && s.offers(extStartTLS) && s.set.NoteStartTLS {
		s.log.Info("Host offered STARTTLS: [" + s.host.name + "]")
	}
	if choice.level == levelNone || !must && !s.offers(extStartTLS) {
		return true
	}
	if !s.offers(extStartTLS) {
		j.fail(s.noTLS(j.a, siteFailure(mail.Code(4, 7, 4), "TLS is required, but was not offered by host "+s.place)), s)
		return false
	}
	s.conn.WriteString("STARTTLS\r\n")
	if err := s.ask(s.set.Timeouts.StartTLS); err != nil {
		s.lost(j, err, "receiving the STARTTLS response")
		return false
	}
	if s.reply.Class() != 2 {
		s.extensions &^= extStartTLS
		if !must && !s.mayGiveAway() {
			return true
		}
		f := remote(s.host.name, &s.reply, "TLS is required, but host "+s.place+" refused to start TLS: "+s.reply.Text())
		f.site = true
		j.fail(s.tlsRefused(j.a, f), s)
		return false
	}
	return s.handshake(j, choice) && s.ehlo(ctx, j, true)
}

func (s *session) handshake(j *job, choice tlsChoice) bool {
	cfg := choice.cfg
	if cfg == nil {
		// Who the peer is nobody has promised; it is looked at for the log alone.
		cfg = &tls.Config{InsecureSkipVerify: true, ServerName: s.serverName(), ClientSessionCache: s.resume}
	}
	cfg = s.set.tlsConfig(cfg, choice.level)
	if err := s.conn.StartTLSClient(cfg, s.set.Timeouts.StartTLS); err != nil {
		s.dead = true
		s.log.Info(fmt.Sprintf("SSL_connect error to %s: %v", s.relay, err))
		if choice.level == levelMay && s.mayGoPlain(j) {
			s.plainNext, s.final = true, false
		}
		j.fail(s.untrusted(j.a, err, siteFailure(mail.Code(4, 7, 5), "Cannot start TLS: handshake failure")), s)
		return false
	}
	s.overTLS, s.verified = true, choice.cfg != nil
	if s.set.TLSLogLevel > 0 {
		state := s.conn.NetConn().(*tls.Conn).ConnectionState()
		s.log.Info(mail.EventTLS, mail.KeyTLSLevel, trust(&state, choice.cfg != nil, s.set.RootCAs),
			mail.KeyRelay, s.relay, mail.KeyTLS, wire.DescribeTLS(&state, leafOf(&state)))
	}
	return true
}

// serverName is the name that SNI tells (postconf(5): smtp_tls_servername).
func (s *session) serverName() string {
	switch n := s.set.TLSServerName; n {
	case "hostname":
		return s.host.name
	case "nexthop":
		return s.domain
	default:
		return n
	}
}

// trust is what is known of the peer, in Postfix's words (TLS_README): nothing; a
// certificate; one that a trusted authority signed; one that was required and verified.
func trust(state *tls.ConnectionState, verified bool, roots *x509.CertPool) string {
	switch {
	case len(state.PeerCertificates) == 0:
		return "Anonymous"
	case verified:
		return "Verified"
	case roots == nil:
		return "Untrusted"
	}
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	if _, err := state.PeerCertificates[0].Verify(opts); err != nil {
		return "Untrusted"
	}
	return "Trusted"
}

func leafOf(state *tls.ConnectionState) *x509.Certificate {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}
