package delivery

import (
	"context"
	"io"
	"log/slog"
	"net"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"aliasmx/internal/mail"
)

// What an envelope or a server's replies may hold, and what none of it can make us say.

// harmful is text that does harm somewhere.
func harmful() []string {
	return []string{
		"\r\nDATA\r\nx\r\n.\r\n", "\nRSET", "\rRSET", "\x00", "\x01", "\x1b[31m", "\x7f", "\xff", "\xc3", "\u0085", "\u009b31m", "\u2028", "ü",
		" ", "\t", ">", "<", "> SIZE=1", "> ORCPT=x", "\"", "\\", "=", "+", "+0D+0A", ";", "@", ",", ":", "(", "\\x{D}", strings.Repeat("x", 3000),
	}
}

// conversationTo sends one message to a server that agrees to all, and returns our side.
func conversationTo(t *testing.T, a *mail.Attempt, says string) (string, []mail.Result) {
	t.Helper()
	server := &deaf{says: strings.NewReader(says)}
	c := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) { return server, nil }})
	defer c.Close()
	src := &source{t: t, attempts: []*mail.Attempt{a}}
	c.Work(t.Context(), "smtp:[192.0.2.1]", src)
	return server.told.String(), src.results[0]
}

// ourSide is a whole conversation, or one that ends early: no other command, no other
// parameter, nothing but printable text in a line.
var ourSide = regexp.MustCompile(`^(?s:EHLO \S+\r\n` +
	`(MAIL FROM:<[^\x00-\x1f\x7f]*>( (SIZE|BODY|ENVID|RET)=[^ \x00-\x1f\x7f]+)*( SMTPUTF8)?\r\n` +
	`(RCPT TO:<[^\x00-\x1f\x7f]+>( (ORCPT|NOTIFY)=[^ \x00-\x1f\x7f]+)*\r\n)+` +
	`(DATA\r\nReceived: .*?\r\n\.\r\n|RSET\r\n)?)?` +
	`(QUIT\r\n)?)$`)

func TestEnvelopeCannotInject(t *testing.T) {
	const says = "220 x\r\n250-x\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n250 SIZE\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n"
	for name, set := range map[string]func(env *mail.Envelope, text string){
		"sender":                 func(env *mail.Envelope, x string) { env.Sender.Local = "a" + x + "b" },
		"sender's domain":        func(env *mail.Envelope, x string) { env.Sender.Domain = "a" + x + "b" },
		"sender that is no name": func(env *mail.Envelope, x string) { env.Sender = mail.Address{Local: x} },
		"recipient":              func(env *mail.Envelope, x string) { env.Rcpts[0].Final.Local = "a" + x + "b" },
		"recipient's domain":     func(env *mail.Envelope, x string) { env.Rcpts[0].Final.Domain = "a" + x + "b" },
		"original recipient":     func(env *mail.Envelope, x string) { env.Rcpts[0].Orig = mail.Address{Local: x, Domain: x} },
		"ORCPT":                  func(env *mail.Envelope, x string) { env.Rcpts[0].ORcpt = "rfc822;a" + x },
		"ORCPT utf-8":            func(env *mail.Envelope, x string) { env.Rcpts[0].ORcpt = "utf-8;a" + x },
		"ORCPT type":             func(env *mail.Envelope, x string) { env.Rcpts[0].ORcpt = "a" + x + ";b" },
		"ENVID":                  func(env *mail.Envelope, x string) { env.EnvID = "a" + x },
		"RET":                    func(env *mail.Envelope, x string) { env.Ret = x },
	} {
		t.Run(name, func(t *testing.T) {
			for _, x := range harmful() {
				for _, flags := range []mail.Flags{0, mail.FlagSMTPUTF8} {
					a := letter("one@dest.example")
					a.Env.Flags = flags
					set(a.Env, x)
					told, results := conversationTo(t, a, says)
					if !ourSide.MatchString(told) {
						t.Errorf("%q: we said %q", x, told)
					}
					if delivered := results[0].State == mail.Delivered; delivered != strings.Contains(told, "\r\nDATA\r\n") {
						t.Errorf("%q: delivered %v, said %q", x, delivered, told)
					}
				}
			}
		})
	}
}

// What a server says at each step is written to the log and into reports: nothing of it
// is a control character, and no more than a line.
func TestRepliesAreMadeHarmless(t *testing.T) {
	for _, steps := range [][]string{
		{"554 %\r\n"}, {"220 x\r\n", "554-%\r\n554 %\r\n", "554 %\r\n"}, {"220 x\r\n", "250-x\r\n250-%\r\n250 SIZE\r\n", "550 5.1.7 %\r\n"},
		{"220 x\r\n", "250 x\r\n", "250 ok\r\n", "550 5.1.1 %\r\n"}, {"220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "554 %\r\n"},
		{"220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 %\r\n", "554 %\r\n"}, {"220 x\r\n", "250 x\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 %\r\n"},
		{"%\r\n220 x\r\n", "250 x\r\n", "450 4.2.0-%\r\n"}, {"220 x\r\n", "250-%\r\n250 STARTTLS\r\n", "454 %\r\n"},
	} {
		for _, x := range harmful() {
			says := strings.ReplaceAll(strings.Join(steps, ""), "%", x)
			var l logged
			c := New(Options{TLSLevel: "may", Log: slog.New(l.handler()), Dial: func(context.Context, string, string) (net.Conn, error) {
				return &deaf{says: strings.NewReader(says)}, nil
			}})
			src := &source{t: t, attempts: []*mail.Attempt{letter("one@dest.example")}}
			c.Work(t.Context(), "smtp:[192.0.2.1]", src)
			c.Close()
			r := src.results[0][0]
			for _, text := range []string{r.Reason, r.RemoteReply, r.RemoteMTA, r.Relay, r.Status.Text, strings.ReplaceAll(l.String(), "\n", "")} {
				if strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) || len(text) > 9000 {
					t.Errorf("%q: %q", says, text)
				}
			}
		}
	}
}

