package maillog

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// TestSession is the life of one message, as a Postfix logs it.
func TestSession(t *testing.T) {
	var out bytes.Buffer
	root := slog.New(New(options(&out)))
	daemon := func(name string) *slog.Logger { return root.With(mail.KeyDaemon, name) }
	relay := slog.String(mail.KeyRelay, "mx.example.net[192.0.2.1]:25")

	daemon("pickup").Info(mail.EventPickup, id(), mail.KeyUID, 1002, mail.KeyFrom, "submitter")
	daemon("cleanup").Info(mail.EventMessageID, id(), mail.KeyMessage, "<1@mx.example.com>")
	daemon("qmgr").Info(mail.EventActive, id(), mail.KeyFrom, "submitter@mx.example.com", mail.KeySize, 388, mail.KeyNrcpt, 1)
	daemon("smtp").Info(mail.EventConnectErr, mail.KeyRelay, "mx.example.net[2001:db8::1]:25", mail.KeyReason, "Network is unreachable")
	daemon("smtp").Info(mail.EventTLS, mail.KeyTLSLevel, "Untrusted", relay, mail.KeyTLS, "TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)")
	daemon("smtp").Info(mail.EventDelivery, id(), mail.KeyTo, "target@example.net", mail.KeyOrigTo, "info@alias.example", relay,
		mail.KeyDelay, 1480*ms, delays(80*ms, 20*ms, 570*ms, 810*ms), mail.KeyDSN, "2.0.0", mail.KeyStatus, "sent", mail.KeyReason, "250 2.0.0 OK queued")
	daemon("qmgr").Info(mail.EventRemoved, id())

	want := strings.NewReplacer("ID: ", testID.String()+": ", "postfix", prefix[:len(prefix)-1]).Replace(`postfix/pickup[4711]: ID: uid=1002 from=<submitter>
postfix/cleanup[4711]: ID: message-id=<1@mx.example.com>
postfix/qmgr[4711]: ID: from=<submitter@mx.example.com>, size=388, nrcpt=1 (queue active)
postfix/smtp[4711]: connect to mx.example.net[2001:db8::1]:25: Network is unreachable
postfix/smtp[4711]: Untrusted TLS connection established to mx.example.net[192.0.2.1]:25: TLSv1.3 with cipher TLS_AES_128_GCM_SHA256 (128/128 bits)
postfix/smtp[4711]: ID: to=<target@example.net>, orig_to=<info@alias.example>, relay=mx.example.net[192.0.2.1]:25, delay=1.5, delays=0.08/0.02/0.57/0.81, dsn=2.0.0, status=sent (250 2.0.0 OK queued)
postfix/qmgr[4711]: ID: removed
`)
	if out.String() != want {
		t.Errorf("got\n%s, want\n%s", out.String(), want)
	}
}

