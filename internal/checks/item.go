package checks

import "strings"

// The value of a structured field, taken apart as cleanup(8) does: words, quoted strings
// and single special characters (RFC 2045 section 5.1), in items that semicolons separate.
// The mime package of the library takes only what is well formed, and a message that hides
// something is not.

// token is a word, the content of a quoted string, or a special character.
type token struct {
	text string
	kind byte // 'w', 'q', or 's'
}

func (t token) is(special string) bool { return t.kind == 's' && t.text == special }

func (t token) isWord(word string) bool { return t.kind == 'w' && strings.EqualFold(t.text, word) }

const (
	specials = `()<>@,;:\"/[]?=`
	blank    = " \t\r\n"
)

// nextItem returns how many of its first tokens the item at the beginning of s has, and
// what follows it. more is false if there is nothing at all.
func nextItem(s string, item *[3]token) (n int, rest string, more bool) {
	take := func(text string, kind byte) {
		if n < len(item) {
			item[n] = token{text, kind}
			n++
		}
	}
	for s != "" {
		c := s[0]
		switch {
		case strings.IndexByte(blank, c) >= 0:
			s = s[1:]
		case c == ';':
			return n, s[1:], true
		case c == '(':
			s = afterComment(s[1:])
		case c == '"':
			var text string
			text, s = quoted(s[1:])
			take(text, 'q')
		case isSpecial(c):
			take(s[:1], 's')
			s = s[1:]
		default:
			end := 1
			for end < len(s) && strings.IndexByte(blank, s[end]) < 0 && !isSpecial(s[end]) {
				end++
			}
			take(s[:end], 'w')
			s = s[end:]
		}
	}
	return n, "", n > 0
}

func isSpecial(c byte) bool { return c < ' ' || c == 0x7f || strings.IndexByte(specials, c) >= 0 }

// afterComment is what follows a comment, which may hold others.
func afterComment(s string) string {
	for depth := 1; s != "" && depth > 0; s = s[1:] {
		switch s[0] {
		case '(':
			depth++
		case ')':
			depth--
		case '\\':
			if len(s) == 1 {
				return ""
			}
			s = s[1:]
		}
	}
	return s
}

// quoted is the content of a quoted string, unfolded, and what follows it.
func quoted(s string) (text, rest string) {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return string(b), s[i+1:]
		case c == '\n':
			b = []byte(strings.TrimRight(string(b), blank))
		case c == '\\' && i+1 < len(s):
			i++
			b = append(b, s[i])
		case c != '\\':
			b = append(b, c)
		}
	}
	return string(b), ""
}
