package table

import "strings"

// Classes of characters and escapes.

// class reads [...].
func (p *perlParser) class() (*node, error) {
	switch _, kind := posixSyntax(p.s[p.i:]); kind {
	case ':':
		return nil, p.fail("POSIX named classes are supported only within a class")
	case '.', '=':
		return nil, p.fail("POSIX collating elements are not supported")
	}
	p.i++
	var s byteSet
	not := p.take("^")
	for first := true; ; first = false {
		for p.take(`\E`) {
		}
		if !p.more() {
			return nil, p.fail("missing terminating ] for character class")
		}
		if p.next() == ']' && !first {
			p.i++
			break
		}
		set, low, single, err := p.classItem()
		if err != nil {
			return nil, err
		}
		rest := p.s[p.i:]
		if len(rest) < 2 || rest[0] != '-' || rest[1] == ']' {
			s.union(set)
			continue
		}
		if !single {
			return nil, p.fail("invalid range in character class")
		}
		p.i++
		_, high, single, err := p.classItem()
		if err != nil {
			return nil, err
		}
		switch {
		case !single:
			return nil, p.fail("invalid range in character class")
		case low > high:
			return nil, p.fail("range out of order in character class")
		}
		s.addRange(low, high)
	}
	if p.foldCase {
		s.foldCase()
	}
	if not {
		s.negate()
	}
	return &node{set: s}, nil
}

