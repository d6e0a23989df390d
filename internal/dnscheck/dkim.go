package dnscheck

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aliasmx/internal/dns"
)

// dkim judges the keys of a domain (RFC 6376 section 3.6.1, RFC 8463).
func (c *Checker) dkim(ctx context.Context, r *report) {
	selectors := slices.Clone(c.o.Selectors)
	if c.o.SelectorsOf != nil {
		for _, s := range c.o.SelectorsOf(r.domain) {
			if !slices.Contains(selectors, s) {
				selectors = append(selectors, s)
			}
		}
	}
	switch {
	case len(selectors) > 0:
	case c.o.SelectorsOf == nil:
		r.say(DKIM, Note, "nothing here signs mail, and no selector is given (--selector): no key is looked at")
	default:
		r.say(DKIM, Note, "dkim_keys has no key of this domain, and no selector is given (--selector): no key is looked at")
	}
	for _, selector := range selectors {
		name := selector + "._domainkey." + r.domain
		if !dns.ValidName(name) {
			r.say(DKIM, Wrong, short(selector)+" is no selector")
			continue
		}
		txts, err := c.o.Resolver.TXT(ctx, name)
		switch {
		case r.unasked(DKIM, name, err):
		case len(txts) == 0:
			r.say(DKIM, Missing, "there is no key at "+name)
		case len(txts) > 1:
			r.say(DKIM, Wrong, fmt.Sprintf("%s has %d TXT records, where one may be: verifiers take any of them, or none", name, len(txts)))
		default:
			level, text := judgeKey(txts[0])
			r.say(DKIM, level, name+": "+text)
		}
	}
}

// judgeKey judges a key record.
func judgeKey(record string) (Level, string) {
	tags, err := parseTags(record)
	if err != nil {
		return Wrong, "the record is malformed: " + err.Error()
	}
	if v, has := valueOf(tags, "v"); has && (v != "DKIM1" || tags[0].name != "v") {
		return Wrong, "v=DKIM1 must be the first tag, or not be there"
	}
	if h, has := valueOf(tags, "h"); has && !slices.Contains(words(h), "sha256") {
		return Wrong, "h=" + h + " leaves out sha256, the only hash that is still taken"
	}
	if s, has := valueOf(tags, "s"); has && !slices.Contains(words(s), "*") && !slices.Contains(words(s), "email") {
		return Wrong, "s=" + s + " says that the key is not for mail"
	}
	p, has := valueOf(tags, "p")
	if p = strings.Join(strings.Fields(p), ""); !has {
		return Wrong, "there is no key in the record (p=)"
	}
	if p == "" {
		return Wrong, "the key is revoked (p= is empty)"
	}
	key, err := base64.StdEncoding.DecodeString(p)
	if err != nil {
		return Wrong, "the key (p=) is not base64; perhaps it was cut"
	}
	kind, has := valueOf(tags, "k")
	if !has {
		kind = "rsa"
	}
	level, text := OK, ""
	switch kind {
	case "rsa":
		level, text = judgeRSA(key)
	case "ed25519":
		if text = "Ed25519"; len(key) != 32 {
			level, text = Wrong, fmt.Sprintf("an Ed25519 key has 32 bytes, this one %d", len(key))
		}
	default:
		return Wrong, "k=" + kind + " is not known; rsa and ed25519 are"
	}
	if t, _ := valueOf(tags, "t"); level != Wrong && slices.Contains(words(t), "y") {
		return Note, text + "; t=y says that the domain only tests: verifiers may take no notice of signatures"
	}
	return level, text
}

func judgeRSA(der []byte) (Level, string) {
	key, err := parseRSA(der)
	if err != nil {
		return Wrong, "the key (p=) is no RSA key; perhaps it was cut"
	}
	switch bits := key.N.BitLen(); {
	case bits < 1024:
		return Wrong, fmt.Sprintf("an RSA key of %d bits, which verifiers do not take (RFC 8301)", bits)
	case bits < 2048:
		return Note, fmt.Sprintf("an RSA key of %d bits; 2048 are recommended", bits)
	default:
		return OK, fmt.Sprintf("RSA, %d bits", bits)
	}
}

// parseRSA takes both forms that are in use: SubjectPublicKeyInfo, and the RSAPublicKey of
// RFC 6376 itself.
func parseRSA(der []byte) (*rsa.PublicKey, error) {
	if any, err := x509.ParsePKIXPublicKey(der); err == nil {
		if key, ok := any.(*rsa.PublicKey); ok {
			return key, nil
		}
		return nil, errors.New("another kind of key")
	}
	return x509.ParsePKCS1PublicKey(der)
}

// words parts a list with colons.
func words(s string) []string {
	list := strings.Split(s, ":")
	for i, w := range list {
		list[i] = strings.ToLower(strings.Trim(w, " \t"))
	}
	return list
}
