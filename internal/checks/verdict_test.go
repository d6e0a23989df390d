package checks

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
)

// What CheckAction says is what a Filter warns of, word for word.
func TestCheckAction(t *testing.T) {
	for _, c := range []struct{ parameter, value, want string }{
		{"header_checks", "REJCT", "unknown command in header_checks map: REJCT"},
		{"header_checks", "", "unknown command in header_checks map: "},
		{"header_checks", "reject", ""},
		{"header_checks", "REJECT 5.7.1 no", ""},
		{"header_checks", "DUNNO", ""}, {"header_checks", "OK", ""}, {"header_checks", "PASS", ""}, {"header_checks", "INFO x", ""},
		{"header_checks", "WARN", ""}, {"header_checks", "HOLD", ""}, {"header_checks", "DISCARD", ""}, {"header_checks", "IGNORE", ""}, {"header_checks", "STRIP", ""},
		{"header_checks", "REDIRECT nothing", `bad REDIRECT target "nothing" in header_checks map -- need user@domain`},
		{"header_checks", "REDIRECT a@b", ""},
		{"header_checks", "BCC", `bad BCC address "" in header_checks map -- need user@domain`},
		{"header_checks", "BCC a@b", ""},
		{"header_checks", "FILTER", "missing FILTER command argument in header_checks map"},
		{"header_checks", "FILTER scan", "bad FILTER command scan in header_checks -- need transport:destination"},
		{"header_checks", "FILTER scan:", ""},
		{"header_checks", "PREPEND", "PREPEND action without text in header_checks map"},
		{"header_checks", "REPLACE nothing", `bad REPLACE header text "nothing" in header_checks map -- need "headername: headervalue"`},
		{"header_checks", "PREPEND X: y", ""},
		{"body_checks", "REPLACE nothing", ""},
		{"body_checks", "REPLACE", "REPLACE action without text in body_checks map"},
		{"smtp_header_checks", "REJECT no", "unsupported command in smtp_header_checks map: REJECT no"},
		{"smtp_header_checks", "REPLACE X: y", ""},
		{"lmtp_body_checks", "FILTER a:b", "unsupported command in lmtp_body_checks map: FILTER a:b"},
	} {
		got := ""
		if err := CheckAction(c.parameter, c.value, false, nil); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s, %q: %q, want %q", c.parameter, c.value, got, c.want)
		}
		if c.value == "" {
			continue // a Filter does not come so far
		}
		var log bytes.Buffer
		o := Options{}
		if i := strings.Index(c.parameter, "mtp_"); i >= 0 {
			o.Sending = c.parameter[:i+3]
		}
		for _, tables := range []*[]Table{&o.Header, &o.Body} {
			if (tables == &o.Body) == strings.HasSuffix(c.parameter, "body_checks") {
				*tables = []Table{always(c.value)}
			}
		}
		warned := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.MessageKey {
				return slog.String("msg", "="+a.Value.String()+"=") // nothing but quotes around it
			}
			return a
		}}))
		f := New(o).Filter(io.Discard, Message{Log: warned})
		if _, err := f.Write([]byte("A: b\r\n\r\nbody\r\n")); err != nil {
			t.Error(err)
		}
		f.Close()
		said := strings.ReplaceAll(log.String(), `\"`, `"`)
		if (said == "") != (c.want == "") || c.want != "" && !strings.Contains(said, "="+c.want+"=") {
			t.Errorf("%s, %q: a Filter says %q, CheckAction %q", c.parameter, c.value, said, c.want)
		}
	}
}

// always is a table that says the same to everything.
type always string

func (a always) Lookup(context.Context, string) (string, bool, error) { return string(a), true, nil }
func (a always) Name() string                                         { return "static:" + string(a) }

// What depends on the match is not judged; the command in front of it is.
func TestCheckActionOpen(t *testing.T) {
	never := func(string) error { return errors.New("no such transport") }
	for value, wrong := range map[string]bool{
		"": false, "REJ": false, "REDIRECT ": false, "PREPEND ": false, "FILTER ": false, "FILTER nosuch:": false, "BCC x": false, "REDIRCT ": true, "REJCT the ": true,
	} {
		if err := CheckAction("header_checks", value, true, never); (err != nil) != wrong {
			t.Errorf("%q: %v", value, err)
		}
	}
	if err := CheckAction("header_checks", "FILTER nosuch:x", false, never); err == nil {
		t.Error("a transport that is not there is taken")
	}
}
