package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// testdata/postconf/cases.json is what Debian's postconf says to these arguments in a
// copy of testdata/postconf.
func TestPostconfMaster(t *testing.T) {
	data, err := os.ReadFile("testdata/postconf/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Args                   []string
		Status                 int
		Stdout, Stderr, Master []string
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(strings.Join(c.Args, " "), func(t *testing.T) {
			dir := t.TempDir()
			var before string
			for _, name := range []string{"main.cf", "master.cf"} {
				data, err := os.ReadFile(filepath.Join("testdata/postconf", name))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
					t.Fatal(err)
				}
				before = string(data)
			}
			var out, errs strings.Builder
			status := postconfCommand(append([]string{"-c", dir}, c.Args...), postconfEnviron(&out, &errs, nil, ""))
			after, err := os.ReadFile(filepath.Join(dir, "master.cf"))
			if err != nil {
				t.Fatal(err)
			}
			hide := strings.NewReplacer(dir, "DIR")
			same := func(what, got string, lines []string) {
				if want := joinLines(lines); hide.Replace(got) != want {
					t.Errorf("%s:\n%swant\n%s", what, hide.Replace(got), want)
				}
			}
			same("standard output", out.String(), c.Stdout)
			same("standard error", errs.String(), c.Stderr)
			if status != c.Status {
				t.Errorf("status %d, want %d", status, c.Status)
			}
			if c.Master == nil {
				c.Master = strings.Split(strings.TrimSuffix(before, "\n"), "\n")
			}
			same("master.cf", string(after), c.Master)
		})
	}
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func TestPostconfTypes(t *testing.T) {
	const main = "soft_bounce = no\n"
	for _, tc := range []struct {
		args string
		want []string // lines that must be there
	}{
		{"-m", []string{"btree", "cdb", "cidr", "hash", "inline", "pcre", "regexp", "sqlite", "static", "texthash", "unionmap"}},
		{"-l", []string{"flock"}},
		{"-T public-key-algorithms", []string{"ecdsa", "rsa"}},
	} {
		status, stdout, stderr, _ := postconfIn(t, main, nil, strings.Fields(tc.args)...)
		for _, line := range tc.want {
			if !strings.Contains("\n"+stdout, "\n"+line+"\n") {
				t.Errorf("postconf %s: no %s in\n%s", tc.args, line, stdout)
			}
		}
		if status != exitOK || stderr != "" {
			t.Errorf("postconf %s: status %d, %q", tc.args, status, stderr)
		}
	}
	if _, stdout, _, _ := postconfIn(t, main, nil, "-T", "run-version"); !strings.HasPrefix(stdout, "crypto/tls go") {
		t.Errorf("postconf -T run-version: %q", stdout)
	}
	status, _, stderr, _ := postconfIn(t, main, nil, "-T", "nonsense")
	if want := "postconf: fatal: unknown 'postconf -T' mode: nonsense\n"; status != exitFailure || stderr != want {
		t.Errorf("status %d, %q", status, stderr)
	}
}
