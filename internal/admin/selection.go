package admin

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"aliasmx/internal/mail"
)

// Which messages an operator means. The daemon decides, message by message as it lists
// them: a million IDs need not be sent around.

// Selection selects messages: those for which all that is set holds. The zero value
// selects every message.
//
// A pattern is /a regular expression/ (RE2), or text in which * stands for anything, ?
// for one character and [a-z] for one of several, and which has to match as a whole.
// Upper and lower case are the same. Text that is just the same matches too, so that an
// address in brackets needs no thought.
//
// Recipient, Destination and Reason are about recipients that are not done yet: one
// recipient has to match all three.
type Selection struct {
	Sender      string        `json:"sender,omitempty"`      // the null sender is MAILER-DAEMON, or <>
	Recipient   string        `json:"recipient,omitempty"`   // the address, or the one that it was expanded from
	Destination string        `json:"destination,omitempty"` // transport and next hop, next hop, or recipient domain
	Reason      string        `json:"reason,omitempty"`      // why it is late
	Older       time.Duration `json:"older,omitempty"`       // arrived at least so long ago
	Younger     time.Duration `json:"younger,omitempty"`     // arrived less long ago
	SizeOver    int64         `json:"size_over,omitempty"`   // bytes
}

// IsZero tells whether everything is selected.
func (s Selection) IsZero() bool { return s == Selection{} }

// String is the selection in the words of the command line.
func (s Selection) String() string {
	var b strings.Builder
	add := func(name, value string) { fmt.Fprintf(&b, " --%s %s", name, value) }
	for _, p := range s.patterns() {
		if *p.text != "" {
			add(p.name, *p.text)
		}
	}
	if s.Older != 0 {
		add("older", ageText(s.Older))
	}
	if s.Younger != 0 {
		add("younger", ageText(s.Younger))
	}
	if s.SizeOver != 0 {
		add("size-over", fmt.Sprint(s.SizeOver))
	}
	return strings.TrimPrefix(b.String(), " ")
}

// ageText is an age as people write it: 2h, not 2h0m0s.
func ageText(d time.Duration) string {
	text := strings.TrimSuffix(d.String(), "m0s")
	if text != d.String() {
		text += "m"
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

type namedPattern struct {
	name string
	text *string
}

func (s *Selection) patterns() []namedPattern {
	return []namedPattern{{"sender", &s.Sender}, {"recipient", &s.Recipient}, {"destination", &s.Destination}, {"reason", &s.Reason}}
}

// maxPattern bounds a pattern: a request is bounded, and so is what it compiles to.
const maxPattern = 1000

// Check tells what is wrong with a selection.
func (s Selection) Check() error {
	_, err := s.matcher(time.Time{})
	return err
}

// matcher compiles a selection. Ages are counted to now.
func (s Selection) matcher(now time.Time) (func(*mail.Listed) bool, error) {
	patterns := map[string]*pattern{}
	for _, p := range s.patterns() {
		if *p.text == "" {
			continue
		}
		compiled, err := compilePattern(*p.text)
		if err != nil {
			return nil, fmt.Errorf("--%s %s: %w", p.name, *p.text, err)
		}
		patterns[p.name] = compiled
	}
	if s.Older < 0 || s.Younger < 0 || s.SizeOver < 0 {
		return nil, errors.New("ages and sizes cannot be negative")
	}
	sender, rcpt, dest, reason := patterns["sender"], patterns["recipient"], patterns["destination"], patterns["reason"]
	return func(m *mail.Listed) bool {
		age := now.Sub(m.Arrived)
		switch {
		case m.Size <= s.SizeOver && s.SizeOver > 0, age < s.Older, s.Younger > 0 && age >= s.Younger, !sender.matchesSender(m.Sender):
			return false
		case rcpt == nil && dest == nil && reason == nil:
			return true
		}
		for i := range m.Rcpts {
			r := &m.Rcpts[i]
			if (rcpt.matches(r.Address.String()) || rcpt != nil && rcpt.matches(r.Orig)) &&
				(dest.matches(string(r.Dest)) || dest.matches(r.Dest.NextHop()) || dest.matches(r.Address.Domain)) &&
				reason.matches(r.Reason) {
				return true
			}
		}
		return false
	}, nil
}

// pattern is a compiled pattern; nil matches everything.
type pattern struct {
	text string // as it was written, if it is no regular expression
	expr *regexp.Regexp
}

func (p *pattern) matches(s string) bool {
	return p == nil || p.text != "" && strings.EqualFold(p.text, s) || p.expr.MatchString(s)
}

func (p *pattern) matchesSender(a mail.Address) bool {
	if p != nil && a.IsNull() {
		return p.matches("MAILER-DAEMON") || p.matches("<>")
	}
	return p.matches(a.String())
}

func compilePattern(text string) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("longer than %d bytes", maxPattern)
	}
	if len(text) > 1 && text[0] == '/' && text[len(text)-1] == '/' {
		expr, err := regexp.Compile("(?is)" + text[1:len(text)-1])
		return &pattern{expr: expr}, plainer(err)
	}
	source, err := globSource(text)
	if err != nil {
		return nil, err
	}
	expr, err := regexp.Compile(`(?is)\A` + source + `\z`)
	return &pattern{text: text, expr: expr}, plainer(err)
}

