package smtpd

import (
	"context"
	"errors"
	"regexp"
)

// patterns is a table of regular expressions and their actions. What "trouble" is in
// cannot be looked up.
type patterns [][2]string

func (p patterns) Name() string { return "test:patterns" }

func (p patterns) Lookup(_ context.Context, key string) (string, bool, error) {
	if regexp.MustCompile("trouble").MatchString(key) {
		return "", false, errors.New("away")
	}
	for _, rule := range p {
		if regexp.MustCompile(rule[0]).MatchString(key) {
			return rule[1], true, nil
		}
	}
	return "", false, nil
}
