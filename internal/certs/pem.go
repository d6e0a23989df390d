package certs

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// parseChains reads PEM text of one or more chains: each begins with a private key, and
// its certificates follow, leaf first (postconf(5): smtpd_tls_chain_files).
func parseChains(text []byte) ([]*tls.Certificate, error) {
	var list []*tls.Certificate
	var key, certs bytes.Buffer
	end := func() error {
		if key.Len() == 0 {
			return nil
		}
		if certs.Len() == 0 {
			return errors.New("a private key has no certificate behind it")
		}
		c, err := tls.X509KeyPair(certs.Bytes(), key.Bytes())
		if err != nil {
			return err
		}
		list = append(list, &c)
		key.Reset()
		certs.Reset()
		return nil
	}
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		switch {
		case block.Type == "PRIVATE KEY" || strings.HasSuffix(block.Type, " PRIVATE KEY"):
			if x := block.Headers["Proc-Type"]; strings.Contains(x, "ENCRYPTED") || block.Type == "ENCRYPTED PRIVATE KEY" {
				return nil, errors.New("the private key is encrypted: nobody is there to type its passphrase; store it without one, readable by root only")
			}
			if err := end(); err != nil {
				return nil, err
			}
			if err := pem.Encode(&key, block); err != nil {
				return nil, err
			}
		case block.Type == "CERTIFICATE":
			if key.Len() == 0 {
				return nil, errors.New("a certificate stands before the private key: the key comes first, then its certificate, then those above it")
			}
			if err := pem.Encode(&certs, block); err != nil {
				return nil, err
			}
		case block.Type == "EC PARAMETERS" || block.Type == "DH PARAMETERS":
		default:
			return nil, fmt.Errorf("unexpected PEM block %q", block.Type)
		}
	}
	if err := end(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errors.New("no private key with a certificate in it")
	}
	return list, nil
}
