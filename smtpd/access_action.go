package smtpd

import (
	"context"
	"strconv"
	"strings"

	"aliasmx/internal/mail"
)

// What an access table or a policy server wants done: access(5), from ACCEPT ACTIONS on.

// action is one result, taken apart.
type action struct {
	verb     string // in upper case; "CODE" for 4NN and 5NN; "" for a list of restrictions
	word     string // as it was written
	code     int    // of CODE
	enhanced mail.Enhanced
	coded    bool   // the text began with an enhanced status code
	text     string // what follows the verb, without the enhanced status code
	all      string // what follows the verb
}

// verbs are the actions that have a name.
var verbs = []string{
	"OK", "RELAY", "DUNNO", "REJECT", "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT", "INFO", "WARN",
	"HOLD", "DISCARD", "REDIRECT", "BCC", "PREPEND", "FILTER",
}

// parseAction takes a result apart. One of digits alone is OK.
func parseAction(value string) action {
	var a action
	a.word, a.all = value, ""
	if i := strings.IndexAny(value, " \t"); i >= 0 {
		a.word, a.all = value[:i], strings.TrimLeft(value[i:], " \t\r\n\v\f")
	}
	a.enhanced, a.text = mail.SplitEnhanced(a.all)
	a.coded = a.enhanced != (mail.Enhanced{})
	for _, verb := range verbs {
		if strings.EqualFold(a.word, verb) {
			a.verb = verb
			return a
		}
	}
	switch {
	case value != "" && strings.Trim(value, "0123456789") == "":
		a.verb = "OK"
	case len(a.word) == 3 && a.all != "" && (a.word[0] == '4' || a.word[0] == '5') && strings.Trim(a.word, "0123456789") == "":
		a.verb = "CODE"
		a.code, _ = strconv.Atoi(a.word)
	}
	return a
}

// maxDepth is how deep results may lead to lists that lead to results.
const maxDepth = 100

// act carries out what a table or a policy server wants. by is its name, key what it was
// asked for.
func (s *session) act(ctx context.Context, by, key, value string, about subject) outcome {
	a := parseAction(value)
	switch a.verb {
	case "DUNNO":
		return dunno
	case "OK", "RELAY":
		return s.permitted(ctx, a.word, about, by)
	case "REJECT":
		return s.reject(about, s.o.AccessRejectCode, s.codeOf(a, mail.Code(5, 7, 1), about), orElse(a.text, "Access denied"))
	case "DEFER":
		return s.reject(about, s.o.AccessDeferCode, s.codeOf(a, mail.Code(4, 7, 1), about), orElse(a.text, "Access denied"))
	case "CODE":
		return s.reject(about, a.code, s.codeOf(a, mail.Code(uint16(a.code/100), 7, 1), about), orElse(a.text, "Access denied"))
	case "DEFER_IF_PERMIT":
		return s.deferLater(true, about, s.o.AccessDeferCode, s.codeOf(a, mail.Code(4, 7, 1), about), orElse(a.text, "Service unavailable"))
	case "DEFER_IF_REJECT":
		return s.deferRefusal(about, s.o.AccessDeferCode, s.codeOf(a, mail.Code(4, 7, 1), about), orElse(a.text, "Service unavailable"))
	case "INFO", "WARN":
		s.logAction(strings.ToLower(a.verb), a.all)
		return dunno
	case "HOLD", "DISCARD", "REDIRECT", "BCC", "PREPEND", "FILTER":
		return s.actOnMessage(ctx, a, by, key, about)
	}
	return s.actAsList(ctx, by, value, about)
}

// actAsList evaluates a result that is a list of restrictions.
func (s *session) actAsList(ctx context.Context, by, value string, about subject) outcome {
	if strings.Contains(value, ":") {
		s.warn("access table " + by + " has entry with lookup table: " + value +
			"; do not specify lookup tables inside SMTPD access maps; define a restriction class and specify its name instead")
		return s.misconfigured()
	}
	if s.judged.depth > maxDepth {
		s.warn("access table " + by + " entry " + value + " causes unreasonable recursion")
		return s.misconfigured()
	}
	names := splitList(value)
	if len(names) == 0 {
		s.warn("access table " + by + " entry " + value + " has empty value")
		return permits
	}
	list, err := s.o.Language.parse(names, nil)
	if err != nil {
		s.warn("access table " + by + ": " + err.Error())
		return s.misconfigured()
	}
	// The list is about what the table was asked for.
	saved := s.judged.about
	s.judged.about = about
	o := s.judge(ctx, list)
	s.judged.about = saved
	return o
}

// codeOf is the enhanced status code of an action, as it can be said of the subject.
func (s *session) codeOf(a action, usual mail.Enhanced, about subject) mail.Enhanced {
	if a.coded {
		return s.fixCode(a.enhanced, about.class)
	}
	return usual
}

// fixCode replaces a code about one kind of address that is used of something else
// (RFC 3463 section 3.2): X.1.7 is about a sender, X.1.1 about a recipient.
func (s *session) fixCode(e mail.Enhanced, class string) mail.Enhanced {
	if e[1] != 1 {
		return e
	}
	was := e
	var known map[uint16]uint16
	switch class {
	case classSender:
		known = map[uint16]uint16{1: 7, 2: 8, 3: 7, 4: 7, 6: 7, 7: 7, 8: 8}
	case classRecipient:
		known = map[uint16]uint16{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 3, 8: 2}
	default:
		e[1] = 0
	}
	e[2] = known[e[2]]
	if e != was {
		s.log.Info("mapping DSN status " + was.String() + " into " + class + " status " + e.String())
	}
	return e
}

func orElse(text, usual string) string {
	if text == "" {
		return usual
	}
	return text
}

// splitList splits at commas and white space, but not inside braces.
func splitList(s string) []string {
	var list []string
	level, start := 0, -1
	for i := 0; i <= len(s); i++ {
		if i == len(s) || level == 0 && strings.IndexByte(", \t\r\n", s[i]) >= 0 {
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
		case s[i] == '{':
			level++
		case s[i] == '}' && level > 0:
			level--
		}
	}
	return list
}
