package table

import (
	"slices"
	"strings"
)

// Lists of addresses as tok822_parse(3) of Postfix reads them. Nothing is an error: what
// makes no sense as an address is kept as it is, and whoever uses it finds out.

// aliasToken is an atom, a quoted string, a domain literal or a comment, or one of the
// operators.
type aliasToken struct {
	kind aliasKind
	text string // without quotes and brackets; a comment with its parentheses
	op   byte
}

type aliasKind uint8

const (
	tokenOperator aliasKind = iota
	tokenAtom
	tokenQuoted
	tokenLiteral
	tokenComment
)

const aliasOperators = `|%!()<>@,;:\".[]`

func (t aliasToken) is(op byte) bool { return t.kind == tokenOperator && t.op == op }

// AliasTarget is one of the things that an alias leads to.
type AliasTarget struct {
	// Text is all of it, without quotes: an address, "|command", "/file", ":include:/file".
	Text string
	// Domain is where in Text the @ before the domain stands, or -1. An @ inside quotes is
	// none.
	Domain int
}

// AliasTargets reads the value of an alias, or a line of an :include: file. Commas
// between the targets may be missing; names of groups, phrases and comments are left out.
func AliasTargets(value string) []AliasTarget {
	var list []AliasTarget
	for _, tokens := range parseAliases(scanAliases(value)) {
		t := AliasTarget{Text: internalForm(tokens, false), Domain: -1}
		for i := len(tokens) - 1; i >= 0; i-- {
			if tokens[i].is('@') {
				t.Domain = len(internalForm(tokens[:i], false))
				break
			}
		}
		list = append(list, t)
	}
	return list
}

func scanAliases(s string) (tokens []aliasToken) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case isBlank(c):
			i++
		case c == '(':
			end := commentEnd(s, i)
			tokens = append(tokens, aliasToken{kind: tokenComment, text: s[i:end]})
			i = end
		case c == '[':
			var t aliasToken
			t.text, i = collect(s, i+1, func(c byte) bool { return c == ']' })
			t.kind = tokenLiteral
			tokens = append(tokens, t)
			i++
		case c == '"':
			var t aliasToken
			t.text, i = collect(s, i+1, func(c byte) bool { return c == '"' })
			t.kind = tokenQuoted
			tokens = append(tokens, t)
			i++
		case c != '\\' && strings.IndexByte(aliasOperators, c) >= 0:
			tokens = append(tokens, aliasToken{op: c})
			i++
		default:
			t := aliasToken{kind: tokenAtom}
			t.text, i = collect(s, i, func(c byte) bool {
				return isBlank(c) || c != '\\' && strings.IndexByte(aliasOperators, c) >= 0
			})
			if strings.ContainsFunc(t.text, needsQuotes) {
				t.kind = tokenQuoted
			}
			if t.text != "" { // a backslash at the very end
				tokens = append(tokens, t)
			}
		}
	}
	return tokens
}

// needsQuotes tells what an atom can hold only after a backslash.
func needsQuotes(c rune) bool {
	return c <= ' ' || c == 0x7f || c < 0x80 && strings.IndexByte(aliasOperators, byte(c)) >= 0
}

// collect reads up to a byte that stop wants. A backslash takes the meaning of the next
// byte; white space is as good as a space.
func collect(s string, i int, stop func(byte) bool) (text string, end int) {
	var b []byte
	for ; i < len(s) && !stop(s[i]); i++ {
		if s[i] == '\\' {
			if i++; i == len(s) {
				break
			}
		}
		if c := s[i]; isBlank(c) {
			b = append(b, ' ')
		} else {
			b = append(b, c)
		}
	}
	return string(b), i
}

// commentEnd is where a comment ends, which may hold others.
func commentEnd(s string, i int) int {
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

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// parseAliases divides tokens into those of each address. It goes from right to left, as
// what stands before an address can be told from it only when the address is known; two
// words without an operator between them are two addresses.
func parseAliases(tokens []aliasToken) [][]aliasToken {
	tokens = slices.DeleteFunc(tokens, func(t aliasToken) bool { return t.kind == tokenComment })
	var found [][]aliasToken // the last one first
	right := len(tokens)
	end := func(from int) {
		if from < right {
			found = append(found, tokens[from:right])
		}
	}
	group, wordMayCome := false, true
	for i := len(tokens) - 1; i >= 0; {
		switch t := tokens[i]; {
		case t.is(';'):
			end(i + 1)
			right, group, wordMayCome = i, true, true
		case t.is(':') && group:
			end(i + 1)
			for i >= 0 && !tokens[i].is(',') {
				i--
			}
			right = i + 1
			continue
		case t.is('>'):
			end(i + 1)
			right = i
			for i >= 0 && !tokens[i].is('<') {
				i--
			}
			end(i + 1)
			for i >= 0 && (tokens[i].kind != tokenOperator || strings.IndexByte(">;,:", tokens[i].op) < 0) {
				i--
			}
			right, wordMayCome = i+1, true
			continue
		case t.is(','):
			end(i + 1)
			right, wordMayCome = i, true
		case t.kind == tokenOperator:
			wordMayCome = true
		default:
			if !wordMayCome {
				end(i + 1)
				right = i + 1
			}
			wordMayCome = false
		}
		i--
	}
	end(0)
	slices.Reverse(found)
	return found
}

// internalForm joins tokens without their quotes. Words are kept apart in the name of an
// alias, which is no address yet.
func internalForm(tokens []aliasToken, spaced bool) string {
	var b strings.Builder
	for i, t := range tokens {
		switch t.kind {
		case tokenOperator:
			b.WriteByte(t.op)
		case tokenLiteral:
			b.WriteString("[" + t.text + "]")
		default:
			b.WriteString(t.text)
		}
		if spaced && spaceAfter(tokens, i) {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// externalForm joins tokens so that they can be read again.
func externalForm(tokens []aliasToken) string {
	var b strings.Builder
	for i, t := range tokens {
		switch t.kind {
		case tokenOperator:
			b.WriteByte(t.op)
		case tokenQuoted:
			b.WriteByte('"')
			escape(&b, t.text, "\"\\\r\n")
			b.WriteByte('"')
		case tokenLiteral:
			b.WriteByte('[')
			escape(&b, t.text, "\\\r\n")
			b.WriteByte(']')
		default:
			b.WriteString(t.text)
		}
		if t.is(',') || spaceAfter(tokens, i) {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

func spaceAfter(tokens []aliasToken, i int) bool {
	if i+1 == len(tokens) || tokens[i].is(',') {
		return false
	}
	next := tokens[i+1]
	return next.is('<') || tokens[i].kind != tokenOperator && next.kind != tokenOperator
}

func escape(b *strings.Builder, s, special string) {
	for i := range len(s) {
		if strings.IndexByte(special, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
}
