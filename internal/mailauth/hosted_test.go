package mailauth

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"aliasmx/internal/dns/dnstest"
	"aliasmx/internal/mail"
)

// Mail of strangers that says it is from a domain of ours.
func TestHosted(t *testing.T) {
	const (
		theirs  = "192.0.2.1" // a.example's
		ours    = "192.0.2.3" // may send for hosted.example
		nobodys = "192.0.2.9"
	)
	w := newWorld(t)
	sign := func(domain string) func(string) string {
		return func(m string) string { return w.signed(domain, m) }
	}
	for _, tt := range []struct {
		name, ip, path, from string
		change               func(string) string
		prepare              func(*world)
		want, why            string
		vouched              bool
	}{
		{name: "nothing of ours", ip: theirs, path: "x@a.example", from: "<x@a.example>", want: "accept", vouched: true},
		{name: "unproven author", ip: theirs, path: "x@a.example", from: "<x@hosted.example>", want: "550 5.7.1", why: "From hosted.example is hosted here, and not authenticated"},
		{name: "in capitals", ip: theirs, path: "x@a.example", from: "<x@HOSTED.example>", want: "550 5.7.1"},
		{name: "with a name that lies", ip: theirs, path: "x@a.example", from: `"a@a.example" <x@hosted.example>`, want: "550 5.7.1"},
		{name: "in a group", ip: theirs, path: "x@a.example", from: "g: x@hosted.example;", want: "550 5.7.1"},
		{name: "folded", ip: theirs, path: "x@a.example", from: "\r\n <x@hosted.example>", want: "550 5.7.1"},
		{name: "far down", ip: theirs, path: "x@a.example", from: "<x@hosted.example>",
			change: func(m string) string { return strings.Repeat("X-Filler: "+strings.Repeat("y", 900)+"\r\n", 130) + m }, want: "550 5.7.1"},
		{name: "below ours", ip: theirs, path: "x@a.example", from: "<x@sub.hosted.example>", want: "550 5.7.1"},
		{name: "below ours, another organisation", ip: theirs, path: "x@a.example", from: "<x@apart.hosted.example>",
			prepare: func(w *world) { w.zone.AddTXT("_dmarc.apart.hosted.example", "v=DMARC1; p=none; psd=n") }, want: "550 5.7.1"},
		{name: "SPF", ip: ours, path: "x@hosted.example", from: "<x@hosted.example>", want: "accept", vouched: true},
		{name: "SPF of another domain", ip: theirs, path: "x@a.example", from: "<x@hosted.example>", change: sign("a.example"), want: "550 5.7.1"},
		{name: "DKIM", ip: nobodys, path: "x@nothing.example", from: "<x@hosted.example>", change: sign("hosted.example"), want: "accept", vouched: true},
		{name: "DKIM, subdomain", ip: nobodys, path: "x@nothing.example", from: "<x@sub.hosted.example>", change: sign("hosted.example"),
			prepare: func(w *world) { w.dmarc("hosted.example", "none") }, want: "accept", vouched: true},
		{name: "DKIM, subdomain, no record", ip: nobodys, path: "x@nothing.example", from: "<x@sub.hosted.example>", change: sign("hosted.example"), want: "550 5.7.1"},
		{name: "DKIM of another domain", ip: nobodys, path: "x@nothing.example", from: "<x@hosted.example>", change: sign("b.example"), want: "550 5.7.1"},
		{name: "DKIM, broken", ip: nobodys, path: "x@nothing.example", from: "<x@hosted.example>",
			change: func(m string) string { return strings.Replace(w.signed("hosted.example", m), "<x@", "<y@", 1) }, want: "550 5.7.1"},
		{name: "ARC is no proof", ip: theirs, path: "x@a.example", from: "<x@hosted.example>",
			change: func(m string) string { return w.sealed("b.example", m) }, prepare: func(w *world) { w.o.TrustedSealers = []string{"b.example"} }, want: "550 5.7.1"},
		{name: "with a policy", ip: theirs, path: "x@a.example", from: "<x@hosted.example>", prepare: func(w *world) { w.dmarc("hosted.example", "none") }, want: "550 5.7.1"},
		{name: "strict alignment", ip: nobodys, path: "x@nothing.example", from: "<x@sub.hosted.example>", change: sign("hosted.example"),
			prepare: func(w *world) { w.zone.AddTXT("_dmarc.hosted.example", "v=DMARC1; p=none; adkim=s") }, want: "550 5.7.1"},
		{name: "null reverse-path", ip: theirs, path: "", from: "<x@hosted.example>", want: "550 5.7.1"},

		{name: "reverse-path", ip: nobodys, path: "x@hosted.example", from: "<x@a.example>", change: sign("a.example"), want: "550 5.7.1", why: "MAIL FROM hosted.example is hosted here", vouched: true},
		{name: "reverse-path with SPF", ip: ours, path: "x@hosted.example", from: "<x@a.example>", change: sign("a.example"), want: "accept", vouched: true},
		{name: "reverse-path with DKIM", ip: nobodys, path: "x@hosted.example", from: "<x@hosted.example>", change: sign("hosted.example"), want: "accept", vouched: true},
		{name: "reverse-path below ours", ip: nobodys, path: "x@sub.hosted.example", from: "<x@a.example>", change: sign("a.example"), want: "550 5.7.1", vouched: true},

		{name: "of our own organisation", ip: theirs, path: "x@a.example", from: "<x@own.example>", want: "550 5.7.1"},
		{name: "of our HELO, null reverse-path", ip: theirs, path: "", from: "<x@mx.own.example>", want: "550 5.7.1"},
		{name: "of srs_domain", ip: theirs, path: "x@a.example", from: "<x@srs.example>", want: "550 5.7.1"},
		{name: "below srs_domain", ip: theirs, path: "x@a.example", from: "<x@y.srs.example>", want: "550 5.7.1"},

		{name: "SPF cannot be asked", ip: ours, path: "x@hosted.example", from: "<x@hosted.example>", prepare: func(w *world) { w.zone.Fail("hosted.example", dnstest.ServFail) }, want: "451 4.7.1"},
		{name: "DKIM cannot be asked", ip: nobodys, path: "x@nothing.example", from: "<x@hosted.example>", change: sign("hosted.example"),
			prepare: func(w *world) { w.zone.Fail("s._domainkey.hosted.example", dnstest.Silent) }, want: "451 4.7.1"},
		{name: "DMARC cannot be asked", ip: theirs, path: "x@a.example", from: "<x@hosted.example>", prepare: func(w *world) { w.zone.Fail("_dmarc.hosted.example", dnstest.ServFail) }, want: "451 4.7.1"},
		{name: "we do not know what is ours", ip: nobodys, path: "x@nothing.example", from: "<x@broken.example>", want: "451 4.3.0"},

		{name: "two fields", ip: theirs, path: "x@a.example", from: "<x@a.example>", change: func(m string) string { return "From: <y@a.example>\r\n" + m }, want: "550 5.7.1", why: "several From fields"},
		{name: "two fields, one ours", ip: theirs, path: "x@a.example", from: "<x@a.example>", change: func(m string) string { return "From: <y@hosted.example>\r\n" + m }, want: "550 5.7.1", why: "From hosted.example"},
		{name: "two domains", ip: theirs, path: "x@a.example", from: "<x@a.example>, <y@b.example>", want: "550 5.7.1"},
		{name: "two authors, one domain", ip: theirs, path: "x@a.example", from: "<x@a.example>, <y@a.example>", want: "accept", vouched: true},
		{name: "none", ip: theirs, path: "x@a.example", from: "<x@a.example>", change: func(m string) string { return strings.Replace(m, "From:", "X:", 1) }, want: "550 5.7.1"},
		{name: "a report of nobody", ip: theirs, path: "", from: "<>", want: "accept"},
		{name: "a report of a daemon", ip: theirs, path: "", from: "MAILER-DAEMON (Mail\r\n System)", want: "accept"},
		{name: "a report without the field", ip: theirs, path: "", from: "<x@a.example>", change: func(m string) string { return strings.Replace(m, "From:", "X:", 1) }, want: "accept"},
		{name: "a report of two nobodies", ip: theirs, path: "", from: "<>", change: func(m string) string { return "From: <>\r\n" + m }, want: "550 5.7.1"},
		{name: "a report that hides a domain", ip: theirs, path: "", from: "MAILER-DAEMON\r\n =?us-ascii?q?=3Cx=40hosted.example=3E?=", want: "550 5.7.1"},
		{name: "a report with a malformed field", ip: theirs, path: "", from: "<x@hosted.example", want: "550 5.7.1"},
		{name: "header without end", ip: theirs, path: "x@a.example", from: "<x@a.example>", change: func(m string) string { return strings.Repeat("X: y\r\n", 200000) + m }, want: "550 5.7.1", why: "the header is too long"},
		{name: "NUL", ip: theirs, path: "x@a.example", from: "<x@a.exam\x00ple>", want: "550 5.7.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			at := *w
			at.t, at.zone = t, dnstest.New(t, names)
			for _, d := range []string{"a.example", "b.example", "hosted.example"} {
				at.zone.AddTXT("s._domainkey."+d, w.keyRecord())
			}
			message := letter(tt.from)
			if tt.change != nil {
				kept := w.zone
				w.zone = at.zone // a seal publishes its key there
				message = tt.change(message)
				w.zone = kept
			}
			if tt.prepare != nil {
				tt.prepare(&at)
			}
			v := at.verdict(request(tt.ip, "client.b.example", tt.path), message)
			if got := outcome(v); got != tt.want || !strings.Contains(v.Reason, tt.why) {
				t.Errorf("%s, want %s %s\n%s", got, tt.want, tt.why, v.Reason)
			}
			if v.Auth.Vouched != tt.vouched {
				t.Errorf("vouched %v", v.Auth.Vouched)
			}
		})
	}
}

