package delivery

import (
	"context"
	"errors"
	"strings"
	"testing"

	"aliasmx/internal/checks"
	"aliasmx/internal/mail"
)

// beginnings is a table of beginnings and their actions; "fail" cannot be looked up.
type beginnings map[string]string

func (b beginnings) Name() string { return "test:beginnings" }

func (b beginnings) Lookup(_ context.Context, key string) (string, bool, error) {
	for beginning, action := range b {
		switch {
		case !strings.HasPrefix(key, beginning):
		case action == "fail":
			return "", false, errors.New("away")
		default:
			return action, true, nil
		}
	}
	return "", false, nil
}

// smtp_header_checks and its relatives, with and without generic(5) behind them.
func TestChecksOfWhatIsSent(t *testing.T) {
	const letterOf = "From: me@inside.example\r\nSubject: old\r\nX-Gone: 1\r\n\r\n.one\r\ntwo\r\n"
	table := beginnings{
		"Received": "IGNORE", "Subject": "REPLACE Subject: new", "X-Gone": "STRIP", "From": "PREPEND X-Top: 1", ".one": "REPLACE ..two", "two": "REJECT",
	}
	rules := func(name string) *checks.Rules {
		return checks.New(checks.Options{Header: []checks.Table{table}, Body: []checks.Table{table}, Sending: name})
	}
	for _, c := range []struct {
		name string
		o    Options
		want string
		log  []string
	}{
		{"checks", Options{Checks: rules("smtp")}, "X-Top: 1\r\nFrom: me@inside.example\r\nSubject: new\r\n\r\n..two\r\ntwo\r\n", []string{
			"prepend: header From: me@inside.example: X-Top: 1", "replace: header Subject: old: Subject: new", "strip: header X-Gone: 1",
			"unsupported command in smtp_body_checks map: REJECT"}},
		{"and generic", Options{Checks: rules("smtp"), Generic: generic(map[string]string{"me@inside.example": "me@outside.example"})},
			"X-Top: 1\r\nFrom: me@outside.example\r\nSubject: new\r\n\r\n..two\r\ntwo\r\n", nil},
		{"of LMTP", Options{LMTPChecks: rules("lmtp")}, "Received: from x\r\n\tby mx.example.com\r\n" + letterOf, nil},
	} {
		for _, b := range []mail.Body{body(letterOf), reader{body(letterOf)}} {
			t.Run(c.name, func(t *testing.T) {
				p := &peer{keywords: allKeywords}
				s := newSetup(t, map[string]any{"192.0.2.1:25": p}, c.o)
				a := letter("one@dest.example")
				a.Body = b
				if got := fates(s.send("smtp:[192.0.2.1]", a).results[0]); !strings.HasPrefix(got, "sent") {
					t.Fatal(got)
				}
				if got := p.got()[0].data; got != c.want {
					t.Errorf("content\n%q\nwant\n%q", got, c.want)
				}
				for _, want := range c.log {
					if !strings.Contains(s.log.String(), want) {
						t.Errorf("no %q in the log:\n%s", want, s.log)
					}
				}
			})
		}
	}
}

// A table that cannot answer is a reason to wait, and nothing of the message counts.
func TestChecksOfWhatIsSentFail(t *testing.T) {
	p := &peer{keywords: allKeywords}
	rules := checks.New(checks.Options{Header: []checks.Table{beginnings{"Subject": "fail"}}, Sending: "smtp"})
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{Checks: rules})
	a := letter("one@dest.example")
	a.Body = body("Subject: x\r\n\r\nbody\r\n")
	if got, want := fates(s.send("smtp:[192.0.2.1]", a).results[0]), "deferred 4.3.0 "+sinkRelay+" (local data error while talking to 192.0.2.1[192.0.2.1])"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.net.wait()
	if len(p.got()) != 0 {
		t.Errorf("arrived: %+v", p.got())
	}
}
