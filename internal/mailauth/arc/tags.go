package arc

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// tags is a tag-list, RFC 6376 section 3.2.
type tags map[string]string

// parseTags reads a tag-list. White space around names and values is no part of them; a
// name that stands there twice makes the list invalid, as does whatever is no tag.
func parseTags(s string) (tags, error) {
	t, ended := tags{}, false
	for part := range strings.SplitSeq(s, ";") {
		name, value, ok := strings.Cut(part, "=")
		name, value = trim(name), trim(value)
		switch {
		case ended, !ok && name == "" && len(t) == 0:
			return nil, errors.New("a semicolon without a tag")
		case !ok && name == "":
			ended = true // what is behind the last semicolon
			continue
		case !ok || !isTagName(name):
			return nil, fmt.Errorf("%q is no tag", shown(part))
		case !isTagValue(value):
			return nil, fmt.Errorf("the value of %s= has control characters", name)
		}
		if _, twice := t[name]; twice {
			return nil, fmt.Errorf("%s= stands there twice", name)
		}
		t[name] = value
	}
	return t, nil
}

func trim(s string) string { return strings.Trim(s, " \t\r\n") }

func isTagName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

func isTagValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f })
}

// shown is the beginning of what a stranger wrote, for a reason.
func shown(s string) string {
	if s = trim(s); len(s) > 20 {
		return s[:20] + "..."
	}
	return s
}

// need is a tag that has to be there with a value.
func (t tags) need(name string) (string, error) {
	v, ok := t[name]
	if !ok || v == "" {
		return "", fmt.Errorf("%s= is missing", name)
	}
	return v, nil
}

// base64 is the value of a tag that has to be there in base64, with white space anywhere.
func (t tags) base64(name string) ([]byte, error) {
	v, err := t.need(name)
	if err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(withoutSpace(v))
	if err != nil || len(b) == 0 {
		return nil, fmt.Errorf("%s= is not base64", name)
	}
	return b, nil
}

// number is the value of a tag that may be missing, digits alone; -1 without it.
func (t tags) number(name string) (int64, error) {
	v, ok := t[name]
	if !ok {
		return -1, nil
	}
	n, err := strconv.ParseUint(v, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("%s= is no number", name)
	}
	return int64(n), nil
}

func withoutSpace(s string) string {
	if !strings.ContainsAny(s, " \t\r\n") {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if c := s[i]; c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// withoutSignature appends a field in which the value of b= is empty (RFC 6376 section
// 3.5).
func withoutSignature(b, raw []byte) []byte {
	for i := 0; i < len(raw); {
		end := i
		for end < len(raw) && raw[end] != ';' {
			end++
		}
		part := string(raw[i:end])
		if i == 0 { // the first tag stands behind the name of the field
			_, part, _ = strings.Cut(part, ":")
		}
		name, _, ok := strings.Cut(part, "=")
		if ok && trim(name) == "b" {
			value := end - len(part) + len(name) + 1
			b = append(append(b, raw[:value]...), raw[end:]...)
			if end == len(raw) { // its line end went with the value
				b = append(b, "\r\n"...)
			}
			return b
		}
		i = end + 1
	}
	return append(b, raw...)
}