// Mail of strangers as from the organisation that a copy would have an SPF pass for is let in
// by no action: it would be proven by us.
func TestLentNames(t *testing.T) {
	w := newWorld(t)
	w.o.Policy.Hosted, w.o.Policy.HostedTempError = Tag, Ignore
	w.o.HeloNames = []string{"mx.hosted.example", "mx.second.example"}
	for _, tt := range []struct{ path, author, fails, want string }{
		{"x@b.example", "hosted.example", "", "accept"}, // leaves from srs.example
		{"", "hosted.example", "", "550 5.7.1"},
		{"", "sub.hosted.example", "", "550 5.7.1"},
		{"", "second.example", "", "550 5.7.1"},
		{"", "srs.example", "", "accept"}, // leaves without a path
		{"x@b.example", "srs.example", "", "550 5.7.1"},
		{"x@b.example", "a.srs.example", "", "550 5.7.1"},
		{"x@b.example", "second.example", "", "accept"},
		{"x@srs.example", "a.example", "", "accept"},
		{"x@srs.example", "srs.example", "srs.example", "451 4.7.1"},
	} {
		at := *w
		at.t, at.zone = t, dnstest.New(t, names)
		if tt.fails != "" {
			at.zone.Fail(tt.fails, dnstest.ServFail)
		}
		v := at.verdict(request("192.0.2.2", "client.b.example", tt.path), letter("<x@"+tt.author+">"))
		if got := outcome(v); got != tt.want || v.Auth.Vouched {
			t.Errorf("<%s> %s: %s, want %s\n%s", tt.path, tt.author, got, tt.want, v.Reason)
		}
	}
}

