package authres

import (
	"fmt"
	"strings"
)

// parser reads a field's value from left to right.
type parser struct {
	s       string
	i       int
	comment string // the first since somebody emptied it
	err     error  // a comment without end
}

func (p *parser) end() bool { return p.i >= len(p.s) }

// fault says what should have stood here.
func (p *parser) fault(want string) error {
	if p.err != nil {
		return p.err
	}
	if p.end() {
		return fmt.Errorf("it ends where %s should be", want)
	}
	return fmt.Errorf("%q where %s should be", p.s[p.i:min(p.i+20, len(p.s))], want)
}

func (p *parser) take(c byte) bool {
	if p.end() || p.s[p.i] != c {
		return false
	}
	p.i++
	return true
}

func (p *parser) need(c byte) error {
	if p.err == nil && p.take(c) {
		return nil
	}
	return p.fault(fmt.Sprintf("%q", string(c)))
}

// run reads bytes as long as they are of a kind.
func (p *parser) run(of func(byte) bool) string {
	start := p.i
	for p.i < len(p.s) && of(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i]
}

func (p *parser) digits() string { return p.run(func(c byte) bool { return c >= '0' && c <= '9' }) }

func (p *parser) keyword() string {
	start := p.i
	if word := p.run(func(c byte) bool { return isAlnum(c) || c == '-' }); isKeyword(word) {
		return word
	}
	p.i = start
	return ""
}

// cfws passes over white space and comments, and tells whether there were any.
func (p *parser) cfws() bool {
	start := p.i
	for p.i < len(p.s) && p.err == nil {
		switch p.s[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
			continue
		case '(':
			text, n, ok := comment(p.s[p.i:])
			if !ok {
				p.err = fmt.Errorf("the comment %q has no end", p.s[p.i:min(p.i+20, len(p.s))])
				return true
			}
			if p.i += n; p.comment == "" {
				p.comment = Clean(text)
			}
			continue
		}
		break
	}
	return p.i > start
}

// comment reads the comment that s begins with: its text, and how long it is. Comments nest
// (RFC 5322 section 3.2.2).
func comment(s string) (text string, n int, ok bool) {
	var b strings.Builder
	depth := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			i++
			c = s[i]
		case c == '(':
			if depth++; depth == 1 {
				continue
			}
		case c == ')':
			if depth--; depth == 0 {
				return b.String(), i + 1, true
			}
		case c == '\r' || c == '\n': // a fold
			continue
		}
		if depth > maxDepth {
			break
		}
		b.WriteByte(c)
	}
	return "", 0, false
}

// value reads a token or a quoted string (RFC 2045 section 5.1).
func (p *parser) value() (string, bool) {
	if p.end() {
		return "", false
	}
	if p.s[p.i] == '"' {
		raw, text, ok := quoted(p.s[p.i:])
		p.i += len(raw)
		return text, ok
	}
	s := p.run(func(c byte) bool { return isTokenByte(rune(c)) || c >= 0x80 })
	return s, s != ""
}

// quoted reads the quoted string that s begins with: as it is, and what it says.
func quoted(s string) (raw, text string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i+1], b.String(), true
		case c == '\r' || c == '\n': // a fold
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// pvalue reads a value, an address or a domain. An address whose local part is in quotes
// stays as it is written, since that is its external form.
func (p *parser) pvalue() (string, bool) {
	start := p.i
	if !p.end() && p.s[p.i] == '"' {
		text, ok := p.value()
		if !ok || p.end() || p.s[p.i] != '@' {
			return text, ok
		}
	}
	p.run(func(c byte) bool { return c > ' ' && c != 0x7f && strings.IndexByte(`;()"`, c) < 0 })
	return p.s[start:p.i], p.i > start
}
