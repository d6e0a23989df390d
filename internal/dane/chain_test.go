package dane

import (
	"crypto/x509"
	"testing"
	"time"

	"aliasmx/integration/peers"
)

// noon is when the tests are.
var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// issue makes a certificate of that hour; by nil signs itself.
func issue(t testing.TB, by *peers.Cert, name string, change func(*x509.Certificate)) *peers.Cert {
	t.Helper()
	c, err := peers.Issue(by, name, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = noon.Add(-time.Hour), noon.Add(time.Hour)
		if change != nil {
			change(c)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// about makes the record of a certificate.
func about(c *peers.Cert, usage, selector, match uint8) record {
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
