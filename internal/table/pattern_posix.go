package table

import (
	"errors"
	"strings"
)

// POSIX regular expressions as regcomp(3) of glibc takes them, extended or, where the x
// flag is toggled off, basic, with the extensions that all Linux systems have: \w \W
// \s \S \b \B \< \> \` \' and back-references; in basic ones \+ \? \|.

// The errors are regerror(3)'s.
var (
	errPosixBrace     = errors.New("Unmatched \\{")
	errPosixBraces    = errors.New("Invalid content of \\{\\}")
	errPosixBracket   = errors.New("Unmatched [, [^, [:, [., or [=")
	errPosixClass     = errors.New("Invalid character class name")
	errPosixCollation = errors.New("Invalid collation character")
	errPosixEscape    = errors.New("Trailing backslash")
	errPosixOperand   = errors.New("Invalid preceding regular expression")
	errPosixParen     = errors.New("Unmatched ( or \\(")
	errPosixRange     = errors.New("Invalid range end")
	errPosixReference = errors.New("Invalid back reference")
	errPosixSize      = errors.New("Regular expression too big")
	errPatternDepth   = errors.New("Regular expression too big: groups too deep")
)

// maxPosixRepeat is RE_DUP_MAX; maxPatternDepth bounds groups in groups.
const (
	maxPosixRepeat  = 0x7fff
	maxPatternDepth = 250
)

type posixFlags struct{ foldCase, newline, extended bool }

type posixParser struct {
	posixFlags
	s      string
	i      int
	depth  int
	groups int
	closed uint16 // groups 1 to 9 that a back-reference may mean here
}

// parsePosix reads a pattern and counts its groups.
func parsePosix(s string, flags posixFlags) (*node, int, error) {
	p := &posixParser{posixFlags: flags, s: s}
	t, err := p.alternatives()
	if err != nil {
		return nil, 0, err
	}
	if p.i < len(p.s) {
		return nil, 0, errPosixParen // basic only
	}
	return t, p.groups, nil
}

