package smtpd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"aliasmx/internal/mail"
)

// listen starts a server on a port of its own and returns its address.
func listen(t *testing.T, w *world) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	served := make(chan error, 1)
	go func() { served <- w.srv.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.srv.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return l.Addr().String()
}

// go-smtp's client delivers through us.
func TestGoSMTPClient(t *testing.T) {
	w := usual(t)
	w.o.LocalClients = nil
	w.o.ClientName = func(context.Context, netip.Addr) string { return "client.example.net" }
	w.o.ForbidUnauthPipelining = true
	c, err := smtp.Dial(listen(t, w))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Hello("client.example.net"); err != nil {
		t.Fatal(err)
	}
	for _, ext := range []string{"PIPELINING", "SIZE", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES"} {
		if ok, _ := c.Extension(ext); !ok {
			t.Errorf("%s is not offered", ext)
		}
	}
	if size, ok := c.MaxMessageSize(); !ok || size != 10240000 {
		t.Errorf("SIZE %d", size)
	}
	if err := c.Mail("sender@example.net", &smtp.MailOptions{Size: 100, EnvelopeID: "env 1", Return: smtp.DSNReturnHeaders, Body: smtp.Body8BitMIME}); err != nil {
		t.Fatal(err)
	}
	err = c.Rcpt("none@virt.example", nil)
	if e, ok := errors.AsType[*smtp.SMTPError](err); !ok || e.Code != 550 || e.EnhancedCode != (smtp.EnhancedCode{5, 1, 1}) ||
		e.Message != "<none@virt.example>: Recipient address rejected: User unknown in virtual alias table" {
		t.Errorf("unknown recipient: %v", err)
	}
	if err := c.Rcpt("a@virt.example", &smtp.RcptOptions{
		Notify:                []smtp.DSNNotify{smtp.DSNNotifyFailure, smtp.DSNNotifyDelayed},
		OriginalRecipientType: smtp.DSNAddressTypeRFC822, OriginalRecipient: "first+last@virt.example",
	}); err != nil {
		t.Fatal(err)
	}
	d, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, "Subject: hello\r\n\r\n.dot\r\nKörper\r\n")
	resp, err := d.CloseWithResponse()
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusText != "2.0.0 Ok: queued as 000000000001" && resp.StatusText != "Ok: queued as 000000000001" {
		t.Errorf("reply %q", resp.StatusText)
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}

	m := w.store.messages[0]
	if m.body != "Subject: hello\r\n\r\n.dot\r\nKörper\r\n" {
		t.Errorf("body %q", m.body)
	}
	want := mail.Envelope{
		ID: 1, Arrived: w.o.Now(), Sender: mail.Address{Local: "sender", Domain: "example.net"},
		EnvID: "env 1", Ret: "HDRS", Flags: mail.FlagBody8BitMIME,
		Client: mail.Client{
			Name: "client.example.net", Addr: netip.MustParseAddr("127.0.0.1"), Port: m.env.Client.Port,
			Helo: "client.example.net", Protocol: "ESMTP", UID: -1,
		},
		Prepend: []byte("Received: from client.example.net (client.example.net [127.0.0.1])\r\n" +
			"\tby mx.example.com (Postfix) with ESMTP id 000000000001\r\n" +
			"\tfor <a@virt.example>; Sat, 22 Nov 2025 10:00:00 +0000 (UTC)\r\n"),
		Rcpts: []mail.Recipient{{
			Final: mail.Address{Local: "b", Domain: "dest.example"}, Orig: mail.Address{Local: "a", Domain: "virt.example"},
			ORcpt: "RFC822;first+last@virt.example", Notify: mail.NotifyFailure | mail.NotifyDelay, Dest: "smtp:dest.example",
		}},
	}
	if string(m.env.Prepend) != string(want.Prepend) {
		t.Errorf("Prepend %q, want %q", m.env.Prepend, want.Prepend)
	}
	m.env.Prepend, want.Prepend = nil, nil
	if !slices.Equal(m.env.Rcpts, want.Rcpts) {
		t.Errorf("recipients %+v, want %+v", m.env.Rcpts, want.Rcpts)
	}
	m.env.Rcpts, want.Rcpts = nil, nil
	if got := m.env; got.ID != want.ID || got.Sender != want.Sender || got.EnvID != want.EnvID || got.Ret != want.Ret ||
		got.Flags != want.Flags || got.Client != want.Client || !got.Arrived.Equal(want.Arrived) {
		t.Errorf("envelope\n got %+v\nwant %+v", got, want)
	}
}