// plainer leaves out of an error what nobody has written.
func plainer(err error) error {
	if err == nil {
		return nil
	}
	text := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
	return errors.New(strings.ReplaceAll(text, "(?is)", ""))
}

// globSource makes a regular expression of a pattern of the shell.
func globSource(text string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteByte('.')
		case '\\':
			if i++; i == len(text) {
				return "", errors.New("nothing follows the backslash at its end")
			}
			b.WriteString(regexp.QuoteMeta(text[i : i+1]))
		case '[':
			end := strings.IndexByte(text[i+1:], ']')
			if end < 1 {
				return "", errors.New("a [ has no ]")
			}
			set := text[i+1 : i+1+end]
			b.WriteByte('[')
			if set[0] == '!' || set[0] == '^' {
				b.WriteByte('^')
				set = set[1:]
			}
			b.WriteString(strings.NewReplacer(`\`, `\\`, `[`, `\[`, `^`, `\^`).Replace(set) + "]")
			i += end + 1
		default:
			// Bytes above 0x7f stay together: a pattern may be any text.
			j := i + 1
			for j < len(text) && text[j] >= 0x80 && c >= 0x80 {
				j++
			}
			b.WriteString(regexp.QuoteMeta(text[i:j]))
			i = j - 1
		}
	}
	return b.String(), nil
}

// Select yields the messages of a queue that are in one of queues (nil: any) and that sel
// selects, oldest first, until yield returns false. Progress, unless it is nil, is told
// of every message that was looked at.
func Select(ctx context.Context, q Queue, queues []string, sel Selection, progress Progress, yield func(mail.Listed) bool) error {
	in, total, err := scope(ctx, q, queues, sel)
	if err != nil {
		return err
	}
	var done int64
	return q.List(ctx, func(m mail.Listed) bool {
		if done++; progress != nil {
			progress(done, max(total, done))
		}
		return !in(&m) || yield(m)
	})
}

// scope is which messages a listing is about, and how many there are to look at.
func scope(ctx context.Context, q Queue, queues []string, sel Selection) (in func(*mail.Listed) bool, total int64, err error) {
	match, err := sel.matcher(time.Now())
	if err != nil {
		return nil, 0, err
	}
	c, err := q.Counts(ctx)
	if err != nil {
		return nil, 0, err
	}
	wanted := make(map[string]bool, len(queues))
	for _, name := range queues {
		wanted[name] = true
	}
	for _, name := range queueNames {
		total += c.Of(name)
	}
	return func(m *mail.Listed) bool { return (len(queues) == 0 || wanted[m.Queue]) && match(m) }, total, nil
}
