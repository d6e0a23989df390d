package wire

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"testing"
)

func TestDescribeTLS(t *testing.T) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		version, suite uint16
		curve          tls.CurveID
		key            any
		want           string
	}{
		{tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, 0, nil, "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)"},
		{tls.VersionTLS13, tls.TLS_AES_256_GCM_SHA384, tls.X25519, nil, "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519"},
		{tls.VersionTLS13, tls.TLS_CHACHA20_POLY1305_SHA256, tls.CurveP384, &ec.PublicKey, "TLSv1.3 with cipher TLS_CHACHA20_POLY1305_SHA256 (256/256 bits) key-exchange ECDHE (P-384) server-signature ECDSA (P-256)"},
		{tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, tls.CurveP256, &rs.PublicKey, "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits) key-exchange ECDHE (P-256) server-signature RSA-PSS (2048 bits)"},
		{tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.CurveP521, &rs.PublicKey, "TLSv1.2 with cipher ECDHE-RSA-AES128-GCM-SHA256 (128/128 bits) key-exchange ECDHE (P-521) server-signature RSA (2048 bits)"},
		{tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, 0, ed, "TLSv1.2 with cipher ECDHE-ECDSA-AES256-SHA (256/256 bits) server-signature ED25519"},
	} {
		var server *x509.Certificate
		if c.key != nil {
			server = &x509.Certificate{PublicKey: c.key}
		}
		if got := DescribeTLS(&tls.ConnectionState{Version: c.version, CipherSuite: c.suite, CurveID: c.curve}, server); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	for _, suite := range tls.CipherSuites() {
		if _, ok := cipherNames[suite.ID]; !ok && suite.SupportedVersions[0] != tls.VersionTLS13 {
			t.Errorf("%s has no OpenSSL name", suite.Name)
		}
	}
}
