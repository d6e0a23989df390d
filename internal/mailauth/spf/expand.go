package spf

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// What macros stand for: RFC 7208 section 7.2.

// target is the domain that a term means, in the record of domain. ok is false if nobody
// could be asked for it.
func (c *check) target(d *domainSpec, domain string) (name string, ok bool) {
	const enough = 4 * maxName
	var b []byte
	for i := range d.parts {
		b = append(b, c.expand(&d.parts[i], domain)...)
		if len(b) > enough { // what counts is the right side
			b = b[len(b)-enough:]
		}
	}
	if name, ok = cutName(string(b)); ok {
		return name, true
	}
	return string(b), false
}

// expand is one part.
func (c *check) expand(p *part, domain string) string {
	if p.letter == 0 {
		return p.literal
	}
	return p.transform(c.value(p.letter, domain))
}

func (c *check) value(letter byte, domain string) string {
	switch letter {
	case 's':
		c.usesLocal = true
		return c.local + "@" + c.sender
	case 'l':
		c.usesLocal = true
		return c.local
	case 'o':
		return c.sender
	case 'd':
		return domain
	case 'i':
		return dotted(c.ip)
	case 'p':
		return c.ptr.best(domain)
	case 'h':
		return c.helo
	case 'v':
		if c.ip.Is4() {
			return "in-addr"
		}
		return "ip6"
	case 'c':
		return c.ip.String()
	case 'r':
		return cmp.Or(c.q.Receiver, "unknown")
	}
	now := c.q.Now // 't'
	if now == nil {
		now = time.Now
	}
	return strconv.FormatInt(now().Unix(), 10)
}

// dotted is an address as a name has it: IPv6 by its digits.
func dotted(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	const hex = "0123456789ABCDEF"
	raw := ip.As16()
	b := make([]byte, 0, 63)
	for i, x := range raw {
		if i > 0 {
			b = append(b, '.')
		}
		b = append(b, hex[x>>4], '.', hex[x&15])
	}
	return string(b)
}

// explanation is what the domain says of a fail. Whatever is wrong with it, the result
// stays as it is, and there is none (section 6.2).
func (c *check) explanation(o outcome) string {
	if o.exp == nil {
		return ""
	}
	name, ok := c.target(o.exp, o.domain)
	if !ok {
		return ""
	}
	texts, err := c.texts(name)
	if err != nil || len(texts) != 1 || len(texts[0]) > maxRecord {
		return ""
	}
	parts, err := parseMacros(texts[0], true)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for i := range parts {
		if b.WriteString(c.expand(&parts[i], o.domain)); b.Len() > maxExplanation {
			return ""
		}
	}
	return printed(b.String())
}

// printed is text of a stranger, for a line of printable ASCII.
func printed(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
}
