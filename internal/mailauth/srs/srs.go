// Package srs is the Sender Rewriting Scheme (Shevek, "The Sender Rewriting Scheme", 2004): a
// forwarder puts its own domain into the reverse-path, so that SPF passes at the next hop, and
// finds the sender in it when a bounce comes back.
//
//	SRS0=HHHH=TT=domain=local@rewriting.example
//	SRS1=HHHH=firsthop.example==HHHH=TT=domain=local@rewriting.example
//
// HHHH is the hash: an HMAC-SHA1 under a secret, over all that stands behind it, in lower case;
// TT the time stamp, a day number modulo 1024 in base 32. The separator behind the tag may be
// "=", "+" or "-"; all others are "=". An SRS0 address of somebody else becomes SRS1, which names
// the first hop and holds what the first hop wrote as it is; an SRS1 address of somebody else
// keeps the first hop and is signed anew, so that chains do not grow.
//
// Tokens are those of PostSRSd, libsrs2 and Mail::SRS, byte for byte.
//
// Invariants: Reverse accepts only what one of the secrets has signed. What Forward makes,
// Reverse takes apart to the address it was made from (from SRS1: to the SRS0 address of the first
// hop). Nothing is ever cut: an address that does not fit into a path is an error.
//
// The package does not decide whose mail is rewritten, and asks nobody anything.
package srs

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"aliasmx/internal/mail"
)

// What Forward and Reverse answer.
var (
	ErrNoDomain  = errors.New("the address has no domain that a token could hold")
	ErrTooLong   = errors.New("the rewritten address does not fit into a path of 256 octets")
	ErrNotSRS    = errors.New("not an SRS address")
	ErrMalformed = errors.New("malformed SRS address")
	ErrForged    = errors.New("the hash in the SRS address is wrong")
	ErrExpired   = errors.New("the SRS address has expired")
)

// MinSecret is how many bytes a secret should have at least.
const MinSecret = 16

const (
	maxPath      = 256 // RFC 5321 section 4.5.3.1.3, with the angle brackets
	maxHash      = 27  // base64 of 20 bytes
	secondsOfDay = 24 * 60 * 60
	slots        = 1024 // days until time stamps come round
)

// Options are what a Codec works with. Domain and one of Secrets must be given.
type Options struct {
	Domain  string   // srs_domain: of the rewritten addresses
	Secrets []string // srs_secrets_file: the first signs, all verify
	// Separator is written behind the tag: '=' (default), '+' or '-' (srs_separator).
	Separator byte
	// HashLength is how many characters of a hash are written (srs_hash_length; 4),
	// HashMinimum how many a hash must have at least to be believed (srs_hash_minimum; 4).
	HashLength, HashMinimum int
	// MaxAge is for how long an address can be answered, in whole days (srs_max_age; 21 days).
	MaxAge time.Duration
	Now    func() time.Time // nil: time.Now
}

// Codec rewrites addresses. It is safe for concurrent use.
type Codec struct {
	o       Options
	ascii   string // Domain as an A-label, in lower case
	written string // Domain as it was given, but for U-labels
	maxDays int
}

// New makes a Codec.
func New(o Options) (*Codec, error) {
	if o.Separator == 0 {
		o.Separator = '='
	}
	if o.HashLength == 0 {
		o.HashLength = 4
	}
	if o.HashMinimum == 0 {
		o.HashMinimum = 4
	}
	if o.MaxAge == 0 {
		o.MaxAge = 21 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Codec{o: o, ascii: asciiDomain(o.Domain), maxDays: int(o.MaxAge / (24 * time.Hour))}
	c.written = c.ascii
	if strings.EqualFold(o.Domain, c.ascii) {
		c.written = o.Domain
	}
	switch {
	case !mail.ValidHostname(c.ascii):
		return nil, fmt.Errorf("srs: %q is no domain", o.Domain)
	case len(o.Secrets) == 0:
		return nil, errors.New("srs: no secret")
	case !isSeparator(o.Separator):
		return nil, fmt.Errorf("srs: separator %q is not one of = + -", o.Separator)
	case o.HashLength < 1 || o.HashLength > maxHash || o.HashMinimum < 1 || o.HashMinimum > o.HashLength:
		return nil, fmt.Errorf("srs: hash length %d, minimum %d: 1 to %d, and the minimum not above the length", o.HashLength, o.HashMinimum, maxHash)
	case c.maxDays < 0 || c.maxDays >= slots-2:
		return nil, fmt.Errorf("srs: maximal age of %d days: 0 to %d", c.maxDays, slots-3)
	}
	for _, s := range o.Secrets {
		if s == "" {
			return nil, errors.New("srs: empty secret")
		}
	}
	return c, nil
}

// Domain is that of the rewritten addresses, as an A-label in lower case.
func (c *Codec) Domain() string { return c.ascii }

// Ours tells whether a domain is that of the rewritten addresses, in whichever form.
func (c *Codec) Ours(domain string) bool {
	return strings.EqualFold(domain, c.ascii) || asciiDomain(domain) == c.ascii
}

func asciiDomain(domain string) string {
	for i := 0; i < len(domain); i++ {
		if domain[i] >= 0x80 {
			if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
				return ascii
			}
			break
		}
	}
	return strings.ToLower(domain)
}
