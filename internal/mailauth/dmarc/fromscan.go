package dmarc

import (
	"errors"
	"fmt"
	"strings"
)

// The tokens of a From field. A special character is its own kind.
const (
	tokenEnd     byte = 0
	tokenAtom    byte = 'a' // a run of atext and dots, also of UTF-8 or other 8-bit bytes
	tokenQuoted  byte = 'q'
	tokenLiteral byte = 'l' // [...]
)

type fromToken struct {
	kind   byte
	spaced bool   // white space or comments stand before it
	text   string // as it is written, but for special characters
}

func (t *fromToken) show() string {
	switch t.kind {
	case tokenAtom, tokenLiteral:
		return t.text[:min(len(t.text), 40)]
	case tokenQuoted:
		return `"..."`
	}
	return string(t.kind)
}

// scanFrom splits a value into tokens; comments are none.
func scanFrom(s string) (tokens []fromToken, err error) {
	spaced := false
	for i := 0; i < len(s); {
		t := fromToken{spaced: spaced}
		spaced = false
		n := 1
		switch c := s[i]; {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			spaced = true
		case c == '(':
			if n = commentLength(s[i:]); n < 0 {
				return nil, errors.New("a comment in the From field has no end")
			}
			spaced = true
		case c == '"':
			if n = quotedLength(s[i:], '"'); n < 0 {
				return nil, errors.New("a quoted string in the From field has no end")
			}
			t.kind, t.text = tokenQuoted, s[i:i+n]
		case c == '[':
			if n = quotedLength(s[i:], ']'); n < 0 {
				return nil, errors.New("an address literal in the From field has no end")
			}
			t.kind, t.text = tokenLiteral, s[i:i+n]
		case strings.IndexByte(",;:<>@", c) >= 0:
			t.kind = c
		default:
			for n = 0; i+n < len(s) && (isAtomByte(s[i+n]) || isPlainBackslash(s[i+n:])); n++ {
			}
			if n == 0 {
				return nil, fmt.Errorf("the From field is malformed at %q", c)
			}
			t.kind, t.text = tokenAtom, s[i:i+n]
		}
		if t.kind != tokenEnd {
			tokens = append(tokens, t)
		}
		i += n
	}
	return tokens, nil
}

func isAtomByte(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`()<>[]:;@\,"`, c) < 0
}

// isPlainBackslash: one before a letter or digit, as in DOMAIN\user, hides nothing from
// anybody. One before a special character would, for some readers.
func isPlainBackslash(s string) bool {
	if len(s) < 2 || s[0] != '\\' {
		return false
	}
	c := s[1]
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// quotedLength is how long the quoted string or literal is that s begins with; -1: it has no
// end.
func quotedLength(s string, end byte) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case end:
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// commentLength is how long the comment is that s begins with; -1: it has no end.
func commentLength(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}
