package main

import (
	"strings"

	"aliasmx/internal/mail"
)

// Addresses as people write them on command lines and in headers: display names,
// comments, groups, routes, missing commas (RFC 5322 section 3.4 and 4.4; sendmail(1)).

// parseAddressList returns the mailboxes in a list, in order. It never fails: from what
// is no address at all it takes what comes nearest, as Postfix does, and the report
// about that goes to the sender. "<>" is an empty address and is left out.
func parseAddressList(s string) []mail.Address {
	p := addressParser{tokens: scanAddresses(s)}
	for p.more() {
		p.item()
	}
	return p.out
}

type addressToken struct {
	kind byte   // 'w' an atom, 'q' a quoted string, '[' a literal, else the character itself
	text string // without quotes; a literal with its brackets
}

func (t addressToken) isWord() bool { return t.kind == 'w' || t.kind == 'q' || t.kind == '[' }

// scanAddresses takes comments out. What is not closed is closed by the end.
func scanAddresses(s string) []addressToken {
	var tokens []addressToken
	for len(s) > 0 {
		switch c := s[0]; c {
		case ' ', '\t', '\r', '\n', ')', ']': // what closes nothing is nothing
			s = s[1:]
		case '(':
			s = skipComment(s)
		case '"':
			text, rest := scanQuoted(s[1:], '"')
			tokens, s = append(tokens, addressToken{'q', text}), rest
		case '[':
			text, rest := scanQuoted(s[1:], ']')
			tokens, s = append(tokens, addressToken{'[', "[" + text + "]"}), rest
		case ',', ';', ':', '<', '>', '@', '.':
			tokens, s = append(tokens, addressToken{c, string(c)}), s[1:]
		default:
			text, rest := scanAtom(s)
			tokens, s = append(tokens, addressToken{'w', text}), rest
		}
	}
	return tokens
}

func skipComment(s string) string {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[i+1:]
			}
		}
	}
	return ""
}

// scanQuoted reads to the closing character, backslashes taken off. Folding within it
// is no part of it (RFC 5322 section 3.2.4).
func scanQuoted(s string, end byte) (text, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == end:
			return b.String(), s[i+1:]
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '\r' || c == '\n':
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

func scanAtom(s string) (text, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			i++
			b.WriteByte(s[i])
			continue
		}
		if strings.IndexByte(" \t\r\n()\"[],;:<>@.", c) >= 0 {
			return b.String(), s[i:]
		}
		b.WriteByte(c)
	}
	return b.String(), ""
}

type addressParser struct {
	tokens []addressToken
	out    []mail.Address
}

func (p *addressParser) more() bool { return len(p.tokens) > 0 }

func (p *addressParser) next() addressToken {
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

// item reads up to a separator. What stands before "<" is a name, what stands before
// ":" that of a group; neither is an address.
func (p *addressParser) item() {
	var words []addressToken
	for p.more() {
		switch t := p.next(); t.kind {
		case ',', ';':
			p.add(words)
			return
		case ':':
			words = nil
		case '<':
			if p.route() {
				words = nil
			} else {
				words = append(words, t) // as Postfix: it is part of the local part
			}
		case '>':
		default:
			words = append(words, t)
		}
	}
	p.add(words)
}

// route reads what stands in angle brackets: one address, more if there are commas,
// perhaps with a source route before it (RFC 5322 section 4.4: obs-route), which is not
// followed. An unclosed bracket is a character like others.
func (p *addressParser) route() bool {
	end := -1
	for i, t := range p.tokens {
		if t.kind == '>' {
			end = i
			break
		}
		if t.kind == '<' {
			break
		}
	}
	if end < 0 {
		return false
	}
	inside := p.tokens[:end]
	p.tokens = p.tokens[end+1:]
	if len(inside) > 0 && inside[0].kind == '@' {
		for i, t := range inside {
			if t.kind == ':' {
				inside = inside[i+1:]
				break
			}
		}
	}
	begin := 0
	for i, t := range inside {
		if t.kind == ',' {
			p.add(inside[begin:i])
			begin = i + 1
		}
	}
	p.add(inside[begin:])
	return true
}

// add cuts words into addresses where a comma is missing: between two words with
// nothing that joins them.
func (p *addressParser) add(words []addressToken) {
	begin := 0
	for i := 1; i < len(words); i++ {
		if words[i].isWord() && words[i-1].isWord() {
			p.one(words[begin:i])
			begin = i
		}
	}
	p.one(words[begin:])
}

// one makes an address of tokens. The domain begins after the last @ outside quotes.
func (p *addressParser) one(tokens []addressToken) {
	if len(tokens) == 0 {
		return
	}
	at := -1
	for i, t := range tokens {
		if t.kind == '@' {
			at = i
		}
	}
	join := func(tokens []addressToken) string {
		var b strings.Builder
		for _, t := range tokens {
			b.WriteString(t.text)
		}
		return b.String()
	}
	if at < 0 {
		p.out = append(p.out, mail.Address{Local: join(tokens)})
		return
	}
	a := mail.Address{Local: join(tokens[:at]), Domain: join(tokens[at+1:])}
	if a.Domain == "" && a.Local != "" {
		a.Local += "@" // as mail.Address has an address whose domain is empty
	}
	p.out = append(p.out, a)
}
