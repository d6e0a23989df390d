package header

import (
	"bytes"
	"strings"

	"aliasmx/internal/mail"
)

// maxOther is how many bytes around an address are kept: phrases and comments. Beyond
// that they are dropped, which saves old Sendmail from an overflow (CERT advisory
// CA-2003-07), as Postfix does.
const maxOther = 250

// listWriter writes a field from its tokens, one address a line ("\n").
type listWriter struct {
	b       []byte
	start   int    // of the entry under way
	address string // in it
	has     bool   // it has one
}

// appendList appends the tokens of a field's value to b.
func appendList(b []byte, tokens []token) []byte {
	w := listWriter{b: b, start: len(b)}
	for i := range tokens {
		t := &tokens[i]
		if t.is(',') {
			w.endEntry()
			w.b = append(w.b, ",\n"...)
			w.start, w.address, w.has = len(w.b), "", false
			continue
		}
		var next *token
		if i+1 < len(tokens) {
			next = &tokens[i+1]
		}
		w.append(t, next)
		if next != nil && (t.kind == tokGroup || next.is('<') || t.isWord() && next.isWord()) {
			w.b = append(w.b, ' ')
		}
	}
	w.endEntry()
	return w.b
}

func (w *listWriter) append(t, next *token) {
	switch t.kind {
	case tokAddress:
		w.address, w.has = t.text, true
		w.b = append(w.b, t.text...)
	case tokOperator:
		if t.op == '<' && next != nil && next.is('>') {
			w.address, w.has = "", true
		}
		w.b = append(w.b, t.op)
	default:
		w.b = appendToken(w.b, t)
	}
}

func (w *listWriter) endEntry() {
	if w.has && len(w.b)-len(w.address) > w.start+maxOther {
		w.b = append(append(append(w.b[:w.start], '<'), w.address...), '>')
	}
}

func appendToken(b []byte, t *token) []byte {
	switch t.kind {
	case tokOperator:
		return append(b, t.op)
	case tokGroup:
		return append(b, ':')
	case tokQuoted:
		return append(appendEscaped(append(b, '"'), t.text, "\"\\\r\n"), '"')
	case tokLiteral:
		return append(appendEscaped(append(b, '['), t.text, "\\\r\n"), ']')
	}
	return append(b, t.text...)
}

func appendEscaped(b []byte, s, special string) []byte {
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(special, s[i]) >= 0 {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return b
}

// spelling is how an address is written in the field, without what may be between its
// tokens.
func spelling(tokens []token) string {
	var b []byte
	for i := range tokens {
		b = appendToken(b, &tokens[i])
		if tokens[i].is(',') {
			b = append(b, ' ')
		}
	}
	return string(b)
}

// toAddress is the address that tokens spell. The domain is what follows the last @
// outside quotes; a source route (RFC 5321 appendix C) is no part of the address.
func toAddress(tokens []token, separate bool) mail.Address {
	if len(tokens) > 0 && tokens[0].is('@') {
		for i := range tokens[:len(tokens)-1] {
			if tokens[i].is(':') {
				tokens = tokens[i+1:]
				break
			}
		}
	}
	at := len(tokens) - 1
	for at >= 0 && !tokens[at].is('@') {
		at--
	}
	if at < 0 || at == len(tokens)-1 { // "user@" names no domain, and is not "user"
		return mail.Address{Local: internal(tokens, separate)}
	}
	return mail.Address{Local: internal(tokens[:at], separate), Domain: internal(tokens[at+1:], separate)}
}

// internal joins tokens without quotes; separate puts a space between words.
func internal(tokens []token, separate bool) string {
	if len(tokens) == 1 && tokens[0].kind != tokOperator && tokens[0].kind != tokLiteral {
		return tokens[0].text
	}
	var b strings.Builder
	for i := range tokens {
		t := &tokens[i]
		switch t.kind {
		case tokOperator:
			b.WriteByte(t.op)
		case tokLiteral:
			b.WriteByte('[')
			b.WriteString(t.text)
			b.WriteByte(']')
		default:
			b.WriteString(t.text)
		}
		if i+1 == len(tokens) || !separate {
			continue
		}
		if next := &tokens[i+1]; t.is(',') || next.is('<') || t.isWord() && next.isWord() {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// external is an address as it is written into a field.
func external(a mail.Address) string {
	if a.IsNull() {
		return `""`
	}
	if user, ok := strings.CutSuffix(a.Local, "@"); ok && a.Domain == "" && user != "" {
		return mail.Address{Local: user}.String() + "@"
	}
	return a.String()
}

// fold puts as many addresses on a line as there is room for, and begins continued
// lines with a tab. The lines that come in are those of appendList, and those inside
// comments; "\n" becomes CRLF.
func fold(b []byte) []byte {
	const width = 70 // with the tab as one
	out := make([]byte, 0, len(b)+len(b)/16+2)
	start := 0
	for line := 0; ; {
		end := len(b)
		if i := bytes.IndexByte(b[line:], '\n'); i >= 0 {
			end = line + i
		}
		switch {
		case line == 0:
		case end-start < width:
			out = append(out, ' ')
		default:
			start = line
			out = append(out, "\r\n"...)
			if line == len(b) || b[line] != ' ' && b[line] != '\t' {
				out = append(out, '\t')
			}
		}
		out = append(out, b[line:end]...)
		if end == len(b) {
			return append(out, "\r\n"...)
		}
		line = end + 1
	}
}
