package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The cases of testdata/checks.txt: what header_checks(5) and its relatives make of
// messages. The file says how it is read.

const checksFile = "testdata/checks.txt"

// checkCase is one message and what is looked for in it.
type checkCase struct {
	name   string
	rules  []string // "header /regexp/ ACTION", likewise mime, nested, body
	set    []string // -o of its cleanup service
	smtpd  []string // -o of its listener
	via    string   // data, bdat, sendmail
	rcpts  []string
	lines  []string // the message
	differ string   // why we differ from what is recorded; what we do then stands behind !

	got, want checkResult
	ours      checkResult // where it differs
}

// checkResult is what came of a case.
type checkResult struct {
	replies  []string // <
	log      []string // |
	envelope []string // +
	content  []string // =
}

func (r *checkResult) parts() []part {
	return []part{{"< ", &r.replies}, {"| ", &r.log}, {"+ ", &r.envelope}, {"= ", &r.content}}
}

type part struct {
	mark  string
	lines *[]string
}

func loadCheckCases(t *testing.T) []*checkCase {
	t.Helper()
	text, err := os.ReadFile(checksFile)
	if err != nil {
		t.Fatal(err)
	}
	var cases []*checkCase
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "== "); ok {
			cases = append(cases, &checkCase{name: name, via: "data"})
			continue
		}
		c := cases[len(cases)-1]
		word, rest, _ := strings.Cut(line, " ")
		into := &c.want
		if strings.HasPrefix(word, "!") {
			into, word = &c.ours, word[1:]
		}
		switch word {
		case "header", "mime", "nested", "body", "sent-header", "sent-body":
			c.rules = append(c.rules, line)
		case "set":
			c.set = append(c.set, rest)
		case "smtpd":
			c.smtpd = append(c.smtpd, rest)
		case "via":
			c.via = rest
		case "rcpt":
			c.rcpts = append(c.rcpts, rest)
		case "differs:":
			c.differ = rest
		case ">":
			c.lines = append(c.lines, rest)
		case "<":
			into.replies = append(into.replies, rest)
		case "|":
			into.log = append(into.log, rest)
		case "+":
			into.envelope = append(into.envelope, rest)
		case "=":
			into.content = append(into.content, rest)
		default:
			t.Fatalf("%s: %q", checksFile, line)
		}
	}
	for _, c := range cases {
		if c.rcpts == nil {
			c.rcpts = []string{"a@virt.example"}
		}
	}
	return cases
}

// writeCheckCases writes the file anew, with what was got as what is wanted.
func writeCheckCases(t *testing.T, cases []*checkCase) {
	t.Helper()
	text, err := os.ReadFile(checksFile)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(text), "== ")
	var b strings.Builder
	b.WriteString(head)
	for _, c := range cases {
		fmt.Fprintf(&b, "== %s\n", c.name)
		if c.via != "data" {
			fmt.Fprintf(&b, "via %s\n", c.via)
		}
		if strings.Join(c.rcpts, " ") != "a@virt.example" {
			writeLines(&b, "rcpt ", c.rcpts)
		}
		writeLines(&b, "", c.rules)
		writeLines(&b, "set ", c.set)
		writeLines(&b, "smtpd ", c.smtpd)
		writeLines(&b, "> ", c.lines)
		for _, p := range c.got.parts() {
			writeLines(&b, p.mark, *p.lines)
		}
		if c.differ != "" {
			fmt.Fprintf(&b, "differs: %s\n", c.differ)
			for _, p := range c.ours.parts() {
				writeLines(&b, "!"+p.mark, *p.lines)
			}
		}
		b.WriteString("\n")
	}
	if err := os.WriteFile(checksFile, []byte(strings.TrimRight(b.String(), "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func writeLines(b *strings.Builder, mark string, lines []string) {
	for _, line := range lines {
		b.WriteString(strings.TrimRight(mark+line, " ") + "\n")
	}
}

var (
	repeated  = regexp.MustCompile(`\{(.)\*(\d+)\}`)
	manyTimes = regexp.MustCompile(`a{80,}|b{80,}|x{80,}`)
)

// expand writes {x*3} out.
func expand(s string) string {
	return repeated.ReplaceAllStringFunc(s, func(m string) string {
		part := repeated.FindStringSubmatch(m)
		n, _ := strconv.Atoi(part[2])
		return strings.Repeat(part[1], n)
	})
}

// shorten is its reverse.
func shorten(s string) string {
	return manyTimes.ReplaceAllStringFunc(s, func(m string) string { return fmt.Sprintf("{%c*%d}", m[0], len(m)) })
}

// message is what is sent, with CRLF line ends.
func (c *checkCase) message() string {
	var b strings.Builder
	for _, line := range c.lines {
		b.WriteString(expand(line) + "\r\n")
	}
	return b.String()
}

// services are the lines of master.cf for the cases, with their tables in dir. filter
// stands for {filter} in them. The cases that go by sendmail have the tables of all, in the
// default service.
// Those about what is sent are for all as well: main are lines of main.cf.
func checkServices(t *testing.T, cases []*checkCase, dir, filter string) (master string, addrs, main []string) {
	t.Helper()
	var b strings.Builder
	common, sent := make(map[string][]string), make(map[string][]string)
	for i, c := range cases {
		addr := freeAddr(t)
		addrs = append(addrs, addr)
		tables := make(map[string][]string)
		for _, rule := range c.rules {
			kind, text, _ := strings.Cut(rule, " ")
			text = strings.ReplaceAll(text, "{filter}", filter)
			if kind, ok := strings.CutPrefix(kind, "sent-"); ok {
				sent[kind] = append(sent[kind], text)
				continue
			}
			tables[kind] = append(tables[kind], text)
			if c.via == "sendmail" {
				common[kind] = append(common[kind], text)
			}
		}
		if c.via == "sendmail" {
			continue
		}
		fmt.Fprintf(&b, "%s inet n - n - - smtpd\n  -o cleanup_service_name=cleanup%d\n", addr, i)
		for _, set := range c.smtpd {
			fmt.Fprintf(&b, "  -o { %s }\n", strings.ReplaceAll(set, "{filter}", filter))
		}
		fmt.Fprintf(&b, "cleanup%d unix n - n - 0 cleanup\n", i)
		writeTables(t, &b, dir, fmt.Sprint(i), tables)
		for _, set := range c.set {
			fmt.Fprintf(&b, "  -o { %s }\n", set)
		}
	}
	b.WriteString("cleanup unix n - n - 0 cleanup\n")
	writeTables(t, &b, dir, "local", common)
	var options strings.Builder
	writeTables(t, &options, dir, "sent", sent)
	for _, option := range strings.Fields(strings.ReplaceAll(options.String(), "-o ", "smtp_")) {
		main = append(main, strings.Replace(option, "=", " = ", 1))
	}
	return b.String(), addrs, main
}

// writeTables writes the tables of a cleanup service and names them in its options.
func writeTables(t *testing.T, b *strings.Builder, dir, name string, tables map[string][]string) {
	t.Helper()
	for kind, parameter := range map[string]string{
		"header": "header_checks", "mime": "mime_header_checks", "nested": "nested_header_checks", "body": "body_checks",
	} {
		rules := tables[kind]
		if rules == nil {
			continue
		}
		file := filepath.Join(dir, "checks-"+name+"-"+kind)
		if err := os.WriteFile(file, []byte(strings.Join(rules, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(b, "  -o %s=regexp:%s\n", parameter, file)
	}
}
