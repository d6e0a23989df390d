package mtasts

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

func TestVerify(t *testing.T) {
	a := newAuthority(t)
	now := time.Now()
	cert := func(change func(*x509.Certificate)) *x509.Certificate {
		return a.cert(t, "mx.example.com", change).Leaf
	}
	for _, c := range []struct {
		name   string
		cert   *x509.Certificate
		want   mail.TLSVerdict
		reason string
	}{
		{"good", cert(func(*x509.Certificate) {}), mail.TLSVerdict{Trusted: true, Matched: true}, ""},
		{"upper case", cert(func(c *x509.Certificate) { c.DNSNames = []string{"MX.Example.COM"} }), mail.TLSVerdict{Trusted: true, Matched: true}, ""},
		{"one of many", cert(func(c *x509.Certificate) { c.DNSNames = []string{"a.example", "mx.example.com"} }), mail.TLSVerdict{Trusted: true, Matched: true}, ""},
		{"a wildcard", cert(func(c *x509.Certificate) { c.DNSNames = []string{"*.example.com"} }), mail.TLSVerdict{Trusted: true, Matched: true}, ""},
		{"a wildcard for two labels", cert(func(c *x509.Certificate) { c.DNSNames = []string{"*.com"} }),
			mail.TLSVerdict{Trusted: true, Result: "certificate-host-mismatch"}, "not mx.example.com"},
		{"part of a label", cert(func(c *x509.Certificate) { c.DNSNames = []string{"m*.example.com"} }),
			mail.TLSVerdict{Trusted: true, Result: "certificate-host-mismatch"}, "not mx.example.com"},
		{"the domain's", cert(func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} }),
			mail.TLSVerdict{Trusted: true, Result: "certificate-host-mismatch"}, "not mx.example.com"},
		{"common name only", cert(func(c *x509.Certificate) { c.DNSNames = nil }),
			mail.TLSVerdict{Trusted: true, Result: "certificate-host-mismatch"}, "Common Name"},
		{"an address", cert(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{{192, 0, 2, 1}} }),
			mail.TLSVerdict{Trusted: true, Result: "certificate-host-mismatch"}, "mx.example.com"},
		{"expired", cert(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }),
			mail.TLSVerdict{Result: "certificate-expired"}, "certificate has expired"},
		{"not yet valid", cert(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Minute) }),
			mail.TLSVerdict{Result: "certificate-expired"}, "not yet valid"},
		{"another authority's", newAuthority(t).cert(t, "mx.example.com").Leaf,
			mail.TLSVerdict{Result: "certificate-not-trusted"}, "unknown authority"},
		{"expired and another authority's", newAuthority(t).cert(t, "mx.example.com", func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }).Leaf,
			mail.TLSVerdict{Result: "certificate-expired"}, "expired"},
		{"for clients", cert(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			mail.TLSVerdict{Result: "validation-failure"}, "key usage"},
	} {
		t.Run(c.name, func(t *testing.T) {
			verify := verifier("mx.example.com", a.pool, func() time.Time { return now })
			got := verify(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}})
			reason := got.Reason
			got.Reason = ""
			if got != c.want || !strings.Contains(reason, c.reason) || (reason == "") != got.Matched {
				t.Errorf("%+v, %q; want %+v, %q", got, reason, c.want, c.reason)
			}
		})
	}
	if v := verifier("mx.example.com", a.pool, time.Now)(&tls.ConnectionState{}); v.Trusted || v.Matched || v.Result != "validation-failure" {
		t.Errorf("without a certificate: %+v", v)
	}
}
