package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ed25519Key is a key for tests, as openssl writes it.
const ed25519Key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHNzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nzc3Nz\n-----END PRIVATE KEY-----\n"

func TestSeal(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := file("key.pem", ed25519Key)
	letter := "From: ann@author.example\r\nSubject: x\r\n\r\nHello.\r\n"
	seal := func(stdin string, more ...string) (out, errors string, code int) {
		var stdout, stderr bytes.Buffer
		args := append([]string{"aliasmx", "seal", "--key", key, "--domain", "fwd.example", "--selector", "s1", "--results", "spf=pass",
			"--authserv-id", "mx.fwd.example", "--now", "1700000000", "--resolver", "127.0.0.1:1"}, more...)
		code = run(args, environ{
			stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr,
			getenv: func(string) string { return "" }, environ: func() []string { return nil },
		})
		return stdout.String(), stderr.String(), code
	}

	crlf, text, code := seal("", file("crlf", letter))
	if code != 0 || text != "" || !strings.HasPrefix(crlf, "ARC-Seal: i=1; a=ed25519-sha256; cv=none;\r\n\td=fwd.example; s=s1; t=1700000000;\r\n") ||
		!strings.HasSuffix(crlf, "\r\nARC-Authentication-Results: i=1; mx.fwd.example;\r\n\tspf=pass\r\n"+letter) {
		t.Fatalf("exit status %d\n%s%s", code, text, crlf)
	}
	lf := func(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }
	if out, text, code := seal("", file("lf", lf(letter))); code != 0 || out != lf(crlf) {
		t.Errorf("of a file with LF: exit status %d\n%s%s", code, text, out)
	}
	if out, text, code := seal(letter, "-"); code != 0 || out != crlf {
		t.Errorf("of standard input: exit status %d\n%s%s", code, text, out)
	}
	if out, text, code := seal("", file("chain", crlf)); code != 75 || out != "" || !strings.Contains(text, "cannot be looked up for now") {
		t.Errorf("nobody answers for the keys of a chain: exit status %d\n%s%s", code, text, out)
	}

	broken := strings.Replace(crlf, "Hello", "Hallo", 1)
	failed, text, code := seal("", file("broken", broken))
	if code != 0 || !strings.HasPrefix(failed, "ARC-Seal: i=2; a=ed25519-sha256; cv=fail;") || !strings.HasSuffix(failed, broken) || !strings.Contains(text, "the body was changed") {
		t.Errorf("of a broken chain: exit status %d\n%s%s", code, text, failed)
	}
	if out, text, code := seal("", file("failed", failed)); code != 0 || out != failed || !strings.Contains(text, "nothing was added: the chain has been sealed as failed") {
		t.Errorf("of a chain that was sealed as failed: exit status %d\n%s%s", code, text, out)
	}

	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{filepath.Join(dir, "nowhere")}, 1, "no such file"},
		{[]string{"--key", filepath.Join(dir, "nowhere"), "-"}, 78, "--key: open"},
		{[]string{"--resolver", "not an address", "-"}, 64, "--resolver: "},
		{[]string{"--domain", "a b", "-"}, 78, "is no name"},
		{[]string{"--authserv-id", "a;b", "-"}, 78, "who says the results"},
		{[]string{"--authserv-id", "", "-c", filepath.Join(dir, "nowhere"), "-"}, 78, "give --authserv-id"},
		{nil, 64, "--help"},
		{[]string{file("empty", "")}, 65, "empty: no message: there is no header with a From field"},
		{[]string{file("random", "\x00\xff\nFrom: x@a.example\n\n")}, 65, "no message"},
		{[]string{file("late", "Subject: x\n\nFrom: x@a.example\n")}, 65, "no message"},
		{[]string{file("text", "Hello.\nFrom: x@a.example\n\n")}, 65, "no message"},
	} {
		out, text, code := seal(letter, c.args...)
		if code != c.code || out != "" || !strings.Contains(text, c.says) {
			t.Errorf("%v: exit status %d, want %d: %s\n%s%s", c.args, code, c.code, c.says, text, out)
		}
	}
}
