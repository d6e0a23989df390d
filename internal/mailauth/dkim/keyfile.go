package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

// Key is a private key of a domain.
type Key struct {
	Domain   string // an A-label in lower case: d=
	Selector string
	Private  crypto.Signer // RSA or Ed25519
}

// SignBits is the least length of an RSA key to sign with (RFC 8301 section 3.2: SHOULD).
const SignBits = 2048

// ParseKey reads the first private key of a text: PEM, in PKCS #8 or, RSA, PKCS #1.
func ParseKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the key is encrypted, and there is nobody to ask for the password")
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		switch key := key.(type) {
		case *rsa.PrivateKey:
			if bits := key.N.BitLen(); bits < SignBits || bits > maxBits {
				return nil, fmt.Errorf("an RSA key of %d bits; %d to %d are taken", bits, SignBits, maxBits)
			}
			return key, nil
		case ed25519.PrivateKey:
			return key, nil
		default:
			return nil, fmt.Errorf("%T: neither RSA nor Ed25519", key)
		}
	}
	return nil, errors.New("there is no private key in PEM")
}

// Record is the text of the TXT record of a key, at SELECTOR._domainkey.DOMAIN. services,
// with colons, are what it is for; "" is everything (RFC 6376 section 3.6.1: s=).
func Record(public crypto.PublicKey, services string) (string, error) {
	kind, data, err := encodePublic(public)
	if err != nil {
		return "", err
	}
	text := "v=DKIM1; k=" + kind + "; "
	if services != "" {
		text += "s=" + services + "; "
	}
	return text + "p=" + base64.StdEncoding.EncodeToString(data), nil
}

func encodePublic(public crypto.PublicKey) (kind string, data []byte, err error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		data, err = x509.MarshalPKIXPublicKey(public)
		return "rsa", data, err
	case ed25519.PublicKey: // the key itself (RFC 8463 section 4)
		return "ed25519", public, nil
	}
	return "", nil, fmt.Errorf("%T: neither RSA nor Ed25519", public)
}
