package dmarc

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"
)

// maxDomains is how many author domains are told. Two are too many already.
const maxDomains = 16

var (
	errNoFrom  = errors.New("there is no From field")
	errNoName  = errors.New("the From field has no address with a domain")
	errHidden  = errors.New("the From field has an address in quotes, or in an encoded word, where an address should be")
	errControl = errors.New("the From field has a NUL byte or a bare carriage return in it")
)

// AuthorDomains returns the domains of all addresses in all From fields of a header: A-labels
// in lower case, each once, in their order; more than maxDomains are cut there. header ends
// with its first empty line, or as it is.
//
// Where a field could be read in more than one way, all domains that any reader could see
// are among them: "a@one.example <b@two.example>" has two. Where that cannot be told, the
// field is malformed, and there is an error and no domain: also where another From field is
// in order. Display names in quotes, comments and encoded words are not looked into: they
// are not addresses.
func AuthorDomains(header []byte) (domains []string, err error) {
	seen := false
	for value := range fromFields(header) {
		seen = true
		p := fromParser{domains: domains}
		if err := p.parse(value); err != nil {
			return nil, err
		}
		domains = p.domains
	}
	switch {
	case !seen:
		return nil, errNoFrom
	case len(domains) == 0:
		return nil, errNoName
	}
	return domains, nil
}

// fromParser reads the value of one From field (RFC 5322 section 3.4, with the obsolete forms
// of section 4.4).
type fromParser struct {
	tokens  []fromToken
	domains []string
}

func (p *fromParser) parse(value string) error {
	value = strings.TrimRight(value, "\r\n")
	if bare := strings.ReplaceAll(value, "\r\n", ""); strings.ContainsAny(bare, "\r\x00") {
		return errControl
	}
	tokens, err := scanFrom(value)
	if err != nil {
		return err
	}
	p.tokens = tokens
	return p.list(false)
}

// list reads addresses, up to the end of the field or of a group. What can be told whoever
// reads it is taken, though it is not by the book: ";" between addresses, a group that has no
// end (a name with a colon in it).
func (p *fromParser) list(inGroup bool) error {
	for {
		switch before := p.before(); p.kind() {
		case '<':
			if err := p.angle(); err != nil {
				return err
			}
			if err := p.shown(before); err != nil {
				return err
			}
		case ':':
			switch {
			case inGroup || len(before) == 0:
				return p.unexpected()
			case hidesAddress(before):
				return errHidden
			}
			if err := p.shown(before); err != nil {
				return err
			}
			p.next()
			if err := p.list(true); err != nil {
				return err
			}
			continue // its end is as good as a comma
		default:
			if err := p.addrSpec(before); err != nil {
				return err
			}
		}
		switch p.kind() {
		case ',':
			p.next()
		case ';':
			if p.next(); inGroup {
				return nil
			}
		case tokenEnd:
			return nil
		default:
			return p.unexpected()
		}
	}
}

func (p *fromParser) kind() byte {
	if len(p.tokens) == 0 {
		return tokenEnd
	}
	return p.tokens[0].kind
}

func (p *fromParser) next() { p.tokens = p.tokens[1:] }

func (p *fromParser) unexpected() error {
	if len(p.tokens) == 0 {
		return errors.New("the From field ends in the middle of an address")
	}
	return fmt.Errorf("the From field is malformed at %q", p.tokens[0].show())
}

// before takes what may stand before "<" or ":", or is an address by itself.
func (p *fromParser) before() []fromToken {
	n := 0
	for n < len(p.tokens) && strings.IndexByte(",;:<>", p.tokens[n].kind) < 0 {
		n++
	}
	taken := p.tokens[:n]
	p.tokens = p.tokens[n:]
	return taken
}

// angle reads "<" address ">", with a source route, which names no author.
func (p *fromParser) angle() error {
	p.next()
	n := slices.IndexFunc(p.tokens, func(t fromToken) bool { return t.kind == '>' })
	if n < 0 {
		return errors.New(`an address in the From field has no ">"`)
	}
	inside := p.tokens[:n]
	p.tokens = p.tokens[n+1:]
	if len(inside) > 0 && inside[0].kind == '@' {
		colon := slices.IndexFunc(inside, func(t fromToken) bool { return t.kind == ':' })
		if colon < 0 || !isRoute(inside[:colon]) {
			return errors.New("an address in the From field has no local part")
		}
		inside = inside[colon+1:]
	}
	return p.addrSpec(inside)
}