// Our session under go-smtp's server: the same answers, as far as go-smtp can ask.
func TestGoSMTPServer(t *testing.T) {
	w := usual(t)
	w.o.LocalClients = nil
	w.start()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := smtp.NewServer(w.srv.Backend())
	s.Domain, s.EnableDSN, s.EnableSMTPUTF8 = "mx.example.com", true, true
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c, err := smtp.Dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Mail("s@example.net", nil); err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]string{
		"none@virt.example": "<none@virt.example>: Recipient address rejected: User unknown in virtual alias table",
		"a@virt.example":    "",
	} {
		got := ""
		if err := c.Rcpt(addr, nil); err != nil {
			got = err.(*smtp.SMTPError).Message
		}
		if got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	d, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(d, "Subject: x\r\n\r\ny\r\n")
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	c.Quit()
	s.Close()
	<-served
	if len(w.store.messages) != 1 || w.store.messages[0].body != "Subject: x\r\n\r\ny\r\n" {
		t.Errorf("messages %q", w.store.messages)
	}
}

// What a shutdown does to a connection in each of its states.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t).start()
		idle := w.dial("127.0.0.2").greeting()
		idle.expect("HELO x", "250 ")
		half := w.dial("127.0.0.2").greeting()
		half.send("NOO")
		inMail := w.dial("127.0.0.2").greeting()
		inMail.expect("MAIL FROM:<s@example.net>", "250 ")
		inData := w.dial("127.0.0.2").greeting()
		inData.expect("MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@virt.example>", "250 ", "DATA", "354 ")
		inData.send("Subject: x\r\n")
		synctest.Wait()

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		done := make(chan error)
		go func() { done <- w.srv.Shutdown(ctx) }()

		const bye = "421 4.3.2 mx.example.com Service shutting down"
		for _, c := range []*client{idle, half} {
			if got := c.reply(); got != bye {
				t.Errorf("idle client is told %q", got)
			}
			if got := c.reply(); got != "" {
				t.Errorf("idle client is told more: %q", got)
			}
		}
		late := w.dial("127.0.0.2")
		if got := late.reply(); got != bye {
			t.Errorf("a client that comes now is told %q", got)
		}
		inData.send("\r\nx\r\n.\r\n")
		if got := inData.reply(); got != "250 2.0.0 Ok: queued as 000000000001" {
			t.Errorf("end of data: %q", got)
		}
		if got := inData.reply(); got != bye {
			t.Errorf("after the message: %q", got)
		}
		inMail.expect("RCPT TO:<a@virt.example>", "250 ", "RSET", "250 ")
		if got := inMail.reply(); got != bye {
			t.Errorf("after RSET: %q", got)
		}
		if err := <-done; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		for _, c := range []*client{idle, half, inMail, inData, late} {
			c.hangUp()
		}
		w.conns.Wait()
		if len(w.store.messages) != 1 {
			t.Errorf("%d messages", len(w.store.messages))
		}
	})
}

// A transaction that does not finish in time is broken off, and leaves nothing behind.
func TestShutdownBreaksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t).start()
		c := w.dial("127.0.0.2").greeting()
		c.expect("MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@virt.example>", "250 ", "DATA", "354 ")
		c.send("Subject: x\r\n")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := w.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		c.hangUp()
		w.conns.Wait()
		if len(w.store.messages) != 0 || w.store.open != 0 {
			t.Errorf("%d messages, %d drafts", len(w.store.messages), w.store.open)
		}
		if err := w.srv.Shutdown(t.Context()); err != nil {
			t.Errorf("a second Shutdown: %v", err)
		}
	})
}

// A client that vanishes, at any byte, leaves no message, no draft and no connection.
func TestVanish(t *testing.T) {
	whole := "EHLO x\r\nMAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\nDATA\r\nA: b\r\n\r\n..\r\n.\r\n" +
		"MAIL FROM:<s@example.net>\r\nRCPT TO:<a@virt.example>\r\nBDAT 3\r\nabcBDAT 4 LAST\r\ndefg"
	end := strings.Index(whole, "\r\n.\r\n") + 5
	for n := 0; n < len(whole); n++ {
		synctest.Test(t, func(t *testing.T) {
			w := usual(t).start()
			c := w.dial("127.0.0.2")
			go io.Copy(io.Discard, c.nc)
			c.send(whole[:n])
			synctest.Wait()
			c.hangUp()
			w.conns.Wait()
			want := 0
			if n >= end {
				want = 1
			}
			if len(w.store.messages) != want || w.store.open != 0 {
				t.Errorf("cut after %q: %d messages, %d drafts", whole[:n], len(w.store.messages), w.store.open)
			}
			lines := w.log.all()
			if last := lines[len(lines)-1]; !strings.Contains(last, "disconnect from") {
				t.Errorf("cut after %q: last line %q", whole[:n], last)
			}
		})
	}
}

