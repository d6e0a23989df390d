package dkim

import (
	"context"
	"crypto"
	"errors"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// Published tells whether others will find the key that we sign with: pass, and otherwise why
// not, as Verify would.
func Published(ctx context.Context, r *dns.Resolver, k Key) (result mail.AuthResult, reason string) {
	s := &signature{Signature: Signature{Domain: k.Domain, Identity: "@" + k.Domain, Selector: k.Selector, Algorithm: k.algorithm()}}
	kind, _, err := encodePublic(k.Private.Public())
	if err != nil {
		return mail.AuthPermError, err.Error()
	}
	found, err := findKey(ctx, r, k.Domain, k.Selector, kind)
	if e, is := errors.AsType[*keyError](err); is {
		return e.result, e.reason
	}
	if found.fits(s, leastBits); s.Result != "" {
		return s.Result, s.Reason
	}
	if public, ok := found.public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(k.Private.Public()) {
		return mail.AuthFail, "another key is published"
	}
	if found.testing {
		return mail.AuthPass, "t=y says that the domain only tests"
	}
	return mail.AuthPass, ""
}
