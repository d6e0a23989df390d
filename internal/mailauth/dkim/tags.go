package dkim

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Lists of tags, as signatures and key records are written (RFC 6376 section 3.2).

var (
	errTags    = errors.New("the tags are malformed")
	errTagName = errors.New("a tag has a malformed name")
	errTwice   = errors.New("a tag stands there twice")
)

// tag is one, without the whitespace around its value.
type tag struct{ name, value string }

type tagList []tag

// parseTags reads a list. Of whitespace inside of values nothing is taken away.
func parseTags(s string) (tagList, error) {
	if !utf8.ValidString(s) { // RFC 8616 section 4
		return nil, errTags
	}
	var list tagList
	for spec := range strings.SplitSeq(s, ";") {
		name, value, found := strings.Cut(spec, "=")
		name, value = trimSpace(name), trimSpace(value)
		switch {
		case !found && name == "":
			continue // after the last semicolon; in between it is forgiven
		case !found:
			return nil, errTags
		case !tagName(name):
			return nil, errTagName
		}
		if _, has := list.get(name); has {
			return nil, errTwice
		}
		if list = append(list, tag{name, value}); len(list) > maxTags {
			return nil, errTags
		}
	}
	return list, nil
}

// maxTags is far above the number of tags there are.
const maxTags = 64

// get is a tag's value. Names are compared with case.
func (l tagList) get(name string) (string, bool) {
	for _, t := range l {
		if t.name == name {
			return t.value, true
		}
	}
	return "", false
}

// words are the parts of a value with colons; nil where there is no such tag.
func (l tagList) words(name string) []string {
	value, has := l.get(name)
	if !has {
		return nil
	}
	words := strings.Split(value, ":")
	for i, w := range words {
		words[i] = trimSpace(w)
	}
	return words
}

// time reads seconds since 1970. What is beyond all calendars is taken for their end.
func (l tagList) time(name string) (at time.Time, has bool, err error) {
	value, has := l.get(name)
	if !has {
		return time.Time{}, false, nil
	}
	n, err := digits(value)
	return time.Unix(n, 0), true, err
}

var errNumber = errors.New("not a number")

// digits reads an unsigned number; one that is too large is the largest.
func digits(s string) (int64, error) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, errNumber
	}
	n, err := strconv.ParseInt(s, 10, 64)
	const far = 1 << 40
	if err != nil || n > far {
		return far, nil
	}
	return n, nil
}

// binary reads base64, which may be folded anywhere.
func binary(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(noSpace(s))
}

func tagName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if !('a' <= c && c <= 'z' || i > 0 && ('0' <= s[i] && s[i] <= '9' || s[i] == '_')) {
			return false
		}
	}
	return s != ""
}

const whitespace = " \t\r\n"

func trimSpace(s string) string { return strings.Trim(s, whitespace) }

// noSpace takes all whitespace away.
func noSpace(s string) string {
	if !strings.ContainsAny(s, whitespace) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// withoutSignature is a DKIM-Signature field with the value of b= taken out, whitespace and
// all (RFC 6376 section 3.7). It finds the tag as parseTags does: a b= inside another value is
// none.
func withoutSignature(raw []byte) []byte {
	at := bytes.IndexByte(raw, ':') + 1
	for at < len(raw) {
		end := len(raw)
		if i := bytes.IndexByte(raw[at:], ';'); i >= 0 {
			end = at + i
		}
		if i := bytes.IndexByte(raw[at:end], '='); i >= 0 && trimSpace(string(raw[at:at+i])) == "b" {
			return append(append([]byte(nil), raw[:at+i+1]...), raw[end:]...)
		}
		at = end + 1
	}
	return raw
}
