package authres

import (
	"bytes"
	"io"
	"mime"
	"strings"

	"golang.org/x/net/idna"
)

// Ours tells whether a field, from its name on, is an Authentication-Results field that
// claims to be by authservID, or that some reader could take for that: nobody but us may say
// so (RFC 8601 section 5). A name is ours in any case, in quotes, behind comments, with a
// version, as A-labels or in Unicode, with a dot at the end.
//
// Where the field is well-formed up to its first ";", it is by whom it says. Where it is not,
// readers differ: then it is ours if a name of ours stands where any of them might look.
func Ours(field []byte, authservID string) bool {
	name, value, ok := bytes.Cut(field, []byte{':'})
	if !ok || !strings.EqualFold(strings.TrimRight(string(name), " \t\r\n"), "Authentication-Results") {
		return false
	}
	ours := canonical(authservID)
	if ours == "" {
		return false
	}
	s := string(value)
	id, behind, ok := head(s)
	switch {
	case ok && canonical(id) == ours:
		return true
	case ok && strings.IndexByte(s, ';') == behind:
		return claims(decodeWords(id), ours)
	}
	return claims(malformedHead(s), ours)
}

// head reads a well-formed beginning: the name, and where the ";" behind it stands (-1 where
// there is none).
func head(s string) (id string, behind int, ok bool) {
	p := parser{s: s}
	id, err := p.id()
	switch {
	case err != nil:
		return "", 0, false
	case p.end():
		return id, -1, true
	}
	return id, p.i, p.s[p.i] == ';'
}

// malformedHead is as much of a value as a reader might take for the name of who says so:
// up to the first ";" behind something, outside or inside of comments and quotes, whichever
// is later, or all of it where they have no end. "i=1" is what stands first in the like
// field of ARC.
func malformedHead(s string) string {
	end := 0
	for {
		i := strings.IndexByte(s[end:], ';')
		if i < 0 {
			return s
		}
		part := strings.Trim(s[end:end+i], " \t\r\n")
		end += i + 1
		if part != "" && !strings.HasPrefix(part, "i=") {
			break
		}
	}
	p := parser{s: s}
	for !p.end() {
		p.cfws()
		switch {
		case p.err != nil:
			return s
		case p.end():
			return s
		case p.s[p.i] == '"':
			if _, ok := p.value(); !ok {
				return s
			}
		case p.s[p.i] == ';' && p.i >= end-1:
			return s[:p.i]
		default:
			p.i++
		}
	}
	return s
}

// claims tells whether a name of ours stands in s as a word of its own, under any of the
// ways in which somebody might read it.
func claims(s, ours string) bool {
	decoded := decodeWords(s)
	for _, reading := range []string{s, plain(s), joined(s), decoded, plain(decoded), joined(decoded)} {
		if hasName(reading, ours) {
			return true
		}
	}
	return false
}

// hasName looks for a word. One behind "=" or "@" is the value of a property, or the domain
// of an address: nobody takes it for the name.
func hasName(s, ours string) bool {
	for i := 0; i < len(s); {
		start := i
		for i < len(s) && isNameByte(s[i]) {
			i++
		}
		if i == start {
			i++
			continue
		}
		valueOf := start > 1 && (s[start-1] == '=' || s[start-1] == '@') && isAlnum(s[start-2])
		if !valueOf && canonical(s[start:i]) == ours {
			return true
		}
	}
	return false
}

func isNameByte(c byte) bool { return isAlnum(c) || c == '-' || c == '.' || c == '_' || c >= 0x80 }

// plain is s for a reader who passes over quotes, backslashes and what is not printable.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f || c == '"' || c == '\\' {
			return -1
		}
		return c
	}, s)
}

// joined is s for a reader of RFC 822, to whom "mx . (comment) a.example" is a domain.
func joined(s string) string {
	var b strings.Builder
	p := parser{s: s}
	for !p.end() {
		if p.s[p.i] == '(' {
			if _, n, ok := comment(p.s[p.i:]); ok {
				p.i += n
				continue
			}
		}
		b.WriteByte(p.s[p.i])
		p.i++
	}
	words := strings.Fields(plain(b.String()))
	out := strings.Join(words, " ")
	return strings.ReplaceAll(strings.ReplaceAll(out, " .", "."), ". ", ".")
}

// decodeWords is s for a reader who takes encoded words (RFC 2047) everywhere for what they
// say. A character set that is not known here is read byte for byte.
func decodeWords(s string) string {
	if !strings.Contains(s, "=?") {
		return s
	}
	d := mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}
	if decoded, err := d.DecodeHeader(s); err == nil {
		return decoded
	}
	return s
}

// canonical is a name as it is compared: A-labels where it is a domain, lower case, without
// the dots at its end.
func canonical(s string) string {
	const (
		around  = " \t\r\n."
		longest = 1024 // a domain is shorter, in any encoding; making A-labels is quadratic
	)
	if s = strings.Trim(s, around); len(s) > longest {
		return ""
	}
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			if a, err := idna.Lookup.ToASCII(s); err == nil {
				s = strings.Trim(a, around)
			}
			break
		}
	}
	return strings.ToLower(s)
}
