package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

// What arrives is what was stored: our header fields, and below them every byte.
func TestContentIsExact(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	pieces := []string{".", "..", ".\r\n", "\r\n", "\r\n.", "x", "\x00\xff", "ü", strings.Repeat("long", 600), "From me\r\n"}
	for range 200 {
		var b strings.Builder
		for range rnd.IntN(30) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		if b.Len() > 0 && !strings.HasSuffix(b.String(), "\r\n") {
			b.WriteString("\r\n")
		}
		p := &peer{keywords: allKeywords}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
		a := letter("r@dest.example")
		a.Body = body(b.String())
		if rnd.IntN(2) == 0 {
			a.Body = reader{body(b.String())}
		}
		if got := fates(s.send("smtp:[192.0.2.1]", a).results[0]); !strings.HasPrefix(got, "sent") {
			t.Fatalf("seed %d: %s", seed, got)
		}
		m := p.got()[0]
		if want := string(a.Env.Prepend) + b.String(); m.data != want {
			t.Fatalf("seed %d: got\n%q\nwant\n%q", seed, m.data, want)
		}
		if !strings.Contains(m.from, fmt.Sprintf("SIZE=%d", len(m.data))) {
			t.Fatalf("%s, but %d bytes", m.from, len(m.data))
		}
		if s.log.String() != "" {
			t.Fatalf("log\n%s", s.log)
		}
	}
}

// reader is a body that only reads, as one from a file.
type reader struct{ body }

func (r reader) Open() (io.ReadCloser, error) {
	return io.NopCloser(struct{ io.Reader }{bytes.NewReader(r.body)}), nil
}

// A message with more content than the connection's buffers hold.
func TestLargeContent(t *testing.T) {
	big := body(bytes.Repeat([]byte("0123456789012345678901234567890123456789\r\n.\r\n"), 30000))
	for _, b := range []mail.Body{big, reader{big}} {
		p := &peer{keywords: allKeywords}
		s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
		a := letter("r@dest.example")
		a.Body = b
		s.send("smtp:[192.0.2.1]", a)
		if m := p.got(); len(m) != 1 || m[0].data != string(a.Env.Prepend)+string(big) {
			t.Error("not what was sent")
		}
	}
}

func TestStrayLineEnds(t *testing.T) {
	p := &peer{keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{LineLengthLimit: 20})
	a := letter("r@dest.example")
	a.Env.Prepend, a.Body = nil, body("a\rb\r\nc\n.\nan intolerably long line\r\n")
	s.send("smtp:[192.0.2.1]", a)
	if m := p.got()[0]; m.data != "a b\r\nc\r\n.\r\nan intolerably long \r\n line\r\n" {
		t.Errorf("got %q", m.data)
	}
	want := "breaking line > 20 bytes with <CR><LF>SPACE queue_id=" + a.Env.ID.String() +
		"\nWARN: message content has 3 stray <CR> or <LF>: sent as space or <CR><LF> queue_id=" + a.Env.ID.String()
	if s.log.String() != want {
		t.Errorf("log\n%s\nwant\n%s", s.log, want)
	}
}

// badBody is content that cannot be had.
type badBody struct {
	body
	openErr, readErr error
	short            int
}

func (b badBody) Open() (io.ReadCloser, error) {
	if b.openErr != nil {
		return nil, b.openErr
	}
	r := io.Reader(bytes.NewReader(b.body[:len(b.body)-b.short]))
	if b.readErr != nil {
		r = io.MultiReader(r, errReader{b.readErr})
	}
	return io.NopCloser(r), nil
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

// Half a message must never end with a dot: it would be delivered as if it were whole.
func TestContentThatCannotBeRead(t *testing.T) {
	broken := errors.New("checksum mismatch")
	for _, c := range []struct {
		name string
		b    badBody
		want string
	}{
		{"not opened", badBody{openErr: broken}, "deferred 4.3.0 " + sinkRelay + " (queue file read error)"},
		{"broken off", badBody{readErr: broken}, "deferred 4.3.0 " + sinkRelay + " (local data error while talking to 192.0.2.1[192.0.2.1])"},
		{"too short", badBody{short: 5}, "deferred 4.3.0 " + sinkRelay + " (local data error while talking to 192.0.2.1[192.0.2.1])"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &peer{keywords: allKeywords}
			s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
			a := letter("r@dest.example")
			c.b.body = body(testBody)
			a.Body = c.b
			src := s.send("smtp:[192.0.2.1]", a, letter("r@dest.example"))
			if got := fates(src.results[0]); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if src.feedback[0] != mail.FeedbackGood {
				t.Error("the destination is blamed for it")
			}
			if m := p.got(); len(m) != 1 || src.results[1][0].State != mail.Delivered {
				t.Errorf("%d messages came, want the second alone", len(m))
			}
			if !strings.Contains(s.log.String(), "WARN: ") {
				t.Errorf("log\n%s", s.log)
			}
		})
	}
}

