package wire

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
)

// DescribeTLS says how a connection is secured, in the words of Postfix's log:
// "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits) key-exchange X25519
// server-signature ECDSA (P-256)". server is the certificate of the server, nil when it
// is not known.
func DescribeTLS(state *tls.ConnectionState, server *x509.Certificate) string {
	version, name, bits := TLSNames(state)
	s := fmt.Sprintf("%s with cipher %s (%d/%d bits)", version, name, bits, bits)
	if state.CurveID != 0 {
		s += " key-exchange " + curveName(state.CurveID)
	}
	if server != nil {
		s += " server-signature " + keyName(state, server)
	}
	return s
}

// TLSNames are the names of a connection's version and cipher, "TLSv1.3" and
// "TLS_AES_128_GCM_SHA256", and the bits of its keys.
func TLSNames(state *tls.ConnectionState) (version, cipher string, bits int) {
	cipher, bits = tls.CipherSuiteName(state.CipherSuite), 256
	if strings.Contains(cipher, "_128_") {
		bits = 128
	}
	if openssl, ok := cipherNames[state.CipherSuite]; ok {
		cipher = openssl
	}
	return strings.Replace(tls.VersionName(state.Version), "TLS ", "TLSv", 1), cipher, bits
}

// curveName is OpenSSL's name of a group.
func curveName(id tls.CurveID) string {
	switch id {
	case tls.CurveP256:
		return "ECDHE (P-256)"
	case tls.CurveP384:
		return "ECDHE (P-384)"
	case tls.CurveP521:
		return "ECDHE (P-521)"
	}
	return id.String()
}

func keyName(state *tls.ConnectionState, c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		scheme := "RSA"
		if state.Version >= tls.VersionTLS13 {
			scheme = "RSA-PSS" // RFC 8446 section 4.2.3: nothing else may be
		}
		return fmt.Sprintf("%s (%d bits)", scheme, key.N.BitLen())
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ECDSA (%s)", key.Params().Name)
	case ed25519.PublicKey:
		return "ED25519"
	}
	return c.PublicKeyAlgorithm.String()
}

// cipherNames are OpenSSL's names, which Postfix logs, of the suites before TLS 1.3.
var cipherNames = map[uint16]string{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256:       "ECDHE-ECDSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384:       "ECDHE-ECDSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:          "ECDHE-ECDSA-AES128-SHA",
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:          "ECDHE-ECDSA-AES256-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:         "ECDHE-RSA-AES128-GCM-SHA256",
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384:         "ECDHE-RSA-AES256-GCM-SHA384",
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256:   "ECDHE-RSA-CHACHA20-POLY1305",
	tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA:            "ECDHE-RSA-AES128-SHA",
	tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA:            "ECDHE-RSA-AES256-SHA",
	tls.TLS_RSA_WITH_AES_128_GCM_SHA256:               "AES128-GCM-SHA256",
	tls.TLS_RSA_WITH_AES_256_GCM_SHA384:               "AES256-GCM-SHA384",
}
