package talks

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Load reads all files of a directory.
func Load(dir string) ([]*Conversation, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%s holds no conversations: %v", dir, err)
	}
	var all []*Conversation
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list, err := Parse(strings.TrimSuffix(filepath.Base(name), ".txt"), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// Parse reads one file. An error names the line.
func Parse(name, text string) ([]*Conversation, error) {
	p := &parser{file: name, titles: make(map[string]bool)}
	for line := range strings.Lines(text) {
		p.number++
		if err := p.line(strings.TrimSuffix(line, "\n")); err != nil {
			return nil, fmt.Errorf("%s.txt, line %d: %w", name, p.number, err)
		}
	}
	return p.list, nil
}

type parser struct {
	file    string
	number  int
	common  []Setting
	list    []*Conversation
	titles  map[string]bool
	section string // "", "queue" or "log"
}

var (
	settingLine = regexp.MustCompile(`^([a-z][a-z0-9_]*) =(?: (.*))?$`)
	stepLine    = regexp.MustCompile(`^(?:([OP]) )?([BCRSEWTFZX~]:|open\b|also\b|back\b)(?: (.*))?$`)
)

func (p *parser) line(line string) error {
	if title, ok := strings.CutPrefix(line, "== "); ok {
		if p.titles[title] {
			return fmt.Errorf("%q is the name of another conversation", title)
		}
		p.titles[title], p.section = true, ""
		p.list = append(p.list, &Conversation{
			File: p.file, Line: p.number, Title: title, Settings: append([]Setting(nil), p.common...),
		})
		return nil
	}
	if len(p.list) == 0 {
		return p.preamble(line)
	}
	c := p.list[len(p.list)-1]
	if section, ok := strings.CutPrefix(line, "-- "); ok {
		if section != "queue" && section != "log" {
			return fmt.Errorf("%q is no section", section)
		}
		p.section, c.HasLog = section, c.HasLog || section == "log"
		return nil
	}
	switch {
	case line == "":
		return nil
	case p.section != "":
		e := Expected{Text: line}
		if strings.HasPrefix(line, "O ") || strings.HasPrefix(line, "P ") {
			e = Expected{Text: line[2:], Of: rune(line[0])}
		}
		if err := c.mayDiffer(e.Of); err != nil {
			return err
		}
		if p.section == "queue" {
			c.Queue = append(c.Queue, e)
		} else {
			c.Log = append(c.Log, e)
		}
		return nil
	case line[0] == '#' && c.Steps != nil:
		c.Steps = append(c.Steps, Step{Line: p.number, Kind: "#", Text: line})
		return nil
	}
	if m := stepLine.FindStringSubmatch(line); m != nil {
		return p.step(c, m)
	}
	if c.Steps != nil {
		return fmt.Errorf("%q is no line of a conversation", line)
	}
	c.Head = append(c.Head, line)
	return c.head(line)
}

// preamble reads what stands above the first conversation.
func (p *parser) preamble(line string) error {
	m := settingLine.FindStringSubmatch(line)
	switch {
	case m != nil:
		p.common = append(p.common, Setting{m[1], m[2]})
	case line != "" && line[0] != '#':
		return fmt.Errorf("%q stands above the first conversation and is no setting", line)
	}
	return nil
}

// head reads a line above the first step.
func (c *Conversation) head(line string) error {
	if m := settingLine.FindStringSubmatch(line); m != nil {
		c.Settings = append(c.Settings, Setting{m[1], m[2]})
		return nil
	}
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "virtual":
		c.Virtual = append(c.Virtual, rest)
	case "dns":
		c.DNS = append(c.DNS, rest)
	case "differs:":
		c.Differs = rest
	case "only":
		who, reason, _ := strings.Cut(rest, ": ")
		c.Only, c.Reason = map[string]Audience{"ours": OnlyOurs, "memory": OnlyMemory}[who], reason
		if c.Only == Portable || reason == "" {
			return fmt.Errorf(`%q is not "only ours: REASON" or "only memory: REASON"`, line)
		}
	default:
		if line[0] != '#' {
			return fmt.Errorf("%q is neither a setting nor a line of a conversation", line)
		}
	}
	return nil
}

func (c *Conversation) mayDiffer(of rune) error {
	if of != 0 && c.Differs == "" {
		return fmt.Errorf(`a line with %c needs "differs: RULE" above`, of)
	}
	return nil
}

// step reads a line of the conversation itself.
func (p *parser) step(c *Conversation, m []string) error {
	s := Step{Line: p.number, Kind: m[2], Text: m[3]}
	if m[1] != "" {
		s.Of = rune(m[1][0])
	}
	if err := c.mayDiffer(s.Of); err != nil {
		return err
	}
	var err error
	switch s.Kind {
	case "R:", "B:":
		_, err = Unquote(s.Text)
	case "W:":
		_, err = time.ParseDuration(s.Text)
	case "back":
		_, err = strconv.Atoi(s.Text)
	case "T:":
		if s.Text != "ok" && s.Text != "fails" {
			err = fmt.Errorf("%q is neither ok nor fails", s.Text)
		}
	}
	c.Steps = append(c.Steps, s)
	return err
}

// Unquote reads "..." + "x" * 90.
func Unquote(s string) (string, error) {
	var b strings.Builder
	for part := range strings.SplitSeq(s, " + ") {
		part, times, repeated := strings.Cut(part, " * ")
		raw, err := strconv.Unquote(part)
		n := 1
		if err == nil && repeated {
			n, err = strconv.Atoi(times)
		}
		if err != nil || n < 0 {
			return "", fmt.Errorf("%s is no string: %v", part, err)
		}
		b.WriteString(strings.Repeat(raw, n))
	}
	return b.String(), nil
}

// Quote is what Unquote reads, with long runs of one byte as such.
func Quote(s string) string {
	const worthwhile = 40
	var parts []string
	begin := 0
	for i := 0; i < len(s); {
		j := i + 1
		for j < len(s) && s[j] == s[i] {
			j++
		}
		if j-i >= worthwhile {
			if i > begin {
				parts = append(parts, strconv.Quote(s[begin:i]))
			}
			parts = append(parts, fmt.Sprintf("%s * %d", strconv.Quote(s[i:i+1]), j-i))
			begin = j
		}
		i = j
	}
	if begin < len(s) || len(parts) == 0 {
		parts = append(parts, strconv.Quote(s[begin:]))
	}
	return strings.Join(parts, " + ")
}
