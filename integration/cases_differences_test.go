package integration

import (
	"os"
	"path"
	"slices"
	"strings"
	"testing"
)

// docs/differences.md and the list of cases that differ on purpose say the same: each
// such case has its row, and each case that a row names is on the list.
func TestDifferencesOnPurpose(t *testing.T) {
	rows, err := differenceRows("../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	notYet, err := loadNotYet("testdata/postfix-not-yet.txt")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{} // "rule pattern" that some case matches
	for name, e := range notYet {
		if e.rule == "" {
			continue
		}
		patterns, ok := rows[e.rule]
		if !ok {
			t.Errorf("%s: no row %q in docs/differences.md", name, e.rule)
			continue
		}
		i := slices.IndexFunc(patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok })
		if i < 0 {
			t.Errorf("%s: the row %q names %q and not this case", name, e.rule, patterns)
			continue
		}
		shown[e.rule+" "+patterns[i]] = true
	}
	for rule, patterns := range rows {
		for _, p := range patterns {
			if !shown[rule+" "+p] {
				t.Errorf("the row %q names %s, which no case of that rule on postfix-not-yet.txt is", rule, p)
			}
		}
	}
}

// differenceRows reads the table: the patterns of the last column by the rule of the
// first.
func differenceRows(file string) (map[string][]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	rows := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 7 || strings.HasPrefix(cells[1], "-") || strings.TrimSpace(cells[1]) == "rule" {
			continue
		}
		var patterns []string
		for p := range strings.SplitSeq(strings.ReplaceAll(cells[5], `\*`, "*"), ",") {
			if p = strings.TrimSpace(p); p != "" {
				patterns = append(patterns, p)
			}
		}
		rows[strings.TrimSpace(cells[1])] = patterns
	}
	return rows, nil
}