// A server that takes a byte now and then holds us for as long as the size warrants, and
// no longer.
func TestMinDataRate(t *testing.T) {
	for _, c := range []struct {
		name  string
		rate  int
		every time.Duration // 1000 bytes
		want  time.Duration
	}{
		{"slower than may be, as a whole", 1000, 5 * time.Second, 180*time.Second + 1000*time.Second},
		{"slower than may be, at once", -1, 100 * time.Second, 180 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			var server sync.WaitGroup
			server.Go(func() {
				defer far.Close()
				for i, reply := range []string{"220 x", "250 x", "250 x", "250 x", "354 x"} {
					if i > 0 {
						far.Read(make([]byte, 1000))
					}
					far.Write([]byte(reply + "\r\n"))
				}
				for {
					<-time.After(c.every)
					if _, err := far.Read(make([]byte, 1000)); err != nil {
						return
					}
				}
			})
			o := Options{MinDataRate: c.rate, Dial: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
			client := New(o)
			a := letter("r@dest.example")
			a.Env.Prepend, a.Body = nil, body(bytes.Repeat([]byte("xxxxxxxx\r\n"), 100_000))
			src := &source{t: t, attempts: []*mail.Attempt{a}}
			began := time.Now()
			client.Work(t.Context(), "smtp:[192.0.2.1]", src)
			took := time.Since(began)
			if got := fates(src.results[0]); !strings.HasSuffix(got, "sending message body)") {
				t.Error(got)
			}
			if took != c.want {
				t.Errorf("%s: took %v, want %v", c.name, took, c.want)
			}
			client.Close()
			server.Wait()
		})
	}
}

// The server refuses while the content is still on its way, and closes: its reply is the
// reason, not the broken pipe.
func TestRefusedWhileSending(t *testing.T) {
	near, far := net.Pipe()
	var server sync.WaitGroup
	server.Go(func() {
		buf := make([]byte, 4096)
		for i, reply := range []string{"220 x", "250 x", "250 x", "250 x", "354 x"} {
			if i > 0 {
				far.Read(buf)
			}
			far.Write([]byte(reply + "\r\n"))
		}
		far.Read(buf)
	})
	early := &earlyCloser{Conn: near, reply: strings.NewReader("552 5.3.4 too much\r\n")}
	s := New(Options{Dial: func(context.Context, string, string) (net.Conn, error) { return early, nil }})
	a := letter("r@dest.example")
	a.Body = body(bytes.Repeat([]byte("xxxxxxxx\r\n"), 100_000))
	src := &source{t: t, attempts: []*mail.Attempt{a}}
	early.after = func(n int) bool { return n > 10_000 }
	s.Work(t.Context(), "smtp:[192.0.2.1]", src)
	want := "bounced 5.3.4 " + sinkRelay + " (host 192.0.2.1[192.0.2.1] said: 552 5.3.4 too much (in reply to end of DATA command))"
	if got := fates(src.results[0]); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	s.Close()
	near.Close()
	server.Wait()
}

// earlyCloser fails writes that are after something, and then has a reply to read.
type earlyCloser struct {
	net.Conn
	after  func(n int) bool
	closed bool
	reply  io.Reader
}

