package table

import (
	"fmt"
	"strings"
)

// Perl regular expressions as PCRE2 takes them, without UTF-8, as far as an address or
// a header can need them. Not supported, and an error each: recursion, conditions,
// branch reset, callouts, verbs, \K, \G, \X, \C and properties of characters.

// perlFlags are those of pcre_table(5).
type perlFlags struct {
	foldCase  bool // i
	multiline bool // m
	dotAll    bool // s
	spaces    bool // x
	anchored  bool // A
	endOnly   bool // E
	ungreedy  bool // U
}

// maxPerlRepeat is the greatest number in a {n,m} of PCRE.
const maxPerlRepeat = 65535

type perlParser struct {
	perlFlags        // in force here: (?i) changes them up to the end of its group
	s         string // the pattern
	i         int
	depth     int
	groups    int
	names     map[string]int
	refs      []perlRef // to be checked when all groups are known
	quoting   bool      // within \Q...\E
}

type perlRef struct {
	to   *node
	name string // "" for a number
	at   int
}

// perlError is a fault at an offset, in the form of Postfix.
type perlError struct {
	at  int
	why string
}

func (e *perlError) Error() string {
	return fmt.Sprintf("error in regex at offset %d: %s", e.at, e.why)
}

func (p *perlParser) fail(why string) error { return &perlError{p.i, why} }

func (p *perlParser) unsupported(what string) error {
	return &perlError{p.i, what + " is not supported here"}
}

// parsePerl reads a pattern and counts its groups.
func parsePerl(s string, flags perlFlags) (*node, int, error) {
	p := &perlParser{perlFlags: flags, s: s, names: map[string]int{}}
	t, err := p.alternatives()
	if err != nil {
		return nil, 0, err
	}
	if p.i < len(p.s) {
		return nil, 0, p.fail("unmatched closing parenthesis")
	}
	for _, ref := range p.refs {
		if ref.name != "" {
			ref.to.n = p.names[ref.name]
		}
		if ref.to.n < 1 || ref.to.n > p.groups {
			return nil, 0, &perlError{ref.at, "reference to non-existent subpattern"}
		}
	}
	if flags.anchored {
		t = &node{kind: nodeCat, subs: []*node{{kind: nodeStart}, t}}
	}
	return t, p.groups, nil
}

func (p *perlParser) next() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

func (p *perlParser) more() bool { return p.i < len(p.s) }

// take skips a text if it comes next.
func (p *perlParser) take(text string) bool {
	if !strings.HasPrefix(p.s[p.i:], text) {
		return false
	}
	p.i += len(text)
	return true
}

func (p *perlParser) alternatives() (*node, error) {
	if p.depth++; p.depth > maxPatternDepth {
		return nil, p.fail("parentheses are too deeply nested")
	}
	flags := p.perlFlags
	defer func() { p.depth--; p.perlFlags = flags }()
	alt := &node{kind: nodeAlt}
	for {
		t, err := p.branch()
		if err != nil {
			return nil, err
		}
		alt.subs = append(alt.subs, t)
		if p.quoting || !p.take("|") {
			return alt, nil
		}
	}
}

func (p *perlParser) branch() (*node, error) {
	cat := &node{kind: nodeCat}
	for {
		if err := p.skipIgnored(); err != nil {
			return nil, err
		}
		if !p.more() || !p.quoting && (p.next() == '|' || p.next() == ')') {
			return cat, nil
		}
		t, err := p.atom()
		if err != nil {
			return nil, err
		}
		if t == nil {
			continue // (?i) is nothing to match
		}
		if t, err = p.repeats(t); err != nil {
			return nil, err
		}
		cat.subs = append(cat.subs, t)
	}
}

