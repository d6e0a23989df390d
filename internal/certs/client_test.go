package certs

import (
	"crypto/tls"
	"path/filepath"
	"testing"
)

// A server is shown what it takes, and nothing where there is nothing that it takes.
func TestGetClientCertificate(t *testing.T) {
	s, err := Open(Options{Chains: []string{write(t, filepath.Join(t.TempDir(), "chain.pem"), chain(t, "ec", "client.example"))}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		schemes []tls.SignatureScheme
		some    bool
	}{
		{[]tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}, true},
		{[]tls.SignatureScheme{tls.PKCS1WithSHA1}, false},
	} {
		got, err := s.GetClientCertificate(&tls.CertificateRequestInfo{Version: tls.VersionTLS13, SignatureSchemes: c.schemes})
		if err != nil {
			t.Fatal(err)
		}
		if (len(got.Certificate) > 0) != c.some {
			t.Errorf("%v: %d certificates", c.schemes, len(got.Certificate))
		}
	}
}
