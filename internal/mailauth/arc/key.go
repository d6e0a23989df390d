package arc

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	lib "github.com/miekg/dns"

	"aliasmx/internal/dns"
)

// The algorithms, as in a=.
const (
	algorithmRSA     = "rsa-sha256"
	algorithmEd25519 = "ed25519-sha256"
)

// maxBits is the longest RSA key that is used: what a stranger can make us compute.
const maxBits = 8192

func errorf(format string, args ...any) error { return fmt.Errorf(format, args...) }

// errTrouble is a DNS that could not say.
var errTrouble = errors.New("the key cannot be looked up for now")

// keys are the public keys of one chain; each is asked for once.
type keys struct {
	resolver *dns.Resolver
	minBits  int
	known    map[string]key
}

type key struct {
	public crypto.PublicKey
	err    error
}

func keyName(s *signature) string { return strings.ToLower(s.selector + "._domainkey." + s.domain) }

// of is the key that a signature was made with, or is said to be.
func (k *keys) of(ctx context.Context, s *signature) (crypto.PublicKey, error) {
	name := keyName(s)
	found, ok := k.known[name]
	if !ok {
		found.public, found.err = k.ask(ctx, name)
		k.known[name] = found
	}
	return found.public, found.err
}

// maxAhead is how many keys are asked for before it is known that the seals above hold: few
// chains are longer, and nobody is to have us ask fifty strangers by writing down their names.
const maxAhead = 10

// fetch asks side by side for the keys of the newest seals that are not known yet.
func (k *keys) fetch(ctx context.Context, sets []set) {
	var names []string
	for _, s := range slices.Backward(sets) {
		name := keyName(s.sealing)
		if _, known := k.known[name]; !known && !slices.Contains(names, name) && len(names) < maxAhead {
			names = append(names, name)
		}
	}
	if len(names) < 2 {
		return // there is nothing to stand beside
	}
	found := make([]key, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { found[i].public, found[i].err = k.ask(ctx, name) })
	}
	all.Wait()
	for i, name := range names {
		k.known[name] = found[i]
	}
}

func (k *keys) ask(ctx context.Context, name string) (crypto.PublicKey, error) {
	a, err := k.resolver.Query(ctx, name, lib.TypeTXT)
	switch {
	case errors.Is(err, dns.ErrNotFound):
		return nil, errorf("there is no key at %s", name)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", errTrouble, name, err)
	case len(a.RRs) != 1:
		return nil, errorf("there are %d records at %s", len(a.RRs), name)
	}
	txt, ok := a.RRs[0].(*lib.TXT)
	if !ok {
		return nil, errorf("there is no key at %s", name)
	}
	public, err := parseKey(strings.Join(txt.Txt, ""), k.minBits)
	if err != nil {
		return nil, errorf("the key at %s: %w", name, err)
	}
	return public, nil
}

// parseKey reads a key record, RFC 6376 section 3.6.1 and RFC 8463 section 4.
func parseKey(text string, minBits int) (crypto.PublicKey, error) {
	t, err := parseTags(text)
	if err != nil {
		return nil, err
	}
	if v, has := t["v"]; has && v != "DKIM1" {
		return nil, errorf("v=%s is not known", shown(v))
	}
	if h, has := t["h"]; has && !listed(h, "sha256") {
		return nil, errors.New("it is not for SHA-256")
	}
	if s, has := t["s"]; has && !listed(s, "*") && !listed(s, "email") {
		return nil, errors.New("it is not for mail")
	}
	p, has := t["p"]
	if !has {
		return nil, errors.New("p= is missing")
	}
	if p == "" {
		return nil, errors.New("it is revoked")
	}
	raw, err := base64.StdEncoding.DecodeString(withoutSpace(p))
	if err != nil {
		return nil, errors.New("p= is not base64")
	}
	switch kind, has := t["k"]; {
	case !has || kind == "rsa":
		return rsaKey(raw, minBits)
	case kind == "ed25519" && len(raw) == ed25519.PublicKeySize:
		return ed25519.PublicKey(raw), nil
	default:
		return nil, errorf("k=%s with %d octets is not supported", shown(kind), len(raw))
	}
}

func rsaKey(raw []byte, minBits int) (crypto.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(raw)
	public, ok := parsed.(*rsa.PublicKey)
	if err != nil || !ok {
		if public, err = x509.ParsePKCS1PublicKey(raw); err != nil {
			return nil, errors.New("p= is no RSA key")
		}
	}
	if bits := public.N.BitLen(); bits < minBits || bits > maxBits {
		return nil, errorf("it has %d bits", bits)
	}
	return public, nil
}

func listed(list, word string) bool {
	return slices.ContainsFunc(strings.Split(list, ":"), func(s string) bool { return strings.EqualFold(trim(s), word) })
}

// check tells whether b is a signature of a digest (SHA-256).
func check(public crypto.PublicKey, algorithm string, digest, b []byte) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if algorithm == algorithmRSA {
			if rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, b) != nil {
				return errors.New("the signature does not hold")
			}
			return nil
		}
	case ed25519.PublicKey:
		if algorithm == algorithmEd25519 {
			if !ed25519.Verify(k, digest, b) {
				return errors.New("the signature does not hold")
			}
			return nil
		}
	}
	return errorf("the key is not for a=%s", algorithm)
}
