package mail

import "strings"

// The lexical tokens of RFC 5322 section 3.2 that an address is made of. Comments and
// whitespace leave no token, but they do separate words.

type pathToken struct {
	kind byte // one of the kinds below, or the special character itself
	text string
	at   int // tokenAtom: behind the last @ of text that a backslash protects; 0: none
}

const (
	tokenAtom    = 'a'
	tokenQuoted  = 'q' // text is what the quotes hold
	tokenLiteral = 'l' // text has its brackets
)

// scanMailbox splits a mailbox into its tokens.
func scanMailbox(s string, strict bool) ([]pathToken, bool) {
	var tokens []pathToken
	for len(s) > 0 {
		var t pathToken
		ok := true
		switch c := s[0]; c {
		case ' ', '\t':
			s = s[1:]
			continue
		case '(':
			if s, ok = skipComment(s); !ok || strict {
				return nil, false
			}
			continue
		case '"':
			t, s, ok = scanQuoted(s)
		case '[':
			// A literal that is not closed ends with the address, as in Postfix.
			end := strings.IndexByte(s, ']')
			if end < 0 {
				t, s = pathToken{kind: tokenLiteral, text: s + "]"}, ""
			} else {
				t, s = pathToken{kind: tokenLiteral, text: s[:end+1]}, s[end+1:]
			}
		case '@', '.', ':', ',', ';':
			t, s = pathToken{kind: c}, s[1:]
		default:
			t, s, ok = scanAtom(s)
		}
		if !ok || hasControl(t.text) {
			return nil, false
		}
		tokens = append(tokens, t)
	}
	return tokens, true
}

// scanAtom reads up to the next special character. It is more than RFC 5321 calls an
// atom: what has no meaning in an address may be part of a name.
func scanAtom(s string) (pathToken, string, bool) {
	t := pathToken{kind: tokenAtom}
	i := 0
	var unescaped strings.Builder
	for ; i < len(s) && strings.IndexByte(" \t()<>[@.:,;\"", s[i]) < 0; i++ {
		if s[i] == '\\' {
			if i++; i == len(s) {
				return t, "", false
			}
			if s[i] == '@' {
				t.at = unescaped.Len() + 1
			}
		}
		unescaped.WriteByte(s[i])
	}
	if i == 0 { // a closing parenthesis or a bracket out of place
		return t, "", false
	}
	t.text = unescaped.String()
	return t, s[i:], true
}

func scanQuoted(s string) (pathToken, string, bool) {
	var text strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return pathToken{kind: tokenQuoted, text: text.String()}, s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return pathToken{}, "", false
			}
		}
		text.WriteByte(s[i])
	}
	return pathToken{}, "", false
}

// skipComment returns what follows a comment. Comments nest.
func skipComment(s string) (string, bool) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[i+1:], true
			}
		}
	}
	return "", false
}

func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] == 0x7f {
			return true
		}
	}
	return false
}

// assemble makes the address of its tokens.
func assemble(tokens []pathToken) (Address, bool) {
	tokens, ok := unwrap(tokens)
	if !ok {
		return Address{}, false
	}
	if len(tokens) == 0 {
		return Address{}, true // a group of nobody
	}
	at := -1
	for i, t := range tokens {
		if t.kind == '@' {
			at = i
		}
	}
	if at < 0 {
		local, ok := joinTokens(tokens)
		if !ok {
			return Address{}, false
		}
		// user\@domain, and no other @: nothing else can be meant. Inside quotes it would
		// be part of the name.
		if n := len(tokens); n > 0 {
			for i, behind := n-1, len(local); i >= 0; i-- {
				if behind -= len(tokenText(tokens[i])); tokens[i].at > 0 {
					at := behind + tokens[i].at
					return checkDomain(Address{Local: local[:at-1], Domain: local[at:]})
				}
			}
		}
		// Address keeps "user@" for an empty domain, which is not one.
		return Address{Local: local}, !strings.HasSuffix(local, "@")
	}
	local, ok := joinTokens(tokens[:at])
	if !ok {
		return Address{}, false
	}
	for _, t := range tokens[at+1:] {
		if t.kind == tokenQuoted || t.at > 0 {
			return Address{}, false
		}
	}
	domain, ok := joinTokens(tokens[at+1:])
	if !ok {
		return Address{}, false
	}
	return checkDomain(Address{Local: local, Domain: domain})
}

// unwrap takes off what stands around an address: a source route (@one,@two:user@domain,
// RFC 5321 section 3.3), or the name of a group that it is alone in ("name: user@domain;",
// RFC 5322 section 3.4). A colon that begins neither belongs to the address.
func unwrap(tokens []pathToken) ([]pathToken, bool) {
	n := len(tokens)
	switch {
	case n > 0 && tokens[0].kind == '@':
		for i := n - 1; i > 0; i-- {
			if tokens[i].kind == ':' {
				return tokens[i+1:], i+1 < n
			}
		}
	case n > 0 && tokens[n-1].kind == ';':
		tokens = tokens[:n-1]
		for i := len(tokens) - 1; i >= 0; i-- {
			if tokens[i].kind == ':' {
				return tokens[i+1:], true
			}
		}
	}
	return tokens, true
}

func checkDomain(a Address) (Address, bool) {
	return a, validDomain(a.Domain)
}

// joinTokens puts tokens together. Two words need a dot or an @ between them.
func joinTokens(tokens []pathToken) (string, bool) {
	if len(tokens) == 1 {
		t := tokens[0]
		return tokenText(t), t.kind != ',' && t.kind != ';'
	}
	var b strings.Builder
	word := false
	for _, t := range tokens {
		switch t.kind {
		case ',', ';':
			return "", false
		case '.', '@', ':':
			word = false
		default:
			if word {
				return "", false
			}
			word = true
		}
		b.WriteString(tokenText(t))
	}
	return b.String(), true
}

func tokenText(t pathToken) string {
	switch t.kind {
	case tokenAtom, tokenQuoted, tokenLiteral:
		return t.text
	}
	return string(rune(t.kind))
}
