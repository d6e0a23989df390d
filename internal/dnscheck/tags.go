package dnscheck

import (
	"errors"
	"fmt"
	"strings"
)

// The tag=value lists of DKIM (RFC 6376 section 3.2), which DMARC has as well.

type tag struct{ name, value string }

// parseTags reads a list. A tag may be there once.
func parseTags(s string) (tags []tag, err error) {
	if len(s) > maxRecord {
		return nil, fmt.Errorf("it is longer than %d bytes", maxRecord)
	}
	fields := strings.Split(s, ";")
	if strings.Trim(fields[len(fields)-1], " \t\r\n") == "" {
		fields = fields[:len(fields)-1]
	}
	for _, field := range fields {
		name, value, ok := strings.Cut(field, "=")
		name, value = strings.Trim(name, " \t\r\n"), strings.Trim(value, " \t\r\n")
		if !ok || name == "" || strings.ContainsFunc(name, func(c rune) bool {
			return c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
		}) {
			return nil, fmt.Errorf("%s is not name=value", short(strings.Trim(field, " \t\r\n")))
		}
		for _, t := range tags {
			if t.name == name {
				return nil, fmt.Errorf("%s= stands in it twice", name)
			}
		}
		tags = append(tags, tag{name, value})
	}
	if len(tags) == 0 {
		return nil, errors.New("it is empty")
	}
	return tags, nil
}

// valueOf is the value of a tag.
func valueOf(tags []tag, name string) (value string, has bool) {
	for _, t := range tags {
		if t.name == name {
			return t.value, true
		}
	}
	return "", false
}
