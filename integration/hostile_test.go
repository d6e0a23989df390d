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

	hello := "EHLO client.example\r\n"
	envelope := hello + "MAIL FROM:<sender@client.example>\r\nRCPT TO:<info@alias.example>\r\n"
	for _, c := range []struct {
		name, send, want string
	}{
		{"a line of 10 MB", hello + strings.Repeat("A", 10<<20) + "\r\n", `500 5\.5\.2|421|` + closed},
		{"NUL in a command", hello + "MAIL FROM:<a\x00b@client.example>\r\nQUIT\r\n", `501 5\.1\.7|500 5\.5\.2`},
		{"8-bit command", hello + "\xff\xfe\xfd\r\nQUIT\r\n", `500 5\.5\.2|502 5\.5\.2`},
		{"no greeting", "MAIL FROM:<a@client.example>\r\nQUIT\r\n", `250 2\.1\.0|503`},
		{"DATA without recipients", hello + "MAIL FROM:<a@client.example>\r\nDATA\r\nQUIT\r\n", `503 5\.5\.1|554 5\.5\.1`},
		{"HTTP", "GET / HTTP/1.0\r\n\r\n", `221 2\.7\.0|500|502`},
		{"vanishes in a command", "EHLO cli", closed},
		{"vanishes in the body", envelope + "DATA\r\nSubject: half\r\n\r\nbody", closed},
		{"vanishes at once", "", closed},
		{"smuggled end of data", envelope + "DATA\r\nSubject: a\r\n\r\nx\n.\nMAIL FROM:<evil@client.example>\r\nRCPT TO:<info@alias.example>\r\nDATA\r\n.\r\nQUIT\r\n", `queued as`},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustMatch(t, "conversation", converse(t, r.smtp, c.send), c.want)
		})
	}

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

// closed stands in a conversation for the end of the connection.
const closed = `<closed>`

// converse waits for the banner, sends all, half-closes, and returns what came back.
func converse(t *testing.T, addr, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(limit))
	banner, err := bufio.NewReader(io.LimitReader(c, 512)).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		io.WriteString(c, send)
		c.(*net.TCPConn).CloseWrite()
	}()
	rest, err := io.ReadAll(c)
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Fatalf("the server neither answers nor closes; so far: %q", rest)
	}
	return banner + string(rest) + closed
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
