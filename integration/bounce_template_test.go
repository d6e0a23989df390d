package integration

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aliasmx/integration/peers"
)

const templateFile = `# Templates of a test.
failure_template = <<EOF
Charset: utf-8
From: MAILER-DAEMON (Postamt)
Subject: Zurück an den Absender

Leider.
EOF

delay_template = <<END
Charset: us-ascii
From: Post Office <post>
Subject: Late
Postmaster-Subject: Late, for postmaster

This is $myhostname, $$1, ${nosuch?{x}}${nosuch:{y}} $mydomain.
 After $delay_warning_time_seconds seconds, until $maximal_queue_lifetime_days days.
END is no end.
END
success_template = <<EOF
Charset: utf-8
From: MAILER-DAEMON (Postamt)
Subject: It worked

Es hat geklappt: schöne Grüße.
EOF
`

// The file of bounce_template_file is read, shown and used as Postfix does it: "postconf -b"
// and "-t" alike, and reports octet for octet. The failure template has a fault, an
// umlaut in its subject: the one that is built in takes its place.
func TestBounceTemplatesAsPostfix(t *testing.T) {
	t.Parallel()
	x := newReportPair(t, peers.Script{Rcpt: map[string]string{
		"gone@dest.example": "550 5.1.1 <gone@dest.example>: no such user", "late@dest.example": "450 4.2.0 <late@dest.example>: later",
	}}, "gone@alias.example gone@dest.example\nlate@alias.example late@dest.example\n", map[string]string{
		"bounce_template_file": "{dir}/bounce.cf", "delay_warning_time": "2s", "mydomain": "peer.example",
		"notify_classes": "bounce, delay", "bounce_notice_recipient": "pm@client.example", "delay_notice_recipient": "late-pm@client.example",
		"maximal_queue_lifetime": "3d",
	}, map[string]string{"bounce.cf": templateFile})
	file := filepath.Join(x.r.dir, "bounce.cf")
	for _, option := range []string{"-b", "-t"} {
		for _, args := range [][]string{{option}, {option, file}, {option, ""}} {
			ours, err := exec.Command(binary, append([]string{"postconf", "-c", x.r.dir}, args...)...).Output()
			if err != nil {
				t.Error(err)
			}
			theirs, err := exec.Command("/usr/sbin/postconf", append([]string{"-c", x.p.dir}, args...)...).Output()
			if err != nil {
				t.Error(err)
			}
			if got, want := string(ours), string(theirs); got != want {
				t.Errorf("postconf %v: %s\n%s\nPostfix:\n%s", args, firstDifference(got, want), got, want)
			}
		}
	}

	x.converse([]string{"MAIL FROM:<s@client.example>", "RCPT TO:<gone@alias.example> NOTIFY=SUCCESS,FAILURE"}, "Subject: x\r\n\r\nHello")
	x.reports(3) // failure, its copy, and success
	x.converse([]string{"MAIL FROM:<s@client.example>", "RCPT TO:<late@alias.example>"}, "Subject: x\r\n\r\nHello")
	for _, m := range x.reports(2) {
		if s := subjectOf(m); !strings.HasPrefix(s, "Late") {
			t.Errorf("the template is not used: %s\n%s", s, m.Data)
		}
	}
	x.r.waitLog(`postmaster delay notification: \w{12}`)
}

// A template with a fault is a warning, and a file that says nothing stops the start.
func TestBounceTemplateFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file, want string
		code       int
	}{
		"no fault":     {"failure_template = x $myhostname\n", "", 0},
		"no text":      {"\nfailure_template = <<EOF\nSubject: x\nEOF\n", `aliasmx: warning: {dir}/bounce.cf, line 2: missing message text in failure template -- ignoring this template`, 0},
		"zero weeks":   {"delay_template = after $maximal_queue_lifetime_weeks\n", `aliasmx: warning: {dir}/bounce.cf: zero result in delay template conversion of parameter "maximal_queue_lifetime_weeks"; please reduce time unit "weeks"`, 0},
		"no mark":      {"failure_template = <<\n", `aliasmx: fatal: bounce_template_file (main.cf, line {line}): {dir}/bounce.cf, line 1: missing end marker after <<: "failure_template = <<"`, 78},
		"unknown name": {"failure_template = a $nosuch b\n", `aliasmx: fatal: bounce_template_file (main.cf, line {line}): {dir}/bounce.cf: undefined $name in failure template: a $nosuch b`, 78},
		"bad syntax":   {"failure_template = a ${ b\n", `aliasmx: fatal: bounce_template_file (main.cf, line {line}): {dir}/bounce.cf: bad $name syntax in failure template: a ${ b`, 78},
		"bad unit":     {"delay_template = $delay_warning_time_eons\n", `unrecognized suffix "eons" in parameter "delay_warning_time_eons"`, 78},
		"no file":      {"", `aliasmx: fatal: bounce_template_file (main.cf, line {line}): open {dir}/bounce.cf: no such file or directory`, 78},
	} {
		t.Run(name, func(t *testing.T) {
			cf := base(nil)
			cf["bounce_template_file"] = "{dir}/bounce.cf"
			cf["virtual_alias_maps"] = "texthash:{dir}/virtual"
			r := newRelay(t, cf, map[string]string{"virtual": virtualTable})
			if c.file != "" {
				r.write("bounce.cf", c.file)
			}
			out, code := r.run("check", "-c", r.dir)
			want := strings.ReplaceAll(c.want, "{dir}", r.dir)
			before, after, found := strings.Cut(want, "{line}")
			if !strings.Contains(out, before) || found && !strings.Contains(out, after) || code != c.code {
				t.Errorf("exit status %d, want %d\n%s\nwant: %s", code, c.code, out, want)
			}
			if c.code == 0 {
				return
			}
			if out, code := r.run("start", "-c", r.dir); code != c.code || !strings.Contains(out, before) {
				t.Errorf("start: exit status %d\n%s", code, out)
			}
		})
	}
}