// op tells whether an operator that is a bare character in one syntax and has a
// backslash in the other comes next.
func (p *posixParser) op(c byte) bool {
	if p.extended {
		return strings.HasPrefix(p.s[p.i:], string(c))
	}
	return strings.HasPrefix(p.s[p.i:], `\`+string(c))
}

func (p *posixParser) skipOp() {
	if p.i++; !p.extended {
		p.i++
	}
}

func (p *posixParser) alternatives() (*node, error) {
	if p.depth++; p.depth > maxPatternDepth {
		return nil, errPatternDepth
	}
	defer func() { p.depth-- }()
	alt := &node{kind: nodeAlt}
	before, after := p.closed, p.closed
	for {
		t, err := p.branch()
		if err != nil {
			return nil, err
		}
		alt.subs = append(alt.subs, t)
		after |= p.closed
		if !p.op('|') {
			p.closed = after
			return alt, nil
		}
		p.closed = before
		p.skipOp()
	}
}

func (p *posixParser) branch() (*node, error) {
	cat := &node{kind: nodeCat}
	for p.i < len(p.s) {
		if p.op('|') || p.op(')') && (p.depth > 1 || !p.extended) {
			break
		}
		first := len(cat.subs) == 0
		t, err := p.atom(first)
		if err != nil {
			return nil, err
		}
		if t, err = p.repeats(t); err != nil {
			return nil, err
		}
		cat.subs = append(cat.subs, t)
	}
	return cat, nil
}

func (p *posixParser) atom(first bool) (*node, error) {
	c := p.s[p.i]
	switch {
	case p.op('('):
		return p.group()
	case p.extended && strings.IndexByte("*+?{", c) >= 0:
		return nil, errPosixOperand // nothing before it to repeat
	case c == '^' && (p.extended || first):
		p.i++
		if p.newline {
			return &node{kind: nodeLineStart}, nil
		}
		return &node{kind: nodeStart}, nil
	case c == '$' && (p.extended || p.lastInBranch()):
		p.i++
		if p.newline {
			return &node{kind: nodeLineEnd}, nil
		}
		return &node{kind: nodeEnd}, nil
	case c == '.':
		p.i++
		var s byteSet
		s.negate()
		if p.newline {
			s.remove('\n')
		}
		return &node{set: s}, nil
	case c == '[':
		return p.bracket()
	case c == '\\':
		return p.escape()
	}
	p.i++
	return p.literal(c), nil
}

// lastInBranch tells whether a $ of a basic expression is an anchor.
func (p *posixParser) lastInBranch() bool {
	rest := p.s[p.i+1:]
	return rest == "" || strings.HasPrefix(rest, `\)`) || strings.HasPrefix(rest, `\|`)
}

func (p *posixParser) literal(c byte) *node {
	var s byteSet
	s.add(c)
	if p.foldCase {
		s.foldCase()
	}
	return &node{set: s}
}

func (p *posixParser) group() (*node, error) {
	p.skipOp()
	p.groups++
	n := p.groups
	t, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if !p.op(')') {
		return nil, errPosixParen
	}
	p.skipOp()
	if n <= 9 {
		p.closed |= 1 << n
	}
	return &node{kind: nodeCapture, n: n, subs: []*node{t}}, nil
}

func (p *posixParser) escape() (*node, error) {
	if p.i+1 == len(p.s) {
		return nil, errPosixEscape
	}
	c := p.s[p.i+1]
	p.i += 2
	set := func(name string, not bool) (*node, error) {
		s, _ := namedSet(name)
		if not {
			s.negate()
		}
		return &node{set: s}, nil
	}
	switch c {
	case 'w', 'W':
		return set("word", c == 'W')
	case 's', 'S':
		return set("space", c == 'S')
	case 'b':
		return &node{kind: nodeWord}, nil
	case 'B':
		return &node{kind: nodeNotWord}, nil
	case '<':
		return &node{kind: nodeWordStart}, nil
	case '>':
		return &node{kind: nodeWordEnd}, nil
	case '`':
		return &node{kind: nodeStart}, nil
	case '\'':
		return &node{kind: nodeEnd}, nil
	case '{':
		if !p.extended {
			return nil, errPosixOperand
		}
	}
	if '1' <= c && c <= '9' {
		if p.closed&(1<<(c-'0')) == 0 {
			return nil, errPosixReference
		}
		return &node{kind: nodeBackref, n: int(c - '0'), foldCase: p.foldCase}, nil
	}
	if p.foldCase && 'a' <= c && c <= 'z' {
		// POSIX leaves it open what a backslash makes of a letter. regcomp(3) of glibc folds
		// case to capitals, but not behind a backslash: this one meets nothing.
		return &node{}, nil
	}
	return p.literal(c), nil
}

// repeats reads what stands behind an atom. An anchor cannot be repeated: what follows
// it is not for it. Basic expressions repeat once only.
func (p *posixParser) repeats(t *node) (*node, error) {
	if t.kind >= nodeStart {
		return t, nil
	}
	for repeated := false; p.i < len(p.s); repeated = true {
		low, high := 0, -1
		star, brace := p.s[p.i] == '*', p.op('{')
		switch {
		case !p.extended && repeated && (star || brace):
			return nil, errPosixOperand
		case star:
			p.i++
		case p.op('+'):
			p.skipOp()
			low = 1
		case p.op('?'):
			p.skipOp()
			high = 1
		case brace:
			p.skipOp()
			var err error
			if low, high, err = p.bounds(); err != nil {
				return nil, err
			}
		default:
			return t, nil
		}
		t = &node{kind: nodeRepeat, subs: []*node{t}, min: low, max: high}
	}
	return t, nil
}