func (c *earlyCloser) Write(p []byte) (int, error) {
	if c.closed || c.after(len(p)) {
		c.closed = true
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(p)
}

func (c *earlyCloser) Read(p []byte) (int, error) {
	if c.closed {
		return c.reply.Read(p)
	}
	return c.Conn.Read(p)
}

// rewriter is a SenderRewriter and a Signer.
type rewriter struct {
	err  error
	only string // the recipient domain that it is for; "": all
	rcpt int
	m    mail.Outgoing
}

func (r *rewriter) RewriteSender(_ context.Context, env *mail.Envelope, rcpt int) (mail.Address, error) {
	r.rcpt = rcpt
	if r.only != "" && env.Rcpts[rcpt].Final.Domain != r.only {
		return env.Sender, nil
	}
	return mail.Address{Local: "SRS0=" + env.Sender.Local, Domain: "srs.example"}, r.err
}

func (r *rewriter) Sign(_ context.Context, m mail.Outgoing) ([]byte, error) {
	r.m = m
	return []byte("X-Signature: y\r\n"), nil
}

func TestSenderRewriterAndSigner(t *testing.T) {
	p := &peer{keywords: allKeywords}
	rw := &rewriter{}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{SenderRewriter: rw, Signer: rw})
	a := letter("r@dest.example", "other@elsewhere.example")
	a.Rcpts, a.Dest = []int{1}, "smtp:[192.0.2.1]"
	s.send(string(a.Dest), a)
	m := p.got()[0]
	if m.from != "<SRS0=sender@srs.example> SIZE=88" || !strings.HasPrefix(m.data, "X-Signature: y\r\nReceived: ") || len(m.data) != 88 {
		t.Errorf("got %+v (%d bytes)", m, len(m.data))
	}
	if len(m.to) != 1 || !strings.HasPrefix(m.to[0], "<other@elsewhere.example>") || rw.rcpt != 1 {
		t.Errorf("got %v for %v", m.to, rw.rcpt)
	}
	if m := rw.m; m.Sender.Domain != "srs.example" || m.Dest != "smtp:[192.0.2.1]" || len(m.Rcpts) != 1 || m.Rcpts[0] != 1 || len(m.Prepend) == 0 {
		t.Errorf("the signer was shown %+v", m)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("key is gone"), "deferred 4.3.0 " + sinkRelay + " (sender address rewriting failed)"},
		{&mail.Status{Code: 550, Enhanced: mail.Code(5, 7, 1), Text: "no"}, "bounced 5.7.1 " + sinkRelay + " (no)"},
	} {
		rw.err = c.err
		if got := fates(s.send("smtp:[192.0.2.1]", letter("r@dest.example")).results[0]); got != c.want {
			t.Errorf("%v: got %s", c.err, got)
		}
	}
	if !strings.Contains(s.log.String(), "key is gone") {
		t.Errorf("log\n%s", s.log)
	}
}

// A body that panics is one attempt lost, not the process; nobody is decided by it.
func TestPanic(t *testing.T) {
	p := &peer{keywords: allKeywords}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{})
	a := letter("r@dest.example", "s@dest.example")
	a.Body = panicBody{body(testBody)}
	src := s.send("smtp:[192.0.2.1]", a, letter("r@dest.example"))
	if got := fates(src.results[0]); got != "deferred 4.3.0 none (internal error)\ndeferred 4.3.0 none (internal error)" {
		t.Error(got)
	}
	if src.results[1][0].State != mail.Delivered || !strings.Contains(s.log.String(), "ERROR: panic: no such thing") {
		t.Errorf("%s\nlog\n%s", fates(src.results[1]), s.log)
	}
	p.serving.Wait() // neither connection is left open
}

type panicBody struct{ body }

func (panicBody) Open() (io.ReadCloser, error) { panic("no such thing") }

// Recipients whose mail has another reverse-path are in another transaction, and one whose
// reverse-path cannot be had keeps nobody else from the message.
func TestReversePathPerRecipient(t *testing.T) {
	p := &peer{keywords: allKeywords}
	rw := &rewriter{only: "dest.example"}
	s := newSetup(t, map[string]any{"192.0.2.1:25": p}, Options{SenderRewriter: rw, Signer: rw})
	list := []string{"a@dest.example", "b@elsewhere.example", "c@dest.example", "d@elsewhere.example"}
	src := s.send("smtp:[192.0.2.1]", letter(list...))
	got := map[string][]string{}
	for _, m := range p.got() {
		from, _, _ := strings.Cut(m.from, " ")
		got[from] = append(got[from], m.to...)
	}
	if len(got) != 2 || len(got["<SRS0=sender@srs.example>"]) != 2 || len(got["<sender@example.net>"]) != 2 {
		t.Errorf("got %v", got)
	}
	if n := len(src.results[0]); n != len(list) {
		t.Errorf("%d results", n)
	}
	rw.err = &mail.Status{Code: 553, Enhanced: mail.Code(5, 1, 7), Text: "too long"}
	src = s.send("smtp:[192.0.2.1]", letter(list...))
	failed := 0
	for _, r := range src.results[0] {
		if r.State == mail.Failed && r.Reason == "too long" {
			failed++
		}
	}
	if failed != 2 || len(src.results[0]) != 4 {
		t.Errorf("got %s", fates(src.results[0]))
	}
}
