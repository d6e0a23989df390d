package delivery

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	"aliasmx/internal/mail"
)

// deaf is a server that says what it has to say, a line whenever somebody reads, and never
// listens.
type deaf struct {
	net.Conn
	says *bufio.Reader
	told bytes.Buffer
}

func (d *deaf) Read(p []byte) (int, error) {
	line, err := d.says.ReadSlice('\n')
	if len(line) == 0 {
		return 0, err
	}
	return copy(p, line), nil // a client reads more at a time than this buffer holds
}
func (d *deaf) Write(p []byte) (int, error)      { return d.told.Write(p) }
func (d *deaf) Close() error                     { return nil }
func (d *deaf) SetDeadline(time.Time) error      { return nil }
func (d *deaf) SetReadDeadline(time.Time) error  { return nil }
func (d *deaf) SetWriteDeadline(time.Time) error { return nil }

// FuzzServer: whatever a server says, each recipient gets one result, nobody is taken
// for delivered before the server has had the end of the content and said 2xx, and nothing that it
// says can make us write anything but lines.
func FuzzServer(f *testing.F) {
	for _, s := range []string{
		"220 x\r\n250-x\r\n250 PIPELINING\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 done\r\n",
		"220 x\r\n250-x\r\n250-SIZE 10\r\n250-DSN\r\n250 STARTTLS\r\n220 go\r\n",
		"554 no\r\n", "220-\r\n220\r\n502\r\n250\r\n250\r\n250\r\n250\r\n354\r\n250\r\n221\r\n",
		"220 x\r\n250 x\r\n250\r\n450\r\n450\r\n250\r\n", "junk\r\n220 x\r\n421 bye\r\n",
		"220 x\r\n250-x\r\n250 PIPELINING\r\n250\r\n550\r\n550\r\n354\r\n250\r\n250\r\n250\r\n250\r\n250\r\n354\r\n250 ok\r\n",
		"220 x\r\n250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n550 no\r\n250 done\r\n250\r\n250\r\n250 ok\r\n",
		"220 x\r\n250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n250 ok\r\n502 what\r\n221\r\n",
		"220 x\r\n250-x\r\n250-LIMITS RCPTMAX=1 MAILMAX=1\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n250 done\r\n",
	} {
		f.Add([]byte(s), false)
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, says []byte, lmtp bool) {
		var conns []*deaf
		c := New(Options{TLSLevel: "may", Dial: func(context.Context, string, string) (net.Conn, error) {
			conns = append(conns, &deaf{says: bufio.NewReader(bytes.NewReader(says))})
			return conns[len(conns)-1], nil
		}})
		defer c.Close()
		dest := mail.Dest("smtp:[192.0.2.1]")
		if lmtp {
			dest = "lmtp:[192.0.2.1]"
		}
		src := &source{t: t, attempts: []*mail.Attempt{letter("one@dest.example", "two@dest.example"), letter("three@dest.example")}}
		c.Work(t.Context(), dest, src)
		if len(src.results) != 2 || len(conns) > 8 {
			t.Fatalf("%q: %d attempts done over %d connections", says, len(src.results), len(conns))
		}
		dots := 0
		for _, d := range conns {
			told := d.told.String()
			if i := strings.Index(told, "\x16\x03"); i >= 0 {
				told = told[:i] // it is TLS from here
			}
			dots += strings.Count(told, "\r\n.\r\n") + strings.Count(told, " LAST\r\n")
			if strings.ContainsAny(strings.ReplaceAll(told, "\r\n", ""), "\r\n") {
				t.Fatalf("%q: wrote %q", says, told)
			}
		}
		delivered := 0
		for _, results := range src.results {
			for i, r := range results {
				if r.Reason == "" || strings.ContainsAny(r.Reason+r.RemoteReply, "\r\n\x00") {
					t.Fatalf("%q: reason %q", says, r.Reason)
				}
				if r.State == mail.Delivered && (i == 0 || results[0].State != mail.Delivered) {
					delivered++
				}
			}
		}
		if delivered > dots || delivered > 0 && !regexp.MustCompile(`(?m)^2\d\d`).Match(says) {
			t.Fatalf("%q: %d messages delivered with %d ends of content", says, delivered, dots)
		}
	})
}
