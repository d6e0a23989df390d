package dkim

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// key is a key record (RFC 6376 section 3.6.1).
type key struct {
	kind     string // k=: rsa, ed25519
	public   crypto.PublicKey
	bits     int
	hashes   []string // h=; nil: any
	services []string // s=; nil: any
	testing  bool     // t=y
	strict   bool     // t=s: i= must be d= itself
}

// keyError says that there is no key, or none for this.
type keyError struct {
	result mail.AuthResult
	reason string
}

func (e *keyError) Error() string { return e.reason }

func noKey(format string, args ...any) *keyError {
	return &keyError{mail.AuthPermError, fmt.Sprintf(format, args...)}
}

// findKey asks for the key of a signature. Several records at one name make no key, since
// which of them counts is anybody's guess (RFC 6376 section 3.6.2.2), but where they are keys
// of different kinds: then only one can be meant.
func findKey(ctx context.Context, r *dns.Resolver, domain, selector, kind string) (*key, *keyError) {
	name := selector + "._domainkey." + domain
	records, err := r.TXT(ctx, name)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		return nil, noKey("there is no key at %s", name)
	case err != nil:
		return nil, &keyError{mail.AuthTempError, "the key at " + name + " could not be asked for"}
	}
	var found *key
	kinds := make(map[string]bool)
	for _, record := range records {
		k, err := parseKey(record)
		if err != nil {
			return nil, err
		}
		if kinds[k.kind] {
			return nil, noKey("there are several keys at %s", name)
		}
		if kinds[k.kind] = true; found == nil || k.kind == kind {
			found = k
		}
	}
	if found == nil {
		return nil, noKey("there is no key at %s", name)
	}
	return found, nil
}

// parseKey reads a record.
func parseKey(record string) (*key, *keyError) {
	tags, err := parseTags(record)
	if err != nil {
		return nil, noKey("the key record is malformed: %s", err)
	}
	if v, has := tags.get("v"); has && (v != "DKIM1" || tags[0].name != "v") {
		return nil, noKey("the key record is none of DKIM1")
	}
	p, has := tags.get("p")
	switch {
	case !has:
		return nil, noKey("the key record has no key")
	case p == "":
		return nil, noKey("the key is revoked")
	}
	der, err := binary(p)
	if err != nil {
		return nil, noKey("the key is malformed")
	}
	k := &key{kind: "rsa", hashes: tags.words("h"), services: tags.words("s")}
	if kind, has := tags.get("k"); has {
		k.kind = lower(kind)
	}
	switch k.kind {
	case "rsa":
		public, err := parseRSA(der)
		if err != nil {
			return nil, noKey("the key is malformed")
		}
		k.public, k.bits = public, public.N.BitLen()
	case "ed25519":
		if len(der) != ed25519.PublicKeySize {
			return nil, noKey("an Ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(der))
		}
		k.public, k.bits = ed25519.PublicKey(der), 8*ed25519.PublicKeySize
	default:
		return nil, noKey("k=%s is not known", short(k.kind))
	}
	for _, flag := range tags.words("t") {
		k.testing = k.testing || flag == "y"
		k.strict = k.strict || flag == "s"
	}
	return k, nil
}

// parseRSA takes both forms that are in use (erratum 3017 of RFC 6376).
func parseRSA(der []byte) (*rsa.PublicKey, error) {
	if public, err := x509.ParsePKIXPublicKey(der); err == nil {
		if k, ok := public.(*rsa.PublicKey); ok {
			return k, nil
		}
		return nil, errors.New("another kind of key")
	}
	return x509.ParsePKCS1PublicKey(der)
}

// maxBits bounds what a stranger's key costs: the time for one grows with its square.
const maxBits = 8192

// fits finds what keeps a key from being that of a signature.
func (k *key) fits(s *signature, minBits int) {
	kind, hash, _ := strings.Cut(s.Algorithm, "-")
	s.Bits, s.Testing = k.bits, k.testing
	switch {
	case k.kind != kind:
		s.refuse(mail.AuthPermError, "the key is one of %s", k.kind)
	case k.hashes != nil && !slices.Contains(k.hashes, hash):
		s.refuse(mail.AuthPermError, "the key is not for %s", hash)
	case !k.serves(s):
		s.refuse(mail.AuthPermError, "the key is not for mail")
	case k.strict && domainOf(s.Identity) != s.Domain:
		s.refuse(mail.AuthPermError, "the key is for %s alone, and i= is below it", s.Domain)
	case k.kind == "rsa" && k.bits < minBits: // RFC 8301 section 3.2
		s.refuse(mail.AuthPolicy, "the key has only %d bits", k.bits)
	case k.kind == "rsa" && k.bits > maxBits:
		s.refuse(mail.AuthPolicy, "the key has %d bits", k.bits)
	}
}

// serves tells whether a key is for what a message is: mail, or a TLS report, which a key of
// its own may sign (RFC 8460 section 3).
func (k *key) serves(s *signature) bool {
	report := func(name string) bool { return strings.EqualFold(name, "TLS-Report-Domain") }
	return k.services == nil || slices.Contains(k.services, "*") || slices.Contains(k.services, "email") ||
		slices.Contains(k.services, "tlsrpt") && slices.ContainsFunc(s.Signed, report)
}

// verifies tells whether a signature over a hash was made with the key.
func (k *key) verifies(hash, sig []byte) bool {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, crypto.SHA256, hash, sig) == nil
	case ed25519.PublicKey: // over the hash itself (RFC 8463 section 3)
		return ed25519.Verify(public, hash, sig)
	}
	return false
}
