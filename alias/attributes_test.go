package alias

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
	"aliasmx/internal/table"
)

var attributesNow = time.Date(2026, 12, 31, 23, 0, 0, 0, time.UTC)

func TestAttributes(t *testing.T) {
	attributes := fake("fake:attributes",
		"day@virt.example expires=2026-12-31",
		"over@virt.example expires=2026-12-30",
		"moment@virt.example expires=2026-12-31T23:00:00Z",
		"zone@virt.example expires=2026-12-31T23:30:00+02:00",
		"closed@virt.example suspended",
		"later@virt.example suspended=\"450 4.2.1 on holiday\"",
		"said@virt.example suspended=\"5.2.0 no more\"",
		"friends@virt.example senders=Joe@Friend.example,@club.example,.big.example",
		"machine@virt.example senders=<>",
		"idn@virt.example senders=.müller.test,@xn--mller-kva.test",
		"broken@virt.example expires=soon",
		"rate@virt.example rate=20/d",
		"@closed.example suspended",
		"open@closed.example rate=5/h",
		"nobody@virt.example suspended",
	)
	lines := []string{"@closed.example target@dest.example", "on@virt.example closed@virt.example"}
	for _, name := range []string{"day", "over", "moment", "zone", "closed", "later", "said", "friends", "machine", "idn", "broken", "rate", "plain"} {
		lines = append(lines, name+"@virt.example target@dest.example")
	}
	r := newTestResolver(t, lines, func(o *Options) {
		o.AttributeMaps = table.Maps{attributes}
		o.VirtualAliasDomains = domains(t, "virt.example", "closed.example")
		o.RecipientDelimiter = "+"
		o.Now = func() time.Time { return attributesNow }
	})
	const (
		unknown = "550 5.1.1 Recipient address rejected: User unknown in virtual alias table"
		denied  = "550 5.7.1 Recipient address rejected: Access denied"
		closed  = "550 5.2.1 Recipient address rejected: Address suspended"
	)
	for _, c := range []struct{ to, from, want string }{
		{"plain@virt.example", "x@y.example", ""},
		{"day@virt.example", "x@y.example", ""},
		{"over@virt.example", "x@y.example", unknown},
		{"Over+ext@Virt.Example", "x@y.example", unknown},
		{"moment@virt.example", "x@y.example", unknown},
		{"zone@virt.example", "x@y.example", unknown},
		{"closed@virt.example", "", closed},
		{"on@virt.example", "x@y.example", ""}, // judged by itself
		{"later@virt.example", "x@y.example", "450 4.2.1 Recipient address rejected: on holiday"},
		{"said@virt.example", "x@y.example", "550 5.2.0 Recipient address rejected: no more"},
		{"friends@virt.example", "joe@friend.example", ""},
		{"friends@virt.example", "jane@friend.example", denied},
		{"friends@virt.example", "any@CLUB.example", ""},
		{"friends@virt.example", "any@sub.club.example", denied},
		{"friends@virt.example", "any@sub.big.example", ""},
		{"friends@virt.example", "any@big.example", denied},
		{"friends@virt.example", "", denied},
		{"machine@virt.example", "", ""},
		{"machine@virt.example", "x@y.example", denied},
		{"idn@virt.example", "a@x.xn--mller-kva.test", ""},
		{"idn@virt.example", "a@müller.test", ""},
		{"idn@virt.example", "a@muller.test", denied},
		{"broken@virt.example", "x@y.example", "451 4.3.0 Temporary lookup failure"},
		{"anything@closed.example", "x@y.example", closed},
		{"open@closed.example", "x@y.example", ""},
		{"nobody@virt.example", "x@y.example", unknown},
	} {
		_, err := r.Expand(t.Context(), mail.RcptRequest{Addr: mail.SplitAddress(c.to), Sender: mail.SplitAddress(c.from), Copies: true})
		if got := errText(err); got != c.want {
			t.Errorf("%s to %s: %q, want %q", c.from, c.to, got, c.want)
		}
	}
	// Our own reports and probes ask without copies.
	if _, err := r.Expand(t.Context(), mail.RcptRequest{Addr: mail.SplitAddress("closed@virt.example")}); err != nil {
		t.Errorf("a report: %v", err)
	}
	a, err := r.Attributes(t.Context(), mail.SplitAddress("rate+x@virt.example"))
	if err != nil || a.Rate != 20 || a.RatePer != 24*time.Hour {
		t.Errorf("got %+v, %v", a, err)
	}
	if all := strings.Join(r.Explain(t.Context(), "broken@virt.example").Steps, "\n"); !strings.Contains(all, "its attributes cannot be read: expires=soon is neither") {
		t.Errorf("explained\n%s", all)
	}
	x := r.Explain(t.Context(), "over@virt.example")
	if all := strings.Join(x.Steps, "\n"); x.ExitStatus != 1 || !strings.Contains(all, "over@virt.example has expired: 2026-12-31T00:00:00Z") || !strings.Contains(all, "has the attributes expires=2026-12-30  (fake:attributes") {
		t.Errorf("explained\n%s", all)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A table that cannot answer defers mail to all aliases: one of them may be suspended.
func TestAttributesTableBroken(t *testing.T) {
	attributes := fake("fake:attributes")
	attributes.broken["*"] = true
	r := newTestResolver(t, []string{"a@virt.example b@dest.example"}, func(o *Options) { o.AttributeMaps = table.Maps{attributes} })
	_, err := r.Expand(t.Context(), mail.RcptRequest{Addr: mail.SplitAddress("a@virt.example"), Copies: true})
	if got := errText(err); got != "451 4.3.0 Temporary lookup failure" {
		t.Errorf("got %q", got)
	}
}

func TestParseAttributesWrong(t *testing.T) {
	for value, want := range map[string]string{
		`expires`:                              "neither a day",
		`expires=2026-02-30`:                   "neither a day",
		`senders=`:                             "is none of",
		`senders=a@`:                           "is none of",
		`senders=a@b@c`:                        "is none of",
		`senders=example.com`:                  "is none of",
		`senders=@x,,@y`:                       "is none of",
		`suspended="250 ok"`:                   "250 is not a reply",
		`suspended="550 4.2.1 x"`:              "does not belong",
		`suspended="open`:                      `missing "`,
		"suspended=a\x01":                      "control character",
		`rate=5/h expires=2026-12-31 Rate=6/h`: "rate stands there twice",
		`rate=0`:                               "is not NUMBER/UNIT",
		`rate=5/week`:                          "is not NUMBER/UNIT",
		`expire=2026-12-31`:                    `unknown attribute "expire"`,
		`suspended expires=2026-13-01`:         "neither a day",
	} {
		if _, err := ParseAttributes(value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", value, err, want)
		}
	}
	a, err := ParseAttributes("")
	if err != nil || fmt.Sprint(a) != fmt.Sprint(Attributes{}) {
		t.Errorf("nothing: %+v, %v", a, err)
	}
}

func TestProveAttributes(t *testing.T) {
	table1 := listed{fake("fake:attributes",
		"a@virt.example expires=2026-01-01", "b@virt.example rate=x", "nobody@virt.example suspended", "@other.example suspended", "@virt.example rate=3/h")}
	r := newTestResolver(t, []string{"a@virt.example x@dest.example", "b@virt.example x@dest.example"}, func(o *Options) {
		o.AttributeMaps = table.Maps{table1}
		o.Now = func() time.Time { return attributesNow }
	})
	got := map[string]string{}
	r.Prove(t.Context(), func(f Finding) bool {
		if f.Parameter == "alias_attribute_maps" {
			got[f.Key] = string(f.Kind)
		}
		return true
	})
	want := map[string]string{"a@virt.example": "expired", "b@virt.example": "bad-attributes", "nobody@virt.example": "unreachable", "@other.example": "unreachable"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// listed is a table that can be listed.
type listed struct{ *fakeTable }

func (l listed) Each(f func(key, value string) bool) error {
	for key, value := range l.entries {
		if !f(key, value) {
			break
		}
	}
	return nil
}

// FuzzParseAttributes: what is read has a meaning, and nothing panics.
func FuzzParseAttributes(f *testing.F) {
	for _, s := range []string{`expires=2027-01-31 senders=a@b,<> suspended="450 4.2.1 x" rate=2/h`, `suspended=" "`, `"`, `rate=1/`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		a, err := ParseAttributes(value)
		if err != nil {
			return
		}
		if s := a.Suspended; s != nil && (s.Code < 400 || s.Code > 599 || int(s.Enhanced[0]) != s.Code/100 || strings.ContainsAny(s.Text, "\r\n")) {
			t.Errorf("%q: %v", value, s)
		}
		if a.Rate < 0 || a.Rate > 0 && a.RatePer <= 0 {
			t.Errorf("%q: %d in %v", value, a.Rate, a.RatePer)
		}
		a.mayWrite(mail.Address{Local: "x", Domain: "y"})
		a.mayWrite(mail.Address{})
	})
}
