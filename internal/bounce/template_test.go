package bounce

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// A template file, what is said of it, and what becomes of the failure template: as
// Postfix 3.7.11 has it ("postconf -t"), but for line numbers, which it gets wrong by one.
func TestParseTemplates(t *testing.T) {
	builtIn := BuiltIn()
	for name, c := range map[string]struct {
		file     string
		want     string // text of the failure template; "": as it is built in
		subject  string
		warnings []string
		err      string
	}{
		"nothing":      {file: ""},
		"comments":     {file: "# x\n\n   \n  # y\n"},
		"whole":        {file: "failure_template = <<EOF\nCharset: utf-8\nfrom: A <a>\nSUBJECT: S\nPostmaster-Subject: P\n\n\nOne\n\n two\nEOF\n", want: "One\n\n two", subject: "S"},
		"other mark":   {file: "failure_template=<<  END\nOne\nEOF\nEND\n", want: "One\nEOF"},
		"no header":    {file: "failure_template = <<EOF\njust text: yes\nEOF\n", want: "just text: yes"},
		"on one line":  {file: "failure_template = foo bar\n", want: "foo bar"},
		"CRLF":         {file: "failure_template = <<EOF\r\nSubject: S\r\n\r\nOne\r\nEOF\r\n", want: "One", subject: "S"},
		"not ASCII":    {file: "failure_template = <<EOF\nCharset: utf-8\n\nGrüße\nEOF\n", want: "Grüße"},
		"the last one": {file: "failure_template = a\nfailure_template = b\n", want: "b"},
		"the last one is faulty": {file: "failure_template = a\nfailure_template = Subject: b\n",
			warnings: []string{"bounce.cf, line 2: missing message text in failure template -- ignoring this template"}},
		"empty header": {file: "failure_template = <<EOF\nSubject:\n\nx\nEOF\n",
			warnings: []string{`bounce.cf, line 1: empty "Subject" header value in failure template -- ignoring this template`}},
		"unknown header": {file: "failure_template = <<EOF\nX-Foo: bar\n\nx\nEOF\n",
			warnings: []string{`bounce.cf, line 1: unknown "X-Foo" header label in failure template -- ignoring this template`}},
		"non-ASCII header": {file: "failure_template = <<EOF\nFrom: Ü\n\nx\nEOF\n",
			warnings: []string{`bounce.cf, line 1: non-ASCII "From" header value in failure template -- ignoring this template`}},
		"folded header": {file: "failure_template = <<EOF\nSubject: S\n folded\n\nx\nEOF\n", want: " folded\n\nx", subject: "S"},
		"no text": {file: "failure_template = <<EOF\nSubject: S\n\nEOF\n",
			warnings: []string{"bounce.cf, line 1: missing message text in failure template -- ignoring this template"}},
		"8-bit text in US-ASCII": {file: "#\nfailure_template = <<EOF\nGrüße\nEOF\n",
			warnings: []string{"bounce.cf, line 2: 8-bit message text in failure template: please specify a charset value other than us-ascii -- ignoring this template"}},
		"no copies of this kind": {file: "success_template = <<EOF\nPostmaster-Subject: P\n\nx\nEOF\n",
			warnings: []string{`bounce.cf, line 1: inapplicable "Postmaster-Subject" header label in success template -- ignoring this template`}},
		"unknown template": {file: "other_template = x\nfailure_template = y\n", want: "y",
			warnings: []string{"bounce.cf, line 1: unknown template name: other_template -- ignoring this template"}},
		"no end": {file: "failure_template = <<EOF\nx\ny\n", want: "x\ny",
			warnings: []string{`bounce.cf, line 1: missing "EOF" end marker`}},
		"no mark":     {file: "\nfailure_template = <<\nx\n", err: `bounce.cf, line 2: missing end marker after <<: "failure_template = <<"`},
		"quoted mark": {file: "failure_template = <<'EOF'\nx\nEOF\n", err: `bounce.cf, line 1: malformed end marker after <<: "failure_template = <<'EOF'"`},
		"no =":        {file: "failure_template\n", err: `bounce.cf, line 1: missing '=' after attribute name: "failure_template"`},
		"no name":     {file: "= x\n", err: `bounce.cf, line 1: missing attribute name: "= x"`},
		"two names":   {file: "a b = x\n", err: `bounce.cf, line 1: missing '=' after attribute name: "a b = x"`},
	} {
		t.Run(name, func(t *testing.T) {
			var warnings []string
			ts, err := ParseTemplates("bounce.cf", c.file, func(s string) { warnings = append(warnings, s) })
			if c.err != "" {
				if err == nil || err.Error() != c.err {
					t.Errorf("error %v, want %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(warnings, c.warnings) {
				t.Errorf("warnings %q, want %q", warnings, c.warnings)
			}
			want := builtIn.failure
			if c.want != "" {
				want.lines = strings.Split(c.want, "\n")
			}
			if c.subject != "" {
				want.subject = c.subject
			}
			if got := ts.failure; !slices.Equal(got.lines, want.lines) || got.subject != want.subject {
				t.Errorf("subject %q, text %q; want %q, %q", got.subject, got.lines, want.subject, want.lines)
			}
		})
	}
}

// FuzzTemplates: a file is read or refused; what was read is the same when it is written
// and read again.
func FuzzTemplates(f *testing.F) {
	f.Add("failure_template = <<EOF\nSubject: S\n\nx\nEOF\n")
	f.Add("delay_template = <<E\nCharset: x\n\n\n$a $$ \x00\r\nEOF\nE\nverify_template = y")
	f.Fuzz(func(t *testing.T, file string) {
		ts, err := ParseTemplates("x", file, func(string) {})
		if err != nil {
			return
		}
		var first, second strings.Builder
		if err := ts.Dump(&first); err != nil {
			t.Fatal(err)
		}
		again, err := ParseTemplates("x", first.String(), func(s string) { t.Errorf("warning: %s", s) })
		if err != nil {
			t.Fatalf("%v in\n%s", err, first.String())
		}
		if err := again.Dump(&second); err != nil || first.String() != second.String() {
			t.Errorf("%v\n%q became\n%q", err, first.String(), second.String())
		}
	})
}

// What a text may speak of, bounce(5).
func TestExpandTemplates(t *testing.T) {
	for name, c := range map[string]struct {
		text, want, warning, err string
	}{
		"names":     {"at myhostname", "at mx.exämple", "", ""},
		"hours":     {"delay_warning_time_hours", "4", "", ""},
		"minutes":   {"delay_warning_time_minutes", "240", "", ""},
		"days":      {"maximal_queue_lifetime_days", "5", "", ""},
		"zero":      {"maximal_queue_lifetime_weeks", "0", `f: zero result in failure template conversion of parameter "maximal_queue_lifetime_weeks"; please reduce time unit "weeks"`, ""},
		"excessive": {"maximal_queue_lifetime_seconds", "432000", `f: excessive result "432000" in failure template conversion of parameter "maximal_queue_lifetime_seconds"; please increase time unit "seconds"`, ""},
		"no unit":   {"delay_warning_time_eons", "", "", `f: unrecognized suffix "eons" in parameter "delay_warning_time_eons" in failure template: delay_warning_time_eons`},
		"unknown":   {"nothing", "", "", "f: undefined $name in failure template: nothing"},
		"control":   {"odd", "a_b", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ts, err := ParseTemplates("f", "failure_template = "+c.text, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			var warning string
			expand := func(line string, own func(string) (string, bool, error)) (string, error) {
				words := strings.Fields(line)
				for i, word := range words {
					value, ok, err := own(word)
					switch {
					case err != nil:
						return "", err
					case ok:
						words[i] = value
					case word == "odd":
						words[i] = "a\nb"
					case word == "nothing":
						return "", errors.New("undefined $name")
					}
				}
				return strings.Join(words, " "), nil
			}
			ts, err = ts.Expand(Values{
				DelayWarning: 4 * time.Hour, QueueLifetime: 5 * 24 * time.Hour,
				Names: map[string]string{"myhostname": "mx.exämple"}, Expand: expand,
			}, func(s string) { warning = s })
			switch {
			case c.err != "":
				if err == nil || err.Error() != c.err {
					t.Errorf("error %v, want %s", err, c.err)
				}
			case err != nil:
				t.Error(err)
			case !slices.Equal(ts.failure.lines, []string{c.want}) || warning != c.warning:
				t.Errorf("%q, warning %q; want %q, %q", ts.failure.lines, warning, c.want, c.warning)
			}
		})
	}
}

// A report from a template of a file: its own subject and sender, completed as cleanup(8)
// does it, its text with our addresses below it in its character set.
func TestReportFromTemplate(t *testing.T) {
	file := "failure_template = <<EOF\nCharset: iso-8859-1\nFrom: MAILER-DAEMON (Post Office)\nSubject: Back\nPostmaster-Subject: Copy\n\n" +
		"Gr\xfc\xdfe\nEOF\n"
	ts, err := ParseTemplates("f", file, func(s string) { t.Error(s) })
	if err != nil {
		t.Fatal(err)
	}
	w := newTestWriter(t, func(o *Options) { o.Templates, o.NotifyClasses = &ts, []string{"bounce"} })
	r := failed(aliased("bad@dest.example"), unknownUser())
	_, text := mustWrite(t, w.Notify, r)
	for _, want := range []string{"\r\nFrom: MAILER-DAEMON@mx.example.com (Post Office)\r\nSubject: Back\r\n", "\r\nContent-Type: text/plain; charset=iso-8859-1\r\n", "\r\n\r\nGr\xfc\xdfe\r\n\r\n<bad@dest.example>"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	_, text = mustWrite(t, w.Copy, r)
	if s := string(text); !strings.Contains(s, "\r\nSubject: Copy\r\n") || strings.Contains(s, "Gr\xfc\xdfe") {
		t.Errorf("the copy:\n%s", text)
	}
	r.Kind, r.Results[0].Status.Enhanced[0] = mail.ReportDelayed, 4
	if _, text = mustWrite(t, w.Notify, r); !strings.Contains(string(text), "Subject: Delayed Mail (still being retried)") {
		t.Errorf("another kind:\n%s", text)
	}
}

func TestObsoleteFrom(t *testing.T) {
	ts := BuiltIn().WithObsoleteFrom()
	_, text := mustWrite(t, newTestWriter(t, func(o *Options) { o.Templates = &ts }).Notify, failed(aliased("bad@dest.example"), unknownUser()))
	if want := "\r\nFrom: MAILER-DAEMON@mx.example.com (Mail Delivery System)\r\n"; !strings.Contains(string(text), want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

func TestThreaded(t *testing.T) {
	for name, c := range map[string]struct{ header, want string }{
		"an ID":      {"Message-ID: <test-1@example.net>\n", "References: <test-1@example.net>\r\nIn-Reply-To: <test-1@example.net>\r\n"},
		"none":       {"", ""},
		"resent":     {"Resent-Message-ID: <r@example.net>\n", ""},
		"not an ID":  {"Message-ID: <a@b> <c@d>\n", ""},
		"not ASCII":  {"Message-ID: <ä@b>\n", ""},
		"in no body": {"\nMessage-ID: <a@b>\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := failed(aliased("bad@dest.example"), unknownUser())
			r.Body = body(crlf(c.header + "Subject: x\n\nx\n"))
			_, text := mustWrite(t, newTestWriter(t, func(o *Options) { o.Threaded = true }).Notify, r)
			head, _, _ := strings.Cut(string(text), "\r\n\r\n")
			if got := strings.Contains(head, "References:"); got != (c.want != "") || !strings.Contains(head, c.want) {
				t.Errorf("want %q in\n%s", c.want, head)
			}
			_, text = mustWrite(t, newTestWriter(t, nil).Notify, r)
			if strings.Contains(string(text), "\r\nReferences:") {
				t.Error("refers to the message without being asked to")
			}
		})
	}
}
