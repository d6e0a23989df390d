package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"aliasmx/internal/mail"
)

// generic is smtp_generic_maps by a map of addresses; an address with the value "fail"
// cannot be looked up.
func generic(table map[string]string) func(context.Context, mail.Address) (mail.Address, error) {
	return func(_ context.Context, a mail.Address) (mail.Address, error) {
		switch to := table[a.String()]; to {
		case "":
			return a, nil
		case "fail":
			return a, errors.New("hash:/etc/generic: no answer")
		case "status":
			return a, &mail.Status{Code: 451, Enhanced: mail.Code(4, 3, 0), Text: "Temporary lookup failure"}
		default:
			return mail.SplitAddress(to), nil
		}
	}
}

const inside = "From: Me <me@inside.example>\r\n" +
	"To: you@dest.example,\r\n  \"Other\" <other@inside.example> (x)\r\n" +
	"Cc: who@dest.example\r\n  , untouched@dest.example\r\n" +
	"Subject: me@inside.example\r\n" +
	"\r\n" +
	".me@inside.example\r\nFrom: me@inside.example\r\n"

func TestGeneric(t *testing.T) {
	table := map[string]string{
		"me@inside.example":    "me@outside.example",
		"other@inside.example": "other@outside.example",
		"one@dest.example":     "uno@dest.example",
	}
	const want = "From: Me <me@outside.example>\r\n" +
		"To: you@dest.example, \"Other\" <other@outside.example>(x)\r\n" +
		"Cc: who@dest.example\r\n  , untouched@dest.example\r\n" +
		"Subject: me@inside.example\r\n" +
		"\r\n" +
		".me@inside.example\r\nFrom: me@inside.example\r\n"
	for _, c := range []struct {
		name string
		o    Options
		lmtp bool
		done bool
	}{
		{"SMTP", Options{Generic: generic(table)}, false, true},
		{"LMTP", Options{LMTPGeneric: generic(table)}, true, true},
		{"SMTP, only for LMTP", Options{LMTPGeneric: generic(table)}, false, false},
		{"LMTP, only for SMTP", Options{Generic: generic(table)}, true, false},
		{"for nobody", Options{}, false, false},
	} {
		for _, b := range []mail.Body{body(inside), reader{body(inside)}} {
			t.Run(c.name, func(t *testing.T) {
				p := &peer{keywords: allKeywords, lmtp: c.lmtp}
				s := newSetup(t, map[string]any{"192.0.2.1:25": p, "192.0.2.1:24": p}, c.o)
				a := letter("one@dest.example", "two@dest.example")
				a.Env.Sender = mail.SplitAddress("me@inside.example")
				a.Body = b
				dest := "smtp:[192.0.2.1]"
				if c.lmtp {
					dest = "lmtp:inet:[192.0.2.1]"
				}
				results := s.send(dest, a).results[0]
				if got := fates(results); strings.Count(got, "sent") != 2 {
					t.Fatal(got)
				}
				m := p.got()[0]
				from, to, data := "me@inside.example", "one@dest.example", inside
				if c.done {
					from, to, data = "me@outside.example", "uno@dest.example", want
				}
				// SIZE is that of what the queue holds.
				if want := fmt.Sprintf("<%s> SIZE=%d", from, len(a.Env.Prepend)+len(inside)); m.from != want {
					t.Errorf("MAIL FROM:%s, want %s", m.from, want)
				}
				if want := "<" + to + "> ORCPT=rfc822;a@virt.example"; m.to[0] != want || !strings.HasPrefix(m.to[1], "<two@dest.example>") {
					t.Errorf("RCPT TO:%q, want %s", m.to, want)
				}
				if want := string(a.Env.Prepend) + data; m.data != want {
					t.Errorf("content\n%q\nwant\n%q", m.data, want)
				}
				if a.Env.Rcpts[0].Final.String() != "one@dest.example" || a.Env.Sender.Local != "me" {
					t.Error("the envelope, which others share, was changed")
				}
			})
		}
	}
}

// The null reverse-path stays, whatever a table says.
func TestGenericNullSender(t *testing.T) {
	p := &peer{keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{Generic: generic(map[string]string{"": "x@outside.example"})})
	a := letter("one@dest.example")
	a.Env.Sender = mail.Address{}
	s.send("smtp:[192.0.2.1]", a)
	if m := p.got(); len(m) != 1 || !strings.HasPrefix(m[0].from, "<> ") {
		t.Errorf("got %+v", m)
	}
}

// A table that fails, for any of the addresses, is a reason to wait.
func TestGenericFails(t *testing.T) {
	for address, c := range map[string]struct{ how, want, commands string }{
		"me@inside.example":    {"fail", "address mapping lookup failed", "Q"},
		"one@dest.example":     {"status", "Temporary lookup failure", "Q"},
		"other@inside.example": {"fail", "local data error while talking to 192.0.2.1[192.0.2.1]", "M R D"},
	} {
		p := &peer{keywords: allKeywords}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{Generic: generic(map[string]string{address: c.how})})
		a := letter("one@dest.example")
		a.Env.Sender = mail.SplitAddress("me@inside.example")
		a.Body = body(inside)
		if got, want := fates(s.send("smtp:[192.0.2.1]", a).results[0]), "deferred 4.3.0 "+sinkRelay+" ("+c.want+")"; got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
		s.net.wait()
		if got := initials(p.commands(1)); got != c.commands || len(p.got()) != 0 {
			t.Errorf("%s: commands %s, want %s", address, got, c.commands)
		}
	}
}

// What a table says must not become another command.
func TestGenericCannotInject(t *testing.T) {
	p := &peer{keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{Generic: generic(map[string]string{"one@dest.example": "x\r\nDATA@dest.example"})})
	got := fates(s.send("smtp:[192.0.2.1]", letter("one@dest.example")).results[0])
	if !strings.HasPrefix(got, "bounced 5.1.3 ") {
		t.Error(got)
	}
}

// A line that became longer than smtp_line_length_limit is broken as any other, and dots
// below the header are doubled.
func TestGenericLongLines(t *testing.T) {
	long := strings.Repeat("x", 60) + "@outside.example"
	p := &peer{keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{Generic: generic(map[string]string{"me@inside.example": long}), LineLengthLimit: 50})
	a := letter("one@dest.example")
	a.Body = body("From: me@inside.example\r\n\r\n.\r\n..\r\n")
	s.send("smtp:[192.0.2.1]", a)
	line := "From: " + long
	want := string(a.Env.Prepend) + line[:50] + "\r\n " + line[50:] + "\r\n\r\n.\r\n..\r\n"
	if m := p.got(); len(m) != 1 || m[0].data != want {
		t.Errorf("got\n%+v\nwant\n%q\nlog\n%s", m, want, s.log)
	}
}