// A line of a carriage return ends no header: others read on.
func TestHeaderEnds(t *testing.T) {
	for message, want := range map[string]string{
		"From: x@a.example\r\n\r\nFrom: y@b.example\r\n":               "a.example",
		"From: x@a.example\n\nFrom: y@b.example\n":                     "a.example",
		"From: x@a.example\r\n\r\r\nFrom: y@b.example\r\n\r\n":         "",
		"X: y\r\n\r\r\nFrom: y@b.example\r\n\r\nFrom: x@a.example\r\n": "b.example",
		"From: x@a.example": "a.example",
		"":                  "",
	} {
		if got, err := AuthorOf(nil, bodyOf(message)); got != want || err != nil {
			t.Errorf("%q: %q, %v", message, got, err)
		}
	}
}

// Who hands in mail here speaks for domains of ours, and for his own where senders have
// owners.
func TestSubmitted(t *testing.T) {
	w := newWorld(t)
	w.o.Signs = keysOf("keyed.example")
	for _, tt := range []struct {
		name, from, path, login string
		owners, owner           bool
		want                    mail.Authentic
		refused                 bool
	}{
		{name: "ours", from: "<x@hosted.example>", want: mail.Authentic{Author: "hosted.example", Vouched: true}},
		{name: "below ours", from: "<x@Sub.hosted.example>", want: mail.Authentic{Author: "sub.hosted.example", Vouched: true}},
		{name: "our host", from: "<root@mx.own.example>", want: mail.Authentic{Author: "mx.own.example", Vouched: true}},
		{name: "not ours", from: "<x@a.example>", want: mail.Authentic{Author: "a.example"}},
		{name: "two", from: "<x@a.example>, <y@hosted.example>"},
		{name: "owner", from: "<x@hosted.example>", path: "x@hosted.example", login: "x", owners: true, owner: true, want: mail.Authentic{Author: "hosted.example", Vouched: true}},
		{name: "owner of another", from: "<x@hosted.example>", path: "x@sub.hosted.example", login: "x", owners: true, owner: true, want: mail.Authentic{Author: "hosted.example"}},
		{name: "no owner", from: "<x@hosted.example>", path: "x@hosted.example", login: "y", owners: true, want: mail.Authentic{Author: "hosted.example"}},
		{name: "has keys", from: "<x@keyed.example>", want: mail.Authentic{Author: "keyed.example", Vouched: true}},
		{name: "below keys", from: "<x@sub.keyed.example>", want: mail.Authentic{Author: "sub.keyed.example", Vouched: true}},
		{name: "above keys", from: "<x@example>", want: mail.Authentic{Author: "example"}},
		{name: "has keys, owner", from: "<x@keyed.example>", path: "x@keyed.example", login: "x", owners: true, owner: true, want: mail.Authentic{Author: "keyed.example", Vouched: true}},
		{name: "has keys, owner of another", from: "<x@keyed.example>", path: "x@hosted.example", login: "x", owners: true, owner: true, want: mail.Authentic{Author: "keyed.example"}},
		{name: "has keys, no owner", from: "<x@keyed.example>", path: "x@keyed.example", login: "y", owners: true, want: mail.Authentic{Author: "keyed.example"}},
		{name: "cannot be looked up", from: "<x@broken.example>", refused: true},
		{name: "keys cannot be looked up", from: "<x@keyless.example>", refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("192.0.2.9", "h", tt.path)
			r.Trusted, r.Login, r.Owners, r.Owner = true, tt.login, tt.owners, tt.owner
			v := w.verdict(r, letter(tt.from))
			if tt.refused {
				if outcome(v) != "451 4.3.0" || v.Reason == "" {
					t.Errorf("%+v", v)
				}
				return
			}
			if v.Auth != tt.want || v.Refused != nil || v.Prepend != nil || v.Reason != "" {
				t.Errorf("%+v, want %+v", v, tt.want)
			}
		})
	}
	if asked := w.zone.Asked(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}