// bounds reads the inside of {n}, {n,}, {,m} or {n,m}, and the end of it.
func (p *posixParser) bounds() (low, high int, err error) {
	low = p.bound()
	switch {
	case p.i < len(p.s) && p.s[p.i] == ',':
		low = max(low, 0)
		p.i++
		high = p.bound()
	case low < 0:
		low = badBound
	default:
		high = low
	}
	switch {
	case p.i == len(p.s):
		return 0, 0, errPosixBrace
	case !p.op('}'), low == badBound, high == badBound, high >= 0 && low > high:
		return 0, 0, errPosixBraces
	case low > maxPosixRepeat, high > maxPosixRepeat:
		return 0, 0, errPosixSize
	}
	p.skipOp()
	return low, high, nil
}

// badBound is what is no number; -1 is nothing at all.
const badBound = -2

// bound reads up to the comma or the end of the braces.
func (p *posixParser) bound() int {
	n := -1
	for ; p.i < len(p.s) && p.s[p.i] != ',' && !p.op('}'); p.i++ {
		switch c := p.s[p.i]; {
		case n == badBound || c < '0' || '9' < c:
			n = badBound
		default:
			n = min(max(n, 0)*10+int(c-'0'), maxPosixRepeat+1)
		}
	}
	return n
}

// bracket reads [...]. A backslash in it is itself.
func (p *posixParser) bracket() (*node, error) {
	p.i++
	var s byteSet
	not := strings.HasPrefix(p.s[p.i:], "^")
	if not {
		p.i++
	}
	for first := true; ; first = false {
		if p.i == len(p.s) {
			return nil, errPosixBracket
		}
		if p.s[p.i] == ']' && !first {
			p.i++
			break
		}
		if name, ok, err := p.named("[:", ":]"); err != nil {
			return nil, err
		} else if ok {
			class, known := namedSet(name)
			if !known || name == "word" || name == "ascii" {
				return nil, errPosixClass
			}
			if p.foldCase && (name == "lower" || name == "upper") {
				class, _ = namedSet("alpha")
			}
			s.union(class)
			continue
		}
		if rest := p.s[p.i:]; !first && len(rest) >= 2 && rest[0] == '-' && rest[1] != ']' {
			return nil, errPosixRange
		}
		ranges := !strings.HasPrefix(p.s[p.i:], "[=")
		low, err := p.element()
		if err != nil {
			return nil, err
		}
		high := low
		if rest := p.s[p.i:]; ranges && len(rest) >= 2 && rest[0] == '-' && rest[1] != ']' {
			p.i++
			if high, err = p.element(); err != nil {
				return nil, err
			}
		}
		if low > high {
			return nil, errPosixRange
		}
		s.addRange(low, high)
	}
	if p.foldCase { // pattern and subject are compared in upper case
		for c := byte('a'); c <= 'z'; c++ {
			s.remove(c)
			if s.has(c - 'a' + 'A') {
				s.add(c)
			}
		}
	}
	if not {
		s.negate()
		if p.newline {
			s.remove('\n')
		}
	}
	return &node{set: s}, nil
}

// element reads one character of a bracket expression: c, [.c.] or [=c=].
func (p *posixParser) element() (byte, error) {
	for _, marks := range [][2]string{{"[.", ".]"}, {"[=", "=]"}} {
		name, ok, err := p.named(marks[0], marks[1])
		if err != nil {
			return 0, err
		}
		if ok {
			if len(name) != 1 {
				return 0, errPosixCollation
			}
			return p.fold(name[0]), nil
		}
	}
	if strings.HasPrefix(p.s[p.i:], "[:") {
		return 0, errPosixRange // a class cannot end a range
	}
	p.i++
	return p.fold(p.s[p.i-1]), nil
}

func (p *posixParser) fold(c byte) byte {
	if p.foldCase && 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

func (p *posixParser) named(open, end string) (name string, ok bool, err error) {
	if !strings.HasPrefix(p.s[p.i:], open) {
		return "", false, nil
	}
	name, _, ok = strings.Cut(p.s[p.i+2:], end)
	if !ok {
		return "", false, errPosixBracket
	}
	p.i += len(name) + 4
	return name, true, nil
}
