package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// postconfIn runs postconf -c on a directory with this main.cf.
func postconfIn(t *testing.T, mainCF string, environ []string, args ...string) (status int, stdout, stderr, after string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main.cf")
	if err := os.WriteFile(file, []byte(mainCF), 0o644); err != nil {
		t.Fatal(err)
	}
	master := "smtp inet n - n - - smtpd -o mail_name=$mine\nsmtp unix - - n - - smtp\n"
	if err := os.WriteFile(filepath.Join(dir, "master.cf"), []byte(master), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, errs strings.Builder
	env := postconfEnviron(&out, &errs, environ, dir)
	status = postconfCommand(args, env)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	hide := strings.NewReplacer(dir, "DIR")
	return status, hide.Replace(out.String()), hide.Replace(errs.String()), string(data)
}

func postconfEnviron(out, errs *strings.Builder, list []string, mailConfig string) environ {
	return environ{
		stdin: strings.NewReader(""), stdout: out, stderr: errs,
		getenv: func(name string) string {
			if name == "MAIL_CONFIG" {
				return mailConfig
			}
			return ""
		},
		environ: func() []string { return list },
	}
}

func TestPostconf(t *testing.T) {
	const main = "mine = x\nmail_name = $mine\nsoft_bounce = yes\n"
	for _, tc := range []struct {
		name, main     string
		environ        []string
		args           string
		status         int
		stdout, stderr string
	}{
		{"one", main, nil, "mail_name", 0, "mail_name = $mine\n", ""},
		{"one, expanded", main, nil, "-x mail_name", 0, "mail_name = x\n", ""},
		{"value", main, nil, "-xh mail_name", 0, "x\n", ""},
		{"default", main, nil, "-d mail_name soft_bounce", 0, "mail_name = Postfix\nsoft_bounce = no\n", ""},
		{"set", main, nil, "-n", 0, "config_directory = DIR\nmail_name = $mine\nmine = x\nsoft_bounce = yes\n", ""},
		{"names", main, nil, "-nH", 0, "config_directory\nmail_name\nmine\nsoft_bounce\n", ""},
		{"override", main, nil, "-x -o mine=y mail_name", 0, "mail_name = y\n", ""},
		{"override in one", main, nil, "-xomine=y mail_name", 0, "mail_name = y\n", ""},
		{"environment", main, []string{"POSTFIX_mine=z"}, "-x mail_name", 0, "mail_name = z\n", ""},
		{"after --", main, nil, "-h -- mail_name", 0, "$mine\n", ""},
		{"unknown", main, nil, "nosuch mail_name", 0, "mail_name = $mine\n", "postconf: warning: nosuch: unknown parameter\n"},
		{"unused", "foo = bar\n", nil, "mail_name", 0, "mail_name = Postfix\n",
			"postconf: warning: DIR/main.cf: unused parameter: foo=bar\n"},
		{"services", main, nil, "-M smtp/inet nosuch", 0,
			"smtp       inet  n       -       n       -       -       smtpd -o mail_name=$mine\n",
			"postconf: warning: unmatched request: \"nosuch\"\n"},
		{"services, expanded and folded", main, nil, "-Mxf smtp/inet", 0,
			"smtp       inet  n       -       n       -       -       smtpd\n    -o mail_name=x\n", ""},

		{"a wrong value is shown", "soft_bounce = 1\n", nil, "-n soft_bounce", 0, "soft_bounce = 1\n", ""},
		{"broken file", "mail_name\n", nil, "-n", 1, "",
			"postconf: fatal: DIR/main.cf, line 1: missing '=' after attribute name: \"mail_name\"; write name = value, or begin the line with # or with a space\n"},
		{"unknown option", main, nil, "-z", 1, "", "postconf: invalid option -- 'z'\npostconf: fatal: usage: " + postconfUsage + "\n"},
		{"option without argument", main, nil, "-o", 1, "", "postconf: option requires an argument -- 'o'\npostconf: fatal: usage: " + postconfUsage + "\n"},
		{"contradiction", main, nil, "-n -d", 1, "", "postconf: fatal: specify one of -d -n\n"},
		{"neither name nor value", main, nil, "-hH", 1, "", "postconf: fatal: specify one of -h -H\n"},
		{"bad override", main, nil, "-o mine mail_name", 1, "", "postconf: fatal: -o mine: missing '=' after parameter name\n"},
		{"edit without value", main, nil, "-e mail_name", 1, "", "postconf: fatal: missing '=' after attribute name: \"mail_name\"\n"},
		{"exclude with value", main, nil, "-X mail_name=x", 1, "", "postconf: fatal: -X or -# requires names without value: \"mail_name=x\"\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, stdout, stderr, after := postconfIn(t, tc.main, tc.environ, strings.Fields(tc.args)...)
			if status != tc.status || stdout != tc.stdout || stderr != tc.stderr {
				t.Errorf("postconf %s: status %d\n%s%s\nwant %d\n%s%s", tc.args, status, stdout, stderr, tc.status, tc.stdout, tc.stderr)
			}
			if after != tc.main {
				t.Errorf("main.cf became %q", after)
			}
		})
	}
}

func TestPostconfEdits(t *testing.T) {
	const main = "# top\nmail_name = a\n  b\nsoft_bounce = no\n"
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"-e", []string{"-e", "mail_name=new  name", "mynetworks = 10.0.0.0/8"}, "# top\nmail_name = new  name\nsoft_bounce = no\nmynetworks = 10.0.0.0/8\n"},
		{"without -e", []string{"mail_name=new"}, "# top\nmail_name = new\nsoft_bounce = no\n"},
		{"empty", []string{"mail_name="}, "# top\nmail_name = \nsoft_bounce = no\n"},
		{"remove", []string{"-X", "mail_name", "nosuch"}, "# top\nsoft_bounce = no\n"},
		{"comment out", []string{"-#", "mail_name"}, "# top\n#mail_name = a\n#  b\nsoft_bounce = no\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, stdout, stderr, after := postconfIn(t, main, nil, tc.args...)
			if status != exitOK || stdout != "" || stderr != "" || after != tc.want {
				t.Errorf("status %d, %q, %q; main.cf %q, want %q", status, stdout, stderr, after, tc.want)
			}
		})
	}
	_, _, stderr, _ := postconfIn(t, "a = 1\na = 2\n", nil, "a=3")
	if want := "postconf: warning: DIR/main.cf: multiple entries for \"a\"\n"; stderr != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
}

// Without a directory nothing is known but the defaults.
func TestPostconfWithoutFiles(t *testing.T) {
	var out, errs strings.Builder
	env := postconfEnviron(&out, &errs, nil, "")
	if status := postconfCommand([]string{"-c", t.TempDir(), "-dh", "smtpd_timeout"}, env); status != 0 || out.String() != "${stress?{10}:{300}}s\n" {
		t.Errorf("status %d, %q, %q", status, &out, &errs)
	}
	if status := postconfCommand([]string{"-c", t.TempDir(), "-n"}, env); status != exitFailure || !strings.Contains(errs.String(), "no such file") {
		t.Errorf("status %d, %q", status, &errs)
	}
}
