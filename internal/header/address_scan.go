package header

import "strings"

// The tokens of an address field: those of RFC 822 section 3.3, with "|", "%" and "!"
// as operators of their own. Nothing that was written is lost but whitespace, quotes
// and backslashes that say nothing, so that a field can be written again from them.

type tokenKind uint8

const (
	tokOperator tokenKind = iota // a character
	tokGroup                     // the colon after the name of a group
	tokAtom
	tokQuoted  // text without its quotes and backslashes
	tokComment // text as it was written, parentheses included; it may span lines
	tokLiteral // text without its brackets
	tokAddress // an address; only in what parse returns
)

// token is a part of a field.
type token struct {
	kind    tokenKind
	op      byte    // of an operator
	text    string  // of the other kinds
	address []token // of tokAddress
}

func (t *token) is(op byte) bool { return t.kind == tokOperator && t.op == op }

// isWord tells what needs a space between itself and another of its like.
func (t *token) isWord() bool { return t.kind >= tokAtom }

// scan splits s into tokens, limit of them at most (0: all).
func scan(s string, limit int) []token {
	tokens := make([]token, 0, 8)
	for i := 0; i < len(s); {
		c := s[i]
		if isSpace(c) {
			i++
			continue
		}
		var t token
		switch {
		case c == '(':
			t.kind = tokComment
			t.text, i = scanComment(s, i)
		case c == '[':
			t.kind = tokLiteral
			t.text, i = collect(s, i+1, func(c byte) bool { return c != ']' })
			i = min(i+1, len(s))
		case c == '"':
			t.kind = tokQuoted
			t.text, i = collect(s, i+1, func(c byte) bool { return c != '"' })
			i = min(i+1, len(s))
		case c != '\\' && isOperator(c):
			t.op = c
			i++
		default:
			t.kind = tokAtom
			t.text, i = collect(s, i, func(c byte) bool { return !isSpace(c) && !isOperator(c) })
			if needsQuotes(t.text) { // a backslash made a plain character of a special one
				t.kind = tokQuoted
			}
		}
		if tokens = append(tokens, t); len(tokens) == limit {
			break
		}
	}
	return tokens
}

// collect reads from i as long as in says so; a backslash takes the next byte as it is.
// Whitespace of any kind becomes a space: this is what unfolds a quoted string.
func collect(s string, i int, in func(byte) bool) (string, int) {
	start, plain := i, true
	for i < len(s) && (in(s[i]) || s[i] == '\\') {
		if s[i] == '\\' {
			plain = false
			i++
		} else if isSpace(s[i]) && s[i] != ' ' {
			plain = false
		}
		i++
	}
	i = min(i, len(s))
	if plain {
		return s[start:i], i
	}
	b := make([]byte, 0, i-start)
	for j := start; j < i; j++ {
		if s[j] == '\\' {
			if j++; j >= i {
				break
			}
		}
		if isSpace(s[j]) {
			b = append(b, ' ')
		} else {
			b = append(b, s[j])
		}
	}
	return string(b), i
}

// scanComment reads the comment at i. Comments nest, and end with the field at last.
func scanComment(s string, i int) (string, int) {
	start, depth := i, 0
	for ; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[start : i+1], i + 1
			}
		case '\\':
			i++
		}
	}
	return s[start:], len(s)
}

func needsQuotes(text string) bool {
	for i := 0; i < len(text); i++ {
		if c := text[i]; c <= ' ' || c == 0x7f || isOperator(c) {
			return true
		}
	}
	return false
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isOperator(c byte) bool { return c < 0x80 && strings.IndexByte(`|%!()<>@,;:\".[]`, c) >= 0 }