// A client that does not read its replies is given up after smtpd_timeout.
func TestWriteBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t).start()
		near, far := net.Pipe()
		start := time.Now()
		var took time.Duration
		w.conns.Go(func() {
			w.srv.ServeConn(far, Peer{Addr: netip.MustParseAddr("127.0.0.2")})
			took = time.Since(start)
		})
		w.conns.Wait()
		near.Close()
		if took != 300*time.Second {
			t.Errorf("given up after %v", took)
		}
	})
}

// A byte a second is too slow for a message, but within the time-outs of each wait.
func TestMinDataRate(t *testing.T) {
	for _, tt := range []struct {
		rate int
		want time.Duration // about
	}{{0, 0}, {500, 300 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			w := usual(t)
			w.o.MinDataRate = tt.rate
			w.start()
			c := w.dial("127.0.0.2").greeting()
			c.expect("MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@virt.example>", "250 ", "DATA", "354 ")
			start := time.Now()
			stop := make(chan struct{})
			w.conns.Go(func() {
				tick := time.NewTicker(time.Second)
				defer tick.Stop()
				for range 1000 {
					select {
					case <-tick.C:
						c.nc.Write([]byte("x"))
					case <-stop:
						return
					}
				}
				c.nc.Write([]byte("\r\n.\r\n"))
			})
			got := c.reply()
			took := time.Since(start)
			if tt.want == 0 {
				if !strings.HasPrefix(got, "250 ") {
					t.Errorf("without a rate: %q after %v", got, took)
				}
			} else if got != "421 4.4.2 mx.example.com Error: timeout exceeded" || took < tt.want || took > tt.want+5*time.Second {
				t.Errorf("rate %d: %q after %v", tt.rate, got, took)
			}
			close(stop)
			c.hangUp()
			w.conns.Wait()
		})
	}
}

// panicky is a Recipients that breaks down.
type panicky struct{ *book }

func (panicky) Class(context.Context, mail.Address) (mail.Class, error) { panic("out of order") }

// A panic costs its connection and nothing else.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		w.o.Recipients = panicky{newBook("virt.example", "")}
		w.start()
		other := w.dial("127.0.0.3").greeting()
		c := w.dial("127.0.0.2").greeting()
		c.expect("MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@virt.example>", "421 4.3.0 mx.example.com Error: internal error")
		if got := c.reply(); got != "" {
			t.Errorf("after the panic: %q", got)
		}
		other.expect("NOOP", "250 ")
		c.hangUp()
		other.hangUp()
		w.conns.Wait()
		if !slices.ContainsFunc(w.log.all(), func(l string) bool { return strings.Contains(l, "panic while serving unknown[127.0.0.2]") }) {
			t.Error("nothing in the log")
		}
	})
}

// Errors of the queue: a refusal is passed on, anything else is temporary, and the client
// learns nothing of it.
func TestQueueErrors(t *testing.T) {
	full := &mail.Status{Code: 452, Enhanced: mail.Code(4, 3, 1), Text: "Insufficient system storage"}
	secret := errors.New("/var/spool: no space left on device")
	for _, tt := range []struct {
		name  string
		set   func(*store)
		stage string // the command it shows at
		want  string
	}{
		{"no room at MAIL", func(s *store) { s.admit = full }, "MAIL", "452 4.3.1 Insufficient system storage"},
		{"broken at MAIL", func(s *store) { s.admit = secret }, "MAIL", "451 4.3.0 Error: queue file write error"},
		{"no room at DATA", func(s *store) { s.stage = full }, "DATA", "452 4.3.1 Insufficient system storage"},
		{"broken at DATA", func(s *store) { s.stage = secret }, "DATA", "451 4.3.0 Error: queue file write error"},
		{"no room while writing", func(s *store) { s.write = full }, ".", "452 4.3.1 Insufficient system storage"},
		{"broken while writing", func(s *store) { s.write = secret }, ".", "451 4.3.0 Error: queue file write error"},
		{"refused by the next hop", func(s *store) { s.commit = &mail.Status{Code: 554, Enhanced: mail.Code(5, 6, 0), Text: "no"} }, ".", "554 5.6.0 no"},
		{"broken at Commit", func(s *store) { s.commit = secret }, ".", "451 4.3.0 Error: queue file write error"},
		{"a yes is no error", func(s *store) { s.commit = &mail.Status{Code: 250, Text: "fine"} }, ".", "451 4.3.0 Error: queue file write error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := usual(t).start()
				tt.set(w.store)
				c := w.dial("127.0.0.2").greeting()
				for _, step := range [][2]string{
					{"MAIL FROM:<s@example.net>", "250 2.1.0 Ok"}, {"RCPT TO:<a@virt.example>", "250 2.1.5 Ok"},
					{"DATA", "354 End data with <CR><LF>.<CR><LF>"}, {"Subject: x\r\n\r\n" + strings.Repeat("y", 5000) + "\r\n.", ""},
				} {
					want, here := step[1], strings.HasPrefix(step[0], tt.stage) || step[1] == ""
					if here {
						want = tt.want
					}
					if got := c.do(step[0]); got != want {
						t.Errorf("%.20q: %q, want %q", step[0], got, want)
					}
					if here {
						break
					}
				}
				// The connection goes on, and the same message may be tried again.
				*w.store = store{last: 10}
				c.expect("RSET", "250 ", "MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@virt.example>", "250 ", "DATA", "354 ", "x\r\n.", "250 ")
				c.hangUp()
				w.conns.Wait()
			})
		})
	}
}

