package alias

import (
	"strings"

	"aliasmx/internal/mail"
)

// Addresses as text, read as Postfix reads them: the tokens of RFC 822 (section 3.3)
// with "|", "%" and "!" as operators of their own, and lists that forgive much. A
// comma may be missing between two addresses, a phrase before <address> and comments
// anywhere are dropped, "name: a, b;" is the group of a and b.

// token is a mail.Token; comments are none of ours.
type token struct {
	kind mail.TokenKind
	op   byte // of an operator
	text string
}

const (
	operator = mail.TokenOperator
	atom     = mail.TokenAtom
	quoted   = mail.TokenQuoted
	literal  = mail.TokenLiteral
)

func (t token) is(op byte) bool { return t.kind == operator && t.op == op }

// scan splits s into tokens. Comments are left out: none of our readers wants them.
func scan(s string) []token {
	tokens := make([]token, 0, 8)
	for i := 0; i < len(s); {
		if isSpace(s[i]) {
			i++
			continue
		}
		var t mail.Token
		if t, i = mail.NextToken(s, i); t.Kind != mail.TokenComment {
			tokens = append(tokens, token{t.Kind, t.Op, t.Text})
		}
	}
	return tokens
}

func isSpace(c byte) bool { return mail.IsAddressSpace(c) }

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
