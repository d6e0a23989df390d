package mail

// Addresses as text, in the tokens of RFC 822 section 3.3 with "|", "%" and "!" as
// operators of their own: the way Postfix reads them in tables and header fields. What a
// client says in SMTP is read more strictly, by ParsePath.

// Token is a part of an address as it was written.
type Token struct {
	Kind TokenKind
	Op   byte   // of an operator
	Text string // of the other kinds
}

// TokenKind is what a Token is.
type TokenKind uint8

// The kinds.
const (
	TokenOperator TokenKind = iota
	TokenAtom
	TokenQuoted  // text without its quotes and backslashes, or that has to be quoted
	TokenComment // text as it was written, parentheses included; it may span lines
	TokenLiteral // text without its brackets
)

// NextToken reads the token at i, which is no white space, and returns where it ends.
// What is not closed ends with s.
func NextToken(s string, i int) (t Token, end int) {
	switch c := s[i]; {
	case c == '(':
		t.Kind = TokenComment
		t.Text, i = collectComment(s, i)
	case c == '[':
		t.Kind = TokenLiteral
		t.Text, i = collect(s, i+1, func(c byte) bool { return c != ']' })
		i = min(i+1, len(s))
	case c == '"':
		t.Kind = TokenQuoted
		t.Text, i = collect(s, i+1, func(c byte) bool { return c != '"' })
		i = min(i+1, len(s))
	case c != '\\' && IsAddressOperator(c):
		t.Op = c
		i++
	default:
		t.Kind = TokenAtom
		t.Text, i = collect(s, i, func(c byte) bool { return !IsAddressSpace(c) && !IsAddressOperator(c) })
		if needsQuotes(t.Text) { // a backslash made a plain character of a special one
			t.Kind = TokenQuoted
		}
	}
	return t, i
}

// collect reads from i as long as in says so; a backslash takes the next byte as it is.
// White space of any kind becomes a space: this is what unfolds a quoted string. It
// returns what it read and where it stopped.
func collect(s string, i int, in func(byte) bool) (string, int) {
	start, plain := i, true
	for i < len(s) && (in(s[i]) || s[i] == '\\') {
		if s[i] == '\\' {
			plain = false
			i++
		} else if IsAddressSpace(s[i]) && s[i] != ' ' {
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
		if IsAddressSpace(s[j]) {
			b = append(b, ' ')
		} else {
			b = append(b, s[j])
		}
	}
	return string(b), i
}

// collectComment reads the comment at i. Comments nest.
func collectComment(s string, i int) (string, int) {
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
		if c := text[i]; c <= ' ' || c == 0x7f || IsAddressOperator(c) {
			return true
		}
	}
	return false
}

// IsAddressSpace tells the white space that separates tokens.
func IsAddressSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// IsAddressOperator tells the characters that are tokens of their own, or begin one that
// is no atom.
func IsAddressOperator(c byte) bool {
	switch c {
	case '|', '%', '!', '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '.', '[', ']':
		return true
	}
	return false
}
