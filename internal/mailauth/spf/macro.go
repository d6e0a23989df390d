package spf

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Macro strings: RFC 7208 section 7.

// domainSpec is the domain of a term, which may have macros in it.
type domainSpec struct{ parts []part }

// part is literal text, or one macro.
type part struct {
	literal string
	expand  bool // not literal in the record: "%{d}", "%%"
	letter  byte // in lower case; 0: there is none
	escape  bool // for a URL: the letter was a capital
	keep    int  // how many parts from the right; 0: all
	reverse bool
	split   string // what parts it; "": a dot
}

var (
	errMacro    = errors.New("bad macro")
	errNoDomain = errors.New("no domain behind it")
	errDomain   = errors.New("no domain with a dot in it")
)

// macro is "%{l1r-}", "%%", "%_" or "%-".
var macro = regexp.MustCompile(`^%(?:([%_-])|\{([A-Za-z])([0-9]*)([rR]?)([.+,/_=-]*)\})`)

// parseMacros reads a macro string. explanation permits the letters that belong there alone:
// c, r and t.
func parseMacros(s string, explanation bool) (parts []part, err error) {
	letters := "slodiphv"
	if explanation {
		letters += "crt"
	}
	for s != "" {
		n := strings.IndexByte(s, '%')
		if n < 0 {
			n = len(s)
		}
		if n > 0 {
			if strings.ContainsFunc(s[:n], func(c rune) bool { return c < ' ' || c > '~' }) {
				return nil, errors.New("a character that may not be there")
			}
			parts, s = append(parts, part{literal: s[:n]}), s[n:]
			continue
		}
		m := macro.FindStringSubmatch(s)
		if m == nil {
			return nil, errMacro
		}
		s = s[len(m[0]):]
		if m[1] != "" {
			parts = append(parts, part{expand: true, literal: map[string]string{"%": "%", "_": " ", "-": "%20"}[m[1]]})
			continue
		}
		p := part{expand: true, letter: m[2][0] | 0x20, reverse: m[4] != "", split: m[5]}
		p.escape = p.letter != m[2][0]
		if strings.IndexByte(letters, p.letter) < 0 {
			return nil, errMacro
		}
		if m[3] != "" {
			keep, err := strconv.Atoi(m[3])
			if err != nil {
				keep = maxRecord // as good as any larger number
			}
			if p.keep = keep; keep == 0 {
				return nil, errMacro
			}
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// domainEnd is what a domain without a macro at its end ends with: a dot and a top label
// that is not only a number.
var domainEnd = regexp.MustCompile(`\.(?:[0-9A-Za-z]*[A-Za-z][0-9A-Za-z]*|[0-9A-Za-z]+-[0-9A-Za-z-]*[0-9A-Za-z])\.?$`)

// parseDomain reads a domain-spec.
func parseDomain(s string) (*domainSpec, error) {
	if s == "" {
		return nil, errNoDomain
	}
	parts, err := parseMacros(s, false)
	if err != nil {
		return nil, err
	}
	if !parts[len(parts)-1].expand && !domainEnd.MatchString(s) {
		return nil, errDomain
	}
	return &domainSpec{parts}, nil
}

// has tells whether one of the macros is in it.
func (d *domainSpec) has(letters string) bool {
	return d != nil && slices.ContainsFunc(d.parts, func(p part) bool { return p.letter != 0 && strings.IndexByte(letters, p.letter) >= 0 })
}

// transform is the value of a macro after its transformers (section 7.3).
func (p *part) transform(value string) string {
	if p.keep > 0 || p.reverse || p.split != "" {
		split := cmp.Or(p.split, ".")
		var words []string
		rest := value
		for i := strings.IndexAny(rest, split); i >= 0; i = strings.IndexAny(rest, split) {
			words, rest = append(words, rest[:i]), rest[i+1:]
		}
		words = append(words, rest)
		if p.reverse {
			slices.Reverse(words)
		}
		if p.keep > 0 && p.keep < len(words) {
			words = words[len(words)-p.keep:]
		}
		value = strings.Join(words, ".")
	}
	if p.escape {
		value = urlEscape(value)
	}
	return value
}

// urlEscape escapes all but the unreserved characters of RFC 3986 section 2.3.
func urlEscape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// cutName is a name of at most 253 characters, by taking labels off its left side
// (section 7.3). ok is false if it is no name that could be asked for.
func cutName(s string) (name string, ok bool) {
	s = strings.TrimSuffix(s, ".")
	for len(s) > maxName {
		_, rest, more := strings.Cut(s, ".")
		if !more {
			return "", false
		}
		s = rest
	}
	return s, askable(s)
}

// askable tells whether a name has labels as they can be asked for. Which characters are in
// them does not matter as long as they are printable: macros make any.
func askable(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' })
}