// isRoute: "@a.example,@b.example" (RFC 5322 section 4.4, obs-domain-list).
func isRoute(tokens []fromToken) bool {
	for i, t := range tokens {
		switch t.kind {
		case ',':
		case '@':
			if i+1 == len(tokens) || tokens[i+1].kind != tokenAtom {
				return false
			}
		case tokenAtom:
			if i == 0 || tokens[i-1].kind != '@' {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// addrSpec reads local@domain. Words without "@" are a name that lacks its domain, or half
// of one with a comma in it: they name no domain.
func (p *fromParser) addrSpec(tokens []fromToken) error {
	at := slices.IndexFunc(tokens, func(t fromToken) bool { return t.kind == '@' })
	if at < 0 {
		for _, t := range tokens {
			if strings.IndexByte(",;:<>", t.kind) >= 0 {
				return fmt.Errorf("the From field is malformed at %q", t.show())
			}
		}
		if hidesAddress(tokens) {
			return errHidden
		}
		return nil
	}
	local, domain := tokens[:at], tokens[at+1:]
	for i, t := range local {
		if t.kind != tokenAtom && t.kind != tokenQuoted {
			return fmt.Errorf("the From field is malformed at %q", t.show())
		}
		if i > 0 && !strings.HasPrefix(t.text, ".") && !strings.HasSuffix(local[i-1].text, ".") {
			return fmt.Errorf("the From field has words before an address without %q", "<>")
		}
	}
	switch {
	case hidesAddress(atoms(local)):
		return errHidden
	case len(local) == 0:
		return errors.New("an address in the From field has no local part")
	case len(domain) == 0:
		return errors.New("an address in the From field has no domain")
	case domain[0].kind == tokenLiteral:
		return fmt.Errorf("an address in the From field has the address literal %s for its domain", domain[0].show())
	case len(domain) > 1 || domain[0].kind != tokenAtom:
		return fmt.Errorf("the domain of an address in the From field is followed by %q", domain[len(domain)-1].show())
	}
	d, err := normal(domain[0].text)
	if err != nil {
		return fmt.Errorf("the From field: %w", err)
	}
	p.add(d)
	return nil
}

// shown looks for addresses in a name that is not in quotes. It is no place for them, but
// there are readers who see them.
func (p *fromParser) shown(name []fromToken) error {
	for i := range len(name) - 1 {
		if name[i].kind != '@' || name[i+1].kind != tokenAtom {
			continue
		}
		domain := name[i+1].text
		if i+2 < len(name) && (strings.HasSuffix(domain, ".") || strings.HasPrefix(name[i+2].text, ".")) {
			return fmt.Errorf("the domain of an address in the From field is followed by %q", name[i+2].show())
		}
		if end := strings.IndexFunc(domain, func(c rune) bool { return c < 0x80 && !isNameByte(byte(c)) }); end >= 0 {
			domain = domain[:end] // "joe@a.example!"
		}
		if d, err := normal(domain); err == nil && strings.Contains(d, ".") {
			p.add(d)
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '.' || c == '-' || c == '_'
}

// hidesAddress tells whether words that are neither a name before "<" nor part of an address
// have an "@" in quotes, or in an encoded word (which RFC 2047 section 5 forbids there). Some
// readers take those for an address.
func hidesAddress(tokens []fromToken) bool {
	d := mime.WordDecoder{CharsetReader: func(_ string, r io.Reader) (io.Reader, error) { return r, nil }}
	return slices.ContainsFunc(tokens, func(t fromToken) bool {
		text := ""
		switch {
		case t.kind == tokenQuoted:
			text = t.text
		case t.kind == tokenAtom && strings.Contains(t.text, "=?"):
			if decoded, err := d.DecodeHeader(t.text); err == nil {
				text = decoded
			}
		}
		return strings.Contains(text, "@")
	})
}

// atoms are the words that are not in quotes, in which a local part may have an "@".
func atoms(tokens []fromToken) []fromToken {
	return slices.DeleteFunc(slices.Clone(tokens), func(t fromToken) bool { return t.kind == tokenQuoted })
}

func (p *fromParser) add(domain string) {
	if len(p.domains) < maxDomains && !slices.Contains(p.domains, domain) {
		p.domains = append(p.domains, domain)
	}
}
