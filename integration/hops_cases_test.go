package integration

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

// hopStep is a step of a conversation in testdata/hops.txt.
type hopStep struct {
	name, at, ok, via string
	to, ways, offer   []string
	letters           []string
	tls, twice        bool
	answers           map[string]string
}

// hopWay is a behaviour there.
type hopWay struct{ name, answer string }

// loadHops are the cases that the steps and the behaviours of testdata/hops.txt make.
func loadHops(t *testing.T) []*serverCase {
	t.Helper()
	text, err := os.ReadFile("testdata/hops.txt")
	if err != nil {
		t.Fatal(err)
	}
	var steps []*hopStep
	ways := map[string][]hopWay{}
	step, list := (*hopStep)(nil), ""
	for line := range strings.SplitSeq(string(text), "\n") {
		name, isStep := strings.CutPrefix(line, "== ")
		left, right, isAnswer := strings.Cut(line, " => ")
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(line, "#") || line == "":
		case isStep:
			step, list = &hopStep{name: name, via: "smtp", to: []string{"a"}, answers: map[string]string{}}, ""
			step.offer = []string{"PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN"}
			steps = append(steps, step)
		case isAnswer && list != "":
			ways[list] = append(ways[list], hopWay{left, right})
		case isAnswer:
			step.answers[left] = right
		case word == "ways" && step != nil && step.ways == nil:
			step.ways = strings.Fields(rest)
		case word == "ways":
			list = rest
		case word == "at":
			step.at = rest
		case word == "ok":
			step.ok = rest
		case word == "via":
			step.via = rest
		case word == "to":
			step.to = strings.Fields(rest)
		case word == "letters":
			step.letters = strings.Fields(rest)
			step.to = strings.Split(strings.Join(step.letters, "+"), "+")
		case word == "offer":
			step.offer = strings.Fields(rest)
		case word == "tls":
			step.tls = true
		case word == "twice":
			step.twice = true
		default:
			t.Fatalf("testdata/hops.txt: %q", line)
		}
	}
	cert, err := peers.SelfSigned("sink.example")
	if err != nil {
		t.Fatal(err)
	}
	var cases []*serverCase
	for _, s := range steps {
		for _, list := range s.ways {
			for _, w := range ways[list] {
				c := &serverCase{name: s.name + ": " + w.name, via: s.via, to: s.to, twice: s.twice}
				if strings.Contains(w.answer, "hang") {
					c.via = map[string]string{"smtp": "hurry", "lmtp": "hurrylmtp"}[s.via]
					if c.via == "" {
						c.via = "hurry" + s.via
					}
				}
				if c.letters = s.letters; c.letters != nil {
					c.fatesOnly, c.server.Gate = true, make(chan struct{})
				}
				c.server.LMTP = s.via == "lmtp"
				c.server.Offer = s.offer
				c.server.Answers = map[string]string{}
				for command, reply := range s.answers {
					c.server.Answers[command] = reply
				}
				c.server.Answers[s.at] = w.expand(s.ok)
				if s.tls {
					c.server.TLS = cert
				}
				cases = append(cases, c)
			}
		}
	}
	return cases
}

var hopMacro = regexp.MustCompile(`\{(ok|code|x \d+|\d+ lines)\}|\\n|\\r|\\t|\\x[0-9a-f]{2}`)

// expand is the answer in the words of Scripted, where the right reply would be ok.
func (w hopWay) expand(ok string) string {
	code := (ok + "000")[:3]
	return hopMacro.ReplaceAllStringFunc(w.answer, func(m string) string {
		switch {
		case m == "{ok}":
			return strings.ReplaceAll(ok, `\n`, "\n")
		case m == "{code}":
			return code
		case strings.HasPrefix(m, "{x "):
			n, _ := strconv.Atoi(m[3 : len(m)-1])
			return strings.Repeat("x", n)
		case strings.HasSuffix(m, " lines}"):
			n, _ := strconv.Atoi(m[1 : len(m)-7])
			return strings.TrimSuffix(strings.Repeat(code+"-"+strings.Repeat("more ", 12)+"\n", n), "\n")
		}
		raw, _ := strconv.Unquote(`"` + m + `"`)
		return raw
	})
}

