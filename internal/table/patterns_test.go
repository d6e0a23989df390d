package table

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRulesAsPostfix compares with what postmap -q of Postfix said: the answers of
// each table of rules, null for none, and its warnings.
func TestRulesAsPostfix(t *testing.T) {
	text, err := os.ReadFile("testdata/rules.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Type, Text string
		Warnings         []string
		Answers          map[string]*string
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Type+" "+c.Name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "T")
			write(t, file, c.Text)
			var warnings []string
			tab, err := Open(c.Type+":"+file, Options{Warn: func(msg string) {
				warnings = append(warnings, strings.ReplaceAll(msg, file, "FILE"))
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer tab.Close()
			if !slices.Equal(warnings, c.Warnings) {
				t.Errorf("warnings\n%s\nwant\n%s", strings.Join(warnings, "\n"), strings.Join(c.Warnings, "\n"))
			}
			for key, want := range c.Answers {
				got, found, err := tab.Lookup(t.Context(), key)
				if err != nil {
					t.Errorf("%q: %v", key, err)
				}
				switch {
				case found != (want != nil):
					t.Errorf("%q: found %v %q, want %v", key, found, got, want != nil)
				case found && got != *want:
					t.Errorf("%q: got %q, want %q", key, got, *want)
				}
			}
		})
	}
}

// Tables of rules stand in lists like any other.
func TestRulesInLists(t *testing.T) {
	file := tableFile(t, "!10.0.0.0/8 OK\nif 10.1.0.0/16\n10.1.2.3 OK\nendif\n")
	l, err := ParseAddrList([]string{"!192.0.2.1", "cidr:" + file, "2001:db8::/32"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for addr, want := range map[string]bool{
		"192.0.2.1": false, "192.0.2.2": true, "10.1.2.3": true, "10.1.2.4": false,
		"::ffff:10.1.2.3": true, "2001:db8::1": true, "2001:db9::1": false,
	} {
		if got, err := l.Match(t.Context(), "client.example", netip.MustParseAddr(addr)); got != want || err != nil {
			t.Errorf("%s: %v, %v", addr, got, err)
		}
	}
	d, err := ParseDomainList([]string{"regexp:{{/^x[0-9]\\.virt\\.example$/ yes}}"}, Options{Subdomains: NoSubdomains})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for domain, want := range map[string]bool{"x1.virt.example": true, "X2.VIRT.example": true, "y.virt.example": false} {
		if got, err := d.Match(t.Context(), domain); got != want || err != nil {
			t.Errorf("%s: %v, %v", domain, got, err)
		}
	}
}

func TestRulesInConfiguration(t *testing.T) {
	for _, c := range []struct{ spec, want string }{
		{"regexp:{{/x{2}/ a}, { /k/  b c } }", "b c"},
		{"regexp:{}", "(none)"},
		{"pcre:{{/^(?<n>k)$/ <$1>}}", "<k>"},
		{"regexp:{/k/ b}", `error: regexp map: no '{' at start of text in "/k/"`},
		{"pcre:{{/k/ a} b}", `error: pcre map: no '{' at start of text in "b"`},
		{"regexp:{{/k/ a}} x", `error: regexp map: syntax error after '}' in "{{/k/ a}} x"`},
		{"regexp:{{/^(.)/ $1}}", "k"},
		{"cidr:/nonexistent", "error: open /nonexistent: No such file or directory"},
		{"regexp:/tmp", "error: read /tmp: Is a directory"},
	} {
		tb, err := Open(c.spec, Options{})
		got := fmt.Sprintf("error: %v", err)
		if err == nil {
			got = answer(tb, "k")
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.spec, got, c.want)
		}
	}
}

// Explanations name the line of the rule.
func TestRulesLocate(t *testing.T) {
	file := tableFile(t, "# c\nif /^a/\n/^ab/ x\nendif\n/./ y\n")
	tb := open(t, "regexp:"+file, Options{}).(Locator)
	for key, line := range map[string]string{"ABC": ", line 3", "b": ", line 5"} {
		if got := tb.Locate(key); got != file+line {
			t.Errorf("Locate(%q) = %q", key, got)
		}
	}
	if got := tb.Locate(""); got != "" {
		t.Errorf("Locate of nothing is %q", got)
	}
}

// Half a letter in a result is an error where all must be UTF-8.
func TestRulesResultUTF8(t *testing.T) {
	const spec = "regexp:{{/^(.)/ $1}}"
	if got := answer(open(t, spec, Options{}), "é"); !strings.HasSuffix(got, "the value is not UTF-8") {
		t.Errorf("answer %q", got)
	}
	wantAnswer(t, open(t, spec, Options{NoUTF8: true}), "é", "\xc3")
}
