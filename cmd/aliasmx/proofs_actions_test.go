package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// An action that would come to nothing stops the start, with its line.
func TestActionsThatMakeNoSense(t *testing.T) {
	for name, c := range map[string]struct{ settings, rules, want string }{
		"unknown":            {"header_checks = regexp:DIR/rules", "/a/ REJECT\n/foo/ REJCT\n", "header_checks (main.cf, line 8): DIR/rules, line 2: unknown command in header_checks map: REJCT"},
		"redirect":           {"header_checks = pcre:DIR/rules", "/foo/ REDIRECT nothing\n", `DIR/rules, line 1: bad REDIRECT target "nothing"`},
		"no transport":       {"header_checks = regexp:DIR/rules", "/foo/ FILTER nosuch:x\n", `DIR/rules, line 1: FILTER nosuch:x: there is no transport "nosuch"`},
		"prepend":            {"header_checks = regexp:DIR/rules", "/foo/ PREPEND\n", "DIR/rules, line 1: PREPEND action without text"},
		"inside if":          {"body_checks = pcre:DIR/rules", "if /x/\n/(y)/ REJCT $1\nendif\n", "DIR/rules, line 2: unknown command in body_checks map"},
		"second table":       {"header_checks = static:OK, texthash:DIR/rules", "a OK\nb REPLACE c\n", `DIR/rules, line 2: bad REPLACE header text "c"`},
		"in main.cf":         {"mime_header_checks = inline:{a=OK, b=BCC}", "", "mime_header_checks (main.cf, line 8): inline:{a=OK, b=BCC}: bad BCC address"},
		"static":             {"nested_header_checks = static:FILTER", "", "static:FILTER: missing FILTER command argument"},
		"cidr":               {"body_checks = cidr:DIR/rules", "10.0.0.0/8 REJCT\n", "DIR/rules, line 1: unknown command"},
		"while sending":      {"smtp_header_checks = regexp:DIR/rules", "/foo/ REJECT no\n", "smtp_header_checks (main.cf, line 8): DIR/rules, line 1: unsupported command in smtp_header_checks map"},
		"every action":       {"header_checks = pcre:DIR/rules", "/a/ FILTER smtp:[127.0.0.1]:10025\n/b/ PREPEND X-B: c\n/c/ REDIRECT a@b.example\n/d/ warn\n/e/ FILTER smtp:\n", ""},
		"what match decides": {"header_checks = pcre:DIR/rules", "/(a)/ $1\n/(b)/ REDIRECT $1\n/(c)/ FILTER $1:x\n/^(d)/ PREPEND $1: d\n", ""},
		"body":               {"body_checks = regexp:DIR/rules", "/a/ REPLACE no field\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := checkDir(t, checkedTable)
			if err := os.WriteFile(filepath.Join(dir, "rules"), []byte(c.rules), 0o600); err != nil {
				t.Fatal(err)
			}
			in := func(s string) string { return strings.ReplaceAll(s, "DIR/", dir+"/") }
			appendFile(t, filepath.Join(dir, "main.cf"), in(c.settings)+"\n")
			status, _, stderr := check(t, "-c", dir)
			if c.want == "" && status != exitOK || c.want != "" && (status != exitConfig || !strings.Contains(stderr, in(c.want))) {
				t.Errorf("status %d: %s", status, stderr)
			}
		})
	}
}
