package table

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Patterns of regexp: and pcre: tables are read by the rules of their own syntax into a
// tree, and written out again for the engine that is to run them. So what an engine
// happens to take another way cannot slip through: a construct is either understood
// here or an error.
//
// Subjects are bytes, as for Postfix, which runs the libraries in the C locale and
// without UTF-8: a dot is one byte of a letter beyond ASCII. The engines are given
// each byte as the rune of its value (latin1).

// byteSet is which bytes a place in a pattern takes.
type byteSet [4]uint64

func (s *byteSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }
func (s *byteSet) remove(c byte)   { s[c>>6] &^= 1 << (c & 63) }
func (s *byteSet) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }

func (s *byteSet) addRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		s.add(byte(c))
	}
}

func (s *byteSet) union(t byteSet) {
	for i := range s {
		s[i] |= t[i]
	}
}

func (s *byteSet) negate() {
	for i := range s {
		s[i] = ^s[i]
	}
}

// foldCase adds the other case of each ASCII letter.
func (s *byteSet) foldCase() {
	for c := byte('a'); c <= 'z'; c++ {
		upper := c - 'a' + 'A'
		if s.has(c) || s.has(upper) {
			s.add(c)
			s.add(upper)
		}
	}
}

func setOf(chars string) (s byteSet) {
	for i := range len(chars) {
		s.add(chars[i])
	}
	return s
}

// namedSet is what [:name:] takes in the C locale.
func namedSet(name string) (s byteSet, ok bool) {
	switch name {
	case "alpha", "upper", "lower", "alnum", "word", "graph":
		if name != "lower" {
			s.addRange('A', 'Z')
		}
		if name != "upper" {
			s.addRange('a', 'z')
		}
		switch name {
		case "alnum":
			s.addRange('0', '9')
		case "word":
			s.addRange('0', '9')
			s.add('_')
		case "graph":
			s.addRange('!', '~')
		}
	case "digit":
		s.addRange('0', '9')
	case "xdigit":
		s = setOf("0123456789abcdefABCDEF")
	case "blank":
		s = setOf(" \t")
	case "space":
		s = setOf(spaces)
	case "cntrl":
		s.addRange(0, 31)
		s.add(127)
	case "print":
		s.addRange(' ', '~')
	case "ascii":
		s.addRange(0, 127)
	case "punct":
		s.addRange('!', '/')
		s.addRange(':', '@')
		s.addRange('[', '`')
		s.addRange('{', '~')
	default:
		return s, false
	}
	return s, true
}

// nodeKind says what a node of a pattern is.
type nodeKind uint8

const (
	nodeSet       nodeKind = iota // one byte of set
	nodeCat                       // subs one after another
	nodeAlt                       // one of subs
	nodeRepeat                    // subs[0], min to max times
	nodeCapture                   // subs[0], remembered as number n
	nodeBackref                   // what number n took
	nodeAtomic                    // subs[0], never tried another way once it matched
	nodeLook                      // subs[0] would match here: ahead or behind, or not
	nodeStart                     // start of the subject
	nodeEnd                       // end of the subject
	nodeSoftEnd                   // the same, or before a newline there
	nodeLineStart                 // start of a line
	nodeLineEnd                   // end of a line
	nodeWord                      // border of a word
	nodeNotWord                   // no border of a word
	nodeWordStart                 // border with the word behind it
	nodeWordEnd                   // border with the word before it
)

type node struct {
	kind     nodeKind
	set      byteSet
	subs     []*node
	min, max int // of a repeat; max -1 is no limit
	lazy     bool
	n        int
	foldCase bool // backref
	behind   bool // look
	negative bool // look
}

// any tells whether a node of the tree is one that wanted knows.
func (t *node) any(wanted func(*node) bool) bool {
	if wanted(t) {
		return true
	}
	for _, sub := range t.subs {
		if sub.any(wanted) {
			return true
		}
	}
	return false
}

// backtracks tells whether a pattern needs an engine that backtracks.
func (t *node) backtracks() bool {
	return t.any(func(n *node) bool {
		switch n.kind {
		case nodeBackref, nodeAtomic, nodeLook, nodeWordStart, nodeWordEnd:
			return true
		}
		return false
	})
}

// mayBeEmpty tells whether a pattern matches without taking a byte.
func (t *node) mayBeEmpty() bool {
	switch t.kind {
	case nodeSet:
		return false
	case nodeCat:
		return !slices.ContainsFunc(t.subs, func(n *node) bool { return !n.mayBeEmpty() })
	case nodeAlt:
		return slices.ContainsFunc(t.subs, (*node).mayBeEmpty)
	case nodeRepeat:
		return t.min == 0 || t.subs[0].mayBeEmpty()
	case nodeCapture, nodeAtomic:
		return t.subs[0].mayBeEmpty()
	}
	return true
}

