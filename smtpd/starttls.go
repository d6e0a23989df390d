package smtpd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"syscall"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// TLS says how a listener secures its connections. Each field names its parameter of
// postconf(5).
type TLS struct {
	// Config has the certificates and says which client certificates are asked for
	// (smtpd_tls_chain_files, smtpd_tls_ask_ccert ...).
	Config *tls.Config
	// Wrapper: the connection begins with the handshake (smtpd_tls_wrappermode).
	Wrapper bool
	// Required: without TLS there is no mail (smtpd_tls_security_level = encrypt).
	Required bool
	// RequireCert: nor without a client certificate that an authority of ours has signed
	// (smtpd_tls_req_ccert; with Required only).
	RequireCert    bool
	Digest         string        // smtpd_tls_fingerprint_digest (sha256)
	ReceivedHeader bool          // smtpd_tls_received_header
	LogLevel       int           // smtpd_tls_loglevel
	Timeout        time.Duration // smtpd_starttls_timeout (300 s)
	SessionRate    int           // smtpd_client_new_tls_session_rate_limit; 0: none
}

// TLSSession is a session that wants to know that its connection is secured now. All that
// the client has said before is forgotten (RFC 3207 section 4.2).
type TLSSession interface {
	Secured(state *tls.ConnectionState)
}

// startTLS carries out STARTTLS (RFC 3207).
func (c *conn) startTLS(arg string) reply {
	switch {
	case arg != "":
		return say(501, mail.Code(5, 5, 4), "Syntax: STARTTLS")
	}
	if r := c.standing(); r != nil {
		if r.code/100 == 4 { // as in Sendmail
			return say(454, mail.Code(4, 3, 0), "Try again later")
		}
		return *r
	}
	switch {
	case c.tls != nil:
		return say(554, mail.Code(5, 5, 1), "Error: TLS already active")
	case c.o.TLS == nil || c.discards("STARTTLS"):
		return say(502, mail.Code(5, 5, 1), "Error: command not implemented")
	case c.refusesTLS("STARTTLS request"):
		return say(454, mail.Code(4, 7, 0), "Error: too many new TLS sessions from "+c.peer.String())
	}
	c.say(say(220, mail.Code(2, 0, 0), "Ready to start TLS"))
	if !c.flush() {
		return reply{silent: true}
	}
	if s := c.milters(); s != nil && c.greeted {
		s.filter.session.Abort()
	}
	c.reset()
	c.greeted, c.esmtp, c.authenticated = false, false, false
	if !c.secure() {
		return reply{silent: true}
	}
	return reply{said: true}
}

// limitsTLS tells whether handshakes of this client are counted.
func (c *conn) limitsTLS() bool { return c.o.TLS.SessionRate > 0 && c.counted != nil }

// refusesTLS tells whether the client has begun so many TLS sessions that it may not begin
// another one.
func (c *conn) refusesTLS(what string) bool {
	if !c.limitsTLS() || !over(c.srv.clients.handshakes(c.o, c.peer.Addr), c.o.TLS.SessionRate) {
		return false
	}
	c.log.Warn("Refusing " + what + " from " + c.peer.String() + " for service " + c.o.Service)
	return true
}

// secure does the handshake. If it fails nobody knows what the client believes: the
// connection is over.
func (c *conn) secure() bool {
	if err := c.wc.StartTLSServer(c.o.TLS.Config, c.o.TLS.Timeout); err != nil {
		c.log.Info("SSL_accept error from " + c.peer.String() + ": " + brokenOff(err))
		c.lost("lost connection")
		return false
	}
	state := c.wc.NetConn().(*tls.Conn).ConnectionState()
	state.VerifiedChains = c.verify(state.PeerCertificates)
	c.tls = &state
	if c.o.TLS.LogLevel > 0 {
		c.log.Info(mail.EventTLS, slog.String(mail.KeyTLSLevel, trustOf(&state)),
			slog.String(mail.KeyClient, c.peer.String()), slog.String(mail.KeyTLS, wire.DescribeTLS(&state, nil)))
	}
	if c.limitsTLS() && !state.DidResume {
		// The work is done; the next handshake will be refused before.
		if n := c.srv.clients.handshake(c.o, c.peer.Addr); over(n, c.o.TLS.SessionRate) {
			c.log.Warn("New TLS session rate limit exceeded: " + itoa(n) + " from " + c.peer.String() + " for service " + c.o.Service)
			c.say(say(421, mail.Code(4, 7, 0), c.o.MyHostname+" Error: too many new TLS sessions from "+c.peer.String()))
			c.flush()
			return false
		}
	}
	if s, ok := c.sess.(TLSSession); ok {
		s.Secured(&state)
	}
	return c.trusts()
}

// brokenOff says why a handshake failed, in Postfix's words where it is the connection
// that did.
func brokenOff(err error) string {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "lost connection"
	case errors.Is(err, syscall.ECONNRESET):
		return "Connection reset by peer"
	case wire.IsTimeout(err):
		return "Connection timed out"
	}
	return err.Error()
}

// verify finds who of our authorities has signed a client's certificate.
func (c *conn) verify(chain []*x509.Certificate) [][]*x509.Certificate {
	if len(chain) == 0 || c.o.TLS.Config.ClientCAs == nil {
		return nil
	}
	o := x509.VerifyOptions{
		Roots: c.o.TLS.Config.ClientCAs, Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, above := range chain[1:] {
		o.Intermediates.AddCert(above)
	}
	verified, err := chain[0].Verify(o)
	if err != nil {
		return nil
	}
	return verified
}

// trusts tells whether the client has the certificate that it must have.
func (c *conn) trusts() bool {
	if !c.o.TLS.RequireCert || !c.o.TLS.Required || len(c.tls.VerifiedChains) > 0 {
		return true
	}
	why := "No client certificate presented"
	if len(c.tls.PeerCertificates) > 0 {
		why = "Client certificate not trusted"
	}
	c.log.Info("NOQUEUE: abort: TLS from " + c.peer.String() + ": " + why)
	c.say(say(421, mail.Code(4, 7, 1), c.o.MyHostname+" Error: "+why))
	c.flush()
	return false
}

// trustOf is what is known of a client by its certificate, in Postfix's words.
func trustOf(state *tls.ConnectionState) string {
	switch {
	case len(state.PeerCertificates) == 0:
		return "Anonymous"
	case len(state.VerifiedChains) > 0:
		return "Trusted"
	}
	return "Untrusted"
}

// needsTLS tells whether a command has to wait for STARTTLS
// (smtpd_tls_security_level = encrypt).
func (c *conn) needsTLS(v verb) bool {
	if c.o.TLS == nil || !c.o.TLS.Required || c.tls != nil || c.peer.Local {
		return false
	}
	switch v {
	case verbHelo, verbEhlo, verbStartTLS, verbNoop, verbQuit, verbXclient, verbXforward:
		return false
	}
	return true
}

// Secured implements TLSSession.
func (s *session) Secured(state *tls.ConnectionState) {
	s.Reset()
	s.tls = state
	s.helo, s.esmtp = "", false
	s.login = identity{} // RFC 4954 section 4: proved to whoever was in between
}
