package srs

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"strings"

	"aliasmx/internal/mail"
)

// The parts of an address that prove something: tag, hash and time stamp.

const (
	tag0 = "SRS0"
	tag1 = "SRS1"
)

func isSeparator(b byte) bool { return b == '=' || b == '+' || b == '-' }

// cutTag takes a tag and its separator off a local part. Mail systems on the way may have
// changed the case.
func cutTag(local, tag string) (rest string, ok bool) {
	if len(local) <= len(tag) || !strings.EqualFold(local[:len(tag)], tag) || !isSeparator(local[len(tag)]) {
		return "", false
	}
	return local[len(tag)+1:], true
}

// cutFirstHop parts an SRS1 address behind its tag: the first hop, and what that wrote. What the
// first hop wrote begins with its separator, as an SRS0 address has it behind the tag.
func cutFirstHop(s string) (hash, host, opaque string, ok bool) {
	hash, s, _ = strings.Cut(s, "=")
	host, opaque, _ = strings.Cut(s, "=")
	ok = hash != "" && host != "" && len(opaque) > 1 && isSeparator(opaque[0])
	return hash, host, opaque, ok
}

// hash is that of the parts, whole. Only ASCII is folded, since that is all that the others
// fold, and all that mail systems on the way change.
func hash(secret string, parts ...string) string {
	h := hmac.New(sha1.New, []byte(secret))
	for _, p := range parts {
		h.Write([]byte(lower(p)))
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// sign makes the hash to be written.
func (c *Codec) sign(parts ...string) string {
	return hash(c.o.Secrets[0], parts...)[:c.o.HashLength]
}

// verify tells whether one of the secrets has made a hash. It takes as long whichever it was,
// and wherever the first wrong character stands.
func (c *Codec) verify(given string, parts ...string) bool {
	if len(given) < c.o.HashMinimum || len(given) > maxHash {
		return false
	}
	given = lower(toURL.Replace(given))
	found := 0
	for _, secret := range c.o.Secrets {
		want := lower(hash(secret, parts...)[:len(given)])
		found |= subtle.ConstantTimeCompare([]byte(given), []byte(want))
	}
	return found == 1
}

// toURL turns the standard alphabet of base64, which older implementations write, into the one
// for URLs. The signs are two for one only there.
var toURL = strings.NewReplacer("+", "-", "/", "_")

// lower folds ASCII, byte by byte.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// today is the number of the day, as time stamps have it.
func (c *Codec) today() int {
	return int((c.o.Now().Unix()/secondsOfDay%slots + slots) % slots)
}

func stamp(day int) string {
	return string([]byte{base32[day>>5], base32[day&31]})
}

// age is how many days ago a time stamp was made; -1 is tomorrow.
func (c *Codec) age(stamp string) (days int, ok bool) {
	if len(stamp) != 2 {
		return 0, false
	}
	then := 0
	for _, b := range []byte(strings.ToUpper(stamp)) {
		digit := strings.IndexByte(base32, b)
		if digit < 0 {
			return 0, false
		}
		then = then<<5 | digit
	}
	days = (c.today() - then + slots) % slots
	if days == slots-1 {
		days = -1 // the clock of another host of ours is ahead
	}
	return days, true
}

// Tagged tells whether an address is meant to be one of this package, good or not.
func Tagged(a mail.Address) bool {
	_, zero := cutTag(a.Local, tag0)
	_, one := cutTag(a.Local, tag1)
	return zero || one
}
