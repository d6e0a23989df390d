package table

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// lookupLimit bounds the time that all patterns of a table together may take.
const lookupLimit = 2 * time.Second

// patterns is a table of rules: regexp, pcre or cidr.
type patterns struct {
	watched[rules]
	subject func(key string) (s subject, ok bool)
}

func openPatterns(kind, argument string, o Options,
	parse func(r *ruleReader, line string) (rule, bool, error),
	subject func(key string) (subject, bool)) (Table, error) {

	o.NoFold = true // patterns say themselves which case they mean
	t := &patterns{subject: subject}
	t.name, t.o = kind+":"+argument, o
	t.load = func() (*rules, error) {
		if argument[0] != '{' {
			t.reads(argument)
		}
		r := &ruleReader{kind: kind, o: o, parse: parse}
		return r.load(argument)
	}
	if err := t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *patterns) Lookup(ctx context.Context, key string) (string, bool, error) {
	value, _, found, err := t.find(ctx, key)
	if err == nil && found {
		err = t.o.checkValue(t.name, key, value)
	}
	return value, found && err == nil, err
}

func (t *patterns) find(ctx context.Context, key string) (value, at string, found bool, err error) {
	key, ok := t.o.lookupKey(t.name, key)
	if !ok {
		return "", "", false, nil
	}
	s, ok := t.subject(key)
	if !ok {
		return "", "", false, ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, lookupLimit)
	defer cancel()
	err = t.use(func(r *rules) error {
		var line int
		value, line, found, err = r.find(ctx, s)
		at = where(r.file, line)
		return err
	})
	return value, at, found, err
}

func (t *patterns) Name() string { return t.name }

func (t *patterns) Close() error { return t.close() }

// Locate implements Locator: the line of the rule that is for a key.
func (t *patterns) Locate(key string) string {
	_, at, found, err := t.find(context.Background(), key)
	if !found || err != nil {
		return ""
	}
	return at
}

func textSubject(key string) (subject, bool) { return subject{text: key}, true }

// parsePatternRule reads a line of a regexp or pcre table.
func parsePatternRule(r *ruleReader, line string,
	compile func(r *ruleReader, pattern, flags string) (*matcher, bool, error)) (rule, bool, error) {

	if !isAlnum(line[0]) {
		m, not, rest, ok, err := parsePattern(r, line, compile)
		if err != nil || !ok {
			return rule{}, false, err
		}
		result, ok := ruleReplacement(r, rest, not, m.groups)
		if ok && m.vague != "" && result.highest() > 0 {
			return rule{}, false, fmt.Errorf("$number with %s is not supported here", m.vague)
		}
		return rule{kind: ruleResult, test: patternTest(m, not), result: result}, ok, nil
	}
	if rest, ok := keyword(line, "if"); ok {
		m, not, rest, ok, err := parsePattern(r, rest, compile)
		if err != nil || !ok {
			return rule{}, false, err
		}
		if rest != "" {
			r.warn(`ignoring extra text after IF statement: "%s"`, rest)
			r.warn("do not prepend whitespace to statements between IF and ENDIF")
		}
		return rule{kind: ruleIf, test: patternTest(m, not)}, true, nil
	}
	if rest, ok := keyword(line, "endif"); ok {
		if rest != "" {
			r.warn("ignoring extra text after ENDIF")
		}
		return rule{kind: ruleEndif}, true, nil
	}
	r.warn("ignoring unrecognized request")
	return rule{}, false, nil
}

// parsePattern reads !/pattern/flags and returns what follows.
func parsePattern(r *ruleReader, s string,
	compile func(r *ruleReader, pattern, flags string) (*matcher, bool, error)) (m *matcher, not bool, rest string, ok bool, err error) {

	s, not = skipNegation(s)
	if s == "" {
		r.warn("no regexp: skipping this rule")
		return nil, false, "", false, nil
	}
	delimiter := s[0]
	end := 1
	for end < len(s) && (s[end] == '\\' || s[end] != delimiter) {
		if s[end] == '\\' && end+1 < len(s) {
			end++
		}
		end++
	}
	if end >= len(s) {
		doing := map[string]string{"regexp": "skipping", "pcre": "ignoring"}[r.kind]
		r.warn(`no closing regexp delimiter "%c": %s this rule`, delimiter, doing)
		return nil, false, "", false, nil
	}
	flags := s[end+1:]
	if i := strings.IndexFunc(flags, func(c rune) bool { return c < 0x80 && isSpace(byte(c)) }); i >= 0 {
		flags, rest = flags[:i], strings.TrimLeft(flags[i:], spaces)
	}
	m, ok, err = compile(r, s[1:end], flags)
	return m, not, rest, ok, err
}

// ruleReplacement reads the result of a rule; false means that the rule does not count.
func ruleReplacement(r *ruleReader, s string, not bool, groups int) (replacement, bool) {
	if s == "" {
		r.warn("no replacement text: using empty string")
	}
	if r.o.Files {
		text, err := filesOf(s)
		if err != nil {
			r.warn("%v: skipping this rule", err)
			return nil, false
		}
		s = text
	}
	result, bare, inMap := parseReplacement(r.kind, s)
	if bare != "" {
		r.o.warnf("%s", bare)
	}
	if inMap != "" {
		r.warn("%s", inMap)
	}
	highest := result.highest()
	switch {
	case bare != "", inMap != "":
		r.warn("bad replacement syntax: skipping this rule")
	case not && highest > 0:
		r.warn("$number found in negative match replacement text: skipping this rule")
	case r.o.Aliases && highest > 0:
		r.warn("regular expression substitution is not allowed: skipping this rule")
	case highest > groups:
		r.warn(`out of range replacement index "%d": skipping this rule`, highest)
	default:
		return result, true
	}
	return nil, false
}

func patternTest(m *matcher, not bool) func(subject) ([]string, bool, error) {
	return func(s subject) ([]string, bool, error) {
		groups, err := m.match(s.text)
		return groups, (groups != nil) != not, err
	}
}
