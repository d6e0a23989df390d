package bounce

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"testing"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

func TestWrap(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for name, c := range map[string]struct{ in, want string }{
		"short":            {"a b", "a b\r\n"},
		"fits":             {x(70) + " " + x(8), x(70) + " " + x(8) + "\r\n"},
		"one too long":     {x(70) + " " + x(9), x(70) + "\r\n    " + x(9) + "\r\n"},
		"second line":      {x(79) + " " + x(60) + " " + x(14) + " y", x(79) + "\r\n    " + x(60) + " " + x(14) + "\r\n    y\r\n"},
		"long word first":  {x(100) + " y", x(100) + "\r\n    y\r\n"},
		"long word behind": {"a " + x(100), "a\r\n    " + x(100) + "\r\n"},
		"endless word":     {x(2000), x(900) + "\r\n    " + x(900) + "\r\n    " + x(200) + "\r\n"},
		"blanks":           {x(78) + "    y", x(78) + "\r\n    y\r\n"},
		"nothing":          {"", ""},
		"utf-8 is not cut": {strings.Repeat("ä", 451), strings.Repeat("ä", 450) + "\r\n    ä\r\n"},
		"odd utf-8":        {"x" + strings.Repeat("ä", 451), "x" + strings.Repeat("ä", 449) + "\r\n    ää\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			wrap(&b, c.in)
			if b.String() != c.want {
				t.Errorf("wrap(%q)\n got %q\nwant %q", c.in, b.String(), c.want)
			}
		})
	}
}

func TestMask(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", " a  b ": "a  b", "a\r\nb": "a b", "a\nb\rc": "a b c", "a\tb\x00c\x7f": "a?b?c?",
		"jösé": "jösé", "\xff\xfe": "??", "a\u0085b": "a?b", "a\u2028b": "a?b", "\ufffd": "\ufffd", "": "",
	} {
		if got := mask(in); got != want {
			t.Errorf("mask(%q) = %q, want %q", in, got, want)
		}
	}
}

type reportPart struct {
	header  textproto.MIMEHeader
	content string
}

// readReport parses a report with the standard library.
func readReport(t testing.TB, text []byte) []reportPart {
	t.Helper()
	m, err := netmail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("not a message: %v\n%q", err, text)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("Content-Type is %s %v: %v", kind, params, err)
	}
	var parts []reportPart
	for reader := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := reader.NextRawPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatalf("part %d: %v\n%q", len(parts), err, text)
		}
		content, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, reportPart{p.Header, string(content)})
	}
}

// readStatus parses message/delivery-status: groups of fields, an empty line between.
func readStatus(t testing.TB, content string) []textproto.MIMEHeader {
	t.Helper()
	var groups []textproto.MIMEHeader
	for r := textproto.NewReader(bufio.NewReader(strings.NewReader(content))); ; {
		h, err := r.ReadMIMEHeader()
		if len(h) > 0 {
			groups = append(groups, h)
		}
		if err == io.EOF {
			return groups
		}
		if err != nil {
			t.Fatalf("%v in %q", err, content)
		}
		if len(h) == 0 {
			t.Fatalf("an empty group in %q", content)
		}
	}
}

// FuzzReport: whatever others said, the report is one of three parts, with the fields
// that belong there and no others.
func FuzzReport(f *testing.F) {
	f.Add("host said: 550 no", "550 no", "mx.example", "rfc822;a@b", "joe", "x", "Subject: x\r\n\r\nHi\r\n")
	f.Add("a\r\n\r\n--x\r\nFinal-Recipient: y", "\r\nAction: delivered", "\n\n", ";\r\n", "a b\r\n", "\x00", "")
	f.Add(strings.Repeat("x", 3000), strings.Repeat("y ", 3000), strings.Repeat("z", 2000), "utf-8;ä", "jö", "é", "no header")
	f.Add("  ", " ", " ", " ", " ", " ", "\r\n\r\n")
	f.Fuzz(func(t *testing.T, reason, reply, mta, orcpt, local, envid, content string) {
		r := failed(mail.Recipient{Final: mail.Address{Local: local, Domain: "dest.example"}, Orig: mail.Address{Local: reason, Domain: "virt.example"}, ORcpt: orcpt},
			mail.Result{Reason: reason, RemoteReply: reply, RemoteMTA: mta, Relay: mta})
		r.Env.Rcpts = append(r.Env.Rcpts, aliased("second@dest.example"))
		r.Results = append(r.Results, mail.Result{Rcpt: 1, Reason: reply})
		r.Env.EnvID, r.Env.Sender, r.Body = envid, mail.Address{Local: local, Domain: "example.net"}, body(content)
		_, text := mustWrite(t, newTestWriter(t, nil).Notify, r)
		parts := readReport(t, text)
		if len(parts) != 3 {
			t.Fatalf("%d parts:\n%s", len(parts), text)
		}
		for i, line := range bytes.Split([]byte(parts[0].content+parts[1].content), []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n\x00") || !utf8.Valid(line) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
		groups := readStatus(t, parts[1].content)
		if len(groups) != 3 {
			t.Fatalf("%d groups of fields in %q", len(groups), parts[1].content)
		}
		for i, want := range []string{"Reporting-Mta", "Final-Recipient", "Final-Recipient"} {
			if len(groups[i][want]) != 1 || i > 0 && fmt.Sprint(groups[i]["Action"]) != "[failed]" {
				t.Fatalf("group %d is %v", i, groups[i])
			}
			for name := range groups[i] {
				if !strings.Contains("Reporting-Mta Original-Envelope-Id X-Postfix-Queue-Id X-Postfix-Sender Arrival-Date "+
					"Final-Recipient Original-Recipient Action Status Remote-Mta Diagnostic-Code", name) {
					t.Fatalf("group %d has a field %s", i, name)
				}
			}
		}
		returned := parts[2].content
		if !strings.HasPrefix(returned, "Return-Path: <") || !strings.Contains(returned, content) {
			t.Fatalf("returned %q, not %q", returned, content)
		}
	})
}