// endless is a server that begins well and never ends.
type endless struct {
	deaf
	begin string
	again string
	left  int // bytes until the test gives up
	at    int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.begin != "" {
		n := copy(p, e.begin)
		e.begin = e.begin[n:]
		return n, nil
	}
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) {
		k := copy(p[n:], e.again[e.at:])
		n += k
		if e.at += k; e.at == len(e.again) {
			e.at = 0
		}
	}
	e.left -= n
	return n, nil
}

// A server that never stops talking, at each step, is given up soon and costs little.
func TestEndlessReplies(t *testing.T) {
	steps := []string{"220 x\r\n", "250-x\r\n250 PIPELINING\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n"}
	for what, again := range map[string]string{
		"one line":           "x",
		"one line of a code": "250-x",
		"lines":              "250-" + strings.Repeat("x", 500) + "\r\n",
		"short lines":        "250-\r\n",
		"keywords":           "250-SIZE 1\r\n250-DSN\r\n",
		"junk":               "junk\r\n",
		"empty lines":        "\r\n",
		"NUL":                "\x00",
	} {
		for n := range len(steps) + 1 {
			var before, after runtime.MemStats
			server := &endless{begin: strings.Join(steps[:n], ""), again: again, left: 64 << 20}
			c := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) { return server, nil }})
			src := &source{t: t, attempts: []*mail.Attempt{letter("one@dest.example")}}
			runtime.ReadMemStats(&before)
			c.Work(t.Context(), "smtp:[192.0.2.1]", src)
			runtime.ReadMemStats(&after)
			c.Close()
			r := src.results[0][0]
			if r.State != mail.Deferred || !strings.Contains(r.Reason, "endless reply") {
				t.Errorf("%s at step %d: %s", what, n, fate(r))
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
				t.Errorf("%s at step %d: %d bytes were taken from the heap", what, n, took)
			}
			if read := 64<<20 - server.left; read > 1<<20 {
				t.Errorf("%s at step %d: %d bytes were read", what, n, read)
			}
		}
	}
}

// Replies that come in the clear behind the one to STARTTLS are not taken for what the
// server says over TLS.
func TestRepliesBehindSTARTTLS(t *testing.T) {
	for _, injected := range []string{
		"250-evil\r\n250 SMTPUTF8\r\n", "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 done\r\n", "2", "\r\n", "\x16\x03\x03",
	} {
		for _, level := range []mail.TLSLevel{mail.TLSMay, mail.TLSEncrypt} {
			var conns []*deaf
			c := New(Options{TLSLevel: level, MinimalBackoff: time.Hour, Dial: func(context.Context, string, string) (net.Conn, error) {
				conns = append(conns, &deaf{says: strings.NewReader("220 x\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n" + injected)})
				return conns[len(conns)-1], nil
			}})
			src := &source{t: t, attempts: []*mail.Attempt{letter("one@dest.example")}}
			c.Work(t.Context(), "smtp:[192.0.2.1]", src)
			c.Close()
			if r := src.results[0][0]; r.State != mail.Deferred {
				t.Errorf("%s, %q: %s", level, injected, fate(r))
			}
			for _, d := range conns {
				if told := d.told.String(); strings.Contains(told, "MAIL") || strings.Count(told, "EHLO") > 1 {
					t.Errorf("%s, %q: we said %q", level, injected, told)
				}
			}
		}
	}
}

// A server whose TLS is garbage, or far too much of it, costs little and ends the attempt.
func TestGarbageForTLS(t *testing.T) {
	for name, again := range map[string]string{
		"a record longer than there are": "\x16\x03\x03\xff\xff" + strings.Repeat("\x00", 0xffff),
		"a handshake message of 16 MB":   "\x16\x03\x03\x40\x00\x02\xff\xff\xff" + strings.Repeat("\x00", 0x4000-4),
		"empty records":                  "\x16\x03\x03\x00\x00",
		"alerts":                         "\x15\x03\x03\x00\x02\x01\x5a",
		"text":                           "250 ok\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			// The greeting and two replies come one by one: nothing is there behind the last.
			server := &endless{begin: "220 x\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n", again: again, left: 64 << 20}
			c := New(Options{TLSLevel: "encrypt", Dial: func(context.Context, string, string) (net.Conn, error) { return server, nil }})
			src := &source{t: t, attempts: []*mail.Attempt{letter("one@dest.example")}}
			runtime.ReadMemStats(&before)
			c.Work(t.Context(), "smtp:[192.0.2.1]", src)
			runtime.ReadMemStats(&after)
			c.Close()
			if r := src.results[0][0]; r.State != mail.Deferred || !strings.Contains(r.Reason, "TLS") {
				t.Errorf("%s", fate(r))
			}
			if told := server.told.String(); strings.Contains(told, "MAIL") || strings.Count(told, "\x16\x03\x01") != 1 {
				t.Errorf("we said %q", told)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 2<<20 {
				t.Errorf("%d bytes were taken from the heap", took)
			}
		})
	}
}
