package smtpd

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
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
		if got := c.reply(); got != "421 4.3.2 mx.example.com Service shutting down" {
			t.Errorf("in the middle of a message: %q", got)
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
