package peers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// Authority signs certificates, also bad ones: what a server may show to a client that
// verifies it.
type Authority struct {
	Cert *x509.Certificate
	key  crypto.Signer
}

// Leaf says what a certificate is to be. Zeros are a good server's.
type Leaf struct {
	CN         string
	Names      []string // DNS names
	Addr       []byte   // IP address
	From, To   time.Duration
	CA, Client bool // may sign; is no server's
}

// NewAuthority makes one that vouches for itself.
func NewAuthority(name string) (*Authority, error) { return newAuthority(name, nil, Leaf{}) }

// Intermediate makes one that this one vouches for.
func (a *Authority) Intermediate(name string, l Leaf) (*Authority, error) {
	return newAuthority(name, a, l)
}

func newAuthority(name string, by *Authority, l Leaf) (*Authority, error) {
	l.CN, l.CA = name, true
	cert, key, err := issue(by, l)
	return &Authority{cert, key}, err
}

// PEM is its certificate.
func (a *Authority) PEM() string { return PEM("CERTIFICATE", a.Cert.Raw) }

// PEM is the text form of something.
func PEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// Server makes the configuration of a server that shows a certificate, and the ones of
// the authorities behind it that are given. Without an authority it is self-signed.
func (a *Authority) Server(l Leaf, behind ...*Authority) (*tls.Config, error) {
	cert, key, err := issue(a, l)
	if err != nil {
		return nil, err
	}
	chain := [][]byte{cert.Raw}
	for _, b := range behind {
		chain = append(chain, b.Cert.Raw)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key, Leaf: cert}}}, nil
}

// issue makes a certificate, self-signed with by nil.
func issue(by *Authority, l Leaf) (*x509.Certificate, crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: l.CN, Organization: []string{"Tests"}}, DNSNames: l.Names,
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if l.From != 0 {
		t.NotBefore = now.Add(l.From)
	}
	if l.To != 0 {
		t.NotAfter = now.Add(l.To)
	}
	if l.Addr != nil {
		t.IPAddresses = append(t.IPAddresses, l.Addr)
	}
	if l.Client {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if l.CA {
		t.IsCA, t.KeyUsage, t.ExtKeyUsage = true, x509.KeyUsageCertSign, nil
	}
	parent, signer := t, crypto.Signer(key)
	if by != nil {
		parent, signer = by.Cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, &key.PublicKey, signer)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, err
}
