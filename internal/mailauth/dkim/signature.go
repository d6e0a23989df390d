package dkim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"aliasmx/internal/dns"
	"aliasmx/internal/mail"
)

// fieldName is that of signatures, as an index has it.
const fieldName = "dkim-signature"

// Signature is one signature of a message, and what it is worth.
type Signature struct {
	Result mail.AuthResult
	Reason string // why it is not pass, for people

	Domain    string // d=: who signed, as an A-label in lower case; "" where that cannot be read
	Identity  string // i=, or what it is by default; the domain as Domain has it
	Selector  string // s=
	Algorithm string // a=: rsa-sha256, ed25519-sha256
	Bits      int    // of the key; 0: not known
	Testing   bool   // the domain says that it only tests (t=y)
	// Signed are the names of h= as they stand there; one may come several times.
	Signed []string
	// BodyLength: it has l=. Its result is pass only where that is the whole body.
	BodyLength bool
	B          string // the first 8 characters of b= (RFC 8601 section 2.7.1: header.b)
}

// signature is one that is being verified.
type signature struct {
	Signature
	at           int // of its field
	header, body form
	length       int64 // l=; -1: none
	hash, sig    []byte
	key          *key
	found        *bodyHash
}

// refuse decides a signature, unless that has been done.
func (s *signature) refuse(result mail.AuthResult, format string, args ...any) {
	if s.Result == "" {
		s.Result, s.Reason = result, fmt.Sprintf(format, args...)
	}
}

// parse reads a signature field (RFC 6376 section 3.5); what is wrong with it decides it.
// Who has signed is filled in as far as it can be read.
func (s *signature) parse(f field, now time.Time) {
	const wrong = mail.AuthPermError
	tags, err := parseTags(string(f.value()))
	if err != nil {
		s.refuse(wrong, "%s", err)
		return
	}
	s.names(tags)
	b, _ := tags.get("b")
	s.B = noSpace(b)
	s.B = s.B[:min(8, len(s.B))]
	for _, name := range []string{"v", "a", "b", "bh", "d", "h", "s"} {
		if value, has := tags.get(name); !has || value == "" {
			s.refuse(wrong, "the signature has no %s=", name)
		}
	}
	if v, _ := tags.get("v"); v != "1" {
		s.refuse(wrong, "v=%s is not known", short(v))
	}
	if s.Domain == "" || !dns.ValidName(s.Selector+"._domainkey."+s.Domain) {
		s.refuse(wrong, "d= and s= make no name")
	}
	if !within(domainOf(s.Identity), s.Domain) {
		s.refuse(wrong, "i= is not within d=")
	}
	if !slices.ContainsFunc(s.Signed, func(name string) bool { return strings.EqualFold(name, "from") }) {
		s.refuse(wrong, "the From field is not signed")
	}
	s.algorithms(tags)
	s.times(tags, now)
	s.length = -1
	if l, has := tags.get("l"); has {
		s.BodyLength = true
		if s.length, err = digits(l); err != nil {
			s.refuse(wrong, "l= is malformed")
		}
	}
	if s.sig, err = binary(b); err != nil {
		s.refuse(wrong, "b= is malformed")
	}
	bh, _ := tags.get("bh")
	if s.hash, err = binary(bh); err != nil {
		s.refuse(wrong, "bh= is malformed")
	}
}

// names reads who has signed, and what.
func (s *signature) names(tags tagList) {
	d, _ := tags.get("d")
	s.Domain = aLabel(noSpace(d))
	selector, _ := tags.get("s")
	s.Selector = aLabel(noSpace(selector))
	s.Identity = "@" + s.Domain
	if i, has := tags.get("i"); has {
		local, domain := cutLast(noSpace(i))
		s.Identity = local + "@" + aLabel(domain)
	}
	s.Signed = tags.words("h")
	a, _ := tags.get("a")
	s.Algorithm = lower(noSpace(a))
}

// algorithms reads how it was signed, and how the key is to be found.
func (s *signature) algorithms(tags tagList) {
	const wrong = mail.AuthPermError
	switch s.Algorithm {
	case "rsa-sha256", "ed25519-sha256":
	case "rsa-sha1": // RFC 8301 section 3.1
		s.refuse(wrong, "rsa-sha1 is not taken any more")
	default:
		s.refuse(wrong, "a=%s is not known", short(s.Algorithm))
	}
	c, has := tags.get("c")
	header, body, both := strings.Cut(noSpace(c), "/")
	known := true
	if has {
		s.header, known = formOf(header)
	}
	if both && known {
		s.body, known = formOf(body)
	}
	if !known {
		s.refuse(wrong, "c=%s is not known", short(c))
	}
	if q := tags.words("q"); q != nil && !slices.ContainsFunc(q, func(w string) bool { return strings.EqualFold(w, "dns/txt") }) {
		s.refuse(wrong, "q= has no dns/txt")
	}
}

// times reads from when until when it holds.
func (s *signature) times(tags tagList, now time.Time) {
	made, _, err := tags.time("t")
	expires, has, errx := tags.time("x")
	switch {
	case err != nil:
		s.refuse(mail.AuthPermError, "t= is malformed")
	case errx != nil:
		s.refuse(mail.AuthPermError, "x= is malformed")
	case has && !made.IsZero() && !expires.After(made):
		s.refuse(mail.AuthPermError, "x= is not after t=")
	case has && now.After(expires):
		s.refuse(mail.AuthPermError, "it has expired")
	}
}

// aLabel is a domain or a selector in the form that names are compared in; "" where it is
// none.
func aLabel(name string) string {
	if strings.IndexFunc(name, func(r rune) bool { return r >= 0x80 }) >= 0 { // RFC 8616
		ascii, err := idna.Lookup.ToASCII(name)
		if err != nil {
			return ""
		}
		name = ascii
	}
	if !dns.ValidName(name + ".x") { // one label may be a number
		return ""
	}
	return lower(name)
}

// within tells whether a domain is another, or below it.
func within(domain, of string) bool {
	return domain == of || strings.HasSuffix(domain, "."+of)
}

func domainOf(identity string) string {
	_, domain := cutLast(identity)
	return domain
}

func cutLast(identity string) (local, domain string) {
	i := strings.LastIndexByte(identity, '@')
	if i < 0 {
		return identity, ""
	}
	return identity[:i], identity[i+1:]
}

// short keeps what a stranger wrote from filling a log line.
func short(s string) string {
	if len(s) > 32 {
		return s[:32] + "..."
	}
	return s
}