// skipIgnored skips what means nothing: \E, \Q when it begins, comments and, with the x
// flag, white space.
func (p *perlParser) skipIgnored() error {
	for p.more() {
		switch c := p.next(); {
		case p.take(`\E`):
			p.quoting = false
		case p.quoting:
			return nil
		case p.take(`\Q`):
			p.quoting = true
		case p.take("(?#"):
			_, rest, ok := strings.Cut(p.s[p.i:], ")")
			if !ok {
				p.i = len(p.s)
				return p.fail("missing ) after (?# comment")
			}
			p.i = len(p.s) - len(rest)
		case p.spaces && isSpace(c):
			p.i++
		case p.spaces && c == '#':
			_, rest, _ := strings.Cut(p.s[p.i:], "\n")
			p.i = len(p.s) - len(rest)
		default:
			return nil
		}
	}
	return nil
}

func (p *perlParser) atom() (*node, error) {
	c := p.next()
	if p.quoting {
		p.i++
		return p.literal(c), nil
	}
	switch c {
	case '(':
		return p.group()
	case '[':
		return p.class()
	case '\\':
		return p.escape()
	case '*', '+', '?':
		return nil, p.fail("quantifier does not follow a repeatable item")
	case '{':
		if _, _, ok, _ := p.bounds(); ok {
			return nil, p.fail("quantifier does not follow a repeatable item")
		}
	}
	p.i++
	switch c {
	case '.':
		var s byteSet
		s.negate()
		if !p.dotAll {
			s.remove('\n')
		}
		return &node{set: s}, nil
	case '^':
		if p.multiline {
			return &node{kind: nodeLineStart}, nil
		}
		return &node{kind: nodeStart}, nil
	case '$':
		switch {
		case p.multiline:
			return &node{kind: nodeLineEnd}, nil
		case p.endOnly:
			return &node{kind: nodeEnd}, nil
		}
		return &node{kind: nodeSoftEnd}, nil
	}
	return p.literal(c), nil
}

func (p *perlParser) literal(c byte) *node {
	var s byteSet
	s.add(c)
	if p.foldCase {
		s.foldCase()
	}
	return &node{set: s}
}

// repeats reads the quantifier behind an atom: there is one at most.
func (p *perlParser) repeats(t *node) (*node, error) {
	if err := p.skipIgnored(); err != nil {
		return nil, err
	}
	if !p.more() || p.quoting {
		return t, nil
	}
	low, high := 0, -1
	switch p.next() {
	case '*':
		p.i++
	case '+':
		low = 1
		p.i++
	case '?':
		high = 1
		p.i++
	case '{':
		l, h, ok, err := p.bounds()
		if err != nil || !ok {
			return t, err
		}
		low, high = l, h
		p.i = p.i + strings.IndexByte(p.s[p.i:], '}') + 1
	default:
		return t, nil
	}
	if t.kind >= nodeStart {
		return nil, p.unsupported("repeating an assertion")
	}
	t = &node{kind: nodeRepeat, subs: []*node{t}, min: low, max: high, lazy: p.ungreedy}
	switch {
	case p.take("?"):
		t.lazy = !t.lazy
	case p.take("+"):
		t.lazy = false
		t = &node{kind: nodeAtomic, subs: []*node{t}}
	}
	return t, nil
}

// bounds looks at {n}, {n,} or {n,m}; another brace is itself.
func (p *perlParser) bounds() (low, high int, ok bool, err error) {
	inner, _, closed := strings.Cut(p.s[p.i+1:], "}")
	from, to, comma := strings.Cut(inner, ",")
	if !closed || from == "" || strings.Trim(from+to, "0123456789") != "" {
		return 0, 0, false, nil
	}
	low, high = decimal(from), decimal(to)
	switch {
	case !comma:
		high = low
	case to == "":
		high = -1
	}
	switch {
	case low > maxPerlRepeat || high > maxPerlRepeat:
		return 0, 0, false, p.fail("number too big in {} quantifier")
	case high >= 0 && low > high:
		return 0, 0, false, p.fail("numbers out of order in {} quantifier")
	}
	return low, high, true, nil
}

// decimal is the number that digits make; it stops growing when it is too big for
// anything.
func decimal(digits string) (n int) {
	for i := range len(digits) {
		n = min(n*10+int(digits[i]-'0'), 1<<20)
	}
	return n
}
