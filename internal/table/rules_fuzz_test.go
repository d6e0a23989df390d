package table

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// FuzzRules reads arbitrary bytes as each kind of rules: no panic; what is read answers
// any key, in the limits of time; and what it answers it locates.
func FuzzRules(f *testing.F) {
	text, err := os.ReadFile("testdata/rules.json")
	if err != nil {
		f.Fatal(err)
	}
	var cases []struct{ Type, Text string }
	if err := json.Unmarshal(text, &cases); err != nil {
		f.Fatal(err)
	}
	kinds := []string{"regexp", "pcre", "cidr"}
	for _, c := range cases {
		for i, kind := range kinds {
			if kind == c.Type {
				f.Add(byte(i), c.Text, "a@virt.example")
			}
		}
	}
	f.Add(byte(2), "[::1]/64 x\n![::]/0 y", "::1")
	f.Fuzz(func(t *testing.T, kind byte, text, key string) {
		parse := []func(*ruleReader, string) (rule, bool, error){
			func(r *ruleReader, line string) (rule, bool, error) { return parsePatternRule(r, line, compileRegexp) },
			func(r *ruleReader, line string) (rule, bool, error) { return parsePatternRule(r, line, compilePCRE) },
			parseCIDRRule,
		}[int(kind)%3]
		r := &ruleReader{kind: kinds[int(kind)%3], name: "T", o: Options{}.withDefaults(), parse: parse}
		rules, err := r.read(strings.NewReader(text))
		if err != nil {
			if !strings.Contains(err.Error(), "line ") {
				t.Errorf("no line in %v", err)
			}
			return
		}
		lines := strings.Count(text, "\n") + 1
		_, line, found, err := rules.find(t.Context(), subject{text: key})
		if found && (line < 1 || line > lines) || found && err != nil {
			t.Errorf("line %d of %d, error %v", line, lines, err)
		}
	})
}
