package mail

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// Errors of ParsePath.
var (
	// ErrPathUnterminated: an angle bracket or a quote is not closed, so that nobody can
	// tell where the address ends.
	ErrPathUnterminated = errors.New("unterminated address")
	// ErrPathSyntax: what was written is not one address.
	ErrPathSyntax = errors.New("bad address syntax")
)

// Path is the argument of MAIL FROM or RCPT TO.
type Path struct {
	Address
	// Raw is the address as it was written, without the outer angle brackets: what ORCPT
	// is when the client gives none (RFC 3461 section 4.2).
	Raw string
}

// ParsePath reads the path at the beginning of s, which is what follows "FROM:" or
// "TO:", and returns what follows the path. Quotes and backslashes of the local part
// are taken off, a source route is dropped (RFC 5321 section 3.3: it is accepted and
// ignored), the null path is the zero Address.
//
// As Postfix does, it takes addresses without angle brackets, comments, whitespace
// around the parts and a display name inside the brackets, unless strict (postconf(5):
// strict_rfc821_envelopes). An @ inside quotes never becomes the one that the domain
// begins after; of several outside, the last one is.
func ParsePath(s string, strict bool) (Path, string, error) {
	s = strings.TrimLeft(s, " \t")
	n, ok := pathEnd(s)
	if !ok {
		return Path{}, "", ErrPathUnterminated
	}
	written, rest := s[:n], s[n:]
	p := Path{Raw: strings.TrimSuffix(strings.TrimPrefix(written, "<"), ">")}
	if strict && !strings.HasPrefix(written, "<") {
		return p, rest, ErrPathSyntax
	}
	mailbox, ok := inBrackets(written, strict)
	if !ok || !utf8.ValidString(mailbox) {
		return p, rest, ErrPathSyntax
	}
	if p.Address, ok = simpleMailbox(mailbox); ok {
		return p, rest, nil
	}
	tokens, ok := scanMailbox(mailbox, strict)
	if !ok {
		return p, rest, ErrPathSyntax
	}
	if p.Address, ok = assemble(tokens); !ok || strict && p.Local == "" && p.Domain != "" {
		return p, rest, ErrPathSyntax
	}
	return p, rest, nil
}

// pathEnd finds the whitespace that ends the path: not between angle brackets and not
// between quotes.
func pathEnd(s string) (n int, ok bool) {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			depth++
		case c == '>' && depth > 0:
			depth--
		case (c == ' ' || c == '\t') && depth == 0:
			return i, true
		}
	}
	return len(s), depth == 0 && !quoted
}

// inBrackets is the part of a path that holds the mailbox: between the innermost angle
// brackets. What stands before them is a display name, which must not look like
// another address; after them nothing may stand.
func inBrackets(s string, strict bool) (mailbox string, ok bool) {
	open, end := -1, len(s)
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<' && end < len(s): // a second address
			return "", false
		case c == '<':
			open = i
		case c == '>' && end == len(s):
			end = i
		}
	}
	if strings.Trim(s[end:], ">") != "" {
		return "", false
	}
	if open < 0 {
		return s[:end], true
	}
	name := strings.TrimLeft(s[:open], "<")
	if strict && name != "" || strings.ContainsAny(name, "@,;:") {
		return "", false
	}
	return s[open+1 : end], true
}

// simpleMailbox takes the addresses that nearly all mail has, without building tokens.
func simpleMailbox(s string) (Address, bool) {
	at := strings.IndexByte(s, '@')
	if at <= 0 || !isDotString(s[:at]) || !ValidHostname(s[at+1:]) {
		return Address{}, false
	}
	return Address{Local: s[:at], Domain: s[at+1:]}, true
}
