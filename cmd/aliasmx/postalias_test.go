package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// runAliases runs postalias, newaliases or sendmail in a directory; {dir} is its name.
func runAliases(t *testing.T, dir string, command func([]string, environ) int, stdin string, args ...string) (status int, out, errs string) {
	t.Helper()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{dir}", dir)
	}
	var stdout, stderr bytes.Buffer
	status = command(args, environ{
		stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr,
		getenv: func(string) string { return "" }, environ: func() []string { return nil },
	})
	return status, stdout.String(), stderr.String()
}

// What Debian's postalias prints for the same.
func TestPostalias(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "al")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(source, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("# comment\nRoot: one@dest.example,\n  \"three x\"@dest.example\n\"odd user\": \"|/bin/x a\"\nuser@dom: x\nnope\nroot: again\n")
	status, _, errs := runAliases(t, dir, postaliasCommand, "", "hash:{dir}/al")
	want := strings.ReplaceAll(`postalias: warning: {dir}/al, line 5: name must be local
postalias: warning: {dir}/al, line 6: need name:value pair
postalias: warning: {dir}/al.db: duplicate entry: "root"
`, "{dir}", dir)
	if status != 0 || errs != want {
		t.Errorf("build: status %d, %s; want %s", status, errs, want)
	}
	for _, tt := range []struct {
		name, stdin string
		args        []string
		status      int
		out         string
	}{
		{"query", "", []string{"-q", "ROOT", "hash:{dir}/al"}, 0, "one@dest.example, \"three x\"@dest.example\n"},
		{"query of what is not there", "", []string{"-q", "x", "hash:{dir}/al"}, 1, ""},
		{"queries", "root\nx\nodd user\n", []string{"-q", "-", "hash:{dir}/al"}, 0, "root:\tone@dest.example, \"three x\"@dest.example\nodd user:\t\"|/bin/x a\"\n"},
		{"delete", "", []string{"-d", "odd user", "hash:{dir}/al"}, 0, ""},
		{"delete again", "", []string{"-d", "odd user", "hash:{dir}/al"}, 1, ""},
		{"sequence", "", []string{"-s", "hash:{dir}/al"}, 0, "root:\tone@dest.example, \"three x\"@dest.example\n"},
		{"add", "new: x, y\n", []string{"-i", "hash:{dir}/al"}, 0, ""},
		{"query of what was added", "", []string{"-Nvq", "new", "hash:{dir}/al"}, 0, "x, y\n"},
		{"replace", "new: z\n", []string{"-ir", "hash:{dir}/al"}, 0, ""},
		{"query of what was replaced", "", []string{"-q", "new", "hash:{dir}/al"}, 0, "z\n"},
		{"cdb", "", []string{"-w", "cdb:{dir}/al"}, 0, ""},
		{"query of cdb", "", []string{"-q", "odd user", "cdb:{dir}/al"}, 0, "\"|/bin/x a\"\n"},
	} {
		if status, out, errs := runAliases(t, dir, postaliasCommand, tt.stdin, slices.Clone(tt.args)...); status != tt.status || out != tt.out {
			t.Errorf("%s: status %d, %q; want %d, %q (%s)", tt.name, status, out, tt.status, tt.out, errs)
		}
	}
	for _, args := range []string{"-b hash:{dir}/al", "-q", ""} {
		status, _, errs := runAliases(t, dir, postaliasCommand, "", strings.Fields(args)...)
		if status != exitFailure || !strings.Contains(errs, postaliasUsage) {
			t.Errorf("postalias %s: status %d, %s", args, status, errs)
		}
	}
}

// newaliases, and sendmail called for it, build what alias_database names.
func TestNewaliases(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"main.cf":   "myhostname = mx.example.com\nalias_database = hash:$config_directory/al, lmdb:$config_directory/other\n",
		"master.cf": "127.0.0.1:2525 inet n - n - - smtpd\n", "al": "root: x\n", "other": "y: z\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for what, run := range map[string]func() (int, string, string){
		"newaliases":  func() (int, string, string) { return runAliases(t, dir, newaliasesCommand, "", "-c", "{dir}") },
		"sendmail -I": func() (int, string, string) { return runAliases(t, dir, sendmailCommand, "", "-C", "{dir}", "-I") },
		"sendmail -bi": func() (int, string, string) {
			return runAliases(t, dir, sendmailCommand, "", "-C", "{dir}", "-bi")
		},
	} {
		for _, name := range []string{"al.db", "other.lmdb"} {
			os.Remove(filepath.Join(dir, name))
		}
		if status, out, errs := run(); status != 0 || out != "" || errs != "" {
			t.Errorf("%s: status %d, %q, %q", what, status, out, errs)
		}
		for _, name := range []string{"al.db", "other.lmdb"} {
			if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	if status, _, errs := runAliases(t, dir, newaliasesCommand, "", "-x"); status != exitUsage || !strings.Contains(errs, "usage: newaliases") {
		t.Errorf("newaliases -x: status %d, %s", status, errs)
	}
}