func TestHandler(t *testing.T) {
	var out bytes.Buffer
	h := New(options(&out))
	l := slog.New(h)
	take := func(want string) {
		t.Helper()
		if got := out.String(); got != want {
			t.Errorf("got\n%s, want\n%s", got, want)
		}
		out.Reset()
	}
	l.Info("nobody's")
	take(prefix + "master[4711]: nobody's\n")
	l.Debug("dropped")
	take("")
	l.Info("one line", mail.KeyDaemon, "anvil")
	take(prefix + "anvil[4711]: one line\n")
	l.With(mail.KeyDaemon, "smtpd", mail.KeyQueueID, "AB").Warn("x", "k", "v")
	take(prefix + "smtpd[4711]: warning: AB: x k=v\n")
	l.WithGroup("g").With("a", 1).WithGroup("h").Info("x", "b", 2, mail.KeyTo, "y")
	take(prefix + "master[4711]: x g.a=1 g.h.b=2 g.h.to=y\n")
	l.WithGroup("").Info("x", slog.Attr{}, slog.Group("", slog.Int("a", 1)))
	take(prefix + "master[4711]: x a=1\n")
	slog.New(h.Named("postfix/submission")).With(mail.KeyDaemon, "smtpd").Info(mail.EventConnect, mail.KeyClient, "x[192.0.2.1]")
	take(stamp + "postfix/submission/smtpd[4711]: connect from x[192.0.2.1]\n")
	slog.New(l.With(mail.KeyDaemon, "smtpd").Handler().(*Handler).Named("mx")).Info("x")
	take(stamp + "mx/smtpd[4711]: x\n")

	a, b := l.With("a", 1), l.With("b", 2) // do not share what they keep
	a.With("c", 3)
	a.Info("x")
	b.Info("x")
	take(prefix + "master[4711]: x a=1\n" + prefix + "master[4711]: x b=2\n")
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestDefaults(t *testing.T) {
	var out bytes.Buffer
	at := time.Date(2025, 1, 9, 1, 2, 3, 0, time.FixedZone("x", 3600))
	h := New(Options{Out: &out, Hostname: ".odd", Location: time.UTC, PID: 1})
	r := slog.NewRecord(at, slog.LevelInfo, "x", 0)
	if err := h.Handle(context.Background(), r); err != nil {
		t.Error(err)
	}
	if want := "Jan 09 00:02:03 .odd postfix/master[1]: x\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	out.Reset()
	slog.New(New(Options{Out: &out, Level: slog.LevelDebug})).Debug("x")
	if !strings.Contains(out.String(), "postfix/master[") {
		t.Errorf("got %q", out.String())
	}
}

func TestPrintable(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain", "plain"},
		{"jösé", "jösé"},
		{"a\nb\r\x00\x7fc", "a?b???c"},
		{"a\xff\xfeb", "a??b"},
		{"\xed\xa0\x80", "???"},
		{"a\u0085b\u2028c\u202ed", "a?b?c?d"},
		{"\x1b[31mred", "?[31mred"},
		{"", ""},
	}
	for _, tt := range tests {
		if got := Printable(tt.in); got != tt.want {
			t.Errorf("Printable(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// TestBounds: neither a long value nor many of them make a line without end.
func TestBounds(t *testing.T) {
	long := strings.Repeat("ö", 100_000)
	got := logged(t, nil, "smtp", 0, mail.EventDelivery, id(), slog.String(mail.KeyTo, long), slog.String(mail.KeyReason, long))
	if len(got) > 2*maxValue+500 || !strings.Contains(got, "ö...>, relay=none") || !strings.HasSuffix(got, "ö...)") {
		t.Errorf("%d bytes: %.100q ... %q", len(got), got, got[len(got)-20:])
	}
	var many []slog.Attr
	for range 1000 {
		many = append(many, slog.String("k", long))
	}
	for _, json := range []bool{false, true} {
		got := logged(t, func(o *Options) { o.JSON = json }, "smtp", 0, long, many...)
		if len(got) > maxLine+4*maxValue {
			t.Errorf("JSON %t: a line of %d bytes", json, len(got))
		}
	}
}

// FuzzValues: whatever stands in a value, a record is one line of printable text, it
// keeps its beginning, and as JSON it is one object that holds the values again.
func FuzzValues(f *testing.F) {
	f.Add("target@example.net", "250 2.0.0 OK", "k", "v")
	f.Add("a\nNov 22 19:09:54 mx postfix/smtp[1]: forged", "\r\n.\r\n", "k\n", "\x00\xff")
	f.Add("\u2028\u0085", "\"}", "a=b", "\\")
	f.Add(strings.Repeat("é", 1500), "x", "", "")
	names := []string{
		mail.EventConnect, mail.EventDisconnect, mail.EventClient, mail.EventReject, mail.EventLost, mail.EventMessageID,
		mail.EventCleanup, mail.EventContent, mail.EventPickup, mail.EventActive, mail.EventRemoved, mail.EventExpired, mail.EventDelivery,
		mail.EventConnectErr, mail.EventTLS, mail.EventReported, mail.EventOperator,
	}
	f.Fuzz(func(t *testing.T, a, b, key, value string) {
		for i, msg := range append(names, a) {
			var attrs []slog.Attr
			for k := keyQueueID; k < numKeys; k++ {
				v := a
				if (int(k)+i)%2 == 0 {
					v = b
				}
				attrs = append(attrs, slog.String(keyNames[k], v))
			}
			attrs = append(attrs, slog.String("x"+key, value))
			line := logged(t, nil, "smtp", 0, msg, attrs...)
			if !strings.HasPrefix(line, prefix+"smtp[4711]: ") {
				t.Fatalf("%s: the line begins otherwise: %q", msg, line)
			}
			if p := Printable(line); p != line {
				t.Fatalf("%s: not printable: %q", msg, line)
			}
			checkJSON(t, logged(t, func(o *Options) { o.JSON = true }, "smtp", 0, msg, attrs...), keyNames[keyReason], attrs)
		}
		if line := logged(t, nil, a, 0, b); Printable(line) != line {
			t.Fatalf("daemon %q: not printable: %q", a, line)
		}
	})
}

// failingWriter fails while it is told to.
type failingWriter struct {
	bytes.Buffer
	err error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	return w.Buffer.Write(p)
}

// TestWriteErrors: lost lines are counted, said once, and told of when the log works
// again.
func TestWriteErrors(t *testing.T) {
	for _, json := range []bool{false, true} {
		out, errs := &failingWriter{}, &bytes.Buffer{}
		o := options(nil)
		o.Out, o.Errors, o.JSON = out, errs, json
		h := New(o)
		l := slog.New(h)
		l.Info("first")
		out.err = errors.New("no space left on device")
		for range 3 {
			l.Info("lost")
		}
		if want := "aliasmx: mail log: no space left on device; lines are lost until it works again\n"; errs.String() != want {
			t.Errorf("errors %q, want %q", errs, want)
		}
		out.err = nil
		l.Info("again")
		l.Info("last")
		if h.Lost() != 3 {
			t.Errorf("Lost() = %d", h.Lost())
		}
		lines := strings.Split(out.String(), "\n")
		if len(lines) != 5 || !strings.Contains(lines[2], "3 lines of this log were lost") || !strings.Contains(lines[3], "last") {
			t.Errorf("lines %q", lines)
		}
	}
}

// lineWriter checks that each Write is one line.
type lineWriter struct {
	t *testing.T
	n int
}

func (w *lineWriter) Write(p []byte) (int, error) {
	if bytes.Count(p, []byte("\n")) != 1 || !bytes.HasSuffix(p, []byte("ends here\n")) {
		w.t.Errorf("not one line: %q", p)
	}
	w.n++
	return len(p), nil
}

func TestConcurrentLines(t *testing.T) {
	w := &lineWriter{t: t}
	o := options(nil)
	o.Out = w
	l := slog.New(New(o))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			mine := l.With(mail.KeyDaemon, "smtp")
			for range 200 {
				mine.Info(mail.EventConnectErr, mail.KeyRelay, "x", mail.KeyReason, "ends here")
			}
		})
	}
	wg.Wait()
	if w.n != 1600 {
		t.Errorf("%d lines, want 1600", w.n)
	}
}

func BenchmarkDelivery(b *testing.B) {
	for _, json := range []bool{false, true} {
		b.Run(map[bool]string{false: "line", true: "json"}[json], func(b *testing.B) {
			h := New(Options{Out: io.Discard, JSON: json, Hostname: "mx"}).WithAttrs([]slog.Attr{slog.String(mail.KeyDaemon, "smtp")})
			r := slog.NewRecord(time.Now(), slog.LevelInfo, mail.EventDelivery, 0)
			r.AddAttrs(id(), str(mail.KeyTo, "target@example.net"), str(mail.KeyOrigTo, "info@alias.example"),
				str(mail.KeyRelay, "mx.example.net[192.0.2.1]:25"), slog.Int(mail.KeyConnUse, 2), slog.Duration(mail.KeyDelay, 1483*ms),
				delays(80*ms, 20*ms, 570*ms, 810*ms), str(mail.KeyDSN, "2.0.0"), str(mail.KeyStatus, "sent"),
				str(mail.KeyReason, "250 2.0.0 Ok: queued as 4Xk2b1q0zFcN"))
			b.ReportAllocs()
			for b.Loop() {
				if err := h.Handle(context.Background(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
