package table

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"

	"github.com/dlclark/regexp2/v2"
)

// matcher runs one pattern. Most run on package regexp, whose time grows with the
// length of the subject only. What that cannot do, back-references and looking
// around, needs an engine that backtracks, under a time limit: a lookup that would
// take longer fails, and the mail comes back later.
type matcher struct {
	linear *regexp.Regexp // nil when the pattern backtracks

	// steps is nil when linear does for every subject. That has no way to say "before a
	// newline at the end": where both are set, linear is for subjects without newlines.
	steps  *regexp2.Regexp
	groups int

	// vague says what about the pattern makes its groups take other parts than Postfix
	// has; "" for a pattern whose result may use them. Whether it matches is the same.
	vague string
}

// matchLimit bounds the time that one pattern of a backtracking kind may take.
const matchLimit = 500 * time.Millisecond

// compileLongest makes a matcher that finds the leftmost and of these the longest
// match, as POSIX has it.
func compileLongest(t *node, groups int) (*matcher, error) {
	if !t.backtracks() {
		m, err := compileFirst(t, groups)
		if err == nil {
			m.linear.Longest()
		}
		return m, err
	}
	m, err := compileFirst(t, groups)
	if err == nil && t.any(ambiguous) {
		m.vague = "a pattern with a back-reference, \\< or \\> together with | or a repeated group"
	}
	return m, err
}

// ambiguous is what may make the first match of a backtracking engine another one than
// the longest.
func ambiguous(n *node) bool {
	return n.kind == nodeAlt && len(n.subs) > 1 || n.kind == nodeRepeat && n.subs[0].kind != nodeSet
}

// emptyLoop is a group within a repetition that may go on without taking anything:
// engines differ in what the last round was.
func emptyLoop(n *node) bool {
	return n.kind == nodeRepeat && n.max != 1 && n.subs[0].mayBeEmpty() &&
		n.any(func(n *node) bool { return n.kind == nodeCapture })
}

// compileFirst makes a matcher that finds the first match in the order in which
// alternatives are written, as Perl has it.
func compileFirst(t *node, groups int) (*matcher, error) {
	m := &matcher{groups: groups}
	if t.any(emptyLoop) {
		m.vague = "a repeated group that may match nothing"
	}
	if !t.backtracks() {
		var b strings.Builder
		t.write(&b, dialect{})
		re, err := regexp.Compile(b.String())
		if err != nil {
			return nil, engineError(err)
		}
		m.linear = re
		if !t.any(func(n *node) bool { return n.kind == nodeSoftEnd }) {
			return m, nil
		}
	}
	var b strings.Builder
	t.write(&b, dialect{looks: true})
	re, err := regexp2.Compile(b.String())
	if err != nil {
		return nil, fmt.Errorf("this expression cannot be run here: %w", err)
	}
	re.MatchTimeout = matchLimit
	m.steps = re
	return m, nil
}

// engineError says why package regexp will not have an expression, without what it
// was given: that is not what the operator wrote.
func engineError(err error) error {
	if e, ok := err.(*syntax.Error); ok {
		return fmt.Errorf("this expression cannot be run here: %s", e.Code)
	}
	return err
}

// match returns the whole match and its groups, or nil when there is none. A group that
// took no part is empty, as in Postfix's replacements.
func (m *matcher) match(subject string) ([]string, error) {
	subject = latin1(subject)
	if m.linear != nil && (m.steps == nil || !strings.Contains(subject, "\n")) {
		found := m.linear.FindStringSubmatch(subject)
		for i, text := range found {
			found[i] = fromLatin1(text)
		}
		return found, nil
	}
	hit, err := m.steps.FindStringMatch(subject)
	if err != nil {
		return nil, fmt.Errorf("pattern takes too long to match: %w", err)
	}
	if hit == nil {
		return nil, nil
	}
	found := make([]string, m.groups+1)
	for i := range found {
		if g := hit.GroupByNumber(i); g != nil && len(g.Captures) > 0 {
			found[i] = fromLatin1(g.String())
		}
	}
	return found, nil
}
