package mtasts

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"aliasmx/internal/mail"
)

// verifier judges a mail exchanger by its certificate: one that an authority of roots
// vouches for, that has not expired, and that has the host's name among its DNS names
// (RFC 8461 section 4.2). The subject's common name is no such name.
func verifier(host string, roots *x509.CertPool, now func() time.Time) func(*tls.ConnectionState) mail.TLSVerdict {
	return func(state *tls.ConnectionState) mail.TLSVerdict {
		if len(state.PeerCertificates) == 0 {
			return mail.TLSVerdict{Reason: "the server has shown no certificate", Result: "validation-failure"}
		}
		leaf, at := state.PeerCertificates[0], now()
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: at}
		for _, c := range state.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		if _, err := leaf.Verify(o); err != nil {
			return untrusted(err, at)
		}
		if err := leaf.VerifyHostname(host); err != nil {
			return mail.TLSVerdict{Trusted: true, Reason: err.Error(), Result: "certificate-host-mismatch"}
		}
		return mail.TLSVerdict{Trusted: true, Matched: true}
	}
}

// untrusted says why a chain is not good, in the words of RFC 8460 section 4.3.1.
func untrusted(err error, at time.Time) mail.TLSVerdict {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		reason := "certificate has expired"
		if invalid.Cert != nil && at.Before(invalid.Cert.NotBefore) {
			reason = "certificate is not yet valid"
		}
		return mail.TLSVerdict{Reason: reason, Result: "certificate-expired"}
	}
	result := "validation-failure"
	if errors.As(err, new(x509.UnknownAuthorityError)) {
		result = "certificate-not-trusted"
	}
	return mail.TLSVerdict{Reason: err.Error(), Result: result}
}
