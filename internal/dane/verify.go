package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// verifier judges the server by records that are all usable.
type verifier struct {
	ee, ta  []record
	names   []string
	digests []Digest
	now     func() time.Time
}

func newVerifier(usable []record, names []string, digests []Digest, now func() time.Time) *verifier {
	v := &verifier{names: names, digests: digests, now: now}
	for _, r := range agile(usable, digests) {
		if r.usage == usageEE {
			v.ee = append(v.ee, r)
		} else {
			v.ta = append(v.ta, r)
		}
	}
	return v
}

// key stands for what was verified at a host. The server's own certificate is as good for
// every domain of the host; under an authority the names count, and so the domain.
func (v *verifier) key(base string) string {
	lines := []string{base}
	for _, r := range slices.Concat(v.ee, v.ta) {
		lines = append(lines, r.String())
	}
	if len(v.ta) > 0 {
		lines = append(lines, v.names...)
	}
	return fmt.Sprintf("dane %s %x", base, sha256.Sum256([]byte(strings.Join(lines, "\n"))))
}

// What the log says of a certificate, as Postfix does: some of it are OpenSSL's numbers.
const (
	textNoMatch  = "num=65:no matching DANE TLSA records"
	textHostname = "num=62:hostname mismatch"
	textExpired  = "certificate has expired"
	textTooYoung = "certificate not yet valid"
	textPurpose  = "not designated for use as a server certificate"
	whoseServer  = "server"
	whoseCA      = "CA"
)

// verify is TLSChoice.Verify.
func (v *verifier) verify(state *tls.ConnectionState) mail.TLSVerdict {
	chain := state.PeerCertificates
	if len(chain) == 0 {
		return mail.TLSVerdict{Reason: textNoMatch, Result: resultTrust, Whose: whoseServer}
	}
	chain = chain[:min(len(chain), maxChain)]
	leaf := chain[0]
	// The owner has said that it is this one: neither its names nor its dates nor who has
	// signed it matter (RFC 7672 section 3.1.1).
	for _, r := range v.ee {
		if r.matches(leaf, v.digests) {
			return mail.TLSVerdict{Trusted: true, Matched: true}
		}
	}
	roots := v.anchors(chain)
	if len(roots) == 0 {
		return v.noMatch(chain)
	}
	if err := v.path(chain, roots); err != nil {
		return v.explain(chain, err)
	}
	if !slices.ContainsFunc(v.names, func(name string) bool { return isFor(leaf, name) }) {
		return mail.TLSVerdict{Trusted: true, Reason: textHostname, Result: resultMismatch, Whose: whoseServer}
	}
	return mail.TLSVerdict{Trusted: true, Matched: true}
}

// isFor tells whether a certificate is for a name. Where it has none of the kind that is
// for that, its common name counts (RFC 7672 section 3.2.3, RFC 6125 section 6.4.4).
func isFor(c *x509.Certificate, name string) bool {
	if len(c.DNSNames) == 0 && c.Subject.CommonName != "" {
		c = &x509.Certificate{DNSNames: []string{c.Subject.CommonName}}
	}
	return c.VerifyHostname(name) == nil
}

// noMatch is a chain that no record is about: where an authority is wanted it is what stands
// at its end that was not the one.
func (v *verifier) noMatch(chain []*x509.Certificate) mail.TLSVerdict {
	verdict := mail.TLSVerdict{Reason: textNoMatch, Result: resultTrust, Whose: whoseServer}
	if len(v.ta) > 0 && !selfSigned(chain[0]) && slices.ContainsFunc(chain[1:], func(c *x509.Certificate) bool {
		return bytes.Equal(c.RawSubject, chain[0].RawIssuer)
	}) {
		verdict.Whose = whoseCA
	}
	return verdict
}

// explain says why there is no path to an authority.
func (v *verifier) explain(chain []*x509.Certificate, err error) mail.TLSVerdict {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return v.noMatch(chain)
	}
	verdict := mail.TLSVerdict{Reason: err.Error(), Result: resultOther}
	inv, ok := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case ok && inv.Reason == x509.Expired:
		verdict.Whose, verdict.Reason, verdict.Result = whoseCA, textExpired, resultExpired
		if inv.Cert == nil || inv.Cert.Equal(chain[0]) {
			verdict.Whose = whoseServer
		}
		if inv.Cert != nil && v.now().Before(inv.Cert.NotBefore) {
			verdict.Reason, verdict.Result = textTooYoung, resultOther
		}
	case ok && inv.Reason == x509.IncompatibleUsage:
		verdict.Reason = textPurpose
	}
	return verdict
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }
