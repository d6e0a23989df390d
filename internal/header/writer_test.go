package header

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

var (
	drop    = []string{"bcc", "content-length", "resent-bcc", "return-path"}
	noon    = time.Date(2025, 11, 2, 10, 0, 0, 0, time.UTC)
	sender  = mail.Address{Local: "sender", Domain: "example.net"}
	missing = Options{DropFields: drop, AddMissing: true, ID: 12345678901234, MyHostname: "mx.example.com", Now: noon, From: sender}

	missingDropped = Options{DropFields: []string{"from", "message-id", "received"}, AddMissing: true, MyHostname: "mx.example.com", Now: noon, From: sender}
)

func TestWriter(t *testing.T) {
	id := missing.ID.String()
	for _, tt := range []struct {
		name string
		o    Options
		in   string
		want string
		ids  []string
		hops int
	}{
		{name: "as it is", in: "Subject: x\n\nbody\n", want: "Subject: x\n\nbody\n"},
		{name: "empty"},
		{name: "header only", in: "Subject: only\n", want: "Subject: only\n"},
		{name: "empty line first", in: "\nbody after blank\n", want: "\nbody after blank\n"},
		{name: "no header", in: "just a line\nanother\n", want: "\njust a line\nanother\n"},
		{name: "no header, a colon later", in: "just a: line\n", want: "\njust a: line\n"},
		{name: "leading space", in: " leading space\nSubject: y\n\nx\n", want: "\n leading space\nSubject: y\n\nx\n"},
		{name: "mbox line", in: "From someone Sat Nov  1\nSubject: mbox\n\nx\n", want: "X-Mailbox-Line: From someone Sat Nov  1\nSubject: mbox\n\nx\n"},
		{name: "quoted mbox line", in: ">From x\nSubject: y\n\nx\n", want: "X-Mailbox-Line: >From x\nSubject: y\n\nx\n"},
		{name: "two mbox lines", in: ">>From x\nFrom y\nSubject: y\n\nx\n", want: "X-Mailbox-Line: >>From x\nX-Mailbox-Line: From y\nSubject: y\n\nx\n"},
		{name: "mbox line in the header", in: "Subject: y\nFrom x\n\nx\n", want: "Subject: y\n\nFrom x\n\nx\n"},
		{name: "From field", in: "From: x\n\n", want: "From: x\n\n"},
		{name: "no empty line before the body", in: "Subject: x\nbody\n\nX: y\n", want: "Subject: x\n\nbody\n\nX: y\n"},
		{name: "space before the colon", in: "Subject : x\nReceived\t: y\n\n", want: "Subject : x\nReceived\t: y\n\n", hops: 1},
		{name: "colon first", in: ": x\n", want: "\n: x\n"},
		{name: "8-bit name", in: "Sübject: x\n", want: "\nSübject: x\n"},
		{name: "half a line", in: "Subject", want: "\nSubject"},
		{name: "field without line end", in: "Subject: x", want: "Subject: x\n"},
		{name: "long name", in: strings.Repeat("x", 2000) + ": y\n", want: "\n" + strings.Repeat("x", 2000) + ": y\n"},
		{name: "long name that is one", in: strings.Repeat("x", 900) + ": y\n\n", want: strings.Repeat("x", 900) + ": y\n\n"},
		{name: "long field", in: "X: " + strings.Repeat("y", 200000) + "\n\nz\n", want: "X: " + strings.Repeat("y", 200000) + "\n\nz\n"},

		{name: "dropped fields", o: Options{DropFields: drop},
			in:   "Return-Path: <x@example.net>\nReceived: x\nBcc: secret@example.org,\n another\nRESENT-BCC : z\nContent-Length: 5\nSubject: t\nTo: a\n\nBcc: body\n",
			want: "Received: x\nSubject: t\nTo: a\n\nBcc: body\n", hops: 1},
		{name: "only dropped fields", o: Options{DropFields: drop}, in: "Bcc: x\n y\n", want: ""},
		{name: "dropped last", o: Options{DropFields: drop}, in: "A: b\nBcc: x\n\ny\n", want: "A: b\n\ny\n"},
		{name: "dropped, then no header", o: Options{DropFields: drop}, in: "Bcc: x\ny\n", want: "\ny\n"},
		{name: "like a dropped name", o: Options{DropFields: drop}, in: "Bcc2: x\nBc: y\n\n", want: "Bcc2: x\nBc: y\n\n"},

		{name: "hops", in: "Received: a\nRECEIVED: b\n c\nX-Received: d\n\nReceived: e\n", want: "Received: a\nRECEIVED: b\n c\nX-Received: d\n\nReceived: e\n", hops: 2},
		{name: "message ID", in: "Message-ID: <a@b.example>\n\n", want: "Message-ID: <a@b.example>\n\n", ids: []string{"<a@b.example>"}},
		{name: "with a comment", in: "message-id:   <c@d.example>  (comment)\n\n", want: "message-id:   <c@d.example>  (comment)\n\n", ids: []string{"<c@d.example>  (comment)"}},
		{name: "folded", in: "Message-ID:\n <folded@e.example>\n\n", want: "Message-ID:\n <folded@e.example>\n\n", ids: []string{"<folded@e.example>"}},
		{name: "empty message ID", in: "Message-ID: \n\n", want: "Message-ID: \n\n", ids: []string{""}},
		{name: "two message IDs", in: "Message-ID: <one>\nMessage-ID: <two>\n", want: "Message-ID: <one>\nMessage-ID: <two>\n", ids: []string{"<one>", "<two>"}},
		{name: "unprintable message ID", in: "Message-ID: <a\x01\xffb\x7f>\n\n", want: "Message-ID: <a\x01\xffb\x7f>\n\n", ids: []string{"<a??b?>"}},
		{name: "message ID in the body", in: "\nMessage-ID: <x>\n", want: "\nMessage-ID: <x>\n"},
		{name: "long message ID", o: Options{HeaderSizeLimit: 20}, in: "Message-ID: <" + strings.Repeat("x", 30) + ">\n\n",
			want: "Message-ID: <" + strings.Repeat("x", 30) + ">\n\n", ids: []string{"<xxxxxxx"}},

		{name: "missing fields", o: missing, in: "Subject: bare\n\nx\n",
			want: "Subject: bare\nMessage-Id: <20251102100000." + id + "@mx.example.com>\nDate: Sun,  2 Nov 2025 10:00:00 +0000 (UTC)\nFrom: sender@example.net\n\nx\n",
			ids:  []string{"<20251102100000." + id + "@mx.example.com>"}},
		{name: "nothing missing", o: missing, in: "From: x\nDATE: y\nMessage-id: <z>\n\nx\n", want: "From: x\nDATE: y\nMessage-id: <z>\n\nx\n", ids: []string{"<z>"}},
		{name: "missing, no body", o: missing, in: "From: x\nMessage-ID: <z>\n",
			want: "From: x\nMessage-ID: <z>\nDate: Sun,  2 Nov 2025 10:00:00 +0000 (UTC)\n", ids: []string{"<z>"}},
		{name: "missing, no header", o: missing, in: "hello\n",
			want: "Message-Id: <20251102100000." + id + "@mx.example.com>\nDate: Sun,  2 Nov 2025 10:00:00 +0000 (UTC)\nFrom: sender@example.net\n\nhello\n",
			ids:  []string{"<20251102100000." + id + "@mx.example.com>"}},
		{name: "missing, resent", o: missing, in: "From: x\nResent-To: y\nResent-Date: z\n\n",
			want: "From: x\nResent-To: y\nResent-Date: z\nResent-Message-Id: <20251102100000." + id + "@mx.example.com>\nResent-From: sender@example.net\n\n",
			ids:  []string{"resent <20251102100000." + id + "@mx.example.com>"}},
		// The rest as Postfix 3.7.11 has it.
		{name: "resent by a dropped field", o: missing, in: "Resent-Bcc: x\nFrom: x\nDate: y\nMessage-ID: <z>\n\n",
			want: "From: x\nDate: y\nMessage-ID: <z>\nResent-Message-Id: <20251102100000." + id + "@mx.example.com>\nResent-Date: Sun,  2 Nov 2025 10:00:00 +0000 (UTC)\nResent-From: sender@example.net\n\n",
			ids:  []string{"<z>", "resent <20251102100000." + id + "@mx.example.com>"}},
		{name: "dropped fields are not missing", o: missingDropped, in: "From: x\nMessage-ID: <a@b>\nReceived: x\nSubject: q\n\n",
			want: "Subject: q\nDate: Sun,  2 Nov 2025 10:00:00 +0000 (UTC)\n\n", ids: []string{"<a@b>"}, hops: 1},
		{name: "no resent field", o: missing, in: "Resent-Foo: x\nFrom: x\nDate: y\nMessage-ID: <z>\n\n",
			want: "Resent-Foo: x\nFrom: x\nDate: y\nMessage-ID: <z>\n\n", ids: []string{"<z>"}},
		{name: "message IDs in their order", in: "Message-ID: <a@b>\nResent-Message-ID: <c@d>\nMessage-ID: <a2@b>\n\n",
			want: "Message-ID: <a@b>\nResent-Message-ID: <c@d>\nMessage-ID: <a2@b>\n\n", ids: []string{"<a@b>", "resent <c@d>", "<a2@b>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := strings.ReplaceAll(tt.in, "\n", "\r\n")
			want := strings.ReplaceAll(tt.want, "\n", "\r\n")
			sizes := []int{1, 2, 3, 7, 1000, len(in) + 1}
			for _, size := range sizes {
				got, w := write(t, tt.o, in, size)
				if got != want {
					t.Fatalf("in pieces of %d:\n got %q\nwant %q", size, got, want)
				}
				if !slices.Equal(idsOf(w), tt.ids) || w.Hops() != tt.hops {
					t.Errorf("in pieces of %d: IDs %q, %d hops; want %q, %d", size, idsOf(w), w.Hops(), tt.ids, tt.hops)
				}
			}
		})
	}
}

func write(t testing.TB, o Options, in string, size int) (string, *Writer) {
	t.Helper()
	var out bytes.Buffer
	w := NewWriter(&out, o)
	for len(in) > 0 {
		n := min(size, len(in))
		if m, err := io.WriteString(w, in[:n]); m != n || err != nil {
			t.Fatalf("Write: %d, %v", m, err)
		}
		in = in[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !w.Done() {
		t.Error("closed, but not done")
	}
	return out.String(), w
}

func TestFrom(t *testing.T) {
	for _, tt := range []struct {
		name string
		addr mail.Address
		want string
	}{
		{"", sender, "sender@example.net"},
		{"root", sender, "root <sender@example.net>"},
		{"Joe  Q.\tUser ", sender, `"Joe Q. User" <sender@example.net>`},
		{`Joe "the" \o/`, sender, `"Joe \"the\" \\o/" <sender@example.net>`},
		{"Jürgen", sender, "=?utf-8?q?J=C3=BCrgen?= <sender@example.net>"},
		{"x\r\nBcc: y", sender, `"x Bcc: y" <sender@example.net>`},
		{"100%", sender, `"100%" <sender@example.net>`},
		{"Jürgen (x)", sender, "=?utf-8?q?J=C3=BCrgen_=28x=29?= <sender@example.net>"},
		{"", mail.Address{Local: "odd user", Domain: "example.net"}, `"odd user"@example.net`},
		{"", mail.Address{}, "MAILER-DAEMON"},
	} {
		o := missing
		o.FullName, o.From = tt.name, tt.addr
		got, _ := write(t, o, "Message-ID: <x>\r\nDate: x\r\n\r\n", 100)
		if want := "Message-ID: <x>\r\nDate: x\r\nFrom: " + tt.want + "\r\n\r\n"; got != want {
			t.Errorf("full name %q: %q, want %q", tt.name, got, want)
		}
	}
}

// header_from_format = obsolete. A backslash or a parenthesis must not end the comment.
func TestObsoleteFrom(t *testing.T) {
	for name, want := range map[string]string{
		"":              "sender@example.net",
		"Joe Q. User":   "sender@example.net (Joe Q. User)",
		"Joe (at) work": "sender@example.net (Joe (at) work)",
		"Joe) (User \\": "sender@example.net (Joe (User ))",
		")":             "sender@example.net",
		`a\(b`:          `sender@example.net (a\(b)`,
		"Jürgen":        "sender@example.net (=?utf-8?q?J=C3=BCrgen?=)",
	} {
		o := missing
		o.FullName, o.ObsoleteFrom = name, true
		got, _ := write(t, o, "Message-ID: <x>\r\nDate: x\r\n\r\n", 100)
		if want := "Message-ID: <x>\r\nDate: x\r\nFrom: " + want + "\r\n\r\n"; got != want {
			t.Errorf("full name %q: %q, want %q", name, got, want)
		}
	}
}

func idsOf(w *Writer) (ids []string) {
	for _, id := range w.MessageIDs() {
		if id.Resent {
			id.Value = "resent " + id.Value
		}
		ids = append(ids, id.Value)
	}
	return ids
}

func TestLogMessageIDs(t *testing.T) {
	const none = "level=INFO msg=message-id queue_id=0123 message_id=<>\n"
	for in, want := range map[string]string{
		"Message-ID: <a>\r\nResent-Message-ID: <b>\r\n": "level=INFO msg=message-id queue_id=0123 message_id=<a>\nlevel=INFO msg=\"resent-message-id=<b>\" queue_id=0123\n",
		"Resent-Message-ID: <b>\r\n":                    "level=INFO msg=\"resent-message-id=<b>\" queue_id=0123\n" + none,
		"":                                              none,
	} {
		_, w := write(t, Options{}, in, 5)
		var log strings.Builder
		w.LogMessageIDs(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}})), "0123")
		if log.String() != want {
			t.Errorf("%q: log\n%swant\n%s", in, &log, want)
		}
	}
}

func TestEightBit(t *testing.T) {
	for in, want := range map[string]bool{
		"Subject: ascii\r\n\r\nkörper\r\n": false,
		"Subject: größe\r\n\r\n":           true,
		"A: b\r\n grün\r\n\r\n":            true,
		"Bcc: grün\r\n\r\n":                false, // dropped
	} {
		if _, w := write(t, Options{DropFields: drop}, in, 3); w.EightBit() != want {
			t.Errorf("%q: %v", in, w.EightBit())
		}
	}
}

func TestDate(t *testing.T) {
	for _, tt := range []struct {
		t    time.Time
		want string
	}{
		{noon, "Sun,  2 Nov 2025 10:00:00 +0000 (UTC)"},
		{time.Date(2025, 7, 22, 1, 2, 3, 0, time.FixedZone("CEST", 7200)), "Tue, 22 Jul 2025 01:02:03 +0200 (CEST)"},
	} {
		if got := Date(tt.t); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// What the draft refuses is told at once, and nothing more is written to it.
func TestWriterError(t *testing.T) {
	full := errors.New("disk full")
	calls := 0
	w := NewWriter(writerFunc(func(p []byte) (int, error) { calls++; return 0, full }), Options{})
	for range 3 {
		if _, err := io.WriteString(w, "Subject: x\r\n\r\nbody\r\n"); err != full {
			t.Errorf("Write: %v", err)
		}
	}
	if err := w.Close(); err != full || calls != 1 {
		t.Errorf("Close: %v after %d calls", err, calls)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// How a message is cut into pieces makes no difference, and what is not a header field
// of message_drop_headers comes out as it went in.
func FuzzWriter(f *testing.F) {
	for _, s := range []string{
		"Subject: x\r\n\r\nbody\r\n", "From x\r\nBcc: a\r\n b\r\nTo: c\r\n\r\n", "x\r\ny: z\r\n", " \r\n", "\r", "A\r\n", ">>>From", "Bcc",
		"Received: a\r\nReceived : b\r\n c\r\nX: ü\r\n\r\nReceived: d\r\n", "Bcc : a\r\n\tb\r\nReturn-Path: <>\r\n",
	} {
		f.Add(s, 1)
		f.Add(s, 5)
	}
	f.Fuzz(func(t *testing.T, in string, size int) {
		if size <= 0 {
			return
		}
		whole, w := write(t, Options{DropFields: drop}, in, len(in)+1)
		cut, w2 := write(t, Options{DropFields: drop}, in, size)
		if whole != cut || w.Hops() != w2.Hops() || !slices.Equal(w.MessageIDs(), w2.MessageIDs()) || w.EightBit() != w2.EightBit() {
			t.Fatalf("%q in pieces of %d: %q, whole %q", in, size, cut, whole)
		}
		if hops, eightBit, dropped := naiveScan(whole); properLines(in) && (w.Hops() != hops || eightBit && !w.EightBit() || dropped != "") {
			t.Fatalf("%q became %q: %d hops, want %d; 8-bit %v, want %v; left in: %q", in, whole, w.Hops(), hops, w.EightBit(), eightBit, dropped)
		}
		plain, _ := write(t, Options{}, in, size)
		plain = strings.ReplaceAll(plain, "X-Mailbox-Line: ", "")
		if in := strings.ReplaceAll(in, "X-Mailbox-Line: ", ""); strings.Replace(plain, "\r\n", "", 1) != in && plain != in && !oneInsertion(in, plain) {
			t.Fatalf("%q became %q", in, plain)
		}
	})
}

// properLines tells whether a message is as it comes from the wire.
func properLines(s string) bool {
	return !strings.ContainsAny(strings.ReplaceAll(s, "\r\n", ""), "\r\n")
}

// naiveScan looks at the header of a message that a Writer has passed on.
func naiveScan(message string) (hops int, eightBit bool, dropped string) {
	for line := range strings.SplitSeq(message, "\r\n") {
		if line == "" {
			break
		}
		eightBit = eightBit || strings.ContainsFunc(line, func(c rune) bool { return c >= 0x80 })
		name, _, _ := strings.Cut(line, ":")
		name = strings.ToLower(strings.TrimRight(name, " \t"))
		if name == "received" {
			hops++
		}
		if slices.Contains(drop, name) {
			dropped = line
		}
	}
	return hops, eightBit, dropped
}

// oneInsertion tells whether b is a with one CRLF more.
func oneInsertion(a, b string) bool {
	if len(b) != len(a)+2 {
		return false
	}
	for i := 0; i <= len(a); i++ {
		if b[:i] == a[:i] && b[i:i+2] == "\r\n" && b[i+2:] == a[i:] {
			return true
		}
	}
	return false
}

func BenchmarkWriter(b *testing.B) {
	in := []byte("Received: from a by b; Sat, 01 Nov 2025 10:00:00 +0000\r\nFrom: a@b.example\r\nTo: c@d.example\r\n" +
		"Subject: hello\r\nDate: Sat, 01 Nov 2025 10:00:00 +0000\r\nMessage-ID: <x@y.example>\r\n\r\n" + strings.Repeat("text\r\n", 500))
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		w := NewWriter(io.Discard, Options{DropFields: drop})
		w.Write(in)
		w.Close()
	}
}
