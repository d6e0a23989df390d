package table

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// golden is a table of patterns as testdata/patterns.txt has it.
type golden struct {
	kind     string
	rules    []string
	keys     []string
	answers  map[string]string
	warnings []string
	refused  bool // by us alone
}

func readGoldens(t *testing.T) []golden {
	t.Helper()
	text, err := os.ReadFile("testdata/patterns.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	var keys []string
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		last := len(all) - 1
		switch fields := strings.Split(line[1:], "\t"); {
		case strings.HasPrefix(line, "keys\t"):
			keys = strings.Split(line, "\t")[1:]
		case line[0] == ' ':
			all[last].rules = append(all[last].rules, line[2:])
		case line[0] == '=':
			all[last].answers[fields[0]] = fields[1]
		case line[0] == '!':
			all[last].warnings = append(all[last].warnings, line[1:])
		case line == "-":
			all[last].refused = true
		default:
			all = append(all, golden{kind: line, keys: keys, answers: map[string]string{}})
		}
	}
	if len(all) < 150 {
		t.Fatalf("only %d tables", len(all))
	}
	return all
}

// TestPatternsAsPostfix replays what Debian's postmap -q said. What it skips with a
// warning, because the expression is none, does not open here; what we cannot run neither.
func TestPatternsAsPostfix(t *testing.T) {
	for _, g := range readGoldens(t) {
		text := strings.Join(g.rules, "\n")
		file := tableFile(t, text+"\n")
		var w warnings
		tb, err := Open(g.kind+":"+file, w.options())
		skipped := isFault(g.warnings)
		if err != nil {
			if !strings.HasPrefix(err.Error(), g.kind+" map "+file+", line ") {
				t.Errorf("%s %q: the error does not say where: %v", g.kind, text, err)
			}
			if !skipped && !g.refused {
				t.Errorf("%s %q: Postfix runs it: %v", g.kind, text, err)
			}
			continue
		}
		if skipped || g.refused {
			t.Errorf("%s %q: it opens, Postfix warns %q", g.kind, text, g.warnings)
		}
		var said []string
		for _, s := range w.take() {
			if strings.Contains(s, file) {
				said = append(said, strings.ReplaceAll(s, file, "FILE"))
			}
		}
		if !slices.Equal(said, g.warnings) {
			t.Errorf("%s %q: warnings\n%q\nwant\n%q", g.kind, text, said, g.warnings)
		}
		for _, key := range g.keys {
			want, found := g.answers[key]
			if !found {
				want = "(none)"
			}
			if got := answer(tb, key); got != want {
				t.Errorf("%s %q on %q: got %q, want %q", g.kind, text, key, got, want)
			}
		}
		tb.Close()
	}
}

// isFault tells the warnings about expressions from those about the rules around them,
// which Postfix and we pass over alike.
func isFault(warnings []string) bool {
	passed := []string{"no replacement text", "skipping this rule", "ignoring", "IF", "delimiter", "syntax", "replacement"}
	return slices.ContainsFunc(warnings, func(s string) bool {
		return !slices.ContainsFunc(passed, func(p string) bool { return strings.Contains(s, p) })
	})
}

// Expressions that make an engine try for ever answer in time, or with an error, and
// never with a "not found" that is none; a table of many such rules keeps the limit of
// the whole lookup.
func TestPatternsThatExplode(t *testing.T) {
	as := strings.Repeat("a", 4000)
	for _, c := range []struct {
		kind, rule, key string
		want            string // "" for an error
	}{
		{"regexp", "/^(a+)+$/ x", as + "!", "(none)"},
		{"regexp", "/^(a|aa)+$/ x", as + "!", "(none)"},
		{"regexp", "/^(a*)*b/ x", as, "(none)"},
		{"regexp", "/^((a|b)*c|(a|b)*d)*e$/ x", strings.Repeat("ab", 1000), "(none)"},
		{"regexp", "/(.*)(.*)(.*)(.*)(.*)x$/ y", as, "(none)"},
		{"regexp", "/^(.*)(.*)(.*)(.*)\\1\\2\\3\\4z/ x", as[:1000], ""},
		{"pcre", "/^(a+)+$/ x", as + "!", "(none)"},
		{"pcre", "/^(a|a)*$/ x", as + "!", "(none)"},
		{"pcre", "/^(a+)+\\1$/ x", as + "!", ""},
		{"pcre", "/^(?=(a+)+$)b/ x", as[:60] + "!", ""},
		{"pcre", "/(?=.*a.*a.*a.*a.*a.*a.*b)x/ y", as, "(none)"},
		{"pcre", "/^(?>(a+)+)b/ x", as, "(none)"},
	} {
		tb := open(t, c.kind+":"+tableFile(t, c.rule+"\n"), Options{})
		start := time.Now()
		got := answer(tb, c.key)
		if spent := time.Since(start); spent > lookupLimit+2*time.Second {
			t.Errorf("%s %q takes %v", c.kind, c.rule, spent)
		}
		late := strings.HasPrefix(got, "error: line 1: pattern")
		if c.want == "" && !late || c.want != "" && got != c.want {
			t.Errorf("%s %q: got %.100q, want %q", c.kind, c.rule, got, c.want)
		}
	}
	many := open(t, "pcre:"+tableFile(t, strings.Repeat("/^(?=(a+)+$)b/ x\n", 100)), Options{})
	start := time.Now()
	if got := answer(many, strings.Repeat("a", 60)+"!"); !strings.HasPrefix(got, "error: ") {
		t.Errorf("many rules: %.100q", got)
	}
	if spent := time.Since(start); spent > lookupLimit+2*time.Second {
		t.Errorf("many rules take %v", spent)
	}
}
