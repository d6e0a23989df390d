package tlspolicy

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"time"
)

// Authorities are those that certificates are verified with. A root is one that has signed
// itself; others help to find the way to one, and are not trusted for themselves: that is
// what anchors are for.
type Authorities struct {
	roots   *x509.CertPool
	certs   []*x509.Certificate // all that are known, roots and others
	between []*x509.Certificate // the others
	id      string              // of all that is in it
}

// NewAuthorities reads certificates in PEM (smtp_tls_CAfile, each file of
// smtp_tls_CApath). What is no certificate in them is passed over, as OpenSSL does. The
// system's own authorities, when not nil, come to them (tls_append_default_CA).
func NewAuthorities(files [][]byte, system *x509.CertPool) *Authorities {
	a := &Authorities{roots: x509.NewCertPool()}
	sum := sha256.New()
	if system != nil {
		a.roots = system.Clone()
		sum.Write([]byte("system"))
	}
	for _, text := range files {
		for _, block := range blocks(text) {
			c, err := x509.ParseCertificate(block.Bytes)
			if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" || err != nil {
				continue
			}
			sum.Write(c.Raw)
			a.certs = append(a.certs, c)
			if selfSigned(c) {
				a.roots.AddCert(c)
			} else {
				a.between = append(a.between, c)
			}
		}
	}
	a.id = hex.EncodeToString(sum.Sum(nil))
	return a
}

// Read tells how many certificates were read from files.
func (a *Authorities) Read() int { return len(a.certs) }

func blocks(text []byte) (list []*pem.Block) {
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			return list
		}
		list = append(list, b)
	}
}

// selfSigned goes by names and key identifiers, as OpenSSL does: many a root has signed
// itself in a way that is no longer taken for a signature, and needs none.
func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) &&
		(len(c.AuthorityKeyId) == 0 || len(c.SubjectKeyId) == 0 || bytes.Equal(c.AuthorityKeyId, c.SubjectKeyId))
}

// verify tells whether a root vouches for what a server has shown, with no more than so
// many authorities between.
func (a *Authorities) verify(shown []*x509.Certificate, now time.Time, between int) error {
	o := x509.VerifyOptions{Roots: a.roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range shown[1:] {
		o.Intermediates.AddCert(c)
	}
	for _, c := range a.between {
		o.Intermediates.AddCert(c)
	}
	return verifyChain(shown[0], o, between)
}

// errTooLong is why a chain is none.
var errTooLong = errors.New("certificate chain too long")

func verifyChain(leaf *x509.Certificate, o x509.VerifyOptions, between int) error {
	chains, err := leaf.Verify(o)
	if err != nil {
		return err
	}
	for _, chain := range chains {
		if len(chain)-2 <= between {
			return nil
		}
	}
	return errTooLong
}

// vouches tells whether a certificate comes from a root, whenever that was.
func (a *Authorities) vouches(c *x509.Certificate, now time.Time) bool {
	for _, at := range []time.Time{now, c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)} {
		o := x509.VerifyOptions{Roots: a.roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		if _, err := c.Verify(o); err == nil {
			return true
		}
	}
	return false
}
