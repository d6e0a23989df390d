package table

import (
	"os"
	"strings"
	"testing"
)

// TestPosixAsGlibc compares with what regcomp(3) and regexec(3) of glibc said of each
// pattern and subject: an error, "-" for no match, or the match and its groups, "~" for
// one that took no part.
func TestPosixAsGlibc(t *testing.T) {
	text, err := os.ReadFile("testdata/posix.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		flags, pattern, subject, want := f[0], f[1], f[2], f[3]
		if p, g, err := parsePosix(pattern, posixFlags{extended: strings.Contains(flags, "x")}); err == nil {
			if m, err := compileLongest(p, g); err == nil && m.vague != "" { // only whether it matches
				want, _, _ = strings.Cut(want, "|")
			}
		}
		if got := posixAnswer(flags, pattern, subject); got != want {
			t.Errorf("/%s/%s on %q: got %s, want %s", pattern, flags, subject, got, want)
		}
	}
}

func posixAnswer(flags, pattern, subject string) string {
	has := func(c string) bool { return strings.Contains(flags, c) }
	tree, groups, err := parsePosix(pattern, posixFlags{foldCase: has("i"), newline: has("m"), extended: has("x")})
	if err != nil {
		return "!" + err.Error()
	}
	m, err := compileLongest(tree, groups)
	if err != nil {
		return "!" + err.Error()
	}
	found, err := m.match(subject)
	if err != nil {
		return "!" + err.Error()
	}
	if found == nil {
		return "-"
	}
	if m.vague != "" {
		return found[0]
	}
	return strings.Join(found, "|")
}
