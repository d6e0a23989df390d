package tlspolicy

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// Anchors are certificates and keys that are trusted in place of the authorities
// (smtp_tls_trust_anchor_file, tafile): of a root, of any authority between, or of the
// server itself, for which dates then do not count. As in Postfix they are as TLSA records
// with usage 2 and 3.
type Anchors struct {
	certs []*x509.Certificate
	keys  []anchorKey
	id    string
}

type anchorKey struct {
	raw []byte // SubjectPublicKeyInfo
	key crypto.PublicKey
}

// NewAnchors reads certificates and public keys in PEM.
func NewAnchors(files ...[]byte) (*Anchors, error) {
	a := &Anchors{}
	sum := sha256.New()
	for _, text := range files {
		found := false
		for _, b := range blocks(text) {
			switch b.Type {
			case "CERTIFICATE", "X509 CERTIFICATE":
				c, err := x509.ParseCertificate(b.Bytes)
				if err != nil {
					return nil, fmt.Errorf("malformed trust-anchor certificate: %w", err)
				}
				a.certs = append(a.certs, c)
			case "PUBLIC KEY":
				k, err := x509.ParsePKIXPublicKey(b.Bytes)
				if err != nil {
					return nil, fmt.Errorf("malformed trust-anchor pkey: %w", err)
				}
				a.keys = append(a.keys, anchorKey{b.Bytes, k})
			default:
				continue
			}
			found = true
			sum.Write(b.Bytes)
		}
		if !found {
			return nil, errors.New("no trust anchor in it: a certificate or a public key in PEM")
		}
	}
	a.id = hex.EncodeToString(sum.Sum(nil))
	return a, nil
}

// verify tells whether an anchor vouches for what a server has shown.
func (a *Anchors) verify(shown []*x509.Certificate, now time.Time, between int) error {
	if a.isServer(shown[0]) {
		return nil
	}
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range a.certs {
		o.Roots.AddCert(c)
	}
	for i, c := range shown {
		if i > 0 {
			o.Intermediates.AddCert(c)
		}
		for _, k := range a.keys {
			// Whose key it is, or whom the key has signed, is as good as the key.
			if i > 0 && bytes.Equal(c.RawSubjectPublicKeyInfo, k.raw) || signedBy(c, k.key) {
				o.Roots.AddCert(c)
			}
		}
	}
	return verifyChain(shown[0], o, between)
}

// isServer tells whether an anchor is the server's own certificate or key.
func (a *Anchors) isServer(leaf *x509.Certificate) bool {
	for _, c := range a.certs {
		if c.Equal(leaf) {
			return true
		}
	}
	for _, k := range a.keys {
		if bytes.Equal(k.raw, leaf.RawSubjectPublicKeyInfo) {
			return true
		}
	}
	return false
}

// signedBy tells whether a key has signed a certificate, by the rules of crypto/x509.
func signedBy(c *x509.Certificate, key crypto.PublicKey) bool {
	return (&x509.Certificate{PublicKey: key}).CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

// vouches tells whether an anchor stands at or above the end of a chain, whatever the dates.
func (a *Anchors) vouches(chain []*x509.Certificate) bool {
	for i, c := range chain {
		for _, anchor := range a.certs {
			if i > 0 && anchor.Equal(c) || bytes.Equal(anchor.RawSubject, c.RawIssuer) && signedBy(c, anchor.PublicKey) {
				return true
			}
		}
		for _, k := range a.keys {
			if i > 0 && bytes.Equal(c.RawSubjectPublicKeyInfo, k.raw) || signedBy(c, k.key) {
				return true
			}
		}
	}
	return a.isServer(chain[0])
}
