package smtpd

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aliasmx/internal/mail"
)

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
			w.o.MinDataRate, w.o.PerRequestDeadline = tt.rate, true
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
