package arc

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"aliasmx/internal/dns"
	"aliasmx/internal/mailauth/dkim"
)

// The algorithms, as in a=.
const (
	algorithmRSA     = "rsa-sha256"
	algorithmEd25519 = "ed25519-sha256"
)

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

// keyName is what a key is known by: where it is, and what for.
func keyName(s *signature) string {
	return strings.ToLower(s.selector+"._domainkey."+s.domain) + " " + s.algorithm
}

// of is the key that a signature was made with, or is said to be.
func (k *keys) of(ctx context.Context, s *signature) (crypto.PublicKey, error) {
	name := keyName(s)
	found, ok := k.known[name]
	if !ok {
		found.public, found.err = k.ask(ctx, s)
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
	var seals []*signature
	for _, s := range slices.Backward(sets) {
		name := keyName(s.sealing)
		if _, known := k.known[name]; !known && !slices.Contains(names, name) && len(names) < maxAhead {
			names, seals = append(names, name), append(seals, s.sealing)
		}
	}
	if len(names) < 2 {
		return // there is nothing to stand beside
	}
	found := make([]key, len(names))
	var all sync.WaitGroup
	for i, s := range seals {
		all.Go(func() { found[i].public, found[i].err = k.ask(ctx, s) })
	}
	all.Wait()
	for i, name := range names {
		k.known[name] = found[i]
	}
}

// ask looks a key up: it is one of DKIM (RFC 8617 section 4.1.2).
func (k *keys) ask(ctx context.Context, s *signature) (public crypto.PublicKey, err error) {
	public, err = dkim.PublicKey(ctx, k.resolver, s.domain, s.selector, s.algorithm, k.minBits)
	if errors.Is(err, dkim.ErrTemporary) {
		err = fmt.Errorf("%w: %w", errTrouble, err)
	}
	return public, err
}

// check tells whether b is a signature of a digest (SHA-256).
func check(public crypto.PublicKey, digest, b []byte) error {
	holds := false
	switch k := public.(type) {
	case *rsa.PublicKey:
		holds = rsa.VerifyPKCS1v15(k, crypto.SHA256, digest, b) == nil
	case ed25519.PublicKey: // over the digest itself (RFC 8463 section 3)
		holds = ed25519.Verify(k, digest, b)
	}
	if !holds {
		return errors.New("the signature does not hold")
	}
	return nil
}
