package dkim

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Published tells whether others will find the key that we sign with: pass, and otherwise why
// not, as Verify would.
func Published(ctx context.Context, r *dns.Resolver, k Key) (result mail.AuthResult, reason string) {
	if _, _, err := encodePublic(k.Private.Public()); err != nil {
		return mail.AuthPermError, err.Error()
	}
	found, err := publicKey(ctx, r, k.Domain, k.Selector, k.algorithm(), leastBits)
	if err != nil {
		return err.result, err.reason
	}
	if public, ok := found.public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(k.Private.Public()) {
		return mail.AuthFail, "another key is published"
	}
	if found.testing {
		return mail.AuthPass, "t=y says that the domain only tests"
	}
	return mail.AuthPass, ""
}

// ErrTemporary is a DNS that could not say whether there is a key.
var ErrTemporary = errors.New("the key cannot be looked up for now")

// PublicKey is the key at a selector of a domain, for others who sign as DKIM does (RFC 8617
// section 4.1.2): that of a signature by an algorithm ("rsa-sha256", "ed25519-sha256"), an RSA one
// with at least minBits. An error that is not ErrTemporary says that there is none.
func PublicKey(ctx context.Context, r *dns.Resolver, domain, selector, algorithm string, minBits int) (crypto.PublicKey, error) {
	k, err := publicKey(ctx, r, domain, selector, algorithm, minBits)
	switch {
	case err == nil:
		return k.public, nil
	case err.result == mail.AuthTempError:
		return nil, fmt.Errorf("%w: %w", ErrTemporary, err)
	}
	return nil, err
}

func publicKey(ctx context.Context, r *dns.Resolver, domain, selector, algorithm string, minBits int) (*key, *keyError) {
	kind, _, _ := strings.Cut(algorithm, "-")
	k, err := findKey(ctx, r, domain, selector, kind)
	if err != nil {
		return nil, err
	}
	s := &signature{Signature: Signature{Domain: domain, Identity: "@" + domain, Selector: selector, Algorithm: algorithm}}
	if k.fits(s, minBits); s.Result != "" {
		return nil, &keyError{s.Result, s.Reason}
	}
	return k, nil
}
