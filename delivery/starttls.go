package delivery

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"

	"aliasmx/internal/mail"
	"aliasmx/internal/wire"
)

// tlsFor says how to secure a connection to a host of a next hop.
func (w *worker) tlsFor(ctx context.Context, peer mail.TLSPeer) (mail.TLSChoice, error) {
	if w.set.TLSPolicy != nil {
		return w.set.TLSPolicy.TLS(ctx, peer)
	}
	switch w.set.TLSLevel {
	case mail.TLSNone, mail.TLSMay, mail.TLSEncrypt:
		return mail.TLSChoice{Level: w.set.TLSLevel}, nil
	}
	return mail.TLSChoice{}, fmt.Errorf("client TLS configuration problem: security level %q needs a policy that verifies", w.set.TLSLevel)
}

// mayGoPlain tells whether a message is old enough to be sent in plain text after
// optional TLS has failed. Postfix lets it wait for one round of the queue, so that a
// passing failure is no way to have mail sent in the clear. Where we would log in it never
// is: without TLS the password would be in the clear too, or mail go as a stranger's.
func (s *session) mayGoPlain(j *job) bool {
	return !s.mayGiveAway() && j.a.Active.Sub(j.a.Env.Arrived) >= s.set.MinimalBackoff
}

// secure turns TLS on where it is wanted and to be had.
func (s *session) secure(ctx context.Context, j *job, choice *mail.TLSChoice) bool {
	must := choice.Level.Must()
	if choice.Level == mail.TLSNone && s.offers(extStartTLS) && s.set.NoteStartTLS {
		s.log.Info("Host offered STARTTLS: [" + s.host.name + "]")
	}
	if choice.Level == mail.TLSNone || !must && !s.offers(extStartTLS) {
		if choice.Level != mail.TLSNone {
			s.reportTLS(resultNoSTARTTLS, "")
		}
		s.tls = tlsPlain
		return true
	}
	if !s.offers(extStartTLS) {
		s.tls = tlsViolated
		s.reportTLS(resultNoSTARTTLS, "")
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
		s.reportTLS(resultNoSTARTTLS, "STARTTLS: "+s.reply.Text())
		if !must && !s.mayGiveAway() {
			s.tls = tlsPlain
			return true
		}
		s.tls = tlsViolated
		f := remote(s.host.name, &s.reply, "TLS is required, but host "+s.place+" refused to start TLS: "+s.reply.Text())
		f.site = true
		j.fail(s.tlsRefused(j.a, f), s)
		return false
	}
	return s.handshake(j, choice) && s.ehlo(ctx, j, true)
}

// handshake secures the connection. Whoever the server is, TLS comes about; it is judged
// afterwards, so that the log can tell what it has shown.
func (s *session) handshake(j *job, choice *mail.TLSChoice) bool {
	if err := s.conn.StartTLSClient(s.tlsConfig(choice), s.set.Timeouts.StartTLS); err != nil {
		s.dead = true
		s.log.Info(fmt.Sprintf("SSL_connect error to %s: %v", s.relay, err))
		s.reportTLS(resultFailed, err.Error())
		if choice.Level == mail.TLSMay && s.mayGoPlain(j) {
			s.plainNext, s.final = true, false
		}
		j.fail(siteFailure(mail.Code(4, 7, 5), "Cannot start TLS: handshake failure"), s)
		return false
	}
	s.overTLS = true
	state := s.conn.NetConn().(*tls.Conn).ConnectionState()
	var verdict mail.TLSVerdict
	if choice.Verify != nil {
		verdict = choice.Verify(&state)
		s.verified = verdict.Matched && choice.Level != mail.TLSHalfDANE
	}
	if choice.Verify != nil && !verdict.Matched && state.DidResume {
		// It is the certificate of that time that was judged: the server may have another one
		// now. Once more, with all that belongs to it.
		s.resume.forget()
		if !choice.Testing {
			s.again, s.final = true, false
			j.setAside()
			return false
		}
	}
	if choice.Verify != nil && !choice.Testing && !verdict.Matched && verdict.Reason != "" {
		s.log.Info(strings.TrimLeft(verdict.Whose+" certificate verification failed for ", " ") + s.relay + ": " + verdict.Reason)
	}
	if s.set.TLSLogLevel > 0 {
		s.log.Info(mail.EventTLS, mail.KeyTLSLevel, s.trust(&state, choice, verdict),
			mail.KeyRelay, s.relay, mail.KeyTLS, wire.DescribeTLS(&state, leafOf(&state)))
	}
	s.tls = tlsSecured
	switch {
	case choice.Verify != nil && !verdict.Matched:
		s.reportTLS(cmp.Or(verdict.Result, resultFailed), verdict.Reason)
	default:
		s.reportTLS(choice.Result, choice.Reason)
	}
	if choice.Verify != nil && !choice.Testing && !verdict.Matched {
		s.tls = tlsViolated
		j.fail(s.untrusted(j.a, verdict, siteFailure(mail.Code(4, 7, 5), "Server certificate not verified")), s)
		return false
	}
	return true
}

// serverName is the name that SNI tells (postconf(5): smtp_tls_servername).
func (s *settings) serverName(h *host, domain string) string {
	switch n := s.TLSServerName; n {
	case "hostname":
		return h.name
	case "nexthop":
		return domain
	default:
		return n
	}
}

// trust is what is known of the peer, in Postfix's words (TLS_README): nothing; a
// certificate; one that a trusted authority signed; one that was required and verified. One
// that was required and is another is Untrusted, whoever signed it; and whom a forged MX
// record may have named is no more than Trusted.
func (s *session) trust(state *tls.ConnectionState, choice *mail.TLSChoice, verdict mail.TLSVerdict) string {
	switch {
	case len(state.PeerCertificates) == 0:
		return "Anonymous"
	case verdict.Matched && choice.Level != mail.TLSHalfDANE:
		return "Verified"
	case choice.Verify != nil && !choice.Testing && !verdict.Matched:
		return "Untrusted"
	case verdict.Trusted || s.set.RootCAs != nil && verifyChain(state, s.set.RootCAs, "") == nil:
		return "Trusted"
	}
	return "Untrusted"
}

// verifyChain tells whether one of roots vouches for the server, under a name if one is given.
func verifyChain(state *tls.ConnectionState, roots *x509.CertPool, name string) error {
	opts := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool()}
	for _, c := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(opts)
	return err
}

func leafOf(state *tls.ConnectionState) *x509.Certificate {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}
