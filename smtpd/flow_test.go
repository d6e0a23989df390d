package smtpd

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// busyStore wants clients to wait.
type busyStore struct {
	store
	delay time.Duration
}

func (s *busyStore) FlowDelay() time.Duration { return s.delay }

// A message waits at MAIL as long as the queue asks for; nothing else does, and replies to
// what was said before do not wait with it.
func TestInFlowDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		busy := &busyStore{}
		w.o.Queue = busy
		w.start()
		c := w.dial("127.0.0.1").greeting()
		defer c.hangUp()
		took := func(line, reply string, want time.Duration) {
			t.Helper()
			began := time.Now()
			c.expect(line, reply)
			if got := time.Since(began); got != want {
				t.Errorf("%s took %s, want %s", line, got, want)
			}
		}
		took("EHLO client.example", "250", 0)
		took("MAIL FROM:<a@client.example>", "250 2.1.0 Ok", 0)
		took("RSET", "250", 0)
		busy.delay = time.Second
		took("MAIL FROM:<a@client.example>", "250 2.1.0 Ok", time.Second)
		took("MAIL FROM:<a@client.example>", "503 5.5.1 Error: nested MAIL command", 0)
		took("RCPT TO:<a@virt.example>", "250 2.1.5 Ok", 0)
		took("RSET", "250", 0)
		took("MAIL FROM:nonsense<", "501", 0)
		busy.delay = time.Hour // more than the client is asked to be patient for
		took("MAIL FROM:<a@client.example>", "250 2.1.0 Ok", w.srv.options.Load().Timeout/2)
		took("RSET", "250", 0)

		busy.delay = 10 * time.Second
		began := time.Now()
		c.send("RSET\r\nMAIL FROM:<a@client.example>\r\n")
		if c.reply(); time.Since(began) != 0 {
			t.Errorf("the reply to RSET came after %s", time.Since(began))
		}
		if c.reply(); time.Since(began) != 10*time.Second {
			t.Errorf("the reply to MAIL came after %s", time.Since(began))
		}
		took("QUIT", "221", 0)
	})
}

// Nobody waits for a server that is about to end.
func TestInFlowDelayAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := usual(t)
		w.o.Queue = &busyStore{delay: 10 * time.Second}
		w.start()
		c := w.dial("127.0.0.1").greeting()
		defer c.hangUp()
		c.expect("EHLO client.example", "250")
		began := time.Now()
		c.send("MAIL FROM:<a@client.example>\r\n")
		synctest.Wait()
		time.Sleep(time.Second)
		go w.srv.Shutdown(context.Background())
		if got := c.reply(); !strings.HasPrefix(got, "421 4.3.2 ") {
			t.Errorf("got %q", got)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