// classItem reads one character of a class, or a class within it.
func (p *perlParser) classItem() (s byteSet, c byte, single bool, err error) {
	switch name, kind := posixSyntax(p.s[p.i:]); kind {
	case ':':
		p.i += len("[:") + len(name) + len(":]")
		not := strings.HasPrefix(name, "^")
		set, known := namedSet(strings.TrimPrefix(name, "^"))
		switch {
		case !known:
			return s, 0, false, p.fail("unknown POSIX class name")
		case p.foldCase && (strings.HasSuffix(name, "upper") || strings.HasSuffix(name, "lower")):
			set, _ = namedSet("alpha")
		}
		if not {
			set.negate()
		}
		return set, 0, false, nil
	case '.', '=':
		return s, 0, false, p.fail("POSIX collating elements are not supported")
	}
	c = p.next()
	p.i++
	if c != '\\' {
		s.add(c)
		return s, c, true, nil
	}
	if !p.more() {
		return s, 0, false, p.fail(`\ at end of pattern`)
	}
	if p.next() == 'b' {
		p.i++
		s.add('\b')
		return s, '\b', true, nil
	}
	if set, ok := perlSet(p.next()); ok {
		p.i++
		return set, 0, false, nil
	}
	if n := p.next(); n == '8' || n == '9' {
		p.i++
		s.add(n)
		return s, n, true, nil
	}
	c, ok, err := p.character()
	if err != nil {
		return s, 0, false, err
	}
	if !ok {
		return s, 0, false, p.unsupported(`\` + string(p.next()) + " in a class")
	}
	s.add(c)
	return s, c, true, nil
}

// posixSyntax tells whether s begins with [:name:], [.name.] or [=name=], and which. A
// name may be anything without a bracket.
func posixSyntax(s string) (name string, kind byte) {
	if len(s) < 2 || s[0] != '[' || strings.IndexByte(":.=", s[1]) < 0 {
		return "", 0
	}
	for i := 2; i+1 < len(s); i++ {
		switch next := s[i+1]; {
		case s[i] == '\\' && (next == ']' || next == '\\'):
			i++
		case s[i] == '[' && next == s[1], s[i] == ']':
			return "", 0
		case s[i] == s[1] && next == ']':
			return s[2:i], s[1]
		}
	}
	return "", 0
}

// perlSet is what \d and its like take.
func perlSet(c byte) (s byteSet, ok bool) {
	switch c {
	case 'd', 'D':
		s, _ = namedSet("digit")
	case 'w', 'W':
		s, _ = namedSet("word")
	case 's', 'S':
		s, _ = namedSet("space")
	case 'h', 'H':
		s = setOf(" \t\xa0")
	case 'v', 'V':
		s = setOf("\n\v\f\r\x85")
	case 'N':
		s = setOf("\n")
	default:
		return s, false
	}
	if 'A' <= c && c <= 'Z' {
		s.negate()
	}
	return s, true
}

// escape reads what a backslash begins outside of a class.
func (p *perlParser) escape() (*node, error) {
	p.i++
	if !p.more() {
		return nil, p.fail(`\ at end of pattern`)
	}
	c := p.next()
	if c == 'N' && strings.HasPrefix(p.s[p.i:], "N{") {
		return nil, p.unsupported(`\N{...}`)
	}
	if set, ok := perlSet(c); ok {
		p.i++
		return &node{set: set}, nil
	}
	if kind, ok := map[byte]nodeKind{'A': nodeStart, 'Z': nodeSoftEnd, 'z': nodeEnd, 'b': nodeWord, 'B': nodeNotWord}[c]; ok {
		p.i++
		return &node{kind: kind}, nil
	}
	switch {
	case c == 'R':
		p.i++
		crlf := &node{kind: nodeCat, subs: []*node{{set: setOf("\r")}, {set: setOf("\n")}}}
		one := &node{set: setOf("\n\v\f\r\x85")}
		return &node{kind: nodeAtomic, subs: []*node{{kind: nodeAlt, subs: []*node{crlf, one}}}}, nil
	case p.take("k<"):
		return p.namedRef(">")
	case p.take("k'"):
		return p.namedRef("'")
	case p.take("k{"):
		return p.namedRef("}")
	case p.take("g"):
		return p.groupRef()
	case '1' <= c && c <= '9':
		if t, ok, err := p.numberRef(); ok || err != nil {
			return t, err
		}
	}
	char, ok, err := p.character()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, p.unsupported(`\` + string(c))
	}
	return p.literal(char), nil
}

// groupRef reads \g1, \g{1}, \g{-1} and \g{name}.
func (p *perlParser) groupRef() (*node, error) {
	braces := p.take("{")
	back := p.take("-")
	digits := p.digits(10, 5)
	switch {
	case digits == "" && braces && !back:
		return p.namedRef("}")
	case digits == "" || braces && !p.take("}"):
		return nil, p.unsupported(`\g of this kind`)
	}
	n := decimal(digits)
	if back {
		n = p.groups + 1 - n
	}
	return p.reference(n, ""), nil
}

// numberRef reads \1 to \9, and \10 and more where there are that many groups before;
// where not, PCRE takes them for octal, and so does character.
func (p *perlParser) numberRef() (t *node, ok bool, err error) {
	start := p.i
	digits := p.digits(10, 5)
	n := decimal(digits)
	if n < 10 || n <= p.groups {
		return p.reference(n, ""), true, nil
	}
	p.i = start
	return nil, false, nil
}

func (p *perlParser) digits(base byte, most int) string {
	start := p.i
	for p.i < len(p.s) && p.i-start < most {
		c := p.s[p.i]
		switch {
		case '0' <= c && c < '0'+min(base, 10):
		case base == 16 && ('a' <= c|0x20 && c|0x20 <= 'f'):
		default:
			return p.s[start:p.i]
		}
		p.i++
	}
	return p.s[start:p.i]
}

// character reads an escape that stands for one character; false for one that does
// not. It begins behind the backslash.
func (p *perlParser) character() (c byte, ok bool, err error) {
	c = p.next()
	if !isAlnum(c) {
		p.i++
		return c, true, nil
	}
	if plain, ok := map[byte]byte{'a': 7, 'e': 27, 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}[c]; ok {
		p.i++
		return plain, true, nil
	}
	number := func(digits string, base int) (byte, bool, error) {
		n := 0
		for i := range len(digits) {
			d := int(digits[i] - '0')
			if digits[i] > '9' {
				d = int(digits[i]|0x20-'a') + 10
			}
			n = min(n*base+d, 1<<20)
		}
		if n > 255 {
			return 0, false, p.fail("character code point value in \\x{} or \\o{} is too large")
		}
		return byte(n), true, nil
	}
	switch {
	case p.take("x{"), p.take("o{"):
		base := byte(16)
		if c == 'o' {
			base = 8
		}
		digits := p.digits(base, 8)
		if digits == "" || !p.take("}") {
			return 0, false, p.fail("digits missing or } missing")
		}
		return number(digits, int(base))
	case p.take("x"):
		return number(p.digits(16, 2), 16)
	case '0' <= c && c <= '7':
		return number(p.digits(8, 3), 8)
	case p.take("c"):
		if d := p.next(); d >= ' ' && d <= '~' {
			p.i++
			if 'a' <= d && d <= 'z' {
				d -= 'a' - 'A'
			}
			return d ^ 0x40, true, nil
		}
		return 0, false, p.fail(`\c must be followed by a printable ASCII character`)
	}
	return 0, false, nil
}