// dialect is what the engine that a pattern is written for understands.
type dialect struct {
	looks bool // looking around; package regexp does not
}

// write renders a pattern for package regexp or regexp2.
func (t *node) write(b *strings.Builder, d dialect) {
	const word = `[0-9A-Za-z_]`
	switch t.kind {
	case nodeSet:
		t.set.write(b)
	case nodeCat, nodeAlt:
		b.WriteString("(?:")
		for i, sub := range t.subs {
			if i > 0 && t.kind == nodeAlt {
				b.WriteByte('|')
			}
			sub.write(b, d)
		}
		b.WriteByte(')')
	case nodeRepeat:
		t.writeGroup(b, d, "(?:")
		switch {
		case t.max >= 0:
			fmt.Fprintf(b, "{%d,%d}", t.min, t.max)
		default:
			fmt.Fprintf(b, "{%d,}", t.min)
		}
		if t.lazy {
			b.WriteByte('?')
		}
	case nodeCapture:
		t.writeGroup(b, d, "(")
	case nodeAtomic:
		t.writeGroup(b, d, "(?>")
	case nodeLook:
		t.writeGroup(b, d, t.lookMark())
	case nodeBackref:
		if t.foldCase {
			fmt.Fprintf(b, `(?i:\%d)`, t.n)
		} else {
			fmt.Fprintf(b, `(?:\%d)`, t.n)
		}
	case nodeStart:
		b.WriteString(`\A`)
	case nodeEnd:
		b.WriteString(`\z`)
	case nodeSoftEnd:
		if d.looks {
			b.WriteString(`(?=\n?\z)`)
		} else {
			b.WriteString(`\z`)
		}
	case nodeLineStart:
		b.WriteString(`(?m:^)`)
	case nodeLineEnd:
		b.WriteString(`(?m:$)`)
	case nodeWord, nodeNotWord:
		t.writeBorder(b, d, word)
	case nodeWordStart:
		fmt.Fprintf(b, `(?<!%[1]s)(?=%[1]s)`, word)
	case nodeWordEnd:
		fmt.Fprintf(b, `(?<=%[1]s)(?!%[1]s)`, word)
	}
}

// writeBorder writes \b or \B. Letters beyond ASCII, which regexp2 would count, are not
// of words.
func (t *node) writeBorder(b *strings.Builder, d dialect, word string) {
	switch {
	case d.looks && t.kind == nodeWord:
		fmt.Fprintf(b, `(?:(?<=%[1]s)(?!%[1]s)|(?<!%[1]s)(?=%[1]s))`, word)
	case d.looks:
		fmt.Fprintf(b, `(?:(?<=%[1]s)(?=%[1]s)|(?<!%[1]s)(?!%[1]s))`, word)
	case t.kind == nodeWord:
		b.WriteString(`\b`)
	default:
		b.WriteString(`\B`)
	}
}

func (t *node) lookMark() string {
	mark := "(?"
	if t.behind {
		mark += "<"
	}
	if t.negative {
		return mark + "!"
	}
	return mark + "="
}

func (t *node) writeGroup(b *strings.Builder, d dialect, open string) {
	b.WriteString(open)
	t.subs[0].write(b, d)
	b.WriteByte(')')
}

// write renders a set as a class of ranges.
func (s *byteSet) write(b *strings.Builder) {
	if *s == (byteSet{}) {
		b.WriteString(`[^\x00-\xff]`)
		return
	}
	b.WriteByte('[')
	for c := 0; c < 256; c++ {
		if !s.has(byte(c)) {
			continue
		}
		first := c
		for c < 255 && s.has(byte(c+1)) {
			c++
		}
		b.WriteString(`\x` + hexByte(first))
		if c > first {
			b.WriteString(`-\x` + hexByte(c))
		}
	}
	b.WriteByte(']')
}

func hexByte(c int) string {
	s := strconv.FormatInt(int64(c), 16)
	return strings.Repeat("0", 2-len(s)) + s
}

// latin1 makes a rune of each byte; fromLatin1 turns them back.
func latin1(s string) string {
	if !hasHighByte(s) {
		return s
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func fromLatin1(s string) string {
	if !hasHighByte(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for _, r := range s {
		b = append(b, byte(r))
	}
	return string(b)
}

func hasHighByte(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return true
		}
	}
	return false
}
