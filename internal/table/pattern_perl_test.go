package table

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// TestPerlAsPCRE compares with what PCRE2 said of each pattern and subject: "!" for an
// error, "-" for no match, or the match and its groups, each byte as a rune. What we do
// not support must be an error: nothing may match in another way.
func TestPerlAsPCRE(t *testing.T) {
	text, err := os.ReadFile("testdata/perl.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	unsupported := map[string]bool{}
	for d := json.NewDecoder(bytes.NewReader(text)); d.More(); {
		var c [4]string
		if err := d.Decode(&c); err != nil {
			t.Fatal(err)
		}
		flags, pattern, subject, want := c[0], c[1], c[2], fromLatin1(c[3])
		got, vague, err := perlAnswer(flags, pattern, subject)
		if err != nil {
			if want != "!" {
				unsupported[pattern] = true
			}
			continue
		}
		if vague {
			want, _, _ = strings.Cut(want, "|")
		}
		if got != want {
			t.Errorf("/%s/%s on %q: got %q, want %q", pattern, flags, subject, got, want)
		}
	}
	for _, p := range []string{`\Ka`, `a\Kb`, `\X`, `\G`, `(?R)`, `(?1)(a)`, `(?|(a)|(b))`, `(?(1)a|b)`, `(*FAIL)`, `\p{L}`, `[\Qa]\E]b`, `(?J)a`, `\K`} {
		delete(unsupported, p)
	}
	for p := range unsupported {
		_, _, err := perlAnswer("is", p, "a")
		t.Errorf("/%s/: PCRE runs it: %v", p, err)
	}
}

func perlAnswer(flags, pattern, subject string) (got string, vague bool, err error) {
	has := func(c string) bool { return strings.Contains(flags, c) }
	tree, groups, err := parsePerl(pattern, perlFlags{
		foldCase: has("i"), multiline: has("m"), dotAll: has("s"), spaces: has("x"),
		anchored: has("A"), endOnly: has("E"), ungreedy: has("U"),
	})
	if err != nil {
		return "", false, err
	}
	m, err := compileFirst(tree, groups)
	if err != nil {
		return "", false, err
	}
	found, err := m.match(subject)
	if err != nil {
		return "", false, err
	}
	if found == nil {
		return "-", false, nil
	}
	if m.vague != "" {
		return found[0], true, nil
	}
	return strings.Join(found, "|"), false, nil
}

// A pattern that would take forever is a lookup that failed, soon, and not a key that is
// not there.
func TestPatternTimeLimit(t *testing.T) {
	file := tableFile(t, "/^(?=(a+)+$)b/ evil\n/./ other\n")
	tb := open(t, "pcre:"+file, Options{})
	start := time.Now()
	_, _, err := tb.Lookup(t.Context(), strings.Repeat("a", 60)+"!")
	if err == nil || !strings.Contains(err.Error(), "line 1: pattern takes too long") {
		t.Errorf("error is %v", err)
	}
	if spent := time.Since(start); spent > 10*matchLimit {
		t.Errorf("took %v", spent)
	}
}

func TestPatternFaultsAtOpen(t *testing.T) {
	for _, c := range []struct{ typ, text, want string }{
		{"regexp", "/ok/ x\n/a**b(/ y\n", "regexp map FILE, line 2: Unmatched ( or \\("},
		{"regexp", "/x[/ y\n", "regexp map FILE, line 1: Unmatched [, [^, [:, [., or [="},
		{"regexp", "if /(/\nendif\n", "regexp map FILE, line 1: Unmatched ( or \\("},
		{"regexp", "/(?:x)/ y\n", "regexp map FILE, line 1: Invalid preceding regular expression"},
		{"regexp", "/(a|b)\\1/ $1\n", "regexp map FILE, line 1: $number with a pattern with a back-reference, \\< or \\> together with | or a repeated group is not supported here"},
		{"pcre", "/(a*)*/ $1\n", "pcre map FILE, line 1: $number with a repeated group that may match nothing is not supported here"},
		{"pcre", "\n/(?R)/ y\n", "pcre map FILE, line 2: error in regex at offset 2: a group of this kind is not supported here"},
		{"pcre", "/(a/ y\n", "pcre map FILE, line 1: error in regex at offset 2: missing closing parenthesis"},
		{"pcre", "/[a/ y\n", "pcre map FILE, line 1: error in regex at offset 2: missing terminating ] for character class"},
	} {
		file := tableFile(t, c.text)
		_, err := Open(c.typ+":"+file, Options{})
		if err == nil {
			t.Errorf("%s %q: no error", c.typ, c.text)
			continue
		}
		if got := strings.ReplaceAll(err.Error(), file, "FILE"); got != c.want {
			t.Errorf("%s %q:\ngot  %s\nwant %s", c.typ, c.text, got, c.want)
		}
		if errors.Is(err, ErrUnsupported) {
			t.Errorf("%s %q: the type is not at fault", c.typ, c.text)
		}
	}
}
