package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// arcKey reads the private key to seal with. What it may be is decided by arc.NewSealer.
func arcKey(file string) (crypto.Signer, error) {
	text, err := readSecret(file)
	if err != nil {
		return nil, err
	}
	key, err := privateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// privateKey reads the first private key of PEM text. Errors show nothing of it.
func privateKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("the private key is encrypted: nobody is there to type its passphrase; store it without one")
		case block.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case block.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case block.Type == "EC PRIVATE KEY":
			return nil, errors.New("an EC key cannot sign mail; make one of RSA or Ed25519")
		default:
			continue
		}
		if err != nil {
			return nil, errors.New("the private key is damaged")
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, errors.New("the private key cannot sign")
		}
		return signer, nil
	}
	return nil, errors.New("there is no private key in PEM in it; \"openssl genrsa -out FILE 2048\" makes one")
}
