package talks

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Conversation is one conversation of a file.
type Conversation struct {
	File  string // its name without directory and extension: the theme
	Line  int    // where it begins
	Title string

	Settings []Setting
	Virtual  []string // "key value", entries of virtual_alias_maps
	DNS      []string // records as in a zone file

	Only    Audience
	Reason  string // why not for everybody
	Differs string // the rule of docs/differences.md
	Head    []string

	Steps []Step
	Queue []Expected
	Log   []Expected
	// HasLog: the log is compared.
	HasLog bool
}

// Setting is a parameter of postconf(5).
type Setting struct{ Name, Value string }

// Audience is whom a conversation is for.
type Audience uint8

// From everybody to few.
const (
	Portable   Audience = iota // Postfix answers likewise
	OnlyOurs                   // our engine, in memory and over sockets
	OnlyMemory                 // our engine in memory, with time and table servers of a test's own
)

// Whose a line is, when it is not everybody's.
const (
	ours    = 'O'
	postfix = 'P'
)

// Step is one line of a conversation.
type Step struct {
	Line int
	Kind string // "C:", "open" ...; "#" for a comment
	Text string // what follows
	Of   rune   // ours, postfix, or 0
}

// Expected is a line of the queue or the log.
type Expected struct {
	Text string
	Of   rune
}

// Name is file and title, unique among all conversations.
func (c *Conversation) Name() string { return c.File + "/" + c.Title }

// Get is the value of a setting, the last one counting, and "" without one.
func (c *Conversation) Get(name string) string {
	value := ""
	for _, s := range c.Settings {
		if s.Name == name {
			value = s.Value
		}
	}
	return value
}

// IsNew tells that nothing is expected yet: it is to be recorded.
func (c *Conversation) IsNew() bool {
	return !c.HasLog && !slices.ContainsFunc(c.Steps, func(s Step) bool { return s.Kind == "S:" || s.Kind == "~:" })
}

// Waits is how long it takes by itself.
func (c *Conversation) Waits() time.Duration {
	var sum time.Duration
	for _, s := range c.Steps {
		if s.Kind == "W:" {
			d, _ := time.ParseDuration(s.Text)
			sum += d
		}
	}
	return sum
}

// concerns tells whether a line is expected of this side.
func concerns(of rune, isPostfix bool) bool {
	return of == 0 || (of == postfix) == isPostfix
}

// Rules are those that a page in the form of docs/differences.md has: the first column of
// its table.
func Rules(page string) []string {
	var rules []string
	for line := range strings.Lines(page) {
		if cells := strings.Split(line, " | "); len(cells) > 3 && strings.HasPrefix(line, "| ") {
			rules = append(rules, strings.TrimPrefix(cells[0], "| "))
		}
	}
	return rules
}

// lines are those expected of one side.
func lines(list []Expected, isPostfix bool) []string {
	out := []string{}
	for _, e := range list {
		if concerns(e.Of, isPostfix) {
			out = append(out, e.Text)
		}
	}
	return out
}

// CompareQueue and CompareLog tell how what was found differs from what is expected, "" if
// it does not.
func (c *Conversation) CompareQueue(got []string, isPostfix bool) string {
	return c.compare("queue", got, lines(c.Queue, isPostfix))
}

// CompareLog is CompareQueue for lines of the log. What smtpd says is in its order, and so
// is what cleanup says; who comes first is chance where they are two processes.
//
// queued is how many messages the client was told of. How much cleanup(8) sees of any
// other before smtpd(8) gives it up is chance.
func (c *Conversation) CompareLog(got []string, queued int, isPostfix bool) string {
	if !c.HasLog {
		return ""
	}
	want := lines(c.Log, isPostfix)
	if !slices.ContainsFunc(want, isOfAnvil) {
		got = slices.DeleteFunc(slices.Clone(got), isOfAnvil)
	}
	if isPostfix {
		got, want = withoutRefused(got, queued), withoutRefused(want, queued)
	}
	return c.compare("log", byDaemon(got), byDaemon(want))
}

var ofCleanup = regexp.MustCompile(`^cleanup: (?:warning: )?Q(\d+): `)

func withoutRefused(list []string, queued int) []string {
	return slices.DeleteFunc(slices.Clone(list), func(line string) bool {
		m := ofCleanup.FindStringSubmatch(line)
		if m == nil {
			return false
		}
		n, err := strconv.Atoi(m[1])
		return err == nil && n > queued
	})
}

func isOfAnvil(line string) bool { return strings.HasPrefix(line, anvil) }

func byDaemon(list []string) []string {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b string) int {
		return strings.Compare(cleanupFirst(a), cleanupFirst(b))
	})
	return sorted
}

func cleanupFirst(line string) string {
	if strings.HasPrefix(line, cleanup) {
		return cleanup
	}
	return "smtpd"
}

func (c *Conversation) compare(what string, got, want []string) string {
	for i := range max(len(got), len(want)) {
		g, w := "(nothing)", "(nothing)"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			return fmt.Sprintf("%s.txt, line %d: %s, line %d of it:\n got %s\nwant %s\nall of it:\n     %s",
				c.File, c.Line, what, i+1, g, w, strings.Join(got, "\n     "))
		}
	}
	return ""
}
