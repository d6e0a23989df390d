package dane

import (
	"bytes"
	"crypto/x509"
	"time"
)

// The authorities that the owner of a host has published (DANE-TA, RFC 7671 section 5.2).
// Who they are for the rest of the world does not matter; what they have signed does.

const (
	// maxChain is how many certificates of a server are looked at: Postfix's depth of 9.
	maxChain = 10
	// maxSignatures is how many signatures are tried beside those of one path.
	maxSignatures = 100
)

// anchors are where a path may end.
type anchors struct {
	chain  []*x509.Certificate // that the server has shown, its own first
	now    time.Time
	budget int
	roots  []*x509.Certificate
}

// anchors finds the certificates of chain, behind the server's own, that match a record. One
// that is in a record itself need not be sent, nor need one whose key is.
func (v *verifier) anchors(chain []*x509.Certificate) []*x509.Certificate {
	a := anchors{chain: chain, now: v.now(), budget: maxSignatures}
	for _, r := range v.ta {
		sent := false
		for _, c := range chain[1:] {
			if !c.Equal(chain[0]) && r.matches(c, v.digests) {
				sent = true
				a.add(c)
			}
		}
		if sent || r.match != matchFull {
			continue
		}
		if r.selector == selectorCert {
			if c, err := x509.ParseCertificate(r.data); err == nil && !c.Equal(chain[0]) {
				a.add(c)
			}
		} else if key, err := x509.ParsePKIXPublicKey(r.data); err == nil {
			a.signedBy(func(c *x509.Certificate) bool {
				issuer := x509.Certificate{PublicKey: key}
				return issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
			})
		}
	}
	return a.roots
}

// add takes a certificate for an authority. Its dates count when it has signed itself; of
// another one's only what it has signed, as in OpenSSL and RFC 5280 section 6.1.1 (d).
func (a *anchors) add(c *x509.Certificate) {
	late := a.now.Before(c.NotBefore) || a.now.After(c.NotAfter)
	if !late || selfSigned(c) {
		a.roots = append(a.roots, c)
		return
	}
	a.signedBy(func(s *x509.Certificate) bool {
		return bytes.Equal(s.RawIssuer, c.RawSubject) && s.CheckSignatureFrom(c) == nil
	})
}

// signedBy takes those for authorities that one has signed.
func (a *anchors) signedBy(has func(*x509.Certificate) bool) {
	for _, c := range a.chain {
		if a.budget--; a.budget >= 0 && has(c) {
			a.roots = append(a.roots, c)
		}
	}
}

// path wants a path from the server's certificate to one of roots, with every certificate
// of it in its time and allowed to be there.
func (v *verifier) path(chain, roots []*x509.Certificate) error {
	opts := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		CurrentTime: v.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, c := range roots {
		opts.Roots.AddCert(c)
	}
	for _, c := range chain[1:] {
		opts.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(opts)
	return err
}
