package bounce

import (
	"os"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// Reports that Postfix 3.7.11 wrote, in testdata/recorded, and what they were about.
func TestRecordedFromPostfix(t *testing.T) {
	badRcpt := refused("550 5.1.1 <bad@dest.example>: no such user")
	noSuchUser := refused("550 5.1.1 no such user")
	for name, c := range map[string]struct {
		report   mail.Report
		change   func(*mail.Report)
		options  func(*Options)
		copy     bool
		old, new string
	}{
		"deliver-550": {report: failed(aliased("bad@dest.example"), badRcpt)},
		"deliver-550-two": {report: failed(aliased("bad2@dest.example"), refused("550 5.1.1 unknown")), change: func(r *mail.Report) {
			r.Env.Rcpts[0].Orig, r.Env.Rcpts[0].ORcpt = addr("b@virt.example"), "rfc822;b@virt.example"
			r.Env.Rcpts = append(r.Env.Rcpts, aliased("bad@dest.example"))
			second := refused("554 5.7.1 not today")
			second.Rcpt = 1
			r.Results = append(r.Results, second)
			r.Env.Prepend = []byte(strings.ReplaceAll(string(r.Env.Prepend), "\r\n\tfor <a@virt.example>; DATE", ";\r\n\tDATE"))
		}},
		"deliver-bounce-size": {report: failed(aliased("bad@dest.example"), badRcpt), options: func(o *Options) { o.SizeLimit = 100 }},
		"deliver-bounce-to-virtual": {report: failed(aliased("bad@dest.example"), badRcpt), change: func(r *mail.Report) {
			r.Env.Sender = addr("me@virt.example")
		}},
		"deliver-expired":            {report: failed(aliased("later@dest.example"), refused("450 4.2.0 <later@dest.example>: try again"))},
		"deliver-notify-bounce":      {report: failed(aliased("bad@dest.example"), badRcpt)},
		"deliver-notify-bounce.copy": {report: failed(aliased("bad@dest.example"), badRcpt), copy: true, new: "Q3"},
		"deliver-unknown-bounce":     {report: failed(aliased("missing@virt.example"), unknownUser())},
		"loop-self":                  {report: failed(aliased("a@virt.example"), unknownUser())},
		"rewrite-result-odd": {report: failed(mail.Recipient{Final: mail.Address{Local: "bob@"}, Orig: addr("a@virt.example"), ORcpt: "rfc822;a@virt.example"},
			mail.Result{Status: mail.Status{Enhanced: mail.Code(5, 1, 3)}, Reason: "bad address syntax"})},
		"dsn-ret-hdrs-bounce": {report: failed(aliased("bad@dest.example"), noSuchUser), change: func(r *mail.Report) {
			r.Env.EnvID, r.Env.Ret = "e1", "HDRS"
			r.Env.Rcpts[0].ORcpt = "rfc822;orig@origin.example"
		}},
		"dsn-success-many": {report: failed(aliased("one@dest.example"), mail.Result{}), change: expanded},
		"sendmail-dsn": {report: failed(aliased("one@dest.example"), mail.Result{}), change: func(r *mail.Report) {
			expanded(r)
			r.Env.EnvID, r.Env.Ret = "env1", "HDRS"
			r.Env.Prepend = []byte("Received: by mx.example.com (Postfix, from userid 0)\r\n\tid " + oldID.String() + "; DATE\r\n")
			r.Body = body("Subject: t\r\nMessage-Id: <TIMESTAMP.Q1@mx.example.com>\r\nDate: DATE\r\nFrom: root <sender@example.net>\r\n\r\nx\r\n")
		}},
		"sendmail-bs": {report: failed(aliased("none@virt.example"), unknownUser()), old: "Q2", new: "Q3", change: func(r *mail.Report) {
			r.Env.Rcpts[0].Orig, r.Env.Rcpts[0].ORcpt = addr("none@virt.example"), "rfc822;none@virt.example"
			r.Env.Prepend = []byte("Received: by mx.example.com (Postfix, from userid 0)\r\n\tid " + oldID.String() + "; DATE\r\n" +
				"Received: from local.example (localhost [127.0.0.1])\r\n\tby mx.example.com (Postfix) with ESMTP id Q1;\r\n\tDATE\r\n")
			r.Body = body("Subject: t\r\nMessage-Id: <TIMESTAMP.Q2@mx.example.com>\r\nDate: DATE\r\nFrom: sender@example.net\r\n\r\nx\r\n")
		}},
		"addr-bare-user-mydest": {report: failed(mail.Recipient{Final: addr("postmaster@mx.example.com"), Orig: addr("postmaster"), ORcpt: "rfc822;postmaster"},
			mail.Result{Reason: "local mail delivery is disabled"}), old: "Q2", new: "Q3", change: func(r *mail.Report) {
			r.Env.Prepend = []byte(strings.ReplaceAll(string(r.Env.Prepend), "a@virt.example", "postmaster"))
		}},
		"addr-utf8-target-nosupport": {report: failed(mail.Recipient{Final: addr("jösé@dest.example"), Orig: addr("b@virt.example"), ORcpt: "rfc822;b@virt.example"},
			mail.Result{Status: mail.Status{Enhanced: mail.Code(5, 6, 7)}, Reason: "SMTPUTF8 is required, but was not offered by host 127.0.0.1[127.0.0.1]"}),
			old: "Q2", new: "Q3", change: func(r *mail.Report) {
				r.Env.Flags |= mail.FlagSMTPUTF8
				r.Env.Prepend = []byte(strings.NewReplacer("a@virt.example", "b@virt.example", "ESMTP", "UTF8SMTP").Replace(string(r.Env.Prepend)))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile("testdata/recorded/" + name + ".eml")
			if err != nil {
				t.Fatal(err)
			}
			w := newTestWriter(t, func(o *Options) {
				o.NotifyClasses, o.BounceRecipient = []string{"bounce"}, "pm@dest.example"
				if c.options != nil {
					c.options(o)
				}
			})
			if c.change != nil {
				c.change(&c.report)
			}
			notify := w.Notify
			if c.copy {
				notify = w.Copy
			}
			env, text := mustWrite(t, notify, c.report)
			if c.old == "" {
				c.old = "Q1"
			}
			if c.new == "" {
				c.new = "Q2"
			}
			if got := normalise(t, env, text, c.old, c.new); got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s\nfirst difference: %s", got, want, difference(got, string(want)))
			}
		})
	}
}

// expanded makes the report that an alias led elsewhere.
func expanded(r *mail.Report) {
	r.Kind = mail.ReportExpanded
	r.Env.Rcpts[0].Notify = mail.NotifyNever | mail.NotifyExpanded
	r.Results = []mail.Result{{State: mail.Delivered, Status: mail.Status{Enhanced: mail.Code(2, 0, 0)}, Reason: "alias expanded", Relay: "none"}}
}

func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return "got " + g[i] + ", want " + w[i]
		}
	}
	return "the length"
}
