package postconf

import (
	"errors"
	"strconv"
	"strings"
)

// Small syntaxes that values have in common.

// splitList splits at commas and white space, but not inside braces, as mystrtokq(3)
// does: "a, inline:{ {b = c} }" has two elements.
func splitList(s string) []string {
	var list []string
	level, start := 0, -1
	for i := range len(s) {
		c := s[i]
		if level == 0 && (c == ',' || isSpace(c)) {
			if start >= 0 {
				list = append(list, s[start:i])
				start = -1
			}
			continue
		}
		switch {
		case c == '{':
			level++
		case c == '}' && level > 0:
			level--
		}
		if start < 0 {
			start = i
		}
	}
	if start >= 0 {
		list = append(list, s[start:])
	}
	return list
}

// validHostname is valid_hostname(3): labels of letters, digits, hyphens and, since
// the world has them, underscores.
func validHostname(s string) error {
	if s == "" {
		return errors.New("empty")
	}
	if len(s) > 255 {
		return errors.New("longer than 255 bytes")
	}
	numeric := true
	for label := range strings.SplitSeq(s, ".") {
		switch {
		case label == "":
			return errors.New("misplaced dot")
		case len(label) > 63:
			return errors.New("a label of more than 63 bytes")
		case label[0] == '-' || label[len(label)-1] == '-':
			return errors.New("misplaced hyphen")
		}
		for i := range len(label) {
			c := label[i]
			if c != '-' && nameLength(label[i:i+1]) == 0 {
				return errors.New("invalid character " + strconv.QuoteRune(rune(c)))
			}
		}
		numeric = numeric && allDigits(label)
	}
	if numeric {
		return errors.New("all numbers")
	}
	return nil
}