// keysOf has keys of some domains, and cannot tell of keyless.example.
func keysOf(domains ...string) func(context.Context, string) (bool, error) {
	return func(_ context.Context, domain string) (bool, error) {
		if domain == "keyless.example" {
			return false, io.ErrUnexpectedEOF
		}
		return slices.ContainsFunc(domains, func(d string) bool { return isBelow(domain, d) }), nil
	}
}

// Without keys a submission is taken whose domain cannot be looked up: nothing would be signed.
func TestSubmittedWithoutKeys(t *testing.T) {
	w := newWorld(t)
	r := request("192.0.2.9", "h", "x@broken.example")
	r.Trusted = true
	if v := w.verdict(r, letter("<x@broken.example>")); v.Refused != nil || v.Auth != (mail.Authentic{Author: "broken.example"}) {
		t.Errorf("%+v", v)
	}
}

// Strangers have to prove a domain that we have keys of, as one that is hosted.
func TestStrangersAndKeys(t *testing.T) {
	w := newWorld(t)
	w.o.Signs = keysOf("a.example")
	for _, tt := range []struct {
		ip, path, from, want string
		vouched              bool
	}{
		{"192.0.2.1", "x@a.example", "<x@a.example>", "accept", true},
		{"192.0.2.2", "x@b.example", "<x@a.example>", "550 5.7.1", false},
		{"192.0.2.2", "x@b.example", "<x@sub.a.example>", "550 5.7.1", false},
		{"192.0.2.9", "x@a.example", "<x@b.example>", "550 5.7.1", false},
		{"192.0.2.2", "x@b.example", "<x@b.example>", "accept", true},
		{"192.0.2.2", "x@b.example", "<x@keyless.example>", "451 4.3.0", false},
	} {
		if v := w.verdict(request(tt.ip, "h", tt.path), letter(tt.from)); outcome(v) != tt.want || v.Auth.Vouched != tt.vouched {
			t.Errorf("%+v: %s, vouched %v", tt, outcome(v), v.Auth.Vouched)
		}
	}
}

// Without mailauth_enable strangers are left alone, and submissions are known all the same.
func TestSubmissionsOnly(t *testing.T) {
	w := newWorld(t)
	w.o.SubmissionsOnly = true
	v := w.verdict(request("192.0.2.9", "h", "x@hosted.example"), letter("<x@hosted.example>"))
	if v.Refused != nil || v.Prepend != nil || v.Reason != "" || v.Auth != (mail.Authentic{}) {
		t.Errorf("a stranger: %+v", v)
	}
	r := request("192.0.2.9", "h", "x@hosted.example")
	r.Trusted = true
	if v := w.verdict(r, letter("<x@hosted.example>")); !v.Auth.Vouched {
		t.Errorf("a submission: %+v", v)
	}
	if w.verifier().Forged([]byte("Authentication-Results: mx.own.example; none\r\n")) {
		t.Error("fields are taken out")
	}
	if tx := w.verifier().Begin(context.Background(), request("192.0.2.9", "h", "")); tx.Path(context.Background()) != nil {
		t.Error("refused at RCPT")
	}
	if asked := w.zone.Asked(); len(asked) > 0 {
		t.Errorf("asked %v", asked)
	}
}
