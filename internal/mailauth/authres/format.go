package authres

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// width is where lines are folded (RFC 5322 section 2.1.1).
	width = 78
	// maxText bounds a value, a reason and a comment. A value that is longer is left out with
	// its property: cut short, it would be another address.
	maxText = 512
)

// Format returns the whole field, folded, with CRLF. A method or property whose name is no
// keyword is left out. Without methods the field says "none".
func Format(authservID string, methods []Method) []byte {
	w := folder{b: make([]byte, 0, 256)}
	w.b = append(w.b, "Authentication-Results: "...)
	w.column = len(w.b)
	w.word(token(Clean(authservID)) + ";")
	wrote := false
	for i := range methods {
		words := methods[i].words()
		if words == nil {
			continue
		}
		if wrote {
			w.b = append(w.b, ';')
		}
		wrote = true
		w.line()
		for _, word := range words {
			w.word(word)
		}
	}
	if !wrote {
		w.word("none")
	}
	return append(w.b, "\r\n"...)
}

// Results returns the results in one line, without who says so: what mail.Authentic keeps,
// and what an ARC-Authentication-Results field takes over. "none" without methods.
func Results(methods []Method) string {
	var b strings.Builder
	for i := range methods {
		for j, word := range methods[i].words() {
			switch {
			case b.Len() == 0:
			case j == 0:
				b.WriteString("; ")
			default:
				b.WriteByte(' ')
			}
			b.WriteString(word)
		}
	}
	if b.Len() == 0 {
		return "none"
	}
	return b.String()
}

// words are the parts of a result between which a line may end; nil if it cannot be
// written.
func (m *Method) words() []string {
	if !isKeyword(m.Name) || !isKeyword(string(m.Result)) {
		return nil
	}
	words := []string{m.Name + "=" + string(m.Result)}
	if c := short(Clean(m.Comment)); c != "" {
		words = append(words, "("+escape(c, `()\`)+")")
	}
	if r := short(Clean(m.Reason)); r != "" {
		words = append(words, "reason="+token(r))
	}
	for _, p := range m.Properties {
		if isKeyword(p.Type) && isKeyword(p.Name) && len(p.Value) <= maxText {
			words = append(words, p.Type+"."+p.Name+"="+pvalue(Clean(p.Value)))
		}
	}
	return words
}

// Clean is a text as a field can hold it: white space is one space, and what is not printable
// is "?", as are bytes that are no UTF-8. Space at its ends is taken off.
func Clean(s string) string {
	plain := s == "" || s[0] != ' ' && s[len(s)-1] != ' '
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f && (s[i] != ' ' || s[i-1] != ' ')
	}
	if plain {
		return s
	}
	mapped := strings.Map(func(c rune) rune {
		switch {
		case c == ' ', c == '\t', c == '\r', c == '\n':
			return ' '
		case c == utf8.RuneError || !unicode.IsPrint(c):
			return '?'
		}
		return c
	}, s)
	return strings.Join(strings.FieldsFunc(mapped, func(c rune) bool { return c == ' ' }), " ")
}

// short cuts a text for people.
func short(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText - len("...")
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.TrimRight(s[:n], " ") + "..."
}

// token is a value as RFC 2045 section 5.1 has it: as it is, or in quotes.
func token(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !isTokenByte(c) }) {
		return s
	}
	return `"` + escape(s, `"\`) + `"`
}

// pvalue is the value of a property: it may be an address or a domain without quotes too.
func pvalue(s string) string {
	local, domain, hasAt := strings.Cut(s, "@")
	if !hasAt {
		local, domain = "", s
	}
	if isDomain(domain) && (local == "" || isDotAtom(local)) {
		return s
	}
	return token(s)
}

func escape(s, special string) string {
	if !strings.ContainsAny(s, special) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(special, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// isKeyword: RFC 5321's Keyword, which is an Ldh-str, with a letter or digit at each end.
func isKeyword(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// isTokenByte: RFC 2045's token: printable ASCII without tspecials.
func isTokenByte(c rune) bool {
	return c > ' ' && c < 0x7f && !strings.ContainsRune(`()<>@,;:\"/[]?=`, c)
}

// isDotAtom: RFC 5322's dot-atom, with UTF-8 (RFC 6532).
func isDotAtom(s string) bool {
	if s == "" || s[0] == '.' || s[len(s)-1] == '.' || strings.Contains(s, "..") {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return c <= ' ' || c == 0x7f || strings.ContainsRune(`()<>[]:;@\,"`, c)
	})
}

// isDomain: labels of letters, digits, hyphens and underscores, or of UTF-8.
func isDomain(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' {
			return false
		}
		for i := 0; i < len(label); i++ {
			if c := label[i]; !isAlnum(c) && c != '-' && c != '_' && c < 0x80 {
				return false
			}
		}
	}
	return true
}
