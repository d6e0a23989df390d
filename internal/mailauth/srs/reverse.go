package srs

import (
	"strings"

	"aliasmx/internal/mail"
)

// databaseDomain stands in the place of the domain where PostSRSd keeps the sender in a
// database, and only a key of it in the address. There is no such database here.
const databaseDomain = "1"

// Reverse is the address that a token was made from. The error is ErrNotSRS, ErrMalformed,
// ErrForged or ErrExpired; the last two tell a token that nobody here has signed from one that
// was good once.
func (c *Codec) Reverse(a mail.Address) (mail.Address, error) {
	if !c.Ours(a.Domain) {
		return mail.Address{}, ErrNotSRS
	}
	if rest, ok := cutTag(a.Local, tag0); ok {
		return c.reverse0(rest)
	}
	if rest, ok := cutTag(a.Local, tag1); ok {
		return c.reverse1(rest)
	}
	return mail.Address{}, ErrNotSRS
}

func (c *Codec) reverse0(s string) (mail.Address, error) {
	parts := strings.SplitN(s, "=", 4)
	if len(parts) < 4 {
		return mail.Address{}, ErrMalformed
	}
	hash, stamp, domain, local := parts[0], parts[1], parts[2], parts[3]
	days, ok := c.age(stamp)
	if !ok || hash == "" || domain == "" || local == "" || domain == databaseDomain {
		return mail.Address{}, ErrMalformed
	}
	if !c.verify(hash, stamp, domain, local) {
		return mail.Address{}, ErrForged
	}
	if days > c.maxDays {
		return mail.Address{}, ErrExpired
	}
	return mail.Address{Local: local, Domain: domain}, nil
}

// reverse1 leads to the first hop, which knows how old the address is: SRS1 has no time stamp.
func (c *Codec) reverse1(s string) (mail.Address, error) {
	hash, host, opaque, ok := cutFirstHop(s)
	if !ok {
		return mail.Address{}, ErrMalformed
	}
	if !c.verify(hash, host, opaque) {
		return mail.Address{}, ErrForged
	}
	return mail.Address{Local: tag0 + opaque, Domain: host}, nil
}
