package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestPasswd(t *testing.T) {
	for _, c := range []struct {
		name, stdin string
		args        []string
		status      int
		want        string // of standard output and error together
	}{
		{"hash", "secret\n", nil, 0, `^\$argon2id\$v=19\$m=65536,t=3,p=1\$\S{22}\$\S{43}\n$`},
		{"line", "secret", []string{"joe@a.example"}, 0, `^joe@a\.example\t\$argon2id\$\S+\n$`},
		{"bcrypt", "secret\r\n", []string{"--bcrypt", "--cost", "4"}, 0, `^\$2[ab]\$04\$\S{53}\n$`},
		{"nothing", "", nil, 1, `no password; write it to standard input`},
		{"empty line", "\nsecret\n", nil, 1, `no password`},
		{"no UTF-8", "s\xff\n", nil, 1, `bytes that no client can send`},
		{"long for bcrypt", strings.Repeat("x", 73), []string{"--bcrypt", "--cost", "4"}, 1, `72`},
		{"cost", "secret", []string{"--bcrypt", "--cost", "40"}, 1, `cost 40 is not between 4 and 16`},
		{"user with a space", "secret", []string{"joe doe"}, 64, `has no spaces`},
		{"unknown option", "secret", []string{"--md5"}, 64, `unknown flag --md5`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			env := environ{stdin: strings.NewReader(c.stdin), stdout: &out, stderr: &out, getenv: func(string) string { return "" }}
			status := passwdCommand(c.args, env)
			if status != c.status || !regexp.MustCompile(c.want).MatchString(out.String()) {
				t.Errorf("status %d, %q; want %d, %s", status, out.String(), c.status, c.want)
			}
			if strings.Contains(out.String(), "secret") {
				t.Error("the password is told")
			}
		})
	}
}
