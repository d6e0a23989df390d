package smtpd

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// words is a list such as smtpd_noop_commands.
type words []string

func (w words) Match(_ context.Context, word string) (bool, error) {
	return slices.ContainsFunc(w, func(s string) bool { return strings.EqualFold(s, word) }), nil
}

// lines is a table "key -> value; key -> value"; the value "!" cannot be told.
type lines string

func (l lines) Name() string { return "test:lines" }

func (l lines) Lookup(_ context.Context, key string) (string, bool, error) {
	for entry := range strings.SplitSeq(string(l), "; ") {
		if k, value, ok := strings.Cut(entry, " -> "); ok && k == key {
			if value == "!" {
				return "", false, errors.New("no answer")
			}
			return value, true, nil
		}
	}
	return "", false, nil
}
