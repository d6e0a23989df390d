package dane

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// noon is when the tests are.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// ident is a certificate with its key.
type ident struct {
	*x509.Certificate
	key crypto.Signer
}

// issue makes a certificate; by nil signs itself. change alters what is ordinary: an
// authority where name has no dot, else a server, in its time.
func issue(t testing.TB, by *ident, name string, change func(*x509.Certificate)) *ident {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(time.Hour), BasicConstraintsValid: true,
	}
	if net := len(name) > 0 && !hasDot(name); net {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	} else {
		c.DNSNames, c.KeyUsage = []string{name}, x509.KeyUsageDigitalSignature
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, crypto.Signer(key)
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &ident{cert, key}
}

func hasDot(s string) bool {
	for i := range len(s) {
		if s[i] == '.' {
			return true
		}
	}
	return false
}

// about makes the record of a certificate.
func about(c *ident, usage, selector, match uint8) record {
	of := c.Raw
	if selector == selectorKey {
		of = c.RawSubjectPublicKeyInfo
	}
	if i := rank(defaultDigests(), match); i >= 0 {
		of = defaultDigests()[i].sum(of)
	}
	return record{usage, selector, match, of}
}

func expired(c *x509.Certificate)  { c.NotAfter = noon.Add(-time.Minute) }
func tooYoung(c *x509.Certificate) { c.NotBefore = noon.Add(time.Minute) }
