package alias

import (
	"strings"

	"aliasmx/internal/mail"
)

// Addresses as text, read as Postfix reads them: the tokens of RFC 822 (section 3.3)
// with "|", "%" and "!" as operators of their own, and lists that forgive much. A
// comma may be missing between two addresses, a phrase before <address> and comments
// anywhere are dropped, "name: a, b;" is the group of a and b.

type tokenKind uint8

const (
	operator tokenKind = iota
	atom
	quoted  // text without its quotes and backslashes
	literal // text without its brackets
)

type token struct {
	kind tokenKind
	op   byte // of an operator
	text string
}

func (t token) is(op byte) bool { return t.kind == operator && t.op == op }

// scan splits s into tokens. Comments are left out: none of our readers wants them.
func scan(s string) []token {
	tokens := make([]token, 0, 8)
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case isSpace(c):
			i++
		case c == '(':
			i = skipComment(s, i)
		case c == '[':
			text, next := collect(s, i+1, func(c byte) bool { return c != ']' })
			tokens = append(tokens, token{kind: literal, text: text})
			i = min(next+1, len(s))
		case c == '"':
			text, next := collect(s, i+1, func(c byte) bool { return c != '"' })
			tokens = append(tokens, token{kind: quoted, text: text})
			i = min(next+1, len(s))
		case c != '\\' && isOperator(c):
			tokens = append(tokens, token{kind: operator, op: c})
			i++
		default:
			text, next := collect(s, i, func(c byte) bool { return !isSpace(c) && !isOperator(c) })
			t := token{kind: atom, text: text}
			if strings.ContainsFunc(text, func(r rune) bool {
				return r <= ' ' || r == 0x7f || r < 0x80 && isOperator(byte(r))
			}) {
				t.kind = quoted // a backslash made a special of it plain
			}
			tokens = append(tokens, t)
			i = next
		}
	}
	return tokens
}

// collect reads from i as long as in says so; a backslash takes the next byte as it
// is. It returns what it read and where it stopped.
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

func skipComment(s string, i int) int {
	for depth := 0; i < len(s); i++ {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		case '\\':
			i++
		}
	}
	return len(s)
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func isOperator(c byte) bool {
	switch c {
	case '|', '%', '!', '(', ')', '<', '>', '@', ',', ';', ':', '\\', '"', '.', '[', ']':
		return true
	}
	return false
}

// parseList splits s into the tokens of each address in it.
//
// It reads from right to left, as Postfix does: what stands before an address can be
// told from it only when the address is known. A word that follows another without an
// operator between them ends an address, as a comma does.
func parseList(s string) [][]token {
	tokens := scan(s)
	var found [][]token // last address first
	right := len(tokens)
	emit := func(from int) {
		if from < right {
			found = append(found, tokens[from:right:right])
		}
		right = from
	}
	inGroup, wordMayCome := false, true
	for i := len(tokens) - 1; i >= 0; {
		switch t := tokens[i]; {
		case t.kind != operator:
			if !wordMayCome {
				emit(i + 1)
			}
			wordMayCome = false
		case t.op == ';':
			emit(i + 1)
			right, inGroup, wordMayCome = i, true, true
		case t.op == ':' && inGroup:
			emit(i + 1)
			for i >= 0 && !tokens[i].is(',') {
				i--
			}
			right = max(i, 0)
			continue
		case t.op == '>':
			emit(i + 1)
			right = i
			for i--; i >= 0 && !tokens[i].is('<'); {
				i--
			}
			emit(i + 1)
			for i >= 0 && !(tokens[i].kind == operator && strings.IndexByte(">;,:", tokens[i].op) >= 0) {
				i--
			}
			right, wordMayCome = max(i, 0), true
			continue
		case t.op == ',':
			emit(i + 1)
			right, wordMayCome = i, true
		default:
			wordMayCome = true
		}
		i--
	}
	emit(0)
	for i, j := 0, len(found)-1; i < j; i, j = i+1, j-1 {
		found[i], found[j] = found[j], found[i]
	}
	return found
}

// toAddress joins the tokens of one address. The domain is what follows the last @
// that stands outside quotes.
func toAddress(tokens []token) mail.Address {
	at := lastIndex(tokens, '@')
	if at < 0 {
		return mail.Address{Local: join(tokens)}
	}
	if at == len(tokens)-1 { // "user@" names no domain and must not pass for "user"
		return mail.Address{Local: join(tokens)}
	}
	return mail.Address{Local: join(tokens[:at]), Domain: join(tokens[at+1:])}
}

func join(tokens []token) string {
	if len(tokens) == 1 && (tokens[0].kind == atom || tokens[0].kind == quoted) {
		return tokens[0].text
	}
	var b strings.Builder
	for _, t := range tokens {
		switch t.kind {
		case operator:
			b.WriteByte(t.op)
		case literal:
			b.WriteByte('[')
			b.WriteString(t.text)
			b.WriteByte(']')
		default:
			b.WriteString(t.text)
		}
	}
	return b.String()
}

// splitInternal reads an address in internal form. Unlike mail.SplitAddress it keeps
// "user@" apart from "user".
func splitInternal(s string) mail.Address {
	if strings.HasSuffix(s, "@") {
		return mail.Address{Local: s}
	}
	return mail.SplitAddress(s)
}

// external is the external form of an address. It too keeps "user@", which has no
// domain to complete and shows as it is in the diagnosis, apart from "user".
func external(a mail.Address) string {
	if user, ok := strings.CutSuffix(a.Local, "@"); ok && a.Domain == "" {
		return mail.Address{Local: user}.String() + "@"
	}
	return a.String()
}

func index(tokens []token, op byte) int {
	for i, t := range tokens {
		if t.is(op) {
			return i
		}
	}
	return -1
}

func lastIndex(tokens []token, op byte) int {
	for i := len(tokens) - 1; i >= 0; i-- {
		if tokens[i].is(op) {
			return i
		}
	}
	return -1
}
