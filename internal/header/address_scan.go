package header

import "aliasmx/internal/mail"

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
		if isSpace(s[i]) {
			i++
			continue
		}
		var next mail.Token
		next, i = mail.NextToken(s, i)
		t := token{kind: kinds[next.Kind], op: next.Op, text: next.Text}
		if tokens = append(tokens, t); len(tokens) == limit {
			break
		}
	}
	return tokens
}

// kinds are ours of those of mail.
var kinds = [...]tokenKind{
	mail.TokenOperator: tokOperator,
	mail.TokenAtom:     tokAtom,
	mail.TokenQuoted:   tokQuoted,
	mail.TokenComment:  tokComment,
	mail.TokenLiteral:  tokLiteral,
}

func isSpace(c byte) bool { return mail.IsAddressSpace(c) }