// 250 is said after Commit has returned, and not before.
func TestCommitBeforeReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t).start()
		release := make(chan struct{})
		w.store.onCommit = func() { <-release }
		c := w.dial("127.0.0.2").greeting()
		c.expect("MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@virt.example>", "250 ", "DATA", "354 ")
		c.send("x\r\n.\r\n")
		answered := make(chan string)
		go func() { answered <- c.reply() }()
		synctest.Wait()
		select {
		case got := <-answered:
			t.Fatalf("%q before the message was kept", got)
		default:
		}
		close(release)
		if got := <-answered; !strings.HasPrefix(got, "250 ") {
			t.Errorf("%q", got)
		}
		c.hangUp()
		w.conns.Wait()
	})
}

// One client may have so many connections, its neighbours as many of their own.
func TestConnectionLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		w.o.ClientConnectionLimit = 2
		w.o.ClientIPv6Prefix = 64
		w.start()
		open := []*client{w.dial("2001:db8::1").greeting(), w.dial("2001:db8::2").greeting(), w.dial("127.0.0.2").greeting()}
		c := w.dial("2001:db8::ff:3")
		if got := c.reply(); got != "421 4.7.0 mx.example.com Error: too many connections from 2001:db8::ff:3" {
			t.Errorf("third connection: %q", got)
		}
		c.hangUp()
		open = append(open, w.dial("2001:db8:0:1::1").greeting(), w.dialAs(Peer{Local: true}).greeting())
		open[0].expect("QUIT", "221 ")
		synctest.Wait()
		open = append(open, w.dial("2001:db8::4").greeting())
		for _, c := range open {
			c.hangUp()
		}
		w.conns.Wait()
	})
}

// Messages under way hold so much memory together, and no more.
func TestDataMemoryLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		w.o.DataMemoryLimit = 2 * dataReserve
		w.start()
		var open []*client
		for range 3 {
			c := w.dial("127.0.0.2").greeting()
			c.expect("MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@virt.example>", "250 ")
			open = append(open, c)
		}
		open[0].expect("DATA", "354 ")
		open[1].expect("BDAT 0 LAST", "250 ", "MAIL FROM:<s@example.net>", "250 ", "RCPT TO:<a@virt.example>", "250 ", "DATA", "354 ")
		open[2].expect("DATA", "452 4.3.1 ")
		open[0].expect("x\r\n.", "250 ")
		open[2].expect("DATA", "354 ")
		for _, c := range open {
			c.hangUp()
		}
		w.conns.Wait()
	})
}

// New options hold from the next transaction on.
func TestUpdate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t).start()
		c := w.dial("127.0.0.2").greeting()
		c.expect("MAIL FROM:<s@example.net>", "250 ")
		o := w.o
		o.Recipients = newBook("new.example", "b@new.example c@dest.example")
		o.MessageSizeLimit = 10
		w.srv.Update(o)
		c.expect("RCPT TO:<a@virt.example>", "250 ", "RCPT TO:<b@new.example>", "554 ", "RSET", "250 ",
			"MAIL FROM:<s@example.net> SIZE=11", "552 ", "MAIL FROM:<s@example.net>", "250 ",
			"RCPT TO:<a@virt.example>", "554 ", "RCPT TO:<b@new.example>", "250 ")
		c.hangUp()
		w.conns.Wait()
	})
}

// Clients beyond MaxConnections are greeted when another one has gone.
func TestMaxConnections(t *testing.T) {
	w := usual(t)
	w.o.MaxConnections = 1
	addr := listen(t, w)
	first, err := smtp.Dial(addr)
	if err != nil {
		t.Fatal(err)
	}
	var second sync.WaitGroup
	second.Go(func() {
		c, err := smtp.Dial(addr)
		if err != nil {
			t.Error(err)
			return
		}
		if err := c.Quit(); err != nil {
			t.Error(err)
		}
	})
	if err := first.Noop(); err != nil {
		t.Fatal(err)
	}
	if err := first.Quit(); err != nil {
		t.Fatal(err)
	}
	second.Wait()
}

// Serve says when its listener breaks.
func TestServeClosedListener(t *testing.T) {
	w := usual(t).start()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := w.srv.Serve(l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}