var (
	arguments = regexp.MustCompile(`\b((?:EHLO|HELO|LHLO|MAIL|RCPT)) [^/]*?( /|$)`)
	moreText  = regexp.MustCompile(`(?:more ){5,}`)
	moreLines = regexp.MustCompile(`(?: ?\d\d\d-\(more\)){3,}`)
	longRuns  = regexp.MustCompile(`x{20,}`)
	cutOff    = regexp.MustCompile(`x{1000,}.*|\(\d\d lines\).*`) // how long a line of a log may be is another matter
)

// brief is an outcome without what is the same everywhere: the arguments of commands, and
// text that is only long.
func brief(outcome string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(outcome, "\n"), "\n") {
		if heard, ok := strings.CutPrefix(line, "heard: "); ok {
			if strings.Contains(outcome, ": endless reply from ") {
				continue // what a server that talks on hears before we hang up is chance
			}
			line = "heard:"
			for command := range strings.SplitSeq(heard, " / ") {
				verb, _, _ := strings.Cut(command, " ")
				line += " " + strings.Map(func(c rune) rune {
					if c < ' ' || c > '~' {
						return '?'
					}
					return c
				}, verb)
			}
		}
		line = moreText.ReplaceAllString(line, "(more)")
		line = moreLines.ReplaceAllStringFunc(line, func(m string) string {
			return fmt.Sprintf(" (%d lines)", strings.Count(m, "-"))
		})
		line = cutOff.ReplaceAllString(line, "(much more)")
		line = longRuns.ReplaceAllStringFunc(line, func(m string) string { return fmt.Sprintf("x*%d", len(m)) })
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// readHops reads a file of outcomes, each under the names of all cases that have it. whys
// are the reasons given there.
func readHops(t *testing.T, file string) (outcomes, whys map[string]string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	outcomes, whys = map[string]string{}, map[string]string{}
	var names []string
	inside := false
	for line := range strings.SplitSeq(string(text), "\n") {
		name, isName := strings.CutPrefix(line, "== ")
		why, isWhy := strings.CutPrefix(line, "why: ")
		switch {
		case strings.HasPrefix(line, "#") || line == "":
		case isName:
			if inside {
				names, inside = nil, false
			}
			names = append(names, name)
		case isWhy:
			inside = true
			for _, n := range names {
				whys[n] = why
			}
		default:
			inside = true
			for _, n := range names {
				outcomes[n] += line + "\n"
			}
		}
	}
	return outcomes, whys
}

// writeHops writes outcomes, the cases that have the same one together.
func writeHops(file, head string, cases []*serverCase, outcomes, whys map[string]string) error {
	var b bytes.Buffer
	b.WriteString(head)
	done := map[string]bool{}
	for i, c := range cases {
		outcome, there := outcomes[c.name]
		if !there || done[c.name] {
			continue
		}
		b.WriteString("\n")
		for _, other := range cases[i:] {
			if o, ok := outcomes[other.name]; ok && o == outcome && whys[other.name] == whys[c.name] {
				done[other.name] = true
				fmt.Fprintf(&b, "== %s\n", other.name)
			}
		}
		if whys != nil {
			fmt.Fprintf(&b, "why: %s\n", whys[c.name])
		}
		b.WriteString(outcome)
	}
	return os.WriteFile(file, b.Bytes(), 0o644)
}

// hopsOf are the cases whose names begin with what HOPS says, for a closer look; all of
// them without it.
func hopsOf(t *testing.T) []*serverCase {
	cases := loadHops(t)
	if only := os.Getenv("HOPS"); only != "" {
		cases = slices.DeleteFunc(cases, func(c *serverCase) bool { return !strings.HasPrefix(c.name, only) })
	}
	return cases
}
