package dane

import (
	"crypto/x509"
)

// The authorities that the owner of a host has published (DANE-TA, RFC 7671 section 5.2).
// Who they are for the rest of the world does not matter; what they have signed does.

const (
	// maxChain is how many certificates of a server are looked at: Postfix's depth of 9.
	maxChain = 10
	// maxSignatures is how many signatures are tried with keys that have no certificate.
	maxSignatures = 100
)

// anchors are the certificates at which a path may end: those of chain behind the server's
// own that match a record, those that are in a record themselves and so need not be sent,
// and those that a key in a record has signed.
func (v *verifier) anchors(chain []*x509.Certificate) []*x509.Certificate {
	var roots []*x509.Certificate
	budget := maxSignatures
	for _, r := range v.ta {
		for _, c := range chain[1:] {
			if !c.Equal(chain[0]) && r.matches(c, v.digests) {
				roots = append(roots, c)
			}
		}
		if r.match != matchFull {
			continue
		}
		if r.selector == selectorCert {
			if c, err := x509.ParseCertificate(r.data); err == nil && !c.Equal(chain[0]) {
				roots = append(roots, c)
			}
			continue
		}
		key, err := x509.ParsePKIXPublicKey(r.data)
		if err != nil {
			continue
		}
		issuer := &x509.Certificate{PublicKey: key}
		for _, c := range chain {
			if budget--; budget >= 0 && issuer.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
				roots = append(roots, c)
			}
		}
	}
	return roots
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
