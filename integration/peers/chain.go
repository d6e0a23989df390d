package peers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"time"
)

// Cert is a certificate with its key: an authority's or a server's.
type Cert struct {
	*x509.Certificate
	Key crypto.Signer
}

// Issue makes a certificate that by has signed; nil: it signs itself. A name with a dot is a
// server's, one without an authority's. Change, if any, alters what is ordinary.
func Issue(by *Cert, name string, change func(*x509.Certificate)) (*Cert, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if strings.Contains(name, ".") {
		c.DNSNames, c.KeyUsage = []string{name}, x509.KeyUsageDigitalSignature
	} else {
		c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign
	}
	if change != nil {
		change(c)
	}
	parent, signer := c, crypto.Signer(key)
	if by != nil {
		parent, signer = by.Certificate, by.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Cert{cert, key}, err
}

// ShowChain is the configuration of a server that shows a chain, its own certificate first.
func ShowChain(chain ...*Cert) *tls.Config {
	shown := tls.Certificate{PrivateKey: chain[0].Key}
	for _, c := range chain {
		shown.Certificate = append(shown.Certificate, c.Raw)
	}
	return &tls.Config{Certificates: []tls.Certificate{shown}}
}
