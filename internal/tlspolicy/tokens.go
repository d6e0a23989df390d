package tlspolicy

import (
	"errors"
	"fmt"
	"strings"
)

// How Postfix takes the value of an entry apart.

const blanks = " \t\r\n"

// fields parts a value at commas and blanks that are in no braces.
func fields(s string) (list []string) {
	level, start := 0, -1
	for i := 0; i < len(s); i++ {
		c := s[i]
		if level == 0 && strings.IndexByte(","+blanks, c) >= 0 {
			if start >= 0 {
				list = append(list, s[start:i])
				start = -1
			}
			continue
		}
		if start < 0 {
			start = i
		}
		switch {
		case c == '{':
			level++
		case c == '}' && level > 0:
			level--
		}
	}
	if start >= 0 {
		list = append(list, s[start:])
	}
	return list
}

// unbraced takes the braces off "{ name = value }", and makes each white space in it a blank.
func unbraced(s string) (string, error) {
	level, end := 0, -1
	for i := 0; i < len(s) && end < 0; i++ {
		switch s[i] {
		case '{':
			level++
		case '}':
			if level--; level == 0 {
				end = i
			}
		}
	}
	switch {
	case end < 0:
		return "", fmt.Errorf("missing '}' in %q", s)
	case end < len(s)-1:
		return "", fmt.Errorf("syntax error after '}' in %q", s)
	}
	return strings.Join(strings.FieldsFunc(s[1:end], func(r rune) bool { return strings.ContainsRune(blanks+"\v\f", r) }), " "), nil
}

// nameValue parts "name = value".
func nameValue(s string) (name, value string, err error) {
	s = strings.Trim(s, blanks+"\v\f")
	if s == "" || s[0] == '=' {
		return "", "", errors.New("missing attribute name")
	}
	name, value, found := strings.Cut(s, "=")
	name = strings.TrimRight(name, blanks+"\v\f")
	if !found || strings.ContainsAny(name, blanks+"\v\f") {
		return "", "", errors.New("missing '=' after attribute name")
	}
	return name, strings.TrimLeft(value, blanks+"\v\f"), nil
}

// validHostname tells whether Postfix takes a name for that of a host: letters, digits,
// hyphens and underscores, no label too long, empty or with a hyphen at its end, and not
// digits alone.
func validHostname(s string) bool {
	if len(s) > 255 || strings.Trim(s, "0123456789.") == "" {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range []byte(label) {
			if !isLetterOrDigit(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

func isLetterOrDigit(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
