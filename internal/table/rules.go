package table

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
)

// What regexp_table(5), pcre_table(5) and cidr_table(5) have in common: a file of rules
// that are tried in order against the whole key, with blocks from "if" to "endif".

// subject is a key that rules are tried on.
type subject struct {
	text string
	addr netip.Addr // cidr only
}

// rule is one line of the file.
type rule struct {
	line int
	kind ruleKind

	// test tells whether the rule is for a key, and which parts of it its groups took.
	test func(subject) (groups []string, hit bool, err error)

	result replacement
	end    int // of an if: the index of its endif
}

type ruleKind uint8

const (
	ruleResult ruleKind = iota
	ruleIf
	ruleEndif
)

// rules is what a file holds. It does not change once made.
type rules struct {
	file  string // "" when the rules stand in the configuration
	owner int    // of the file
	list  []rule
}

// find returns the result of the first rule that is for a key.
func (r *rules) find(ctx context.Context, key subject) (result string, line int, found bool, err error) {
	for i := 0; i < len(r.list); i++ {
		rule := &r.list[i]
		if rule.kind == ruleEndif {
			continue
		}
		if err := ctx.Err(); err != nil {
			return "", 0, false, fmt.Errorf("line %d: patterns take too long to match: %w", rule.line, err)
		}
		groups, hit, err := rule.test(key)
		switch {
		case err != nil:
			return "", 0, false, fmt.Errorf("line %d: %w", rule.line, err)
		case rule.kind == ruleIf && !hit:
			i = rule.end
		case rule.kind == ruleResult && hit:
			return rule.result.expand(groups), rule.line, true, nil
		}
	}
	return "", 0, false, nil
}

// ruleReader reads a file of rules. One that it cannot make sense of it passes over
// with a warning, as Postfix does; an error from parse ends the reading.
type ruleReader struct {
	kind  string // "regexp"
	name  string
	o     Options
	parse func(r *ruleReader, line string) (rule, bool, error)

	line int
	list []rule
	ifs  []int // open ones
}

// warn tells of the line being read.
func (r *ruleReader) warn(format string, args ...any) {
	r.warnAt(r.line, format, args...)
}

func (r *ruleReader) warnAt(line int, format string, args ...any) {
	r.o.warnf("%s map %s, line %d: %s", r.kind, r.name, line, fmt.Sprintf(format, args...))
}

// noMatchingIf is what regexp and pcre say to an endif too many; cidr has other words.
func (r *ruleReader) noMatchingIf() {
	if r.kind == "cidr" {
		r.warn("ENDIF without IF: skipping this rule")
		return
	}
	r.warn("ignoring ENDIF without matching IF")
}

func (r *ruleReader) read(in io.Reader) (*rules, error) {
	lines := newLineReader(in, r.name, r.o.Warn)
	for {
		text, n, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		r.line = n
		next, ok, err := r.parse(r, strings.TrimRight(string(text), spaces))
		if err != nil {
			return nil, fmt.Errorf("%s map %s, line %d: %w", r.kind, r.name, n, err)
		}
		if ok {
			next.line = n
			r.add(next)
		}
	}
	for i := len(r.ifs) - 1; i >= 0; i-- {
		open := &r.list[r.ifs[i]]
		r.warnAt(open.line, "IF has no matching ENDIF")
		open.end = len(r.list)
	}
	return &rules{list: r.list}, nil
}

func (r *ruleReader) add(next rule) {
	switch next.kind {
	case ruleIf:
		r.ifs = append(r.ifs, len(r.list))
	case ruleEndif:
		last := len(r.ifs) - 1
		if last < 0 {
			r.noMatchingIf()
			return
		}
		r.list[r.ifs[last]].end = len(r.list)
		r.ifs = r.ifs[:last]
	}
	r.list = append(r.list, next)
}

// load reads the rules that an argument names: a file, or "{ { rule }, ... }" itself.
func (r *ruleReader) load(argument string) (*rules, error) {
	r.name, r.list, r.ifs = argument, nil, nil
	if argument[0] == '{' {
		text, err := inlineRules(argument)
		if err != nil {
			return nil, fmt.Errorf("%s map: %w", r.kind, err)
		}
		return r.read(strings.NewReader(text))
	}
	f, err := openFile(argument)
	if err != nil {
		return nil, &fileError{"open", argument, err}
	}
	defer f.Close()
	all, err := r.read(f)
	if err != nil {
		return nil, err
	}
	all.file, all.owner = argument, fileOwner(f)
	return all, nil
}

// inlineRules makes a text of one rule a line.
func inlineRules(argument string) (string, error) {
	inner, why := unbrace(argument)
	if why != "" {
		return "", errors.New(why)
	}
	var text strings.Builder
	for _, item := range splitList(inner) {
		if item[0] != '{' {
			return "", fmt.Errorf(`no '{' at start of text in "%s"`, item)
		}
		line, why := unbrace(item)
		if why != "" {
			return "", errors.New(why)
		}
		text.WriteString(line + "\n")
	}
	return text.String(), nil
}

// keyword tells whether a line begins with a word, and returns what follows.
func keyword(line, word string) (rest string, ok bool) {
	if len(line) < len(word) || !strings.EqualFold(line[:len(word)], word) {
		return "", false
	}
	rest = line[len(word):]
	if rest != "" && isAlnum(rest[0]) {
		return "", false
	}
	return strings.TrimLeft(rest, spaces), true
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// skipNegation takes the ! off, each of which turns the meaning around.
func skipNegation(s string) (rest string, not bool) {
	for s != "" && (s[0] == '!' || isSpace(s[0])) {
		if s[0] == '!' {
			not = !not
		}
		s = s[1:]
	}
	return s, not
}
