package integration

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Clients that break the rules cost themselves: each is answered or dropped, and an
// honest client beside them is served as ever.
func TestHostileClients(t *testing.T) {
	sink := newSink(t)
	cf := base(sink)
	cf["smtpd_timeout"] = "2s"
	r := newRelay(t, cf, nil)
	r.start()

	const hello = "EHLO client.example\r\n"
	envelope := hello + "MAIL FROM:<sender@client.example>\r\nRCPT TO:<info@alias.example>\r\n"
	for _, c := range []struct {
		name, send, want string
	}{
		{"a line of 10 MB", hello + strings.Repeat("A", 10<<20) + "\r\n", `500 5\.5\.2|421|` + hungUp},
		{"NUL in a command", hello + "MAIL FROM:<a\x00b@client.example>\r\nQUIT\r\n", `50[01] 5`},
		{"8-bit command", hello + "\xff\xfe\xfd\r\nQUIT\r\n", `500 5\.5\.2|502 5\.5\.2`},
		{"no greeting", "MAIL FROM:<a@client.example>\r\n", `250 2\.1\.0`},
		{"talks on without waiting", "MAIL FROM:<a@client.example>\r\nQUIT\r\n", `554 5\.5\.0 Error: SMTP protocol synchronization`},
		{"DATA without recipients", hello + "MAIL FROM:<a@client.example>\r\nDATA\r\nQUIT\r\n", `503 5\.5\.1|554 5\.5\.1`},
		{"HTTP", "GET / HTTP/1.0\r\n\r\n", `221 2\.7\.0|500|502`},
		{"vanishes in a command", "EHLO cli", hungUp},
		{"vanishes at once", "", hungUp},
		{"body without waiting for 354", envelope + "DATA\r\nSubject: early\r\n\r\nx\r\n.\r\n", `554 5\.5\.0 Error: SMTP protocol synchronization`},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustMatch(t, "conversation", converse(t, r.smtp, c.send), c.want)
		})
	}

	t.Run("vanishes in the body", func(t *testing.T) {
		d := inBody(t, r.smtp)
		fmt.Fprint(d, "Subject: half\r\n\r\nbody")
		d.Close()
	})
	t.Run("silent in the body, then commands", func(t *testing.T) {
		d := inBody(t, r.smtp)
		fmt.Fprint(d, "Subject: half\r\n\r\nbody\r\n")
		if got := d.read(); !strings.HasPrefix(got, "421 4.4.2") {
			t.Errorf("got %q", got)
		}
		fmt.Fprint(d, "MAIL FROM:<evil@client.example>\r\n")
		if _, err := d.r.ReadByte(); err == nil {
			t.Errorf("the server goes on after the time-out")
		}
	})
	t.Run("smuggled end of data", func(t *testing.T) {
		d := inBody(t, r.smtp)
		fmt.Fprint(d, "Subject: a\r\n\r\nx\n.\nMAIL FROM:<evil@client.example>\r\nRCPT TO:<info@alias.example>\r\nDATA\r\n.\r\n")
		if got := d.read(); !strings.HasPrefix(got, "250 2.0.0 Ok: queued as") {
			t.Errorf("got %q", got)
		}
		if got := d.say("QUIT"); !strings.HasPrefix(got, "221") {
			t.Errorf("after the message: %q", got)
		}
	})

	t.Run("one byte a second", func(t *testing.T) {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { drip(r.smtp, 3*time.Second) })
		}
		if out, code := swaks(t, r, "--to", "info@alias.example"); code != 0 {
			t.Errorf("an honest client is not served:\n%s", out)
		}
		wg.Wait()
	})

	r.waitEmpty()
	for _, m := range sink.Messages() {
		if strings.Contains(m.From, "evil") {
			t.Errorf("smuggled: %v", m)
		}
		if strings.Contains(m.Data, "half") {
			t.Errorf("a message that was never ended was delivered: %v", m)
		}
	}
	if n := sink.Count(); n != 2 {
		t.Errorf("%d messages arrived, want the smuggler's one and the honest one", n)
	}
}

// inBody is a conversation that has come as far as 354.
func inBody(t *testing.T, addr string) *dialog {
	t.Helper()
	d := dialSMTP(t, addr)
	for _, line := range []string{"EHLO client.example", "MAIL FROM:<sender@client.example>", "RCPT TO:<info@alias.example>", "DATA"} {
		d.say(line)
	}
	return d
}

// hungUp stands in a conversation for the end of the connection.
const hungUp = `<hungUp>`

// converse waits for the banner, sends all, half-closes, and returns what came back.
func converse(t *testing.T, addr, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	r := bufio.NewReader(c)
	said := ""
	hear := func() {
		for line := "250-"; len(line) > 3 && line[3] == '-'; said += line {
			if line, err = r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
	}
	hear()
	// A client may not send more before it has heard what EHLO brings.
	if first, rest, ok := strings.Cut(send, "\r\n"); ok && strings.HasPrefix(first, "EHLO") {
		io.WriteString(c, first+"\r\n")
		hear()
		send = rest
	}
	go func() {
		io.WriteString(c, send)
		c.(*net.TCPConn).CloseWrite()
	}()
	rest, err := io.ReadAll(r)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatalf("the server neither answers nor closes; so far: %q", rest)
	}
	return said + string(rest) + hungUp
}

func drip(addr string, long time.Duration) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(time.Second) {
		fmt.Fprint(c, "E")
	}
}
